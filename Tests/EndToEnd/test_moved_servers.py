"""Servers that redirect, and servers over HTTP+SSE that call themselves by another name of the machine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.modern import Client
from harness.remora import Remora, configuration
from servers.raw import Exchange, PushBackend, RawBackend


def event_stream(endpoint: str, moved: dict[str, tuple[int, str]] | None = None) -> RawBackend:
    """HTTP+SSE: the stream at `/sse`, or where redirects lead; `endpoint` is what its first event says."""
    streams: list[Exchange] = []

    async def script(exchange: Exchange) -> bool:
        path = exchange.request.target.partition("?")[0]
        if moved is not None and path in moved:
            status, location = moved[path]
            await exchange.reply(status, Location=location.format(port=raw.address.rpartition(":")[2]))
        elif exchange.request.method == "GET":
            await exchange.stream_head()
            named = endpoint.format(port=raw.address.rpartition(":")[2])
            await exchange.chunk(f"event: endpoint\ndata: {named}\n\n".encode())
            streams.append(exchange)
            await asyncio.Event().wait()
        elif path != "/messages/":
            await exchange.reply(405)
        else:
            await exchange.reply(202)
            if exchange.is_request:
                result = raw.results.get(exchange.method or "", b"{}")
                if exchange.method == "initialize":
                    result = b'{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}'
                await streams[-1].chunk(b"data: " + exchange.response(result) + b"\n\n")
        return True

    raw = RawBackend(script)
    return raw


def server(raw: RawBackend, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"url": f"http://{host}:{raw.address.rpartition(':')[2]}/sse", "transport": "sse"}


NAMES = ["localhost", "LOCALHOST", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"]


@pytest.mark.parametrize("name", NAMES)
async def test_names_of_this_machine_stand_for_each_other(name: str) -> None:
    async with event_stream(f"http://{name}:{{port}}/messages/?session_id=1") as raw:
        async with Remora(configuration(server(raw))) as remora, Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            posts = [each for each in raw.requests if each.method == "POST"]
            assert {each.target for each in posts} == {"/messages/?session_id=1"}
            assert {each.header("host") for each in posts} == {raw.address}


@pytest.mark.parametrize("endpoint", ["http://localhost:9/messages/", "http://localhost.evil.example:{port}/messages/", "https://localhost:{port}/messages/"])
async def test_another_port_scheme_or_name_is_another_origin(endpoint: str) -> None:
    async with event_stream(endpoint) as raw, Remora(configuration(server(raw))) as remora, Client(remora.address) as client:
        answer = await client.call("x")
        assert answer.status == 503 and "endpoint" in answer.error["message"]


MOVES: dict[str, dict[str, tuple[int, str]]] = {
    "the stream, for ever": {"/sse": (308, "/sse/")},
    "the stream, as a GET may be": {"/sse": (302, "http://localhost:{port}/sse/")},
    "the endpoint": {"/messages": (307, "http://127.0.0.1:{port}/messages/?session_id=1")},
    "both, and twice": {"/sse": (301, "/a"), "/a": (307, "/sse/"), "/messages": (308, "/messages/")},
}


@pytest.mark.parametrize("moved", MOVES.values(), ids=MOVES)
async def test_what_has_moved_within_its_origin_is_found(moved: dict[str, tuple[int, str]]) -> None:
    async with event_stream("/messages?session_id=1", {"/messages": (307, "/messages/"), **moved}) as raw:
        async with Remora(configuration(server(raw))) as remora, Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            straight = len(raw.requests)
            assert (await client.call("x")).text == "raw"
            assert [each.target.partition("?")[0] for each in raw.requests[straight:]] == ["/messages/"]


REFUSED = {
    "another origin": (307, "http://user:secret@127.0.0.1:9/mcp/?key=secret", "another origin (http://127.0.0.1:9/mcp/)"),
    "another scheme": (308, "https://{address}/mcp", "another origin (https://{address}/mcp)"),
    "a name like the server's": (307, "//{address}@evil.example/mcp", "another origin (//evil.example/mcp)"),
    "what would become a GET": (303, "/mcp/", "leads to /mcp/"),
    "what would become a GET, too": (302, "/mcp/?key=secret", "leads to /mcp/"),
    "no place": (307, "", "leads nowhere"),
    "in a circle": (307, "/mcp", "again and again, at last to /mcp"),
    "line breaks and more": (307, "http://evil.example/\u00e9\u00e9", "another origin (http://evil.example/????)"),
}


@pytest.mark.parametrize(("status", "location", "words"), REFUSED.values(), ids=REFUSED)
async def test_no_other_redirect_is_followed_and_it_is_said_where_it_leads(status: int, location: str, words: str) -> None:
    async def script(exchange: Exchange) -> bool:
        fields = {"Location": location.format(address=raw.address)} if location else {}
        await exchange.raw(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n".encode())
        await exchange.raw("".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n")
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        answer = await client.call("x", Authorization="Bearer b")
        assert answer.status == 503 and answer.error["data"]["dispatched"] is False
        assert words.format(address=raw.address) in answer.error["message"], answer
        assert "secret" not in answer.raw.decode() and not any("secret" in line for line in remora.process.lines)
        assert raw.methods["initialize"] <= 5


async def test_a_handshake_of_many_steps_has_one_limit() -> None:
    """Redirects, and revisions that are refused, count together."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize":
            return False
        await asyncio.sleep(0.4)
        if exchange.request.target.endswith("/4"):
            await exchange.reply(400, exchange.error(-32602, "Unsupported protocol version"))
        else:
            step = int(exchange.request.target.rpartition("/")[2]) + 1 if exchange.request.target != "/mcp" else 1
            await exchange.reply(307, Location=f"/mcp/{step}")
        return True

    async with RawBackend(script) as raw:
        text = configuration(raw.url, limits={"handshake_timeout": "1s", "request_timeout": "20s"})
        async with Remora(text) as remora, Client(remora.address) as client:
            refused = await client.call("x")
            assert (refused.status, refused.error["data"]["dispatched"]) == (503, False)
            # Each step takes 400 ms, so that the third one is cut.
            assert raw.methods["initialize"] == 3


