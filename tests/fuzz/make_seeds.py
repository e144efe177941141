#!/usr/bin/env python3
"""Writes the seeds: inputs that reach what the fuzzers would take long to find by themselves.

Usage: tests/fuzz/make_seeds.py     (writes seeds/TARGET/NAME beside itself; the same files every time)

Each function below makes the inputs of one target, in the form that the target's source describes.
"""
import base64
import struct
from pathlib import Path

SEEDS = Path(__file__).resolve().parent / "seeds"


# --- protobuf, as far as it is needed here


def varint(number):
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """A field with a length."""
    if isinstance(content, str):
        content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number, value):
    return varint(number << 3) + varint(value)


BOOLEAN = number_field(1, 1)
INTEGER = number_field(2, 20)
NUMBER = varint(3 << 3 | 1) + struct.pack("<d", -0.0)
NAN = varint(3 << 3 | 1) + struct.pack("<d", float("nan"))
TEXT = field(4, "tex\u00e9t")
BLOB = field(5, b"\xff\x00")
ANY = field(8, field(1, "type.googleapis.com/x.Y") + field(2, b"\x01"))


def listed(*values):
    return field(6, b"".join(field(1, value) for value in values))


def mapped(**entries):
    return field(7, b"".join(field(1, field(1, key) + field(2, value)) for key, value in entries.items()))


def exception(kind, *arguments, more=b""):
    return field(1, kind) + b"".join(field(3, argument) for argument in arguments) + more


def chain(levels, shared):
    error = exception("ValueError", TEXT)
    for _ in range(levels):
        context = number_field(8, 1) if shared else field(5, exception("LookupError"))
        error = exception("KeyError", INTEGER, more=field(4, error) + context)
    return error


def value_decoding():
    send, throw, drive, create, nested, token, session_id = (bytes([what]) for what in range(7))
    roomy, tight = b"\x00", b"\x01\x02\x40"
    everything = listed(BOOLEAN, INTEGER, NUMBER, NAN, TEXT, BLOB, ANY, b"", mapped(a=TEXT, b=b""),
                        field(9, exception("mine.Error", TEXT, more=field(9, "LookupError") + field(10, "a note"))))
    yield "send_all_kinds", send + roomy + field(1, "s") + field(2, everything) + number_field(3, 7) + field(4, "id")
    yield "send_too_large", send + tight + field(1, "s") + field(2, everything)
    yield "throw", throw + roomy + field(1, "s") + field(2, exception("StopIteration", INTEGER))
    yield "throw_context_is_cause", throw + roomy + field(2, chain(3, shared=True))
    yield "throw_long_chain", throw + roomy + field(2, chain(20, shared=True))
    yield "throw_wide_chain", throw + roomy + field(2, chain(5, shared=False))
    commands = [number_field(1, 1) + field(2, "s") + field(3, INTEGER) + field(8, "a"),
                number_field(1, 2) + field(4, exception("ValueError", TEXT)) + number_field(9, 1),
                number_field(1, 3) + field(5, number_field(1, 1)),
                number_field(1, 4) + field(6, field(1, "tally") + field(3, "s2") + number_field(4, 1))]
    yield "drive", drive + roomy + b"".join(field(1, command) for command in commands)
    bad_text = field(3, field(4, b"\xff"))
    tag = number_field(1, 1)
    yield "drive_one_unreadable", drive + roomy + field(1, tag + field(2, "s") + bad_text) + field(1, commands[0])
    yield "drive_bad_id", drive + roomy + field(1, tag + field(2, b"\xff") + bad_text)
    yield "drive_bad_create", drive + roomy + field(1, tag + field(6, field(1, b"\xff") + field(3, b"\xfe")))
    yield "drive_field_of_another_type", drive + roomy + field(1, tag + field(2, "s") + number_field(2, 20))
    delimiter = field(1, "delimiter") + field(2, field(4, ";"))
    yield "create", create + roomy + (field(1, "csv_parser") + field(2, delimiter) + field(5, number_field(1, 60)) +
                                      field(7, field(1, "k") + field(2, "v")))
    for levels in (4, 5, 200):
        for maps in (0, 1):
            yield f"nested_{levels * 6}_{'maps' if maps else 'lists'}", nested + roomy + bytes([maps, levels]) + TEXT
    yield "page_token", token + b"MQAAAAAAAAAAYQ"
    yield "session_id", session_id + b"a.b_c:d-9"
    yield "session_id_dots", session_id + b"a..b"


