"""Servers that answer in bodies of any status or on the GET stream, that have no GET stream, and that say in their own words
that a session is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import mcp

from harness.modern import Client, request
from harness.odd import ALL, HTTP, OddServer, Peer, Running, Script, outcome, said
from harness.remora import Remora
from servers.raw import Exchange, event

STREAMABLE = ("json", "stream")
ERROR = {"code": -32602, "message": "argument q is required", "data": {"field": "q"}}
RESULT = {"content": [{"type": "text", "text": "done"}]}


async def one_call(client: mcp.Client) -> Any:
    return await outcome(client.call_tool("x", {}))


async def calls_and_more(client: mcp.Client) -> Any:
    """The odd call, and one after it."""
    return [await outcome(client.list_tools()), await one_call(client), await one_call(client)]


async def no_ping(running: Running, _: Remora) -> None:
    assert running.methods["ping"] == 0 and running.methods["initialize"] == 1, running.methods


async def one_session(running: Running, _: Remora) -> None:
    assert running.methods["initialize"] == 1, running.methods


async def two_sessions(running: Running, _: Remora) -> None:
    assert running.methods["initialize"] == 2, running.methods


# --- Answers in bodies


def body(status: int, *, id: Any = ..., type: str = "application/json", **members: Any) -> Callable[[Running], Script]:
    """Each call of a tool is answered so."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.tool is None or peer.exchange is None:
                return False
            message = {"jsonrpc": "2.0", "id": peer.id if id is ... else id, **members}
            await peer.exchange.reply(status, json.dumps(message).encode(), type)
            return True

        return script

    return make


GOT_ERROR = {"error": [ERROR["code"], ERROR["message"], ERROR["data"]]}
BODIES = [
    OddServer(f"an error under {status}", body(status, error=ERROR), ("json",), one_call, GOT_ERROR, check=no_ping)
    for status in (400, 403, 404, 409, 410, 422, 500, 501, 502, 503)
]
BODIES += [
    OddServer(f"an error without an id under {status}", body(status, id=None, error=ERROR), ("json",), one_call, GOT_ERROR)
    for status in (200, 400, 404, 500)
]
BODIES += [
    OddServer(f"a result under {status}", body(status, result=RESULT), ("json",), one_call, said("done"), check=no_ping)
    for status in (201, 202, 203, 206, 400, 404, 500)
]
BODIES += [
    OddServer(f"a result as {type}", body(200, result=RESULT, type=type), ("json",), one_call, said("done"), check=no_ping)
    for type in ("text/plain", "text/html; charset=utf-8", "application/vnd.api+json")
]
BODIES += [
    OddServer(
        "an error under 500 as text/html", body(500, error=ERROR, type="text/html"), ("json",), one_call, GOT_ERROR, check=no_ping
    ),
    OddServer(
        "an error with a word for an id", body(400, id="server-error", error={"code": -32600, "message": "Not Acceptable"}),
        ("json",), one_call, {"error": [-32600, "Not Acceptable", None]}, check=one_session,
    ),
    OddServer(
        "a method that is not found under 404", body(404, error={"code": -32601, "message": "no tool x"}), ("json",), one_call,
        {"error": [-32602, "no tool x", None]}, check=no_ping,
    ),
    OddServer(
        "a tool that speaks of sessions", body(200, error={"code": -32000, "message": "Browser session not found"}), ("json",),
        one_call, {"error": [-32000, "Browser session not found", None]}, check=one_session,
    ),
    OddServer(
        "a tool that speaks of sessions under 404",
        body(404, error={"code": -32000, "message": "Browser session not found"}), ("json",),
        one_call, {"error": [-32000, "Browser session not found", None]}, check=one_session,
    ),
    OddServer(
        "a tool whose database is not initialized", body(500, error={"code": -32603, "message": "Database not initialized"}),
        ("json",), one_call, {"error": [-32603, "Database not initialized", None]}, check=one_session,
    ),
]


# --- Responses on the GET stream


