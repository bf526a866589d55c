"""What a server says during a call: who hears it and in which form, and what comes of streams that end or are not read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness import http1
from harness.http1 import Connection
from harness.modern import OMIT, Answer, Client, call, encode, request
from harness.stack import bystander, settles, stack
from servers.raw import Exchange, PushBackend, RawBackend, event, notification

RESULT = b'{"content":[{"type":"text","text":"done"}]}'


def token(exchange: Exchange) -> Any:
    return exchange.message["params"].get("_meta", {}).get("progressToken", "none")


def with_token(message: dict[str, Any], value: Any) -> dict[str, Any]:
    message["params"]["_meta"]["progressToken"] = value
    return message


Script = Callable[[Exchange], Awaitable[None]]


def calls(script: Script) -> Callable[[Exchange], Awaitable[bool]]:
    """Takes over the calls of the tool `x` alone."""

    async def chosen(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "x":
            return False
        await script(exchange)
        return True

    return chosen


def notifications(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(message) for message in answer.messages[:-1]]


# Form of the answer


async def test_progress_makes_the_answer_a_stream() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.sse(
            notification("progress", progressToken=token(exchange), progress=1, total=2),
            notification("progress", progressToken=token(exchange), progress=2, total=2),
            exchange.response(RESULT),
        )

    async with RawBackend(calls(script)) as raw, stack(raw.address) as running:
        answer = await running.client.send(with_token(call("x", id="c"), "tick"))
        assert answer.http.media_type == "text/event-stream"
        assert answer.http.header("x-accel-buffering") == "no"
        assert answer.http.header("content-length") is None
        assert [each["params"]["progressToken"] for each in notifications(answer)] == ["tick", "tick"]
        assert [each["params"]["progress"] for each in notifications(answer)] == [1, 2]
        assert answer.json["id"] == "c" and answer.text == "done"
        assert b"id:" not in answer.raw.replace(b'"id":', b""), "events have no ids: clients would resume by them"
        # And the connection serves the next request.
        assert (await running.client.call("y")).http.media_type == "application/json"


async def test_an_answer_without_anything_before_it_is_json() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.sse(
            notification("progress", progressToken=1, progress=1),
            notification("message", level="error", data="nobody asked"),
            notification("tools/list_changed"),
            exchange.response(RESULT),
        )

    async with RawBackend(calls(script)) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert answer.http.media_type == "application/json" and answer.text == "done"


async def test_an_error_in_a_stream_is_its_last_event() -> None:
    """The status was sent already: the error travels under 200."""

    async def script(exchange: Exchange) -> None:
        await exchange.stream_head()
        await exchange.chunk(event(notification("progress", progressToken=token(exchange), progress=1)))
        exchange.close()

    async with RawBackend(calls(script)) as raw, stack(raw.address) as running:
        answer = await running.client.send(with_token(call("x"), 5))
        assert answer.status == 200 and answer.http.media_type == "text/event-stream"
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}


async def test_silence_is_broken_by_comments() -> None:
    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.7)
        await exchange.json(exchange.response(RESULT))

    limits = {"keep_alive_interval": "200ms"}
    async with RawBackend(calls(script)) as raw, stack(raw.address, limits=limits) as running:
        answer = await running.client.call("x")
        assert answer.http.media_type == "text/event-stream"
        assert answer.raw.startswith(b":") and 2 <= answer.raw.count(b":\n\n") <= 4
        assert answer.text == "done"
        # A JSON-RPC error whose status would have been 404.
        assert (await running.client.send(request("nothing/here"))).status == 404


# Who hears what


async def test_progress_on_the_get_stream_finds_its_call() -> None:
    """Python servers send `report_progress` there. Two calls of one session, each with its own token and type."""
    arrived: dict[str, Exchange] = {}
    both = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        arrived[exchange.message["params"]["arguments"]["who"]] = exchange
        if len(arrived) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), http1.TIMEOUT)
        if exchange.message["params"]["arguments"]["who"] == "a":
            for step in (1, 2):
                for who in ("a", "b"):
                    await backend.tell(
                        notification("progress", progressToken=token(arrived[who]), progress=step, message=who)
                    )
            await backend.tell(notification("progress", progressToken=424242, progress=1))
            await backend.tell(notification("message", level="error", data="whose?"))
            finished.set()
        await finished.wait()
        await asyncio.sleep(0.1)
        await exchange.json(exchange.response(RESULT))

    finished = asyncio.Event()
    async with PushBackend(calls(script)) as backend, stack(backend.address) as running:
        async def one(who: str, value: Any) -> Answer:
            async with Client(running.front.address) as client:
                return await client.send(with_token(call("x", {"who": who}, logLevel="debug"), value))

        a, b = await asyncio.gather(one("a", 7), one("b", "7"))
        for answer, who, value in ((a, "a", 7), (b, "b", "7")):
            found = [each["params"] for each in notifications(answer)]
            assert [(each["progressToken"], each["progress"], each["message"]) for each in found] == [
                (value, 1, who),
                (value, 2, who),
            ]
            assert answer.text == "done"


async def test_log_messages_from_the_level_that_was_asked_for() -> None:
    async def script(exchange: Exchange) -> None:
        levels = ("debug", "info", "warning", "critical")
        said = [notification("message", level=level, data=level) for level in levels]
        await exchange.sse(*said, exchange.response(RESULT))

    async with RawBackend(calls(script), results={"logging/setLevel": b"{}"}) as raw, stack(raw.address) as running:

        async def heard(level: Any) -> list[str]:
            answer = await running.client.send(call("x", logLevel=level))
            assert answer.text == "done"
            return [each["params"]["data"] for each in notifications(answer)]

        assert await heard("warning") == ["warning", "critical"]
        assert await heard("emergency") == []
        assert await heard("info") == ["info", "warning", "critical"]
        assert await heard(OMIT) == []
        assert await heard("warning") == ["warning", "critical"]
        asked = [each["params"]["level"] for each in await running.backend_messages("logging/setLevel")]
        assert asked == ["warning", "info"], "the session's level only becomes more verbose"


@pytest.mark.parametrize("level", ["refused", "silent", "not offered"])
async def test_a_server_that_does_not_set_levels_still_runs_the_call(level: str) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "logging/setLevel" and level == "silent":
            await asyncio.sleep(3600)
        return False

    capabilities = {"tools": {}} if level == "not offered" else None
    limits = {"backend_idle_timeout": "500ms"}
    backend = RawBackend(script, capabilities=capabilities)
    async with backend as raw, stack(raw.address, limits=limits) as running:
        for _ in range(2):
            assert (await running.client.send(call("x", logLevel="debug"))).text == "raw"
        assert raw.methods["logging/setLevel"] == (0 if level == "not offered" else 1)


# Time


async def test_progress_keeps_a_call_alive_and_comments_do_not() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.stream_head()
        arguments = exchange.message["params"]["arguments"]
        for step in range(8):
            await asyncio.sleep(0.2)
            said = event(notification("progress", progressToken=token(exchange), progress=step))
            await exchange.chunk(said if arguments["says"] == "progress" else b": ping\r\n\r\n")
        await exchange.chunk(event(exchange.response(RESULT)))
        await exchange.chunk(b"")

    limits = {"backend_idle_timeout": "700ms"}
    async with RawBackend(calls(script)) as raw, stack(raw.address, limits=limits) as running:
        assert (await running.client.call("x", {"says": "progress"})).text == "done"
        answer = await running.client.call("x", {"says": "comments"})
        assert answer.error["data"]["reason"] == "idle_timeout"
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 1)


async def test_progress_on_the_get_stream_keeps_a_call_alive() -> None:
    async def script(exchange: Exchange) -> None:
        for step in range(6):
            await asyncio.sleep(0.25)
            await backend.tell(notification("progress", progressToken=token(exchange), progress=step))
        await exchange.json(exchange.response(RESULT))

    limits = {"backend_idle_timeout": "700ms"}
    async with PushBackend(calls(script)) as backend, stack(backend.address, limits=limits) as running:
        answer = await running.client.send(with_token(call("x"), "t"))
        assert answer.text == "done" and len(notifications(answer)) == 6


# Streams that end too early


def resumable(backend: dict[str, Any], *, retry: int = 20, streams: int = 2) -> Callable[[Exchange], Awaitable[bool]]:
    """Ends the stream of a call after its first event; the rest comes by GET, one event a stream."""

    async def script(exchange: Exchange) -> bool:
        last = exchange.request.header("last-event-id")
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "x":
            backend["call"] = exchange
            await exchange.stream_head()
            await exchange.chunk(b"id: e0\r\nretry: %d\r\ndata: \r\n\r\n" % retry)
            await exchange.chunk(b"")
        elif exchange.request.method == "GET" and last is not None:
            backend.setdefault("resumed", []).append((time.monotonic(), last))
            number = len(backend["resumed"])
            first: Exchange = backend["call"]
            await exchange.stream_head()
            said = notification("progress", progressToken=token(first), progress=number)
            if number == streams:
                said = first.response(RESULT)
            await exchange.chunk(event(said, f"e{number}"))
            if number < streams:
                await exchange.chunk(b"")
            else:
                await asyncio.sleep(3600)  # As the Python SDK does: the stream does not end after the response.
        else:
            return False
        return True

    return script


async def test_a_stream_that_ends_early_is_taken_up_again() -> None:
    seen: dict[str, Any] = {}
    async with RawBackend(resumable(seen, streams=4)) as raw, stack(raw.address) as running:
        answer = await running.client.send(with_token(call("x"), "p"))
        assert answer.text == "done"
        assert [each["params"]["progress"] for each in notifications(answer)] == [1, 2, 3]
        assert [last for _, last in seen["resumed"]] == ["e0", "e1", "e2", "e3"]
        assert raw.methods["tools/call"] == 1


async def test_the_server_says_when_to_come_back() -> None:
    seen: dict[str, Any] = {}
    async with RawBackend(resumable(seen, retry=600, streams=1)) as raw, stack(raw.address) as running:
        start = time.monotonic()
        assert (await running.client.call("x")).text == "done"
        assert seen["resumed"][0][0] - start >= 0.55


async def test_a_server_that_resumes_nothing_is_not_asked_for_ever() -> None:
    asked = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal asked
        if exchange.method == "tools/call" or exchange.request.header("last-event-id"):
            asked += 1
            await exchange.stream_head()
            await exchange.chunk(b"id: e0\r\nretry: 10\r\ndata: \r\n\r\n")
            await exchange.chunk(b"")
            return True
        return False

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert answer.error["data"]["reason"] == "outcome_unknown"
        assert raw.methods["tools/call"] == 1 and asked <= 8


@pytest.mark.parametrize("status", [404, 400])
async def test_a_session_that_is_lost_between_two_streams(status: int) -> None:
    """The call was sent, and may have run: it is not sent again."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            await exchange.stream_head()
            await exchange.chunk(b"id: e0\r\nretry: 10\r\ndata: \r\n\r\n")
            await exchange.chunk(b"")
            raw.sessions.clear()
            return True
        if exchange.request.header("last-event-id"):
            await exchange.reply(status, b"No valid session ID provided", type="text/plain")
            return True
        return False

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert answer.status == 200 and answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert raw.methods["tools/call"] == 1


