"""Coroutines of one's own with coroctl: define, create, send, pipe, undefine; try and verify, which need no server."""
import json
import os
import subprocess
import tempfile
import unittest

import corod_testing as testing

DISCOUNT = """
return {
  state = {total = 0},
  run = function(state, percent)
    local price
    while true do
      local sent = yield(price)
      price = nil
      if sent then
        price = sent - sent * percent // 100
        state.total = state.total + price
      end
    end
  end,
  parameters = {{name = "percent", type = "integer", documentation = "what is taken off"}},
  summary = "prices with a discount",
  sends_kind = "number",
}
"""

MEAN = """
return function()
  local total, count, mean = 0, 0, nil
  while true do
    total = total + yield(mean)
    count = count + 1
    mean = total / count
  end
end
"""

WANDERS = """
local calls = 0
return {
  state = {},
  run = function(state)
    while true do
      calls = calls + 1
      yield(calls)
    end
  end,
}
"""


class OwnCoroutinesTest(testing.ServerTest):
    BINARY = "COROD_BIN"

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def coroctl(self, *arguments, stdin="", status=0, server=True):
        address = self.server.address if server else "127.0.0.1:1"
        ended = subprocess.run([testing.binary("COROCTL"), "--server", address, *arguments], input=stdin,
                               capture_output=True, text=True, timeout=testing.CALL_SECONDS, check=False)
        self.assertEqual(ended.returncode, status, ended.stdout + ended.stderr)
        if status == 0:
            self.assertEqual(ended.stderr, "")
        return ended.stdout if status == 0 else ended

    def test_define_create_send_undefine(self):
        path = self.file("discount.lua", DISCOUNT)
        self.assertEqual(self.coroctl("define", path), "discount version 1\n")
        self.assertEqual(self.coroctl("define", path), "discount version 1 existed\n")
        self.assertEqual(self.coroctl("create", "discount", "percent=10", "--id", "d", "--prime"), "d suspended null\n")
        self.assertEqual(self.coroctl("send", "d", "200"), "180\n")
        self.assertEqual(self.coroctl("define", "-", "--name", "discount", stdin=DISCOUNT + "\n"),
                         "discount version 2\n")
        self.assertEqual(self.coroctl("catalog", "discount", "--version", "1", "--source"), DISCOUNT)
        self.assertRegex(self.coroctl("catalog"), r"(?m)^discount +2  prices with a discount \(lua\)$")
        shown = self.coroctl("catalog", "discount")
        self.assertIn("percent  (integer; required)\n      what is taken off", shown)
        self.assertIn("Written:  lua\n", shown)
        self.assertEqual(self.coroctl("undefine", "discount"), "")
        refused = self.coroctl("create", "discount", "percent=10", status=3)
        self.assertIn("COROUTINE_NOT_FOUND", refused.stderr)
        self.assertEqual(self.coroctl("send", "d", "100"), "90\n")

    def test_documentation_from_a_file(self):
        self.coroctl("define", self.file("documented.lua", MEAN), "--documentation", self.file("mean.md", "# The mean"))
        self.assertIn("# The mean", self.coroctl("catalog", "documented"))

    def test_what_is_wrong_with_a_source(self):
        path = self.file("broken.lua", "return function()\n  x = = 1\nend")
        refused = self.coroctl("define", path, status=3)
        self.assertEqual(refused.stderr, f"coroctl: INVALID_ARGUMENT INVALID_SOURCE: {path}:2: unexpected symbol near '='\n")
        tried = self.coroctl("try", path, status=2, server=False)
        self.assertEqual(tried.stderr, f"coroctl: {path}:2: unexpected symbol near '='\n")
        built_in = self.coroctl("define", self.file("averager.lua", MEAN), status=3)
        self.assertIn("FAILED_PRECONDITION COROUTINE_BUILT_IN: coroutine 'averager'", built_in.stderr)

    def test_pipelines_of_own_and_built_in_coroutines(self):
        self.coroctl("define", self.file("half.lua", "return function() local r while true do r = yield(r and r / 2) end end"))
        csv = "item,price\npen,2\nbook,12\nlamp,30\n"
        stages = ('csv_parser header=true each=true | select field=price | map expression="tonumber(value)" '
                  '| filter expression="value > 10" | half')
        self.assertEqual(self.coroctl("pipe", stages, stdin=csv), "null\nnull\n6.0\n15.0\n")
        self.assertEqual(self.coroctl("pipe", "json_lines each=true | batch size=2", "collect=true", stdin="1\n2\n3\n"),
                         "[]\n[[1, 2]]\n[]\nreturned [3]\n")
        created = self.coroctl("create", "json_lines each=true | averager", "--id", "p", "--prime")
        self.assertEqual(created, "p suspended null\n")
        self.assertEqual(self.coroctl("send", "p", '"1\\n2\\n"'), "1.5\n")

    def test_expressions_that_are_none(self):
        wrong = self.coroctl("create", "map", "expression=value *", status=3)
        self.assertIn("INVALID_ARGUMENTS: argument 'expression' must be an expression in Lua (expression:1: ", wrong.stderr)
        wrong = self.coroctl("create", "averager | map expression='1) + (2'", status=3)
        self.assertIn("INVALID_ARGUMENTS", wrong.stderr)
        wrong = self.coroctl("create", "averager | map expression", status=2)
        self.assertIn("the pipeline, position 16: an argument is written name=value", wrong.stderr)

    def test_try_prints_what_pipe_would(self):
        path = self.file("tried.lua", MEAN)
        self.coroctl("define", path)
        lines = "".join(f"{number}\n" for number in range(1, 50))
        self.assertEqual(self.coroctl("try", path, stdin=lines, server=False), self.coroctl("pipe", "tried", stdin=lines))
        tried = self.coroctl("try", path, stdin="1\nx\n", status=1, server=False)
        piped = self.coroctl("pipe", "tried", stdin="1\nx\n", status=1)
        self.assertEqual(tried.stdout, piped.stdout)
        self.assertEqual(tried.stderr.splitlines()[2:], piped.stderr.splitlines()[2:])
        self.assertEqual(self.coroctl("try", self.file("discount.lua", DISCOUNT), "percent=50", stdin="10\n",
                                      server=False), "5\n")

    def test_verify_finds_what_breaks_a_replay(self):
        good = self.file("discount.lua", DISCOUNT)
        self.assertRegex(self.coroctl("verify", good, "percent=10", stdin="5\n7\n", server=False),
                         r"^no difference in \d+ commands to \d+ coroutines, with \d+ restarts\n$")
        self.assertIn("each run twice", self.coroctl("verify", self.file("mean.lua", MEAN), "--commands", "200", server=False))
        bad = self.coroctl("verify", self.file("wanders.lua", WANDERS), status=1, server=False)
        self.assertRegex(bad.stdout, r"^it answers differently:\n  1  next\n(.*\n)+yields \d+ without a restart, ")
        found = json.loads(self.coroctl("verify", good, "percent=10", "--output", "json", server=False))
        self.assertEqual((found["restartable"], found["difference"]), (True, None))


if __name__ == "__main__":
    unittest.main()
