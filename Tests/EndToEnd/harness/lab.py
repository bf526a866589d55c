"""servers/lab.py as a child process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from .http1 import TIMEOUT, Connection
from .processes import SERVERS, Process, venv

VERSIONS = {"1.30.0": "2025-11-25", "1.12.4": "2025-06-18", "1.9.4": "2025-03-26"}
"""Versions of the SDK that it runs on, and the newest revision that each speaks."""


async def start(version: str = "1.30.0", *options: str) -> Process:
    return await Process.start(venv(f"legacy-{version}"), str(SERVERS / "lab.py"), *options)


async def address(process: Process) -> str:
    return (await process.event("listening", timeout=60))["address"]


class Lab:
    """One that a test has for itself, and may kill and start again on the same port."""

    def __init__(self, version: str = "1.30.0", *options: str) -> None:
        self.version, self.options = version, options
        self.address = ""
        self._process: Process | None = None

    async def __aenter__(self) -> Lab:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        port = ["--port", self.address.rsplit(":", 1)[1]] if self.address else []
        self._process = await start(self.version, *self.options, *port)
        self.address = await address(self._process)

    async def kill(self) -> None:
        """As a crash: without a word to anybody."""
        if self._process is not None:
            await self._process.kill()


async def record(address: str) -> dict[str, Any]:
    """What the server at an address says of itself."""
    async with await Connection.open(address) as connection:
        answer = await connection.exchange(f"GET /record HTTP/1.1\r\nHost: {address}\r\n\r\n".encode(), "GET")
    return json.loads(answer.body)


async def ends(address: str, what: str) -> int:
    """How many calls of `slow` have `started`, `finished`, or been `cancelled`."""
    return (await record(address))["ends"].get(what, 0)


async def until(address: str, condition: Callable[[dict[str, Any]], bool], timeout: float = TIMEOUT) -> float:
    """Waits until the record says so, and tells how long it took (seconds)."""
    start = time.monotonic()
    while not condition(last := await record(address)):
        assert time.monotonic() - start < timeout, f"the server's record stays at {last}"
        await asyncio.sleep(0.01)
    return time.monotonic() - start