# --- coroutines: options, number of command bytes, commands, script

NEXT, SEND, THROW, CLOSE = b"\x00", b"\x02\x07", b"\x03", b"\x05"
YIELD, YIELD_LAST, RETURN, RAISE, DELEGATE, ITERATE, SELF, OTHER, DRIVE, CHAIN = 0, 1, 2, 3, 6, 7, 8, 9, 10, 14
CATCH, CATCH_ALL, HANDLE, RERAISE, REPLACE = 1 << 4, 2 << 4, 1 << 6, 2 << 6, 3 << 6
VALUE_ERROR, STOP, EXIT = b"\x01\x00", b"\x01\x02", b"\x01\x03"


def coroutines():
    def run(commands, script, deep=False):
        return bytes([7 if deep else 0, len(commands)]) + commands + script

    def within(script):
        return bytes([DELEGATE, len(script)]) + script + b"\x00"

    steps = bytes([YIELD, 1, YIELD | CATCH | HANDLE, 2, YIELD_LAST, RETURN])
    yield "send_and_return", run(NEXT + SEND * 4, steps)
    yield "caught", run(NEXT * 2 + THROW + VALUE_ERROR + NEXT * 3, steps)
    yield "close", run(NEXT * 2 + CLOSE * 2 + NEXT, steps)
    yield "ignores_exit", run(NEXT + CLOSE * 3, bytes([YIELD | CATCH_ALL, 1]) * 3)
    yield "stop_escapes", run(NEXT * 3, bytes([YIELD, 1, RAISE]) + STOP)
    yield "delegates", run(NEXT + SEND * 2 + THROW + VALUE_ERROR + CLOSE, within(within(steps)) + steps)
    yield "exit_in_chain", run(NEXT + THROW + EXIT + NEXT, within(bytes([YIELD | CATCH_ALL, 1, YIELD, 2])) + steps)
    yield "handling", run(NEXT + THROW + VALUE_ERROR + THROW + STOP, bytes([YIELD | CATCH | REPLACE, 1]) + VALUE_ERROR)
    yield "delegates_while_handling", run(NEXT + THROW + VALUE_ERROR + NEXT * 2,
                                          bytes([YIELD | CATCH | RERAISE, 1]) + within(bytes([RAISE]) + STOP))
    yield "iterates", run(NEXT * 6 + SEND, b"".join(bytes([ITERATE | CATCH, which]) for which in range(6)))
    yield "drives_itself", run(NEXT * 4, bytes([SELF, 0, SELF, 3, YIELD, 1]))
    yield "drives_another", run(NEXT * 4, bytes([OTHER, 4, YIELD, 1, YIELD, 2, DRIVE, 0, 11, YIELD, 3]))
    yield "long_chain", run(NEXT * 2 + CLOSE, bytes([CHAIN, 150, 2, YIELD, 1]), deep=True)
    yield "too_long_chain", run(NEXT * 3, bytes([CHAIN | CATCH, 255, 2, YIELD, 1, YIELD, 2]), deep=True)


# --- parsers: parser, arguments, how many cuts, lengths of the pieces, bytes


