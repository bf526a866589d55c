"""Questions to clients that cannot be asked, where nothing says whose call they are about (translation contract, §6)."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from harness.http1 import Connection
from harness.modern import Client, call, encode
from harness.odd import OddServer, Running
from harness.remora import Remora, configuration
from odd_servers.errors import asks


@pytest.mark.parametrize("form", ["stdio", "sse"])
async def test_a_server_may_ask_for_a_call_that_was_left(form: str) -> None:
    """On one wire, it may be about a call that no client waits for any more: the next keeps its own error."""
    async with contextlib.AsyncExitStack() as parts:
        running = await parts.enter_async_context(Running(OddServer("asks", asks("sampling")), form).run())
        remora = await parts.enter_async_context(Remora(configuration(running.backend)))
        client = await parts.enter_async_context(Client(remora.address))
        alone = await client.send(call("x", {"ends": "isError"}))
        assert (alone.status, alone.code) == (400, -32021)
        left = await Connection.open(remora.address)
        await left.send(encode(call("x", {"waits": True}), host=remora.address))
        while not running.asking.waiting:
            await asyncio.sleep(0.01)
        left.abort()
        while not running.methods["notifications/cancelled"]:
            await asyncio.sleep(0.01)
        after = await client.send(call("x", {"ends": "isError"}))
        assert (after.status, after.result["isError"], after.text) == (200, True, "Method not found")
        assert running.methods["initialize"] == 1
