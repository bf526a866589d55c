"""One caller that does one thing as fast as its sockets take it, from a process of its own so that it slows no one's clock.

    force.py ADDRESS KIND [COUNT [AUTHORITY]]

With the file of an authority it connects over TLS.

Prints {"event":"going"} once it has been answered, and each second {"event":"second","answers":...}: how many answers, or reads of
an endless one, there were. Ends when it is killed.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import ssl
import sys
import time

from .blocking import connect, trust
from .modern import OMIT, call, encode, request

BLOCK = 256 * 1024
CALLER = {"Authorization": "Bearer forceful"}
ASKED = {"elicitation": {"form": {}}}


def pipelined(address: str) -> dict[str, bytes]:
    """Requests that are answered without waiting for anybody."""
    return {
        "wrong path": encode(call("x"), host=address, target="/nothing", **CALLER),
        "unknown method": encode(request("no/such"), host=address, **CALLER),
        "notifications": encode(request("notifications/x", id=OMIT), host=address, **CALLER),
        "lists": encode(request("tools/list"), host=address, **CALLER),
        "discovery": encode(request("server/discover"), host=address, **CALLER),
        "broken JSON": encode(b"{", of=call("x"), host=address, **CALLER),
        "healthz": f"GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n".encode(),
        "metrics": f"GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n".encode(),
    }


def passed(address: str, tool: str) -> bytes:
    """A call of an older client."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}).encode()
    head = f"POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n\r\n"
    return head.encode() + body


class Force:
    def __init__(self, address: str, authority: str = "") -> None:
        self.address = address
        self.tls = trust(authority)
        self.answers = 0
        self.told = 0.0

    def open(self) -> socket.socket:
        return connect(self.address, self.tls)

    def tell(self) -> None:
        if self.answers and not self.told:
            print(json.dumps({"event": "going"}), flush=True)
        if self.answers and time.monotonic() > self.told + 1:
            self.told = time.monotonic()
            print(json.dumps({"event": "second", "answers": self.answers}), flush=True)

    def pipeline(self, data: bytes) -> None:
        """Sends as fast as it is taken, and reads all that comes; on another connection when one is closed."""
        block = data * max(1, BLOCK // len(data))
        while True:
            connection = self.open()
            connection.setblocking(False)
            rest = memoryview(block)
            while True:
                readable, writable, _ = select.select([connection], [connection], [], 1)
                try:
                    if writable:
                        rest = rest[connection.send(rest) :] or memoryview(block)
                    if readable:
                        text = connection.recv(1 << 20)
                        if not text:
                            break
                        self.answers += text.count(b"HTTP/1.1 ")
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                except ConnectionError:
                    break
                self.tell()
            connection.close()

    def read(self, data: bytes) -> None:
        """One call, and all that comes of it; again when it ends."""
        while True:
            connection = self.open()
            connection.sendall(data)
            connection.settimeout(1)
            while True:
                try:
                    text = connection.recv(1 << 20)
                except TimeoutError:
                    text = b" "
                except ConnectionError:
                    break
                if not text:
                    break
                self.answers += 1
                self.tell()
            connection.close()

    def calls(self, messages: list[bytes], *, at_once: int, again: bool) -> None:
        """Each message once, or again and again, over some connections."""
        number = 0
        connections: list[socket.socket] = []
        statuses: dict[str, int] = {}
        while again or self.answers < len(messages):
            if not connections:
                connections = [self.open() for _ in range(at_once)]
            asked = []
            for connection in connections:
                if again or number < len(messages):
                    try:
                        connection.sendall(messages[number % len(messages)])
                        asked.append(connection)
                    except ConnectionError:
                        pass
                    number += 1
            for connection in asked:
                status = self.answer(connection)
                statuses[status] = statuses.get(status, 0) + 1
                self.answers += 1
                if status == "closed":
                    connections.remove(connection)
                    connection.close()
                self.tell()
        print(json.dumps({"event": "done", "statuses": statuses}), flush=True)

    def capabilities(self, size: int) -> None:
        """Of so many bytes, in one member and in many, other ones with each request."""
        one = b'{"00000":{"x":"' + b"x" * size + b'"}}'
        many = b"{" + b",".join(b'"%06d":{}' % number for number in range(size // 13)) + b"}"
        bodies = []
        for kind in ("extensions", "elicitation"):
            start, _, end = json.dumps(call("echo", {"text": "large"}, clientCapabilities={kind: "HERE"})).encode().partition(b'"HERE"')
            bodies += [start + each + end for each in (one, many)]
        messages = []
        for body in bodies:
            message = encode(body, of=call("echo"), host=self.address, Authorization="Bearer forceful-0000000")
            first, _, rest = message.partition(b"forceful-0000000")
            middle, _, rest = rest.partition(b'"00000')
            messages.append((first, middle, memoryview(rest)))
        for number in itertools.count():
            first, middle, rest = messages[number % 4]
            connection = self.open()
            connection.sendall(first + b"forceful-%07d" % (number % 10_000_000) + middle + b'"%05d' % (number % 100_000))
            # In pieces, as a network brings it: while the system takes megabytes at once, nobody else has this processor.
            for start in range(0, len(rest), 16 * 1024):
                connection.sendall(rest[start : start + 16 * 1024])
            self.answer(connection)
            connection.close()
            self.answers += 1
            self.tell()

    def answer(self, connection: socket.socket) -> str:
        """The status of a short answer, of either form."""
        text = b""
        while True:
            try:
                part = connection.recv(1 << 20)
            except ConnectionError:
                part = b""
            if not part:
                return "closed"
            text += part
            head, end, body = text.partition(b"\r\n\r\n")
            if not end:
                continue
            lower = head.lower()
            if b"transfer-encoding" in lower and body.endswith(b"0\r\n\r\n"):
                break
            if b"content-length: " in lower:
                length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
                if len(body) >= length:
                    break
        return text[9:12].decode()


def main(address: str, kind: str, count: int = 0, authority: str = "") -> None:
    force = Force(address, authority)
    if data := pipelined(address).get(kind):
        force.pipeline(data)
    match kind:
        case "busy":
            # A neighbour who calls as others do, on as many connections as there are answers to wait for.
            force.calls([encode(call("echo", {"text": "busy"}), host=address, **CALLER)], at_once=8, again=True)
        case "messages" | "comments" | "ask without end":
            force.read(encode(call(kind, logLevel="debug"), host=address, **CALLER))
        case "messages of a session of its own":
            force.read(encode(call("messages", logLevel="debug", clientCapabilities=ASKED), host=address, **CALLER))
        case "ask without end, of who can be asked":
            # The first questions answer it, and those behind them are refused.
            everything = {"elicitation": {}, "sampling": {}, "roots": {}}
            force.read(encode(call("ask without end", clientCapabilities=everything), host=address, **CALLER))
        case "bytes":
            force.read(passed(address, kind))
        case "parked":
            asking = [encode(call("ask", id=n, clientCapabilities=ASKED), host=address, **CALLER) for n in range(count)]
            force.calls(asking, at_once=32, again=False)
            while True:  # They are left as they are.
                time.sleep(60)
        case "capabilities":
            force.capabilities(count)
        case "lines":
            # Takes nothing until the server has said all, then everything.
            while True:
                message = call("lines", {"count": count})
                message["params"]["_meta"]["progressToken"] = "p"
                connection = force.open()
                connection.sendall(encode(message, host=address, **CALLER))
                time.sleep(0.3)
                while b'"result"' not in (text := connection.recv(1 << 20)) and text:
                    force.answers += 1
                    force.tell()
                connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0, *sys.argv[4:])
