"""Sessions that the server no longer knows, in every dialect, and what may be sent a second time after a loss."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

import pytest

from harness.modern import Client, call, request
from harness.stack import bystander, stack
from servers.raw import Exchange, RawBackend

Dialect = Callable[[Exchange], tuple[int, bytes, str]]


def lost_404(exchange: Exchange) -> tuple[int, bytes, str]:
    return 404, exchange.error(-32600, "Session not found"), "application/json"


def lost_410(exchange: Exchange) -> tuple[int, bytes, str]:
    return 410, b"", "text/plain"


def lost_404_in_a_page(exchange: Exchange) -> tuple[int, bytes, str]:
    """Of the server, or of something before it that has no such place just now."""
    return 404, b"<html>Not Found</html>", "text/html"


def lost_400(exchange: Exchange) -> tuple[int, bytes, str]:
    return 400, b"Bad Request: No valid session ID provided", "text/plain"


def lost_400_missing(exchange: Exchange) -> tuple[int, bytes, str]:
    return 400, b'{"error":"Missing session id"}', "application/json"


def lost_400_not_initialized(exchange: Exchange) -> tuple[int, bytes, str]:
    """The TypeScript SDK, which has not got to the id of the request by then."""
    exchange.message["id"] = None
    return 400, exchange.error(-32000, "Bad Request: Server not initialized"), "application/json"


def lost_401(exchange: Exchange) -> tuple[int, bytes, str]:
    """rmcp: no challenge, so it is no question of credentials."""
    return 401, b"Unauthorized: Session not found", "text/plain"


def lost_403(exchange: Exchange) -> tuple[int, bytes, str]:
    return 403, b"session user mismatch", "text/plain"


def lost_503(exchange: Exchange) -> tuple[int, bytes, str]:
    return 503, b"Too many sessions", "text/plain"


def unclear_400(exchange: Exchange) -> tuple[int, bytes, str]:
    """Could mean the request or the session: only a ping can tell."""
    return 400, b"Bad Request", "text/plain"


def unclear_422(exchange: Exchange) -> tuple[int, bytes, str]:
    return 422, b'{"detail":"go away"}', "application/json"


UNCLEAR = [unclear_400, unclear_422]
"""Refusals that say nothing of sessions."""
DOUBTED = [*UNCLEAR, lost_404_in_a_page, lost_503]
LOST = [lost_404, lost_410, lost_400, lost_400_missing, lost_400_not_initialized, lost_401, lost_403]


@pytest.mark.parametrize("dialect", LOST + DOUBTED, ids=lambda each: each.__name__)
async def test_a_lost_session_is_replaced(dialect: Dialect) -> None:
    """One new handshake, and the request is sent once more."""
    lost = True

    async def script(exchange: Exchange) -> bool:
        nonlocal lost
        if exchange.method != "tools/call" or not lost:
            return False
        lost = False
        raw.sessions.clear()
        await exchange.reply(*dialect(exchange))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert (await running.client.send(request("tools/list"))).status == 200
        assert (await running.client.call("x")).text == "raw"
        assert (raw.methods["initialize"], raw.methods["tools/call"]) == (2, 2)
        assert (await running.client.call("x")).text == "raw"
        assert (raw.methods["initialize"], raw.methods["tools/call"]) == (2, 3)
        assert raw.methods["ping"] == (1 if dialect in DOUBTED else 0)


async def test_many_calls_that_lose_one_session() -> None:
    """They share the new handshake, too."""
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        for expected in (2, 3):
            raw.sessions.clear()

            async def one(number: int) -> None:
                async with Client(running.front.address) as client:
                    assert (await client.call("x", id=number)).text == "raw"

            await asyncio.gather(*map(one, range(20)))
            assert raw.methods["initialize"] <= expected + 3


async def test_sessions_that_are_always_lost() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "bad":
            return False
        await exchange.reply(*lost_404(exchange))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        async with bystander(running.remora.address):
            answer = await running.client.call("bad")
        assert answer.status in (200, 503) and answer.code == -32603, answer
        assert re.search("session", answer.error["message"], re.IGNORECASE), answer
        assert sum(b'"bad"' in each.body for each in raw.requests) <= 3
        assert raw.methods["initialize"] <= 4


@pytest.mark.parametrize("dialect", UNCLEAR, ids=lambda each: each.__name__)
async def test_a_refused_request_is_no_lost_session(dialect: Dialect) -> None:
    """The session answers the ping: it stays, and the call is not sent again."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "bad":
            return False
        await exchange.reply(*dialect(exchange))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("bad")
        assert answer.error["data"] == {"reason": "backend_rejected", "dispatched": True}
        assert (raw.methods["initialize"], raw.methods["tools/call"], raw.methods["ping"]) == (1, 1, 1)
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 1


