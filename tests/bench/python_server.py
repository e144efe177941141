"""A gRPC server in Python around real generators: Create and Send of corod.v1.CoroutineService for an averager.

Prints "... is ready on HOST:PORT" when it serves; ends on SIGTERM. PYTHONPATH holds the stubs.
"""
import concurrent.futures
import signal
import threading

import grpc
from corod.v1 import coroutine_service_pb2 as api
from corod.v1 import coroutine_service_pb2_grpc, session_pb2, value_pb2

THREADS = 8


def averager():
    total = 0.0
    n = 0
    while True:
        x = yield (total / n if n else None)
        total += x
        n += 1


class Session:
    """A generator, which one thread at a time may resume."""

    def __init__(self):
        self.lock = threading.Lock()
        generator = averager()
        next(generator)
        self.send = generator.send
        self.step = 1


class Coroutines(coroutine_service_pb2_grpc.CoroutineServiceServicer):
    def __init__(self):
        self.sessions = {}

    def Create(self, request, context):
        self.sessions[request.session_id] = Session()
        return api.CreateResponse()

    def Send(self, request, context):
        session = self.sessions[request.session_id]
        with session.lock:
            session.step += 1
            step = session.step
            average = session.send(request.value.integer)
        return api.SendResponse(outcome=session_pb2.Outcome(step=step, yielded=value_pb2.Value(number=average)))


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    coroutine_service_pb2_grpc.add_CoroutineServiceServicer_to_server(Coroutines(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print(f"python is ready on 127.0.0.1:{port}", flush=True)
    stop.wait()
    server.stop(None).wait()


main()
