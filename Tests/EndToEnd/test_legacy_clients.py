"""Clients of older revisions, whose requests go to the server as they are, and its answers back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import mcp
import pytest

from harness import audit, http1
from harness.http1 import Connection, Message
from harness.modern import OMIT, call, encode
from harness.processes import SERVERS, Process, venv
from harness.stack import Stack, settles, stack
from harness.tap import Recording
from servers.raw import Exchange, RawBackend

PASS = {"listen": {"legacy_clients": "pass"}}
PER_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "origin", "expect"}


@contextlib.asynccontextmanager
async def neighbour(*options: str) -> AsyncIterator[str]:
    """A server of the sessions' time on the real SDK."""
    async with await Process.start(venv("legacy-1.30.0"), str(SERVERS / "neighbour.py"), *options) as process:
        yield (await process.event("listening", timeout=60))["address"]
        await process.stop()


@contextlib.asynccontextmanager
async def passing(address: str, **changes: Any) -> AsyncIterator[Stack]:
    async with stack(address, judge_front=False, judge_back=False, **{**PASS, **changes}) as running:
        yield running


def legacy(body: Any, *, method: str = "POST", target: str = "/mcp", host: str = "127.0.0.1", **headers: Any) -> bytes:
    """A request as an older client sends it; `body` is JSON, or bytes as they are."""
    chosen = {"MCP_Protocol_Version": "2025-11-25", "Mcp_Method": OMIT, "Mcp_Name": OMIT, **headers}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return encode(data, host=host, method=method, target=target, of=call("x"), **chosen)


def essence(message: Message | None) -> tuple[Any, ...] | None:
    """What has to be the same on both sides: all but what belongs to one connection."""
    if message is None:
        return None
    kept = [(name, value) for name, value in message.headers if name not in PER_CONNECTION]
    start = message.start.split(" ", 2)
    return (start[1] if start[0].startswith("HTTP/") else (start[0], start[1])), tuple(kept), message.body


async def both_sides(recordings: list[Recording]) -> list[Any]:
    """The requests and responses of one tap in an order that does not depend on the connections."""
    found = [each for recording in recordings for each in await audit.exchanges(recording)]
    return sorted(repr((essence(each.request), essence(each.response or each.unfinished))) for each in found)


async def same_on_both_sides(running: Stack) -> int:
    """Demands it of every exchange, and says how many there were."""
    front, back = await both_sides(running.front.recordings), await both_sides(running.back.recordings)
    assert front == back
    return len(front)


@pytest.mark.parametrize("options", [[], ["--resumable"]], ids=["plain", "resumable"])
async def test_the_published_client_does_all_it_can(options: list[str]) -> None:
    async with neighbour(*options) as address, passing(address) as running:
        script = str(SERVERS / "legacy_client.py")
        async with await Process.start(venv("legacy-1.30.0"), script, running.url) as client:
            done = await client.event("done")
            assert await client.wait() == 0
        assert done["revision"] == "2025-11-25" and done["server"] == "neighbour" and done["session"]
        assert done["tools"] == ["ask", "echo", "roots", "sdk", "steps"]
        assert (done["echo"], done["steps"], done["progress"]) == ("Grüße 🐟", "done after 3", [1, 2, 3])
        assert (done["ask"], done["roots"]) == ("hello Ada", "file:///home/ada")
        await settles(lambda: sum(not each.finished for each in running.front.recordings), 0)
        assert await same_on_both_sides(running) >= 10
        seen = {each.request.method for each in await running.backend_exchanges() if each.request}
        assert seen == {"GET", "POST", "DELETE"}
        lines = [line for line in running.remora.process.events() if line["event"] == "request"]
        assert {line["route"] for line in lines} == {"pass"}
        assert {line["http_method"] for line in lines} == {"GET", "POST", "DELETE"}


