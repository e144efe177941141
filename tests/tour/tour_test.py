"""Runs the README's tour: every command of its console blocks, in order, against a server of the test's own.

In a block a line that begins with "$ " is a command, typed in the repository's root; what follows up to the next command is
what it prints, stdout and stderr, where "..." stands for any text. A block that is marked `python` is a file, named by its
first line: "# NAME"; so is one that is marked `lua`: "-- NAME". One that is marked `cpp` stands so in a built-in coroutine. `make run` is not typed: the server that the
test starts stands for it, on a port of its own.

Usage: tour_test.py REPOSITORY COROD COROCTL
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile


KILL = "kill -9 $(pidof corod)"


def tour_blocks(readme):
    """The blocks of the tour as (kind, text)."""
    tour = re.search(r"^## A five-minute tour$(.*?)^## ", readme, re.M | re.S)
    if not tour:
        sys.exit("README.md has no section '## A five-minute tour'")
    return re.findall(r"^```(console|python|lua|cpp)\n(.*?)^```$", tour.group(1), re.M | re.S)


def commands_of(block):
    """The commands of a console block as [command, expected output]."""
    commands = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append([line[2:], ""])
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1][0] += "\n" + line[2:]
        else:
            commands[-1][1] += line + "\n"
    return commands


def matches(expected, printed):
    pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
    return re.fullmatch(pattern, printed.rstrip(), re.S) is not None


def start_server(corod, data_dir, listen="127.0.0.1:0"):
    server = subprocess.Popen([corod, "--listen", listen, "--data-dir", data_dir], stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().split()[-1]


def main():
    repository, corod, coroctl = sys.argv[1:]
    with open(os.path.join(repository, "README.md"), encoding="utf-8") as file:
        blocks = tour_blocks(file.read())
    sources = [path.read_text() for path in (pathlib.Path(repository) / "server/catalog/builtin").glob("*.cc")]
    place = tempfile.mkdtemp(prefix="corod-tour-")
    # The tour is typed where README.md stands; it may write files, so it runs in a copy of what it reads.
    for name in ("proto", "docs", "README.md", "LICENSE"):
        os.symlink(os.path.join(repository, name), os.path.join(place, name))
    os.makedirs(os.path.join(place, "build", "bin"))
    os.symlink(coroctl, os.path.join(place, "build", "bin", "coroctl"))
    data_dir = os.path.join(place, "corod-data")
    server, address = start_server(corod, data_dir)
    environment = dict(os.environ, COROD_SERVER=address, PATH="/usr/bin:/bin")
    failures = ran = 0
    try:
        for kind, block in blocks:
            if kind == "cpp":
                if not any(block in source for source in sources):
                    failures += 1
                    print(f"no built-in coroutine has this code:\n{block}")
                continue
            if kind in ("python", "lua"):
                name = block.splitlines()[0].removeprefix("# ").removeprefix("-- ").strip()
                with open(os.path.join(place, name), "w", encoding="utf-8") as file:
                    file.write(block.replace("127.0.0.1:7117", address))
                continue
            for command, expected in commands_of(block):
                if command == KILL:
                    server.kill()
                    server.wait(timeout=60)
                    continue
                if command.startswith("make "):
                    if server.poll() is not None:
                        server, _ = start_server(corod, data_dir, address)
                    continue
                done = subprocess.run(["bash", "-c", command], cwd=place, env=environment, text=True, timeout=60,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
                ran += 1
                if not matches(expected, done.stdout):
                    failures += 1
                    print(f"$ {command}\n--- the README says\n{expected}--- it printed\n{done.stdout}")
    finally:
        server.send_signal(signal.SIGTERM)
        if server.wait(timeout=60) != 0:
            failures += 1
            print(f"the server ended with {server.returncode}")
        shutil.rmtree(place)
    print(f"{ran} commands, {failures} failures")
    sys.exit(1 if failures or ran < 10 else 0)


if __name__ == "__main__":
    main()
