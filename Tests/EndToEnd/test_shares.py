"""No caller can take all sessions, and a call that has to wait for one waits in a fair order (translation contract, section 2)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from harness.http1 import Connection
from harness.modern import Answer, Client, call, encode
from harness.stack import Stack, stack
from servers.raw import Exchange, RawBackend


class Holding:
    """A script that keeps calls of the tool `hold` until the gate of their argument opens."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    async def __call__(self, exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "hold":
            await self.gate(exchange.message["params"]["arguments"]["gate"]).wait()
        return False


async def ask(running: Stack, principal: str, session: str, tool: str = "x", gate: str = "") -> Answer:
    """A call on the session that a principal has for these capabilities."""
    extensions: dict[str, Any] = {f"vendor.example/{session}": {}}
    message = call(tool, {"gate": gate}, id=session, clientCapabilities={"extensions": extensions})
    async with Client(running.front.address) as client:
        return await client.send(message, Authorization=f"Bearer {principal}")


async def held(running: Stack, raw: RawBackend, principal: str, session: str, gate: str) -> asyncio.Task[Answer]:
    """A call that the server has, and does not answer."""
    before = raw.methods["tools/call"]
    task = asyncio.create_task(ask(running, principal, session, "hold", gate))
    await raw.until(lambda raw: raw.methods["tools/call"] == before + 1)
    return task


def check_busy(answer: Answer, key: str) -> None:
    assert (answer.status, answer.code) == (503, -32603), answer
    assert answer.http.header("retry-after") == "2"
    assert answer.error["data"] == {"reason": "busy", "dispatched": False}
    assert f"({key})" in answer.error["message"]


async def test_one_principal_cannot_take_all_sessions() -> None:
    """Half of them, unless the configuration says otherwise; the others find room at once."""
    holding = Holding()
    async with RawBackend(holding) as raw, stack(raw.address, sessions={"max": 4}) as running:
        calls = [await held(running, raw, "a", f"s{number}", "a") for number in range(2)]
        waits = asyncio.create_task(ask(running, "a", "s2"))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        assert (await ask(running, "b", "s0")).text == "raw"
        assert time.monotonic() - started < 1
        check_busy(await waits, "sessions.max_per_principal")
        assert len(raw.sessions) == 3
        holding.gate("a").set()
        for each in calls:
            assert (await each).text == "raw"
        assert (await ask(running, "a", "s2")).text == "raw", "an idle session of its own makes room"
        assert len(raw.sessions) == 3


async def test_the_share_can_be_set() -> None:
    holding = Holding()
    async with RawBackend(holding) as raw:
        async with stack(raw.address, sessions={"max": 2, "max_per_principal": 2}) as running:
            calls = [await held(running, raw, "a", f"s{number}", "a") for number in range(2)]
            check_busy(await ask(running, "b", "s0"), "sessions.max")
            holding.gate("a").set()
            for each in calls:
                assert (await each).text == "raw"


async def test_who_waits_is_served_in_turns() -> None:
    """One principal has asked for three sessions before another asks for its first: that one is served second."""
    holding = Holding()
    async with RawBackend(holding) as raw, stack(raw.address, sessions={"max": 1}) as running:
        first = await held(running, raw, "x", "s0", "first")
        done: list[str] = []

        async def wait(principal: str, session: str) -> None:
            assert (await ask(running, principal, session)).text == "raw"
            done.append(f"{principal} {session}")

        async with asyncio.TaskGroup() as group:
            for principal, session in (("a", "s1"), ("a", "s2"), ("a", "s3"), ("b", "s1"), ("c", "s1")):
                group.create_task(wait(principal, session))
                await asyncio.sleep(0.1)
            holding.gate("first").set()
        assert (await first).text == "raw"
        assert done == ["a s1", "b s1", "c s1", "a s2", "a s3"]


async def test_calls_of_one_session_wait_together() -> None:
    holding = Holding()
    async with RawBackend(holding) as raw, stack(raw.address, sessions={"max": 1}) as running:
        first = await held(running, raw, "x", "s0", "first")
        waiting = [asyncio.create_task(ask(running, "a", "s1")) for _ in range(20)]
        await asyncio.sleep(0.3)
        holding.gate("first").set()
        for each in (first, *waiting):
            assert (await each).text == "raw"
        assert raw.methods["initialize"] == 2


async def test_a_handshake_that_fails_makes_room_for_the_next() -> None:
    holding = Holding()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "initialize" and exchange.request.header("authorization") == "Bearer bad":
            await exchange.reply(401)
            return True
        return await holding(exchange)

    async with RawBackend(script) as raw, stack(raw.address, sessions={"max": 1}) as running:
        first = await held(running, raw, "x", "s0", "first")
        bad = asyncio.create_task(ask(running, "bad", "s1"))
        await asyncio.sleep(0.1)
        good = asyncio.create_task(ask(running, "good", "s1"))
        await asyncio.sleep(0.1)
        holding.gate("first").set()
        assert (await first).text == "raw"
        assert (await bad).status == 401
        assert (await good).text == "raw"


async def test_a_long_queue_is_refused_at_once() -> None:
    """One principal may have 256 calls wait; the next is told at once, and another principal still waits its turn."""
    holding = Holding()
    async with RawBackend(holding) as raw, stack(raw.address, sessions={"max": 1}) as running:
        first = await held(running, raw, "x", "s0", "first")
        connections = [await Connection.open(running.front.address) for _ in range(256)]
        text = encode(call("x"), host=running.front.address, Authorization="Bearer a")
        for connection in connections:
            await connection.send(text)
        await asyncio.sleep(0.3)
        started = time.monotonic()
        refused = await ask(running, "a", "s0")
        assert time.monotonic() - started < 1
        check_busy(refused, "sessions.max")
        assert "enough requests wait" in refused.error["message"]
        other = asyncio.create_task(ask(running, "b", "s0"))
        await asyncio.sleep(0.1)
        holding.gate("first").set()
        assert (await first).text == (await other).text == "raw"
        for connection in connections:
            # On a slow machine, some may have waited for too long.
            assert Answer(await connection.receive()).status in (200, 503)
            await connection.close()
