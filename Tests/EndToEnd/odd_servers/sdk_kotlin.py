"""The Kotlin SDK (0.4 to 0.14) on Ktor. Where it says so: `StreamableHttpServerTransport.kt`, `KtorServer.kt`, `Protocol.kt`."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import mcp

from harness import http1
from harness.odd import HTTP, OddServer, Peer, Running, Script, said
from harness.odd_ways import PUSHING, SLOW, Maker, on_call
from harness.remora import Remora
from odd_servers.loss import HEALED, PROMISES, answer, forgets, one_call, one_session, three_calls, two_sessions
from odd_servers.sdk_events import events, joined
from odd_servers.sdk_go import large_and_small, too_large
from odd_servers.sdk_http import http, plain, to, to_notifications
from odd_servers.sdk_orders import one_given_up, two_at_once
from servers.raw import Exchange
from servers.wires import Wires


def ktor_event(data: bytes) -> bytes:
    """The data before the type, and CRLF."""
    return b"data: " + joined(data) + b"\r\nevent: message\r\n\r\n"


class KtorWires(Wires):
    """The endpoint is a query alone, so messages go where the stream is. A message is taken when its handler has run: what that
    says comes first, and 202 says so in words."""

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await http1.read_request(reader)) is not None:
            number = request.target.partition("?sessionId=")[2]
            if request.method == "GET":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n")
                writer.write(b"Connection: keep-alive\r\nX-Accel-Buffering: no\r\n\r\n")
                wire = self._wire(writer, b"data: ", b"\r\nevent: message\r\n\r\n")
                writer.write(b"data: ?sessionId=%d\r\nevent: endpoint\r\n\r\n" % wire.number)
                await reader.read()
                return
            if not number.isdigit():
                writer.write(plain("400 Bad Request", "text/plain", "sessionId query parameter is not provided"))
                continue
            await self._hear(self.wires[int(number)], json.loads(request.body))
            writer.write(plain("202 Accepted", "text/plain; charset=UTF-8", "Accepted"))


async def slow(peer: Peer) -> None:
    await asyncio.sleep(SLOW)
    await peer.text(peer.message["params"]["arguments"]["text"])


async def slower(peer: Peer) -> None:
    """A command's messages are dealt with one after the other: that a call was cancelled is heard when it has been answered."""
    await asyncio.sleep(2 * SLOW if peer.message["params"]["arguments"]["text"] == "1" else 0)
    await peer.text(peer.message["params"]["arguments"]["text"])


