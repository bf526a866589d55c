"""Clients that all listen to the same, from a process of their own so that they slow no one's clock.

    crowd.py ADDRESS COUNT FILTER

FILTER is the `notifications` of `subscriptions/listen`, as JSON. Prints {"event":"open"} when all are acknowledged. Then,
each time that something has come to every one of them, {"event":"notice","ms":...,"closed":...}: how long that took from the
first to the last, and how many have lost their connection. Ends when it is killed.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from .modern import encode, request

AT_ONCE = 100


class Crowd:
    def __init__(self, address: str, count: int, filter: dict[str, object]) -> None:
        self.address = address
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.closed = 0
        message = request("subscriptions/listen", {"notifications": filter}, id="listen")
        self.request = encode(message, host=address)
        for start in range(0, count, AT_ONCE):
            self.open(min(AT_ONCE, count - start))

    def open(self, count: int) -> None:
        host, port = self.address.rsplit(":", 1)
        waiting = set()
        for _ in range(count):
            new = socket.create_connection((host, int(port)))
            new.sendall(self.request)
            new.setblocking(False)
            self.sockets[new.fileno()] = new
            self.poll.register(new, select.EPOLLIN)
            waiting.add(new.fileno())
        while waiting:
            waiting -= self.read(b"acknowledged")

    def read(self, word: bytes) -> set[int]:
        """The connections on which `word` came, as soon as something comes."""
        found = set()
        for number, _ in self.poll.poll():
            text = self.sockets[number].recv(65536)
            if word in text:
                found.add(number)
            if not text:
                self.poll.unregister(number)
                self.closed += 1
                found.add(number)
        return found

    def notice(self) -> float:
        """Waits until something has come to all. The time from the first to the last, in milliseconds."""
        waiting = set(self.sockets)
        waiting -= self.read(b"data:")
        first = time.perf_counter()
        while waiting:
            waiting -= self.read(b"data:")
        return (time.perf_counter() - first) * 1000


def main(address: str, count: int, filter: dict[str, object]) -> None:
    crowd = Crowd(address, count, filter)
    print(json.dumps({"event": "open"}), flush=True)
    while not crowd.closed:
        print(json.dumps({"event": "notice", "ms": crowd.notice(), "closed": crowd.closed}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
