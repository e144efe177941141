"""Real texts and tables through coroctl, against what the usual tools make of them."""
import csv
import io
import json
import os
import subprocess
import unittest

import corod_testing as testing
from corod_testing import session_pb2

# Of Debian's base-files, so it is on every machine.
TEXT = "/usr/share/common-licenses/GPL-3"


def shell(script, data=None):
    """What a pipeline makes of the bytes."""
    return subprocess.run(["/bin/sh", "-ec", script], input=data, stdout=subprocess.PIPE, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


class RealInputTest(testing.ServerTest):
    BINARY = "COROD_BIN"

    def pipe(self, data, *arguments):
        """The lines that `coroctl pipe` prints."""
        ended = subprocess.run([testing.binary("COROCTL"), "--server", self.server.address, "pipe", *arguments], input=data,
                               capture_output=True, timeout=testing.CALL_SECONDS)
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))
        return ended.stdout.decode().splitlines()

    def tearDown(self):
        """However a pipe ends, its session is closed."""
        listed = [session for page in self.client.list_all() for session in page.sessions]
        self.assertEqual({session.state for session in listed}, {session_pb2.STATE_CLOSED})

    def assert_counts_words(self, words):
        counts = {}
        for line in shell("sort | uniq -c", words).decode().splitlines():
            count, word = line.split(maxsplit=1)
            counts[word] = int(count)
        last, = self.pipe(words, "token_counter", "--last")
        counted = json.loads(last)
        self.assertEqual(counted, counts)
        self.assertEqual(list(counted), list(dict.fromkeys(words.decode().split())), "in the order of their first appearance")

    def test_token_counter_counts_the_words_of_a_text_as_sort_and_uniq_do(self):
        words = shell(f"tr -s '[:space:]' '\\n' < {TEXT} | sed '/^$/d'")
        self.assertGreater(words.count(b"\n"), 5_000)
        self.assert_counts_words(words)

    def test_token_counter_counts_words_that_are_not_ascii(self):
        words = "naïve Straße 北京 naïve наука 🙂 北京 naïve \u00a0".replace(" ", "\n").encode() + b"\n"
        last, = self.pipe(words, "token_counter", "--last")
        self.assertEqual(json.loads(last), {"naïve": 3, "Straße": 1, "北京": 2, "наука": 1, "🙂": 1, "\u00a0": 1})

    def packages(self):
        """Every package of this machine: name, version, section, size and the whole description, many lines of prose."""
        fields, end = "\x1f", "\x1e"
        form = fields.join(["${Package}", "${Version}", "${Section}", "${Installed-Size}", "${Description}"]) + end
        listed = subprocess.run(["dpkg-query", "-W", f"-f={form}"], capture_output=True, check=True).stdout.decode()
        return [record.split(fields) for record in listed.split(end)[:-1]]

    def as_csv(self, records, **how):
        text = io.StringIO(newline="")
        csv.writer(text, **how).writerows(records)
        table = text.getvalue()
        # Something to chew on: quoted fields with quotes, delimiters and line ends inside.
        for needle in '""', '\n', ", ":
            self.assertIn(needle, table)
        return table

    def parsed(self, table, *arguments):
        """All records that the pipe prints, chunk by chunk and what the close returned."""
        records = []
        for line in self.pipe(table.encode(), "csv_parser", *arguments):
            if line.startswith("returned "):
                records.append(json.loads(line.removeprefix("returned ")))
            else:
                records += json.loads(line)
        return records

    def test_csv_parser_reads_a_table_as_the_csv_module_does(self):
        packages = self.packages()
        self.assertGreater(len(packages), 100)
        for how in {}, {"lineterminator": "\n"}, {"quoting": csv.QUOTE_ALL, "lineterminator": "\r"}:
            with self.subTest(how):
                table = self.as_csv(packages, **how)
                expected = list(csv.reader(io.StringIO(table, newline=""), strict=True))
                self.assertEqual(expected, packages)
                self.assertEqual(self.parsed(table), expected)
                self.assertEqual(self.parsed(table, "--chunks"), expected)

    def test_csv_parser_reads_another_delimiter_and_no_last_line_end(self):
        table = self.as_csv(self.packages(), delimiter=";").removesuffix("\r\n")
        expected = list(csv.reader(io.StringIO(table, newline=""), delimiter=";", strict=True))
        self.assertEqual(self.parsed(table, "delimiter=;"), expected)

    def test_csv_parser_with_a_header_reads_a_table_as_the_csv_module_does(self):
        table = self.as_csv([["name", "version", "section", "size", "the description"], *self.packages()])
        expected = list(csv.DictReader(io.StringIO(table, newline=""), strict=True))
        self.assertEqual(self.parsed(table, "header=true"), expected)


if __name__ == "__main__":
    unittest.main()