async def test_a_client_that_goes_away_between_two_streams_cancels() -> None:
    seen: dict[str, Any] = {}
    async with RawBackend(resumable(seen, retry=5000)) as raw, stack(raw.address) as running:
        connection = await Connection.open(running.front.address)
        await connection.send(encode(call("x"), host=running.front.address))
        await raw.until(lambda raw: raw.methods["tools/call"] == 1)
        await asyncio.sleep(0.1)
        connection.abort()
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 1, timeout=2)
        assert "resumed" not in seen


# Slow readers


CHUNK = 16 * 1024


async def flood(exchange: Exchange, mib: int, written: list[int]) -> None:
    """Sends so many MiB of log messages, and notes how many bytes the kernel took."""
    await exchange.stream_head()
    said = event(notification("message", level="info", data="x" * CHUNK))
    for _ in range(mib * 1024 * 1024 // CHUNK):
        await exchange.chunk(said)
        written[0] += len(said)
    await exchange.chunk(event(exchange.response(RESULT)))
    await exchange.chunk(b"")


ASKABLE = pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "may be asked"])


@ASKABLE
async def test_a_slow_reader_slows_its_own_server_only(can: Any) -> None:
    written = [0]

    async def script(exchange: Exchange) -> None:
        await flood(exchange, 64, written)

    async with RawBackend(calls(script)) as raw, stack(raw.address) as running:
        assert (await running.client.call("y")).text == "raw"
        before = running.remora.resident()
        # Not through the tap, which would read ahead.
        connection = await Connection.open(running.remora.address)
        message = call("x", logLevel="debug", clientCapabilities=can)
        await connection.send(encode(message, host=running.remora.address))
        await raw.until(lambda raw: raw.methods["tools/call"] == 2)
        async with bystander(running.remora.address, "y"):
            while True:
                seen = written[0]
                await asyncio.sleep(0.5)
                if written[0] == seen:
                    break
        assert 0 < written[0] < 32 * 1024 * 1024, "the server has to wait"
        assert running.remora.resident() - before < 8 * 1024 * 1024
        # It reads on, and gets all of it.
        answer = Answer(await connection.receive("POST", 60))
        assert len(answer.messages) == 64 * 1024 * 1024 // CHUNK + 1 and answer.text == "done"
        await connection.close()


