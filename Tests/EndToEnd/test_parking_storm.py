"""Calls during which servers and clients do anything at any moment: a client that stays gets an answer, nothing is left over, and Remora
goes on. `REMORA_STORM_SEED` is the seed of another storm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness.http1 import Connection, Malformed
from harness.modern import Answer, encode, request
from harness.remora import Remora, configuration
from harness.soak import size, tell
from servers.asking import PAGE, Asking, Running
from servers.wires import FORMS, Wire, Wires, text
from test_admin import ADMIN, admin_address, metrics
from test_making_room import plain

SECONDS = size(4, 120)
PEOPLE = 40
SEED = int(os.environ.get("REMORA_STORM_SEED", "1"))
EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}}
FORM = {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}}
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("elicitation/create", FORM), ("elicitation/create", {**PAGE, "elicitationId": "p0"}), ("roots/list", {}),
    ("elicitation/create", {**PAGE, "elicitationId": "p1"}), ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    ("elicitation/create", {}), ("unknown/method", {}),
]

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def server_does(chance: random.Random, send: Send, call: Any, token: Any) -> None:
    """What a server does during a call, until it answers it or does not."""
    for _ in range(chance.randrange(8)):
        match chance.randrange(8):
            case 0 | 1 | 2:
                method, params = chance.choice(QUESTIONS)
                await send({"id": chance.choice([0, 1, "1", f"q{chance.randrange(10**6)}"]), "method": method, "params": params})
            case 3:
                await send({"method": "notifications/cancelled", "params": {"requestId": chance.choice([0, 1, "1"])}})
            case 4:
                params = {"elicitationId": chance.choice(["p0", "p1", "p2"])}
                await send({"method": "notifications/elicitation/complete", "params": params})
            case 5:
                await send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
            case _:
                await asyncio.sleep(chance.choice([0, 0.005, 0.03, 0.05, 0.2]))
    match chance.randrange(12):
        case 0:
            pages = [{**PAGE, "elicitationId": f"p{number}"} for number in range(chance.randrange(1, 3))]
            await send({"id": call, "error": {"code": -32042, "message": "visit", "data": {"elicitations": pages}}})
        case 1:
            await send({"id": call, "error": {"code": -32602, "message": "no"}})
        case 2:
            await send({"id": call, "result": {**text("no"), "isError": True}})
        case 3:
            pass  # Never.
        case _:
            await send({"id": call, "result": text("done")})


class Storm:
    """A server in a storm, over HTTP or one wire a session."""

    def __init__(self, form: str, chance: random.Random) -> None:
        self.form, self.chance = form, chance
        self.tasks: set[asyncio.Task[None]] = set()
        self.server: Any = Asking(self._tool) if form == "http" else Wires(form, self._script)

    @property
    def backend(self) -> Any:
        return {"url": self.server.url} if self.form == "http" else self.server.backend

    async def _tool(self, running: Running) -> None:
        if running.params["name"] == "x":
            return await running.finish("raw")

        async def send(message: dict[str, Any]) -> None:
            get = "method" in message and running.exchange.session in self.server.streams and self.chance.random() < 0.3
            # Events with ids can be taken up.
            await running.send(message, get=get, id=None if get else f"e{self.chance.randrange(10**9)}")

        await server_does(self.chance, send, running.exchange.message["id"], running.token)
        if self.chance.random() < 0.1:
            running.exchange.abort()
        elif running.has_begun:
            await running.exchange.chunk(b"")

    def _script(self, wire: Wire, message: dict[str, Any]) -> bool:
        async def send(message: dict[str, Any]) -> None:
            wire.say(message)

        if message.get("method") == "initialize" and self.chance.random() < 0.5:
            wire.ask(0, "roots/list")
            wire.ask(1, "elicitation/create", **FORM)
        if message.get("method") not in ("tools/call", "prompts/get") or message["params"]["name"] == "x":
            return False
        token = message["params"].get("_meta", {}).get("progressToken")
        task = asyncio.create_task(server_does(self.chance, send, message["id"], token))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True


def answers_to(chance: random.Random, questions: dict[str, Any]) -> Any:
    def one(question: dict[str, Any]) -> Any:
        if chance.random() < 0.05:
            return 7
        match question["method"].split("/")[0]:
            case "elicitation":
                return {"action": chance.choice(["accept", "accept", "decline", "cancel"])}
            case "sampling":
                return {"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m"}
            case _:
                return {"roots": []}

    return {key: one(question) for key, question in questions.items() if chance.random() < 0.8}


class Person:
    def __init__(self, chance: random.Random, address: str, number: int, seen: Counter[str]) -> None:
        self.chance, self.address, self.seen = chance, address, seen
        self.headers = {"Authorization": f"Bearer p{number % 3}"}

    async def exchange(self, message: dict[str, Any]) -> Answer | None:
        """The answer, unless the client leaves before."""
        connection = await Connection.open(self.address)
        try:
            await connection.send(encode(message, host=self.address, **self.headers))
            match self.chance.randrange(10):
                case 0:
                    self.seen["left at once"] += 1
                    return None
                case 1 | 2:
                    with contextlib.suppress(TimeoutError):
                        return Answer(await connection.receive(timeout=self.chance.choice([0.001, 0.01, 0.03, 0.06, 0.3, 2.1])))
                    self.seen["left"] += 1
                    return None
                case 3:
                    if self.chance.random() < 0.3:
                        connection.writer.write_eof()
                        self.seen["half-closed"] += 1
                        await asyncio.sleep(0.01)
                        return None
            return Answer(await connection.receive(timeout=60))
        finally:
            connection.abort()

    async def call(self, number: int) -> None:
        method = self.chance.choice(["tools/call", "tools/call", "prompts/get"])
        params = {"name": "storm", "arguments": {"n": str(number)}}
        message = request(method, params, id=number, clientCapabilities=EVERYTHING)
        answer = await self.exchange(message)
        for _ in range(6):
            if answer is None or "result" not in answer.json or answer.result.get("resultType") != "input_required":
                break
            questions = answer.result["inputRequests"]
            assert questions, "no client is asked nothing"
            self.seen["asked"] += 1
            if self.chance.random() < 0.15:
                self.seen["abandoned"] += 1
                return
            await asyncio.sleep(self.chance.choice([0, 0, 0.01, 0.03, 1.2]))
            state = {"requestState": answer.result["requestState"]}
            again = {**message, "params": {**message["params"], **state, "inputResponses": answers_to(self.chance, questions)}}
            twice = self.chance.randrange(1, 3)
            found = await asyncio.gather(*(self.exchange(again) for _ in range(twice)))
            answer = found[0]
            if answer is None and self.chance.random() < 0.7:
                # Sent again, as a client does whose connection broke.
                answer = await self.exchange(again)
        if answer is not None:
            self.seen[f"answered {answer.status}"] += 1
            assert answer.status in (200, 400, 502, 503, 504), answer


async def rested(remora: Remora, principal: str, limit: float) -> None:
    """A second is not enough for a handshake where the machine is busy with the end of the storm."""
    while True:
        try:
            return await plain(remora, principal)
        except AssertionError:
            if time.monotonic() > limit:
                raise
        await asyncio.sleep(0.2)


@pytest.mark.timeout(SECONDS + 180)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("form", ["http", *FORMS])
async def test_whatever_happens_at_whatever_moment(form: str, threads: int) -> None:
    chance = random.Random(SEED)
    storm, seen = Storm(form, chance), Counter[str]()
    changes: dict[str, Any] = {
        "threads": threads, "admin": ADMIN, "interaction": {"park_timeout": "1s"},
        "sessions": {"max": 8 * threads, "max_per_principal": 4 * threads}, "limits": {"request_timeout": "1s"},
    }
    async with storm.server, Remora(configuration(storm.backend, **changes)) as remora:
        admin = await admin_address(remora)
        end = time.monotonic() + SECONDS

        def goes_on() -> bool:
            """For its time, and on a busy machine until enough has happened."""
            is_enough = seen["asked"] > 20 and seen["answered 200"] > 20
            return time.monotonic() < (end if is_enough else end + 60)

        async def live(number: int) -> None:
            person = Person(chance, remora.address, number, seen)
            while goes_on():
                try:
                    await person.call(number)
                except Malformed as cut:  # The client had left: Remora says so, or closes.
                    seen[type(cut).__name__] += 1

        await asyncio.gather(*(live(number) for number in range(PEOPLE)))
        limit = time.monotonic() + 30
        while (found := await metrics(admin)).value("remora_parked_calls", state="parked") > 0:
            assert time.monotonic() < limit, "calls stay parked"
            await asyncio.sleep(0.1)
        assert found.value("remora_parked_calls", state="parked") == 0
        for name in ("p0", "p1", "p2", "new"):
            await rested(remora, name, limit)
        errors = [each for each in remora.process.events() if each["event"] == "internal_error"]
        assert errors == []
        for task in list(storm.tasks):
            task.cancel()
    tell(f"a storm over {form} with {threads} threads: {dict(sorted(seen.items()))}")
    assert seen["asked"] > 20 and seen["answered 200"] > 20
