"""Many sessions of one caller, and a server that forgets all of them or some: each call is answered, and opens one at most."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from harness.modern import Answer, Client, call
from harness.stack import Stack, stack
from servers.raw import Exchange, PushBackend, RawBackend
from servers.wires import FORMS, Wire, Wires

ASKED = {"elicitation": {}}
SIZES = [1, 8, 64]


class Crowd:
    """A server that holds calls until as many have come as are wanted, so that each has a session of its own. A call of the tool
    `count` says how many its session has had."""

    def __init__(self, *, stream: bool, dialect: Callable[[Exchange], tuple[int, bytes]] | None = None) -> None:
        self.held = asyncio.Event()
        self.waiting = 0
        self.counts: dict[Any, int] = {}
        self.dialect = dialect
        self.raw = (PushBackend if stream else RawBackend)(self.script)
        self.known = self.raw.sessions

    async def script(self, exchange: Exchange) -> bool:
        if self.dialect is not None and exchange.request.method == "POST" and exchange.method != "initialize":
            if exchange.session not in self.raw.sessions:
                status, text = self.dialect(exchange)
                await exchange.reply(status, text)
                return True
        if exchange.method != "tools/call" or exchange.session not in self.raw.sessions:
            return False
        if exchange.message["params"]["name"] == "hold":
            self.waiting += 1
            async with self.raw.changed:
                self.raw.changed.notify_all()
            await self.held.wait()
        self.counts[exchange.session] = self.counts.get(exchange.session, 0) + 1
        result = {"content": [{"type": "text", "text": f"{exchange.session} {self.counts[exchange.session]}"}]}
        await exchange.json(exchange.response(json.dumps(result).encode()))
        return True

    async def gather(self, running: Stack, size: int) -> None:
        """Makes so many sessions."""

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                assert (await client.send(call("hold", id=number, clientCapabilities=ASKED))).status == 200

        tasks = [asyncio.create_task(one(number)) for number in range(size)]
        await self.raw.until(lambda _: self.waiting == size)
        self.held.set()
        await asyncio.gather(*tasks)
        assert len(self.raw.sessions) == size


async def count(client: Client, number: int = 1) -> Answer:
    return await client.send(call("count", id=number, clientCapabilities=ASKED))


def plain_404(exchange: Exchange) -> tuple[int, bytes]:
    return 404, b""


def unclear_400(exchange: Exchange) -> tuple[int, bytes]:
    return 400, b"Bad Request"


def words_in_200(exchange: Exchange) -> tuple[int, bytes]:
    return 200, exchange.error(-32002, "Server not initialized")


@pytest.mark.parametrize("dialect", [None, plain_404, unclear_400, words_in_200], ids=lambda each: each and each.__name__)
@pytest.mark.parametrize("stream", [False, True], ids=["no stream", "stream"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_server_that_forgets_all_its_sessions(
    size: int, stream: bool, dialect: Callable[[Exchange], tuple[int, bytes]] | None
) -> None:
    crowd = Crowd(stream=stream, dialect=dialect)
    async with crowd.raw as raw, stack(raw.address, sessions={"max_per_principal": 100}) as running:
        await crowd.gather(running, size)
        raw.sessions.clear()
        for number in range(10):
            before = raw.methods["initialize"]
            answer = await count(running.client, number)
            assert answer.status == 200 and "result" in answer.json, answer
            assert raw.methods["initialize"] <= before + 1
        assert raw.methods["initialize"] <= size + 10


@pytest.mark.parametrize("size", [8, 64])
async def test_calls_at_once_after_all_sessions_are_forgotten(size: int) -> None:
    crowd = Crowd(stream=False)
    async with crowd.raw as raw, stack(raw.address, sessions={"max_per_principal": 100}) as running:
        await crowd.gather(running, size)
        raw.sessions.clear()

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                answer = await count(client, number)
                assert answer.status == 200 and "result" in answer.json, answer

        await asyncio.gather(*map(one, range(20)))
        assert raw.methods["initialize"] <= size + 20


@pytest.mark.parametrize("stream", [False, True], ids=["no stream", "stream"])
async def test_a_server_that_forgets_half_of_its_sessions(stream: bool) -> None:
    """What it still knows goes on being used: no session that answers is given up."""
    crowd = Crowd(stream=stream)
    async with crowd.raw as raw, stack(raw.address) as running:
        await crowd.gather(running, 8)
        kept = set(sorted(raw.sessions)[::2])
        raw.sessions.intersection_update(kept)
        for number in range(10):
            before = raw.methods["initialize"]
            answer = await count(running.client, number)
            assert answer.status == 200 and "result" in answer.json, answer
            assert raw.methods["initialize"] <= before + 1
        assert raw.methods["DELETE"] == 0
        await asyncio.gather(*(hold(running, number) for number in range(4)))
        assert kept <= raw.sessions


async def hold(running: Stack, number: int) -> None:
    async with Client(running.front.address) as client:
        assert (await count(client, number)).status == 200


async def test_lists_and_calls_share_a_loss() -> None:
    """A client that asks for lists too, which any session of it serves."""
    crowd = Crowd(stream=False)
    async with crowd.raw as raw, stack(raw.address, cache={"ttl": "0s"}) as running:
        await crowd.gather(running, 8)
        raw.sessions.clear()
        for number in range(10):
            before = raw.methods["initialize"]
            method = ("prompts/list", "resources/list")[number % 2]
            message = call("x", id=number, clientCapabilities=ASKED)
            listed = await running.client.send({**message, "method": method, "params": {"_meta": message["params"]["_meta"]}})
            assert listed.status == 200 and "result" in listed.json, listed
            assert raw.methods["initialize"] <= before + 1


@pytest.mark.parametrize("form", FORMS)
async def test_processes_and_streams_that_all_end(form: str) -> None:
    held = asyncio.Event()
    waiting = 0

    async def script(wire: Wire, message: dict[str, Any]) -> bool:
        nonlocal waiting
        if message.get("method") == "tools/call" and message["params"]["name"] == "hold":
            waiting += 1
            asyncio.get_running_loop().create_task(later(wire, message))
            return True
        return False

    async def later(wire: Wire, message: dict[str, Any]) -> None:
        await held.wait()
        wire.say({"id": message["id"], "result": {"content": []}})

    async with Wires(form, script) as wires, wired(wires) as running:

        async def one(number: int) -> None:
            async with Client(running.remora.address) as client:
                assert (await client.send(call("hold", id=number, clientCapabilities=ASKED))).status == 200

        tasks = [asyncio.create_task(one(number)) for number in range(4)]
        await wires.until(lambda _: waiting == 4)
        held.set()
        await asyncio.gather(*tasks)
        for wire in wires.wires:
            wire.end()
        await asyncio.sleep(0.5)
        for number in range(6):
            before = wires.methods["initialize"]
            answer = await count(running.client, number)
            assert answer.status == 200 and "result" in answer.json, answer
            assert wires.methods["initialize"] <= before + 1


class Wired:
    def __init__(self, remora: Any, client: Client) -> None:
        self.remora, self.client = remora, client


@contextlib.asynccontextmanager
async def wired(wires: Wires, **changes: Any) -> AsyncIterator[Wired]:
    from harness.remora import Remora, configuration

    async with Remora(configuration(wires.backend, **changes)) as remora, Client(remora.address) as client:
        yield Wired(remora, client)


# --- What HTTP+SSE answers to a POST


def of(message: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": message.get("id"), **members}).encode()


@pytest.mark.parametrize("status", [200, 400, 404, 500])
async def test_a_response_to_the_post_itself(status: int) -> None:
    async with Wires("sse") as wires, wired(wires) as running:
        wires.refusal = lambda _, message: (
            (status, of(message, error={"code": -32602, "message": "no"})) if message["method"] == "tools/call" else None
        )
        for number in range(2):
            answer = await running.client.send(call("x", id=number))
            assert (answer.status, answer.code, answer.error["message"]) == (200, -32602, "no"), answer
        assert wires.methods["initialize"] == 1 and wires.methods["ping"] == 0


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, b"Could not find session"), (404, b""), (400, b"Bad Request"), (403, b"unknown session"),
        (500, b"Invalid session ID"),
    ],
)
async def test_a_stream_whose_session_is_lost(status: int, text: bytes) -> None:
    async with Wires("sse") as wires, wired(wires) as running:
        assert (await running.client.call("x")).text == "raw"
        wires.refusal = lambda wire, _: (status, text) if wire.number == 0 else None
        for number in range(3):
            assert (await running.client.call("x", id=number)).text == "raw"
        assert wires.methods["initialize"] == 2


@pytest.mark.parametrize(("status", "text"), [(400, b"Bad Request"), (403, b"unknown session"), (500, b"Invalid session ID")])
async def test_a_stream_whose_session_answers(status: int, text: bytes) -> None:
    async with Wires("sse") as wires, wired(wires) as running:
        wires.refusal = lambda _, message: (
            (status, text) if message["method"] == "tools/call" and message["params"]["name"] == "bad" else None
        )
        answer = await running.client.call("bad")
        assert "result" not in answer.json, answer
        assert (await running.client.call("x")).text == "raw"
        assert wires.methods["initialize"] == 1
