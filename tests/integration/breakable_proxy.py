"""A TCP connection to a server that can lose what the server says, and break."""
import contextlib
import socket
import struct
import threading


class BreakableProxy:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self._server = host, int(port)
        self._lock = threading.Lock()
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def lose_replies(self):
        """From now on the server is not heard on the connections that there are."""
        with self._lock:
            for connection in self._connections:
                connection.is_deaf.set()

    def cut(self):
        """Breaks every connection; new ones are taken."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.cut()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            connection = _Connection(client, socket.create_connection(self._server))
            with self._lock:
                self._connections.append(connection)
            connection.start()


class _Connection:
    def __init__(self, client, server):
        self.is_deaf = threading.Event()
        self._client = client
        self._server = server

    def start(self):
        for forward in self._forward_requests, self._forward_replies:
            threading.Thread(target=forward, daemon=True).start()

    def cut(self):
        for end in self._client, self._server:
            # Closed with a reset, as when the machine is gone.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):  # it had gone by itself
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _forward_requests(self):
        with contextlib.suppress(OSError):  # cut
            while data := self._client.recv(65536):
                self._server.sendall(data)
            self._server.shutdown(socket.SHUT_RDWR)

    def _forward_replies(self):
        with contextlib.suppress(OSError):  # cut
            while data := self._server.recv(65536):
                if not self.is_deaf.is_set():
                    self._client.sendall(data)
            self._client.shutdown(socket.SHUT_RDWR)
