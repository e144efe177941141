from .chunks import ChunkDecoder, describe, malformed

RECORD_START, FIELD_START, FIELD, QUOTED, QUOTE_IN_QUOTED = range(5)


class CsvReader:
    def __init__(self, delimiter, header):
        self.delimiter = delimiter
        self.header = header
        self.decoder = ChunkDecoder()
        self.state = RECORD_START
        self.line, self.column = 1, 1
        self.field_at = (1, 1)
        self.after_carriage_return = False
        self.field = ""
        self.fields = []
        self.names = None
        self.complete = []

    def refuse(self, place, what):
        return malformed(*place, what, self.complete)

    def read(self, chunk):
        self.complete = []
        text, bad = self.decoder.decode(chunk)
        for c in text:
            if not (c == "\n" and self.after_carriage_return and self.state == RECORD_START):
                self.take(c)
            self.advance(c)
        if bad:
            raise self.refuse((self.line, self.column), bad)
        return self.complete

    def finish(self):
        self.complete = []
        bad = self.decoder.at_end()
        if bad:
            raise self.refuse((self.line, self.column), bad)
        if self.state == QUOTED:
            raise self.refuse(self.field_at, "the quoted field is not closed")
        if self.state == RECORD_START:
            return None
        if self.state == FIELD_START:
            self.field_at = (self.line, self.column)
        self.end_field()
        self.end_record()
        return self.complete[0] if self.complete else None

    def take(self, c):
        if self.state == RECORD_START:
            if c in "\r\n":
                self.end_record()
                return
            self.state = FIELD_START
        if self.state == FIELD_START:
            self.field_at = (self.line, self.column)
            if c == '"':
                self.state = QUOTED
                return
            self.state = FIELD
        if self.state == FIELD:
            if not self.ends_field(c):
                self.field += c
        elif self.state == QUOTED:
            if c == '"':
                self.state = QUOTE_IN_QUOTED
            else:
                self.field += c
        elif c == '"':
            self.field += c
            self.state = QUOTED
        elif not self.ends_field(c):
            raise self.refuse((self.line, self.column), f"expected {describe(self.delimiter)} or the end of the line "
                                                        f"after the quoted field, not {describe(c)}")

    def ends_field(self, c):
        if c in "\r\n":
            self.end_field()
            self.end_record()
            return True
        if c != self.delimiter:
            return False
        self.end_field()
        self.state = FIELD_START
        if self.names is not None and len(self.fields) == len(self.names):
            raise self.refuse((self.line, self.column + 1), f"more fields than the header ({len(self.names)})")
        return True

    def end_field(self):
        if self.header and self.names is None and self.field in self.fields:
            raise self.refuse(self.field_at, "the header has this name twice")
        self.fields.append(self.field)
        self.field = ""

    def end_record(self):
        self.state = RECORD_START
        fields, self.fields = self.fields, []
        if not self.header:
            self.complete.append(fields)
        elif not fields:
            pass
        elif self.names is None:
            self.names = fields
        elif len(fields) < len(self.names):
            raise self.refuse((self.line, self.column),
                              f"fewer fields ({len(fields)}) than the header ({len(self.names)})")
        else:
            self.complete.append(dict(zip(self.names, fields)))

    def advance(self, c):
        if c not in "\r\n":
            self.column += 1
        elif c == "\r" or not self.after_carriage_return:
            self.line, self.column = self.line + 1, 1
        self.after_carriage_return = c == "\r"


def csv_parser(delimiter=",", header=False):
    reader = CsvReader(delimiter, header)
    records = []
    while True:
        try:
            chunk = yield records
        except GeneratorExit:
            return reader.finish()
        records = reader.read(chunk)
