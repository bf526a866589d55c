"""Runs a stdio server and remembers what it is told and what it says.

    stdio_tap.py FILE COMMAND...

It stands between a client and the command, copies both ways, and appends to the file, for each line, a JSON object with the
process (`session`), who wrote it (`client` or `server`) and the `text`. Several may share a file. It ends as the command
does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import IO


def copy(source: IO[bytes], target: IO[bytes], side: str, recording: int) -> None:
    for line in source:
        entry = {"session": os.getpid(), "side": side, "text": line.decode("utf-8", errors="surrogateescape")}
        os.write(recording, json.dumps(entry).encode() + b"\n")
        try:
            target.write(line)
            target.flush()
        except BrokenPipeError:
            return


def main() -> int:
    recording = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None

    def forward() -> None:
        copy(sys.stdin.buffer, child.stdin, "client", recording)
        try:
            child.stdin.close()
        except BrokenPipeError:
            pass

    threading.Thread(target=forward, daemon=True).start()
    copy(child.stdout, sys.stdout.buffer, "server", recording)
    return child.wait()


if __name__ == "__main__":
    # The thread may still be reading: nothing waits for it.
    status = main()
    sys.stdout.flush()
    os._exit(status if status >= 0 else 1)