CALLS: dict[str, tuple[int, str, bool, str]] = {
    "what would become a GET": (303, "/mcp/", True, "leads to /mcp/"),
    "what would become a GET, too": (302, "/mcp/", True, "leads to /mcp/"),
    "another origin": (307, "http://user:secret@127.0.0.1:9/x?key=secret", False, "another origin (http://127.0.0.1:9/x)"),
    "in a circle": (308, "", False, "again and again, at last to {place}"),
    "no URL": (307, "/a b", False, "leads to what is no URL (/a?b)"),
}


@pytest.mark.parametrize("is_sse", [False, True], ids=["http", "sse"])
@pytest.mark.parametrize(("status", "location", "has_run", "words"), CALLS.values(), ids=CALLS)
async def test_a_call_that_is_not_followed_is_sent_once(
    status: int, location: str, has_run: bool, words: str, is_sse: bool
) -> None:
    """Only 307 and 308 say that nothing has run."""
    calls: list[str] = []
    place = "/messages/" if is_sse else "/mcp"

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False if not is_sse else await behaves(exchange)
        calls.append(exchange.request.target)
        await exchange.reply(status, b"<p>moved</p>", type="text/html", Location=location or place)
        return True

    raw = event_stream("/messages/") if is_sse else RawBackend()
    behaves = raw.script
    raw.script = script
    async with raw, Remora(configuration(server(raw) if is_sse else raw.url)) as remora, Client(remora.address) as client:
        answer = await client.call("x", Authorization="Bearer b")
        assert answer.error["data"]["dispatched"] is has_run, answer
        assert words.format(place=place) in answer.error["message"], answer
        assert "secret" not in answer.raw.decode() and not any("secret" in line for line in remora.process.lines)
        assert len(calls) == (1 if location else 5)


