"""Backends that are down or break the rules: the client learns what happened, and others do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Client, call, encode, request
from harness.remora import Remora, configuration
from harness.stack import Stack, bystander, settled, settles, stack
from servers.raw import Exchange, RawBackend

LIMITS = {"backend_idle_timeout": "700ms", "max_response": "1MiB"}
REPETITIONS = 8
SPARE = 4

Misbehaviour = Callable[[Exchange], Awaitable[None]]
GOOD = b'{"content":[{"type":"text","text":"late"}]}'


async def closes(exchange: Exchange) -> None:
    exchange.close()


async def resets(exchange: Exchange) -> None:
    exchange.abort()


async def closes_in_the_head(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.close()


async def closes_in_the_body(exchange: Exchange) -> None:
    message = exchange.response(GOOD)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    await exchange.raw(head % len(message) + message[:-5])
    exchange.close()


async def closes_in_the_stream(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.chunk(b"event: message\r\ndata: " + exchange.response(GOOD)[:20])
    exchange.close()


async def ends_the_stream_without_an_answer(exchange: Exchange) -> None:
    await exchange.sse()


async def answers_html(exchange: Exchange) -> None:
    await exchange.reply(200, b"<html><body>Welcome!</body></html>", "text/html")


async def answers_broken_json(exchange: Exchange) -> None:
    await exchange.json(exchange.response(GOOD)[:-1])


async def answers_broken_json_in_a_stream(exchange: Exchange) -> None:
    await exchange.sse(exchange.response(GOOD)[:-1])


async def answers_another_id(exchange: Exchange) -> None:
    exchange.message["id"] = 424242
    await exchange.json(exchange.response(GOOD))


async def answers_another_id_in_a_stream(exchange: Exchange) -> None:
    exchange.message["id"] = 424242
    await exchange.sse(exchange.response(GOOD))


async def answers_a_request(exchange: Exchange) -> None:
    await exchange.json(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')


async def answers_neither_result_nor_error(exchange: Exchange) -> None:
    await exchange.json(b'{"jsonrpc":"2.0","id":%d}' % exchange.message["id"])


async def answers_a_result_that_is_no_object(exchange: Exchange) -> None:
    await exchange.json(exchange.response(b'"text"'))


async def answers_deeply(exchange: Exchange) -> None:
    await exchange.json(exchange.response(b'{"content":' + b"[" * 10_000 + b"]" * 10_000 + b"}"))


async def takes_it_and_says_no_more(exchange: Exchange) -> None:
    await exchange.reply(202)


async def answers_too_much(exchange: Exchange) -> None:
    await exchange.json(exchange.response(b'{"content":[{"type":"text","text":"' + b"x" * 2_000_000 + b'"}]}'))


async def streams_too_much(exchange: Exchange) -> None:
    with contextlib.suppress(ConnectionError):
        await exchange.stream_head()
        for _ in range(2000):
            await exchange.chunk(b"data: " + b"x" * 1024)


async def streams_a_head_that_never_ends(exchange: Exchange) -> None:
    with contextlib.suppress(ConnectionError):
        await exchange.raw(b"HTTP/1.1 200 OK\r\n")
        for _ in range(10_000):
            await exchange.raw(b"X-More: " + b"x" * 100 + b"\r\n")


async def answers_garbage(exchange: Exchange) -> None:
    await exchange.raw(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n" * 4)
    exchange.close()


async def answers_a_bad_chunk(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.raw(b"zz\r\nxx\r\n")
    exchange.close()


async def answers_two_lengths(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")
    exchange.close()


async def never_answers(exchange: Exchange) -> None:
    await asyncio.sleep(3600)


async def stops_in_the_stream(exchange: Exchange) -> None:
    await exchange.stream_head()
    await asyncio.sleep(3600)


async def answers_500(exchange: Exchange) -> None:
    await exchange.reply(500, b"Internal Server Error", "text/plain")


async def answers_503_html(exchange: Exchange) -> None:
    await exchange.reply(503, b"<html>busy</html>", "text/html")


async def answers_418(exchange: Exchange) -> None:
    await exchange.reply(418, b"teapot", "text/plain")


async def redirects(exchange: Exchange) -> None:
    await exchange.reply(307, b"", Location="http://127.0.0.1:1/elsewhere")


UNKNOWN_OUTCOME = [closes, resets, closes_in_the_head, closes_in_the_body, closes_in_the_stream]
UNKNOWN_OUTCOME += [ends_the_stream_without_an_answer, answers_500, answers_503_html]
BROKEN = [answers_html, answers_broken_json, answers_broken_json_in_a_stream, answers_another_id]
BROKEN += [answers_another_id_in_a_stream, answers_a_request]
BROKEN += [answers_neither_result_nor_error, answers_a_result_that_is_no_object, answers_deeply]
BROKEN += [takes_it_and_says_no_more, answers_too_much, streams_too_much, streams_a_head_that_never_ends]
BROKEN += [answers_garbage, answers_a_bad_chunk, answers_two_lengths, answers_418, redirects]
SILENT = [never_answers, stops_in_the_stream]


@contextlib.asynccontextmanager
async def misbehaving(misbehaviour: Misbehaviour) -> AsyncIterator[tuple[RawBackend, Stack]]:
    """Remora before a backend that does this to the tool `bad`, while another client calls a good one."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "bad":
            return False
        await misbehaviour(exchange)
        return True

    async with RawBackend(script) as raw, stack(raw.address, limits=LIMITS) as running:
        assert (await running.client.call("x")).text == "raw"
        async with bystander(running.remora.address):
            yield raw, running