def parsers():
    csv, csv_header, lines, json_lines, json, smtp = range(6)

    def cut(parser, arguments, cuts, text):
        return bytes([parser, *arguments, len(cuts), *cuts]) + text.encode()

    yield "csv", cut(csv, [0, 1], [8, 1, 3], '\ufeffname,born\r\n"Lovel""ace, Ada",1815\n\nTuring,19')
    yield "csv_bad_quote", cut(csv, [1, 0], [2, 2], '"a"b;c\n')
    yield "csv_header", cut(csv_header, [1, 0], [5, 6], "a;b\n1;2\n\n3;4;5\n")
    yield "csv_wide_delimiter", cut(csv, [3, 0], [2], "a\u00e9b\rc\u00e9d\n")
    yield "lines", cut(lines, [0, 0], [4, 1, 1], "one\r\ntwo\rthr\u00e9e")
    yield "lines_with_ends", cut(lines, [1, 0], [4, 0, 1], "one\r\ntwo\rthree\n\n")
    yield "lines_bad_utf8", bytes([lines, 0, 0, 2, 3, 1]) + b"a\r\xe2\x82x\n"
    yield "json_lines", cut(json_lines, [0], [9, 9], '{"a": [1, 2.0, -3e-2, null]}\n\n"x\\u00e9\\ud83d\\ude00"\ntrue')
    yield "json_lines_bad", cut(json_lines, [0], [3], '1\n{"a": nul}\n')
    for name, document in (("deep", "[" * 22 + "]" * 22), ("too_deep", "[" * 23 + "]" * 23), ("huge", "1e999"),
                           ("tiny", "-1e-999"), ("long", "18446744073709551616"), ("surrogate", '"\\ud800x"'),
                           ("mixed", '{"a":{"b":[0,-0,0.5E+1,"\\n\\/"]},"a":false}')):
        yield f"json_{name}", bytes([json]) + document.encode()
    yield "smtp", bytes([smtp]) + (b"EHLO a.org\nMAIL FROM:<x@a.org> SIZE=10 BODY=8BITMIME\n"
                                   b"RCPT TO:<\"q s\"@[127.0.0.1]>\nDATA\nhello\n..dot\n.\nRSET\nNOOP\nQUIT")
    yield "smtp_disorder", bytes([smtp]) + b"RCPT TO:<y@b>\nHELO [IPv6:::1]\nMAIL FROM:<>\nDATA\nVRFY y\nHELP\nTURN"


# --- commands: options, commands

SEND_OP, THROW_OP, CLOSE_OP, DELETE_OP, CREATE_OP, ADVANCE_OP, SWEEP_OP = 0, 4, 5, 6, 7, 10, 11
RUN_OP, UPDATE_OP, LIST_OP, CANCEL_OP, OTHER_OP = 14, 16, 17, 18, 19
S0, S1, NOBODY, MADE = 0, 3, 5, 6
SECONDS = {1: 0, 2: 2, 3: 3, 5: 4, 9: 5, 10: 6, 60: 7}
NULL, ONE, STOP_WORD, RAISE_WORD, BIG, SLOW = 0, 1, 4, 5, 6, 7
PRIME, IF_RETURN, IF_REPLACE, NO_ID = 16, 32, 64, 128


