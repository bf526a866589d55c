"""Thousands who listen to the same cost the server one stream, and Remora little each; a notice reaches all of them soon."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from harness.processes import SERVERS, Process
from harness.remora import Remora, configuration
from harness.soak import size, tell
from servers.raw import PushBackend, notification

COUNT = size(500, 10_000)
WANTED = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
UPDATED = notification("resources/updated", uri="raw:///r")


async def notice(crowd: Process, number: int) -> float:
    """How long the notice of that number, counted from 1, took from the first listener to the last (milliseconds)."""

    def look(line: str) -> object:
        found = [each for each in crowd.events() if each["event"] == "notice"]
        return found[number - 1] if len(found) >= number else None

    found = await crowd.line(look, timeout=60)
    assert found["closed"] == 0, "a listener was left behind"
    return found["ms"]


def room(remora: Remora) -> int:
    """How many may listen: as many as the files that this process may have open allow."""
    found = [each["max_connections"] for each in remora.process.events() if each["event"] == "few_descriptors"]
    return min([COUNT, *(most - 100 for most in found)])


def crowd_of(count: int, address: str) -> Coroutine[Any, Any, Process]:
    script = ["-m", "harness.crowd", address, str(count), json.dumps(WANTED)]
    return Process.start(sys.executable, *script, cwd=SERVERS.parent)


@pytest.mark.timeout(300)
async def test_many_listeners_over_one_session() -> None:
    text = {"limits": {"max_connections": COUNT + 100}, "log": {"level": "info"}}
    async with PushBackend() as raw, Remora(configuration(raw.url, **text)) as remora:
        async with await crowd_of(100, remora.address) as warm:
            await warm.event("open", timeout=60)
        before = remora.resident()
        count = room(remora)
        async with await crowd_of(count, remora.address) as crowd:
            await crowd.event("open", timeout=200)
            each = (remora.resident() - before) / count
            times = []
            for number in range(1, 6):
                await raw.tell(UPDATED)
                times.append(await notice(crowd, number))
            # What was sent is not kept.
            after = (remora.resident() - before) / count
        assert raw.methods["GET"] == 1 and raw.methods["initialize"] == 1
        assert raw.methods["resources/subscribe"] == 1
    tell(
        f"{count} listeners over one session: 1 GET stream, 1 resources/subscribe; {max(times):.0f} ms at most from the "
        f"first to the last that hears a notice; {each:.0f} bytes of memory each ({after:.0f} after the notices)"
    )
    assert max(each, after) < 32 * 1024


@pytest.mark.timeout(300)
async def test_a_server_that_comes_back_tells_all_of_them() -> None:
    text = {"limits": {"max_connections": COUNT + 100}, "log": {"level": "info"}}
    first = PushBackend()
    await first.__aenter__()
    async with Remora(configuration(first.url, **text)) as remora, await crowd_of(room(remora), remora.address) as crowd:
        await crowd.event("open", timeout=200)
        first.drop()
        await first.__aexit__()
        await asyncio.sleep(1.5)
        async with PushBackend(port=int(first.address.rpartition(":")[2])) as second:
            back = time.monotonic()
            await notice(crowd, 1)
            took = time.monotonic() - back
            assert second.methods["initialize"] == 1
    tell(f"{room(remora)} listeners heard within {took:.2f} s that the server is back, and stayed connected")
