"""`backends[].calls_at_once`: calls wait in turn, and a call that waits for nothing is not waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Answer, Client, call, encode, request
from harness.remora import Remora, configuration
from servers.raw import Exchange, RawBackend

ASKED = {"elicitation": {}}
"""Capabilities of a client whose calls have a session each."""


class Held:
    """A server whose calls end one by one, as the test says, and the order in which it got them."""

    def __init__(self) -> None:
        self.callers: list[str] = []
        self.now = self.most = 0
        self._gates: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self.raw = RawBackend(self._script)

    async def _script(self, exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        self.callers.append(exchange.message["params"]["name"])
        self.now += 1
        self.most = max(self.most, self.now)
        gate = asyncio.Event()
        self._gates.put_nowait(gate)
        await gate.wait()
        self.now -= 1
        return False

    async def end_one(self) -> None:
        async with asyncio.timeout(5):
            (await self._gates.get()).set()


@contextlib.asynccontextmanager
async def held(calls_at_once: int, **changes: Any) -> AsyncIterator[tuple[Held, Remora]]:
    server = Held()
    async with server.raw as raw:
        async with Remora(configuration(raw.url, server={"calls_at_once": calls_at_once}, **changes)) as remora:
            yield server, remora


async def send(remora: Remora, name: str, caller: str, capabilities: dict[str, Any]) -> Connection:
    connection = await Connection.open(remora.address)
    message = call(name, clientCapabilities=capabilities)
    await connection.send(encode(message, host=remora.address, Authorization=f"Bearer {caller}"))
    await asyncio.sleep(0.05)
    return connection


async def end(connection: Connection) -> Answer:
    answer = Answer(await connection.receive())
    await connection.close()
    return answer


@pytest.mark.parametrize("capabilities", [{}, ASKED], ids=["shared", "exclusive"])
async def test_callers_take_turns(capabilities: dict[str, Any]) -> None:
    async with held(1) as (server, remora):
        first = await send(remora, "a1", "a", capabilities)
        await server.raw.until(lambda raw: raw.methods["tools/call"] == 1)
        waiting = [await send(remora, name, name[0], capabilities) for name in ("a2", "a3", "b1", "c1", "a4")]
        # Whatever runs no tool does not wait.
        async with Client(remora.address) as client:
            assert (await client.send(request("tools/list"), Authorization="Bearer a")).status == 200
            assert (await client.send(request("server/discover"), Authorization="Bearer a")).status == 200
        for _ in range(6):
            await server.end_one()
        for each in [first, *waiting]:
            assert (await end(each)).text == "raw"
        assert server.callers == ["a1", "a2", "b1", "c1", "a3", "a4"]
        assert server.most == 1
        assert server.raw.methods["initialize"] <= 4, "no more sessions than callers that are served"


@pytest.mark.parametrize("capabilities", [{}, ASKED], ids=["shared", "exclusive"])
async def test_a_client_that_leaves_is_not_waited_for(capabilities: dict[str, Any]) -> None:
    async with held(1) as (server, remora):
        first = await send(remora, "first", "a", capabilities)
        await server.raw.until(lambda raw: raw.methods["tools/call"] == 1)
        leaving = [await send(remora, "leaving", "b", capabilities) for _ in range(3)]
        last = await send(remora, "last", "b", capabilities)
        for each in leaving:
            each.abort()
        await asyncio.sleep(0.3)
        await server.end_one()
        await server.end_one()
        assert (await end(first)).text == (await end(last)).text == "raw"
        assert server.callers == ["first", "last"]


@pytest.mark.parametrize("capabilities", [{}, ASKED], ids=["shared", "exclusive"])
async def test_a_call_waits_for_as_long_as_it_may_take(capabilities: dict[str, Any]) -> None:
    async with held(2, limits={"request_timeout": "1s"}) as (server, remora):
        running = [await send(remora, "slow", "a", capabilities) for _ in range(2)]
        waiting = await send(remora, "late", "b", capabilities)
        for each in running:
            await end(each)
        answer = await end(waiting)
        if answer.status == 503:
            assert answer.error["data"]["dispatched"] is False
            assert "calls_at_once" in answer.error["message"]
        for _ in server.callers:
            await server.end_one()
        async with Client(remora.address) as client:
            calling = asyncio.create_task(client.call("after"))
            await server.end_one()
            assert (await calling).text == "raw"
        assert server.most <= 3, "one that was cancelled may still run"


async def test_a_call_that_waits_for_its_client_has_its_turn() -> None:
    answered = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if isinstance(exchange.message, dict) and "result" in exchange.message:
            answered.set()
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "ask":
            return False
        await exchange.stream_head()
        question = (
            b'{"jsonrpc":"2.0","id":"q","method":"elicitation/create",'
            b'"params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}'
        )
        await exchange.chunk(b"data: " + question + b"\n\n")
        await answered.wait()
        await exchange.chunk(b"data: " + exchange.response(b'{"content":[]}') + b"\n\n")
        await exchange.chunk(b"")
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url, server={"calls_at_once": 1})) as remora:
        async with Client(remora.address) as client, Client(remora.address) as other:
            asked = (await client.send(call("ask", clientCapabilities=ASKED))).result
            waiting = asyncio.create_task(other.call("x"))
            await asyncio.sleep(0.3)
            assert not waiting.done() and raw.methods["tools/call"] == 1
            retry = call("ask", clientCapabilities=ASKED)
            retry["params"]["requestState"] = asked["requestState"]
            retry["params"]["inputResponses"] = {
                name: {"action": "accept", "content": {}} for name in asked["inputRequests"]
            }
            assert (await client.send(retry)).status == 200
            assert (await waiting).text == "raw"


async def test_a_reload_lets_more_of_them_go() -> None:
    """The section is another then, and so are the sessions: calls that wait are served all the same."""
    async with held(1) as (server, remora):
        first = await send(remora, "one", "a", {})
        second = await send(remora, "two", "a", {})
        await remora.reload(configuration(server.raw.url))
        async with Client(remora.address) as client:
            calling = asyncio.create_task(client.call("three"))
            await server.raw.until(lambda raw: raw.methods["tools/call"] == 2)
            for _ in range(3):
                await server.end_one()
            assert (await calling).text == "raw"
        assert (await end(first)).text == (await end(second)).text == "raw"
