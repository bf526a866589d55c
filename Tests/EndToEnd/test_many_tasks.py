"""Thousands of tasks are held at once: each costs Remora little, and none is left when its time is over."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from harness.modern import Client, request
from harness.remora import Remora, configuration
from harness.soak import size, tell
from servers.task_ways import Task, TaskServer
from test_many_parked import AT_ONCE, LIMIT, each
from test_tasks import ANSWERS, eventually

COUNT = size(300, 5000)
TTL = size(6, 180)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("questions", [0, 1], ids=["working", "asking"])
async def test_many_tasks_are_held(questions: int) -> None:
    async def tool(task: Task) -> dict[str, Any]:
        for _ in range(questions):
            await task.ask()
        await asyncio.sleep(3600)
        return {}

    room = 2 * COUNT + 100
    async with TaskServer(tool, "docket") as server:
        text = configuration(
            f"http://{server.address}/mcp", tasks={"max": room, "max_per_principal": room, "max_ttl": f"{TTL}s"},
            log={"level": "info"}, limits={"max_connections": 1000})
        async with Remora(text) as remora:
            ids: list[str] = []

            async def start(client: Client, number: int) -> None:
                created = await client.send(
                    request("tools/call", {"name": "dig"}, clientCapabilities=ANSWERS), timeout=60)
                ids.append(created.result["taskId"])

            async def get(client: Client, number: int) -> None:
                id = ids[number]
                wanted = "input_required" if questions else "working"
                while (found := await client.send(
                        request("tasks/get", {"taskId": id}, clientCapabilities=ANSWERS), timeout=60)
                       ).result["status"] != wanted:
                    await asyncio.sleep(0.05)

            async def hold(count: int) -> float:
                ids.clear()
                before = remora.resident()
                await each(remora.address, count, start)
                await each(remora.address, count, get)
                await asyncio.sleep(1)  # For connections to close.
                return (remora.resident() - before) / count

            # What it takes once is not counted.
            await hold(50)
            started = time.monotonic()
            memory = await hold(COUNT)
            taken = time.monotonic() - started - 1
            await asyncio.sleep(max(0, TTL + 2 - taken))
            await eventually(lambda: all(task.status == "cancelled" for task in server.tasks.values()), 60)

            async def is_gone(client: Client, number: int) -> None:
                found = await client.send(
                    request("tasks/get", {"taskId": ids[number]}, clientCapabilities=ANSWERS), timeout=60)
                assert found.code == -32602, found

            await each(remora.address, COUNT, is_gone)
            left = remora.resident() / 1048576
            # Each call had a session to itself until it was known that it is a task.
            assert len(server.issued) <= AT_ONCE
    tell(
        f"{COUNT} tasks held at once ({'asking' if questions else 'working'}): {memory:.0f} bytes of resident memory each, "
        f"made and asked for in {taken:.1f} s; {left:.0f} MiB in all after their end")
    assert memory < LIMIT
