"""A legacy server with a counter in each session, as servers have that keep a cart or an open page, on exact bytes.

The tool `count` adds one and answers with what it is then, and `mark` answers with the name of the session. With a GET stream it
sends on it, and has no more than one for a session, as the published TypeScript SDK.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

from .raw import Exchange, RawBackend, event

EVERY = {"listChanged": True}


class CounterBackend(RawBackend):
    def __init__(self, *, slow: float = 0, pushes: bool = True, **options: Any) -> None:
        self.slow = slow
        """Seconds that a handshake takes."""
        self.pushes = pushes
        self.counts: Counter[str] = Counter()
        """By session."""
        self.ended: list[str] = []
        """Sessions that a DELETE has ended."""
        self.streams: dict[str, Exchange] = {}
        """The open GET streams, by session."""
        self.refused = 0
        """Streams beside another one of a session."""
        self.tool = "count"
        options.setdefault("capabilities", {"tools": EVERY})
        super().__init__(self.dispatch, **options)

    def forget(self, session: str) -> None:
        """As a server does that has lost a session."""
        self.sessions.discard(session)
        if stream := self.streams.pop(session, None):
            stream.abort()

    async def dispatch(self, exchange: Exchange) -> bool:
        session = exchange.session or ""
        if exchange.method == "initialize" and self.slow:
            await asyncio.sleep(self.slow)
            return False
        if session not in self.sessions:
            if exchange.request.method == "GET":
                await exchange.reply(404)
                return True
            return False
        if exchange.request.method == "GET" and self.pushes:
            await self._push(exchange, session)
        elif exchange.request.method == "DELETE":
            self.ended.append(session)
            self.forget(session)
            await exchange.reply(200)
        elif exchange.method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in (self.tool, "mark")]
            await exchange.json(exchange.response(json.dumps({"tools": tools}).encode()))
        elif exchange.method == "tools/call":
            await self._call(exchange, session)
        else:
            return False
        return True

    async def _call(self, exchange: Exchange, session: str) -> None:
        if exchange.message["params"]["name"] == "mark":
            text = session
        else:
            self.counts[session] += 1
            text = str(self.counts[session])
        result = {"content": [{"type": "text", "text": text}]}
        await exchange.json(exchange.response(json.dumps(result).encode()))

    async def _push(self, exchange: Exchange, session: str) -> None:
        if session in self.streams and not self.streams[session].writer.is_closing():
            self.refused += 1
            return await exchange.reply(409)
        await exchange.stream_head()
        self.streams[session] = exchange
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            while not exchange.writer.is_closing():
                await asyncio.sleep(0.05)
                # A client that has gone is found out by a write.
                await exchange.raw(b"2\r\n:\n\r\n")
        if self.streams.get(session) is exchange:
            del self.streams[session]

    async def tell(self, message: bytes) -> int:
        """Sends a message on every open GET stream. Returns how many there are."""
        streams = list(self.streams.values())
        for stream in streams:
            await stream.chunk(event(message))
        return len(streams)
