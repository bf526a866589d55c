"""A client of an older revision over Streamable HTTP, as bytes: each request has a connection of its own unless a test says
otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from . import http1
from .http1 import Connection, Event, Message

REVISION = "2025-11-25"


class Stream:
    """An answer that is an event stream, event by event."""

    def __init__(self, connection: Connection, head: Message) -> None:
        self.connection, self.head = connection, head
        self._chunks = http1.chunks(connection.reader)
        self._rest = b""

    async def event(self, timeout: float = http1.TIMEOUT) -> Any:
        """The next message; None when the stream has ended."""
        async with asyncio.timeout(timeout):
            while b"\n\n" not in self._rest or self._rest.startswith(b":\n\n"):
                if self._rest.startswith(b":\n\n"):
                    self._rest = self._rest[3:]
                    continue
                try:
                    self._rest += await anext(self._chunks)
                except StopAsyncIteration:
                    assert self._rest == b""
                    return None
        text, _, self._rest = self._rest.partition(b"\n\n")
        (event,) = http1.events(text + b"\n\n")
        return json.loads(event.data)


class Older:
    """One client, and the session that it gets."""

    def __init__(self, address: str, **headers: str) -> None:
        self.address, self.headers = address, headers
        self.session: str | None = None
        self.revision: str | None = None

    def encode(self, body: Any, method: str = "POST", **headers: str | None) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        fields: dict[str, str | None] = {
            "Host": self.address,
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json" if method == "POST" else None,
            "Content-Length": str(len(data)) if method == "POST" else None,
            "Mcp-Session-Id": self.session,
            "MCP-Protocol-Version": self.revision,
            **self.headers,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        return f"{method} /mcp HTTP/1.1\r\n{lines}\r\n".encode() + data

    async def send(self, body: Any, method: str = "POST", timeout: float = http1.TIMEOUT, **headers: str | None) -> Message:
        async with await Connection.open(self.address) as connection:
            await connection.send(self.encode(body, method, **headers))
            return await connection.receive(method, timeout)

    async def initialize(self, revision: str = REVISION, **capabilities: Any) -> Message:
        params = {
            "protocolVersion": revision,
            "capabilities": capabilities,
            "clientInfo": {"name": "older", "version": "1"},
        }
        answer = await self.send(message("initialize", 1, **params))
        self.session = answer.header("mcp-session-id")
        return answer

    async def open(self, revision: str = REVISION) -> Older:
        answer = await self.initialize(revision)
        assert answer.status == 200 and self.session, answer
        self.revision = revision
        assert (await self.send(message("notifications/initialized"))).status == 202
        return self

    @asynccontextmanager
    async def stream(self, body: Any = None, method: str = "POST") -> AsyncIterator[Stream]:
        """The answer to a request, which has to be an event stream; without a body, to GET."""
        async with await Connection.open(self.address) as connection:
            await connection.send(self.encode(body, "GET" if body is None else method))
            async with asyncio.timeout(http1.TIMEOUT):
                head = await http1.read_head(connection.reader)
            assert head is not None and head.status == 200 and head.media_type == "text/event-stream", head
            yield Stream(connection, head)

    async def call(self, name: str, id: Any, arguments: dict[str, Any] | None = None, **headers: str | None) -> Any:
        """The result's text, or the error."""
        answer = await self.send(call(name, id, arguments), **headers)
        if answer.media_type == "text/event-stream":
            *_, last = events(answer)
        else:
            last = json.loads(answer.body)
        assert last["id"] == id
        return last["result"]["content"][0]["text"] if "result" in last else last["error"]


def message(method: str, id: Any = None, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **({} if id is None else {"id": id}), "method": method, "params": params}


def call(name: str, id: Any, arguments: dict[str, Any] | None = None, token: Any = None) -> dict[str, Any]:
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return message("tools/call", id, name=name, arguments=arguments or {}, **meta)


def events(answer: Message) -> list[Any]:
    return [json.loads(event.data) for event in http1.events(answer.body)]


__all__ = ["Event", "Older", "Stream", "call", "events", "message"]