def commands():
    def request(name):
        return 0 if name is None else 6 + "abcdef".index(name)

    def within(seconds):
        return 0 if seconds is None else 12 + seconds

    def command(op, where, name=None, deadline=None, expected=(0,), last=()):
        return bytes([op, where, request(name), within(deadline), *expected, *last])

    def send(word=ONE, where=S0, **how):
        return command(SEND_OP, where, last=[word], **how)

    def throw(which, where=S0, **how):
        return command(THROW_OP, where, last=[which], **how)

    def close(where=S0, force=0, **how):
        return command(CLOSE_OP, where, last=[force], **how)

    def delete(where=S0, how=0, **more):
        return command(DELETE_OP, where, expected=(), last=[how], **more)

    def create(flags=PRIME, where=S0, name=None, how=0, more=()):
        session = b"" if flags & NO_ID else bytes([where])
        return bytes([CREATE_OP, flags]) + session + bytes([request(name), how, *more])

    def advance(*seconds):
        return b"".join(bytes([ADVANCE_OP, SECONDS[each]]) for each in seconds)

    sweep, run, drain = bytes([SWEEP_OP]), bytes([RUN_OP]), bytes([OTHER_OP, 15])
    slow, quick = b"\x00", b"\x03"
    new = create() + run
    life = new + send() + send() + send(STOP_WORD) + send() + run
    for name, options in (("", slow), ("_quick", quick)):
        yield f"life{name}", options + life + delete() + run
        yield f"replay{name}", options + create() + (send(name="a") * 2 + run) * 2 + send(NULL, name="a") + run
        yield f"retention{name}", options + life + advance(9) + sweep + send() + run
        yield f"slow_step{name}", options + create(how=16, more=[3]) + run + send(SLOW) + send() + sweep + run + sweep
        yield f"deletes_again{name}", options + new + delete(name="b") * 2 + run + delete(name="b") + create()
    yield "before_retention", slow + life + advance(5, 3) + sweep + run + advance(1) + sweep
    yield "refused_keeps_id_free", slow + new + send(name="a", expected=(2,)) + run + send(name="a") + run
    named = create(name="f") + run
    four = b"".join(send(name=each) + run for each in "abcd")
    yield "knows_ids", slow + named + four + send(name="a") + run + create(name="f") + run
    yield "forgets_ids", slow + named + four + send(name="e") + send(name="b") + run + send(name="a") + run
    yield "forgets_replies", slow + named + send(BIG, name="a") + send(BIG, name="b") + run + (
        send(BIG, name="a") + create(name="f") + run)
    yield "idle", slow + create(how=16, more=[6]) + run + send() + run + advance(5) + sweep + run + advance(10) + sweep
    yield "expires", slow + create(how=32, more=[4]) + send() + advance(3) + sweep + advance(1) + sweep + run + (
        advance(9) + sweep)
    yield "expires_when_finished", slow + create(how=32, more=[0]) + close() + sweep + run
    yield "gives_in", slow + create(how=8) + run + delete() + run
    yield "stubborn", slow + create(how=12) + run + close() + run + close(force=1) + run + (
        create(IF_REPLACE | PRIME, how=12) + delete() + run)
    yield "replaced", slow + life + create(IF_REPLACE | PRIME) + send() + run + advance(9) + sweep + send() + run
    yield "deadline", slow + new + send(deadline=1) + send() + advance(2) + run
    late = create(PRIME, how=128, name="a", more=[within(0), 0, 0])
    yield "prime_too_late", slow + late + create(PRIME, name="a") + advance(1) + run
    yield "made_ids", slow + create(NO_ID | PRIME, name="a") + create(NO_ID) + run + (
        create(NO_ID | PRIME, name="a") + send(where=MADE) + run)
    yield "throws", slow + new + b"".join(throw(which) for which in (0, 2, 1, 3)) + run + throw(2) + run
    yield "brief", slow + create(13 | PRIME, how=4) + run + create(13 | PRIME | IF_REPLACE) + run + send() + run
    yield "queue_full", slow + new + send() * 4 + bytes([CANCEL_OP]) + run
    yield "full", slow + b"".join(create(0, where=each) for each in (S0, S1, 4)) + create(NO_ID) * 3 + (
        bytes([LIST_OP, 1, 1]))
    yield "update", slow + new + bytes([UPDATE_OP, S0, 3]) + bytes([LIST_OP, 16, 0]) + (
        bytes([UPDATE_OP, S0, 12, 4]) + advance(3) + sweep + run)
    yield "drain", slow + create(name="a") + create(0, where=S1) + run + send() + drain + send() + (
        create(name="a") + run)


# --- scripts: 1 for a raw source, number of command bytes, commands, source


