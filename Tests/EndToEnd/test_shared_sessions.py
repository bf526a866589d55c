"""One session of a caller for all replicas, in a store: a server that counts in its sessions sees one state, wherever calls land."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from typing import Any

import pytest

from harness.http1 import TIMEOUT, Malformed
from harness.listener import Listener
from harness.modern import Answer, Client, call, request
from harness.replicas import Replicas
from harness.soak import FULL, size, tell
from harness.store import Liar, Redis
from servers.counter import CounterBackend
from servers.raw import notification
from test_fields import keyed, record
from test_store import Group, know_each_other, store_numbers, until

ANY = "127.0.0.1:0"
ROUND = 10
"""Seconds between two looks of a replica at the sessions that it shares."""


def group(at: CounterBackend | str, store: dict[str, Any], **options: Any) -> Group:
    changes = {
        "store": store,
        "replicas": {"peers": {}, "address": ANY},
        "sessions": {"shared": "store", "max": 400, **options.pop("sessions", {})},
        "listen": {"address": ANY},
        "admin": {"address": ANY},
        "log": {"level": "info", "format": "json"},
    }
    return Group(at if isinstance(at, str) else at.address, **changes, **options)


async def all_are_up(replicas: Replicas) -> None:
    """The connections of the loops are made with the one of which the log tells."""
    for name in replicas.names:
        await replicas.running[name].process.event("store_up")
    await asyncio.sleep(0.3)


async def send(address: str, caller: Any, tool: str = "count") -> Answer:
    async with Client(address) as client:
        return await client.send(call(tool), Authorization=f"Bearer {caller}")


async def count(address: str, caller: Any) -> int:
    return int((await send(address, caller)).text)


async def sessions_of(replicas: Replicas, caller: Any) -> set[str]:
    """The sessions that the replicas use for a caller."""
    return {(await send(front, caller, "mark")).text for name, front in replicas.fronts.items() if name in replicas.running}


# One session wherever a call lands


@pytest.mark.parametrize("threads", [1, 3])
async def test_counters_go_up_by_one(threads: int) -> None:
    """In round robin, every connection anew."""
    callers, rounds = 50, size(4, 200)
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, threads=threads) as replicas:
        await all_are_up(replicas)
        turns = itertools.cycle(replicas.fronts.values())
        start = time.monotonic()

        async def one(caller: int) -> list[int]:
            return [await count(next(turns), caller) for _ in range(rounds)]

        found = await asyncio.gather(*(one(caller) for caller in range(callers)))
        assert found == [list(range(1, rounds + 1))] * callers
        assert len(server.issued) == callers and not server.ended
        tell(f"{callers * rounds} calls of {callers} callers at three replicas in {time.monotonic() - start:.1f} s")


async def test_replicas_that_open_at_once_end_with_one() -> None:
    """Those that are slower end their own, and take the other's."""
    callers = 8
    async with CounterBackend(slow=0.3) as server, Redis() as redis, group(server, redis.settings) as replicas:
        await all_are_up(replicas)
        fronts = list(replicas.fronts.values())
        for caller in range(callers):
            found = await asyncio.gather(*(count(front, caller) for front in fronts))
            assert sorted(found) == [1, 2, 3]
        await until("the others are ended", lambda: len(server.sessions) == callers)
        assert len(server.issued) == callers + len(server.ended) and len(server.ended) >= callers
        for caller in range(callers):
            assert len(await sessions_of(replicas, caller)) == 1


async def test_callers_and_capabilities_have_their_own() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        one, other = await sessions_of(replicas, "one"), await sessions_of(replicas, "other")
        assert len(one) == len(other) == 1 and one != other
        # A client that can be asked has a session at each replica, as without a store.
        own = set()
        for front in replicas.fronts.values():
            async with Client(front) as client:
                asked = call("mark", clientCapabilities={"elicitation": {}})
                own.add((await client.send(asked, Authorization="Bearer one")).text)
        assert len(own) == 2 and not own & one


