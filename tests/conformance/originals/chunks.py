"""What the parsers share: text that arrives in chunks, and errors that say where in it they are."""
import codecs


def malformed(line, column, what, parsed):
    """The ValueError of malformed input; its str() is `message_of` it."""
    return ValueError(f"line {line}, column {column}: {what}", {"line": line, "column": column, "parsed": parsed})


class ChunkDecoder:
    def __init__(self):
        self.unfinished = b""
        self.at_start = True

    def decode(self, chunk):
        """The text that has become complete, and what is wrong with the byte behind it or None."""
        if chunk is None:
            chunk = b""
        elif isinstance(chunk, str):
            chunk = chunk.encode()
        elif not isinstance(chunk, bytes):
            raise TypeError(f"chunk must be str or bytes, not {type(chunk).__name__}")
        data = self.unfinished + chunk
        bad = None
        try:
            text, used = codecs.utf_8_decode(data, "strict", False)
            self.unfinished = data[used:]
            if self.unfinished[:1] == b"\xed" and self.unfinished[1:2] >= b"\xa0":
                bad = "invalid UTF-8: byte 0xED"  # a surrogate: CPython waits for its third byte
        except UnicodeDecodeError as error:
            text = data[:error.start].decode()
            bad = f"invalid UTF-8: byte 0x{data[error.start]:02X}"
        if text and self.at_start:
            self.at_start = False
            text = text.removeprefix("\ufeff")
        return text, bad

    def at_end(self):
        """What is wrong if the text ends here, or None."""
        return "the text ends inside a UTF-8 character" if self.unfinished else None


def describe(character):
    return f"'{character}'" if " " <= character <= "~" else f"U+{ord(character):04X}"
