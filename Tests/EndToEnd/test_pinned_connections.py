"""A balancer that goes by connections: a session keeps to one (`backends[].pin_connection`)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import mcp
import pytest

from harness import lab as lab_server
from harness.audit import back
from harness.by_connection import ByConnection
from harness.http1 import Connection
from harness.lab import Lab
from harness.listener import Listener
from harness.modern import VERSION, Client, call, encode, request
from harness.remora import Remora, check, configuration
from harness.soak import size, tell
from harness.stack import settles, stack
from servers.raw import Exchange, RawBackend, Script
from test_several_backends import legacy, named

PINNED = {"pin_connection": True}


@contextlib.asynccontextmanager
async def copies(
    *scripts: Script | None, server: dict[str, Any] = PINNED, **changes: Any
) -> AsyncIterator[tuple[list[RawBackend], ByConnection, Remora, Client]]:
    """Copies of a server behind a balancer, and Remora before that. What Remora sent is judged at the end."""
    async with contextlib.AsyncExitStack() as parts:
        all = [await parts.enter_async_context(named(str(n), script)) for n, script in enumerate(scripts)]
        balancer = await parts.enter_async_context(ByConnection(*(each.address for each in all)))
        async with Remora(configuration(f"http://{balancer.address}/mcp", server=server, **changes)) as remora:
            async with Client(remora.address) as client:
                yield all, balancer, remora, client
        (await back(balancer.recordings, balancer.address)).raise_if_any()


def strays(all: list[RawBackend]) -> list[str]:
    """Requests that came to a copy which does not have their session."""
    own = [{each.header("mcp-session-id") for each in copy.requests} - {None} for copy in all]
    return [session for copy, sessions in zip(all, own) for session in sessions - copy.issued]


async def test_without_it_sessions_break() -> None:
    """That the balancer does what it is to do."""
    async with copies(None, None, server={}) as (all, _, _, client):
        for _ in range(3):
            await client.call("x")
        assert strays(all)


async def test_each_session_keeps_to_its_connection() -> None:
    async with copies(None, None, None) as (all, balancer, _, client):
        homes: dict[str, set[str]] = {}
        for _ in range(4):
            for number in range(6):
                caller = f"Bearer {number}"
                homes.setdefault(caller, set()).add((await client.call("x", Authorization=caller)).text)
                assert (await client.send(request("prompts/list"), Authorization=caller)).result["prompts"]
        assert all and [len(home) for home in homes.values()] == [1] * 6, homes
        assert [each.methods["initialize"] for each in all] == [2, 2, 2] and not strays(all)
        assert not any(each.methods["GET"] for each in all), "a stream would stay on it"
        assert len(balancer.recordings) == 6
    assert [each.methods["DELETE"] for each in all] == [2, 2, 2] and not any(each.sessions for each in all)


async def test_calls_at_once_have_a_session_each() -> None:
    running, most = 0, 0

    async def slow(exchange: Exchange) -> bool:
        nonlocal running, most
        if exchange.method == "tools/call":
            running, most = running + 1, max(most, running + 1)
            await asyncio.sleep(0.2)
            running -= 1
        return False

    async with copies(slow, slow) as (all, balancer, remora, client):

        async def one(number: int) -> None:
            async with Client(remora.address) as own:
                for _ in range(2):
                    answer = await own.call("x", id=number)
                    assert answer.json["id"] == number and answer.text in ("0", "1")
                assert (await own.send(request("tools/list"))).result["tools"]

        await asyncio.gather(*map(one, range(12)))
        assert most == 12 and len(balancer.recordings) == 12 and not strays(all)
        lists = sum(each.methods["tools/list"] for each in all)
        assert lists == 1, "on the session of a call that needs it, and kept"


async def test_no_more_than_there_are_sessions() -> None:
    """A call that needs the list of tools has a session to read it on, also when it is the last."""
    async with copies(None, None, sessions={"max": 2, "max_per_principal": 1}) as (all, _, remora, _):

        async def one(number: int) -> None:
            async with Client(remora.address) as client:
                assert (await client.call("x", id=number)).json["id"] == number

        await asyncio.gather(*map(one, range(20)))
        assert sum(each.methods["initialize"] for each in all) == 1


async def test_who_listens_holds_no_session() -> None:
    """There is nothing to hear, and a call would wait for the only session."""
    sessions = {"max": 1, "max_per_principal": 1}
    async with copies(None, sessions=sessions) as (_, _, remora, client):
        async with Listener(remora.address, toolsListChanged=True) as listener:
            assert listener.honoured == {}
            assert (await client.call("x")).text == "0"


async def test_a_lost_connection_is_a_lost_session() -> None:
    async with copies(None, None) as (all, balancer, _, client):
        assert (await client.call("x")).text == "0"
        await balancer.cut()
        assert (await client.call("x")).text == "1", "the call was not sent, and goes to a new session"
        assert [each.methods["initialize"] for each in all] == [1, 1] and not strays(all)
        assert [each.methods["tools/call"] for each in all] == [1, 1]


async def test_a_connection_that_ends_in_a_call() -> None:
    async def breaks(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            exchange.abort()
        return exchange.method == "tools/call"

    async with copies(breaks, None) as (all, _, _, client):
        answer = await client.call("x")
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert (await client.call("x")).text == "1"
        assert all[0].methods["tools/call"] == 1 and not strays(all)


async def test_a_server_that_closes_after_each_answer() -> None:
    async def closes(exchange: Exchange) -> bool:
        if exchange.method != "initialize":
            return False
        session = "s-1"
        all[0].sessions.add(session)
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        await exchange.json(
            exchange.response(json.dumps(result).encode()), Mcp_Session_Id=session, Connection="close")
        exchange.close()
        return True

    async with copies(closes) as (all, _, _, client):
        answer = await client.call("x")
        assert (answer.status, answer.error["data"]) == (503, {"reason": "backend_unavailable", "dispatched": False})
        assert "does the server keep it open?" in answer.error["message"]
        assert all[0].methods["initialize"] == 1


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "hangs"])
async def test_a_client_that_leaves(ends: bool) -> None:
    """Nothing can overtake its call. A session that comes to its end is deleted; one that does not is cut off after 5 s."""
    started, finish = asyncio.Event(), asyncio.Event()

    async def waits(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and not started.is_set():
            started.set()
            await finish.wait()
        return False

    async with copies(waits, None) as (all, _, remora, client):
        before = remora.descriptors()
        leaves = await Connection.open(remora.address)
        await leaves.send(encode(call("x"), host=remora.address))
        await asyncio.wait_for(started.wait(), 5)
        leaves.abort()
        assert (await client.call("x")).text == "1", "on another session"
        if ends:
            finish.set()
            await all[0].until(lambda copy: copy.methods["DELETE"] == 1)
            assert not all[0].methods["notifications/cancelled"] and not all[0].sessions
        else:
            # The connection of this client, and that of the other session.
            assert remora.descriptors() == before + 3
            await settles(remora.descriptors, before + 2)
            finish.set()
        assert (await client.call("x")).text == "1" and not strays(all)


@pytest.mark.parametrize("keeps", [True, False], ids=["sessions", "stateless"])
async def test_a_server_that_refuses_ping(keeps: bool) -> None:
    """It may not know the method: what it says to a list counts for its session, if it has one."""

    async def refuses(exchange: Exchange) -> bool:
        if exchange.method == "ping":
            await exchange.reply(400, b"what?", type="text/plain")
        return exchange.method == "ping"

    async with RawBackend(refuses, sessions=keeps) as raw, stack(raw.address, server=PINNED) as running:
        await running.client.call("x")
        await raw.until(lambda raw: raw.methods["ping"] == 1, timeout=5)
        await running.client.call("x")
        assert raw.methods["initialize"] == 1
        assert len(running.back.recordings) == raw.methods["initialize"]


async def test_what_the_server_asks_during_a_call_is_answered_after_it() -> None:
    async def asks(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        result = exchange.response(b'{"content":[{"type":"text","text":"asked"}]}')
        await exchange.sse(b'{"jsonrpc":"2.0","id":"p","method":"ping"}', result)
        return True

    async with copies(asks) as (all, _, _, client):
        for _ in range(2):
            assert (await client.call("x")).text == "asked"
        await all[0].until(lambda copy: sum(b'"p"' in each.body for each in copy.requests) == 2)
        assert all[0].methods["initialize"] == 1


async def test_older_clients_are_told_which_revision_to_speak() -> None:
    async with copies(None, listen={"legacy_clients": "pass"}) as (all, _, remora, _):
        async with await Connection.open(remora.address) as connection:
            data = legacy("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={})
            answer = await connection.exchange(data.replace(b"127.0.0.1\r\n", remora.address.encode() + b"\r\n", 1))
        assert answer.status == 400 and json.loads(answer.body)["error"]["code"] == -32022
        assert not all[0].requests


async def test_what_does_not_go_with_it() -> None:
    status, text = await check(configuration("http://h/mcp", server={**PINNED, "transport": "sse", "interactive": True}))
    assert status == 64
    assert "pin_connection must not be true with transport: sse" in text and "interactive must not be true" in text


async def test_whatever_happens_nothing_goes_astray() -> None:
    """Answers of both forms, questions in them, servers that break off, clients that leave, a balancer that cuts."""
    chance = random.Random(1)

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.02, 0.1]))
        text = exchange.message["params"]["arguments"]["text"]
        answer = exchange.response(json.dumps({"content": [{"type": "text", "text": text}]}).encode())
        match chance.randrange(20):
            case 0:
                exchange.abort()
            case number if number < 8:
                await exchange.sse(b'{"jsonrpc":"2.0","id":"p","method":"ping"}', answer)
            case _:
                await exchange.json(answer)
        return True

    outcomes: Counter[str] = Counter()
    sessions = {"max": 40, "max_per_principal": 20}
    async with copies(script, script, script, sessions=sessions) as (all, balancer, remora, _):
        end = time.monotonic() + size(3, 30)

        async def leave(caller: str) -> None:
            connection = await Connection.open(remora.address)
            data = encode(call("x", {"text": "nobody"}), host=remora.address, Authorization=caller)
            await connection.send(data)
            await asyncio.sleep(chance.choice([0, 0.005, 0.03]))
            connection.abort()

        async def one(number: int) -> None:
            async with Client(remora.address) as client:
                for count in itertools.count():
                    if time.monotonic() > end:
                        return
                    caller, id = f"Bearer {chance.randrange(4)}", f"{number}-{count}"
                    if chance.randrange(10) == 0:
                        await leave(caller)
                    answer = await client.call("x", {"text": id}, id=id, Authorization=caller)
                    assert answer.json["id"] == id
                    if "result" in answer.json:
                        assert answer.text == id
                    outcomes["answered" if "result" in answer.json else answer.error["data"]["reason"]] += 1

        async def cut() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(0.5)
                await balancer.cut(most=5)

        async with asyncio.TaskGroup() as group:
            for number in range(24):
                group.create_task(one(number))
            group.create_task(cut())
        tell(f"on pinned connections, some of which were cut: {dict(outcomes)}")
        assert outcomes["answered"] > 5 * outcomes["outcome_unknown"] > 0
        # Two cuts in a row, or one in a handshake: told that nothing was run.
        rest = outcomes.total() - outcomes["answered"] - outcomes["outcome_unknown"]
        assert rest * 100 < outcomes.total() and outcomes["session_lost"] + outcomes["backend_unavailable"] == rest
        assert not strays(all)


async def handshakes(*labs: Lab) -> int:
    return sum([(await lab_server.record(each.address))["methods"].get("initialize", 0) for each in labs])


@pytest.mark.parametrize("version", ["1.30.0", "1.9.4"])
async def test_real_servers(version: str) -> None:
    """The connection is kept beyond the 5 s for which uvicorn keeps an idle one, and so is the session."""
    async with Lab(version) as first, Lab(version) as second, ByConnection(first.address, second.address) as balancer:
        text = configuration(f"http://{balancer.address}/mcp", server=PINNED)
        async with Remora(text) as remora, mcp.Client(f"http://{remora.address}/mcp", mode=VERSION) as client:
            heard: list[float] = []

            async def progress(done: float, total: float | None, message: str | None) -> None:
                heard.append(done)

            async def count() -> str:
                return (await client.call_tool("counter")).content[0].text

            assert [await count() for _ in range(3)] == ["1", "2", "3"]
            await client.call_tool("slow", {"seconds": 0.3, "steps": 3}, progress_callback=progress)
            assert heard
            assert "listChanged" not in json.dumps(await client.session.send_discover(VERSION))
            echoes = [client.call_tool("echo", {"text": str(n)}) for n in range(8)]
            assert [each.content[0].text for each in await asyncio.gather(*echoes)] == [str(n) for n in range(8)]
            if version == "1.30.0":
                made = await handshakes(first, second)
                await asyncio.sleep(6.5)
                assert int(await count()) >= 1 and await handshakes(first, second) == made
        (await back(balancer.recordings, balancer.address)).raise_if_any()
