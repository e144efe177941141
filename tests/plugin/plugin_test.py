"""Coroutines of one's own: corod is installed, a project outside of it builds a plugin and tests it, the server loads it and
serves what is in it; and what must not be loaded is refused with a reason.

COROD_BUILD is a build folder with corod and coroctl; CMAKE, CTEST, CXX, CMAKE_GENERATOR and CMAKE_CXX_COMPILER_LAUNCHER are what it was
made with.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import corod_testing as testing
from corod_testing import refused

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent.parent / "docs" / "examples" / "plugin"


def run(*command, status=0, **environment):
    """What the command says, which must end with this status."""
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment},
                           timeout=300)
    if ended.returncode != status:
        raise AssertionError(f"{command} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended


class Installation:
    """corod as somebody who is to write plugins has it, and the plugins that the tests load."""

    def __init__(self, top):
        self.prefix = top / "corod"
        self.server = self.prefix / "bin" / "corod"
        # Names of files that are the same in every run, so that the compiler's cache knows them.
        self._cache = {"CCACHE_BASEDIR": str(top), "CCACHE_NOHASHDIR": "1"}
        run(os.environ["CMAKE"], "--install", os.environ["COROD_BUILD"], "--prefix", self.prefix)
        self.example = self.build(EXAMPLE, top / "shop")
        self.shop = self.example / "libshop.so"
        self.faulty = self.build(HERE / "faulty", top / "faulty")

    def build(self, source, out):
        run(os.environ["CMAKE"], "-S", source, "-B", out, f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_CXX_FLAGS=-O1")
        run(os.environ["CMAKE"], "--build", out, "--parallel", "2", **self._cache)
        return out


def setUpModule():
    global corod
    top = Path(unittest.enterModuleContext(tempfile.TemporaryDirectory()))
    corod = Installation(top)


class ExampleTest(unittest.TestCase):
    def test_its_own_tests_pass(self):
        said = run(os.environ["CTEST"], "--test-dir", corod.example, "--output-on-failure", "--no-tests=error").stdout
        self.assertIn("100% tests passed", said)


class ServedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = testing.Server(corod.server, "--plugin", str(corod.shop))
        cls.addClassCleanup(cls.server.stop)
        cls.client = cls.server.client()

    def test_its_coroutines_stand_in_the_catalog_beside_corods_own(self):
        listed = self.client.catalog.ListCoroutines(testing.catalog_pb.ListCoroutinesRequest(), timeout=testing.CALL_SECONDS)
        found = {coroutine.name: coroutine for coroutine in listed.coroutines}
        self.assertIn("averager", found)
        self.assertEqual(found["checkout"].summary, "asks for what an order needs")
        self.assertFalse(found["checkout"].restartable)
        self.assertEqual([parameter.name for parameter in found["rate_limiter"].parameters], ["per_second", "burst"])
        self.assertTrue(found["rate_limiter"].restartable)

    def test_a_session_of_it_takes_its_steps(self):
        created = self.client.create("checkout", "order", {"cents": 1999}, prime=True)
        self.assertEqual(created.primed.outcome, ("yielded", "where to?"))
        self.assertEqual(self.client.send("order", 7).outcome, ("yielded", "please: where to?"))
        self.assertEqual(self.client.send("order", "Oslo").outcome, ("yielded", "which card?"))
        self.assertEqual(self.client.send("order", "4711").outcome,
                         ("returned", {"address": "Oslo", "card": "4711", "cents": 1999}))

    def test_it_catches_what_is_thrown_in_and_raises_what_it_does_not_catch(self):
        def thrown(exception):
            session = self.client.create("checkout", "", {"cents": 1}, prime=True).session.session_id
            return self.client.throw(session, exception)
        self.assertEqual(thrown(KeyboardInterrupt()).outcome, ("returned", "cancelled"))
        raised = thrown(KeyError("k"))
        self.assertEqual((raised.kind, raised.value.type, raised.value.message), ("raised", "KeyError", "'k'"))

    def test_its_rules_for_arguments_hold(self):
        refusal = refused(self.client.create, "checkout", "", {"cents": 0})
        self.assertEqual(refusal.reason, "INVALID_ARGUMENTS")
        self.assertIn("cents", refusal.message)

    def test_it_sees_the_time_of_the_step(self):
        self.client.create("rate_limiter", "limit", {"per_second": 0, "burst": 2}, prime=True)
        self.assertEqual([self.client.send("limit").value for _ in range(3)], [True, True, False])


class DurableTest(unittest.TestCase):
    def start(self, *flags):
        server = testing.Server(corod.server, *flags, data_dir=self.data_dir)
        self.addCleanup(server.kill)
        return server, server.client()

    def test_a_session_survives_the_server_and_waits_while_the_plugin_is_missing(self):
        self.data_dir = self.enterContext(tempfile.TemporaryDirectory())
        with_plugin = ("--plugin", str(corod.shop))
        server, client = self.start(*with_plugin)
        client.create("checkout", "order", {"cents": 5}, prime=True)
        client.create("rate_limiter", "limit", {"per_second": 0, "burst": 2}, prime=True)
        client.send("order", "Oslo")
        client.send("limit")
        server.stop()

        server, client = self.start()
        for session in "order", "limit":
            refusal = refused(client.send, session, "lost?")
            self.assertEqual((refusal.reason, refusal.metadata.get("executed")), ("VERSION_UNAVAILABLE", "no"))
            self.assertEqual(client.get(session).steps, 2)
        server.stop()

        server, client = self.start(*with_plugin)
        self.assertEqual(client.send("order", "4711").outcome, ("returned", {"address": "Oslo", "card": "4711", "cents": 5}))
        self.assertEqual([client.send("limit").value for _ in range(2)], [True, False])
        server.stop()


class RefusedTest(unittest.TestCase):
    def refusal(self, *plugins, **environment):
        """The one line with which the start ends."""
        flags = [word for plugin in plugins for word in ("--plugin", plugin)]
        ended = run(*testing.END_WITH_PARENT, corod.server, "--listen", "127.0.0.1:0", "--journal", "memory", "--log-level", "off",
                    *flags, status=2, **environment)
        self.assertEqual(ended.stdout, "")
        self.assertRegex(ended.stderr, r"\Acorod: [^\n]+\n\Z")
        self.assertIn(str(plugins[-1]), ended.stderr)
        return ended.stderr

    def altered(self, before, after):
        """The example's library with other bytes in its stamp."""
        path = Path(self.enterContext(tempfile.TemporaryDirectory()), "altered.so")
        content = corod.shop.read_bytes()
        self.assertIn(before, content)
        path.write_bytes(content.replace(before, after))
        return path

    def test_what_is_no_plugin(self):
        self.assertIn("No such file", self.refusal("/nowhere/lib.so"))
        self.assertIn("is no file", self.refusal(corod.prefix))
        self.assertIn("no shared library", self.refusal(corod.faulty / "CMakeCache.txt"))
        self.assertIn("corod_add_coroutines", self.refusal(corod.faulty / "libbare.so"))
        self.assertIn("registers no coroutine", self.refusal(corod.faulty / "libsilent.so"))
        self.assertIn("an engine of its own", self.refusal(corod.faulty / "libtwo_engines.so"))

    def test_a_file_that_is_cut_off(self):
        cut = Path(self.enterContext(tempfile.TemporaryDirectory()), "cut.so")
        cut.write_bytes(corod.shop.read_bytes()[:20000])
        self.assertIn("not all of one", self.refusal(cut))

    def test_a_library_that_lacks_what_it_needs(self):
        self.assertRegex(self.refusal(corod.faulty / "liblacking.so"), "cannot be loaded: .*undefined symbol: NowhereDefined")

    def test_what_was_built_with_something_else(self):
        for before, after, built_with in [
                (b"compiler clang ", b"compiler klang ", "klang"),
                (b"library libstdc++ ", b"library libstdxx ", "libstdxx"),
                (b"\nlayout ", b"\nlayouT ", "layout unknown")]:
            line = self.refusal(self.altered(before, after))
            self.assertRegex(line, f"was built with [^;]*{built_with}[^;]*; this server wants [^;]*clang")
            self.assertIn("build it again", line)
        headers = re.search(rb"\nheaders ([0-9a-f]{16})\n", corod.shop.read_bytes())[1]
        line = self.refusal(self.altered(headers, b"0123456789abcdef"))
        self.assertRegex(line, f"was built with .*headers 0123456789abcdef.*; this server wants .*headers {headers.decode()}")
        self.assertIn("too different", self.refusal(self.altered(b"\1\0\0\0corod\0", b"\2\0\0\0corod\0")))

    def test_one_of_an_older_sdk(self):
        top = Path(self.enterContext(tempfile.TemporaryDirectory()))
        shutil.copytree(corod.prefix / "include", top / "include")
        build = top / "include" / "corod" / "build.h"
        build.write_text(build.read_text().replace("COROD_SDK_VERSION 1", "COROD_SDK_VERSION 0"))
        run(os.environ["CXX"], "-std=c++20", "-fPIC", "-shared", "-I", top / "include", HERE / "faulty" / "silent.cc",
            "-o", top / "old.so")
        self.assertRegex(self.refusal(top / "old.so"), r"was built with [^;]*\(SDK 0, [^;]*; this server wants [^;]*\(SDK 1, ")

    def test_definitions_that_the_catalog_does_not_take(self):
        faulty = corod.faulty / "libfaulty.so"
        for fault, said in [("own name", "'averager' is one of corod's own"), ("no name", "'no-name': no name"),
                            ("twice", "'twice': version 1 is there already"), ("undescribed", "'undescribed'"),
                            ("default", "'default': its default: ")]:
            with self.subTest(fault):
                self.assertIn(said, self.refusal(faulty, FAULT=fault))

    def test_a_registration_that_throws(self):
        faulty = corod.faulty / "libfaulty.so"
        for fault, said in [("throws", ": the table of words is not there"), ("raises", ": 'words'"), ("exits", ": 3"),
                            ("throws a number", "")]:
            with self.subTest(fault):
                self.assertIn(said, self.refusal(faulty, FAULT=fault))

    def test_two_plugins_with_the_same_coroutine(self):
        other = self.altered(b"which card?", b"which CARD?")
        line = self.refusal(corod.shop, other)
        self.assertIn(f"'checkout': version 1 is there already, of plugin {corod.shop}", line)

    def test_several_that_fit_are_served_together(self):
        server = testing.Server(corod.server, "--plugin", str(corod.shop), "--plugin", str(corod.faulty / "libfaulty.so"))
        self.addCleanup(server.stop)
        client = server.client()
        client.create("twice", prime=True)
        client.create("rate_limiter", arguments={"per_second": 1}, prime=True)


