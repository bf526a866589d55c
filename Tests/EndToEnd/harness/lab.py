"""servers/lab.py as a child process."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .http1 import TIMEOUT, Connection
from .nginx import balancer
from .processes import SERVERS, Process, venv
from .ways import Before, OldTransport, Stdio, Way

VERSIONS = {"1.30.0": "2025-11-25", "1.12.4": "2025-06-18", "1.9.4": "2025-03-26", "1.2.1": "2024-11-05"}
"""Versions of the SDK that it runs on, and the newest revision that each speaks."""

HTTP = list(itertools.product(["1.30.0", "1.12.4", "1.9.4"], ["sse", "json"]))
"""Versions over Streamable HTTP, in each of the two forms of an answer."""

CHANNELS = list(itertools.product(["1.30.0", "1.2.1"], ["http+sse", "stdio"]))
"""Versions over what has one channel for everything."""

FEW = [("1.30.0", "sse"), ("1.9.4", "json")]
"""Enough where the way matters, and not the server: both forms, the newest, and the one that minds a cancellation."""

OPTIONS = {"json": ["--json"], "http+sse": ["--sse"]}


@dataclass
class AnyLab:
    """A server for the common cases."""

    version: str
    """Of the SDK."""
    form: str
    """Of its answers, `sse` or `json`; or how it is reached otherwise, `http+sse` or `stdio`."""
    address: str
    """Where its record is, and where it listens if it does; those of all copies, with commas between."""
    way: Way
    """How Remora reaches it."""

    @property
    def revision(self) -> str:
        return VERSIONS[self.version]

    @property
    def does_one_after_the_other(self) -> bool:
        """That SDK looks at a message when it is done with the one before."""
        return self.version == "1.2.1"


async def any_lab(version: str, form: str, directory: Path) -> AsyncIterator[AnyLab]:
    """One that runs, in a directory of its own."""
    if form == "stdio":
        record = directory / "record"
        record.touch()
        command = [venv(f"legacy-{version}"), str(SERVERS / "lab.py"), "--stdio", "--record", str(record)]
        yield AnyLab(version, form, f"file:{record}", Stdio(command, directory))
        return
    async with await start(version, *OPTIONS.get(form, [])) as process:
        yield AnyLab(version, form, await address(process), OldTransport() if form == "http+sse" else Way())
        if form != "http+sse":  # The oldest version waits for ever for streams that have ended.
            await process.stop()


async def balanced(version: str, form: str) -> AsyncIterator[AnyLab]:
    """Two copies that run behind nginx, which goes by a cookie."""
    async with await start(version, *OPTIONS.get(form, [])) as a, await start(version, *OPTIONS.get(form, [])) as b:
        copies = [await address(each) for each in (a, b)]
        async with balancer(*copies) as nginx:
            yield AnyLab(version, form, ",".join(copies), Before(nginx))
        await asyncio.gather(a.stop(), b.stop())


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
    """What the server at an address says of itself, or those that wrote into a file; of several copies, the sum."""
    if "," in address:
        return total([await record(each) for each in address.split(",")])
    if address.startswith("file:"):
        return recorded(Path(address.removeprefix("file:")))
    async with await Connection.open(address) as connection:
        answer = await connection.exchange(f"GET /record HTTP/1.1\r\nHost: {address}\r\n\r\n".encode(), "GET")
    return json.loads(answer.body)


def total(records: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in records:
        for name, value in each.items():
            if isinstance(value, dict):
                found[name] = dict(Counter(found.get(name, {})) + Counter(value))
            else:
                found[name] = found.get(name, 0) + value
    return found


def recorded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"methods": {}, "tools": {}, "ends": {}, "sessions": {}}
    for line in path.read_text().splitlines():
        kind, name, change = json.loads(line)
        found[kind][name] = found[kind].get(name, 0) + change
    return {**found, "sessions": found["sessions"].get("", 0)}


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