async def no_descriptor_is_left(running: Stack, wave: Callable[[], Awaitable[None]]) -> None:
    """Does the same twice: the first time Remora may open connections that it keeps, the second time it has them."""
    await wave()
    before = await settled(running.remora.descriptors)
    await wave()
    await settles(running.remora.descriptors, before + SPARE)


@pytest.mark.parametrize("misbehaviour", UNKNOWN_OUTCOME + BROKEN, ids=lambda each: each.__name__)
async def test_a_backend_that(misbehaviour: Misbehaviour) -> None:
    async with misbehaving(misbehaviour) as (raw, running):

        async def wave() -> None:
            for number in range(REPETITIONS):
                answer = await running.client.call("bad", id=number)
                # 307 says itself that nothing has run.
                expected = 503 if misbehaviour is redirects else 200
                assert (answer.status, answer.code) == (expected, -32603), answer
                if misbehaviour is redirects:
                    assert answer.error["data"]["dispatched"] is False
                assert re.search("backend|server", answer.error["message"], re.IGNORECASE), answer
                if misbehaviour in UNKNOWN_OUTCOME:
                    assert answer.error["data"]["reason"] == "outcome_unknown"

        await no_descriptor_is_left(running, wave)
    calls = [each for each in raw.requests if b'"bad"' in each.body]
    assert len(calls) == 2 * REPETITIONS, "a call that may have run is not repeated"


@pytest.mark.parametrize("misbehaviour", SILENT, ids=lambda each: each.__name__)
async def test_a_silent_backend_that(misbehaviour: Misbehaviour) -> None:
    """The time limit answers the client, and tells the server that its answer is not wanted any more."""
    async with misbehaving(misbehaviour) as (raw, running):

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                answer = await client.call("bad", id=number)
                assert (answer.status, answer.code) == (200, -32603), answer
                assert re.search("backend|server", answer.error["message"], re.IGNORECASE), answer

        async def wave() -> None:
            await asyncio.gather(*map(one, range(REPETITIONS)))

        await no_descriptor_is_left(running, wave)
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 2 * REPETITIONS)
        await check_cancelled(running)


async def check_cancelled(running: Stack) -> None:
    """Every bad call, and no other, was cancelled by its own id."""
    cancelled = {each["params"]["requestId"] for each in await running.backend_messages("notifications/cancelled")}
    bad = [each for each in await running.backend_messages("tools/call") if each["params"]["name"] == "bad"]
    assert cancelled == {each["id"] for each in bad}


