"""HTTP as frameworks, gateways and servers written by hand speak it, and what they do with sessions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import mcp

from harness.odd import HTTP, OddServer, Peer, Running, Script, outcome
from harness.odd_ways import USUAL, Maker
from servers.raw import Exchange


Change = Callable[[bytes, Exchange], bytes]


class Changed(Exchange):
    """An exchange of which each head, with a body that has a length, goes out changed."""

    change: Change

    async def raw(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            data = self.change(data, self)
        await super().raw(data)


def http(change: Change, *, closes: bool = False) -> Maker:
    """A good server whose HTTP is odd."""

    def make(running: Running) -> Script:
        async def script(peer: Peer) -> bool:
            exchange, server = peer.exchange, running.http
            if exchange is None or server is None:
                return False
            odd = Changed(exchange.request, exchange.writer, exchange.message)
            odd.change = change
            streamed = peer.form == "stream" and odd.is_request and odd.session in server.sessions
            if streamed and odd.method in server.results:
                await odd.sse(odd.response(server.results[odd.method]))
            else:
                await server.behave(odd)
            if closes:
                exchange.close()
            return True

        return script

    return make


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The lines of a head, and what follows."""
    head, _, body = data.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def with_lines(*lines: bytes) -> Change:
    def change(data: bytes, _: Exchange) -> bytes:
        head, body = split(data)
        return b"\r\n".join([*head, *lines, b"", body])

    return change


def old_http(data: bytes, _: Exchange) -> bytes:
    """Python's http.server: HTTP/1.0, and a body that ends with the connection."""
    head, body = split(data)
    kept = [each for each in head[1:] if not each.lower().startswith(b"content-length")]
    start = b"HTTP/1.0 " + head[0].removeprefix(b"HTTP/1.1 ")
    return b"\r\n".join([start, b"Server: BaseHTTP/0.6 Python/3.11.7", *kept, b"", body])


def unframed(data: bytes, _: Exchange) -> bytes:
    """PHP's own server: HTTP/1.1, `Connection: close`, no length."""
    head, body = split(data)
    kept = [each for each in head if not each.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, b"Connection: close", b"X-Powered-By: PHP/8.4", b"", body])


def interim(data: bytes, _: Exchange) -> bytes:
    """Node and gateways: 100 and 103 before the response."""
    return b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + data


def chunked(data: bytes, _: Exchange) -> bytes:
    """Proxies: extensions of chunks, capitals in sizes and in names, a trailer."""
    head, body = split(data)
    if any(each.lower().startswith(b"transfer-encoding") for each in head):
        return data
    kept = [each for each in head if not each.lower().startswith(b"content-length")]
    pieces = [body[at : at + 10] for at in range(0, len(body), 10)]
    chunks = b"".join(b'%X;n="a;b"\r\n%s\r\n' % (len(piece), piece) for piece in pieces)
    end = b"0;last\r\nX-Checksum: 1\r\n\r\n"
    return b"\r\n".join([*kept, b"TRANSFER-ENCODING: Chunked", b"", chunks + end])


def bare(data: bytes, _: Exchange) -> bytes:
    """Servers written by hand: no reason, no spaces after colons."""
    head, body = split(data)
    fields = [each.replace(b": ", b":", 1) + b" " for each in head[1:]]
    return b"\r\n".join([head[0].rsplit(b" ", 1)[0] + b" ", *fields, b"", body])


def stray(data: bytes, _: Exchange) -> bytes:
    """Old servers: an empty line after the body."""
    return data + b"\r\n"


def typed(json_type: bytes, event_type: bytes) -> Change:
    def change(data: bytes, _: Exchange) -> bytes:
        other = data.replace(b"Content-Type: application/json", b"content-type: " + json_type, 1)
        return other.replace(b"Content-Type: text/event-stream", b"content-type: " + event_type, 1)

    return change


def to_notifications(answer: bytes) -> Change:
    """Another answer to notifications and to responses than 202."""

    def change(data: bytes, exchange: Exchange) -> bytes:
        return answer if data.startswith(b"HTTP/1.1 202") else data

    return change


def to(method: str, answer: bytes) -> Change:
    """An answer to GET or DELETE."""

    def change(data: bytes, exchange: Exchange) -> bytes:
        return answer if exchange.request.method == method else data

    return change


def plain(status: str, type: str | None, body: str, *fields: str) -> bytes:
    """A response."""
    kind = [f"Content-Type: {type}"] if type is not None else []
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *kind, *fields, "", body]).encode()


def refused(status: str, message: str) -> bytes:
    """TypeScript and C#: an error of the transport as JSON-RPC."""
    error = {"jsonrpc": "2.0", "error": {"code": -32000, "message": message}, "id": None}
    return plain(status, "application/json", json.dumps(error))


def session_named(name: Callable[[bytes], bytes]) -> Change:
    """C#, and gateways: what each response in a session says about it."""

    def change(data: bytes, exchange: Exchange) -> bytes:
        if exchange.session is None:
            return data
        head, body = split(data)
        return b"\r\n".join([*head, b"mcp-session-id: " + name(exchange.session.encode()), b"", body])

    return change


