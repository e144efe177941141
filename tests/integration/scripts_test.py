"""Coroutines that are defined at run time, in Lua: define, drive, version, delete, and what is left after a kill -9."""
import unittest

import grpc

import corod_testing as testing
from corod.v1 import catalog_service_pb2 as catalog_pb
from corod_testing import session_pb2

AVERAGER = """
return function()
  local total, count = 0, 0
  local average
  while true do
    total = total + yield(average)
    count = count + 1
    average = total / count
  end
end
"""

RESTARTABLE = """
return {
  state = {total = 0},
  run = function(state, factor)
    while true do state.total = state.total + factor * (yield(state.total) or 0) end
  end,
  parameters = {{name = "factor", type = "integer", default = 1, documentation = "by which each is multiplied"}},
  summary = "a weighted sum",
  sends_kind = "number",
}
"""


class ScriptsTest(testing.DurableServerTest):
    """Each test has a server on a directory of its own, and comes back to it."""

    BINARY = "COROD_BIN"

    def define(self, name, source, **fields):
        coroutine = catalog_pb.Coroutine(name=name, source=source, **fields)
        request = catalog_pb.DefineCoroutineRequest(coroutine=coroutine)
        return self.client.catalog.DefineCoroutine(request, timeout=testing.CALL_SECONDS).coroutine

    def remove(self, name):
        self.client.catalog.DeleteCoroutine(catalog_pb.DeleteCoroutineRequest(name=name), timeout=testing.CALL_SECONDS)

    def show(self, name, version=0):
        request = catalog_pb.GetCoroutineRequest(name=name, version=version)
        return self.client.catalog.GetCoroutine(request, timeout=testing.CALL_SECONDS).coroutine

    def names(self):
        listed = self.client.catalog.ListCoroutines(catalog_pb.ListCoroutinesRequest(), timeout=testing.CALL_SECONDS)
        return {coroutine.name: coroutine for coroutine in listed.coroutines}

    def refusal_of(self, call, *arguments, **fields):
        """None if it is not refused."""
        try:
            call(*arguments, **fields)
        except grpc.RpcError as error:
            return testing.refusal_of(error)
        return None

    def test_define_and_drive(self):
        self.start()
        defined = self.define("mean", AVERAGER, language=catalog_pb.LANGUAGE_LUA, documentation="The mean.")
        self.assertEqual((defined.version, defined.language, defined.documentation, defined.source),
                         (1, catalog_pb.LANGUAGE_LUA, "The mean.", AVERAGER))
        for name, durability in (("d", session_pb2.DURABILITY_DURABLE), ("e", session_pb2.DURABILITY_EPHEMERAL)):
            self.client.create("mean", name, prime=True, durability=durability)
            self.assertEqual(self.client.send(name, 10).outcome, ("yielded", 10.0))
            self.assertEqual(self.client.send(name, 20).outcome, ("yielded", 15.0))
            self.assertEqual(self.client.close(name).outcome, ("returned", None))

    def test_a_definition_describes_itself(self):
        self.start()
        self.define("weighted", RESTARTABLE)
        shown = self.show("weighted")
        self.assertTrue(shown.restartable)
        self.assertEqual((shown.summary, shown.sends_kind), ("a weighted sum", catalog_pb.VALUE_KIND_NUMBER))
        [factor] = shown.parameters
        self.assertEqual((factor.name, factor.type, factor.required, factor.documentation),
                         ("factor", "integer", False, "by which each is multiplied"))
        listed = self.names()["weighted"]
        self.assertEqual((listed.version, listed.source), (1, ""))
        refusal = testing.refused(self.client.create, "weighted", "a", {"factor": "x"})
        self.assert_refused(refusal, "INVALID_ARGUMENTS", parameter="factor")

    def test_another_source_is_another_version(self):
        self.start()
        self.assertEqual(self.define("f", "return function() yield(1) return 1 end").version, 1)
        self.assertEqual(self.define("f", "return function() yield(1) return 1 end").version, 1)
        self.client.create("f", "old", prime=True)
        self.assertEqual(self.define("f", "return function() yield(2) return 2 end").version, 2)
        self.assertEqual(self.define("f", "return function() yield(1) return 1 end").version, 3)
        self.client.create("f", "new", prime=True, version=2)
        self.come_back()
        self.assertEqual(self.client.next("old").outcome, ("returned", 1))
        self.assertEqual(self.client.next("new").outcome, ("returned", 2))
        self.assertEqual([self.show("f", version).version for version in (0, 1, 2, 3)], [3, 1, 2, 3])
        self.assertEqual(self.define("f", "return function() yield(1) return 1 end").version, 3)

    def test_what_is_refused_is_not_stored(self):
        self.start()
        refusal = testing.refused(self.define, "broken", "return function()\n  x = = 1\nend")
        self.assert_refused(refusal, "INVALID_SOURCE", coroutine="broken")
        self.assertIn("broken:2: unexpected symbol near '='", refusal.message)
        refusal = testing.refused(self.define, "broken", "return {run = function(a) end, parameters = {{name = '1'}}}")
        self.assert_refused(refusal, "INVALID_SOURCE", coroutine="broken")
        self.assertIn("'1' is no name for a parameter", refusal.message)
        self.assert_refused(testing.refused(self.define, "no name", AVERAGER), "INVALID_ARGUMENTS", parameter="name")
        self.assert_refused(testing.refused(self.define, "averager", AVERAGER), "COROUTINE_BUILT_IN")
        self.assert_refused(testing.refused(self.define, "f", AVERAGER, language=catalog_pb.LANGUAGE_NATIVE),
                            "INVALID_ARGUMENTS", parameter="language")
        self.assert_refused(testing.refused(self.define, "f", AVERAGER, summary="s"), "INVALID_ARGUMENTS",
                            parameter="coroutine")
        self.assertFalse({"broken", "f"} & set(self.names()))
        self.come_back()
        self.assertFalse({"broken", "f"} & set(self.names()))

    def test_what_is_in_use_outlives_its_name(self):
        self.start()
        self.define("inner", "return function() yield('inner') return 'done' end")
        self.define("outer", "return function() yield(1) return delegate('inner') end")
        self.client.create("outer", "a", prime=True)
        self.define("inner", "return function() return 'another' end")
        self.remove("inner")
        self.remove("outer")
        self.assertFalse({"inner", "outer"} & set(self.names()))
        self.assert_refused(testing.refused(self.client.create, "outer", "b"), "COROUTINE_NOT_FOUND")
        self.assert_refused(testing.refused(self.client.create, "outer", "b", version=1), "COROUTINE_NOT_FOUND")
        self.assert_refused(testing.refused(self.remove, "outer"), "COROUTINE_NOT_FOUND")
        self.assert_refused(testing.refused(self.remove, "averager"), "COROUTINE_BUILT_IN")
        self.come_back()
        self.assertFalse({"inner", "outer"} & set(self.names()))
        self.assertEqual(self.client.next("a").outcome, ("yielded", "inner"))
        self.come_back()
        self.assertEqual(self.client.next("a").outcome, ("returned", "done"))
        self.assertEqual(self.define("inner", "return function() return 'another' end").version, 3)

    def test_a_restartable_script_is_checkpointed(self):
        self.start("--checkpoint-every", "10", "--history", "10")
        self.define("weighted", RESTARTABLE)
        self.client.create("weighted", "a", {"factor": 2}, prime=True)
        for number in range(1, 101):
            self.assertEqual(self.client.send("a", number).outcome, ("yielded", number * (number + 1)))
        testing.eventually(lambda: self.client.get("a").earliest_step > 50, "the log is trimmed")
        self.come_back("--checkpoint-every", "10", "--history", "10")
        self.assertEqual(self.client.send("a", 0).outcome, ("yielded", 10_100))

    def test_a_step_without_end_is_ended(self):
        self.start()
        self.define("loops", "return function() while true do yield(1) while true do pcall(error) end end end")
        self.client.create("loops", "a", prime=True)
        answer = self.client.next("a")
        kind, raised = answer.outcome
        self.assertEqual((kind, raised.type), ("raised", "BudgetExceeded"))
        self.assertEqual(self.client.get("a").state, session_pb2.STATE_CLOSED)

    def test_a_pipeline_of_both(self):
        self.start()
        self.define("price", "return function() local r while true do r = yield(r and r.price) end end")
        stages = [{"coroutine": "json_lines", "each": True}, {"coroutine": "price"}, {"coroutine": "averager"}]
        self.client.create("pipeline", "p", {"stages": stages}, prime=True)
        self.assertEqual(self.client.send("p", '{"price": 10}\n{"price": 20}\n').outcome, ("yielded", 15.0))
        self.come_back()
        self.assertEqual(self.client.send("p", '{"price": 30}\n').outcome, ("yielded", 20.0))
        refusal = testing.refused(self.client.create, "pipeline", "q", {"stages": [{"coroutine": "nobody"}]})
        self.assert_refused(refusal, "INVALID_ARGUMENTS", parameter="stages")

    def test_scripts_hold_no_more_than_they_may(self):
        self.start("--max-script-memory", "24MiB")
        self.define("holds", """
            return function()
              local held = {}
              while true do
                yield(#held)
                for i = 1, 10000 do held[#held + 1] = {} end
              end
            end""")
        self.define("small", "return function() yield(1) yield(2) end")
        self.client.create("small", "bystander", prime=True)
        full = None
        sessions = 0
        while not full:
            name = f"s{sessions}"
            full = self.refusal_of(self.client.create, "holds", name, prime=True)
            sessions += full is None
            for _ in range(5):
                full = full or self.refusal_of(self.client.next, name)
        self.assert_refused(full, "SCRIPT_MEMORY_FULL", retry=True, coroutine="holds")
        steps = self.client.get("bystander").steps
        self.assert_refused(testing.refused(self.client.next, "bystander"), "SCRIPT_MEMORY_FULL", retry=True)
        self.assert_refused(testing.refused(self.client.create, "small", "another"), "SCRIPT_MEMORY_FULL", retry=True)
        self.assertEqual(self.client.get("bystander").steps, steps)
        self.client.create("averager", "native", prime=True)
        for number in range(sessions):
            self.client.delete(f"s{number}")
        testing.eventually(lambda: not self.refusal_of(self.client.next, "bystander"), "there is memory again")
        self.assertEqual(self.client.get("bystander").steps, steps + 1)

    def test_without_a_journal(self):
        self.start("--journal", "memory")
        self.define("mean", AVERAGER)
        self.client.create("mean", "a", prime=True)
        self.assertEqual(self.client.send("a", 4).outcome, ("yielded", 4.0))


if __name__ == "__main__":
    unittest.main()