TOOLS = {"tools/list": b'{"tools":[{"name":"x","inputSchema":{"type":"object"}},{"name":"y","inputSchema":{"type":"object"}}]}'}


async def test_a_call_that_is_not_followed_says_nothing_of_its_session() -> None:
    """Where the server has another copy, too."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "y":
            await exchange.reply(307, Location="https://elsewhere.example/")
            return True
        return False

    async with PushBackend(script, results=TOOLS) as one, PushBackend(script, results=TOOLS) as two:
        async with Remora(configuration(one.url, two.url)) as remora, Client(remora.address) as client:
            for number in range(6):
                answer = await client.call("y", id=number)
                assert answer.status == 503 and "https://elsewhere.example/" in answer.error["message"]
                assert answer.error["data"]["dispatched"] is False
            assert len(one.sessions) + len(two.sessions) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_what_leads_nowhere_moves_nothing(status: int) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "y":
            await exchange.reply(status, Location="/loop")
        elif exchange.request.target != "/mcp":
            await exchange.reply(404, b"no such page", type="text/html")
        else:
            return False
        return True

    async with RawBackend(script, results=TOOLS) as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            assert (await client.call("y", id=2)).status == 503
            assert (await client.call("x", id=3)).text == "raw"
            assert raw.methods["initialize"] == 1


async def test_a_relative_place_is_one_of_where_the_request_went() -> None:
    """Two calls at once are both told to go to a place beside their own."""
    came = asyncio.Event()
    waiting = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal waiting
        if exchange.method != "tools/call" or exchange.request.target != "/mcp":
            return False
        waiting += 1
        mine = waiting
        if waiting == 2:
            came.set()
        await came.wait()
        # The first has moved the session by the time that the second hears of it.
        await asyncio.sleep(0.2 * (mine - 1))
        await exchange.reply(308, Location="mcp/v2")
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as one, Client(remora.address) as two:
            answers = await asyncio.gather(one.call("x"), two.call("x", id=2))
            assert [each.text for each in answers] == ["raw", "raw"]
            assert {each.target for each in raw.requests} == {"/mcp", "/mcp/v2"}


async def test_a_call_whose_time_is_over_is_not_sent_once_more() -> None:
    """The body of the redirect takes longer than the call may."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.request.target != "/mcp":
            return False
        await exchange.raw(b"HTTP/1.1 307 Elsewhere\r\nLocation: /mcp/2\r\nContent-Length: 10\r\n\r\nabc")
        await asyncio.sleep(5)
        return True

    async with RawBackend(script) as raw:
        async with Remora(configuration(raw.url, limits={"request_timeout": "1s"})) as remora, Client(remora.address) as client:
            answer = await client.call("x")
            assert "limits.request_timeout" in answer.error["message"], answer
            await asyncio.sleep(0.3)
            assert all(each.target == "/mcp" for each in raw.requests)


async def test_what_leads_nowhere_moves_no_endpoint() -> None:
    """HTTP+SSE: neither after the message that was redirected, nor for one that is sent meanwhile."""
    raw = event_stream("/messages/?session_id=1")
    raw.results.update(TOOLS)
    serve, held, go = raw.script, asyncio.Event(), asyncio.Event()
    assert serve is not None

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "y":
            if exchange.request.target == "/loop":
                held.set()
                await go.wait()
            await exchange.reply(307, Location="/loop")
            return True
        return await serve(exchange)

    raw.script = script
    async with raw, Remora(configuration(server(raw))) as remora:
        async with Client(remora.address) as client, Client(remora.address) as other:
            assert (await client.call("x")).text == "raw"
            circling = asyncio.create_task(client.call("y", id=2))
            async with asyncio.timeout(10):
                await held.wait()
            assert (await other.call("x", id=3)).text == "raw"
            go.set()
            assert (await circling).status == 503
            assert (await client.call("x", id=4)).text == "raw"
            assert raw.methods["initialize"] == 1
