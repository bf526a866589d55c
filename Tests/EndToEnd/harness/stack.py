"""Remora between a client and a backend, with a tap on either side."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from . import audit
from .http1 import TIMEOUT
from .modern import Client
from .remora import Remora, configuration, merged
from .tap import Tap
from .ways import LineTap, Way


class Stack:
    """The running parts. `client` is a connection through the front tap."""

    def __init__(self, remora: Remora, front: Tap, back: Tap | LineTap) -> None:
        self.remora, self.front, self.back = remora, front, back
        self.client = Client(front.address)

    @property
    def url(self) -> str:
        """Where a real client connects."""
        return f"http://{self.front.address}/mcp"

    async def backend_messages(self, method: str | None = None) -> list[dict[str, Any]]:
        """The JSON-RPC messages that reached the backend so far; only those of one method, if one is given."""
        found = [each for each in await self.back.messages() if isinstance(each, dict)]
        return [message for message in found if method is None or message.get("method") == method]

    async def backend_exchanges(self) -> list[audit.Exchange]:
        return await self.back.exchanges()

    async def backend_methods(self, http: str) -> int:
        """How many requests with this HTTP method reached the backend."""
        found = await self.backend_exchanges()
        return sum(each.request is not None and each.request.method == http for each in found)

    def tell(self) -> None:
        """Prints what was seen, for the report of a test that fails."""
        for name, tap in (("client", self.front), ("backend", self.back)):
            for recording in tap.recordings[-8:]:
                state = "closed" if recording.finished else "open"
                print(f"--- with the {name}, connection {recording.number}, {state}")
                for side, data in recording.chunks[-12:]:
                    print(f"{side}: {data[:600]!r}{'...' if len(data) > 600 else ''}")
        print("--- log", *self.remora.process.lines[-40:], sep="\n")


@contextlib.asynccontextmanager
async def stack(
    backend: str, *, way: Way | None = None, judge_front: bool = True, judge_back: bool = True, **changes: Any
) -> AsyncIterator[Stack]:
    """Starts Remora before the backend at an address, with changes to the configuration. Between it and the taps bytes go
    the given way, over plain TCP if there is none.

    At the end Remora is stopped, has to exit with 0, and everything it has sent is judged. A test whose backend
    makes Remora pass on a message that is no good leaves out the judgement of that side.
    """
    async with contextlib.AsyncExitStack() as parts:
        way = way or Way()
        back = await parts.enter_async_context(way.back(backend))
        server = way.server | changes.pop("server", {})
        text = configuration(way.url(back.address), server=server, **merged(way.changes, changes))
        async with Remora(text) as remora:
            front = await parts.enter_async_context(way.front(remora.address))
            running = Stack(remora, front, back)
            async with running.client:
                try:
                    yield running
                except BaseException:
                    running.tell()
                    raise
        if judge_front:
            (await audit.front(front.recordings)).raise_if_any()
        if judge_back:
            (await back.judge(way.host(back.address))).raise_if_any()


@contextlib.asynccontextmanager
async def bystander(address: str, tool: str = "x") -> AsyncIterator[None]:
    """Another client that calls a good tool all the time, and must not notice what happens meanwhile."""
    calls = 0
    stopping = False

    async def go_on() -> None:
        nonlocal calls
        async with Client(address) as client:
            while not stopping or calls == 0:
                calls += 1
                answer = await client.call(tool, {"text": "good"}, id=f"bystander-{calls}")
                assert answer.status == 200 and answer.json["id"] == f"bystander-{calls}", answer
                assert not answer.result.get("isError"), answer
                await asyncio.sleep(0.01)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        stopping = True
        async with asyncio.timeout(TIMEOUT):
            await task


async def settles(measure: Callable[[], int], limit: int, timeout: float = TIMEOUT) -> None:
    """Waits until a number has come down to a limit."""
    end = time.monotonic() + timeout
    while (value := measure()) > limit:
        assert time.monotonic() < end, f"stays at {value}, more than {limit}"
        await asyncio.sleep(0.02)


async def settled(measure: Callable[[], int], quiet: float = 0.3) -> int:
    """A number, once it has not changed for a while (seconds)."""
    value, since = measure(), time.monotonic()
    end = since + TIMEOUT
    while time.monotonic() - since < quiet:
        await asyncio.sleep(0.02)
        if (now := measure()) != value:
            value, since = now, time.monotonic()
        assert time.monotonic() < end, "does not settle"
    return value
