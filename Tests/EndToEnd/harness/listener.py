"""A client that listens: reads an event stream message by message, while it is open."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from . import http1
from .audit import PREFIX, loads
from .http1 import Connection
from .modern import encode, request

ID = f"{PREFIX}subscriptionId"
_numbers = itertools.count(1)


class Listener:
    """One `subscriptions/listen`. Entering it waits for the acknowledgment."""

    def __init__(
        self, address: str, *, id: Any = None, headers: dict[str, Any] | None = None, capabilities: Any = None,
        **filter: Any,
    ) -> None:
        self.capabilities = capabilities or {}
        self.address = address
        self.id = f"listen-{next(_numbers)}" if id is None else id
        self.filter = filter
        self.headers = headers or {}
        self.honoured: dict[str, Any] = {}
        self.comments = 0
        self._text = b""

    async def __aenter__(self) -> Listener:
        self.connection = await Connection.open(self.address)
        message = request("subscriptions/listen", {"notifications": self.filter}, id=self.id, clientCapabilities=self.capabilities)
        await self.connection.send(encode(message, host=self.address, **self.headers))
        async with asyncio.timeout(http1.TIMEOUT):
            self.head = await http1.read_head(self.connection.reader)
        assert self.head is not None and self.head.status == 200, self.head
        assert self.head.media_type == "text/event-stream", self.head
        self._chunks = http1.chunks(self.connection.reader)
        first = await self.message()
        assert first["method"] == "notifications/subscriptions/acknowledged", first
        self.honoured = first["params"]["notifications"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.connection.abort()

    async def message(self, timeout: float = http1.TIMEOUT) -> dict[str, Any]:
        """The next message; each carries the subscription's id in its own JSON type."""
        async with asyncio.timeout(timeout):
            while True:
                event, end, rest = self._text.partition(b"\n\n")
                if end:
                    self._text = rest
                    if event.startswith(b":"):
                        self.comments += 1
                        continue
                    data = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
                    found = loads(b"\n".join(data).decode())
                    meta = found["params"]["_meta"] if "params" in found else found["result"]["_meta"]
                    assert meta[ID] == self.id and type(meta[ID]) is type(self.id), found
                    return found
                self._text += await anext(self._chunks)

    async def notice(self, timeout: float = http1.TIMEOUT) -> str:
        """The next notice: the method's last words, and the URI if there is one."""
        found = await self.message(timeout)
        uri = found["params"].get("uri")
        name = found["method"].removeprefix("notifications/")
        return name if uri is None else f"{name} {uri}"

    async def silence(self, seconds: float = 0.3) -> None:
        """Nothing comes for a while."""
        try:
            found = await self.message(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"nothing should have come, but {found}")

    async def end(self, timeout: float = http1.TIMEOUT) -> dict[str, Any]:
        """The result, after which nothing comes."""
        found = await self.message(timeout)
        async with asyncio.timeout(timeout):
            rest = [chunk async for chunk in self._chunks]
        assert not self._text and not rest, "something follows the result"
        return found