async def test_a_request_has_its_time() -> None:
    """`request_timeout` counts however much the backend says meanwhile."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.stream_head()
        while True:
            await exchange.chunk(b": still here\r\n\r\n")
            await asyncio.sleep(0.05)

    limits = {"request_timeout": "600ms"}
    async with RawBackend(script) as raw, stack(raw.address, limits=limits) as running:
        answer = await running.client.call("x")
        assert (answer.status, answer.code) == (200, -32603)
        await raw.until(lambda raw: raw.methods["notifications/cancelled"] == 1)


async def test_a_client_that_goes_away_cancels() -> None:
    """Closing the response is the cancellation of 2026-07-28; a legacy server has to be told."""
    async with misbehaving(never_answers) as (raw, running):
        waves = 0

        async def wave() -> None:
            nonlocal waves
            waves += 1
            connections = [await Connection.open(running.remora.address) for _ in range(REPETITIONS)]
            for connection in connections:
                await connection.send(encode(call("bad"), host=running.remora.address))
            await raw.until(lambda raw: raw.received.count(b'"bad"') == waves * REPETITIONS)
            for connection in connections:
                connection.abort()
            await raw.until(lambda raw: raw.methods["notifications/cancelled"] == waves * REPETITIONS)

        await no_descriptor_is_left(running, wave)
        await check_cancelled(running)


async def test_a_backend_that_is_down() -> None:
    with socket.socket() as reserved:  # Bound but not listening: connections are refused, and no other process takes it.
        reserved.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{}".format(reserved.getsockname()[1])
        async with Remora(configuration(f"http://{address}/mcp")) as remora, Client(remora.address) as client:
            await client.call("x")
            before = remora.descriptors()
            for number in range(REPETITIONS):
                answer = await client.call("x", id=number)
                assert (answer.status, answer.code, answer.json["id"]) == (503, -32603, number)
                assert answer.error["data"] == {"reason": "backend_unavailable", "dispatched": False}
                assert re.search("backend|server", answer.error["message"], re.IGNORECASE), answer
            await settles(remora.descriptors, before)


async def test_a_backend_that_comes_up_later() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    async with Remora(configuration(f"http://127.0.0.1:{port}/mcp")) as remora, Client(remora.address) as client:
        assert (await client.call("x")).status == 503
        async with RawBackend(port=port):
            assert (await client.call("x")).text == "raw"


async def test_a_backend_that_starts_again() -> None:
    """Its port is the same, its sessions are gone, and so are the connections that were kept."""
    async with RawBackend() as first:
        async with Remora(configuration(first.url)) as remora, Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            port = int(first.address.rsplit(":")[1])
            await first.__aexit__()
            async with RawBackend(port=port) as second:
                assert (await client.call("x")).text == "raw"
                assert second.methods["initialize"] == 1


async def test_a_backend_that_does_not_take_connections() -> None:
    """A full backlog: connecting takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as open:
        address = listener.getsockname()
        for _ in range(4):
            filler = open.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        text = configuration("http://127.0.0.1:{}/mcp".format(address[1]), limits={"connect_timeout": "500ms"})
        async with Remora(text) as remora, Client(remora.address) as client:
            answer = await client.call("x")
            assert (answer.status, answer.code) == (503, -32603), answer
            assert answer.error["data"]["reason"] == "backend_unavailable"


async def no_initialize_html(exchange: Exchange) -> None:
    await exchange.reply(200, b"<html></html>", "text/html")


async def no_initialize_error(exchange: Exchange) -> None:
    await exchange.json(exchange.error(-32603, "cannot start"))


async def no_initialize_unknown_revision(exchange: Exchange) -> None:
    result = b'{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"n","version":"1"}}'
    await exchange.json(exchange.response(result))


async def no_initialize_bad_result(exchange: Exchange) -> None:
    await exchange.json(exchange.response(b'{"protocolVersion":1}'))


async def no_initialize_silence(exchange: Exchange) -> None:
    await asyncio.sleep(3600)


async def no_initialize_session_with_spaces(exchange: Exchange) -> None:
    await exchange.json(exchange.response(b"{}"), Mcp_Session_Id="a b")


@pytest.mark.parametrize(
    "misbehaviour",
    [
        no_initialize_html,
        no_initialize_error,
        no_initialize_unknown_revision,
        no_initialize_bad_result,
        no_initialize_silence,
        no_initialize_session_with_spaces,
        closes,
        answers_500,
        answers_another_id,
        takes_it_and_says_no_more,
    ],
    ids=lambda each: each.__name__,
)
async def test_a_handshake_that_fails(misbehaviour: Misbehaviour) -> None:
    broken = True

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize" or not broken:
            return False
        await misbehaviour(exchange)
        return True

    async with RawBackend(script) as raw, stack(raw.address, limits=LIMITS) as running:
        for number in range(3):
            answer = await running.client.call("x", id=number)
            assert answer.status in (200, 503) and answer.code == -32603, answer
            assert re.search("backend|server", answer.error["message"], re.IGNORECASE), answer
        assert raw.methods["tools/call"] == 0
        assert raw.methods["initialize"] <= 6, "attempts are bounded"
        broken = False
        assert (await running.client.call("x")).text == "raw"


