"""corod backup, restore and check: copies while clients drive, damaged ones, and who may ask for them."""
import glob
import json
import os
import random
import stat
import subprocess
import threading
import unittest

import grpc

import corod_testing as testing
import make_journal_fixture as fixture
import stored_sessions
from corod.v1 import admin_service_pb2 as admin_pb
from corod.v1 import admin_service_pb2_grpc

HEALTHY, WRONG, UNREADABLE = 0, 1, 2


def corod(*arguments, cwd=None):
    return subprocess.run([testing.binary("COROD_BIN"), *arguments], capture_output=True, text=True, cwd=cwd,
                          timeout=testing.CALL_SECONDS)


def contents(directory):
    """Every file's bytes, by name."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, directory)] = file.read()
    return found


class BackupTest(testing.DurableServerTest):
    BINARY = "COROD_BIN"
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.copy = os.path.join(self.directory, "copy")
        self.restored = os.path.join(self.directory, "restored")
        self.socket = os.path.join(self.data, "admin.sock")

    def good(self, *arguments):
        done = corod(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def line(self, *arguments, status, cwd=None):
        """The one line on stderr."""
        done = corod(*arguments, cwd=cwd)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertRegex(done.stderr, r"^corod[a-z ]*: ")
        return done.stderr

    def check(self, directory, *flags):
        """The exit status, and what it reports."""
        done = corod("check", "--json", "--data-dir", directory, *flags)
        self.assertIn(done.returncode, (HEALTHY, WRONG, UNREADABLE), done.stderr)
        if done.returncode == UNREADABLE:
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
            return UNREADABLE, done.stderr
        self.assertEqual(done.stderr, "")
        return done.returncode, json.loads(done.stdout)

    def admin(self, address):
        channel = grpc.insecure_channel(address)
        self.addCleanup(channel.close)
        return admin_service_pb2_grpc.AdminServiceStub(channel)

    # ---- copies

    def test_backup_while_driving(self):
        self.start()
        ids = [f"s{n}" for n in range(8)]
        for session_id in ids:
            self.client.create("averager", session_id, prime=True)
        acknowledged = dict.fromkeys(ids, 1)
        ends = threading.Event()

        def drive(session_id):
            client = self.server.client()
            number = 0
            while not ends.is_set():
                number += 1
                acknowledged[session_id] = client.send(session_id, number, request_id=f"r{number}").step

        threads = [threading.Thread(target=drive, args=(session_id,)) for session_id in ids]
        for thread in threads:
            thread.start()
        try:
            copies = []
            for round_number in range(4):
                testing.eventually(lambda: min(acknowledged.values()) > 30 * (round_number + 1), "all of them go on")
                before = dict(acknowledged)
                path = f"{self.copy}{round_number}"
                said = self.good("backup", path, "--data-dir", self.data)
                self.assertRegex(said, rf"^a backup of 8 sessions \(\d+ bytes\) is in {path}\n$")
                copies.append((path, before, dict(acknowledged)))
        finally:
            ends.set()
            for thread in threads:
                thread.join()
        last = {session_id: self.client.get(session_id).steps for session_id in ids}
        self.server.stop()
        self.server = None
        for path, before, after in copies:
            status, report = self.check(path, "--replay")
            self.assertEqual((status, report["sessions"], report["findings"]), (HEALTHY, 8, []))
            self.good("restore", path, "--data-dir", self.restored + path[-1])
            self.start(data_dir=self.restored + path[-1])
            for session_id in ids:
                steps = self.client.get(session_id).steps
                self.assertGreaterEqual(steps, before[session_id])
                self.assertLessEqual(steps, last[session_id])
                for number in {1, before[session_id] - 1}:
                    again = self.client.send(session_id, number, request_id=f"r{number}")
                    self.assertEqual((again.outcome, again.step, again.replayed), (("yielded", (number + 1) / 2), number + 1, True))
                self.assertEqual(self.client.send(session_id, steps).outcome, ("yielded", (steps + 1) / 2))
            self.server.stop()
            self.server = None
        # The server's own directory is none the worse for it.
        self.start()
        self.assertEqual({session_id: self.client.get(session_id).steps for session_id in ids}, last)

    def test_sessions_of_all_kinds_are_equal_in_a_restored_copy(self):
        fixture.make(self.data)  # killed in the middle of its work
        before = contents(self.data)
        said = self.good("backup", self.copy, "--data-dir", self.data)
        self.assertRegex(said, rf"^a backup \(\d+ bytes\) is in {self.copy}\n$")
        self.assertEqual(contents(self.data), before)
        self.assertEqual(self.check(self.copy, "--replay")[0], HEALTHY)
        copied = contents(self.copy)
        said = self.good("restore", self.copy, "--data-dir", self.restored)
        self.assertEqual(said, f"{len(stored_sessions.PLAN)} sessions are in {self.restored}\n")
        self.assertEqual(contents(self.copy), copied)
        self.assertEqual(contents(self.restored), copied)
        self.assertEqual(fixture.describe(self.restored), fixture.describe(self.data))

    def test_a_running_server_copies_what_it_was_killed_in_before(self):
        fixture.make(self.data)
        self.start(*stored_sessions.FLAGS)
        self.good("backup", self.copy, "--data-dir", self.data)
        self.kill()
        self.assertEqual(self.check(self.copy, "--replay")[0], HEALTHY)
        self.good("restore", self.copy, "--data-dir", self.restored)
        self.assertEqual(fixture.describe(self.restored), fixture.describe(self.data))

    def test_relative_paths_and_the_default_directory(self):
        os.mkdir(self.directory + "/here")
        self.start(data_dir=self.directory + "/here/corod-data")
        self.client.create("averager", "a", prime=True)
        done = corod("backup", "copy", cwd=self.directory + "/here")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"is in {self.directory}/here/copy\n", done.stdout)
        self.server.stop()
        self.server = None
        done = corod("check", cwd=self.directory + "/here")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("corod-data: 1 sessions, 1 healthy, 0 damaged, 0 with a problem, 0 waiting; 1 steps", done.stdout)

    # ---- the socket

    def test_only_the_owner_may_use_the_socket(self):
        self.start()
        status = os.lstat(self.socket)
        self.assertTrue(stat.S_ISSOCK(status.st_mode))
        self.assertEqual(stat.S_IMODE(status.st_mode) & 0o077, 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.data).st_mode), 0o700)
        response = self.admin("unix:" + self.socket).Backup(admin_pb.BackupRequest(directory=self.copy), timeout=testing.CALL_SECONDS)
        self.assertEqual(response.sessions, 0)
        self.assertGreater(response.bytes, 0)
        self.server.stop()
        self.server = None
        self.assertFalse(os.path.exists(self.socket))

    def test_calls_that_do_not_come_over_the_socket_are_refused(self):
        self.start()
        refusal = testing.refused(self.admin(self.server.address).Backup, admin_pb.BackupRequest(directory=self.copy))
        self.assert_refused(refusal, "ROLE_INSUFFICIENT", grpc.StatusCode.PERMISSION_DENIED)
        self.assertFalse(os.path.exists(self.copy))

    def test_what_a_backup_is_refused_for(self):
        self.start()
        stub = self.admin("unix:" + self.socket)
        for directory, reason, code in (("relative", "INVALID_ARGUMENTS", grpc.StatusCode.INVALID_ARGUMENT),
                                        (self.data + "/inside", "INVALID_ARGUMENTS", grpc.StatusCode.INVALID_ARGUMENT),
                                        (self.directory, "INVALID_ARGUMENTS", grpc.StatusCode.INVALID_ARGUMENT),
                                        (self.directory + "/not/there", "BACKUP_FAILED", grpc.StatusCode.FAILED_PRECONDITION)):
            with self.subTest(directory):
                refusal = testing.refused(stub.Backup, admin_pb.BackupRequest(directory=directory))
                self.assert_refused(refusal, reason, code)
        self.assertEqual(os.listdir(self.directory), ["data"])

    def test_a_stale_socket_is_replaced(self):
        self.start()
        self.kill()
        self.assertTrue(os.path.exists(self.socket))  # nobody listens there
        self.start()
        self.good("backup", self.copy, "--data-dir", self.data)

    def test_a_path_that_is_too_long_is_a_warning_and_no_socket(self):
        long_dir = os.path.join(self.directory, "d" * 100)
        self.start(data_dir=long_dir)
        self.client.create("averager", "a", prime=True)
        self.assertRegex(self.server.stderr(), r"warn.*no socket for the server's owner.*the path of a socket has 107 bytes at most")
        self.assertRegex(self.line("backup", self.copy, "--data-dir", long_dir, status=WRONG), "has no socket to be asked over")
        self.server.stop()
        self.server = None
        self.good("backup", self.copy, "--data-dir", long_dir)

    def test_each_backup_leaves_a_line(self):
        self.server = testing.Server(testing.binary(self.BINARY), data_dir=self.data, log_level="info")
        self.good("backup", self.copy, "--data-dir", self.data)
        self.line("backup", self.copy, "--data-dir", self.data, status=WRONG)
        lines = [line for line in self.server.stderr().splitlines() if " audit: backup " in line]
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], rf"audit: backup made who=operator directory={self.copy} sessions=0 bytes=\d+$")
        self.assertRegex(lines[1], rf"audit: backup failed who=operator directory={self.copy} error=.*{self.copy} is not empty")

    def test_in_memory_there_is_no_socket(self):
        server = testing.Server(testing.binary("COROD_BIN"))
        self.addCleanup(server.kill)
        refusal = testing.refused(self.admin(server.address).Backup, admin_pb.BackupRequest(directory=self.copy))
        self.assert_refused(refusal, "ROLE_INSUFFICIENT")

    # ---- check

    def fill(self):
        """Sessions whose records lie in blocks of their own."""
        for number in range(40):
            self.client.create("line_splitter", f"filling{number}", prime=True)
            self.client.send(f"filling{number}", f"marked {number} " + 1_000 * "of 8 KB ")

    def damaged_copy(self, number):
        path = f"{self.directory}/damaged{number}"
        subprocess.run(["cp", "-r", self.copy, path], check=True)
        return path

    def test_check_of_damaged_copies_reports_and_does_not_crash(self):
        # Of a running server, so that there is no file that does not count. Some of it is in tables, and some in the log.
        fixture.make(self.data)
        self.start()
        self.fill()
        self.server.stop()
        self.start()
        for number in range(40):
            self.client.send(f"filling{number}", "more\n")
        self.good("backup", self.copy, "--data-dir", self.data)
        self.server.stop()
        self.server = None
        chance = random.Random(4)
        counts = dict.fromkeys((HEALTHY, WRONG, UNREADABLE), 0)
        for number, name in enumerate(sorted(contents(self.copy))):
            for kind in ("bit", "other bit", "many", "cut", "gone"):
                with self.subTest(name, kind=kind):
                    path = self.damaged_copy(f"{number}{kind[0]}")
                    damaged = os.path.join(path, name)
                    with open(damaged, "rb") as file:
                        data = bytearray(file.read())
                    used = len(data.rstrip(b"\0"))  # of a log's segment: what was written
                    if used == 0:
                        continue
                    for _ in range({"bit": 1, "other bit": 1, "many": 50}.get(kind, 0)):
                        data[chance.randrange(used)] ^= 1 << chance.randrange(8)
                    if kind == "cut":
                        del data[used // 2:]
                    os.remove(damaged)
                    if kind != "gone":
                        with open(damaged, "wb") as file:
                            file.write(data)
                    before = contents(path)
                    status, report = self.check(path, *chance.choice([(), ("--replay",)]))
                    self.assertEqual(contents(path), before)
                    counts[status] += 1
                    if status == WRONG:
                        self.assertFalse(report["healthy"])
                        self.assertTrue(report["findings"] or report["journal"])
                        for finding in report["findings"]:
                            self.assertIn(finding["kind"], ("damaged", "problem", "waits"))
                            self.assertTrue(finding["session"] and finding["message"])
                    if status == HEALTHY:  # all sessions are in tables; only steps can be missing that were in the log
                        self.assertEqual(report["sessions"], len(stored_sessions.PLAN) + 40)
                    if name.endswith(".sst"):
                        self.assertNotEqual(status, HEALTHY, "every table has checksums")
                    if status != HEALTHY and kind == "many":
                        done = corod("restore", path, "--data-dir", self.restored)
                        self.assertNotEqual(done.returncode, 0, "what is damaged is not restored")
                        self.assertFalse(os.path.exists(self.restored))
        self.assertGreater(counts[WRONG], 0)
        self.assertGreater(counts[UNREADABLE], 0)

    def test_a_damaged_record_is_named_and_not_restored(self):
        self.start()
        self.fill()
        self.server.stop()
        self.server = None
        self.assertEqual(self.check(self.data)[0], HEALTHY)
        marked = 0
        for table in glob.glob(self.data + "/rocksdb/*.sst"):
            with open(table, "rb") as file:
                data = file.read()
            marked += data.count(b"marked 7 ")
            with open(table, "wb") as file:
                file.write(data.replace(b"marked 7 ", b"mArked 7 "))
        self.assertGreater(marked, 0)
        status, report = self.check(self.data)
        self.assertEqual((status, report["sessions"], report["damaged"]), (WRONG, 40, 1))
        self.assertIn("the database is damaged: ", report["journal"][0])
        self.assertEqual([(finding["session"], finding["kind"]) for finding in report["findings"]], [("filling7", "damaged")])
        refused = corod("restore", self.data, "--data-dir", self.restored)
        self.assertEqual(refused.returncode, WRONG)
        self.assertIn("is damaged, and nothing was copied; --accept-damage takes it as it is", refused.stderr)
        self.assertFalse(os.path.exists(self.restored))
        self.good("restore", self.data, "--data-dir", self.restored, "--accept-damage")
        self.start(data_dir=self.restored)
        self.assertEqual(self.client.send("filling8", "\n").step, 3)

    def test_sessions_whose_coroutine_is_not_here_wait(self):
        # A server with coroutines of its own: this binary has none of them.
        server = testing.Server(testing.binary("COROD_TEST_SERVER"), data_dir=self.data)
        client = server.client()
        client.create("returns_on_exit", "foreign", {"value": 7}, prime=True)
        client.create("averager", "own", prime=True)
        server.stop()
        self.assertEqual(self.check(self.data)[0], HEALTHY)
        status, report = self.check(self.data, "--replay")
        self.assertEqual((status, report["waiting"], report["healthy_sessions"]), (WRONG, 1, 1))
        finding, = report["findings"]
        self.assertEqual((finding["session"], finding["kind"]), ("foreign", "waits"))
        self.assertIn("returns_on_exit", finding["message"])
        text = corod("check", "--replay", "--data-dir", self.data)
        self.assertEqual(text.returncode, WRONG)
        self.assertRegex(text.stdout, r"^foreign: waits: .*\n.*: 2 sessions, 1 healthy, 0 damaged, 0 with a problem, 1 waiting; ")

    def test_check_changes_nothing_and_needs_no_right_to_write(self):
        fixture.make(self.data)
        before = contents(self.data)
        for folder, _, _ in list(os.walk(self.data)):
            os.chmod(folder, 0o500)
        try:
            self.assertEqual(self.check(self.data, "--replay")[0], HEALTHY)
        finally:
            for folder, _, _ in list(os.walk(self.data)):
                os.chmod(folder, 0o700)
        self.assertEqual(contents(self.data), before)

    # ---- wrong usage

    def test_wrong_usage_gets_a_clear_line(self):
        self.start()
        self.client.create("averager", "a", prime=True)
        missing = os.path.join(self.directory, "missing")
        other = os.path.join(self.directory, "other")
        os.mkdir(other)
        with open(os.path.join(other, "letters"), "w", encoding="utf-8") as file:
            file.write("dear")
        for arguments, status, said in (
                (["backup"], UNREADABLE, "DIR is required"),
                (["backup", self.copy, "--data-dir", missing], UNREADABLE, f"{missing} is not a directory"),
                (["backup", self.copy, "--data-dir", other], UNREADABLE, "holds no corod journal"),
                (["backup", self.copy, "--data-dri", other], UNREADABLE, "--data-dri"),
                (["backup", other, "--data-dir", self.data], WRONG, "is not empty"),
                (["backup", self.data + "/in", "--data-dir", self.data], WRONG, "is within the data directory"),
                (["restore", self.copy], UNREADABLE, "--data-dir is required"),
                (["restore", missing, "--data-dir", self.restored], UNREADABLE, f"{missing} is not a directory"),
                (["restore", other, "--data-dir", self.restored], UNREADABLE, "holds no corod journal"),
                (["restore", self.copy, "--data-dir", other], WRONG, "is not empty"),
                (["restore", self.data, "--data-dir", self.restored], UNREADABLE, "is in use by a running corod"),
                (["check", "--data-dir", self.data], UNREADABLE, "is in use by a running corod; check a copy"),
                (["check", "--data-dir", missing], UNREADABLE, f"{missing} is not a directory"),
                (["check", "--data-dir", other], UNREADABLE, "holds no corod journal"),
                (["check", "more", "--data-dir", other], UNREADABLE, "more"),
                (["bakcup", self.copy], UNREADABLE, "bakcup")):
            with self.subTest(arguments):
                self.assertIn(said, self.line(*arguments, status=status))
        self.assertFalse(os.path.exists(self.restored))
        self.assertEqual(sorted(os.listdir(self.directory)), ["data", "other"])
        self.assertEqual(os.listdir(other), ["letters"])

    def test_newer_formats_are_not_touched(self):
        self.start()
        self.server.stop()
        self.server = None
        with open(self.data + "/FORMAT", "w", encoding="utf-8") as file:
            file.write("corod journal 99\n")
        for arguments in (["check", "--data-dir", self.data], ["backup", self.copy, "--data-dir", self.data],
                          ["restore", self.data, "--data-dir", self.restored]):
            with self.subTest(arguments):
                self.assertIn("was written by a newer corod (format 99;", self.line(*arguments, status=UNREADABLE))

    def test_help(self):
        said = self.good("--help")
        for command in ("backup DIR", "restore DIR", "check"):
            self.assertIn(f"\n  {command} ", said)
        for command in ("backup", "restore", "check"):
            self.assertIn("--data-dir DIR", self.good(command, "--help"))


if __name__ == "__main__":
    unittest.main()