async def test_what_is_in_the_store() -> None:
    """Every value is sealed, every key has an expiry, and nothing says whose it is."""
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        assert (await store_numbers(replicas.running["a"]))["reachable"] == 1
        for front in replicas.fronts.values():
            await count(front, "a-secret")
        content = await redis.content()
        print(json.dumps(content, indent=1))
        kinds = sorted(key.split(":")[1] for key in content)
        assert kinds == ["replicas", "session", "session-stream", "session-users"]
        assert all(0 < left <= 5 * 60 + 30 for left, _ in content.values())
        ((_, session),) = (value for key, value in content.items() if key.startswith("remora:session:"))
        assert session[""].startswith("v1.")
        ((_, users),) = (value for key, value in content.items() if key.startswith("remora:session-users:"))
        assert len(users) == 2
        text = json.dumps(content)
        for secret in [*server.issued, "a-secret", server.address, "raw"]:
            assert secret not in text


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_a_published_server(options: tuple[str, ...]) -> None:
    """The Python SDK, which has one GET stream for a session, and counts in the objects of its sessions."""
    rounds, keys = size(6, 100), [f"key-{number}" for number in range(8)]
    field = {"headers": {"forward": ["x-api-key"]}}
    async with keyed(*options) as server, Redis() as redis:
        async with group(server, redis.settings, server=field) as replicas:
            await all_are_up(replicas)
            turns = itertools.cycle(replicas.names)

            async def one(key: str) -> list[int]:
                values = []
                for _ in range(rounds):
                    async with Client(replicas.fronts[next(turns)]) as client:
                        values.append(int((await client.send(call("count"), X_Api_Key=key)).text))
                return values

            assert await asyncio.gather(*(one(key) for key in keys)) == [list(range(1, rounds + 1))] * len(keys)
            await replicas.kill("a")
            async with Client(replicas.fronts["b"]) as client:
                assert int((await client.send(call("count"), X_Api_Key=keys[0])).text) == rounds + 1
            found = await record(server)
            # Each session has had one caller, and those of replicas that were slower were ended.
            assert all(len(used) == 1 for used in found["sessions"].values())
            assert len(found["sessions"]) == len(keys) + found["methods"].get("DELETE", 0)


# Replicas that go


async def test_a_stop_ends_no_session_that_others_may_use() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings) as replicas:
        await all_are_up(replicas)
        await know_each_other(replicas)
        assert await count(replicas.fronts["a"], "x") == 1
        await replicas.stop("a")
        assert await count(replicas.fronts["b"], "x") == 2
        await replicas.stop("b")
        assert not server.ended
        assert await count(replicas.fronts["c"], "x") == 3


async def test_the_last_one_ends_the_session() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=1) as replicas:
        await all_are_up(replicas)
        assert await count(replicas.fronts["a"], "x") == 1
        await replicas.stop("a")
        assert len(server.ended) == 1 and not server.sessions
        assert not [key for key in await redis.content() if ":session:" in key]


async def test_an_idle_session_ends_with_the_last_that_uses_it() -> None:
    async with CounterBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=2, sessions={"idle_timeout": "2s"}) as replicas:
            await all_are_up(replicas)
            await count(replicas.fronts["a"], "x")
            # The second one goes on with it for longer than the first.
            for number in range(2, 7):
                assert await count(replicas.fronts["b"], "x") == number
                await asyncio.sleep(0.8)
            assert replicas.log("a", "session_expired") and not server.ended
            await until("the last one ends it", lambda: len(server.ended) == 1)
            assert await count(replicas.fronts["a"], "x") == 1


async def test_one_goes_on_after_a_crash() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        assert await count(replicas.fronts["a"], "x") == 1
        await replicas.kill("a")
        assert await count(replicas.fronts["b"], "x") == 2
        await replicas.start("a")
        await all_are_up(replicas)
        assert await count(replicas.fronts["a"], "x") == 3
        assert len(server.issued) == 1


