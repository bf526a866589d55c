"""Several Remoras for the same clients: what they share, what they hand over, and what is left when one is gone."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import Client, request
from harness.replicas import Replicas, new_key
from harness.stack import stack
from servers.raw import PushBackend, notification

TOOLS = b'{"tools":[{"name":"%s","inputSchema":{"type":"object"}}]}'


async def tools(address: str, **headers: str) -> list[str]:
    async with Client(address) as client:
        return [tool["name"] for tool in (await client.send(request("tools/list"), **headers)).result["tools"]]


async def all_tools(address: str) -> set[str]:
    """On connections enough to come to each loop."""
    return {name for names in await asyncio.gather(*(tools(address) for _ in range(12))) for name in names}


# What one says of a server, the others hear


@pytest.mark.parametrize("threads", [1, 3])
async def test_a_cue_reaches_listeners_and_lists_of_other_replicas(threads: int) -> None:
    async with PushBackend() as first, PushBackend() as second:
        async with Replicas(first.address, second.address, count=2, threads=threads) as group:
            a, b = group.fronts["a"], group.fronts["b"]
            wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
            async with Listener(a, **wanted) as here, Listener(b, **wanted) as there:
                second.results["tools/list"] = TOOLS % b"old"
                # Each loop of b has the old list.
                assert await all_tools(b) == {"old"}
                second.results["tools/list"] = TOOLS % b"new"
                await first.tell(notification("tools/list_changed"), notification("resources/updated", uri="raw:///r"))
                cues = {"tools/list_changed", "resources/updated raw:///r"}
                assert {await here.cue(), await here.cue()} == cues
                assert {await there.cue(), await there.cue()} == cues
                # Whoever lists on the cue gets the new one, and so do the others soon.
                await asyncio.sleep(0.2)
                assert await all_tools(b) == {"new"}
                # It went no further: a said it, and nobody says it again.
                await here.silence()
                await there.silence()


async def test_cues_are_for_one_caller() -> None:
    async with PushBackend() as first, PushBackend() as second:
        async with Replicas(first.address, second.address, count=2) as group:
            alice, bob = {"Authorization": "Bearer alice"}, {"Authorization": "Bearer bob"}
            async with Listener(group.fronts["a"], headers=alice, toolsListChanged=True):
                async with (
                    Listener(group.fronts["b"], headers=alice, toolsListChanged=True) as hers,
                    Listener(group.fronts["b"], headers=bob, toolsListChanged=True) as his,
                ):
                    await first.tell(notification("tools/list_changed"))
                    assert await hers.cue() == "tools/list_changed"
                    await his.silence()


async def test_cues_can_be_kept_to_oneself() -> None:
    async with PushBackend() as first, PushBackend() as second:
        async with Replicas(first.address, second.address, count=2, replicas={"cues": "off"}) as group:
            async with (
                Listener(group.fronts["a"], toolsListChanged=True) as here,
                Listener(group.fronts["b"], toolsListChanged=True) as there,
            ):
                await first.tell(notification("tools/list_changed"))
                assert await here.cue() == "tools/list_changed"
                await there.silence()


async def test_a_cue_crosses_the_loops_of_one_process() -> None:
    async with PushBackend() as raw, stack(raw.address, threads=4) as running:
        async with asyncio.TaskGroup() as group:
            listeners = [Listener(running.front.address, toolsListChanged=True) for _ in range(12)]
            for listener in listeners:
                group.create_task(listener.__aenter__())
        # The server tells one session only: the last that opened a stream.
        await raw.tell(notification("tools/list_changed"))
        for listener in listeners:
            assert await listener.cue() == "tools/list_changed"
        for listener in listeners:
            await listener.__aexit__(None, None, None)


# Cursors


async def test_a_cursor_goes_on_at_another_replica() -> None:
    many = [{"name": f"t{number}", "inputSchema": {"type": "object"}, "description": "d" * 2000} for number in range(900)]
    results = {"tools/list": json.dumps({"tools": many}).encode()}
    async with PushBackend(results=results) as raw, Replicas(raw.address) as group:
        found, cursor, turn = [], {}, 0
        while True:
            name = group.names[turn % len(group.names)]
            async with Client(group.fronts[name]) as client:
                page = (await client.send(request("tools/list", cursor))).result
            found += [tool["name"] for tool in page["tools"]]
            turn += 1
            if "nextCursor" not in page:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert turn > 1 and found == [tool["name"] for tool in many]


# The listener for replicas


TASKS = ["/hear", "/answer/0", "/succeed/AAAAAAAAAAAAAAAAAAAAAA"]
OTHERS = ["/", "/mcp", "/metrics", "/answer/x", "/hear/"]
NO_PASS = ["", "Remora-Peer: \r\n", "Remora-Peer: v1.AAAA\r\n", "Remora-Peer: x\r\nRemora-Peer: x\r\n"]


async def test_nobody_without_a_pass_is_let_in() -> None:
    async with PushBackend() as raw, Replicas(raw.address, count=2) as group:
        address = group.peers["a"]
        for method, path, extra in itertools.product(("GET", "POST", "DELETE"), TASKS + OTHERS, NO_PASS):
            async with await Connection.open(address) as connection:
                text = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\n{extra}Content-Length: 2\r\n\r\n[]"
                answer = await connection.exchange(text.encode(), method)
                assert answer.status == (401 if path in TASKS else 404) and answer.body == b"", (method, path, extra)
        # One line for all of it, and nothing reached the server.
        await group.running["a"].process.event("peer_refused")
        assert len(group.log("a", "peer_refused")) == 1
        assert not raw.requests


async def test_a_group_with_another_key_is_not_heard(tmp_path: Path) -> None:
    async with PushBackend() as first, PushBackend() as second:
        group = Replicas(first.address, second.address, count=2)
        group.texts["b"] = group.texts["b"].replace(str(group.key), str(new_key(tmp_path / "other.key")))
        async with group:
            async with (
                Listener(group.fronts["a"], toolsListChanged=True) as here,
                Listener(group.fronts["b"], toolsListChanged=True) as there,
            ):
                await first.tell(notification("tools/list_changed"))
                assert await here.cue() == "tools/list_changed"
                await there.silence()
                await group.running["b"].process.event("peer_refused")