@pytest.mark.parametrize("delete", [405, 500, "close", "silence"])
async def test_a_backend_that_refuses_the_end_of_a_session(delete: int | str) -> None:
    """Remora stops in time all the same: leaving the stack says so."""

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "DELETE":
            return False
        if isinstance(delete, int):
            await exchange.reply(delete, b"no", "text/plain")
        elif delete == "close":
            exchange.abort()
        else:
            await asyncio.sleep(3600)
        return True

    async with RawBackend(script) as raw:
        async with stack(raw.address, limits={"shutdown_timeout": "1s"}) as running:
            assert (await running.client.call("x")).text == "raw"


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_success_will_do_for_a_notification(status: int) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "notifications/initialized":
            return False
        if status == 204:
            await exchange.raw(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            await exchange.reply(status, b"" if status == 202 else b"Accepted", "text/plain")
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        for _ in range(3):
            assert (await running.client.call("x")).text == "raw"


async def test_server_requests_are_refused_and_pings_answered() -> None:
    """Questions go to no client yet, and the server has to know that; the call goes on."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.stream_head()
        for id, method in ((b"0", b"ping"), (b'"a"', b"roots/list"), (b"7", b"sampling/createMessage")):
            await exchange.chunk(b'data: {"jsonrpc":"2.0","id":%s,"method":"%s","params":{}}\r\n\r\n' % (id, method))
        await exchange.chunk(b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\r\n\r\n')
        await raw.until(lambda raw: raw.methods["POST"] == 3)
        await exchange.chunk(b"data: " + exchange.response(GOOD) + b"\r\n\r\n")
        await exchange.chunk(b"")
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "late"
        sent = await running.backend_messages()
        answers = {repr(each["id"]): each for each in sent if "method" not in each}
        assert answers["0"]["result"] == {}
        assert answers["'a'"]["error"]["code"] == answers["7"]["error"]["code"] == -32601


@pytest.mark.parametrize("misbehaviour", [closes, closes_in_the_body, answers_500], ids=lambda each: each.__name__)
async def test_a_call_that_waited_for_the_tools_was_not_run(misbehaviour: Misbehaviour) -> None:
    """A session lists the tools before its first call. When that fails, the call was never sent, and is told so."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/list":
            return False
        await misbehaviour(exchange)
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert (answer.status, answer.code) == (503, -32603), answer
        assert answer.error["data"] == {"reason": "backend_unavailable", "dispatched": False}
        assert raw.methods["tools/call"] == 0


@pytest.mark.parametrize(("method", "params", "sent"), [("prompts/list", {}, 2), ("tools/call", {"name": "x"}, 1)])
async def test_only_what_reads_is_sent_again(method: str, params: dict[str, Any], sent: int) -> None:
    """The audit sees to it that the second has an id of its own."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != method or raw.methods[method] > 1:
            return False
        exchange.close()
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.send(request(method, params))
        assert ("result" in answer.json) == (sent == 2), answer
        assert raw.methods[method] == sent


async def test_a_flood_of_server_requests() -> None:
    """Each is answered by a POST of its own: a server that takes none of them must not get a connection for each."""
    released = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method is None and exchange.request.method == "POST":
            await released.wait()
            return False
        if exchange.method != "tools/call":
            return False
        await exchange.stream_head()
        for id in range(1000):
            await exchange.chunk(b'data: {"jsonrpc":"2.0","id":%d,"method":"ping"}\r\n\r\n' % id)
        await raw.until(lambda raw: raw.methods["POST"] >= 64)
        with contextlib.suppress(TimeoutError):
            await raw.until(lambda raw: raw.methods["POST"] > 64, timeout=0.5)
        await exchange.chunk(b"data: " + exchange.response(GOOD) + b"\r\n\r\n")
        await exchange.chunk(b"")
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "late"
        assert raw.methods["POST"] == 64
        released.set()
        assert (await running.client.call("echo")).text == "late"


async def test_many_messages_before_the_answer() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        token = exchange.message["params"].get("_meta", {}).get("progressToken", 0)
        progress = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%d,"progress":%d}}'
        await exchange.sse(*(progress % (token, step) for step in range(1000)), exchange.response(GOOD))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "late"