class Caller:
    """Calls one replica after the other, and knows which of its calls may have been counted."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.value = 0
        self.unknown = 0
        """Calls since the last answer of which it is not known whether they ran."""
        self.answered = self.told = self.refused = 0

    async def call(self, replicas: Replicas, turns: itertools.cycle[str]) -> None:
        front = replicas.fronts[next(turns)]
        try:
            async with Client(front) as client:
                answer = await client.send(call("count"), Authorization=f"Bearer {self.name}")
        except ConnectionRefusedError:
            self.refused += 1
            return
        except (ConnectionError, Malformed, asyncio.IncompleteReadError, AssertionError):
            # The replica was killed with the call in it, which says so by its connection.
            self.unknown += 1
            self.told += 1
            return
        found = int(answer.text)
        assert self.value < found <= self.value + 1 + self.unknown, (self.name, self.value, found, self.unknown)
        self.value, self.unknown = found, 0
        self.answered += 1


async def test_counters_while_replicas_are_killed() -> None:
    """One is killed every 5 s, and starts again: nothing is counted twice, and only what says so is lost."""
    wanted, every = size(600, 10_000), 5.0
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings) as replicas:
        await all_are_up(replicas)
        turns = itertools.cycle(replicas.names)
        callers = [Caller(number) for number in range(50)]
        is_over = False
        kills = 0

        async def kill_in_turn() -> None:
            nonlocal kills
            for name in itertools.cycle(replicas.names):
                await asyncio.sleep(every)
                if is_over:
                    return
                await replicas.kill(name)
                kills += 1
                await replicas.start(name)

        killing = asyncio.create_task(kill_in_turn())
        start = time.monotonic()
        try:
            while sum(caller.answered for caller in callers) < wanted or kills < 2:
                # For as long as two kills take at the least.
                await asyncio.gather(*(caller.call(replicas, turns) for caller in callers))
                await asyncio.sleep(0.2)
        finally:
            is_over = True
            await killing
        for caller in callers:
            await caller.call(replicas, turns)
        answered = sum(caller.answered for caller in callers)
        told = sum(caller.told for caller in callers)
        assert len(server.issued) == len(callers), "a session was lost that the server still had"
        counted = sum(server.counts.values())
        assert answered <= counted <= answered + told
        tell(
            f"{answered} calls answered, {told} cut with their replica, {sum(caller.refused for caller in callers)} not taken, "
            f"{kills} kills, {counted} counted, in {time.monotonic() - start:.0f} s"
        )


# Sessions that the server loses


async def test_a_session_that_the_server_forgot_is_replaced_once() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings) as replicas:
        await all_are_up(replicas)
        fronts = list(replicas.fronts.values())
        for number, front in enumerate(fronts, 1):
            assert await count(front, "x") == number
        for session in list(server.sessions):
            server.forget(session)
        found = await asyncio.gather(*(count(front, "x") for front in fronts))
        assert sorted(found) == [1, 2, 3]
        assert len(await sessions_of(replicas, "x")) == 1
        await until("the others are ended", lambda: len(server.sessions) == 1)


# The GET stream


async def test_one_listens_and_all_hear() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings) as replicas:
        await all_are_up(replicas)
        await know_each_other(replicas)
        for front in replicas.fronts.values():
            await count(front, "x")
        bearer = {"Authorization": "Bearer x"}
        async with contextlib.AsyncExitStack() as stack:
            listeners = [
                await stack.enter_async_context(Listener(front, headers=bearer, toolsListChanged=True))
                for front in replicas.fronts.values()
            ]
            assert all(listener.honoured == {"toolsListChanged": True} for listener in listeners)
            assert len(server.streams) == 1
            server.tool = "other"
            await server.tell(notification("tools/list_changed"))
            for listener in listeners:
                assert await listener.notice() == "tools/list_changed"
            for front in replicas.fronts.values():
                async with Client(front) as client:
                    listed = await client.send(request("tools/list"), **bearer)
                    assert [tool["name"] for tool in listed.result["tools"]] == ["other", "mark"]
        assert server.refused == 0


async def test_another_listens_when_the_one_goes() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        await know_each_other(replicas)
        for front in replicas.fronts.values():
            await count(front, "x")
        await until("one listens", lambda: len(server.streams) == 1)
        if FULL:
            await replicas.kill("a")
        else:
            await replicas.stop("a")
        await until("its stream ends", lambda: not server.streams)
        await until("the other one listens", lambda: len(server.streams) == 1, timeout=TIMEOUT + (40 if FULL else ROUND))
        assert len(server.sessions) == 1


# A store that is away


async def test_a_store_that_goes_and_comes_back() -> None:
    """Each replica goes on, with sessions of its own for new callers; then they have one again."""
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        for number, front in enumerate(replicas.fronts.values(), 1):
            assert await count(front, "old") == number
        await redis.end()
        for name in replicas.names:
            await replicas.running[name].process.event("store_down")
        for number, front in enumerate(replicas.fronts.values(), 3):
            assert await count(front, "old") == number
        assert len(await sessions_of(replicas, "new")) == 2
        await redis.start()
        end = time.monotonic() + 30
        while len(await sessions_of(replicas, "new")) > 1:
            assert time.monotonic() < end, "the replicas still have a session each"
            await asyncio.sleep(0.2)
        assert await count(replicas.fronts["a"], "old") == 5
        assert await count(replicas.fronts["b"], "old") == 6
        await until("the one that lost is ended", lambda: len(server.sessions) == 2)


async def test_a_store_that_was_emptied() -> None:
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        assert await count(replicas.fronts["a"], "x") == 1
        await redis.ask("FLUSHALL")
        await asyncio.sleep(ROUND + 1)
        assert await count(replicas.fronts["b"], "x") == 2
        assert len(server.issued) == 1


async def test_a_store_that_is_away_from_the_start() -> None:
    async with CounterBackend() as server, Redis() as redis:
        await redis.end()
        async with group(server, redis.settings, count=1) as replicas:
            assert await count(replicas.fronts["a"], "x") == 1
            assert await count(replicas.fronts["a"], "x") == 2
        assert len(server.ended) == 1


async def test_a_store_that_does_not_answer() -> None:
    """It greets, and is silent from then on: a caller without a session waits for it once, and others not at all."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"+PONG\r\n")
        while await reader.read(10_000):
            pass

    async with CounterBackend() as server, Liar(silent) as liar:
        async with group(server, {"url": liar.url}, count=1) as replicas:
            start = time.monotonic()
            assert [await count(replicas.fronts["a"], caller) for caller in ("x", "y", "x", "y")] == [1, 1, 2, 2]
            assert time.monotonic() - start < 15
            start = time.monotonic()
            for number in range(3, 23):
                assert await count(replicas.fronts["a"], "x") == number
            assert time.monotonic() - start < 5
        assert len(server.issued) == 2


async def test_what_others_write_in_its_place() -> None:
    """It is no session, and is replaced by one."""
    async with CounterBackend() as server, Redis() as redis, group(server, redis.settings, count=2) as replicas:
        await all_are_up(replicas)
        assert await count(replicas.fronts["a"], "x") == 1
        (key,) = [key for key in await redis.content() if key.startswith("remora:session:")]
        await redis.ask("SET", key, "v1.nonsense", "EX", "60")
        assert await count(replicas.fronts["b"], "x") == 1
        assert await count(replicas.fronts["b"], "x") == 2
        end = time.monotonic() + ROUND + 5
        while len(await sessions_of(replicas, "x")) > 1:
            assert time.monotonic() < end, "the replicas still have a session each"
            await asyncio.sleep(0.5)
        for name in replicas.names:
            assert not replicas.log(name, "store_down")