def wants_cookie(running: Running) -> Script:
    """Balancers and frameworks: what comes without the cookie of `initialize` goes to another copy, which knows nothing."""

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None and running.http is not None
        if exchange.method == "initialize":
            odd = Changed(exchange.request, exchange.writer, exchange.message)
            odd.change = with_lines(b"Set-Cookie: route=a.1; Path=/; HttpOnly", b"Set-Cookie: old=; Max-Age=0")
            await running.http.behave(odd)
            return True
        if "route=a.1" in (exchange.request.header("cookie") or ""):
            return False
        if exchange.session is None:
            return False
        await exchange.reply(404, exchange.error(-32001, "Session not found"))
        return True

    return script


def hangs_on_delete(_: Running) -> Script:
    async def script(peer: Peer) -> bool:
        if peer.exchange is None or peer.exchange.request.method != "DELETE":
            return False
        await asyncio.sleep(30)
        return True

    return script


def java_error(_: Running) -> Script:
    """Java: an error of the transport is an exception that was serialized, and no JSON-RPC."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None or peer.exchange is None:
            return False
        if peer.message["params"]["arguments"]["text"] != "1":
            return False
        body = {
            "cause": None,
            "stackTrace": [{"methodName": "doPost", "lineNumber": 1}],
            "jsonRpcError": {"code": -32602, "message": "Invalid message format", "data": None},
            "message": "Invalid message format",
        }
        await peer.exchange.reply(400, json.dumps(body).encode(), "application/json;charset=UTF-8")
        return True

    return script


async def after_an_error(client: mcp.Client) -> Any:
    """Whether the first call fails, and what the second gets."""
    first = await outcome(client.call_tool("x", {"text": "1"}))
    return ["error" in first, await outcome(client.call_tool("x", {"text": "2"}))]


ROWS = [
    OddServer("stray_line", http(stray), forms=("json",), wanted=USUAL),
    OddServer("old_http", http(old_http, closes=True), forms=("json",)),
    OddServer("unframed", http(unframed, closes=True), forms=("json",)),
    OddServer("closes", http(with_lines(b"Connection: close"), closes=True), forms=HTTP),
    OddServer("interim", http(interim), forms=HTTP),
    OddServer("chunked", http(chunked), forms=("json",)),
    OddServer("bare", http(bare), forms=HTTP),
    OddServer("capital_types", http(typed(b"Application/JSON", b"TEXT/Event-Stream")), forms=HTTP),
    OddServer(
        "charsets",
        http(typed(b'application/json; charset="UTF-8"; profile=x', b"text/event-stream;charset=utf-8")),
        forms=HTTP,
    ),
    OddServer("identity", http(with_lines(b"Content-Encoding: identity", b"Cache-Control: no-cache,no-store")), forms=HTTP),
    OddServer("many_fields", http(with_lines(*(b"X-Trace-%d: %s" % (n, b"v" * 200) for n in range(60)))), forms=HTTP),
    *(
        OddServer(f"notified_{name}", http(to_notifications(answer)), forms=("json",))
        for name, answer in {
            "204": b"HTTP/1.1 204 No Content\r\n\r\n",
            "200_empty": plain("200 OK", "application/json", ""),
            "200_object": plain("200 OK", "application/json", "{}"),
            "200_null": plain("200 OK", "application/json", "null"),
            "200_text": plain("200 OK", "text/plain", "OK"),
            "200_result": plain("200 OK", "application/json", '{"jsonrpc":"2.0","id":null,"result":{}}'),
            "200_events": plain("200 OK", "text/event-stream", ""),
            "201": plain("201 Created", "application/json", ""),
            "202_text": plain("202 Accepted", "text/plain", "Accepted"),
        }.items()
    ),
    OddServer("session_each_time", http(session_named(lambda session: session)), forms=HTTP),
    OddServer("session_dropped", http(session_named(lambda _: b"")), forms=HTTP),
    OddServer("session_changed", http(session_named(lambda session: session + b"-2")), forms=HTTP),
    OddServer("wants_cookie", wants_cookie, forms=HTTP),
    *(
        OddServer(f"deleted_{name}", http(to("DELETE", answer)), forms=("json",))
        for name, answer in {
            "405": refused("405 Method Not Allowed", "Method not allowed."),
            "404": plain("404 Not Found", "text/html", "<pre>Cannot DELETE /mcp</pre>"),
            "500": plain("500 X", "text/plain", "x"),
            "200": plain("200 OK", "application/json", '{"success":true}'),
            "204": b"HTTP/1.1 204 No Content\r\n\r\n",
        }.items()
    ),
    OddServer("deleted_never", hangs_on_delete, forms=("json",), wanted=USUAL),
    *(
        OddServer(f"got_{name}", http(to("GET", answer)), forms=("json",))
        for name, answer in {
            "409": refused("409 Conflict", "Conflict: Only one SSE stream is allowed per session"),
            "406": refused("406 Not Acceptable", "Not Acceptable: Client must accept text/event-stream"),
            "501": plain("501 Not Implemented", "text/html", "<html></html>"),
            "204": b"HTTP/1.1 204 No Content\r\n\r\n",
        }.items()
    ),
    OddServer("java_error", java_error, forms=("json",), calls=after_an_error),
]