class CompilerTest(unittest.TestCase):
    def configured(self, compiler, version, status=1):
        """What find_package says to a project with another compiler."""
        script = Path(self.enterContext(tempfile.TemporaryDirectory()), "find.cmake")
        script.write_text(f"""
            set(CMAKE_CXX_COMPILER_ID "{compiler}")
            set(CMAKE_CXX_COMPILER_VERSION "{version}")
            set(CMAKE_CXX_COMPILER "{os.environ['CXX']}")
            set(CMAKE_CXX_FLAGS "$ENV{{FLAGS}}")
            find_package(corod REQUIRED PATHS "{corod.prefix}" NO_DEFAULT_PATH)""")
        return re.sub(r"\s+", " ", run(os.environ["CMAKE"], "-P", script, status=status).stderr)

    def test_gcc_is_refused_with_the_reason(self):
        said = self.configured("GNU", "12.2.0")
        self.assertIn("GCC 12 destroys the temporaries of co_yield expressions twice", said)
        self.assertRegex(said, r"-DCMAKE_CXX_COMPILER=clang\+\+-\d+")

    def test_another_clang_is_refused(self):
        self.assertRegex(self.configured("Clang", "7.0.1"), r"built with, clang \d+, and this is Clang 7\.0\.1")

    def test_a_project_without_cxx_is_refused(self):
        self.assertIn("name CXX among the languages", self.configured("", ""))

    def test_another_standard_library_is_refused(self):
        config = (corod.prefix / "lib" / "cmake" / "corod" / "corodConfig.cmake").read_text()
        version = re.search(r'"(\d+)" "libstdc\+\+ \d+"', config)[1]
        # A compiler that finds none stands for one that finds another.
        os.environ["FLAGS"] = "-nostdinc++"
        self.addCleanup(os.environ.pop, "FLAGS")
        self.assertIn("uses the standard library that corod was built with, libstdc++", self.configured("Clang", version))


if __name__ == "__main__":
    unittest.main()
