"""Tasks at several replicas and threads: made at one, asked for at the others, and what becomes of them when replicas are gone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from typing import Any

import pytest
from harness.http1 import Malformed
from harness.listener import Listener
from harness.modern import Answer, Client, request
from harness.relay import Islands
from harness.remora import Remora, configuration
from harness.replicas import Replicas
from harness.soak import FULL, tell
from harness.store import Redis
from servers.task_ways import Task, TaskServer
from test_tasks import ANSWERS, ENDED, KNOWS, text, tool

BROKEN = (OSError, EOFError, Malformed, TimeoutError, asyncio.IncompleteReadError)
"""What a client sees of a replica that is killed."""


async def send(address: str, method: str, capabilities: Any = KNOWS, token: str = "ada", **params: Any) -> Answer:
    async with Client(address) as client:
        return await client.send(
            request(method, params, clientCapabilities=capabilities), Authorization=f"Bearer {token}")


async def start(address: str, **arguments: Any) -> str:
    created = await send(address, "tools/call", ANSWERS, name="dig", arguments=arguments)
    assert created.result["resultType"] == "task", created
    return created.result["taskId"]


@pytest.mark.parametrize("threads", [1, 2])
async def test_any_replica_answers_at_once(threads: int) -> None:
    async with TaskServer(tool) as server, Replicas(server.address, threads=threads) as replicas:
        fronts = list(replicas.fronts.values())
        for number in range(6):
            id = await start(fronts[0], questions=1, key=str(number))
            others = itertools.cycle(fronts[1:] + fronts[:1])
            # Durable before it is told.
            found = await send(next(others), "tasks/get", ANSWERS, taskId=id)
            assert found.result["status"] in ("working", "input_required")
            async with asyncio.timeout(20):
                while (found := await send(next(others), "tasks/get", ANSWERS, taskId=id)).result["status"] == "working":
                    await asyncio.sleep(0.05)
            key, = found.result["inputRequests"]
            for address in fronts:
                foreign = await send(address, "tasks/get", ANSWERS, "bob", taskId=id)
                assert foreign.code == -32602
            answers = {key: {"action": "accept", "content": {"name": "Ada"}}}
            assert (await send(next(others), "tasks/update", ANSWERS, taskId=id, inputResponses=answers)).status == 200
            async with asyncio.timeout(20):
                while (found := await send(next(others), "tasks/get", ANSWERS, taskId=id)).result["status"] not in ENDED:
                    await asyncio.sleep(0.05)
            assert found.result["status"] == "completed" and "Ada" in text(found.result["result"])
            cancelled = await start(fronts[1], seconds=60, key=f"c{number}")
            assert (await send(fronts[2], "tasks/cancel", taskId=cancelled)).status == 200
            assert (await send(fronts[0], "tasks/get", taskId=cancelled)).result["status"] == "cancelled"
        assert max(Counter(server.runs).values()) == 1


async def test_listeners_at_other_replicas() -> None:
    """They are served by whoever has the task."""
    async with TaskServer(tool) as server, Replicas(server.address) as replicas:
        first, second, _ = replicas.fronts.values()
        headers = {"Authorization": "Bearer ada"}
        id = await start(first, seconds=0.5)
        async with Listener(second, capabilities=KNOWS, headers=headers, taskIds=[id]) as listener:
            assert listener.honoured == {"taskIds": [id]}
            done = await listener.message()
            assert (done["method"], done["params"]["status"]) == ("notifications/tasks", "completed")
        lost = await start(first, seconds=60)
        await replicas.kill(replicas.names[0])
        async with Listener(second, capabilities=KNOWS, headers=headers, taskIds=[lost]) as listener:
            gone = (await listener.message())["params"]
            assert gone["status"] == "failed" and gone["error"]["data"]["reason"] == "task_lost"
        await replicas.start(replicas.names[0])


async def test_a_replica_that_is_gone() -> None:
    async with TaskServer(tool) as server, Replicas(server.address) as replicas:
        first, *others = replicas.fronts.values()
        id = await start(first, seconds=60)
        await replicas.kill(replicas.names[0])
        for address in others * 2:
            found = (await send(address, "tasks/get", taskId=id)).result
            assert found["status"] == "failed" and found["error"]["data"]["reason"] == "task_lost"
            assert found["statusMessage"] == found["error"]["message"]
            assert (await send(address, "tasks/update", taskId=id, inputResponses={})).status == 200
            assert (await send(address, "tasks/cancel", taskId=id)).status == 200
            assert (await send(address, "tasks/get", ANSWERS, "bob", taskId=id)).code == -32602
        await replicas.start(replicas.names[0])
        assert (await send(first, "tasks/get", taskId=id)).result["status"] == "failed"


async def test_a_replica_that_stops_has_its_tasks_end() -> None:
    """Their clients read them by way of the others; the stop takes no longer than that."""
    async with TaskServer(tool) as server, Replicas(server.address) as replicas:
        first, second, _ = replicas.fronts.values()
        ids = [await start(first, seconds=seconds, key=str(seconds)) for seconds in (0.5, 2)]
        begin = time.monotonic()
        stopping = asyncio.create_task(replicas.stop(replicas.names[0]))
        for id in ids:
            async with asyncio.timeout(20):
                while (found := (await send(second, "tasks/get", taskId=id)).result)["status"] == "working":
                    await asyncio.sleep(0.1)
            assert found["status"] == "completed", found
        await stopping
        assert time.monotonic() - begin < 15
        assert sorted(server.runs) == ["0.5", "2"]


async def test_threads_of_one_remora() -> None:
    """A connection comes to any of them."""
    async with TaskServer(tool) as server:
        text_of = configuration(f"http://{server.address}/mcp", threads=3)
        async with Remora(text_of) as remora:
            ids = [await start(remora.address, seconds=0.2, key=str(number)) for number in range(12)]
            for id in ids * 3:
                assert (await send(remora.address, "tasks/get", taskId=id)).status == 200
            await asyncio.sleep(0.5)
            for id in ids:
                assert (await send(remora.address, "tasks/get", taskId=id)).result["status"] == "completed"
        assert sorted(server.runs) == sorted(map(str, range(12)))


@pytest.mark.timeout(600)
async def test_many_tasks_while_replicas_are_killed() -> None:
    """Each ends in its result or in an error that says what happened, and no tool runs twice."""
    count, interval, at_once = (2000, 5.0, 100) if FULL else (120, 1.5, 20)

    async def slow(task: Task) -> dict[str, Any]:
        await asyncio.sleep(1)
        return {"content": [{"type": "text", "text": str(task.arguments["key"])}]}

    async with TaskServer(slow) as server, Replicas(
        server.address, tasks={"max": 4000, "max_per_principal": 4000}) as replicas:
        robin = itertools.cycle(replicas.fronts.values())
        outcomes: Counter[str] = Counter()
        gate = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with gate:
                while True:
                    try:
                        created = await send(next(robin), "tools/call", name="dig", arguments={"key": str(number)})
                        break
                    except ConnectionRefusedError:
                        await asyncio.sleep(0.05)  # Nothing was sent.
                    except BROKEN:
                        outcomes["connection broken while it was made"] += 1
                        return
                if "error" in created.json:
                    outcomes[f"not made: {created.error['data']['reason']}"] += 1
                    return
                id = created.result["taskId"]
                while True:
                    await asyncio.sleep(0.2)
                    try:
                        found = await send(next(robin), "tasks/get", taskId=id)
                    except BROKEN:
                        continue
                    if "error" in found.json:
                        # It may be asked again.
                        assert found.status == 503 or found.error["data"]["reason"] == "outcome_unknown", found
                        continue
                    if found.result["status"] == "completed":
                        assert text(found.result["result"]) == str(number)
                        outcomes["completed"] += 1
                        return
                    if found.result["status"] == "failed":
                        assert found.result["error"]["data"]["reason"] in ("task_lost", "session_lost"), found
                        outcomes["failed: " + found.result["error"]["data"]["reason"]] += 1
                        return
                    assert found.result["status"] == "working", found

        over = asyncio.Event()

        async def kill() -> None:
            for name in itertools.cycle(replicas.names):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), interval)
                if over.is_set():
                    return
                await replicas.kill(name)
                await asyncio.sleep(0.3)
                await replicas.start(name)

        started = time.monotonic()
        killing = asyncio.create_task(kill())
        try:
            await asyncio.gather(*(one(number) for number in range(count)))
        finally:
            over.set()
            await killing
        tell(f"{count} tasks in {time.monotonic() - started:.0f} s: {dict(outcomes)}")
        assert sum(outcomes.values()) == count
        assert max(Counter(server.runs).values()) == 1, "a tool ran twice"
        assert outcomes["completed"] > count / 2


# Outcomes in the store


async def ended(address: str, id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (found := (await send(address, "tasks/get", taskId=id)).result)["status"] not in ENDED:
            await asyncio.sleep(0.05)
    return found


async def outcomes(redis: Redis) -> dict[str, tuple[int, dict[str, str]]]:
    return {key: found for key, found in (await redis.content()).items() if key.startswith("remora:task:")}


@pytest.mark.parametrize("how", ["text", "error", "isError"])
async def test_an_outcome_outlives_its_replica(how: str) -> None:
    async with TaskServer(tool) as server, Redis() as redis, Islands(server.address, redis) as replicas:
        id, other = [await start(replicas.fronts["a"], how=how, seconds=seconds) for seconds in (0, 60)]
        before = await ended(replicas.fronts["a"], id)
        async with asyncio.timeout(10):
            while not (found := await outcomes(redis)):
                await asyncio.sleep(0.05)
        ((left, fields),) = found.values()
        assert 3500 < left <= 3601 and list(fields) == [""] and fields[""].startswith("v1.")
        await replicas.kill("a")
        for name in "bcb":
            after = (await send(replicas.fronts[name], "tasks/get", taskId=id)).result
            for member in ("taskId", "status", "lastUpdatedAt", "result", "error", "statusMessage"):
                assert after.get(member) == before.get(member), member
            assert (await send(replicas.fronts[name], "tasks/cancel", taskId=id)).status == 200
            assert (await send(replicas.fronts[name], "tasks/get", ANSWERS, "bob", taskId=id)).code == -32602
            # What had not ended is as before.
            gone = (await send(replicas.fronts[name], "tasks/get", taskId=other)).result
            assert gone["status"] == "failed" and gone["error"]["data"]["reason"] == "task_lost"
        # One that others do not reach has told it, too.
        await redis.end()
        gone = (await send(replicas.fronts["b"], "tasks/get", taskId=id)).result
        assert gone["status"] == "failed" and gone["error"]["data"]["reason"] == "task_lost"


async def test_an_outcome_that_is_too_large_for_the_store_stays_with_its_replica() -> None:
    async def large(task: Task) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": "x" * task.arguments["size"]}]}

    async with TaskServer(large) as server, Redis() as redis, Islands(server.address, redis) as replicas:
        small, big = [await start(replicas.fronts["a"], size=size) for size in (39_000, 50_000)]
        for id in small, big:
            assert (await ended(replicas.fronts["a"], id))["status"] == "completed"
        async with asyncio.timeout(10):
            while not await outcomes(redis):
                await asyncio.sleep(0.05)
        await replicas.kill("a")
        assert len(text((await ended(replicas.fronts["b"], small))["result"])) == 39_000
        gone = await ended(replicas.fronts["c"], big)
        assert gone["error"]["data"]["reason"] == "task_lost"
        assert not replicas.log("b", "store_down")


async def test_what_others_write_in_the_place_of_an_outcome() -> None:
    async with TaskServer(tool) as server, Redis() as redis, Islands(server.address, redis) as replicas:
        ids = [await start(replicas.fronts["a"]) for _ in range(2)]
        for id in ids:
            await ended(replicas.fronts["a"], id)
        async with asyncio.timeout(10):
            while len(found := await outcomes(redis)) < 2:
                await asyncio.sleep(0.05)
        (one, (_, first)), (other, (_, second)) = found.items()
        await redis.ask("SET", one, second[""])
        await redis.ask("SET", other, first[""] + "x")
        await replicas.kill("a")
        for id in ids:
            gone = await ended(replicas.fronts["b"], id)
            assert gone["status"] == "failed" and gone["error"]["data"]["reason"] == "task_lost"
