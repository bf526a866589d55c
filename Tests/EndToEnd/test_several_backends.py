"""Several backends: one server in several copies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import mcp
import pytest

from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import OMIT, Answer, Client, call, encode
from harness.nginx import balancer
from harness.remora import Remora, configuration
from harness.soak import Stalls, size, tell
from harness.stack import stack
from servers.raw import Exchange, PushBackend, RawBackend, Script
from test_admin import admin_address, get, metrics, status


def named(name: str, script: Script | None = None, **options: Any) -> RawBackend:
    """A copy that says which one it is."""
    result = json.dumps({"content": [{"type": "text", "text": name}]}).encode()
    return RawBackend(script, results={"tools/call": result}, **options)


@contextlib.asynccontextmanager
async def two(**changes: Any) -> AsyncIterator[tuple[RawBackend, RawBackend, Remora]]:
    async with named("a") as a, named("b") as b, Remora(configuration(a.url, b.url, **changes)) as remora:
        yield a, b, remora


async def test_each_session_has_its_home() -> None:
    async with two() as (a, b, remora), Client(remora.address) as client:
        homes: dict[str, set[str]] = {}
        for _ in range(3):
            for number in range(8):
                caller = f"Bearer {number}"
                homes.setdefault(caller, set()).add((await client.call("x", Authorization=caller)).text)
        assert all(len(home) == 1 for home in homes.values()), homes
        assert len(a.sessions) == len(b.sessions) == 4
        assert a.methods["initialize"] == b.methods["initialize"] == 4


async def test_a_session_goes_where_there_are_the_fewest() -> None:
    async with two(sessions={"idle_timeout": "1s"}) as (a, b, remora), Client(remora.address) as client:
        for number in range(6):
            await client.call("x", Authorization=f"Bearer {number}")
        kept = [f"Bearer {number}" for number in range(6) if number % 2 == 0]
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for caller in kept:
                await client.call("x", Authorization=caller)
            await asyncio.sleep(0.2)
        full, empty = (a, b) if a.sessions else (b, a)
        assert len(full.sessions) == 3 and not empty.sessions, "those of every other caller have expired"
        for number in range(3):
            await client.call("x", Authorization=f"Bearer new-{number}")
        assert len(empty.sessions) == 3


async def test_one_that_is_away_is_not_noticed() -> None:
    async with two() as (a, b, remora):
        a.stop_listening()
        # Remora has looked whether it is there.
        a.close_connections()
        async with Client(remora.address) as client:
            for number in range(6):
                answer = await client.call("x", Authorization=f"Bearer {number}")
                assert answer.text == "b"


async def test_calls_of_a_session_whose_server_is_gone_go_to_the_other() -> None:
    async with named("b") as b:
        a = named("a")
        async with a:
            async with Remora(configuration(a.url, b.url)) as remora, Client(remora.address) as client:
                homes = {f"Bearer {n}": (await client.call("x", Authorization=f"Bearer {n}")).text for n in range(4)}
                assert sorted(homes.values()) == ["a", "a", "b", "b"]
                await a.__aexit__()
                for caller in homes:
                    answer = await client.call("x", Authorization=caller)
                    assert answer.text == "b"
                assert len(b.sessions) == 4


async def test_listeners_go_to_the_other_too() -> None:
    async with PushBackend() as b:
        a = PushBackend()
        async with a, Remora(configuration(a.url, b.url)) as remora, contextlib.AsyncExitStack() as all:
            listeners = [
                await all.enter_async_context(
                    Listener(remora.address, headers={"Authorization": f"Bearer {n}"}, toolsListChanged=True)
                )
                for n in range(2)
            ]
            await a.until(lambda _: len(a.streams) == 1)
            await b.until(lambda _: len(b.streams) == 1)
            await a.__aexit__()
            await b.until(lambda _: len(b.streams) == 2, timeout=5)
            b_notice = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
            await asyncio.sleep(0.5)
            await b.tell(b_notice)
            for listener in listeners:
                assert await listener.notice() == "tools/list_changed"


async def test_a_copy_that_gives_no_sessions_is_put_aside_and_tried_again() -> None:
    full = True

    async def script(exchange: Exchange) -> bool:
        if full and exchange.method == "initialize":
            await exchange.reply(503, b"too many sessions")
            return True
        return False

    admin = {"address": "127.0.0.1:0"}
    async with named("a", script) as a, named("b") as b:
        async with Remora(configuration(a.url, b.url, admin=admin)) as remora, Client(remora.address) as client:
            for number in range(4):
                assert (await client.call("x", Authorization=f"Bearer {number}")).text == "b"
            assert a.methods["initialize"] == 1, "asked once, and then left alone"
            shown = {each["url"]: each for each in (await status(await admin_address(remora)))["backends"]}
            assert shown[f"http://{a.address}"]["aside"] and not shown[f"http://{b.address}"]["aside"]
            assert shown[f"http://{b.address}"]["load"] == 4
            full = False
            await asyncio.sleep(1)
            for number in range(4):
                assert (await client.call("x", Authorization=f"Bearer late-{number}")).text == "a"


async def test_all_are_away() -> None:
    async with two(admin={"address": "127.0.0.1:0"}) as (a, b, remora), Client(remora.address) as client:
        admin = await admin_address(remora)
        a.stop_listening()
        assert (await get(admin, "/readyz")).status == 200, "one of two is enough"
        b.stop_listening()
        await asyncio.sleep(5.1)
        assert (await get(admin, "/readyz")).status == 503
        answer = await client.call("x")
        assert answer.status == 503 and answer.error["data"]["dispatched"] is False
        found = await metrics(admin)
        for backend in (a, b):
            assert found.value("remora_backend_aside", backend=f"http://{backend.address}") == 1
            assert found.value("remora_backend_reachable", backend=f"http://{backend.address}") == 0


@pytest.mark.timeout(120)
async def test_one_of_two_is_killed_under_load() -> None:
    """Only calls that were in it see it, and each is told whether it ran; new sessions go to the other within 1 s."""
    rate, seconds, killed = size(100, 400), size(4, 10), 2.0
    started: dict[str, set[str]] = {"a": set(), "b": set()}

    def slow(name: str) -> Script:
        async def script(exchange: Exchange) -> bool:
            if exchange.method == "tools/call":
                started[name].add(exchange.message["params"]["arguments"]["id"])
                await asyncio.sleep(0.05)
            return False

        return script

    async with named("b", slow("b")) as b:
        a = named("a", slow("a"))
        async with a, Remora(configuration(a.url, b.url, sessions={"max": 1000})) as remora:
            outcomes: list[tuple[float, float, str, Answer]] = []
            idle: list[Client] = []
            start = time.monotonic()
            dying = death = 0.0

            async def one(number: int) -> None:
                id = f"call-{number}"
                # Every tenth caller is a new one.
                caller = f"Bearer new-{number}" if number % 10 == 0 else f"Bearer {number % 7}"
                client = idle.pop() if idle else Client(remora.address)
                began = time.monotonic()
                answer = await client.call("x", {"id": id}, id=id, timeout=15, Authorization=caller)
                outcomes.append((began, time.monotonic(), id, answer))
                idle.append(client)

            async def kill() -> None:
                nonlocal dying, death
                await asyncio.sleep(killed)
                dying = time.monotonic()
                await a.__aexit__()
                await asyncio.sleep(0)  # Its sockets close a turn later, and what begins before that may still reach it.
                death = time.monotonic()

            async with Stalls() as stalls, asyncio.TaskGroup() as group:
                group.create_task(kill())
                for number in range(seconds * rate):
                    await asyncio.sleep(max(0, start + number / rate - time.monotonic()))
                    group.create_task(one(number))
            for client in idle:
                await client.__aexit__()
    failed = [(began, ended, id, answer) for began, ended, id, answer in outcomes if "error" in answer.json]
    slowest = max(ended - began for began, ended, _, _ in outcomes)
    late = [ended - death for began, ended, _, answer in outcomes if began > death and "result" in answer.json]
    served = Counter(answer.text for _, _, _, answer in outcomes if "result" in answer.json)
    unread = sum(id not in started["a"] for _, _, id, _ in failed)
    tell(
        f"{len(outcomes)} calls in {seconds} s, one of two servers killed: {dict(served)}, {len(failed)} failed, {unread} of "
        f"them sent and not read; the first call that began after the end was answered {min(late) * 1000:.0f} ms after it, the slowest took {slowest:.2f} s; "
        f"the test itself stood still for {stalls.longest * 1000:.0f} ms at most"
    )
    assert served["a"] and served["b"]
    for began, ended, id, answer in failed:
        # Not all have begun there: some were in its receive buffers, and only the kernel knows which.
        assert id not in started["b"], "only calls that were in it see it"
        assert began <= death and dying <= ended + 0.1, (began - death, ended - dying, answer)
        assert answer.error["data"]["dispatched"] is True, answer
    patience = 1 + stalls.longest
    assert not [id for began, ended, id, _ in outcomes if began > death and min(ended - death, ended - began) > patience]
    both = started["a"] & started["b"]
    assert not both, "none ran twice"


def legacy(method: str, session: str | None = None, id: int = 1, **params: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode()
    headers: dict[str, Any] = {"MCP_Protocol_Version": "2025-11-25"} if session else {"MCP_Protocol_Version": OMIT}
    if session:
        headers["Mcp_Session_Id"] = session
    return encode(body, Mcp_Method=OMIT, Mcp_Name=OMIT, **headers)


@pytest.mark.parametrize("threads", [1, 2])
async def test_sessions_that_are_passed_through_keep_their_home(threads: int) -> None:
    listen = {"legacy_clients": "pass"}
    async with two(threads=threads, listen=listen) as (a, b, remora):

        async def exchange(data: bytes) -> Any:
            async with await Connection.open(remora.address) as connection:
                return await connection.exchange(data.replace(b"127.0.0.1\r\n", remora.address.encode() + b"\r\n", 1))

        sessions = []
        for _ in range(6):
            answer = await exchange(legacy("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={}))
            assert answer.status == 200
            sessions.append(answer.header("mcp-session-id"))
        assert len(a.sessions) + len(b.sessions) == 6 and a.sessions and b.sessions
        for round in range(3):
            for session in sessions:
                answer = await exchange(legacy("tools/call", session, name="x", arguments={}))
                home = "a" if session in a.sessions else "b"
                assert json.loads(answer.body)["result"]["content"][0]["text"] == home
            await remora.hangup()
        a.stop_listening()
        a.close_connections()
        for _ in range(4):
            answer = await exchange(legacy("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={}))
            assert answer.status == 200 and answer.header("mcp-session-id") in b.sessions


async def test_a_published_client_of_an_older_revision(lab: str, lab_json: str) -> None:
    text = configuration(f"http://{lab}/mcp", f"http://{lab_json}/mcp", listen={"legacy_clients": "pass"})
    async with Remora(text) as remora:
        async def one(number: int) -> None:
            async with mcp.Client(f"http://{remora.address}/mcp", mode="legacy") as client:
                for _ in range(3):
                    assert (await client.call_tool("echo", {"text": str(number)})).content[0].text == str(number)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(one(number))


async def test_a_modern_server_in_two_copies() -> None:
    """What goes past the translation is spread too, and goes on when one of them is away."""

    def script(name: str) -> Script:
        async def answer(exchange: Exchange) -> bool:
            await exchange.json(exchange.response(json.dumps({"content": [{"type": "text", "text": name}]}).encode()))
            return True

        return answer

    async with RawBackend(script("a")) as a, RawBackend(script("b")) as b:
        text = configuration(a.url, b.url, server={"era": "modern"})
        async with Remora(text) as remora, Client(remora.address) as client:
            seen = Counter([(await client.call("x")).text for _ in range(10)])
            assert seen == {"a": 5, "b": 5}
            a.stop_listening()
            await asyncio.sleep(3.1)  # Until the idle connection to it is given up.
            assert {(await client.call("x")).text for _ in range(10)} == {"b"}


async def test_a_reload_takes_a_copy_away_and_adds_one() -> None:
    async with named("c") as c, two() as (a, b, remora), Client(remora.address) as client:
        for number in range(4):
            await client.call("x", Authorization=f"Bearer {number}")
        await remora.reload(configuration(b.url, c.url))
        seen = Counter([(await client.call("x", Authorization=f"Bearer {number}")).text for number in range(6)])
        assert seen == {"b": 3, "c": 3}
        await a.until(lambda _: not a.sessions)


async def test_behind_a_balancer_that_sets_a_cookie() -> None:
    """nginx: each session keeps its copy by the cookie that it was given, and no client ever sees one."""
    async with named("a") as a, named("b") as b, balancer(a.address, b.address) as nginx:
        async with Remora(configuration(f"http://{nginx}/mcp")) as remora, Client(remora.address) as client:
            homes: dict[str, set[str]] = {}
            for _ in range(4):
                for number in range(6):
                    answer = await client.call("x", Authorization=f"Bearer {number}")
                    assert answer.http.header("set-cookie") is None
                    homes.setdefault(f"Bearer {number}", set()).add(answer.text)
            assert all(len(home) == 1 for home in homes.values()), homes
            assert len(a.sessions) == len(b.sessions) == 3
        for copy in (a, b):
            cookies = [each.header("cookie") for each in copy.requests]
            assert cookies.count(None) == 3, "a handshake begins without one, and everything else of the session has it"
            assert len(set(cookies)) == 2
            assert copy.methods["DELETE"] == 3 and not copy.sessions
        assert not [line for line in remora.process.lines if "copy-" in line], "cookies are not logged"


async def test_cookies_belong_to_their_session() -> None:
    """Set, changed, taken back: by any answer of the session, for its own requests."""
    number = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal number
        if exchange.method == "tools/call":
            number += 1
            headers = {1: "a=1; Path=/", 2: "b=2", 3: "a=; Max-Age=0"}
            extra = {"Set_Cookie": headers[number]} if number in headers else {}
            await exchange.json(exchange.response(raw.results["tools/call"]), **extra)
            return True
        return False

    async with RawBackend(script) as raw, stack(raw.address) as running:
        for _ in range(4):
            await running.client.call("x")
        await running.client.call("x", Authorization="Bearer other")
        sent = [each.header("cookie") for each in raw.requests if b"tools/call" in each.body]
        assert sent == [None, "a=1", "a=1; b=2", "b=2", None]
        assert b"set-cookie" not in b"".join(data for each in running.front.recordings for _, data in each.chunks).lower()
