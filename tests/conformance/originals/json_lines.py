import math
import re

from .chunks import ChunkDecoder, describe, malformed

MAX_DEPTH = 22
SPACE = " \t\r\n"
TOKEN = re.compile(r"[A-Za-z0-9_+.-]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HEX = re.compile(r"[0-9a-fA-F]{4}")
ESCAPES = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t'))
WORDS = {"true": True, "false": False, "null": None}


class JsonError(Exception):
    def __init__(self, at, what):
        self.at = at
        self.what = what


class Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def parse(self):
        value = self.read_value(0)
        if self.peek():
            self.expected("the end of the line")
        return value

    def expected(self, what):
        found = describe(self.text[self.at]) if self.at < len(self.text) else "the end of the line"
        raise JsonError(self.at, f"expected {what}, not {found}")

    def peek(self):
        """The next character that is no white space, or ''."""
        while self.at < len(self.text) and self.text[self.at] in SPACE:
            self.at += 1
        return self.text[self.at:self.at + 1]

    def skip(self, c):
        if self.peek() != c:
            return False
        self.at += 1
        return True

    def token(self):
        return TOKEN.match(self.text, self.at)[0]

    @staticmethod
    def quoted(token):
        return f"'{token[:40]}...'" if len(token) > 40 else f"'{token}'"

    def read_value(self, depth):
        c = self.peek()
        if c and c in "[{":
            if depth == MAX_DEPTH:
                raise JsonError(self.at, f"nested more than {MAX_DEPTH} deep")
            self.at += 1
            return self.read_map(depth + 1) if c == "{" else self.read_list(depth + 1)
        if c == '"':
            return self.read_string()
        if c and c in "-0123456789":
            return self.read_number()
        if c.isascii() and c.isalpha():
            return self.read_word()
        self.expected("a value")

    def read_list(self, depth):
        items = []
        if self.skip("]"):
            return items
        while True:
            items.append(self.read_value(depth))
            if not self.skip(","):
                break
        if not self.skip("]"):
            self.expected("',' or ']'")
        return items

    def read_map(self, depth):
        entries = {}
        if self.skip("}"):
            return entries
        while True:
            if self.peek() != '"':
                self.expected("a name in double quotes")
            name = self.read_string()
            if not self.skip(":"):
                self.expected("':'")
            entries[name] = self.read_value(depth)
            if not self.skip(","):
                break
        if not self.skip("}"):
            self.expected("',' or '}'")
        return entries

    def read_word(self):
        word = self.token()
        if word not in WORDS:
            raise JsonError(self.at, f"expected a value, not {self.quoted(word)}")
        self.at += len(word)
        return WORDS[word]

    def read_number(self):
        token = self.token()
        match = NUMBER.fullmatch(token)
        if not match:
            raise JsonError(self.at, f"malformed number {self.quoted(token)}")
        value = float(token)
        if not match[1] and not match[2] and len(token) <= 20 and -2**63 <= int(token) < 2**63:
            value = int(token)
        elif math.isinf(value):
            raise JsonError(self.at, f"number out of range: {self.quoted(token)}")
        self.at += len(token)
        return value

    def read_string(self):
        start = self.at
        self.at += 1
        characters = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == '"':
                self.at += 1
                return "".join(characters)
            if c == "\\":
                if self.at + 1 == len(self.text):
                    break
                characters.append(self.read_escape())
            elif c < " ":
                raise JsonError(self.at, f"control character {describe(c)} in a string")
            else:
                characters.append(c)
                self.at += 1
        raise JsonError(start, "the string is not closed")

    def read_escape(self):
        start = self.at
        c = self.text[start + 1]
        if c != "u":
            if c not in ESCAPES:
                raise JsonError(start, f"unknown escape: a backslash and {describe(c)}")
            self.at += 2
            return ESCAPES[c]
        unit = self.read_unit()
        if 0xd800 <= unit < 0xdc00 and self.text.startswith("\\u", self.at):
            low = self.read_unit()
            if 0xdc00 <= low < 0xe000:
                return chr(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
        if 0xd800 <= unit < 0xe000:
            raise JsonError(start, f"unpaired surrogate U+{unit:04X}")
        return chr(unit)

    def read_unit(self):
        match = HEX.match(self.text, self.at + 2)
        if not match:
            raise JsonError(self.at, "\\u needs four hexadecimal digits")
        self.at += 6
        return int(match[0], 16)


class JsonLinesReader:
    def __init__(self):
        self.decoder = ChunkDecoder()
        self.line = ""
        self.ended = 0
        self.values = []

    def end_line(self):
        if self.line.strip(SPACE):
            at, what = 0, None
            try:
                self.values.append(Parser(self.line).parse())
            except JsonError as error:
                at, what = error.at, error.what
            if what:
                raise malformed(self.ended + 1, at + 1, what, self.values)
        self.ended += 1
        self.line = ""

    def read(self, chunk):
        self.values = []
        text, bad = self.decoder.decode(chunk)
        *ended, rest = text.split("\n")
        for end in ended:
            self.line += end
            self.end_line()
        self.line += rest
        if bad:
            raise malformed(self.ended + 1, len(self.line) + 1, bad, self.values)
        return self.values

    def finish(self):
        self.values = []
        bad = self.decoder.at_end()
        if bad:
            raise malformed(self.ended + 1, len(self.line) + 1, bad, [])
        self.end_line()
        return self.values or None


def json_lines():
    reader = JsonLinesReader()
    values = []
    while True:
        try:
            chunk = yield values
        except GeneratorExit:
            return reader.finish()
        values = reader.read(chunk)
