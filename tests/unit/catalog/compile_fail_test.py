"""Compiles compile_fail/*.cc: each must fail with the message after "// error: " on its first line, or, with "// compiles",
must not fail.

    compile_fail_test.py --compiler PATH --include DIRECTORY
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HEADERS = """
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include "server/catalog/registration.h"
"""


def wrong_with(path, command):
    """What is wrong, or None."""
    first_line = path.read_text().splitlines()[0]
    compiled = subprocess.run([*command, str(path)], capture_output=True, text=True)
    if first_line == "// compiles":
        return compiled.stderr if compiled.returncode != 0 else None
    if not first_line.startswith("// error: "):
        return "its first line is neither '// compiles' nor '// error: ...'"
    message = first_line.removeprefix("// error: ")
    if compiled.returncode == 0:
        return f"compiles, though it should not: {message}"
    return None if message in compiled.stderr else f"expected: {message}\n{compiled.stderr}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True)
    options = parser.parse_args()
    command = [options.compiler, "-std=c++20", "-I", options.include]
    paths = sorted((Path(__file__).parent / "compile_fail").glob("*.cc"))
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        # What takes most of the time of each is compiled once.
        compiled = Path(directory, "headers.pch")
        subprocess.run([*command, "-x", "c++-header", "-", "-o", compiled], input=HEADERS, text=True, check=True)
        for path in paths:
            wrong = wrong_with(path, [*command, "-fsyntax-only", "-include-pch", str(compiled)])
            if wrong:
                failed += 1
                print(f"{path.name}: {wrong}")
    print(f"{len(paths)} files, {failed} failed")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
