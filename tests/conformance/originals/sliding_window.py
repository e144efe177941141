from collections import deque


def sliding_window(size):
    buf = deque(maxlen=size)
    while True:
        x = yield list(buf)
        buf.append(x)
