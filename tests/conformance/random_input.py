"""Random arguments and commands for the built-in coroutines."""
import json
import math

EXCEPTIONS = [ValueError, KeyError, ConnectionError, TimeoutError, RuntimeError, KeyboardInterrupt, GeneratorExit]


def any_value(rng, depth=0):
    kinds = [
        lambda: None, lambda: rng.random() < 0.5, lambda: rng.randrange(-10, 10),
        lambda: rng.choice([2**63 - 1, -2**63, 2**53 + 1]),
        lambda: rng.uniform(-5, 5), lambda: rng.choice([0.0, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan]),
        lambda: any_text(rng, 5), lambda: rng.randbytes(rng.randrange(4)), lambda: rng.choice(EXCEPTIONS)("no"),
    ]
    if depth < 3:
        kinds += [lambda: [any_value(rng, depth + 1) for _ in range(rng.randrange(3))],
                  lambda: {any_text(rng, 3): any_value(rng, depth + 1) for _ in range(rng.randrange(3))}]
    return rng.choice(kinds)()


def any_text(rng, length):
    return "".join(rng.choice("ab \r\n\t.\"'\\é€😀\0\x7f\u2028") for _ in range(rng.randrange(length)))


def number(rng):
    return rng.choice([
        lambda: rng.randrange(-100, 100), lambda: rng.uniform(-100, 100), lambda: 1e9 + rng.random() * 1e-3,
        lambda: rng.choice([True, False, 0.0, -0.0, 2**63 - 1, 1e16]),
        lambda: math.ldexp(rng.uniform(-1, 1), rng.randrange(-1080, 1024)),
    ])()


