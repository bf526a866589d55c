"""Calls that wait for their clients give way to calls that run: a client that never comes back takes nothing from others, nor from
itself (translation contract, sections 2 and 6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.modern import Answer, call, request
from harness.remora import Remora, configuration
from servers.asking import Asking, Running
from servers.wires import FORMS, Wire, Wires, text
from test_parking_races import FORM, YES, ask, lost, retry, send


class Asker:
    """A server whose tool `ask` asks once, over HTTP or one wire a session. Others answer at once."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.gate = asyncio.Event()
        """Until it opens, the tool `late` does not ask."""
        self.late = 0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Asker]:
        server: Any = Asking(self._tool) if self.form == "http" else Wires(self.form, self._script)
        async with server as self.server:
            self.backend: Any = {"url": server.url} if self.form == "http" else server.backend
            yield self

    async def _tool(self, running: Running) -> None:
        name = running.params["name"]
        if name == "late":
            self.late += 1
            await self.gate.wait()
        if name in ("ask", "late"):
            await running.ask(0, **FORM)
            await self.server.until(
                lambda server: 0 in server.answers(running.exchange.session)
                or running.exchange.session not in server.sessions, timeout=60)
        await running.finish("done")

    async def _script(self, wire: Wire, message: dict[str, Any]) -> bool:
        if "method" not in message and str(message["id"]).startswith("q"):
            wire.say({"id": int(message["id"][1:]), "result": text("done")})
            return True
        if message.get("method") != "tools/call" or message["params"]["name"] not in ("ask", "late"):
            return False
        if message["params"]["name"] == "late":
            self.late += 1
            await self.gate.wait()
        wire.ask(f"q{message['id']}", "elicitation/create", **FORM)
        return True

    @property
    def cancelled(self) -> int:
        if self.form == "http":
            return len(self.server.cancelled)
        return sum(len(wire.cancelled()) for wire in self.server.wires)


async def plain(remora: Remora, principal: str | None = None) -> None:
    """What anybody may want at any time."""
    options = {"Authorization": f"Bearer {principal}"} if principal else {}
    found = await send(remora, request("server/discover"), **options)
    assert found.status == 200 and "capabilities" in found.result, found
    for message in (call("x"), request("tools/list")):
        answer = await send(remora, message, **options)
        assert answer.status == 200 and "result" in answer.json, answer


async def park(remora: Remora, number: int, principal: str | None = None) -> Answer:
    options = {"Authorization": f"Bearer {principal}"} if principal else {}
    asked = await send(remora, ask("ask", id=number), **options)
    assert list(asked.result["inputRequests"]) == ["elicitation-1"], asked
    return asked


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("form", ["http", *FORMS])
async def test_abandoned_questions_refuse_nothing(form: str, threads: int) -> None:
    """The call that waits for its client for the longest is cancelled, and its client is told the truth."""
    limits = {"max": 4 * threads, "max_per_principal": 2 * threads}
    async with Asker(form).run() as server:
        async with Remora(configuration(server.backend, threads=threads, sessions=limits)) as remora:
            start = time.monotonic()
            asked = [await park(remora, number) for number in range(6 * threads)]
            await plain(remora)
            await plain(remora, "another")
            assert time.monotonic() - start < 1.5 * len(asked), "no call waits for a session until it is told that there is none"
            assert server.cancelled >= len(asked) - limits["max_per_principal"]
            done = await send(remora, retry(ask("ask"), asked[-1], {"elicitation-1": YES}))
            assert done.text == "done"
            # A thread has its share of the sessions, and the kernel gives it some of the connections: perhaps not even so many.
            others = [await send(remora, retry(ask("ask"), each, {"elicitation-1": YES})) for each in asked[:-1]]
            gone = [lost(answer) for answer in others]
            assert gone.count(True) >= len(asked) - limits["max_per_principal"]
            assert all(answer.text == "done" for answer, is_gone in zip(others, gone, strict=True) if not is_gone)
            assert gone[0] or threads > 1
            # And again for as long as anybody likes.
            await park(remora, 100)
            await plain(remora)


async def test_who_has_the_most_makes_room_when_all_sessions_are_taken() -> None:
    async with Asker("http").run() as server:
        limits = {"max": 4, "max_per_principal": 3}
        async with Remora(configuration(server.backend, sessions=limits)) as remora:
            of_b = await park(remora, 1, "b")
            of_a = [await park(remora, number, "a") for number in range(3)]
            await plain(remora, "c")
            assert server.cancelled == 1
            b = {"Authorization": "Bearer b"}
            assert (await send(remora, retry(ask("ask"), of_b, {"elicitation-1": YES}), **b)).text == "done"
            a = {"Authorization": "Bearer a"}
            assert lost(await send(remora, retry(ask("ask"), of_a[0], {"elicitation-1": YES}), **a))
            assert (await send(remora, retry(ask("ask"), of_a[2], {"elicitation-1": YES}), **a)).text == "done"


@pytest.mark.parametrize("form", ["http", *FORMS])
async def test_a_call_that_comes_to_wait_for_its_client_makes_room_for_those_that_wait(form: str) -> None:
    async with Asker(form).run() as server:
        limits = {"max": 2, "max_per_principal": 1}
        async with Remora(configuration(server.backend, sessions=limits)) as remora:
            late = asyncio.create_task(send(remora, ask("late")))
            while server.late == 0:
                await asyncio.sleep(0.01)
            # It has all the sessions that its caller may have, and a call waits for it.
            waiting = asyncio.create_task(send(remora, call("x")))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            server.gate.set()
            assert list((await late).result["inputRequests"]) == ["elicitation-1"]
            assert (await waiting).status == 200
            assert lost(await send(remora, retry(ask("late"), await late, {"elicitation-1": YES})))


async def test_a_call_that_made_room_is_never_said_not_to_have_run() -> None:
    """Its retry finds no session either: it can be sent again, but what ran before the question has run."""
    async with Asker("http").run() as server:
        async with Remora(configuration(server.backend, sessions={"max": 1})) as remora:
            asked = await park(remora, 1)
            late = asyncio.create_task(send(remora, ask("late")))
            while server.late == 0:
                await asyncio.sleep(0.01)
            answer = await send(remora, retry(ask("ask"), asked, {"elicitation-1": YES}))
            assert answer.status == 503 and answer.http.header("retry-after") == "2", answer
            assert answer.error["data"] == {"reason": "busy", "dispatched": True}
            assert "may have partly run" in answer.error["message"]
            server.gate.set()
            await late
            assert lost(await send(remora, retry(ask("ask"), asked, {"elicitation-1": YES})))


async def test_what_was_given_up_and_still_runs_makes_room_too() -> None:
    """A client that leaves before it is asked anything: the server is told, and does not let go."""

    async def deaf(running: Running) -> None:
        if running.params["name"] == "x":
            return await running.finish("raw")
        await asyncio.sleep(60)

    async with Asking(deaf) as server:
        limits = {"max": 4, "max_per_principal": 2}
        async with Remora(configuration(server.url, sessions=limits)) as remora:
            for number in range(4):
                task = asyncio.create_task(send(remora, ask("deaf", id=number)))
                await server.until(lambda server: server.methods["tools/call"] == number + 1)
                task.cancel()
                await server.until(lambda server: len(server.cancelled) == number + 1)
            start = time.monotonic()
            await plain(remora)
            assert time.monotonic() - start < 1.5
