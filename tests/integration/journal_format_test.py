"""A data directory of each released format opens in this server, and every session in it is as it was left."""
import glob
import json
import os
import re
import subprocess
import tempfile
import unittest

import corod_testing as testing
import make_journal_fixture as fixture

FIXTURES = sorted(glob.glob(os.path.join(fixture.DATA, "journal-*.tar.xz")))


def format_of(data_dir):
    with open(os.path.join(data_dir, "FORMAT"), encoding="ascii") as file:
        return re.fullmatch(r"corod journal (\d+)\n", file.read())[1]


class JournalFormatTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def test_there_is_a_fixture_of_todays_format(self):
        formats = []
        for path in FIXTURES:
            with tempfile.TemporaryDirectory(dir=self.directory) as directory:
                formats.append(format_of(fixture.unpack(path, directory)))
        self.assertEqual([f"journal-{number}.tar.xz" for number in formats], list(map(os.path.basename, FIXTURES)))
        today = os.path.join(self.directory, "today")
        testing.Server(testing.binary("COROD_BIN"), data_dir=today).stop()
        self.assertIn(format_of(today), formats)

    def test_sessions_answer_as_recorded(self):
        for path in FIXTURES:
            with self.subTest(os.path.basename(path)):
                with open(path.removesuffix(".tar.xz") + ".json", encoding="utf-8") as file:
                    recorded = json.load(file)
                with tempfile.TemporaryDirectory(dir=self.directory) as directory:
                    described = json.loads(json.dumps(fixture.describe(fixture.unpack(path, directory))))
                for key in ("names", "tombstones"):
                    self.assertEqual(described[key], recorded[key])
                self.assertEqual(sorted(described["sessions"]), sorted(recorded["sessions"]))
                for session_id, session in recorded["sessions"].items():
                    self.assertEqual(described["sessions"][session_id], session, session_id)

    def test_they_are_healthy(self):
        for path in FIXTURES:
            with self.subTest(os.path.basename(path)):
                with open(path.removesuffix(".tar.xz") + ".json", encoding="utf-8") as file:
                    recorded = json.load(file)
                with tempfile.TemporaryDirectory(dir=self.directory) as directory:
                    data_dir = fixture.unpack(path, directory)
                    checked = subprocess.run([testing.binary("COROD_BIN"), "check", "--replay", "--json", "--data-dir", data_dir],
                                             capture_output=True, text=True, timeout=testing.CALL_SECONDS)
                self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked.stdout)
                report = json.loads(checked.stdout)
                self.assertTrue(report["healthy"], report)
                self.assertEqual((report["sessions"], report["findings"], report["journal"]), (len(recorded["sessions"]), [], []))
                self.assertGreater(report["replayed_steps"], 0)


if __name__ == "__main__":
    unittest.main()
