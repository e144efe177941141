"""Many clients at once: nothing is lost, nothing happens twice, and what is slow holds up nobody else.

A client is a connection of its own with a thread of its own.
"""
import collections
import random
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

import grpc

import corod_testing as testing
from breakable_proxy import BreakableProxy
from corod_testing import creates, sends, session_pb2

CLIENTS = 64
SESSIONS = 10_000


def send_patiently(client, session, value):
    """Again while the session's queue is full: what is refused was not executed."""
    pause = threading.Event()
    while True:
        reply = testing.answer(client.start_send(session, value))
        if isinstance(reply, testing.Reply):
            return reply
        if reply.reason != "QUEUE_FULL":
            raise AssertionError(reply)
        pause.wait(reply.retry_seconds)


class CountingTest(testing.ServerTest):
    BINARY = "COROD_BIN"

    def run_clients(self, work):
        """`work(number, client)` for 64 clients at once; what each returned."""
        clients = [self.server.client() for _ in range(CLIENTS)]
        together = threading.Barrier(CLIENTS)

        def run(number):
            clients[number].list(page_size=1)  # is connected
            together.wait(testing.CALL_SECONDS)
            return work(number, clients[number])

        with ThreadPoolExecutor(CLIENTS) as threads:
            return list(threads.map(run, range(CLIENTS)))

    def test_64_clients_on_one_session(self):
        self.client.create("token_counter", "one", prime=True)
        unary, driven = 50, 500

        def work(number, client):
            token = f"client {number}"
            steps = [send_patiently(client, "one", token).step for _ in range(unary)]
            steps += [reply.step for reply in client.drive(*[sends("one", token, quiet=True)] * driven)]
            self.assertEqual(steps, sorted(steps), "one client's commands take their turns in order")
            return steps

        steps = [step for steps in self.run_clients(work) for step in steps]
        # Step 1 primed.
        self.assertEqual(sorted(steps), list(range(2, CLIENTS * (unary + driven) + 2)))
        counts = self.client.send("one", "end").value
        self.assertEqual(counts, {"end": 1} | {f"client {number}": unary + driven for number in range(CLIENTS)})
        self.assertEqual(self.client.get("one").steps, len(steps) + 2)

    def test_64_clients_on_10_000_sessions(self):
        ids = [f"many-{number}" for number in range(SESSIONS)]
        created = self.client.drive(*[creates("token_counter", session, prime=True, labels={"test": "many"}) for session in ids])
        self.assertEqual([reply.primed.outcome for reply in created], [("yielded", {})] * SESSIONS)
        unary, driven = 50, 1_000

        def work(number, client):
            rng = random.Random(number)
            done = []
            for session in rng.choices(ids, k=unary):
                done.append((session, send_patiently(client, session, f"client {number}").step))
            chosen = rng.choices(ids, k=driven)
            replies = client.drive(*[sends(session, f"client {number}", tag=tag) for tag, session in enumerate(chosen)])
            done += [(chosen[reply.tag], reply.step) for reply in replies]
            return done

        done = self.run_clients(work)
        self.assertEqual([len(of_client) for of_client in done], [unary + driven] * CLIENTS)
        steps, counts = collections.defaultdict(list), collections.defaultdict(collections.Counter)
        for number, of_client in enumerate(done):
            for session, step in of_client:
                steps[session].append(step)
                counts[session][f"client {number}"] += 1
        seen = 0
        for page in self.client.list_all(page_size=1000, labels={"test": "many"}):
            for session in page.sessions:
                seen += 1
                self.assertEqual(sorted(steps[session.session_id]), list(range(2, session.steps + 1)))
                last = testing.outcome_of(session.last_outcome)
                self.assertEqual((last.kind, last.value), ("yielded", dict(counts[session.session_id])))
        self.assertEqual(seen, SESSIONS)