def empty_members(_: Running) -> Script:
    """Before 0.8: `_meta`, `params` and the `data` of an error are there, and empty; `jsonrpc` is in the middle, or last."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        if peer.form != "json":
            await peer.say('{"method":"notifications/tools/list_changed","params":{"_meta":{}},"jsonrpc":"2.0"}')
        if peer.message["params"]["arguments"]["text"] == "1":
            result = '{"content":[{"text":"raw","type":"text"}],"isError":false,"_meta":{}}'
            await peer.say(f'{{"id":{peer.id},"jsonrpc":"2.0","result":{result}}}')
        else:
            error = '{"code":-32603,"message":"java.lang.IllegalStateException: no","data":{}}'
            await peer.say(f'{{"id":{peer.id},"error":{error},"jsonrpc":"2.0"}}')
        return True

    return script


def asks_without_params(_: Running) -> Script:
    """A question with the id of a UUID without hyphens, and `params` of `_meta` alone."""
    waiting: dict[str, Peer] = {}
    id = "9f1c0d2e4b5a4c6d8e7f001122334455"

    async def script(peer: Peer) -> bool:
        if peer.tool is not None:
            waiting["call"] = peer
            await peer.say(f'{{"id":"{id}","method":"ping","params":{{"_meta":{{}}}},"jsonrpc":"2.0"}}')
            async with asyncio.timeout(5):
                while peer.form == "stream" and "answer" not in waiting:
                    await asyncio.sleep(0.01)
            if peer.form == "stream":
                await peer.text(json.dumps(waiting["answer"].message["result"]))
            return True
        if peer.id == id and not peer.method and "call" in waiting:
            waiting["answer"] = peer
            if peer.form != "stream":
                await waiting["call"].text(json.dumps(peer.message["result"]))
        return False

    return script


def beats(data: bytes) -> bytes:
    """0.14: a comment between events (`heartbeat`)."""
    return b": heartbeat\r\n\r\n" + ktor_event(data) + b": heartbeat\r\n\r\n"


def knows_versions(refusal: Callable[[str], bytes]) -> Maker:
    """Another version in `MCP-Protocol-Version` is 400, at `initialize` too (`validateProtocolVersion`)."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            assert peer.exchange is not None
            version = peer.exchange.request.header("mcp-protocol-version")
            if version in (None, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"):
                return False
            await peer.exchange.reply(400, refusal(version or ""))
            return True

        return script

    return make


def stateless(running: Running) -> Script:
    """`mcpStatelessStreamableHttp`: no session id, and GET and DELETE are 405 as JSON-RPC without an id."""

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None and running.http is not None
        running.http.with_sessions = False
        if exchange.request.method == "POST":
            return False
        await exchange.reply(405, (NO_ID % "Method not allowed.").encode())
        return True

    return script


def left(exchange: Exchange) -> bool:
    """Whether the client has closed its side of the connection (`TCP_CLOSE_WAIT`), or all of it."""
    connection = exchange.writer.get_extra_info("socket")
    return exchange.writer.is_closing() or connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (7, 8)


def silent_when_cancelled(opening: bytes) -> Maker:
    """A call that was cancelled has no response (`dispatchRequest`), and the stream of its POST stays open.

    - opening: what the stream begins with
    """

    def make(running: Running) -> Script:
        async def script(peer: Peer) -> bool:
            exchange = peer.exchange
            if peer.tool is None or exchange is None:
                return False
            if peer.message["params"]["arguments"]["text"] != "1":
                await peer.text("raw")
                return True
            if peer.form == "stream":
                await exchange.stream_head()
                await exchange.chunk(opening)
            running.methods["open"] += 1
            while not left(exchange):
                await asyncio.sleep(0.02)
            running.methods["open"] -= 1
            exchange.close()
            return True

        return script

    return make


async def none_open(running: Running, remora: Remora) -> None:
    """Nothing is left of the call that was cancelled, and its session lives."""
    await one_session(running, remora)
    async with asyncio.timeout(10):
        while running.methods["open"] != 0:
            await asyncio.sleep(0.02)


def accepts_when_cancelled(_: Running) -> Script:
    """0.14 with JSON: the POST of a call that was cancelled is 202 without a body (`retireCancelledJsonRequest`)."""
    cancelled = asyncio.Event()

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        if peer.method == "notifications/cancelled":
            cancelled.set()
        if peer.tool is None or exchange is None or peer.message["params"]["arguments"]["text"] != "1":
            return False
        async with asyncio.timeout(10):
            await cancelled.wait()
        await exchange.reply(202, b"", None)
        return True

    return script


def replaces_get(_: Running) -> Script:
    """0.10 on: another GET in a session ends the one before it (`handleGetRequest`), which is none of both clients' business."""
    streams: dict[str | None, asyncio.Event] = {}

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None
        if exchange.request.method != "GET":
            return False
        if exchange.session in streams:
            streams[exchange.session].set()
        ended = streams[exchange.session] = asyncio.Event()
        await exchange.stream_head()
        await exchange.chunk(b"data: \r\n\r\n")
        await ended.wait()
        await exchange.chunk(b"")
        return True

    return script


async def calls_for_long(client: mcp.Client) -> Any:
    """Beyond the first pause between two GET streams."""
    first = await one_call(client)
    await asyncio.sleep(1.5)
    return [first, await one_call(client)]


async def one_get(running: Running, remora: Remora) -> None:
    await one_session(running, remora)
    assert running.methods["GET"] == 1, running.methods


NO_ID = '{"error":{"code":-32000,"message":"%s"},"jsonrpc":"2.0"}'
"""Nulls are left out, so the errors of the transport have no id."""
TOO_LARGE = NO_ID.replace("-32000", "-32600") % "Invalid Request: message size exceeds maximum of 4194304 bytes"
LOST = {404: "Session not found", 400: "Bad Request: Server not initialized"}

ROWS = [
    OddServer("kotlin_events", events(ktor_event, before=b"data: \r\n\r\n"), forms=("stream",)),
    OddServer("kotlin_events", events(ktor_event), forms=("sse",)),
    OddServer("kotlin_endpoint", forms=("sse",), wires=KtorWires),
    OddServer("kotlin_endpoint_found", forms=("sse",), wires=KtorWires, server={"transport": "auto"}),
    OddServer("kotlin_taken_when_done", on_call(slow), ("sse",), two_at_once, wires=KtorWires),
    OddServer("kotlin_in_turn", on_call(slower), ("stdio",), one_given_up),
    OddServer("kotlin_empty_members", empty_members),
    OddServer("kotlin_asks_without_params", asks_without_params, PUSHING),
    *(
        OddServer(
            f"kotlin_lost_by_{status}", forgets(answer(status, (NO_ID % message).encode())), ("json",), three_calls, HEALED,
            check=two_sessions,
        )
        for status, message in LOST.items()
    ),
    OddServer("kotlin_notified_null", http(to_notifications(plain("202 Accepted", "application/json", "null"))), forms=HTTP),
    OddServer("kotlin_deleted_null", http(to("DELETE", plain("200 OK", "application/json", "null"))), forms=("json",)),
    OddServer("kotlin_beats", events(beats), forms=("stream", "sse")),
    OddServer(
        "kotlin_knows_versions",
        knows_versions(lambda _: (NO_ID % "Bad Request: Unsupported protocol version (supported versions: 2025-11-25)").encode()),
        HTTP, check=one_session,
    ),
    OddServer("kotlin_stateless", stateless, ("json",)),
    OddServer(
        "kotlin_too_large",
        too_large(lambda _: TOO_LARGE.encode(), "application/json"), HTTP, large_and_small,
        [[-32600, json.loads(TOO_LARGE)["error"]["message"]], said("raw")], check=one_session,
    ),
    OddServer(
        "kotlin_silent_when_cancelled", silent_when_cancelled(b"data: \r\n\r\n"), HTTP, one_given_up, check=none_open
    ),
    OddServer("kotlin_accepts_when_cancelled", accepts_when_cancelled, ("json",), one_given_up, check=one_session),
    OddServer(
        "kotlin_replaces_get", replaces_get, HTTP, calls_for_long, [said("raw")] * 2, capabilities=PROMISES, check=one_get
    ),
]
