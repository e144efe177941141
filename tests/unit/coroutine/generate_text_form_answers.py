#!/usr/bin/env python3
"""Prints text_form_answers.inc: CPython's repr() of many numbers, texts and blobs.

    tests/unit/coroutine/generate_text_form_answers.py > tests/unit/coroutine/text_form_answers.inc
"""

import random
import struct

FLOATS = [
    0.0, -0.0, 1.0, -1.0, 10.0, 0.1, 0.5, 1 / 3, 100.0, 123456789.0, 1e15, 9999999999999998.0, 1e16, 12345678901234567.0, 1e17, 1e22, 1e23,
    1e-4, 0.00012345, 1e-5, 1.5e-5, 1e100, 1e-100, 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 9007199254740993.0,
]  # fmt: skip
INTEGERS = [0, 1, -1, 10, 2**31, -(2**31), 2**63 - 1, -(2**63)]
TEXTS = [
    "", "a", "it's", 'say "hi"', "it's \"both\"", "back\\slash", "tab\tnew\nline\rend", "\x00\x01\x1f\x7f", "h\u00e9llo", "\u65e5\u672c",
    "\U0001f600", "e\u0301", "a\u200db", "\ud7fb\ue000",
]  # fmt: skip
# The characters at the ends of every range that str.isprintable() refuses, with their neighbours.
EDGES = [
    0x20, 0x7E, 0x7F, 0x80, 0x9F, 0xA0, 0xA1, 0xAC, 0xAD, 0xAE, 0x600, 0x605, 0x606, 0x61B, 0x61C, 0x61D, 0x6DC, 0x6DD, 0x6DE, 0x70D,
    0x70F, 0x710, 0x88E, 0x890, 0x891, 0x898, 0x8E1, 0x8E2, 0x8E3, 0x167F, 0x1680, 0x1681, 0x180D, 0x180E, 0x180F, 0x1FFE, 0x2000, 0x200F,
    0x2010, 0x2027, 0x2028, 0x202F, 0x2030, 0x205E, 0x205F, 0x206F, 0x2070, 0x2FFB, 0x3000, 0x3001, 0xD7FB, 0xE000, 0xF8FF, 0xF900, 0xFE74,
    0xFEFF, 0xFF01, 0xFFEE, 0xFFF9, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x110BC, 0x110BD, 0x110BE, 0x110CD, 0x1342E, 0x13430,
    0x13438, 0x1BC9F, 0x1BCA0, 0x1BCA3, 0x1D172, 0x1D173, 0x1D17A, 0x1D17B, 0x1FFFE, 0xE0001, 0xE007F, 0xE0100, 0xE01EF, 0xF0000, 0x10FFFF,
]  # fmt: skip
BLOBS = [b"", b"abc", b"it's", b'say "hi"', b"it's \"both\"", b"\\\t\n\r", bytes(range(256)), "h\u00e9llo".encode()]


def quoted(data):
    return '"' + "".join(chr(c) if 32 <= c < 127 and chr(c) not in '"\\?' else f"\\{c:03o}" for c in data) + '"'


def row(kind, argument, value):
    print(f"{kind}({argument}, {quoted(repr(value).encode())})")


print("// Made by generate_text_form_answers.py; do not edit.")
rng = random.Random(1)
random_bits = (struct.unpack("<d", rng.randbytes(8))[0] for _ in range(200))
random_decimals = (round(rng.uniform(-1000, 1000), rng.randrange(6)) * 10.0 ** rng.randrange(-8, 18) for _ in range(200))
for number in [*FLOATS, *(x for x in random_bits if x == x), *random_decimals]:
    row("NUMBER", number.hex(), number)
for number in ("nan", "inf", "-inf"):
    row("NAMED_NUMBER", f'"{number}"', float(number))
for integer in INTEGERS:
    row("INTEGER", quoted(str(integer).encode()), integer)
for text in [*TEXTS, "".join(map(chr, range(1, 128))), *map(chr, EDGES)]:
    data = text.encode()
    row("TEXT", f"{quoted(data)}, {len(data)}", text)
for blob in BLOBS:
    row("BLOB", f"{quoted(blob)}, {len(blob)}", blob)