async def test_one_ping_for_all_who_doubt() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "ping":
            await asyncio.sleep(0.3)
        if exchange.method != "tools/call":
            return False
        await exchange.reply(*unclear_400(exchange))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        await running.client.send(request("tools/list"))

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                answer = await client.call("x", id=number)
                assert answer.error["data"]["reason"] == "backend_rejected"

        await asyncio.gather(*map(one, range(20)))
        assert raw.methods["ping"] <= 3


async def test_a_session_that_breaks_every_answer_is_given_up() -> None:
    """The SDK of 2025-03-26 gets into this state: HTTP 200 and a stream that ends at once, for ever."""
    broken: str | None = None

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "POST" or exchange.session is None or exchange.session != broken:
            return False
        await exchange.sse()
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        broken = next(iter(raw.sessions))
        # It may have run: it is not sent again.
        assert (await running.client.call("x")).error["data"]["reason"] == "outcome_unknown"
        await raw.until(lambda raw: raw.methods["ping"] == 1)
        await asyncio.sleep(0.1)
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 2


READS = [
    request("tools/list"),
    request("prompts/list"),
    request("resources/list"),
    request("resources/templates/list"),
    request("prompts/get", {"name": "p"}),
    request("resources/read", {"uri": "raw:///r"}),
    request("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}),
]


async def close(exchange: Exchange) -> None:
    exchange.close()


async def end_in_the_stream(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.chunk(b": hello\n\n")
    exchange.close()


@pytest.mark.parametrize("message", READS, ids=lambda message: message["method"])
@pytest.mark.parametrize("lose", [close, end_in_the_stream], ids=lambda each: each.__name__)
async def test_what_only_reads_is_sent_again_once(message: dict[str, object], lose: Callable[..., object]) -> None:
    lost = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal lost
        if exchange.method != message["method"] or lost == allowed:
            return False
        lost += 1
        await lose(exchange)  # type: ignore[misc]
        return True

    allowed = 1
    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.send(message)
        assert "result" in answer.json and raw.methods[str(message["method"])] == 2
        ids = [each["id"] for each in await running.backend_messages(str(message["method"]))]
        assert len(set(ids)) == 2, "a session sees no id twice"
    allowed, lost = 2, 0
    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.send(message)
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert raw.methods[str(message["method"])] == 2


@pytest.mark.parametrize("message", READS, ids=lambda message: message["method"])
async def test_a_later_refusal_does_not_unsay_that_it_may_have_run(message: dict[str, object]) -> None:
    """The first attempt is lost on its way back, and for the second the server is gone: the request may have run."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != message["method"]:
            return False
        raw.stop_listening()
        raw.close_connections()
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        await running.client.send(request("server/discover"))
        answer = await running.client.send(message)
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        # And what comes after it did not run, now that every connection is seen to be closed.
        await asyncio.sleep(0.2)
        answer = await running.client.send(message)
        assert answer.status == 503 and answer.error["data"]["dispatched"] is False


@pytest.mark.parametrize("message", READS, ids=lambda message: message["method"])
async def test_a_lost_session_and_then_a_lost_answer(message: dict[str, object]) -> None:
    """Each is mended once, also one after the other."""
    steps = [404, 0]

    async def script(exchange: Exchange) -> bool:
        if exchange.method != message["method"] or not steps:
            return False
        if steps.pop(0) == 404:
            raw.sessions.clear()
            await exchange.reply(*lost_404(exchange))
        else:
            exchange.close()
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert "result" in (await running.client.send(message)).json
        assert raw.methods[str(message["method"])] == 3


async def test_a_get_stream_that_outlives_its_session() -> None:
    """Its refusal comes to an end after a call has found the session lost and another one has taken its place."""
    lost = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method == "GET" and not lost.is_set():
            await exchange.raw(b"HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\n")
            await lost.wait()
            await asyncio.sleep(0.3)
            await exchange.raw(b"gone")
            return True
        if exchange.method == "tools/call" and not lost.is_set():
            raw.sessions.clear()
            lost.set()
            await exchange.reply(*lost_404(exchange))
            return True
        return False

    async with RawBackend(script) as raw, stack(raw.address) as running:
        await running.client.send(request("tools/list"))
        assert "result" in (await running.client.call("x")).json
        await asyncio.sleep(0.6)
        assert "result" in (await running.client.call("x")).json
        assert raw.methods["initialize"] == 2


@pytest.mark.parametrize(("status", "text"), [(500, "sqlalchemy: this session is in a bad state"), (200, "the session broke")])
async def test_a_tool_that_broke_the_server_does_not_run_again(status: int, text: str) -> None:
    """It speaks of some session, and those of the protocol are gone with it: the error is told, and the next call is served."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "bad":
            return False
        raw.sessions.clear()
        await exchange.reply(status, exchange.error(-32603, text))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("bad")
        assert (answer.status, answer.error["message"]) == (200, text)
        assert (await running.client.call("x")).text == "raw"
        assert (raw.methods["tools/call"], raw.methods["initialize"]) == (2, 2)


@pytest.mark.parametrize("code", [-32001, -32005])
async def test_a_call_that_was_heard_of_does_not_run_again(code: int) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "bad":
            return False
        raw.sessions.clear()
        token = exchange.message["params"]["_meta"]["progressToken"]
        told = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}
        await exchange.sse(json.dumps(told).encode(), exchange.error(code, "Session not found"))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        message = call("bad")
        message["params"]["_meta"]["progressToken"] = "p"
        answer = await running.client.send(message)
        assert answer.error["message"] == "Session not found", answer
        assert raw.methods["tools/call"] == 1
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["tools/call"] in (2, 3)


@pytest.mark.parametrize("dialect", [*DOUBTED, *LOST])
async def test_a_call_whose_stream_cannot_be_taken_up_does_not_run_again(dialect: Dialect) -> None:
    """Its stream ended to be taken up later, and by then the session is lost. The server refuses the GET; it has the call all the same."""
    begun: list[Exchange] = []

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "bad":
            await exchange.stream_head()
            await exchange.chunk(b"id: e0\r\nretry: 20\r\ndata: \r\n\r\n")
            await exchange.chunk(b"")
            begun.append(exchange)
            raw.sessions.clear()
        elif exchange.request.header("last-event-id"):
            await exchange.reply(*dialect(begun[0]))
        else:
            return False
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("bad")
        assert raw.methods["tools/call"] == 1, answer
        assert answer.error["data"]["dispatched"] is True, answer
        assert (await running.client.call("x")).text == "raw"


async def test_a_call_is_not_sent_again() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            exchange.close()
            return True
        return False

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.send(call("x"))
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert raw.methods["tools/call"] == 1


@pytest.mark.parametrize("annotations", ["trust", "ignore"])
@pytest.mark.parametrize(
    ("hints", "repeats"),
    [
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True}, True),
        ({"readOnlyHint": False, "idempotentHint": False}, False),
        ({"readOnlyHint": "true"}, False),
        ({"destructiveHint": False}, False),
    ],
    ids=["read only", "idempotent", "neither", "no boolean", "not destructive"],
)
async def test_a_tool_that_may_run_twice_is_called_again(
    hints: dict[str, object], repeats: bool, annotations: str
) -> None:
    lost = False

    async def script(exchange: Exchange) -> bool:
        nonlocal lost
        if exchange.method != "tools/call" or lost:
            return False
        lost = True
        exchange.close()
        return True

    tool = {"name": "x", "inputSchema": {"type": "object"}, "annotations": hints}
    results = {"tools/list": json.dumps({"tools": [tool]}).encode()}
    trust = {"annotations": annotations}
    async with RawBackend(script, results=results) as raw, stack(raw.address, server=trust) as running:
        answer = await running.client.call("x")
        if repeats and annotations == "trust":
            assert answer.text == "raw" and raw.methods["tools/call"] == 2
        else:
            assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
            assert raw.methods["tools/call"] == 1