def on_get(answers: Callable[[Exchange], Awaitable[None]], *, before: bool) -> Callable[[Running], Script]:
    """Responses to calls of tools come on the GET stream, before or after the answer to the POST."""

    def make(_: Running) -> Script:
        streams: dict[str | None, Exchange] = {}

        async def script(peer: Peer) -> bool:
            exchange = peer.exchange
            if exchange is None:
                return False
            if exchange.request.method == "GET":
                await exchange.stream_head()
                streams[exchange.session] = exchange
                while not exchange.writer.is_closing():
                    await asyncio.sleep(0.02)
                return True
            if peer.tool is None:
                return False
            while exchange.session not in streams:
                await asyncio.sleep(0.02)
            text = event(exchange.response(json.dumps(RESULT).encode()))
            if before:
                await streams[exchange.session].chunk(text)
                await asyncio.sleep(0.1)
            await answers(exchange)
            if not before:
                await asyncio.sleep(0.1)
                await streams[exchange.session].chunk(text)
            return True

        return script

    return make


async def accepted(exchange: Exchange) -> None:
    await exchange.reply(202, b"", None)


async def accepted_in_words(exchange: Exchange) -> None:
    await exchange.reply(202, b"Accepted", "text/plain")


async def accepted_as_json(exchange: Exchange) -> None:
    await exchange.reply(202, b'{"status":"accepted"}')


async def empty(exchange: Exchange) -> None:
    await exchange.reply(200, b"", None)


async def no_event(exchange: Exchange) -> None:
    await exchange.sse()


ON_GET = [
    OddServer(
        f"the response on the GET stream {when} {answers.__name__}", on_get(answers, before=when == "before"), ("json",), one_call,
        said("done"), check=one_session,
    )
    for answers in (accepted, accepted_in_words, accepted_as_json, empty, no_event)
    for when in ("before", "after")
]


# --- GET streams that are none


def get_is(answer: Callable[[Exchange], Awaitable[None]]) -> Callable[[Running], Script]:
    def make(_: Running) -> Script:
        counts: dict[str | None, int] = {}

        async def script(peer: Peer) -> bool:
            exchange = peer.exchange
            if exchange is not None and exchange.request.method == "GET":
                await answer(exchange)
                return True
            if peer.tool is None or exchange is None or exchange.session not in peer.server.http.sessions:
                return False
            counts[exchange.session] = counts.get(exchange.session, 0) + 1
            await peer.text(str(counts[exchange.session]))
            return True

        return script

    return make


def replies(status: int, text: bytes = b"", type: str | None = None) -> Callable[[Exchange], Awaitable[None]]:
    async def answer(exchange: Exchange) -> None:
        await exchange.reply(status, text, type)

    return answer


async def counted(client: mcp.Client) -> Any:
    found = []
    for _ in range(5):
        found.append(await one_call(client))
        await asyncio.sleep(0.15)
    return found


async def one_get(running: Running, remora: Remora) -> None:
    assert running.methods["initialize"] == 1 and running.methods["GET"] == 1, running.methods
    async with Client(remora.address) as client:
        capabilities = (await client.send(request("server/discover"))).result["capabilities"]
    assert "listChanged" not in capabilities["tools"], capabilities


PROMISES = {"tools": {"listChanged": True}, "prompts": {}, "resources": {}}
NO_STREAMS = [
    OddServer(
        f"GET is {name}", get_is(answer), HTTP, counted, [said(str(count)) for count in range(1, 6)], capabilities=PROMISES,
        check=one_get,
    )
    for name, answer in {
        "404": replies(404),
        "404 of a framework": replies(404, b'{"detail":"Not Found"}', "application/json"),
        "404 as a page": replies(404, b"<html>Not Found</html>", "text/html"),
        "404 that speaks of sessions": replies(404, b"Session not found", "text/plain"),
        "410": replies(410),
        "400": replies(400, b"Bad Request", "text/plain"),
        "400 that speaks of sessions": replies(400, b"Bad Request: No valid session ID provided", "text/plain"),
        "406": replies(406),
        "501": replies(501),
        "202": replies(202),
        "204": replies(204, type=None),
        "a document": replies(200, b"{}", "application/json"),
        "a page": replies(200, b"<html></html>", "text/html"),
        "nothing": replies(200),
    }.items()
]