def send_each(rng, make, spoil=0.02):
    """next, then some sends, now and then something else, and whatever comes after the end."""
    commands = [("send", None)] if rng.random() < 0.97 else []
    for _ in range(rng.randrange(12)):
        commands.append(("send", any_value(rng) if rng.random() < spoil else make()))
    if rng.random() < 0.2:
        commands.insert(rng.randrange(len(commands) + 1), ("throw", rng.choice(EXCEPTIONS)("thrown")))
    if rng.random() < 0.5:
        commands.insert(rng.randrange(len(commands) // 2, len(commands) + 1), ("close",))
    return commands


def cut(rng, text):
    """`text` in chunks, cut anywhere: as text, as bytes, or both."""
    data = text.encode() if isinstance(text, str) else text
    bytes_too = isinstance(text, bytes) or rng.random() < 0.6
    chunks = []
    while data:
        size = rng.choice([1, 2, 3, rng.randrange(1, 8), rng.randrange(1, 80), len(data)])
        if bytes_too:
            chunk, data = data[:size], data[size:]
            if rng.random() < 0.2:
                try:
                    chunk = chunk.decode()
                except UnicodeDecodeError:
                    pass
            chunks.append(chunk)
        else:
            rest = data.decode()
            chunks.append(rest[:size])
            data = rest[size:].encode()
        if rng.random() < 0.05:
            chunks.append(rng.choice([None, "", b""]))
    return chunks


def feed(rng, text):
    commands = [("send", None)] + [("send", chunk) for chunk in cut(rng, text)]
    if rng.random() < 0.05:
        commands.insert(rng.randrange(1, len(commands) + 1), ("send", any_value(rng)))
    if rng.random() < 0.05:
        commands.insert(rng.randrange(1, len(commands) + 1), ("throw", rng.choice(EXCEPTIONS)("thrown")))
    if rng.random() < 0.9:
        commands += [("close",)] * rng.randrange(1, 3)
    return commands


def spoiled(rng, text, probability):
    """As bytes, perhaps with a byte changed, lost or added."""
    data = bytearray(text.encode())
    if rng.random() < 0.1:
        data[:0] = b"\xef\xbb\xbf"
    while rng.random() < probability:
        at = rng.randrange(len(data) + 1)
        data[at:at + rng.randrange(2)] = rng.choice([
            b"", b'"', b"\\", b"\x80", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", b"]", b"[", b"{", b",", b"\r",
            b"\n", b"9", "€".encode(),
        ])
    return bytes(data)


def line_end(rng):
    return rng.choice(["\n", "\n", "\r\n", "\r"])


def lines_text(rng):
    return "".join(any_text(rng, 12) + line_end(rng) for _ in range(rng.randrange(6))) + any_text(rng, 5)


def csv_field(rng, delimiter):
    text = any_text(rng, 6) + rng.choice(["", delimiter, "\"", "name"])
    if text.startswith('"') or any(c in text for c in delimiter + "\r\n") or rng.random() < 0.2:
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_text(rng, delimiter):
    width = rng.randrange(1, 4)
    end = line_end(rng)
    text = ""
    for _ in range(rng.randrange(6)):
        if rng.random() < 0.1:
            end = line_end(rng)
        if rng.random() > 0.1:
            fields = width if rng.random() < 0.95 else rng.randrange(1, 5)
            text += delimiter.join(csv_field(rng, delimiter) for _ in range(fields))
        text += end
    return text.removesuffix(end) if rng.random() < 0.4 else text


def json_value(rng, depth=0):
    kinds = [
        lambda: rng.choice(["null", "true", "false", "0", "-0", "-0.0", "10", "10.0", "1e3", "1E-7", "1e-400",
                            "-1e-400", "0e999", "1" + "0" * 400 + "e-390", "0." + "0" * 400 + "1e390"]),
        lambda: str(rng.randrange(-2**65, 2**65)), lambda: repr(float(number(rng))),
        lambda: json.dumps(any_text(rng, 8), ensure_ascii=rng.random() < 0.5),
        lambda: rng.choice(['"\\u0041\\/"', '"\\ud83d\\ude00"', '""']),
    ]
    if depth < 4:
        space = rng.choice(["", " ", "\t", " \r "])
        kinds += [
            lambda: "[" + ("," + space).join(json_value(rng, depth + 1) for _ in range(rng.randrange(4))) + "]",
            lambda: "{" + ("," + space).join(f'"{rng.choice("abcé")}"{space}:{space}{json_value(rng, depth + 1)}'
                                             for _ in range(rng.randrange(4))) + "}",
        ]
    if depth == 0 and rng.random() < 0.1:
        levels = rng.randrange(18, 26)
        return "[" * levels + "1" + "]" * levels
    return rng.choice(kinds)()


WRONG_JSON = [
    "NaN", "Infinity", "-Infinity", "01", "1.", "-", "1e", "+1", ".5", "1e999", "-1e999", "9" * 400, "1_000", "0x10",
    "9" * 60 + "x", "tru", "nulll", "é", "'a'", "\x0b1", "\u00a01", "\ufeff1", "1 2", "]", "}", ",", ":",
    "[", "[1,]", "[1 2]", "[1}", "[" * 100_000, '[[1, "é€😀", nul]]',
    "{", '{"a":1,}', '{"a" 1}', "{a:1}", '{"a":}', '{"a":1]', '{"a":' * 100,
    '"', '"\\', '"\\x"', '"\t"', '"\\u12"', '"\\ud800"', '"\\udc00"', '"\\udc00\\udc00"', '"\\ud800\\u0041"',
    '"\\ud800\\uffff"', '"\\ud800\\uZ"',
]


def json_text(rng, wrong):
    lines = []
    for _ in range(rng.randrange(6)):
        lines.append(rng.choice(["", " ", "\t\r"]) if rng.random() < 0.15 else json_value(rng))
        if rng.random() < wrong:
            lines[-1] = rng.choice(WRONG_JSON)
    rest = json_value(rng) if rng.random() < 0.3 else ""
    return "".join(line + rng.choice(["\n", "\r\n"]) for line in lines) + rest


def smtp_address(rng):
    local = rng.choice(["ann", "a.b", "a..b", ".a", '"a b"', '"a\\"b>"', '"a', "a b", "é", "", "a" * 64, "a" * 65,
                        "x+y", "postmaster"])
    domain = rng.choice(["example.org", "a", "a-b.c", "-a", "a-", "a..b", "[127.0.0.1]", "[IPv6:::1]", "[]", "[a>b]",
                         "", "é.org", "a" * 255, "a" * 256, "_x"])
    address = rng.choice([f"{local}@{domain}"] * 6 + ["ann@example.org"] * 12 +
                         ["", "postmaster", "POSTmaster", "@", "a@b@c"])
    if rng.random() < 0.1:
        address = rng.choice(["@a:", "@a,@b.c:", "@a,b:", "@:", "@[1]:", "@" + "a" * 256 + ":"]) + address
    return rng.choice(["<{}>"] * 10 + ["{}", "<{}", "{}>", " <{}>", "<{}>x", "<{}> ", "<<{}>>"]).format(address)


def smtp_parameters(rng):
    if rng.random() < 0.6:
        return ""
    return "".join(rng.choice([" ", "  "]) + rng.choice([
        "SIZE=10", "size=800000", "SIZE=800001", "SIZE=", "SIZE", "SIZE=x", "SIZE=-1", "SIZE=99999999999999999999",
        "SIZE=999999999999999999999", "SIZE=1=2", "BODY=8BITMIME", "body=7bit", "BODY=x", "BODY", "SMTPUTF8", "AUTH=<>",
        "=", "é=1",
    ]) for _ in range(rng.randrange(1, 3)))


def smtp_line(rng):
    verb = rng.choice(["HELO", "EHLO", "EHLO", "MAIL", "MAIL", "MAIL", "RCPT", "RCPT", "RCPT", "RCPT", "DATA", "DATA",
                       "RSET", "NOOP", "VRFY", "HELP", "EXPN", "STARTTLS", "X", "", "ſend", "QUITT", "DATA", ".",
                       "text", "..stuffed"])
    argument = ""
    if verb in ("HELO", "EHLO") and rng.random() < 0.95:
        argument = " " + rng.choice(["client.example"] * 6 + ["[1.2.3.4]", "", "a b", "é", "-", "a" * 256])
    elif verb == "MAIL":
        argument = rng.choice([" FROM:"] * 8 + [" from:", " FROM", " TO:", "", " FR", " FROM :"])
        argument += smtp_address(rng) + smtp_parameters(rng)
    elif verb == "RCPT":
        argument = rng.choice([" TO:"] * 8 + [" To:", " TO", " FROM:", ""]) + smtp_address(rng)
        if rng.random() < 0.05:
            argument += smtp_parameters(rng)
    elif rng.random() < 0.1:
        argument = rng.choice([" x", " ", "  x ", "\t", "\0", "\x7f", " é", " " + "x" * rng.randrange(500, 515)])
    if verb == "MAIL" and rng.random() < 0.05:
        argument += " " * rng.randrange(500, 560)
    if rng.random() < 0.3:
        verb = verb.lower()
    line = verb + argument
    if rng.random() < 0.02:
        line = line[:2] + rng.choice(["\r", "\n", "\r\n"]) + line[2:]
    return line + rng.choice(["", "", "\r\n", "\n"])


ENVELOPE = ["MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>", "DATA"]


def smtp_commands(rng):
    commands = [("send", None)] if rng.random() < 0.98 else []
    if rng.random() < 0.9:
        commands.append(("send", rng.choice(["HELO a.example", "EHLO a.example"])))
    for _ in range(rng.randrange(40)):
        if rng.random() < 0.1:
            commands += [("send", line) for line in [*ENVELOPE, smtp_line(rng), "."]]
        elif rng.random() < 0.005:
            commands += [("send", "RCPT TO:<bob@example.org>")] * 101
        elif rng.random() < 0.001:
            message = [*ENVELOPE, "x" * rng.choice([300_000, 900_000]), "."]
            commands += [("send", line) for line in message * rng.randrange(1, 4)]
        elif rng.random() < 0.005:
            commands.append(("send", any_value(rng)))
        elif rng.random() < 0.005:
            commands.append(("send", "QUIT"))
        elif rng.random() < 0.005:
            commands.append(("throw", rng.choice(EXCEPTIONS)("thrown")))
        else:
            commands.append(("send", smtp_line(rng)))
    if rng.random() < 0.5:
        commands.append(("send", "QUIT"))
    if rng.random() < 0.3:
        commands.append(("close",))
    return commands


def record_value(rng, depth=0):
    """A map whose names come from few, so that fields are often there."""
    value = {}
    for name in rng.sample(["a", "b", "é", "a b"], rng.randrange(1, 4)):
        value[name] = record_value(rng, depth + 1) if depth < 3 and rng.random() < 0.6 else any_value(rng, 2)
    return value


DELIMITERS = [",", ";", "\t", "é", "😀", " ", "'"]


def arguments_and_commands(name, rng):
    if name == "averager":
        return {}, send_each(rng, lambda: number(rng))
    if name == "token_counter":
        return {}, send_each(rng, lambda: any_text(rng, 3))
    if name == "sliding_window":
        return {"size": rng.choice([1, 2, 3, 1_000_000])}, send_each(rng, lambda: any_value(rng))
    if name == "batch":
        return {"size": rng.choice([1, 2, 3, 1_000_000])}, send_each(rng, lambda: any_value(rng))
    if name == "select":
        path = ".".join(rng.choice(["a", "b", "é", "a b", "c"]) for _ in range(rng.randrange(1, 4)))
        return {"field": path}, send_each(rng, lambda: record_value(rng), spoil=0.1)
    if name == "rolling_stats":
        arguments = rng.choice([{}, {"window": 0}, {"window": 1}, {"window": 2}, {"window": rng.randrange(3, 8)}])
        if rng.random() < 0.1:
            return arguments, send_each(rng, lambda: rng.choice([0.0, -0.0, 0, False]))
        return arguments, send_each(rng, lambda: number(rng))
    if name == "line_splitter":
        arguments = rng.choice([{}, {"keep_ends": False}, {"keep_ends": True}])
        return arguments, feed(rng, spoiled(rng, lines_text(rng), 0.2))
    if name == "csv_parser":
        delimiter = rng.choice(DELIMITERS)
        arguments = {"delimiter": delimiter} if delimiter != "," or rng.random() < 0.5 else {}
        if rng.random() < 0.6:
            arguments["header"] = rng.random() < 0.8
        return arguments, feed(rng, spoiled(rng, csv_text(rng, delimiter), 0.3))
    if name == "pipeline":
        stages = rng.choice([
            [("json_lines", {}, True), ("averager", {}, False)],
            [("json_lines", {}, True), ("select", {"field": "a"}, False), ("batch", {"size": 2}, False)],
            [("line_splitter", {}, True), ("token_counter", {}, False)],
            [("line_splitter", {}, False)]])
        arguments = {"stages": [{"coroutine": coroutine, "arguments": arguments, "each": each}
                                for coroutine, arguments, each in stages], "collect": rng.random() < 0.3}
        return arguments, feed(rng, json_text(rng, 0.02))
    if name == "json_lines":
        return {}, feed(rng, spoiled(rng, json_text(rng, 0.08), 0.1))
    return rng.choice([{}, {"hostname": "mx.example"}]), smtp_commands(rng)