def scripts():
    close, key_error, exit_, next_ = b"\x00", b"\x01\x07", b"\x02", b"\x06"

    def raw(commands, source):
        return bytes([1, len(commands)]) + commands + source.encode()

    def body(commands, source):
        return raw(commands, f"return function(a)\n{source}\nend")

    yield "averager", body(next_ + b"\x03\x05" * 3 + close,
                           "local n, sum = 0, 0 while true do sum = sum + (yield(sum / (n + 1)) or 0) n = n + 1 end")
    yield "catches", body(key_error * 2 + next_ + exit_,
                          "while true do local ok, e = pcall(yield, 1) if not ok then yield{e.type, e.message} end end")
    yield "handles", body(key_error + next_, "xpcall(yield, function(e) yield(e.type) error{type = 'X', cause = e} end, 1)")
    yield "finalizers", body(next_ + close, "finally(function(e) yield(e and e.type) end) "
                                            "local _ <close> = finally(function() yield(2) end) yield(1) error('x')")
    yield "metatables", body(next_, "local mt = {} local t = setmetatable({}, mt) mt.__index = function(t, k) return k end "
                                    "mt.__newindex = t mt.__len = rawlen mt.__eq = rawequal mt.x = t.y return pairs(mt)")
    yield "coroutines", body(next_, "local co = coroutine.wrap(function(...) while true do coroutine.yield(...) end end) "
                                    "co(1) co(2) local d = coroutine.create(co) coroutine.resume(d) coroutine.close(d)")
    yield "tables", body(b"\x04" * 2, "local t = yield() t.z, t[1] = 1, 2 t[3] = 3 for k, v in pairs(t) do t[k] = nil end "
                                      "table.insert(t, 1) table.sort(t) yield(t) return #t, next(t)")
    yield "texts", body(b"\x05\x03abc", "local s = tostring(yield()) return (s:rep(9):gsub('%w', {a = 1}):find('(.-)b')), "
                                         "string.format('%q %5.2s %x', s, s, #s), s:byte(1, -1)")
    yield "budget", body(next_, "local t = setmetatable({}, {__close = function() while true do end end}) "
                                "pcall(function() local x <close> = t while true do end end) return 1")
    yield "memory", body(next_, "local s = 'x' while true do s = s .. s end")
    yield "cyclic", body(next_, "local _, e = pcall(error, {type = 'X'}) e.arguments = {e} e.cause = e return e")
    yield "restartable", raw(next_ * 3, "return {state = {n = 0}, run = function(s) while true do s.n = s.n + 1 yield(s) end end}")
    yield "constructors", raw(next_, "local t = {1, a = {}, [2] = {f = {...}}, ...} return function() return {t, #t, (t)} end")
    yield "no_lua", raw(b"", "return function( {]] --[==[ '\\z")
    yield "written", bytes([0, 4]) + next_ * 4 + bytes(range(0, 250, 3))
    yield "written_too", bytes([0, 2]) + key_error + bytes(range(249, 0, -2))


# --- tokens: the parser, its text


def tokens():
    unsigned, identities, keys, signed = (bytes([parser]) for parser in range(4))

    def token(header, claims, signature):
        return unsigned + b".".join(base64.urlsafe_b64encode(part).rstrip(b"=")
                                    for part in (header.encode(), claims.encode(), signature))

    claims = '{"iss": "i", "aud": ["b", "a"], "sub": "ada", "namespace": "n", "role": "drive", "exp": 1900000009.5, "nbf": 1, "iat": 1}'
    yield "unsigned_rsa", token('{"alg": "RS256", "kid": "r", "typ": "JWT"}', claims, b"s" * 256)
    yield "unsigned_curve", token('{"alg": "ES256", "kid": "e", "x5c": ["AAAA"]}', claims, b"s" * 64)
    yield "unsigned_edwards", token('{"alg": "EdDSA", "jku": "https://127.0.0.1:1/"}', claims, b"s" * 64)
    yield "unsigned_none", token('{"alg": "none"}', claims, b"")
    yield "signed", signed + b'{"alg": "EdDSA", "kid": "d"}\n' + claims.encode()
    yield "signed_audience", signed + b'{"alg": "EdDSA"}\n' + claims.replace('["b", "a"]', '"a"').encode()
    yield "signed_expired", signed + b'{"alg": "EdDSA"}\n' + claims.replace("1900000009.5", "1e9").encode()
    yield "signed_crit", signed + b'{"alg": "EdDSA", "crit": ["exp"], "zip": "DEF"}\n' + claims.encode()
    yield "identities", identities + (b"# people\nada n admin sha256:" + b"a0" * 16 + b":" + b"b1" * 32 +
                                      b" # a token\nada n admin certificate:ada.example.org\nbob default drive certificate:spiffe://e/b\r\n")
    yield "identities_bad", identities + b"ada n drive certificate:c\nbob n drive certificate:c\n"
    yield "keys", keys + (b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "d", "alg": "EdDSA", "use": "sig", "key_ops": ["verify"], '
                          b'"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}')
    yield "keys_curve", keys + (b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", '
                                b'"y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}, {"kty": "oct", "k": "AAAA"}]}')
    yield "keys_left_out", keys + b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "x5c": ["AAAA"]}]}'


def main():
    for target in (value_decoding, coroutines, parsers, commands, scripts, tokens):
        folder = SEEDS / target.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in target():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
