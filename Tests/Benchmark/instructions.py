#!/usr/bin/env python3
"""Counts the instructions that Remora takes for one translated call.

    Tests/setup profile && Tests/Benchmark/instructions.py [--keep DIRECTORY] [PROGRAM...]

Each PROGRAM (.build/release/remora) runs twice under callgrind, and serves 1,024 calls and then 5,120: the difference of the sums, divided
by the 4,096 calls more, is what a call takes, without the start and the end of the program. The calls are those of run.py, before
`legacy-demo`, which answers at once. 32 connections are kept; a call is sent on each, then all answers are read, again and again.

It takes about ten seconds a program, and repeats to 0.3 %. With --keep the profiles of the longer runs stay in DIRECTORY, as 1.calls and
so on, for `callgrind_annotate`; for the names of functions a program must be built without `-Xlinker -s`.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import sys
import tempfile
from pathlib import Path

import run

IN_FLIGHT = 32
FEW, MANY = 1024, 5120
"""Calls of the two runs."""
TEXT = "Remora Remora Remora Remora Remo"
"""Of the answer: 32 bytes, as in run.py."""
PATIENCE = 120.0
"""Seconds within which everything has to start and end: a program takes fifty times as long under callgrind."""


def message(address: str) -> bytes:
    headers, body = run.modern_request(TEXT)
    lines = [f"{name}: {value}" for name, value in {"Host": address, **headers, "Content-Length": str(len(body))}.items()]
    return "\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body


class Caller:
    """A kept connection, with a call on it at a time."""

    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.message = message(address)
        self.expected = b"HTTP/1.1 200 "

    def call(self) -> None:
        self.socket.sendall(self.message)

    def read(self) -> None:
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + self.length(answer[:end]):
            answer += self.socket.recv(65536) or sys.exit(f"the connection ended after {answer!r}")
        if not answer.startswith(self.expected) or TEXT.encode() not in answer:
            sys.exit(f"Remora answers {answer!r}")

    @staticmethod
    def length(head: bytes) -> int:
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        return int(found[1]) if found else sys.exit(f"an answer without a length: {head!r}")


def count(program: str, calls: int, backend: str, profile: Path) -> int:
    """Instructions of a whole run."""
    with tempfile.TemporaryDirectory(prefix="remora-instructions-") as name:
        configuration, output = Path(name, "remora.yaml"), Path(name, "remora.log")
        configuration.write_text(run.REMORA.format(backend=backend, tls=""))
        command = (run.program("valgrind"), "-q", "--tool=callgrind", f"--callgrind-out-file={profile}")
        with run.running(*command, program, "-c", str(configuration), output=output) as process:
            address = run.listening(process, output)
            callers = [Caller(address) for _ in range(IN_FLIGHT)]
            for _ in range(calls // IN_FLIGHT):
                for caller in callers:
                    caller.call()
                for caller in callers:
                    caller.read()
            for caller in callers:
                caller.socket.close()
    found = re.search(r"(?m)^(?:summary|totals): (\d+)", profile.read_text())
    return int(found[1]) if found else sys.exit(f"no sum in {profile}: did {program} end by itself?")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="(.build/release/remora)")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="where the profiles of the longer runs go")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    run.WAIT = PATIENCE
    with contextlib.ExitStack() as parts:
        directory = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="remora-instructions-")))
        output = directory / "backend.log"
        command = (run.binary("legacy-demo"), "--listen", "127.0.0.1:0")
        backend = run.listening(parts.enter_context(run.running(*command, output=output)), output)
        keep = options.keep or directory
        keep.mkdir(parents=True, exist_ok=True)
        for number, program in enumerate(options.programs or [run.binary("remora")], 1):
            few = count(program, FEW, backend, directory / "few.calls")
            many = count(program, MANY, backend, keep / f"{number}.calls")
            print(f"{program}: {(many - few) / (MANY - FEW):,.0f} instructions a call", flush=True)


if __name__ == "__main__":
    main()
