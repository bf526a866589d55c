"""Servers that are odd as SDKs, web frameworks and servers written by hand are. Each says where its way comes from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import mcp
from mcp_types import ElicitResult, ListRootsResult, Root

from harness.odd import HTTP, OddServer, Peer, Running, Script, outcome, usual_calls
from servers.raw import Exchange

EVENTS = ("stream", "sse")
"""The forms with events."""
WIRES = ("sse", "stdio")
"""The forms with one stream for a session."""
PUSHING = ("stream", "sse", "stdio")
"""The forms on which a server may say more than the response."""
SLOW = 0.3
"""Seconds that a slow answer takes; far above the time of a call, far below any patience."""

RAW = {"content": [{"type": "text", "text": "raw"}], "isError": False}
USUAL = [{"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}, RAW, RAW]
"""What the usual calls get from a good server."""

WRONG = [
    *("ValidationError", RAW, "ValidationError"),
    {"content": [{"type": "text", "text": '{"a":1}'}], "structuredContent": {"a": 1}, "isError": False},
    *("ValidationError", "ValidationError", {"content": [], "isError": False}, RAW),
]
"""What `wrong_calls` get: `content` is added where it is missing, and nothing else is changed."""

WRONG_LISTS = [
    {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("x", "y")]},
    *({"prompts": [{"name": "p"}]}, "ValidationError", RAW),
]
"""What `list_calls` get: a schema that is missing is one that takes every object."""

Maker = Callable[[Running], Script]
Handler = Callable[[Peer], Awaitable[None]]


def on(method: str, handler: Handler) -> Maker:
    """A server that deals with one method in its own way."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.method == method:
                await handler(peer)
            return peer.method == method

        return script

    return make


def on_call(handler: Handler) -> Maker:
    return on("tools/call", handler)


def response(peer: Peer, result: str) -> str:
    """The response with this text as its result."""
    return f'{{"jsonrpc":"2.0","id":{json.dumps(peer.id)},"result":{result}}}'


def content(text: str) -> str:
    return json.dumps({"content": [{"type": "text", "text": text}]})


# Messages


def null_members() -> dict[str, bytes]:
    """C# (data-api-builder): each member that has no value is written as null."""
    nothing = b'"title":null,"description":null,"outputSchema":null,"annotations":null,"icons":null,"_meta":null'
    tool = b'{"name":"x","inputSchema":{"type":"object"},' + nothing + b"}"
    said = b'{"type":"text","text":"raw","annotations":null,"_meta":null}'
    return {
        "tools/list": b'{"tools":[' + tool + b'],"nextCursor":null,"_meta":null}',
        "tools/call": b'{"content":[' + said + b'],"structuredContent":null,"isError":false,"_meta":null}',
    }


async def null_error(peer: Peer) -> None:
    """Newtonsoft and Jackson by default: `error` is null beside a result."""
    await peer.say(f'{{"jsonrpc":"2.0","id":{peer.id},"result":{content("raw")},"error":null}}')


async def more_members(peer: Peer) -> None:
    """Vendors' members beside those of JSON-RPC and of MCP."""
    said = '{"content":[{"type":"text","text":"raw","x-lang":"en"}],"latency_ms":1.5,"x":{"y":[1]}}'
    await peer.say(f'{{"jsonrpc":"2.0","server":"s","id":{peer.id},"result":{said},"usage":{{"tokens":3}}}}')


async def sorted_members(peer: Peer) -> None:
    """Go maps: members in the order of the alphabet, the id after the result."""
    await peer.say(f'{{"result":{content("raw")},"jsonrpc":"2.0","id":{peer.id}}}')


async def php_escapes(peer: Peer) -> None:
    """PHP's json_encode: every slash and every letter beyond ASCII is escaped, in names of methods too."""
    params = '{"level":"info","data":"caf\\u00e9"}'
    await peer.say(f'{{"jsonrpc":"2.0","method":"notifications\\/message","params":{params}}}')
    text = '{"content":[{"type":"text","text":"http:\\/\\/x\\/caf\\u00e9 \\ud83d\\ude00"}]}'
    await peer.say(response(peer, text))


