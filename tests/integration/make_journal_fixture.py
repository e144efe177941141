"""Makes the data directory of today's format that later releases are held to (journal_format_test.py).

Usage: COROD_BIN=build/bin/corod PYTHONPATH=build/python:tests/conformance python3 make_journal_fixture.py NAME
Run in this folder, once for each released format, before it is released; writes data/NAME.tar.xz and data/NAME.json.
"""
import json
import os
import signal
import sys
import tarfile
import tempfile

import corod_testing as testing
import stored_sessions

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


def start(data_dir):
    return testing.Server(testing.binary("COROD_BIN"), *stored_sessions.FLAGS, data_dir=data_dir)


def pack(data_dir, path):
    """Without what says when and by whom."""
    def plain(info):
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info if info.isreg() or info.isdir() else None

    with tarfile.open(path, "w:xz", preset=9) as tar:
        tar.add(data_dir, "data", filter=plain)


def unpack(path, directory):
    """Returns the data directory."""
    with tarfile.open(path) as tar:
        tar.extractall(directory)
    return os.path.join(directory, "data")


def make(data_dir):
    """Leaves it as a server leaves it that was killed in the middle of its work."""
    server = start(data_dir)
    stored_sessions.populate(server.client())
    server.stop()  # what there is now is in tables, and asleep
    server = start(data_dir)
    client = server.client()
    stored_sessions.populate_more(client)
    with testing.DriveCall(client) as call:
        call.write(*stored_sessions.batch())
        first, = call.read()
        assert first.step == 2, first
        server.terminate(signal.SIGKILL)
        server.wait(-signal.SIGKILL)


def describe(data_dir):
    server = start(data_dir)
    try:
        return stored_sessions.describe(server.client())
    finally:
        server.stop()


def main(name):
    with tempfile.TemporaryDirectory() as directory:
        data_dir = os.path.join(directory, "made")
        make(data_dir)
        path = os.path.join(DATA, name + ".tar.xz")
        pack(data_dir, path)
        described = describe(unpack(path, directory))
    with open(os.path.join(DATA, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(described, file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(f"{path}: {os.path.getsize(path)} bytes, {len(described['sessions'])} sessions")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
