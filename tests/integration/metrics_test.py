"""What /metrics and the log say, held against what the clients themselves counted."""
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import sys
import threading
import unittest
import urllib.request

import grpc

import corod_testing as testing
import credentials as made
from corod_testing import pb, session_pb2
from corod.v1 import admin_service_pb2 as admin_pb
from corod.v1 import admin_service_pb2_grpc, catalog_service_pb2 as catalog_pb

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "metrics.md")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docker"))
import metric_names  # noqa: E402

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MAX_QUEUED = 1_024
SCRIPT = "return function() while true do yield(1) end end"


class Samples:
    """One reading of /metrics."""

    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=testing.CALL_SECONDS) as answer:
            text = answer.read().decode()
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        self.values = collections.defaultdict(dict)
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = SAMPLE.fullmatch(line).groups()
                self.values[name][tuple(sorted(LABEL.findall(labels or "")))] = float(value)

    def value(self, name, **labels):
        return self.values[name].get(tuple(sorted(labels.items())))

    def by(self, name, *labels):
        """What is not 0, by the values of these labels."""
        values = {tuple(dict(key)[label] for label in labels): value for key, value in self.values[name].items()}
        return {key if len(key) > 1 else key[0]: value for key, value in values.items() if value}


class Expected:
    """What the clients know to have been answered."""

    def __init__(self):
        self.commands = collections.Counter()  # by rpc, coroutine and result
        self.refusals = collections.Counter()  # by reason
        self.namespaces = collections.Counter()
        self.namespace_refusals = collections.Counter()  # by namespace and reason

    def count(self, rpc, coroutine, result, times=1, namespace="default"):
        self.commands[rpc, coroutine, result] += times
        if namespace:
            self.namespaces[namespace] += times

    def refuse(self, rpc, reason, coroutine="", times=1, namespace="default"):
        self.count(rpc, coroutine, "refused", times, namespace)
        self.end(reason, times, namespace)

    def end(self, reason, times=1, namespace="default"):
        """Of a stream that had begun: no call."""
        self.refusals[reason] += times
        if namespace:
            self.namespace_refusals[namespace, reason] += times

    def check(self, test, samples):
        test.assertEqual(samples.by("corod_commands_total", "rpc", "coroutine", "result"), dict(self.commands))
        test.assertEqual(samples.by("corod_refusals_total", "reason"), dict(self.refusals))
        test.assertEqual(samples.by("corod_namespace_commands_total", "namespace"), dict(self.namespaces))
        test.assertEqual(samples.by("corod_namespace_refusals_total", "namespace", "reason"),
                         dict(self.namespace_refusals))
        by_rpc = collections.Counter()
        for (rpc, _, _), times in self.commands.items():
            by_rpc[rpc] += times
        test.assertEqual(samples.by("corod_command_seconds_count", "rpc"), dict(by_rpc))
        infinite = {dict(key)["rpc"]: value for key, value in samples.values["corod_command_seconds_bucket"].items()
                    if dict(key)["le"] == "+Inf"}
        test.assertEqual(infinite, dict(by_rpc))
        for key, seconds in samples.values["corod_command_seconds_sum"].items():
            rpc = dict(key)["rpc"]
            test.assertLess(seconds / by_rpc[rpc], testing.CALL_SECONDS, rpc)


