from .chunks import ChunkDecoder, malformed


class LineReader:
    def __init__(self, keep_ends):
        self.keep_ends = keep_ends
        self.decoder = ChunkDecoder()
        self.line = ""
        self.ended = 0
        self.complete = []

    def end_line(self):
        self.complete.append(self.line if self.keep_ends else self.line.removesuffix("\n").removesuffix("\r"))
        self.line = ""
        self.ended += 1

    def read(self, chunk):
        self.complete = []
        text, bad = self.decoder.decode(chunk)
        for character in text:
            if self.line.endswith("\r") and character != "\n":
                self.end_line()
            self.line += character
            if character == "\n":
                self.end_line()
        if bad:
            if self.line.endswith("\r"):
                self.end_line()
            raise malformed(self.ended + 1, len(self.line) + 1, bad, self.complete)
        return self.complete

    def finish(self):
        bad = self.decoder.at_end()
        if bad:
            raise malformed(self.ended + 1, len(self.line) + 1, bad, [])
        if not self.line:
            return None
        self.end_line()
        return self.complete[-1]


def line_splitter(keep_ends=False):
    reader = LineReader(keep_ends)
    lines = []
    while True:
        try:
            chunk = yield lines
        except GeneratorExit:
            return reader.finish()
        lines = reader.read(chunk)