async def ends_at_once(exchange: Exchange) -> None:
    await exchange.sse()


async def ends_at_once_with_an_id(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.chunk(b"id: 1\nretry: 10\ndata: \n\n")
    await exchange.chunk(b"")


async def some_time(client: mcp.Client) -> Any:
    found = await one_call(client)
    await asyncio.sleep(4)
    return found


async def few_gets(running: Running, _: Remora) -> None:
    assert running.methods["initialize"] == 1 and running.methods["GET"] <= 3, running.methods


NO_STREAMS += [
    OddServer(f"GET {answer.__name__}", get_is(answer), ("json",), some_time, said("1"), check=few_gets)
    for answer in (ends_at_once, ends_at_once_with_an_id)
]


def refused_later(status: int, text: bytes = b"") -> Callable[[Running], Script]:
    """Has a GET stream, which ends, and refuses another."""

    def make(running: Running) -> Script:
        async def later(exchange: Exchange) -> None:
            if running.methods["GET"] > 1:
                return await exchange.reply(status, text, "text/plain")
            await exchange.stream_head()
            await exchange.chunk(b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n')
            await exchange.chunk(b"")

        return get_is(later)(running)

    return make


async def counted_for_long(client: mcp.Client) -> Any:
    """Beyond the first pause between two GET streams."""
    first = await one_call(client)
    await asyncio.sleep(1.5)
    return [first, await one_call(client)]


async def refused_and_alive(running: Running, _: Remora) -> None:
    assert running.methods["initialize"] == 1 and running.methods["GET"] > 1, running.methods


REFUSED_LATER = [
    OddServer(
        f"GET is refused later: {name}", refused_later(*answer), HTTP, counted_for_long, [said("1"), said("2")],
        capabilities=PROMISES, check=refused_and_alive,
    )
    for name, answer in {
        "404": (404,),
        "404 that speaks of sessions": (404, b"Session not found"),
        "410": (410,),
        "400 that speaks of sessions": (400, b"Bad Request: No valid session ID provided"),
        "403": (403,),
        "405": (405,),
        "409": (409, b"Conflict: Only one SSE stream is allowed per session"),
        "429": (429,),
        "500": (500,),
    }.items()
]


# --- Sessions that are lost


def forgets(say: Callable[[Peer], Awaitable[None]], *, pings: bool = False) -> Callable[[Running], Script]:
    """The server forgets its first session at the second call, and says so of whatever comes in it.

    - pings: it answers `ping` all the same, as a server may before any handshake
    """

    def make(running: Running) -> Script:
        calls = 0
        lost: set[Any] = set()

        def session(peer: Peer) -> Any:
            return peer.exchange.session if peer.exchange is not None else peer.wire

        async def script(peer: Peer) -> bool:
            nonlocal calls
            if peer.tool is not None:
                calls += 1
                if calls == 2:
                    lost.add(session(peer))
            if peer.id is None or peer.method == "initialize" or session(peer) not in lost:
                return False
            if pings and peer.method == "ping":
                await peer.result()
            else:
                await say(peer)
            return True

        return script

    return make


def error(code: int, message: str, status: int = 200, id: Any = ...) -> Callable[[Peer], Awaitable[None]]:
    async def say(peer: Peer) -> None:
        message_ = {"jsonrpc": "2.0", "id": peer.id if id is ... else id, "error": {"code": code, "message": message}}
        if status == 200:
            await peer.say(json.dumps(message_))
        else:
            await peer.exchange.reply(status, json.dumps(message_).encode())

    return say


def answer(status: int, text: bytes, type: str = "application/json") -> Callable[[Peer], Awaitable[None]]:
    async def say(peer: Peer) -> None:
        await peer.exchange.reply(status, text, type)

    return say


async def three_calls(client: mcp.Client) -> Any:
    return [await one_call(client) for _ in range(3)]


HEALED = [said("raw")] * 3
WIRES = ("sse", "stdio")
LOST = [
    OddServer(f"a session lost by {name}", forgets(say), forms, three_calls, HEALED, check=two_sessions)
    for name, say, forms in [
        ("-32002 Server not initialized", error(-32002, "Server not initialized"), ALL),
        ("-32001 Session not found", error(-32001, "Session not found"), ALL),
        ("-32005 Session not found", error(-32005, "Session not found"), ALL),
        ("-32600 without an id", error(-32600, "Invalid session", id=None), ("json",)),
        ("no JSON-RPC", answer(200, b'{"error":"Session not found"}'), ("json",)),
        ("403", answer(403, b"unknown session", "text/plain"), ("json",)),
        ("403 as JSON-RPC", error(-32001, "Unknown session", 403), ("json",)),
        ("500", answer(500, b"Invalid session ID", "text/plain"), ("json",)),
        ("500 as JSON-RPC", error(-32603, "Invalid session ID", 500), ("json",)),
        ("404 and -32600", error(-32600, "Session not found", 404), ("json",)),
        ("404 and -32001", error(-32001, "Session not found", 404), ("json",)),
        ("404 and -32001 with null", error(-32001, "Session not found", 404, None), ("json",)),
        ("404 and -32600 with a word", error(-32600, "Session not found", 404, "server-error"), ("json",)),
        ("404 and no JSON-RPC", answer(404, b'{"error":"Session not found"}'), ("json",)),
        ("404 and a page", answer(404, b"<html>Not Found</html>", "text/html"), ("json",)),
        ("404 and nothing", answer(404, b"", "text/plain"), ("json",)),
        ("410", answer(410, b"", "text/plain"), ("json",)),
        ("400", error(-32000, "Bad Request: Server not initialized", 400, None), ("json",)),
        ("400 with the id", error(-32000, "Bad Request: Server not initialized", 400), ("json",)),
        ("409", answer(409, b"session expired", "text/plain"), ("json",)),
        ("502", answer(502, b"no such session on any replica", "text/plain"), ("json",)),
        ("503", answer(503, b"Session limit reached", "text/plain"), ("json",)),
    ]
]
LOST += [
    OddServer(
        "a session lost by words, with a ping that is answered", forgets(error(-32002, "Server not initialized"), pings=True), ALL,
        three_calls, HEALED, check=two_sessions,
    )
]

# --- Sessions that live, whatever tools and pings say


def runs(refused: Callable[[Exchange], Awaitable[None]], ping: Callable[[Exchange], Awaitable[None]]) -> Callable[[Running], Script]:
    """Each call runs, and is answered so; a `ping` is answered in the server's own words too."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.exchange is None or peer.method not in ("tools/call", "ping"):
                return False
            await (refused if peer.method == "tools/call" else ping)(peer.exchange)
            return True

        return script

    return make


def replied(status: int, text: bytes) -> Callable[[Exchange], Awaitable[None]]:
    async def reply(exchange: Exchange) -> None:
        await exchange.reply(status, text)

    return reply


async def ran_once(running: Running, _: Remora) -> None:
    assert (running.methods["tools/call"], running.methods["initialize"]) == (1, 1), running.methods


async def reason(client: mcp.Client) -> Any:
    code, _, data = (await one_call(client))["error"]
    return [code, data["reason"]]


NO_SUCH_METHOD = b'{"error":"method ping is unknown"}'
ALIVE = [
    OddServer(
        f"a tool that answers {status} before a server whose ping is {ping}",
        runs(replied(status, b'{"error":"q is required"}'), replied(ping, NO_SUCH_METHOD)), ("json",), reason,
        [-32603, "backend_rejected"], check=ran_once,
    )
    for status, ping in [(400, 400), (404, 404), (422, 501)]
]


def ends_and_says(_: Running) -> Script:
    """A tool that ends its session, and speaks of a session of its own."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None or peer.exchange is None or peer.server.http is None:
            return False
        peer.server.http.sessions.discard(peer.exchange.session or "")
        await peer.error(-32000, "Session not found: the database session 17 has gone")
        return True

    return script


ALIVE += [
    OddServer(
        "a tool that speaks of its session and ends the other", ends_and_says, ("json",), one_call,
        {"error": [-32000, "Session not found: the database session 17 has gone", None]}, check=ran_once,
    )
]

ROWS = [*BODIES, *ON_GET, *NO_STREAMS, *REFUSED_LATER, *LOST, *ALIVE]
