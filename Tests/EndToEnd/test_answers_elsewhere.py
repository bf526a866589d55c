"""A response on the GET stream: taken by its id, in its session alone, and not waited for in vain."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from harness.modern import Client, call
from harness.remora import Remora, configuration
from harness.stack import stack
from servers.raw import Exchange, PushBackend, RawBackend, event

LIMITS = {"backend_idle_timeout": "1500ms"}


def response(id: int, text: str) -> bytes:
    result = {"content": [{"type": "text", "text": text}]}
    return event(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode())


def is_held(exchange: Exchange) -> bool:
    """Whether it is the call whose response comes another way."""
    return exchange.method == "tools/call" and exchange.message["params"]["name"] == "held"


async def holds(exchange: Exchange) -> bool:
    """Takes that call, and says nothing more to it."""
    if not is_held(exchange):
        return False
    await exchange.reply(202, b"", None)
    return True


async def test_another_session_cannot_answer() -> None:
    """The stream of one caller's session brings what has the id of another's call."""

    async def script(exchange: Exchange) -> bool:
        if not is_held(exchange):
            return False
        await exchange.reply(202, b"", None)
        for session, stream in raw.streams.items():
            if session != exchange.session:
                await stream.chunk(response(exchange.message["id"], "forged"))
        await asyncio.sleep(0.3)
        await raw.streams[exchange.session].chunk(response(exchange.message["id"], "true"))
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        for name in ("a", "b"):
            async with Client(running.front.address) as client:
                assert (await client.call("x", Authorization=f"Bearer {name}")).text == "raw"
        await raw.until(lambda _: len(raw.streams) == 2)
        for name in ("a", "b"):
            async with Client(running.front.address) as client:
                assert (await client.call("held", Authorization=f"Bearer {name}")).text == "true"


async def test_many_calls_whose_responses_come_in_another_order() -> None:
    held: list[Exchange] = []

    async def script(exchange: Exchange) -> bool:
        if not is_held(exchange):
            return False
        await exchange.reply(202, b"", None)
        held.append(exchange)
        if len(held) == 20:
            for each in reversed(held):
                for _ in range(3):  # Once is enough.
                    arguments = each.message["params"]["arguments"]
                    await raw.streams[each.session].chunk(response(each.message["id"], arguments["text"]))
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        await running.client.call("x")
        await raw.until(lambda _: len(raw.streams) == 1)

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                assert (await client.send(call("held", {"text": str(number)}, id=number))).text == str(number)

        await asyncio.gather(*map(one, range(20)))
        assert raw.methods["initialize"] == 1


async def test_a_question_and_the_response_on_the_stream() -> None:
    """Of a call that may be asked: all that concerns it comes there."""

    async def script(exchange: Exchange) -> bool:
        message = exchange.message
        if exchange.method == "tools/call" and message["params"]["name"] == "held":
            await exchange.reply(202, b"", None)
            held.append(exchange)
            form = {"type": "object", "properties": {}}
            question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create"}
            question["params"] = {"message": "?", "requestedSchema": form}
            await raw.streams[exchange.session].chunk(event(json.dumps(question).encode()))
            return True
        if exchange.method is None and isinstance(message, dict) and message.get("id") == "q":
            await exchange.reply(202)
            action = message["result"]["action"]
            await raw.streams[exchange.session].chunk(response(held[0].message["id"], action))
            return True
        return False

    held: list[Exchange] = []
    asked = {"elicitation": {}}
    async with PushBackend(script) as raw, stack(raw.address, limits=LIMITS) as running:
        await running.client.send(call("x", clientCapabilities=asked))
        await raw.until(lambda _: len(raw.streams) == 1)
        first = await running.client.send(call("held", clientCapabilities=asked))
        assert first.result["resultType"] == "input_required", first
        await asyncio.sleep(2)  # The server may be silent for as long as the client takes.
        message = call("held", clientCapabilities=asked)
        message["params"]["requestState"] = first.result["requestState"]
        message["params"]["inputResponses"] = {key: {"action": "decline"} for key in first.result["inputRequests"]}
        assert (await running.client.send(message)).text == "decline"
        assert raw.methods["initialize"] == 1


async def test_a_response_that_never_comes() -> None:
    """The call has its time, as with a server that is silent, and is cancelled."""

    async with PushBackend(holds) as raw, stack(raw.address, limits=LIMITS) as running:
        await running.client.call("x")
        await raw.until(lambda _: len(raw.streams) == 1)
        answer = await running.client.call("held")
        assert answer.error["data"] == {"reason": "idle_timeout", "dispatched": True}
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 1)
        assert raw.methods["tools/call"] == 2 and raw.methods["initialize"] == 1


async def test_a_client_that_leaves_while_the_response_is_elsewhere() -> None:
    async with PushBackend(holds) as raw, stack(raw.address) as running:
        await running.client.call("x")
        await raw.until(lambda _: len(raw.streams) == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), Client(running.front.address) as client:
                await client.call("held")
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 1)


async def test_a_stream_that_is_gone_is_not_waited_for() -> None:
    """The session is lost while its call waits: nothing can come any more."""

    async def script(exchange: Exchange) -> bool:
        if not is_held(exchange):
            return False
        await exchange.reply(202, b"", None)
        raw.sessions.clear()
        raw.drop()
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        await running.client.call("x")
        await raw.until(lambda _: len(raw.streams) == 1)
        start = time.monotonic()
        answer = await running.client.call("held")
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert time.monotonic() - start < 4
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 2


async def test_a_broken_session_is_not_waited_for() -> None:
    """Whatever is asked in it gets an empty stream, `ping` too."""
    broken: set[str | None] = set()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "held":
            broken.add(exchange.session)
        if exchange.session not in broken or not exchange.is_request:
            return False
        await exchange.sse()
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        await running.client.call("x")
        await raw.until(lambda _: len(raw.streams) == 1)
        start = time.monotonic()
        answer = await running.client.call("held")
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert 4 < time.monotonic() - start < 14
        assert raw.methods["tools/call"] == 2


async def test_an_error_body_has_a_limit() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "bad":
            return False
        await exchange.reply(400, exchange.error(-32602, "x" * 3_000_000))
        return True

    async with PushBackend(script) as raw, stack(raw.address, limits={"max_response": "1MiB"}) as running:
        answer = await running.client.call("bad")
        assert answer.error["data"] == {"reason": "backend_rejected", "dispatched": True}
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 1


@pytest.mark.parametrize("outcome", [b'"result":{"content":[{"type":"text","text":"of a"}]}', b'"error":{"code":-5,"message":"of a"}'])
async def test_a_second_answer_on_a_connection_is_nobodys(outcome: bytes) -> None:
    """A server that answers twice breaks HTTP. What has no id could be about anybody who used the connection before."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "twice":
            return False
        await exchange.json(exchange.response(b'{"content":[]}'))
        await asyncio.sleep(0.02)
        await exchange.json(b'{"jsonrpc":"2.0","id":null,' + outcome + b"}")
        return True

    async with RawBackend(script, sessions=False) as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as client:
            for number in range(10):
                await client.call("x", Authorization="Bearer b")
                await client.call("twice", Authorization="Bearer a", id=number)
                answer = await client.call("x", Authorization="Bearer b")
                assert b"of a" not in answer.raw, answer
