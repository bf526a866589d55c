"""A legacy server of which all messages of a session go over one wire: the pipes of a command, or a stream of HTTP+SSE.

It runs in the test's own loop, so that a test says what goes out in one write. As a command, a small process carries the
bytes between its pipes and this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from harness import http1

FORMS = ["stdio", "sse"]
REVISION = "2025-11-25"

RELAY = """
import os, socket, sys, threading
wire = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def out():
    try:
        while data := wire.recv(65536):
            os.write(1, data)
    finally:  # A server that closes before it has read everything resets the connection.
        os._exit(0)
threading.Thread(target=out, daemon=True).start()
while data := os.read(0, 65536):
    wire.sendall(data)
"""


class Wire:
    """One session."""

    def __init__(self, number: int, writer: asyncio.StreamWriter, ends: bytes, begins: bytes) -> None:
        self.number = number
        self.heard: list[dict[str, Any]] = []
        """What came, but for what the server answers by itself."""
        self.has_ended = False
        self._writer, self._begins, self._ends = writer, begins, ends

    def say(self, *messages: dict[str, Any]) -> None:
        """In one write."""
        texts = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
        self._writer.write(b"".join(self._begins + text + self._ends for text in texts))

    def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)

    async def flush(self) -> None:
        """Waits while more is on its way than the other side takes."""
        await self._writer.drain()

    def end(self) -> None:
        """The process, or the stream, and the session with it."""
        self.has_ended = True
        self._writer.close()

    def reset(self) -> None:
        """The same without an end of the stream. A process ends as usual."""
        self.has_ended = True
        about = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, about)
        self._writer.transport.abort()

    def ask(self, id: Any, method: str, **params: Any) -> None:
        self.say({"id": id, "method": method, "params": params})

    def tell(self, method: str, **params: Any) -> None:
        self.say({"method": f"notifications/{method}", "params": params})

    def answers(self) -> dict[Any, dict[str, Any]]:
        """To its questions."""
        return {each["id"]: each for each in self.heard if "method" not in each}

    def cancelled(self) -> list[Any]:
        return [each["params"]["requestId"] for each in self.heard if each.get("method") == "notifications/cancelled"]


Script = Callable[[Wire, dict[str, Any]], Awaitable[bool] | bool]


class Wires:
    """The server. `script` sees each message first, and returns whether it was its own; what it is called for it may keep in
    mind, since the messages of a session come one after the other and the script runs before the next."""

    def __init__(self, form: str, script: Script | None = None) -> None:
        self.form, self.script = form, script
        self.refusal: Callable[[Wire, dict[str, Any]], tuple[int, bytes] | None] | None = None
        """Of HTTP+SSE: status and body for a message that is answered otherwise than with 202, and not heard."""
        self.taking = 0.0
        """Of HTTP+SSE: seconds until a message is taken."""
        self.wires: list[Wire] = []
        self.methods: Counter[str] = Counter()
        self.changed = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Wires:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=http1.HEAD_LIMIT, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    @property
    def backend(self) -> dict[str, Any]:
        """Its keys in the configuration."""
        if self.form == "stdio":
            return {"command": [sys.executable, "-c", RELAY, str(self.port)]}
        return {"url": f"http://127.0.0.1:{self.port}/sse", "transport": "sse"}

    async def until(self, condition: Callable[[Wires], Any], timeout: float = http1.TIMEOUT) -> None:
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(lambda: condition(self))

    def requests(self, method: str) -> list[tuple[Wire, dict[str, Any]]]:
        return [(wire, each) for wire in self.wires for each in wire.heard if each.get("method") == method]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, http1.Malformed, asyncio.IncompleteReadError):
                await (self._pipe(reader, writer) if self.form == "stdio" else self._http(reader, writer))
        finally:
            self._writers.discard(writer)
            writer.close()

    def _wire(self, writer: asyncio.StreamWriter, begins: bytes, ends: bytes) -> Wire:
        wire = Wire(len(self.wires), writer, ends, begins)
        self.wires.append(wire)
        return wire

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = self._wire(writer, b"", b"\n")
        async for line in reader:
            await self._hear(wire, json.loads(line))

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await http1.read_request(reader)) is not None:
            if request.method == "GET":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                wire = self._wire(writer, b"data: ", b"\n\n")
                writer.write(b"event: endpoint\ndata: /messages?%d\n\n" % wire.number)
                await reader.read()
                return
            number = request.target.rpartition("?")[2]
            if not number.isdigit():  # The stream's own path.
                writer.write(b"HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n")
                continue
            wire, message = self.wires[int(number)], json.loads(request.body)
            await asyncio.sleep(self.taking)
            if self.refusal is not None and (answer := self.refusal(wire, message)) is not None:
                status, body = answer
                head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                self.methods[message.get("method", "")] += 1
                continue
            writer.write(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n")
            await self._hear(wire, message)

    async def _hear(self, wire: Wire, message: dict[str, Any]) -> None:
        self.methods[message.get("method", "")] += 1
        wire.heard.append(message)
        done = self.script(wire, message) if self.script is not None else False
        if isinstance(done, Awaitable):
            done = await done
        if not done and "id" in message and "method" in message:
            wire.say(self._behave(message))
        async with self.changed:
            self.changed.notify_all()

    def _behave(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["method"]:
            case "initialize":
                result: dict[str, Any] = {
                    "protocolVersion": REVISION,
                    "capabilities": {"tools": {}, "prompts": {}, "resources": {"subscribe": True}},
                    "serverInfo": {"name": "wires", "version": "1"},
                }
            case "tools/list":
                result = {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}
            case "tools/call":
                result = text("raw")
            case "prompts/get":
                result = {"messages": []}
            case "resources/subscribe" | "resources/unsubscribe" | "ping" | "logging/setLevel":
                result = {}
            case _:
                return {"id": message["id"], "error": {"code": -32601, "message": "Method not found"}}
        return {"id": message["id"], "result": result}


def text(said: str) -> dict[str, Any]:
    """The result of a tool."""
    return {"content": [{"type": "text", "text": said}]}