class MetricsTest(testing.DurableServerTest):

    def start(self, *flags, log_level="warning,server=info", data_dir=None, **options):
        self.server = testing.Server(testing.binary(self.BINARY), "--metrics", "127.0.0.1:0", *flags,
                                     data_dir=data_dir or self.data, log_level=log_level, **options)
        self.client = self.server.client()
        self.port = int(testing.eventually(lambda: re.search(r"serving metrics.*port\D{1,3}(\d+)", self.log()),
                                           "the server says where its metrics are")[1])
        self.expected = Expected()

    def log(self):
        # A description of its own, so that the server's place in the file stays.
        with open(f"/proc/self/fd/{self.server._stderr.fileno()}", encoding="utf-8") as file:
            return file.read()

    def lines(self, area, level, message):
        """Of a log in JSON."""
        logged = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in logged if (line["area"], line["level"], line["message"]) == (area, level, message)]

    def samples(self):
        return Samples(self.port)

    def check(self):
        self.expected.check(self, self.samples())

    def eventually(self, what, wanted, *, name, **labels):
        """That a gauge, which is told of after the client, comes to be this."""
        testing.eventually(lambda: self.samples().value(name, **labels) == wanted, f"{what}: {name} {labels} is {wanted}")

    @contextlib.contextmanager
    def admin(self):
        with grpc.insecure_channel(f"unix:{self.data}/admin.sock") as channel:
            yield admin_service_pb2_grpc.AdminServiceStub(channel)

    # ---- names

    def test_every_name_of_the_documentation_and_of_the_dashboard_is_served(self):
        self.start()
        samples = self.samples()
        served = {name: kind for name, kind in samples.types.items() if not name.startswith("exposer_")}
        promised = metric_names.read()
        self.assertEqual(served, {metric.name: metric.type for metric in promised.values()})
        with open(DOCS, encoding="utf-8") as file:
            documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", file.read(), re.MULTILINE))
        self.assertEqual(served, documented)
        self.client.create("echo", "a", prime=True)
        refused = testing.refused(self.client.send, "b", 1)
        self.assertEqual(refused.reason, "SESSION_NOT_FOUND")
        samples = self.samples()
        known = metric_names.samples(promised)
        for name, values in samples.values.items():
            if name.startswith("exposer_"):
                continue
            for key in values:
                labels = dict(key)
                self.assertEqual(set(labels), set(known[name]), name)
                for label, allowed in known[name].items():
                    if allowed:
                        self.assertIn(labels[label], allowed, name)

    # ---- commands

    def test_unary_calls_of_every_kind_count_once(self):
        self.start()
        client, expected = self.client, self.expected
        client.create("echo", "a")
        expected.count("Create", "echo", "done")
        client.create("echo", "b", prime=True)
        expected.count("Create", "echo", "yielded")
        client.create("echo", "b", if_exists=session_pb2.IF_EXISTS_RETURN)
        expected.count("Create", "echo", "done")
        testing.refused(client.create, "echo", "b")
        expected.refuse("Create", "SESSION_EXISTS")
        testing.refused(client.create, "no_such", "c")
        expected.refuse("Create", "COROUTINE_NOT_FOUND")
        testing.refused(client.send, "a", 1)
        expected.refuse("Send", "NOT_PRIMED", "echo")
        for value in range(7):
            client.send("b", value, request_id=f"r{value % 5}" if value < 5 else "")
            expected.count("Send", "echo", "yielded")
        self.assertTrue(client.send("b", 3, request_id="r3").replayed)
        expected.count("Send", "echo", "yielded")
        testing.refused(client.send, "b", 4, request_id="r3")
        expected.refuse("Send", "REQUEST_ID_REUSED", "echo")
        testing.refused(client.send, "b", 4, expected_step=99)
        expected.refuse("Send", "STEP_MISMATCH", "echo")
        testing.refused(client.send, "nobody", 4)
        expected.refuse("Send", "SESSION_NOT_FOUND")
        testing.refused(client.send, "b", 4, request_id="x" * 200)
        expected.refuse("Send", "INVALID_ARGUMENTS")
        with self.assertRaises(grpc.RpcError):
            client.raw("Send", b"\xff\xff\xff")
        expected.refuse("Send", "INVALID_ARGUMENTS")
        for name, durability in (("e", session_pb2.DURABILITY_EPHEMERAL), ("d", session_pb2.DURABILITY_DURABLE)):
            client.create("echo", name, prime=True, durability=durability)
            expected.count("Create", "echo", "yielded")
            for value in range(50):
                client.send(name, value)
            expected.count("Send", "echo", "yielded", 50)
        self.assertEqual(client.throw("e", ValueError("x")).kind, "raised")
        expected.count("Throw", "echo", "raised")
        self.assertEqual(client.send("e").kind, "returned")
        expected.count("Send", "echo", "returned")
        self.assertEqual(client.close("b").kind, "returned")
        expected.count("Close", "echo", "returned")
        testing.refused(client.throw, "nobody", ValueError("x"))
        expected.refuse("Throw", "SESSION_NOT_FOUND")
        client.get("d")
        client.get("d", at_step=1)
        expected.count("Get", "echo", "done", 2)
        testing.refused(client.get, "nobody")
        expected.refuse("Get", "SESSION_NOT_FOUND")
        testing.refused(client.get, "e", at_step=1)
        expected.refuse("Get", "NOT_DURABLE")
        client.update("d", labels={"a": "b"})
        expected.count("Update", "echo", "done")
        client.list()
        expected.count("List", "", "done")
        testing.refused(client.list, page_token="no token")
        expected.refuse("List", "INVALID_PAGE_TOKEN")
        client.stub.Fork(pb.ForkRequest(session_id="d", new_session_id="f"), timeout=testing.CALL_SECONDS)
        expected.count("Fork", "echo", "done")
        file = [part.chunk for part in client.stub.Export(pb.ExportRequest(session_id="d"), timeout=testing.CALL_SECONDS)]
        expected.count("Export", "echo", "done")
        with self.assertRaises(grpc.RpcError):
            list(client.stub.Export(pb.ExportRequest(session_id="e"), timeout=testing.CALL_SECONDS))
        expected.refuse("Export", "NOT_DURABLE")
        parts = [pb.ImportRequest(session_id="i", chunk=chunk) for chunk in file]
        client.stub.Import(iter(parts), timeout=testing.CALL_SECONDS)
        expected.count("Import", "echo", "done")
        with self.assertRaises(grpc.RpcError):
            client.stub.Import(iter([pb.ImportRequest(chunk=b"no file")]), timeout=testing.CALL_SECONDS)
        expected.refuse("Import", "INVALID_ARGUMENTS")
        self.assertEqual(client.delete("i").kind, "returned")
        expected.count("Delete", "echo", "returned")
        testing.refused(client.delete, "i")
        expected.refuse("Delete", "SESSION_NOT_FOUND")
        client.catalog.ListCoroutines(catalog_pb.ListCoroutinesRequest())
        expected.count("ListCoroutines", "", "done")
        client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name="echo"))
        expected.count("GetCoroutine", "", "done")
        with self.assertRaises(grpc.RpcError):
            client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name="no_such"))
        expected.refuse("GetCoroutine", "COROUTINE_NOT_FOUND")
        with self.admin() as admin:
            admin.GetLogLevels(admin_pb.GetLogLevelsRequest())
            expected.count("GetLogLevels", "", "done")
            with self.assertRaises(grpc.RpcError):
                admin.SetLogLevel(admin_pb.SetLogLevelRequest(area="rpc", level="no such"))
            expected.refuse("SetLogLevel", "INVALID_ARGUMENTS")
            admin.Backup(admin_pb.BackupRequest(directory=os.path.join(self.directory, "backup")))
            expected.count("Backup", "", "done")
        with grpc.insecure_channel(self.server.address) as channel:
            with self.assertRaises(grpc.RpcError):
                admin_service_pb2_grpc.AdminServiceStub(channel).GetLogLevels(admin_pb.GetLogLevelsRequest())
        expected.refuse("GetLogLevels", "ROLE_INSUFFICIENT")
        self.check()

    def test_commands_of_drive_count_each_whatever_message_brings_them(self):
        self.start()
        client, expected = self.client, self.expected
        for kind, durability in (("e", session_pb2.DURABILITY_EPHEMERAL), ("d", session_pb2.DURABILITY_DURABLE)):
            for number in range(10):
                client.create("echo", f"{kind}{number}", prime=True, durability=durability)
                expected.count("Create", "echo", "yielded")
                client.create("counter", f"c{kind}{number}", prime=True, durability=durability)
                expected.count("Create", "counter", "yielded")
        with testing.DriveCall(client) as call:
            for value in range(40):
                call.write(testing.sends("e1", value, tag=value))
                self.assertEqual(call.read(1)[0].value, value)
            expected.count("Drive", "echo", "yielded", 40)
            for message in range(5):
                # Alike and not, at once and through lanes.
                commands = [testing.sends(f"{'ed'[i % 2]}{i % 10}", i) for i in range(50)]
                commands += [testing.sends(f"ce{i % 10}", i) for i in range(25)]
                commands += [testing.sends(f"e{i % 10}", i, request_id=f"m{message}r{i}") for i in range(25)]
                call.write(*commands)
                self.assertEqual({reply.kind for reply in call.read(100)}, {"yielded"})
                expected.count("Drive", "echo", "yielded", 75)
                expected.count("Drive", "counter", "yielded", 25)
            call.write(testing.creates("echo", "new", prime=True), testing.creates("echo", "newer"),
                       testing.throws("new", ValueError("x")), testing.sends("new"), testing.closes("newer"),
                       testing.sends("nobody", 1), testing.sends("nobody", 2), testing.creates("no_such", "z"),
                       testing.sends("e2", 1, expected_step=1), testing.sends("e2", 1), pb.Command(session_id="e3"))
            call.read(11)
            expected.count("Drive", "echo", "yielded")
            expected.count("Drive", "echo", "done")
            expected.count("Drive", "echo", "raised")
            expected.count("Drive", "echo", "returned", 2)
            expected.refuse("Drive", "SESSION_NOT_FOUND")
            expected.refuse("Drive", "PREDECESSOR_FAILED")
            expected.refuse("Drive", "COROUTINE_NOT_FOUND")
            expected.refuse("Drive", "STEP_MISMATCH", "echo")
            expected.refuse("Drive", "PREDECESSOR_FAILED", "echo")
            expected.refuse("Drive", "INVALID_ARGUMENTS", "echo")
            self.check()
            self.assertEqual(self.samples().value("corod_streams", rpc="Drive"), 1)
            self.assertEqual(call.finish(), [])
        self.eventually("the stream is over", 0, name="corod_streams", rpc="Drive")
        with self.assertRaises(grpc.RpcError) as caught:
            client.drive_raw(b"\xff\xff\xff")
        self.assertEqual(testing.refusal_of(caught.exception).reason, "INVALID_ARGUMENTS")
        expected.end("INVALID_ARGUMENTS")
        self.check()

    def test_what_waits_is_counted_and_comes_to_nothing(self):
        self.start()
        client, expected = self.client, self.expected
        client.create("gate", "g", {"name": "g"}, prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        expected.count("Create", "gate", "yielded")
        waiting = [client.start_send("g", 0)]
        client.wait_until_running("g")
        gets = self.samples().by("corod_commands_total", "rpc", "coroutine", "result")["Get", "gate", "done"]
        expected.count("Get", "gate", "done", int(gets))
        others = [self.server.client() for _ in range(2)]  # a connection has only so many calls at a time
        waiting += [others[value % 2].start_send("g", value) for value in range(MAX_QUEUED)]
        self.eventually("all wait", MAX_QUEUED, name="corod_queue_depth", queue="commands")
        self.assertEqual(testing.refused(client.send, "g", 9).reason, "QUEUE_FULL")
        expected.refuse("Send", "QUEUE_FULL", "gate")
        with testing.DriveCall(client) as call:
            call.write(testing.sends("g", 1), testing.creates("echo", "g"), testing.sends("g", 2))
            self.eventually("the create and what is behind it wait", 2, name="corod_queue_depth", queue="drive")
            client.create("open_gate", "o", {"name": "g"}, prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
            expected.count("Create", "open_gate", "returned")
            answers = [testing.answer(call) for call in waiting]
            self.assertEqual([answer for answer in answers if not isinstance(answer, testing.Reply)], [])
            expected.count("Send", "gate", "yielded", 1 + MAX_QUEUED)
            replies = call.read(3)
            self.assertEqual([type(reply) for reply in replies], [testing.Reply, testing.Refusal, testing.Refusal])
            expected.count("Drive", "gate", "yielded")
            expected.refuse("Drive", "SESSION_EXISTS")
            expected.refuse("Drive", "PREDECESSOR_FAILED", "gate")
            call.finish()
        self.check()
        for queue in ("commands", "drive", "workers", "journal"):
            self.eventually("nothing waits", 0, name="corod_queue_depth", queue=queue)

    def test_many_clients_at_a_time_lose_no_count(self):
        self.start()
        clients, sends = 8, 150

        def work(number):
            client = self.server.client()
            client.create("echo", f"s{number}", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
            for value in range(sends):
                client.send(f"s{number}", value)
            replies = client.drive(*[testing.sends(f"s{number}", value) for value in range(50)])
            self.assertEqual({reply.kind for reply in replies}, {"yielded"})
            # Those of all others as well; some stand in each other's way.
            together.wait(testing.CALL_SECONDS)
            with testing.DriveCall(client) as call:
                for message in range(5):
                    call.write(*[testing.sends(f"s{i % clients}", message) for i in range(48)])
                    self.assertEqual({reply.kind for reply in call.read(48)}, {"yielded"})
                call.finish()

        together = threading.Barrier(clients)
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            for done in [pool.submit(work, number) for number in range(clients)]:
                done.result(testing.CALL_SECONDS)
        self.expected.count("Create", "echo", "yielded", clients)
        self.expected.count("Send", "echo", "yielded", clients * sends)
        self.expected.count("Drive", "echo", "yielded", clients * (50 + 5 * 48))
        self.check()

    # ---- streams, sessions, replays

    def test_a_watch_counts_when_it_begins_and_its_end_by_its_reason(self):
        self.start()
        client, expected = self.client, self.expected
        client.create("echo", "a", prime=True)
        expected.count("Create", "echo", "yielded")
        watches = [client.stub.Watch(pb.WatchRequest(session_id="a"), timeout=testing.CALL_SECONDS) for _ in range(2)]
        for watch in watches:
            watch.initial_metadata()
        expected.count("Watch", "echo", "done", 2)
        self.check()
        self.assertEqual(self.samples().value("corod_streams", rpc="Watch"), 2)
        client.stub.Send(pb.SendRequest(session_id="a", value=testing.to_proto(1)), timeout=testing.CALL_SECONDS,
                         metadata=[("traceparent", TRACEPARENT)])
        expected.count("Send", "echo", "yielded")
        for watch in watches:
            self.assertEqual(next(watch).event.traceparent, TRACEPARENT)
        watches[0].cancel()
        client.delete("a")
        expected.count("Delete", "echo", "returned")
        list(watches[1])
        self.eventually("no watch is left", 0, name="corod_streams", rpc="Watch")
        with self.assertRaises(grpc.RpcError):
            list(client.stub.Watch(pb.WatchRequest(session_id="a"), timeout=testing.CALL_SECONDS))
        expected.refuse("Watch", "SESSION_NOT_FOUND")
        client.create("huge", "h", {"bytes": 60_000}, prime=True)
        expected.count("Create", "huge", "yielded")
        slow = client.stub.Watch(pb.WatchRequest(session_id="h"), timeout=testing.CALL_SECONDS)
        slow.initial_metadata()
        expected.count("Watch", "huge", "done")
        for _ in range(10):
            client.drive(*[testing.sends("h", quiet=True) for _ in range(100)])
        expected.count("Drive", "huge", "yielded", 1_000)
        with self.assertRaises(grpc.RpcError) as caught:
            list(slow)
        self.assertEqual(testing.refusal_of(caught.exception).reason, "WATCHER_TOO_SLOW")
        expected.end("WATCHER_TOO_SLOW")
        self.check()
        self.assertIn("a watch ends, since its client reads too slowly", self.log())

    def test_sessions_of_each_kind_and_what_they_take(self):
        self.start("--passivate-after", "0.2s", log_level="warning,server=info")
        client = self.client

        def kinds():
            return {dict(key)["kind"]: value for key, value in self.samples().values["corod_sessions"].items()}

        before = self.samples()
        self.assertEqual(kinds(), {"live": 0, "asleep": 0, "finished": 0, "problem": 0})
        for number in range(3):
            client.create("echo", f"e{number}", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        client.create("echo", "d", prime=True)
        testing.eventually(lambda: kinds() == {"live": 3, "asleep": 1, "finished": 0, "problem": 0}, "one sleeps")
        samples = self.samples()
        self.assertEqual(samples.value("corod_frames"), before.value("corod_frames") + 3)
        self.assertGreater(samples.value("corod_frame_bytes"), before.value("corod_frame_bytes"))
        self.assertGreater(samples.value("corod_journal_bytes"), 0)
        self.assertEqual(samples.value("corod_namespace_sessions", namespace="default"), 4)
        client.close("e0")
        client.close("e1")
        client.create("echo", "e1", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL, if_exists=session_pb2.IF_EXISTS_REPLACE_FINISHED)
        self.assertEqual(kinds(), {"live": 3, "asleep": 1, "finished": 1, "problem": 0})
        client.delete("e0")
        client.delete("d")
        testing.eventually(lambda: kinds() == {"live": 2, "asleep": 0, "finished": 0, "problem": 0}, "two are left")
        self.assertEqual(self.samples().value("corod_namespace_sessions", namespace="default"), 2)
        client.catalog.DefineCoroutine(catalog_pb.DefineCoroutineRequest(
            coroutine=catalog_pb.Coroutine(name="ones", source=SCRIPT)))
        held = self.samples().value("corod_lua_bytes")
        client.create("ones", "l", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        self.assertGreater(self.samples().value("corod_lua_bytes"), held)

    def test_a_session_with_a_problem_counts_until_it_is_deleted(self):
        self.start()
        self.client.create("counts_cleanup", "c", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        self.client.close("c")
        self.client.create("cleanups", "d", prime=True)
        self.assertEqual(self.client.send("d").value, 1)
        self.come_back()
        self.assertEqual(self.samples().value("corod_sessions", kind="problem"), 0)
        refusal = testing.refused(self.client.send, "d")  # nothing has been cleaned up in this process
        self.assert_refused(refusal, "REPLAY_DIVERGED", grpc.StatusCode.DATA_LOSS, session_id="d", step="1")
        self.assertEqual(self.samples().value("corod_sessions", kind="problem"), 1)
        self.client.delete("d")
        self.eventually("it is gone", 0, name="corod_sessions", kind="problem")

    def test_replays_count_by_their_cause(self):
        self.start()
        self.client.create("echo", "a", prime=True)
        for value in range(9):
            self.client.send("a", value, request_id=f"r{value}")

        def replays(**expected):
            samples = self.samples()
            self.assertEqual(samples.by("corod_replays_total", "cause"), expected)
            self.assertEqual(samples.value("corod_replay_seconds_count"), sum(expected.values()))
            return samples.value("corod_replayed_steps_total")

        self.assertEqual(replays(), 0)
        self.client.get("a", at_step=4)
        self.assertEqual(replays(history=1), 4)
        self.assertTrue(self.client.send("a", 2, request_id="r2").replayed)
        self.assertEqual(replays(history=1, repeat=1), 4 + 4)
        self.server.terminate(9)
        self.server.wait(-9)
        self.start()
        self.assertEqual(self.client.send("a", 1).step, 11)
        self.assertEqual(replays(wake=1), 10)
        self.client.stub.Fork(pb.ForkRequest(session_id="a", new_session_id="f", at_step=5), timeout=testing.CALL_SECONDS)
        self.assertEqual(replays(wake=1, history=1), 15)
        watch = self.client.stub.Watch(pb.WatchRequest(session_id="a", from_step=1), timeout=testing.CALL_SECONDS)
        self.assertEqual([next(watch).event.step for _ in range(11)], list(range(1, 12)))
        watch.cancel()
        testing.eventually(lambda: self.samples().value("corod_replay_seconds_count") == 3, "the watch is over")
        self.assertEqual(replays(wake=1, history=2), 26)

    # ---- namespaces

    def test_namespaces_count_apart(self):
        people = os.path.join(self.directory, "people")
        salt = b"s" * 16
        with open(people, "w", encoding="ascii") as file:
            for name, namespace in (("ada", "blue"), ("bob", "red")):
                digest = hashlib.sha256(salt + b"secret").hexdigest()
                print(name, namespace, "drive", f"sha256:{salt.hex()}:{digest}", file=file)
        self.start("--identities", people)
        expected = self.expected

        def send(who, session_id):
            return self.client.stub.Send(pb.SendRequest(session_id=session_id, value=testing.to_proto(1)),
                                         timeout=testing.CALL_SECONDS, metadata=bearer(who))

        def bearer(who):
            return [("authorization", f"Bearer {who}.secret")]

        for who, namespace, times in (("ada", "blue", 3), ("bob", "red", 5)):
            self.client.stub.Create(testing.create_request("echo", "s", prime=True), timeout=testing.CALL_SECONDS,
                                    metadata=bearer(who))
            expected.count("Create", "echo", "yielded", namespace=namespace)
            for _ in range(times):
                send(who, "s")
            expected.count("Send", "echo", "yielded", times, namespace=namespace)
            stream = self.client.stub.Drive(
                iter([pb.DriveRequest(commands=[testing.sends("s", 1), testing.sends("nobody", 1)])]),
                timeout=testing.CALL_SECONDS, metadata=bearer(who))
            self.assertEqual(sum(len(response.replies) for response in stream), 2)
            expected.count("Drive", "echo", "yielded", namespace=namespace)
            expected.refuse("Drive", "SESSION_NOT_FOUND", namespace=namespace)
        with self.assertRaises(grpc.RpcError):
            send("eve", "s")
        expected.refuse("Send", "CREDENTIALS_INVALID", namespace=None)
        self.assertEqual(testing.refused(self.client.get, "s").reason, "CREDENTIALS_MISSING")
        expected.refuse("Get", "CREDENTIALS_MISSING", namespace=None)
        with self.assertRaises(grpc.RpcError):
            list(self.client.stub.Drive(iter([]), timeout=testing.CALL_SECONDS))
        expected.refuse("Drive", "CREDENTIALS_MISSING", namespace=None)
        self.check()
        samples = self.samples()
        self.assertEqual(samples.by("corod_namespace_sessions", "namespace"), {"blue": 1, "red": 1})
        memory = samples.by("corod_namespace_memory_bytes", "namespace")
        self.assertEqual(set(memory), {"blue", "red"})
        for name_space, size in memory.items():
            self.assertTrue(200 <= size <= 2_000, f"{name_space}: {size}")

    # ---- credentials

    def test_files_that_are_read_again_and_the_end_of_the_certificate(self):
        authority = made.Authority(self.directory, "ca")
        key = made.Key(self.directory, "server")
        certificate, _ = authority.certify("server", "IP:127.0.0.1", key)
        limits = os.path.join(self.directory, "limits")
        made.replace(limits, "")
        self.start("--tls-cert", certificate, "--tls-key", key.path, "--limits", limits)

        def reloads():
            return self.samples().by("corod_credential_reloads_total", "result")

        def check_expiry():
            expiry = self.samples().value("corod_certificate_expiry_timestamp_seconds")
            self.assertEqual(expiry, made.expiry(certificate))

        self.assertEqual(reloads(), {})
        check_expiry()
        renewed, _ = authority.certify("renewed", "IP:127.0.0.1", key, days=3)
        made.replace(limits, "default sessions=1")
        made.replace(certificate, made.read(renewed))
        testing.eventually(lambda: reloads() == {"ok": 2}, "both are read again")
        check_expiry()
        made.replace(limits, "default sessions=many")
        testing.eventually(lambda: reloads() == {"ok": 2, "failed": 1}, "the limits cannot be used")

    # ---- the log

    def test_steps_and_refusals_are_in_the_log_while_somebody_wants_them(self):
        self.start("--log-format", "json", log_level="info")
        metadata = [("traceparent", TRACEPARENT)]
        for durability, session_id in ((session_pb2.DURABILITY_EPHEMERAL, "e"), (session_pb2.DURABILITY_DURABLE, "d")):
            self.client.create("echo", session_id, prime=True, durability=durability)
            for value in range(40):
                self.client.send(session_id, value)
        testing.refused(self.client.send, "nobody", 1)
        self.assertEqual(self.lines("session", "debug", "step") + self.lines("rpc", "debug", "refused"), [])
        with self.admin() as admin:
            for area in ("session", "rpc"):
                admin.SetLogLevel(admin_pb.SetLogLevelRequest(area=area, level="debug"))
            for session_id, request_id in (("e", ""), ("d", ""), ("d", "r1")):
                self.client.stub.Send(
                    pb.SendRequest(session_id=session_id, value=testing.to_proto(1), request_id=request_id),
                    timeout=testing.CALL_SECONDS, metadata=metadata)
            stream = self.client.stub.Drive(iter([pb.DriveRequest(commands=[testing.sends("e", 1)])]),
                                            timeout=testing.CALL_SECONDS, metadata=metadata)
            self.assertEqual(sum(len(response.replies) for response in stream), 1)
            self.client.close("e")
            testing.refused(self.client.stub.Send, pb.SendRequest(session_id="nobody", request_id="r2"),
                            timeout=testing.CALL_SECONDS, metadata=metadata)
            testing.refused(self.client.get, "nobody")
            list(self.client.stub.Drive(iter([pb.DriveRequest(commands=[testing.sends("nobody", 1, request_id="r3")])]),
                                        timeout=testing.CALL_SECONDS, metadata=metadata))
            for call, request in ((self.client.stub.Watch, pb.WatchRequest(session_id="nobody")),
                                  (self.client.stub.Export, pb.ExportRequest(session_id="nobody"))):
                testing.refused(lambda: list(call(request, timeout=testing.CALL_SECONDS, metadata=metadata)))
            testing.refused(self.client.stub.Import, iter([pb.ImportRequest(session_id="nobody", chunk=b"none")]),
                            timeout=testing.CALL_SECONDS, metadata=metadata)
            steps = testing.eventually(lambda: len(lines := self.lines("session", "debug", "step")) == 5 and lines,
                                       "five steps are in the log")
            fields = ("session_id", "namespace", "request_id", "step", "outcome", "traceparent")
            self.assertEqual([tuple(line[field] for field in fields) for line in steps], [
                ("e", "default", "", 42, "yielded", TRACEPARENT), ("d", "default", "", 42, "yielded", TRACEPARENT),
                ("d", "default", "r1", 43, "yielded", TRACEPARENT), ("e", "default", "", 43, "yielded", TRACEPARENT),
                ("e", "default", "", 44, "returned", "")])
            refusals = testing.eventually(lambda: len(lines := self.lines("rpc", "debug", "refused")) == 6 and lines,
                                          "six refusals are in the log")
            fields = ("rpc", "reason", "namespace", "session_id", "request_id", "traceparent")
            self.assertEqual([tuple(line[field] for field in fields) for line in refusals], [
                (rpc, reason, "default", "nobody", request_id, traceparent) for rpc, reason, request_id, traceparent in (
                    ("Send", "SESSION_NOT_FOUND", "r2", TRACEPARENT), ("Get", "SESSION_NOT_FOUND", "", ""),
                    ("Drive", "SESSION_NOT_FOUND", "r3", TRACEPARENT), ("Watch", "SESSION_NOT_FOUND", "", TRACEPARENT),
                    ("Export", "SESSION_NOT_FOUND", "", TRACEPARENT), ("Import", "INVALID_ARGUMENTS", "", TRACEPARENT))])
            admin.SetLogLevel(admin_pb.SetLogLevelRequest(level="info"))
        self.client.send("d", 1)
        testing.refused(self.client.send, "nobody", 1)
        self.assertEqual(len(self.lines("session", "debug", "step")), 5)
        self.assertEqual(len(self.lines("rpc", "debug", "refused")), 6)

    def test_what_changes_what_there_is_is_in_the_audit_log(self):
        self.start("--log-format", "json", log_level="warning,server=info,audit=info")
        self.client.catalog.DefineCoroutine(catalog_pb.DefineCoroutineRequest(
            coroutine=catalog_pb.Coroutine(name="ones", source=SCRIPT)))
        self.client.create("ones", "a", prime=True)
        file = [part.chunk for part in
                self.client.stub.Export(pb.ExportRequest(session_id="a"), timeout=testing.CALL_SECONDS)]
        self.client.delete("a")
        self.client.stub.Import(iter([pb.ImportRequest(session_id="b", chunk=chunk) for chunk in file]),
                                timeout=testing.CALL_SECONDS)
        self.client.catalog.DeleteCoroutine(catalog_pb.DeleteCoroutineRequest(name="ones"))
        for message, of in (("coroutine defined", {"coroutine": "ones", "version": 1}),
                            ("session imported", {"session_id": "b"}),
                            ("coroutine deleted", {"coroutine": "ones"})):
            with self.subTest(message):
                line, = self.lines("audit", "info", message)
                self.assertEqual({key: line[key] for key in ("who", "namespace", *of)},
                                 {"who": "anybody", "namespace": "default", **of})

    def test_a_server_that_ends_says_so(self):
        self.start("--log-format", "json", log_level="warning,server=info,audit=info")
        pipe = os.path.join(self.directory, "pipe")
        os.mkfifo(pipe)
        self.client.create("reads_pipe", "p", {"path": pipe}, prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        self.client.create("echo", "e", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        running = self.client.start_send("p")
        self.client.wait_until_running("p")
        self.assertFalse(running.done())
        self.assertEqual(self.samples().value("corod_draining"), 0)
        self.server.terminate()
        self.eventually("it ends", 1, name="corod_draining")
        line, = self.lines("audit", "info", "drain begun")
        self.assertEqual((line["who"], line["signal"]), ("signal", "Terminated"))
        testing.eventually(lambda: getattr(testing.answer(self.client.start_send("e", 1)), "reason", "") == "DRAINING",
                           "new work is refused")
        self.assertGreater(self.samples().by("corod_refusals_total", "reason")["DRAINING"], 0)
        with open(pipe, "w", encoding="ascii") as file:
            file.write("go on")
        self.assertEqual(testing.answer(running).value, "go on")
        self.server.wait()


if __name__ == "__main__":
    unittest.main()
