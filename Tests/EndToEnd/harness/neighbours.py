"""Callers who behave, and a prober of `/healthz`, from a process of their own: what they notice is not what the test's process is busy with.

    neighbours.py ADDRESS ADMIN SECONDS AUTHORITY PRINCIPAL...

With the file of an authority, or "" for plain TCP, principals connect over TLS. Each makes one call after the other. Prints one line
at the end: the durations of calls and probes in seconds, and what was refused.

Each of them has a thread and a socket that blocks, and looks at an answer when its time is taken: one that shares an event loop
would measure how long it takes to read the answers of the others.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

from .blocking import connect, trust
from .modern import call, encode

TIMEOUT = 20
"""Seconds after which a call counts as refused."""


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of an answer whose length is said."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += received(connection)
    head, body = data[:end].lower(), data[end + 4 :]
    length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += received(connection)
    return head, body


def received(connection: socket.socket) -> bytes:
    if data := connection.recv(65536):
        return data
    raise ConnectionError("closed in the middle of an answer")


class Watch:
    def __init__(self, address: str, admin: str, seconds: float, authority: str) -> None:
        self.address = address
        self.admin = admin
        self.end = time.monotonic() + seconds
        self.tls = trust(authority)
        self.calls: list[float] = []
        self.probes: list[float] = []
        self.refused: list[str] = []

    def neighbour(self, principal: str) -> None:
        message = encode(call("echo", {"text": principal}), host=self.address, Authorization=f"Bearer {principal}")
        connection: socket.socket | None = None
        while time.monotonic() < self.end:
            start = time.monotonic()
            try:
                connection = connection or connect(self.address, self.tls, TIMEOUT)
                connection.sendall(message)
                head, body = read_answer(connection)
            except (OSError, ValueError) as error:
                self.refused.append(f"{principal}: {error!r}")
                connection = None
                continue
            finally:
                self.calls.append(time.monotonic() - start)
            if not head.startswith(b"http/1.1 200 ") or "result" not in json.loads(body):
                self.refused.append(f"{principal}: {head!r} {body!r}")
            time.sleep(0.005)

    def prober(self) -> None:
        while time.monotonic() < self.end:
            start = time.monotonic()
            try:
                with connect(self.admin, timeout=TIMEOUT) as connection:
                    connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {self.admin}\r\n\r\n".encode())
                    read_answer(connection)
            except (OSError, ValueError) as error:
                self.refused.append(f"/healthz: {error!r}")
            self.probes.append(time.monotonic() - start)
            time.sleep(0.02)


def main(address: str, admin: str, seconds: float, authority: str, *principals: str) -> None:
    watch = Watch(address, admin, seconds, authority)
    threads = [threading.Thread(target=watch.neighbour, args=[each]) for each in principals]
    threads.append(threading.Thread(target=watch.prober))
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(json.dumps({"event": "seen", "calls": watch.calls, "probes": watch.probes, "refused": watch.refused}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:])