class SlowStepsTest(testing.ServerTest):
    SLOW = 32
    QUICK = 5_000

    def slow_sessions(self, gate):
        ids = [f"{gate}-{number}" for number in range(self.SLOW)]
        for session in ids:
            self.client.create("gate", session, {"name": gate}, prime=True)
        return ids

    def test_others_go_on_while_32_sessions_are_in_a_slow_step(self):
        ids = self.slow_sessions("slow")
        self.client.create("counter", "quick", prime=True)
        with testing.DriveCall(self.client) as drive:
            # Half of the slow steps by unary calls, half on the stream that quick ones are on; all on one connection.
            half = self.SLOW // 2
            slow = [self.client.start_send(session, session) for session in ids[:half]]
            drive.write(*[sends(session, session, tag=tag) for tag, session in enumerate(ids[half:], 1)])
            for session in ids:
                self.client.wait_until_running(session)
            for number in range(1, self.QUICK // 2 + 1):
                self.assertEqual(self.client.send("quick").value, number)
            for number in range(self.QUICK // 2):
                drive.write(sends("quick"))
            replies = drive.read(self.QUICK // 2)
            self.assertEqual([reply.value for reply in replies], list(range(self.QUICK // 2 + 1, self.QUICK + 1)))
            # Not one of the slow ones has ended.
            self.assertEqual([call.done() for call in slow], [False] * half)
            self.assertEqual({self.client.get(session).state for session in ids}, {session_pb2.STATE_RUNNING})
            self.client.create("open_gate", arguments={"name": "slow"}, prime=True)
            self.assertEqual([testing.answer(call).outcome for call in slow], [("yielded", session) for session in ids[:half]])
            ends = sorted(drive.read(half), key=lambda reply: reply.tag)
            self.assertEqual([reply.outcome for reply in ends], [("yielded", session) for session in ids[half:]])

    def test_a_coroutine_that_was_quick_so_far_holds_up_nobody_when_it_is_slow_for_once(self):
        """The server may run what it takes for quick on a thread that others need."""
        ids = self.slow_sessions("once")
        self.client.create("open_gate", arguments={"name": "open already"}, prime=True)
        self.client.create("gate", "warm", {"name": "open already"}, prime=True)
        self.client.drive(*[sends("warm")] * 1_000)
        slow = [self.client.start_send(session, session) for session in ids]
        for session in ids:
            self.client.wait_until_running(session)
        self.client.create("echo", "other", prime=True)
        for number in range(100):
            self.assertEqual(self.client.send("other", number).value, number)
        self.assertEqual([call.done() for call in slow], [False] * self.SLOW)
        self.client.create("open_gate", arguments={"name": "once"}, prime=True)
        self.assertEqual([testing.answer(call).outcome for call in slow], [("yielded", session) for session in ids])


class BrokenConnectionTest(testing.ServerTest):
    def setUp(self):
        self.proxy = BreakableProxy(self.server.address)
        self.addCleanup(self.proxy.close)
        self.session = self.client.create("counter", self.new_id(), prime=True).session.session_id

    def connect(self):
        client = testing.Client(self.proxy.address)
        self.addCleanup(client.disconnect)
        return client

    def test_a_unary_call_whose_reply_is_lost_is_repeated_without_happening_twice(self):
        for number in range(1, 21):
            client = self.connect()
            client.get(self.session)  # is connected
            self.proxy.lose_replies()
            call = client.start_send(self.session, request_id=f"id-{number}")
            testing.eventually(lambda: self.client.get(self.session).steps == number + 1, "the command has run")
            self.proxy.cut()
            self.assertEqual(testing.answer(call).code, grpc.StatusCode.UNAVAILABLE)
            again = self.connect().send(self.session, request_id=f"id-{number}")
            self.assertEqual((again.outcome, again.step, again.replayed), (("yielded", number), number + 1, True))
        self.assertEqual(self.client.get(self.session).steps, 21)

    def test_a_create_whose_reply_is_lost_finds_the_same_session(self):
        client = self.connect()
        client.get(self.session)
        self.proxy.lose_replies()
        request = testing.create_request("counter", prime=True, request_id="made", labels={"made": "once"})
        call = client.stub.Create.future(request)
        made = testing.eventually(lambda: self.client.list(labels={"made": "once"}).sessions, "it is created")
        self.proxy.cut()
        self.assertEqual(testing.refused(call.result).code, grpc.StatusCode.UNAVAILABLE)
        again = testing.created_of(self.connect().stub.Create(request))
        self.assertEqual((again.session.session_id, again.primed.outcome, again.replayed),
                         (made[0].session_id, ("yielded", 0), True))
        self.assertEqual(len(self.client.list(labels={"made": "once"}).sessions), 1)

    def test_a_feed_on_drive_goes_on_over_broken_streams_without_a_hole(self):
        total, ahead = 3_000, 400
        rng = random.Random(5)
        replies = []  # of each command, in order
        replayed = streams = 0
        while len(replies) < total:
            streams += 1
            begin = len(replies)
            batch = range(begin, min(total, begin + ahead))
            with testing.DriveCall(self.connect()) as drive:
                for number in batch:
                    drive.write(sends(self.session, tag=number, request_id=f"command-{number}"))
                replies += drive.read(rng.randrange(len(batch)) if batch.stop < total else len(batch))
                self.proxy.lose_replies()
                testing.eventually(lambda: len(replies) == total or self.client.get(self.session).steps > len(replies) + 1,
                                   "more has run than was answered")
                self.proxy.cut()
            replayed += sum(reply.replayed for reply in replies[begin:])
        self.assertEqual([(reply.tag, reply.step, reply.value) for reply in replies],
                         [(number, number + 2, number + 1) for number in range(total)])
        self.assertEqual(self.client.get(self.session).steps, total + 1)
        self.assertGreater(replayed, 0)
        self.assertGreater(streams, 5)


if __name__ == "__main__":
    unittest.main()