async def test_the_new_client_speaks_the_old_way_too() -> None:
    async with neighbour() as address, passing(address) as running:
        async with mcp.Client(running.url, mode="legacy") as client:
            assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
        # The same server, at the same time, the new way: that session is Remora's own.
        async with mcp.Client(running.url, mode="2026-07-28") as client:
            assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
        sessions = {
            each.request.header("mcp-session-id") for each in await running.backend_exchanges() if each.request
        } - {None}
        assert len(sessions) == 2, "sessions of older clients are not in the pool"


async def test_bytes_go_both_ways_as_they_are() -> None:
    odd = b' {"id" :"\\u0041","jsonrpc":"2.0","method":"x/y" , "params":{"b":1e2,"a":[1.0]}}\n'

    async def script(exchange: Exchange) -> bool:
        await exchange.reply(
            "418 Teapot",
            b"\x00\xffnot JSON",
            type="application/x-odd",
            Mcp_Session_Id="minted",
            Set_Cookie="a=b",
            X_Answer="1",
            Connection="X-Answer",
            Access_Control_Allow_Origin="*",
        )
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(
                legacy(
                    odd,
                    target="/mcp?a=b%20c",
                    Mcp_Session_Id="s",
                    Last_Event_ID="7",
                    Cookie="c",
                    X_Mine="1",
                    X_Hop="2",
                    Connection="keep-alive, x-hop",
                    Accept_Encoding="gzip",
                    Authorization="Bearer t",
                )
            )
        (request,) = raw.requests
        assert (request.method, request.target, request.body) == ("POST", "/mcp?a=b%20c", odd)
        sent = dict(request.headers)
        assert sent == {
            "host": running.back.address,
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
            "mcp-session-id": "s",
            "last-event-id": "7",
            "cookie": "c",
            "x-mine": "1",
            "accept-encoding": "gzip",
            "authorization": "Bearer t",
            "content-length": str(len(odd)),
        }
        assert answer.start.startswith("HTTP/1.1 418") and answer.body == b"\x00\xffnot JSON"
        assert dict(answer.headers) == {
            "content-length": "10",
            "content-type": "application/x-odd",
            "mcp-session-id": "minted",
            "set-cookie": "a=b",
        }


