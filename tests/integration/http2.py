"""HTTP/2 (RFC 9113) by hand, without TLS, for what gRPC's clients do not do: calls whose message never ends."""
import socket
import struct
import threading

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
ENHANCE_YOUR_CALM = 11  # an error code
FRAME_BYTES = 16384
CONNECTION = 0  # in the place of a stream


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field without indexing (RFC 7541); both shorter than 127 bytes."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


class Connection:
    """`ended` says how streams ended, by number: RST_STREAM's error code, or None by an answer. `goaway` is what the server
    said when it ended the connection: an error code and a text.
    """

    def __init__(self, address, seconds):
        host, port = address.rsplit(":", 1)
        self.seconds = seconds  # that the server may give no room for more
        self.ended = {}
        self.goaway = None
        self.pongs = 0
        self.socket = socket.create_connection((host, int(port)))
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.initial_window = 65535
        self.windows = {CONNECTION: 65535}
        self.streams = 0
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, CONNECTION))
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server did
        self.reader.join()
        self.socket.close()

    def call(self, path, size):
        """Begins a call with a message of that size, and sends all of it but the last byte. Says whether all was taken."""
        with self.changed:
            self.streams += 1
            stream = 2 * self.streams - 1
            self.windows[stream] = self.initial_window
        # :method POST and :scheme http are in HPACK's static table.
        head = (b"\x83\x86" + literal(b":path", path.encode()) + literal(b":authority", b"corod") +
                literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers"))
        self.send(frame(HEADERS, END_HEADERS, stream, head))
        rest = memoryview(struct.pack(">BI", 0, size) + bytes(size - 1))
        while rest:
            with self.changed:
                self.changed.wait_for(lambda: self.room(stream) > 0 or self.is_over(stream), self.seconds)
                taken = min(len(rest), FRAME_BYTES, self.room(stream))
                if taken <= 0 or self.is_over(stream):
                    return False
                for window in (CONNECTION, stream):
                    self.windows[window] -= taken
            self.send(frame(DATA, 0, stream, rest[:taken]))
            rest = rest[taken:]
        return True

    def ping(self, times=1):
        """Sends that many pings at once. Says whether each was answered."""
        with self.changed:
            answered = self.pongs + times
        self.send(times * frame(PING, 0, CONNECTION, bytes(8)))
        with self.changed:
            self.changed.wait_for(lambda: self.pongs == answered or self.is_over(CONNECTION), self.seconds)
            return self.pongs == answered

    def is_ended_within(self, seconds):
        with self.changed:
            return self.changed.wait_for(lambda: self.is_over(CONNECTION), seconds)

    def send(self, frames):
        with self.sending:
            self.socket.sendall(frames)

    def room(self, stream):
        return min(self.windows[CONNECTION], self.windows[stream])

    def is_over(self, stream):
        return stream in self.ended or CONNECTION in self.ended

    def read(self):
        try:
            while True:
                head = self.exactly(9)
                payload = self.exactly(int.from_bytes(head[:3], "big"))
                with self.changed:
                    self.take(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
                    self.changed.notify_all()
        except (EOFError, OSError):
            with self.changed:
                self.ended[CONNECTION] = None
                self.changed.notify_all()

    def exactly(self, size):
        got = b""
        while len(got) < size:
            part = self.socket.recv(size - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == INITIAL_WINDOW_SIZE:
                    for window in self.windows.keys() - {CONNECTION}:
                        self.windows[window] += value - self.initial_window
                    self.initial_window = value
            self.send(frame(SETTINGS, ACK, CONNECTION))
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, self.initial_window) + int.from_bytes(payload, "big")
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == PING:
            self.send(frame(PING, ACK, CONNECTION, payload))
        elif kind == RST_STREAM:
            self.ended[stream] = int.from_bytes(payload, "big")
        elif kind == HEADERS:
            self.ended.setdefault(stream, None)
        elif kind == GOAWAY:
            self.ended[CONNECTION] = None
            self.goaway = int.from_bytes(payload[4:8], "big"), payload[8:].decode()