async def odd_letters(peer: Peer) -> None:
    """What some readers take for the end of a line, unescaped, and NUL."""
    text = "a\u2028b\u2029c\u0085d\x7fe\ufefff"
    said = json.dumps({"content": [{"type": "text", "text": text + "\0\x0b\x0c\x1c"}]}, ensure_ascii=False)
    await peer.say(response(peer, said))


async def numbers(peer: Peer) -> None:
    """Numbers that a reader of doubles would change."""
    said = '{"a":9007199254740993,"b":-0.0,"c":1e400,"d":1.0,"e":123456789012345678901234567890,"f":0.1000000000000000055}'
    await peer.say(response(peer, f'{{"content":[],"structuredContent":{said}}}'))


async def deep(peer: Peer) -> None:
    depth = 60
    await peer.say(response(peer, f'{{"content":[],"structuredContent":{{"a":{"[" * depth}{"]" * depth}}}}}'))


async def long(peer: Peer) -> None:
    """3 MB in one line: an image, as Base64."""
    image = {"type": "image", "data": "QUJD" * 750_000, "mimeType": "image/png"}
    await peer.result(content=[image])


async def long_calls(client: mcp.Client) -> Any:
    found = await outcome(client.call_tool("x"))
    return [len(each.get("data", "")) for each in found.get("content", [])] or found


async def spaced(peer: Peer) -> None:
    """A pretty printer, with a line feed at the end."""
    lines = json.dumps({"jsonrpc": "2.0", "id": peer.id, "result": json.loads(content("raw"))}, indent=4)
    await peer.say("\n".join(lines.split("\n")) if peer.form == "json" else lines.replace("\n", "\ndata: "))


# Orders


async def twice(peer: Peer) -> None:
    """A response said twice, between two that belong to no request."""
    await peer.message_of(id=987_654, result={})
    await peer.text("raw")
    await peer.text("again")
    await peer.message_of(id="other", error={"code": -32603, "message": "not yours"})


def initialize_result(peer: Peer) -> dict[str, Any]:
    row = peer.server.row
    return {
        "protocolVersion": row.revision,
        "capabilities": row.capabilities,
        "serverInfo": {"name": "raw", "version": "1"},
    }


async def initialized_twice(peer: Peer) -> None:
    await peer.result(**initialize_result(peer))
    await peer.result(**initialize_result(peer))


async def early(peer: Peer) -> None:
    """Swift and Kotlin servers that log while they start: messages before the result of `initialize`."""
    await peer.message_of(method="notifications/message", params={"level": "info", "data": "starting"})
    await peer.message_of(method="notifications/tools/list_changed")
    await peer.message_of(id="ping-1", method="ping")
    await peer.result(**initialize_result(peer))


def answers_notifications(_: Running) -> Script:
    """Servers written by hand: a notification is a request of an unknown method, with the id null."""

    async def script(peer: Peer) -> bool:
        if not peer.method.startswith("notifications/"):
            return False
        await peer.message_of(id=None, error={"code": -32601, "message": f"Method not found: {peer.method}"})
        return True

    return script


def results_for_notifications(_: Running) -> Script:
    """The same, with a result and no id."""

    async def script(peer: Peer) -> bool:
        if not peer.method.startswith("notifications/"):
            return False
        await peer.say('{"jsonrpc":"2.0","result":{}}')
        return True

    return script


def asks(method: str, id: Any, params: dict[str, Any] | None = None) -> Maker:
    """A server that asks during a call, and tells what it got."""

    def make(_: Running) -> Script:
        waiting: dict[str, asyncio.Future[str]] = {}

        async def answer(peer: Peer) -> None:
            waiting["answer"] = asyncio.get_running_loop().create_future()
            asked = {"params": params} if params is not None else {}
            await peer.message_of(id=id, method=method, **asked)

            async def end() -> None:
                async with asyncio.timeout(10):
                    await peer.text(await waiting["answer"])
                await peer.end()

            if peer.form == "stream":
                await end()
            else:  # A wire's next message is read when this one is done with.
                waiting["task"] = asyncio.ensure_future(end())  # type: ignore[assignment]

        async def script(peer: Peer) -> bool:
            if peer.tool is not None:
                await answer(peer)
                return True
            if not peer.method and peer.id == id and "answer" in waiting:
                told = peer.message.get("result", "refused" if "error" in peer.message else None)
                waiting["answer"].set_result(json.dumps(told, sort_keys=True))
            return False

        return script

    return make