BATCH = [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/initialized"}]
MESSAGES = {
    "batch": BATCH,
    "response": {"jsonrpc": "2.0", "id": 0, "result": {"action": "accept"}},
    "error": {"jsonrpc": "2.0", "id": 0, "error": {"code": -1, "message": "no"}},
    "notification": {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    "vendor method": {"jsonrpc": "2.0", "id": "v", "method": "vendor/thing", "params": {"_meta": {"progressToken": 1}}},
}


@pytest.mark.parametrize("version", [OMIT, "2025-03-26", "2025-06-18"], ids=["none", "2025-03-26", "2025-06-18"])
@pytest.mark.parametrize("name", MESSAGES)
async def test_every_message_of_older_revisions_goes_through(name: str, version: Any) -> None:
    async def script(exchange: Exchange) -> bool:
        await exchange.reply(202)
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(legacy(MESSAGES[name], MCP_Protocol_Version=version))
        assert (answer.status, answer.body) == (202, b"")
        assert json.loads(raw.requests[0].body) == MESSAGES[name]
        assert await same_on_both_sides(running) == 1


async def test_an_event_stream_comes_as_it_is_made() -> None:
    """A GET stream with ids and a time to retry; each event is there before the next is made, and the end comes too."""
    proceed = asyncio.Queue[bytes]()

    async def script(exchange: Exchange) -> bool:
        assert exchange.request.method == "GET" and exchange.request.header("last-event-id") == "41"
        await exchange.stream_head(Cache_Control="no-store")
        while part := await proceed.get():
            await exchange.chunk(part)
        await exchange.chunk(b"")
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            await connection.send(
                legacy(b"", method="GET", Last_Event_ID="41", Accept="text/event-stream", Content_Length=OMIT)
            )
            head = await http1.read_head(connection.reader)
            assert head is not None and head.status == 200 and head.header("cache-control") == "no-store"
            for part in (b"id: 42\r\nretry: 10\r\ndata:\r\n\r\n", b": comment\n\n", b"data: \xf0\x9f", b"\x90\x9f\n\n"):
                proceed.put_nowait(part)
                async with asyncio.timeout(http1.TIMEOUT):
                    size = int(await connection.reader.readuntil(b"\r\n"), 16)
                    assert await connection.reader.readexactly(size + 2) == part + b"\r\n"
            proceed.put_nowait(b"")
            assert await connection.reader.readexactly(5) == b"0\r\n\r\n"
            # The connection is good for more.
            await connection.send(legacy(b"", method="GET", Last_Event_ID="41", Content_Length=OMIT))
            assert (await http1.read_head(connection.reader)) is not None
            assert len(raw.requests) == 2


async def test_a_client_that_leaves_ends_the_servers_stream() -> None:
    ended = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        await exchange.stream_head()
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.chunk(b": still here\n\n")
                await asyncio.sleep(0.02)
        ended.set()
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            await connection.send(legacy(b"", method="GET", Content_Length=OMIT))
            assert await http1.read_head(connection.reader) is not None
        async with asyncio.timeout(http1.TIMEOUT):
            await ended.wait()


async def test_a_slow_client_holds_up_its_own_server_connection_only() -> None:
    """What it does not take is not read from the server beyond a bound; another client notices nothing."""
    sent = 0
    total = 64 << 20

    async def script(exchange: Exchange) -> bool:
        nonlocal sent
        if exchange.request.method != "GET" or exchange.session is not None:
            return False  # The other client's session has a stream of its own.
        await exchange.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while sent < total:
                await exchange.raw(b"x" * 65536)
                sent += 65536
        return True

    async with RawBackend(script) as raw:
        # Straight to Remora and the server: a tap would take what the client does not.
        async with passing(raw.address) as running:
            async with await Connection.open(running.remora.address) as connection:
                before = running.remora.resident()
                await connection.send(legacy(b"", method="GET", Content_Length=OMIT))
                assert await http1.read_head(connection.reader) is not None
                stuck = -1
                while stuck != sent:
                    stuck = sent
                    await asyncio.sleep(0.5)
                assert sent < total, "the server was held up"
                assert running.remora.resident() - before < 8 << 20
                assert (await running.client.call("x")).text == "raw"
                body = await connection.reader.readexactly(total)
                assert body == b"x" * total
                assert sent == total
                initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
                answer = await connection.exchange(legacy(initialize))
                assert answer.status == 200, "the connection is good for more"


async def test_a_large_answer_has_the_servers_length() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":"' + b"y" * (5 << 20) + b'"}'

    async def script(exchange: Exchange) -> bool:
        await exchange.json(body)
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(legacy({"jsonrpc": "2.0", "id": 1, "method": "x"}))
        assert answer.header("content-length") == str(len(body)) and answer.body == body


async def test_an_answer_that_ends_with_the_connection_is_whole() -> None:
    async def script(exchange: Exchange) -> bool:
        await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
        exchange.close()
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(legacy({"jsonrpc": "2.0", "id": 1, "method": "x"}))
        assert answer.header("transfer-encoding") == "chunked" and answer.body == b"until the end"


REQUEST = {"jsonrpc": "2.0", "id": "the-id", "method": "tools/call", "params": {"name": "x"}}


async def test_a_server_that_is_down() -> None:
    async with RawBackend() as raw:
        address = raw.address
    async with passing(address) as running:
        running.back.upstream = address
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(legacy(REQUEST))
            # The tap takes the connection and closes it: that is an answer that did not come.
            error = json.loads(answer.body)
            assert (answer.status, error["id"], error["error"]["code"]) == (200, "the-id", -32603)
            assert error["error"]["data"] == {"reason": "outcome_unknown", "dispatched": True}
            for method in ("GET", "DELETE"):
                answer = await connection.exchange(legacy(b"", method=method, Content_Length=OMIT))
                assert answer.status == 502 and "id" not in json.loads(answer.body)


async def test_a_server_that_cannot_be_reached() -> None:
    from harness.remora import Remora, configuration

    async with RawBackend() as raw:
        address = raw.address
    async with Remora(configuration(f"http://{address}/mcp", **PASS)) as remora:
        async with await Connection.open(remora.address) as connection:
            answer = await connection.exchange(legacy(REQUEST))
            error = json.loads(answer.body)
            assert (answer.status, error["id"], answer.header("retry-after")) == (503, "the-id", "1")
            assert error["error"]["data"] == {"reason": "backend_unavailable", "dispatched": False}
            answer = await connection.exchange(legacy(b"", method="GET", Content_Length=OMIT))
            assert answer.status == 503


@pytest.mark.parametrize("when", ["before", "within"])
async def test_a_request_is_never_sent_twice(when: str) -> None:
    async def script(exchange: Exchange) -> bool:
        if len(raw.requests) == 1:
            await exchange.reply(202)
        elif when == "before":
            exchange.abort()
        else:
            await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            exchange.close()
        return True

    async with RawBackend(script) as raw, passing(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            # On a connection that was used before, where a retry would be tempting.
            assert (await connection.exchange(legacy(MESSAGES["response"]))).status == 202
            if when == "before":
                assert (await connection.exchange(legacy(REQUEST))).status == 200
            else:
                with pytest.raises(http1.Truncated):
                    await connection.exchange(legacy(REQUEST))
        assert len(raw.requests) == 2


async def test_silence_ends_a_call_and_not_a_stream() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.request.method == "GET":
            await exchange.stream_head()
            await asyncio.sleep(1)
            await exchange.chunk(b": late\n\n")
            await exchange.chunk(b"")
        else:
            await asyncio.sleep(60)
        return True

    async with RawBackend(script) as raw, passing(raw.address, limits={"backend_idle_timeout": "300ms"}) as running:
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(legacy(REQUEST))
            assert json.loads(answer.body)["error"]["data"]["reason"] == "idle_timeout"
            answer = await connection.exchange(legacy(MESSAGES["response"]))
            assert answer.status == 504
            answer = await connection.exchange(legacy(b"", method="GET", Content_Length=OMIT), "GET")
            assert answer.body == b": late\n\n"


async def test_a_stream_does_not_hold_up_the_end() -> None:
    async def script(exchange: Exchange) -> bool:
        await exchange.stream_head()
        await asyncio.sleep(60)
        return True

    async with RawBackend(script) as raw, passing(raw.address, limits={"shutdown_timeout": "30s"}) as running:
        async with await Connection.open(running.front.address) as connection:
            await connection.send(legacy(b"", method="GET", Content_Length=OMIT))
            assert await http1.read_head(connection.reader) is not None
            async with asyncio.timeout(5):
                assert await running.remora.process.stop() == 0
                assert await connection.reader.read() == b"0\r\n\r\n", "the stream has a proper end"


async def test_who_may_come_is_checked_all_the_same() -> None:
    async with RawBackend() as raw, passing(raw.address, limits={"max_body": "1KiB"}) as running:
        for status, data in [
            (403, legacy(REQUEST, Origin="http://evil.example")),
            (421, legacy(REQUEST, host="evil.example")),
            (404, legacy(REQUEST, target="/other")),
            (405, legacy(REQUEST, method="PUT")),
            (405, legacy(REQUEST, method="BREW")),
            (405, legacy(b"", method="GET", MCP_Protocol_Version="2026-07-28")),
            (413, legacy({**REQUEST, "more": "x" * 1024})),
            (400, legacy(b"{")),
        ]:
            async with await Connection.open(running.front.address) as connection:
                assert (await connection.exchange(data)).status == status
        assert raw.requests == []


async def test_refused_where_the_configuration_says_so() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            answer = await connection.exchange(legacy(REQUEST))
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, -32022)
            answer = await connection.exchange(legacy(b"", method="GET"))
            assert (answer.status, answer.header("allow")) == (405, "POST")
        assert raw.requests == []
