"""The server as a process: its flags, what it does on a timer, what it tells supervisors, and how it ends."""
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, text_format, timestamp_pb2

import corod_testing as testing
from corod_testing import refused, sends, session_pb2


def run(*flags):
    """The server with flags that end it."""
    return subprocess.run([*testing.END_WITH_PARENT, testing.binary("COROD_BIN"), *flags], capture_output=True, text=True,
                          timeout=testing.CALL_SECONDS)


class FlagsTest(unittest.TestCase):
    def test_a_bad_flag_is_one_clear_line_and_status_2(self):
        for flags, named in [
                (["--bogus"], "--bogus"), (["--listen"], "--listen"), (["--listen", "nonsense"], "nonsense"),
                (["--listen", "127.0.0.1:65536"], "65536"), (["--listen", ":7117"], ":7117"),
                (["--listen", "127.0.0.1:"], "127.0.0.1:"), (["--max-sessions", "0"], "--max-sessions"),
                (["--max-sessions", "many"], "many"), (["--max-sessions", "-1"], "--max-sessions"),
                (["--idle-timeout", "soon"], "soon"), (["--idle-timeout", "-1s"], "-1s"), (["--idle-timeout", "5"], "'5'"),
                (["--retention", "1x"], "1x"), (["--retention", ""], "--retention"), (["--journal", "paper"], "paper"),
                (["--data-dir", "/etc/passwd"], "/etc/passwd"), (["--log-level", "loud"], "loud"), (["extra"], "extra"),
                (["--plugin"], "--plugin"), (["--plugin", "/nowhere.so"], "/nowhere.so"), (["--plugin", "/etc/passwd"], "/etc/passwd"),
                (["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"], "--listen")]:
            with self.subTest(flags):
                ended = run(*flags)
                self.assertEqual((ended.returncode, ended.stdout), (2, ""))
                self.assertRegex(ended.stderr, r"\Acorod: [^\n]+\n\Z")
                self.assertIn(named, ended.stderr)

    def test_help_names_every_flag(self):
        ended = run("--help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for flag in ["--listen", "--journal", "--data-dir", "--plugin", "--max-sessions", "--idle-timeout", "--retention", "--log-level"]:
            self.assertIn(flag, ended.stdout)

    def test_version(self):
        ended = run("--version")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertRegex(ended.stdout, r"\Acorod \d+\.\d+\.\d+\n\Z")

    def test_an_address_in_use_is_one_clear_line_and_status_1(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            ended = run("--listen", address, "--journal", "memory")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertRegex(ended.stderr, r"\Acorod: [^\n]+\n\Z")
        self.assertIn(address, ended.stderr)

    def test_two_servers_do_not_share_an_address(self):
        server = testing.Server(testing.binary("COROD_BIN"))
        self.addCleanup(server.stop)
        ended = run("--listen", server.address, "--journal", "memory")
        self.assertEqual(ended.returncode, 1)
        self.assertIn(server.address, ended.stderr)


class ShortTimesTest(testing.ServerTest):
    FLAGS = ("--idle-timeout", "300ms", "--retention", "1500ms")

    def wait_until_closed(self, session):
        """Get, which does not count as use; returns the session."""
        def closed():
            shown = self.client.get(session)
            return shown if shown.state == session_pb2.STATE_CLOSED else None
        return testing.eventually(closed, f"{session} is closed")

    def wait_until_gone(self, session):
        def gone():
            try:
                self.client.get(session)
            except grpc.RpcError as error:
                return testing.refusal_of(error).reason == "SESSION_NOT_FOUND"
            return False
        testing.eventually(gone, f"{session} is gone")

    def cleanups(self):
        return self.client.create("cleanups", prime=True, idle_timeout=duration_pb2.Duration()).primed.value

    def test_an_idle_session_is_closed_so_that_its_cleanup_runs_and_then_forgotten(self):
        before = self.cleanups()
        session = self.new_id()
        begin = time.monotonic()
        self.client.create("counts_cleanup", session, prime=True)
        closed = self.wait_until_closed(session)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.assertEqual(closed.steps, 2)
        last = testing.outcome_of(closed.last_outcome)
        self.assertEqual((last.step, last.outcome), (2, ("returned", None)))
        self.assertFalse(closed.live)
        self.assertEqual(self.cleanups(), before + 1)
        self.wait_until_gone(session)
        self.assertGreaterEqual(time.monotonic() - begin, 1.8)
        self.assertEqual(self.client.create("echo", session).session.steps, 0)

    def test_a_body_that_ignores_the_close_is_dropped(self):
        session = self.client.create("ignores_exit", self.new_id(), {"times": 1000}, prime=True).session.session_id
        self.assertEqual(self.wait_until_closed(session).steps, 2)

    def test_a_body_that_gives_in_at_the_third_close_returns(self):
        session = self.client.create("ignores_exit", self.new_id(), {"times": 2}, prime=True).session.session_id
        last = testing.outcome_of(self.wait_until_closed(session).last_outcome)
        self.assertEqual(last.outcome, ("returned", "gave in"))

    def test_a_session_that_never_idles_outlives_one_that_does(self):
        never = self.client.create("echo", self.new_id(), prime=True, idle_timeout=duration_pb2.Duration())
        later = self.client.create("echo", self.new_id(), prime=True, idle_timeout=duration_pb2.Duration(seconds=600))
        idle = self.client.create("echo", self.new_id(), prime=True)
        self.wait_until_gone(idle.session.session_id)
        for lasting, seconds in (never, 0), (later, 600):
            shown = self.client.get(lasting.session.session_id)
            self.assertEqual((shown.state, shown.steps, shown.idle_timeout.seconds), (session_pb2.STATE_SUSPENDED, 1, seconds))

    def test_an_update_makes_a_session_idle_sooner(self):
        session = self.client.create("echo", self.new_id(), idle_timeout=duration_pb2.Duration()).session.session_id
        self.client.update(session, idle_timeout=duration_pb2.Duration(nanos=1_000_000))
        # It was never started, so nothing ran.
        self.assertEqual(testing.outcome_of(self.wait_until_closed(session).last_outcome).outcome, ("returned", None))

    def test_a_session_expires_whatever_it_does(self):
        expires = timestamp_pb2.Timestamp()
        expires.FromNanoseconds(time.time_ns() + 200_000_000)
        session = self.client.create("counter", self.new_id(), prime=True, expire_time=expires,
                                     idle_timeout=duration_pb2.Duration()).session
        self.assertEqual(session.expire_time, expires)

        def send_until_closed():
            return self.client.send(session.session_id).outcome == ("returned", None)
        testing.eventually(send_until_closed, "it expires although it is used")
        self.assertEqual(self.client.get(session.session_id).state, session_pb2.STATE_CLOSED)
        self.wait_until_gone(session.session_id)

    def test_an_expiry_can_be_taken_back(self):
        expires = timestamp_pb2.Timestamp()
        expires.FromNanoseconds(time.time_ns() + 1_000_000_000)
        kept, other = [self.client.create("echo", self.new_id(), prime=True, expire_time=expires,
                                          idle_timeout=duration_pb2.Duration()).session.session_id for _ in range(2)]
        updated = self.client.update(kept, expire_time=timestamp_pb2.Timestamp())
        self.assertFalse(updated.HasField("expire_time"))
        self.wait_until_gone(other)
        self.assertEqual(self.client.send(kept, "alive").outcome, ("yielded", "alive"))


REFLECTION = """
    name: "reflection.proto" package: "grpc.reflection.v1alpha" syntax: "proto3"
    message_type { name: "Request"
      field { name: "file_containing_symbol" number: 4 type: TYPE_STRING oneof_index: 0 }
      field { name: "list_services" number: 7 type: TYPE_STRING oneof_index: 0 }
      oneof_decl { name: "message_request" } }
    message_type { name: "Files" field { name: "file" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
    message_type { name: "Service" field { name: "name" number: 1 type: TYPE_STRING } }
    message_type { name: "Services"
      field { name: "service" number: 1 type: TYPE_MESSAGE type_name: "Service" label: LABEL_REPEATED } }
    message_type { name: "Response"
      field { name: "files" number: 4 type: TYPE_MESSAGE type_name: "Files" }
      field { name: "services" number: 6 type: TYPE_MESSAGE type_name: "Services" } }
"""
HEALTH = """
    name: "health.proto" package: "grpc.health.v1" syntax: "proto3"
    message_type { name: "Request" field { name: "service" number: 1 type: TYPE_STRING } }
    message_type { name: "Response" field { name: "status" number: 1 type: TYPE_INT32 } }
"""
SERVING, NOT_SERVING = 1, 2
SERVICES = ("corod.v1.AdminService", "corod.v1.CatalogService", "corod.v1.CoroutineService")


def messages(source):
    """The classes of a file in text form, by name."""
    file = text_format.Parse(source, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {message.name: factory.GetPrototype(pool.FindMessageTypeByName(f"{file.package}.{message.name}"))
            for message in file.message_type}


def health_of(client, service=""):
    types = messages(HEALTH)
    check = client.channel.unary_unary("/grpc.health.v1.Health/Check",
                                       request_serializer=types["Request"].SerializeToString,
                                       response_deserializer=types["Response"].FromString)
    return check(types["Request"](service=service), timeout=testing.CALL_SECONDS).status


def health_of_all(client):
    """Of the server as a whole and of each service."""
    return {health_of(client, service) for service in ("", *SERVICES)}


class SupervisionTest(testing.ServerTest):
    BINARY = "COROD_BIN"

    def reflect(self, **request):
        types = messages(REFLECTION)
        info = self.client.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                                 request_serializer=types["Request"].SerializeToString,
                                                 response_deserializer=types["Response"].FromString)
        response, = info(iter([types["Request"](**request)]), timeout=testing.CALL_SECONDS)
        return response

    def test_health_is_serving(self):
        self.assertEqual(health_of_all(self.client), {SERVING})
        self.assertEqual(refused(health_of, self.client, "corod.v1.NoSuchService").code, grpc.StatusCode.NOT_FOUND)

    def test_reflection_lists_the_services(self):
        names = {service.name for service in self.reflect(list_services="*").services.service}
        self.assertEqual(sorted(name for name in names if name.startswith("corod.")), list(SERVICES))
        self.assertIn("grpc.health.v1.Health", names)

    def test_reflection_describes_the_service(self):
        files = self.reflect(file_containing_symbol="corod.v1.CoroutineService").files.file
        file = descriptor_pb2.FileDescriptorProto.FromString(files[0])
        methods = {method.name for service in file.service for method in service.method}
        self.assertLessEqual({"Create", "Send", "Throw", "Close", "Drive", "Get", "List", "Update", "Delete"}, methods)


class EndTest(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.server = testing.Server(testing.binary("COROD_TEST_SERVER"))
        self.addCleanup(self.server.kill)
        self.client = self.server.client()

    def assert_refuses_connections(self):
        host, port = self.server.address.rsplit(":", 1)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))

    def test_sigterm_lets_a_step_finish_runs_every_cleanup_and_ends_with_0(self):
        written, pipe = self.directory / "written", self.directory / "pipe"
        os.mkfifo(pipe)
        for number in range(100):
            self.client.create("writes_on_exit", f"open-{number}", {"path": str(written), "line": f"open {number}"}, prime=True)
        arguments = {"path": str(written), "line": "never started"}
        self.client.create("writes_on_exit", "created", arguments)
        self.client.create("writes_on_exit", "closed", arguments | {"line": "closed before"}, prime=True)
        self.client.close("closed")
        self.client.create("ignores_exit", "stubborn", {"times": 1000}, prime=True)
        self.client.create("raises_in_cleanup", "raising", {"type": "ValueError", "message": "no"}, prime=True)
        self.client.create("reads_pipe", "slow", {"path": str(pipe)}, prime=True)
        running = self.client.start_send("slow")
        queued = self.client.start_send("slow")
        self.client.wait_until_running("slow")

        self.server.terminate()
        testing.eventually(lambda: health_of_all(self.client) == {NOT_SERVING}, "health says that it ends")
        self.assertEqual(refused(self.client.create, "echo").reason, "DRAINING")
        self.assertFalse(running.done())
        pipe.write_text("the last words")
        self.assertEqual(testing.answer(running).outcome, ("yielded", "the last words"))
        self.assertEqual(testing.answer(queued).reason, "DRAINING")
        self.server.wait(0)
        self.assertEqual(sorted(written.read_text().splitlines()),
                         sorted(["closed before", *(f"open {number}" for number in range(100))]))
        self.assert_refuses_connections()

    def test_sigint_ends_it_too(self):
        self.client.create("writes_on_exit", "open", {"path": str(self.directory / "written"), "line": "end"}, prime=True)
        self.server.terminate(signal.SIGINT)
        self.server.wait(0)
        self.assertEqual((self.directory / "written").read_text(), "end\n")

    def test_sigterm_without_any_session(self):
        self.server.terminate()
        self.server.wait(0)
        self.assert_refuses_connections()

    def test_an_open_stream_does_not_keep_it(self):
        self.client.create("counter", "one", prime=True)
        with testing.DriveCall(self.client) as call:
            call.write(sends("one"))
            self.assertEqual(call.read()[0].value, 1)
            self.server.terminate()
            self.server.wait(0)

    def test_killed_it_leaves_nothing_behind(self):
        """Another can take its address at once."""
        self.client.create("echo", "one", prime=True)
        self.server.kill()
        again = testing.Server(testing.binary("COROD_BIN"), listen=self.server.address)
        self.addCleanup(again.stop)
        self.assertEqual(again.address, self.server.address)
        self.assertEqual(refused(again.client().get, "one").reason, "SESSION_NOT_FOUND")


class MemoryTest(unittest.TestCase):
    def test_what_sessions_gave_back_goes_back_to_the_system(self):
        server = testing.Server(testing.binary("COROD_TEST_SERVER"))
        self.addCleanup(server.kill)
        client = server.client()
        client.drive(*[testing.creates("echo", "warm", prime=True), sends("warm", "x")])
        before = server.anonymous_bytes()
        sessions = [f"s{number}" for number in range(2_000)]
        for session in sessions:
            client.drive(testing.creates("echo", session, prime=True), sends(session, "x" * 10_000))
        grown = server.anonymous_bytes() - before
        self.assertGreater(grown, len(sessions) * 10_000)
        for number, session in enumerate(sessions):
            if number % 10 != 0:
                client.delete(session)
        # Nobody asks for anything meanwhile.
        testing.eventually(lambda: server.anonymous_bytes() - before < grown / 2, "half of the memory is given back")
        self.assertEqual(client.send("s0", "y").value, "y")
        server.stop()


if __name__ == "__main__":
    unittest.main()
