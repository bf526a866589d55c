"""Many principals at once on a server that keeps a state for each session: no caller ever sees what is another's."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from typing import Any

import pytest

from harness import lab as server
from harness.modern import Answer, Client, call, request
from harness.remora import Remora, configuration
from harness.soak import size, tell

PRINCIPALS = 64
ROUNDS = size(6, 100)
CONNECTIONS = 24
"""Fewer than principals: a balancer before Remora sends everybody's requests on the same connections."""

MARK = re.compile(rb"mark-[0-9a-f]{32}")


class Front:
    """Connections that all principals share; a request takes any that is free."""

    def __init__(self, address: str) -> None:
        self.clients = [Client(address) for _ in range(CONNECTIONS)]
        self._free: asyncio.Queue[Client] = asyncio.Queue()
        for client in self.clients:
            self._free.put_nowait(client)

    async def send(self, message: dict[str, Any], principal: str) -> Answer:
        client = await self._free.get()
        try:
            return await client.send(message, Authorization=f"Bearer {principal}")
        finally:
            self._free.put_nowait(client)


class Principal:
    def __init__(self, front: Front, number: int, sessions: int) -> None:
        self.front = front
        self.sessions = sessions
        self.name = f"principal-{number}"
        self.mark = f"mark-{secrets.token_hex(16)}"
        self.answers = 0
        self.streams = 0
        self.own_lists = 0
        self.foreign: list[bytes] = []

    async def send(self, message: dict[str, Any]) -> Answer:
        """Every byte of the answer is looked at: the result, and whatever comes before it."""
        answer = await self.front.send(message, self.name)
        self.answers += 1
        self.streams += answer.http.media_type == "text/event-stream"
        self.foreign += [found for found in MARK.findall(answer.raw) if found.decode() != self.mark]
        return answer

    async def live(self) -> None:
        # The ids of all of them are the same, and their progress tokens.
        assert (await self.send(call("keep", {"text": self.mark}, id=1))).text == "kept"
        steps = [self.value, self.progress, self.tools, self.text] + ([self.counted] if self.sessions == 1 else [])
        for _ in range(ROUNDS):
            random.shuffle(steps)
            for step in steps:
                await step()

    def owns(self, found: list[str]) -> None:
        """With several loops, each has its own session for this principal, and one of them was told the mark."""
        assert found == [self.mark] or (self.sessions > 1 and found == []), (self.mark, found)

    async def value(self) -> None:
        text = (await self.send(call("kept", id=1))).text
        self.owns([] if text == "nothing" else [text])

    async def progress(self) -> None:
        message = call("kept", id=1, logLevel="debug")
        message["params"]["_meta"]["progressToken"] = 1
        text = (await self.send(message)).text
        self.owns([] if text == "nothing" else [text])

    async def tools(self) -> None:
        tools = (await self.send(request("tools/list", id=1))).result["tools"]
        own = [tool["name"] for tool in tools if tool["name"].startswith("own-")]
        # One that was read before `keep` may be kept until the server's word of a change has come.
        assert own in ([], [f"own-{self.mark}"]), (self.mark, own)
        self.own_lists += len(own)

    async def text(self) -> None:
        assert (await self.send(call("echo", {"text": self.mark}, id=1))).text == self.mark

    async def counted(self) -> None:
        self.count = getattr(self, "count", 0) + 1
        assert (await self.send(call("counter", id=1))).text == str(self.count)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("threads", [1, 2])
async def test_nobody_sees_what_is_anothers(lab: str, threads: int) -> None:
    before = (await server.record(lab))["methods"].get("initialize", 0)
    changes = {"threads": threads, "sessions": {"max": 4 * PRINCIPALS}, "log": {"level": "info"}}
    async with Remora(configuration(f"http://{lab}/mcp", **changes)) as remora:
        front = Front(remora.address)
        everybody = [Principal(front, number, threads) for number in range(PRINCIPALS)]
        async with asyncio.TaskGroup() as group:
            for principal in everybody:
                group.create_task(principal.live())
        for client in front.clients:
            await client.__aexit__()
        log = "\n".join(remora.process.lines)
    answers = sum(principal.answers for principal in everybody)
    streams = sum(principal.streams for principal in everybody)
    foreign = sum(len(principal.foreign) for principal in everybody)
    sessions = (await server.record(lab))["methods"]["initialize"] - before
    tell(
        f"{PRINCIPALS} principals on {CONNECTIONS} connections and {threads} threads: {answers} answers, {streams} of "
        f"them streams, {sessions} sessions, {foreign} values of another"
    )
    assert foreign == 0
    assert sum(principal.own_lists for principal in everybody) > PRINCIPALS, "too few lists could tell anything"
    assert "Bearer" not in log and "mark-" not in log.replace("own-mark-", "")