@ASKABLE
async def test_a_reader_that_stops_is_given_up(can: Any) -> None:
    written = [0]

    async def script(exchange: Exchange) -> None:
        await flood(exchange, 64, written)

    limits = {"idle_timeout": "700ms"}
    async with RawBackend(calls(script)) as raw, stack(raw.address, limits=limits) as running:
        descriptors = running.remora.descriptors()
        connection = await Connection.open(running.remora.address)
        message = call("x", logLevel="debug", clientCapabilities=can)
        await connection.send(encode(message, host=running.remora.address))
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 1)
        await settles(running.remora.descriptors, descriptors + 3)
        connection.abort()


# Large answers


LARGE = 8 * 1024 * 1024


async def as_json(exchange: Exchange, message: bytes) -> None:
    await exchange.json(message)


async def as_chunks(exchange: Exchange, message: bytes) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(message), 30_000):
        await exchange.chunk(message[start : start + 30_000])
    await exchange.chunk(b"")


async def as_an_event(exchange: Exchange, message: bytes) -> None:
    await exchange.sse(message)


@pytest.mark.parametrize("send", [as_json, as_chunks, as_an_event], ids=lambda send: send.__name__)
@pytest.mark.parametrize("streams", [False, True], ids=["to JSON", "to a stream"])
async def test_a_large_answer_is_not_held_twice(send: Callable[..., Awaitable[None]], streams: bool) -> None:
    async def script(exchange: Exchange) -> None:
        if streams:
            await asyncio.sleep(0.5)
        await send(exchange, exchange.response(b'{"content":[{"type":"text","text":"%s"}]}' % (b"x" * LARGE)))

    limits = {"keep_alive_interval": "200ms" if streams else "15s"}
    async with RawBackend(calls(script)) as raw, stack(raw.address, limits=limits) as running:
        async with Client(running.remora.address) as client:
            await client.call("y")
            before = running.remora.resident()
            answer = await client.call("x")
            assert answer.http.media_type == ("text/event-stream" if streams else "application/json")
            assert len(answer.text) == LARGE
            # Where its size is not told, it grows, and the allocator may keep what it grew out of for a moment.
            assert running.remora.peak() - before < 1.5 * LARGE


@pytest.mark.parametrize("send", [as_json, as_chunks, as_an_event], ids=lambda send: send.__name__)
async def test_a_connection_serves_on_after_a_large_answer(send: Callable[..., Awaitable[None]]) -> None:
    """What made the exchange stop reading must not outlive it."""

    async def script(exchange: Exchange) -> None:
        await send(exchange, exchange.response(b'{"content":[{"type":"text","text":"%s"}]}' % (b"x" * 1_000_000)))

    async with RawBackend(calls(script)) as raw, stack(raw.address) as running:
        for _ in range(4):
            assert len((await running.client.call("x")).text) == 1_000_000
            assert (await running.client.call("y")).text == "raw"