async def elicit(*_: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "n"})


async def list_roots(*_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///r", name="r")])


QUESTION = {
    "message": "name?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}


async def settled_calls(client: mcp.Client) -> Any:
    """The usual ones, and a moment for what comes after: the published client breaks when it is left in the middle of that."""
    found = await usual_calls(client)
    await asyncio.sleep(SLOW)
    return found


async def one_call(client: mcp.Client) -> Any:
    return await outcome(client.call_tool("x", {"text": "1"}))


def backwards(_: Running) -> Script:
    """Of two calls at once the later is answered first."""
    held: list[Peer] = []

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        text = peer.message["params"]["arguments"]["text"]
        if peer.exchange is not None:
            await asyncio.sleep(SLOW if text == "1" else 0)
            await peer.text(text)
            return True
        held.append(peer)
        if len(held) == 2:
            for each in reversed(held):
                await each.text(each.message["params"]["arguments"]["text"])
            held.clear()
        return True

    return script


async def two_at_once(client: mcp.Client) -> Any:
    return await asyncio.gather(*(outcome(client.call_tool("x", {"text": text})) for text in ("1", "2")))


async def late_progress(peer: Peer) -> None:
    """Progress of another request, progress that goes back, and more of it after the response."""
    token = peer.message["params"].get("_meta", {}).get("progressToken")
    for of, done in (("other", 1), (token, 2), (token, 1.5), (token, 3)):
        if of is not None:
            params = {"progressToken": of, "progress": done, "total": None, "message": None}
            await peer.message_of(method="notifications/progress", params=params)
    await peer.text("raw")
    await peer.message_of(method="notifications/progress", params={"progressToken": token or 1, "progress": 4})
    await peer.message_of(method="notifications/message", params={"level": "info", "data": "done"})


def late_response(_: Running) -> Script:
    """A cancelled call is answered all the same, when the next has begun."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        text = peer.message["params"]["arguments"]["text"]
        if text == "1" and peer.wire is not None:
            asyncio.get_running_loop().call_later(2 * SLOW, asyncio.ensure_future, peer.text(text))
            return True
        await asyncio.sleep(2 * SLOW if text == "1" else 0)
        await peer.text(text)
        return True

    return script


async def one_given_up(client: mcp.Client) -> Any:
    found: list[Any] = []
    try:
        async with asyncio.timeout(SLOW):
            found.append(await outcome(client.call_tool("x", {"text": "1"})))
    except TimeoutError:
        found.append("given up")
    for text in ("2", "3"):
        found.append(await outcome(client.call_tool("x", {"text": text})))
        await asyncio.sleep(SLOW)
    return found


async def same_id(peer: Peer) -> None:
    """Both sides count from the same number: the server asks under the id of the call that it is in."""
    await peer.message_of(id=peer.id, method="ping")
    await peer.text("raw")


NAMES = ("a b", "ünï/日本", "a.b:c-d_e", "x" * 300, "%41", "=?base64?YQ==?=", '"quoted"', "a\tb")
URIS = ("raw:///ä b?x=1&y=%20#z", "no-scheme", "RAW:///UP", "urn:a:b", "file:///C:\\x\\y", "{template}")


def odd_names() -> dict[str, bytes]:
    """Names and URIs that frameworks make of routes, files and sentences; one tool is there twice."""
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in (*NAMES, NAMES[0])]
    return {
        "tools/list": json.dumps({"tools": tools}, ensure_ascii=False).encode(),
        "resources/list": json.dumps({"resources": [{"uri": uri, "name": uri} for uri in URIS]}).encode(),
    }


def says_name(_: Running) -> Script:
    async def script(peer: Peer) -> bool:
        if peer.tool is not None:
            await peer.text(peer.tool)
        elif peer.method == "resources/read":
            uri = peer.message["params"]["uri"]
            await peer.result(contents=[{"uri": uri, "text": uri}])
        else:
            return False
        return True

    return script


async def name_calls(client: mcp.Client) -> Any:
    lists = [await outcome(client.list_tools()), await outcome(client.list_resources())]
    said = [await outcome(client.call_tool(name)) for name in NAMES]
    return lists + said + [await outcome(client.read_resource(uri)) for uri in URIS]


def wrong(_: Running) -> Script:
    """Results that are against the schema: they are nobody's to mend, and the next call is not their victim."""
    results = [
        '{"content":[{"type":"widget","x":1}]}',
        '{"content":[],"isError":null}',
        '{"structuredContent":{"a":1}}',
        '{"content":"text"}',
        '{"content":[{"type":"text"}]}',
        "{}",
    ]

    async def script(peer: Peer) -> bool:
        if peer.tool is not None and (text := peer.message["params"]["arguments"]["text"]) != "good":
            await peer.say(response(peer, results[int(text)]))
            return True
        return False

    return script


async def attempt(asked: Awaitable[Any]) -> Any:
    """As `outcome`; what the client itself does not take is the name of the error."""
    try:
        return await outcome(asked)
    except (ValueError, RuntimeError) as error:
        return type(error).__name__


async def wrong_calls(client: mcp.Client) -> Any:
    texts = ("0", "good", "1", "2", "3", "4", "5", "good")
    return [await attempt(client.call_tool("x", {"text": text})) for text in texts]


def wrong_lists() -> dict[str, bytes]:
    """Tools without a schema, with null for one, and a cursor that is a number."""
    return {
        "tools/list": b'{"tools":[{"name":"x"},{"name":"y","inputSchema":null}],"nextCursor":null}',
        "prompts/list": b'{"prompts":[{"name":"p","arguments":null}],"nextCursor":2}',
        "resources/list": b'{"resources":[{"uri":"raw:///r"}]}',
    }


async def list_calls(client: mcp.Client) -> Any:
    asked = (client.list_tools(), client.list_prompts(), client.list_resources(), client.call_tool("x"))
    return [await attempt(each) for each in asked]


# Events


def events(write: Callable[[bytes], bytes], *, before: bytes = b"") -> Maker:
    """A server with a way of its own to write events, for each response but the first."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.method not in ("tools/call", "tools/list"):
                return False
            result = peer.server.row.results.get(peer.method) or json.dumps(
                {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}
                if peer.method == "tools/list"
                else {"content": [{"type": "text", "text": "é\u2028é"}]},
                ensure_ascii=False,
            ).encode()
            data = before + write(b'{"jsonrpc":"2.0","id":%d,\n"result":%s}' % (peer.id, result))
            if peer.wire is not None:
                peer.wire.write(data)
            elif peer.exchange is not None:
                await peer.exchange.stream_head()
                await peer.exchange.chunk(data)
                await peer.exchange.chunk(b"")
            return True

        return script

    return make


def joined(data: bytes) -> bytes:
    return data.replace(b"\n", b"")


def spring_event(data: bytes) -> bytes:
    """Spring: no space after the colon, the id first."""
    return b"id:7f0c\nevent:message\ndata:" + joined(data) + b"\n\n"


def cr_event(data: bytes) -> bytes:
    return b"event: message\rdata: " + joined(data) + b"\r\r: next\r"


def crlf_event(data: bytes) -> bytes:
    return b"event: message\r\ndata: " + joined(data) + b"\r\n\r\n"


def mixed_event(data: bytes) -> bytes:
    return b"event: message\rdata: " + joined(data) + b"\n\r\n"


def lines_event(data: bytes) -> bytes:
    """Frameworks that write a line of data for each line of a text."""
    return b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"event: message\n\n"


def primed_event(data: bytes) -> bytes:
    """rmcp, and 2025-11-25: an event without data first, with an id and a time to wait; C# names it `prime`."""
    prime = b"id: 0\nretry: 3000\ndata:\n\nevent: prime\nid: 1\ndata: \n\n"
    return prime + b"id: 0/1\ndata: " + joined(data) + b"\n\n"


def commented_event(data: bytes) -> bytes:
    """Ruby and sse-starlette: comments, times, fields of no meaning, and empty events."""
    noise = b": ping - 2026-01-01 00:00:00+00:00\n\n:\n\n\n\nretry: soon\nfoo: bar\nfoo\nid: a\0b\n"
    return noise + b"data: " + joined(data) + b"\ntime: 1\n\n"


def polled(_: Running) -> Script:
    """TypeScript and Python: the stream of a call ends after its first event, and the response is fetched by GET."""
    waiting: dict[str, int] = {}

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        if exchange is None:
            return False
        if peer.tool is not None:
            waiting[f"{len(waiting)}-{peer.id}"] = peer.id
            await exchange.stream_head()
            await exchange.chunk(b"id: %s\nretry: 20\ndata: \n\n" % list(waiting)[-1].encode())
            await exchange.chunk(b"")
            return True
        place = exchange.request.header("last-event-id")
        if exchange.request.method != "GET" or place not in waiting:
            return False
        await exchange.stream_head()
        said = json.dumps({"jsonrpc": "2.0", "id": waiting[place], "result": json.loads(content("fetched"))})
        await exchange.chunk(b"id: %s-end\ndata: %s\n\n" % (place.encode(), said.encode()))
        await exchange.chunk(b"")
        return True

    return script


async def never_ends(peer: Peer) -> None:
    """Servers written by hand: the stream of a call stays open after its response."""
    await peer.text("raw")
    assert peer.exchange is not None
    for _ in range(100):
        await asyncio.sleep(0.1)
        if peer.exchange.writer.is_closing():
            break
        await peer.exchange.chunk(b": still here\n\n")


def progress_elsewhere(_: Running) -> Script:
    """Python before 1.10: progress is no part of its call, and goes to the GET stream."""
    streams: dict[str | None, Exchange] = {}

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None
        if exchange.request.method == "GET":
            await exchange.stream_head()
            streams[exchange.session] = exchange
            while not exchange.writer.is_closing():
                await asyncio.sleep(0.05)
            return True
        if peer.tool is None:
            return False
        async with asyncio.timeout(5):
            while exchange.session not in streams:
                await asyncio.sleep(0.01)
        token = peer.message["params"]["_meta"]["progressToken"]
        for done in (1, 2, 3):
            params = {"progressToken": token, "progress": done, "total": 3}
            note = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            await streams[exchange.session].chunk(f"data: {note}\n\n".encode())
        await asyncio.sleep(0.1)
        await peer.text("raw")
        return True

    return script


async def progress_calls(client: mcp.Client) -> Any:
    found: list[Any] = []

    async def report(done: float, total: float | None, _: str | None) -> None:
        found.append([done, total])

    for _ in range(2):
        found.append(await outcome(client.call_tool("x", {}, progress_callback=report)))
    return found


# HTTP

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


def silent_close(running: Running) -> Script:
    """Servers whose connections end after each response, and that do not say so."""

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None and running.http is not None
        await running.http.behave(exchange)
        exchange.close()
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


# Lines


def lines(write: Callable[[bytes], bytes]) -> Maker:
    """A command with a way of its own to write lines, that of `initialize` too."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.wire is None or peer.id is None or not peer.method:
                return False
            match peer.method:
                case "initialize":
                    result = initialize_result(peer)
                case "tools/list":
                    result = {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}
                case "tools/call":
                    result = {"content": [{"type": "text", "text": "é"}]}
                case _:
                    return False
            said = json.dumps({"jsonrpc": "2.0", "id": peer.id, "result": result}, ensure_ascii=False)
            peer.wire.write(write(said.encode()))
            return True

        return script

    return make


def like_lsp(line: bytes) -> bytes:
    """Servers that come from language servers: a head before each message."""
    return b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" % len(line) + line + b"\n"


ROWS = [
    # Messages
    OddServer("null_members", results=null_members()),
    OddServer("null_error", on_call(null_error)),
    OddServer("more_members", on_call(more_members)),
    OddServer("sorted_members", on_call(sorted_members)),
    OddServer("php_escapes", on_call(php_escapes), forms=PUSHING),
    OddServer("odd_letters", on_call(odd_letters)),
    OddServer("numbers", on_call(numbers)),
    OddServer("deep", on_call(deep)),
    OddServer("long", on_call(long), forms=("json", "stdio"), calls=long_calls),
    OddServer("spaced", on_call(spaced), forms=(*HTTP, "sse")),
    # Orders
    OddServer("twice", on_call(twice), forms=WIRES, calls=settled_calls),
    OddServer("initialized_twice", on("initialize", initialized_twice), forms=WIRES),
    OddServer("early", on("initialize", early), forms=WIRES),
    OddServer("answers_notifications", answers_notifications),
    OddServer("results_for_notifications", results_for_notifications),
    OddServer("pings", asks("ping", 1), forms=PUSHING, calls=one_call),
    OddServer("pings_by_string", asks("ping", "a-1"), forms=PUSHING, calls=one_call),
    OddServer("undeclared_roots", asks("roots/list", "r"), forms=PUSHING, calls=one_call),
    OddServer("unknown_question", asks("vendor/ask", 5, {"x": 1}), forms=PUSHING, calls=one_call),
    OddServer(
        "elicits_by_string",
        asks("elicitation/create", "3f0c-é", QUESTION),
        forms=PUSHING,
        calls=one_call,
        client={"elicitation_callback": elicit},
    ),
    OddServer("roots", asks("roots/list", 0), forms=PUSHING, calls=one_call, client={"list_roots_callback": list_roots}),
    OddServer("backwards", backwards, calls=two_at_once),
    OddServer("late_progress", on_call(late_progress), forms=PUSHING, calls=settled_calls),
    OddServer("same_id", on_call(same_id), forms=PUSHING),
    OddServer("odd_names", says_name, results=odd_names(), calls=name_calls),
    OddServer("wrong_results", wrong, calls=wrong_calls, wanted=WRONG),
    OddServer("wrong_lists", results=wrong_lists(), calls=list_calls, wanted=WRONG_LISTS),
    OddServer("late_response", late_response, calls=one_given_up),
    # Events
    OddServer("spring_events", events(spring_event), forms=EVENTS),
    OddServer("cr_events", events(cr_event), forms=EVENTS),
    OddServer("crlf_events", events(crlf_event), forms=EVENTS),
    OddServer("mixed_events", events(mixed_event), forms=EVENTS),
    OddServer("lines_events", events(lines_event), forms=EVENTS),
    OddServer("primed_events", events(primed_event), forms=EVENTS),
    OddServer("commented_events", events(commented_event), forms=EVENTS),
    OddServer("marked_events", events(spring_event, before=b"\xef\xbb\xbf"), forms=("stream",)),
    OddServer("polled", polled, forms=("stream",)),
    OddServer("progress_elsewhere", progress_elsewhere, forms=HTTP, calls=progress_calls),
    OddServer("never_ends", on_call(never_ends), forms=("stream",)),
    # HTTP
    OddServer("stray_line", http(stray), forms=("json",), wanted=USUAL),
    OddServer("old_http", http(old_http, closes=True), forms=("json",)),
    OddServer("unframed", http(unframed, closes=True), forms=("json",)),
    OddServer("closes", http(with_lines(b"Connection: close"), closes=True), forms=HTTP),
    OddServer("silent_close", silent_close, forms=("json",)),
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
    # Lines
    OddServer("crlf_lines", lines(lambda line: line + b"\r\n"), forms=("stdio",)),
    OddServer("blank_lines", lines(lambda line: b"\n\r\n" + line + b"\n\n"), forms=("stdio",)),
    OddServer("padded_lines", lines(lambda line: b" \t" + line + b"  \t\n"), forms=("stdio",)),
    OddServer("lsp_lines", lines(like_lsp), forms=("stdio",)),
]
