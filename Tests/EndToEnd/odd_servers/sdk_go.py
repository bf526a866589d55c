"""The Go SDK (0.2 to 1.8). Where it says so: `mcp/streamable.go`, `mcp/sse.go`, `mcp/transport.go`, `internal/jsonrpc2`."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import mcp

from harness import http1
from harness.odd import ALL, HTTP, OddServer, Peer, Running, Script, outcome, said
from harness.odd_ways import SLOW, USUAL, Handler, Maker, content
from harness.remora import Remora
from odd_servers.errors import ASKABLE, fails
from odd_servers.loss import one_call, one_session
from odd_servers.sdk_http import http, plain, to_notifications
from odd_servers.sdk_messages import attempt
from servers.raw import CAPABILITIES, Exchange
from servers.wires import Wires

KNOWN = {
    "initialize", "ping", "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/read",
    "resources/templates/list", "resources/subscribe", "resources/unsubscribe", "completion/complete", "logging/setLevel",
    "notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed",
}  # fmt: skip
NEEDS_PARAMS = {"initialize", "tools/call", "prompts/get", "resources/read", "completion/complete", "logging/setLevel"}


def error(text: str) -> bytes:
    return text.encode() + b"\n"


PLAIN = "text/plain; charset=utf-8"


def checks_methods(_: Running) -> Script:
    """What is no method of the server, or has no parameters where it wants some, is 400 in words, and no JSON-RPC."""

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        if exchange is None or not peer.method:
            return False
        why = None
        if peer.method not in KNOWN:
            why = f'JSON RPC not handled: "{peer.method}" unsupported'
        elif (peer.id is not None) == peer.method.startswith("notifications/"):
            why = f'invalid request: unexpected or missing id for "{peer.method}"'
        elif peer.method in NEEDS_PARAMS and not isinstance(peer.message.get("params"), dict):
            why = 'invalid request: missing required "params"'
        if why is None:
            return False
        await exchange.reply(400, error(why), PLAIN, X_Content_Type_Options="nosniff")
        return True

    return script


def checks_fields(_: Running) -> Script:
    """`Accept` is compared word by word, without parameters; the other fields strictly too."""

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None
        request, why = exchange.request, None
        accepted = {each.strip() for each in (request.header("accept") or "").split(",")}
        if request.method == "GET" and "text/event-stream" not in accepted:
            why = (400, "Accept must contain 'text/event-stream' for GET requests")
        elif request.method == "POST" and not {"application/json", "text/event-stream"} <= accepted:
            why = (400, "Accept must contain both 'application/json' and 'text/event-stream'")
        elif request.method == "POST" and request.header("content-type") != "application/json":
            why = (415, "Content-Type must be 'application/json'")
        elif request.method == "POST" and request.header("last-event-id") is not None:
            why = (400, "can't send Last-Event-ID for POST request")
        elif (version := request.header("mcp-protocol-version")) not in (None, "2025-11-25", "2025-06-18", "2025-03-26"):
            why = (400, f"Bad Request: Unsupported protocol version {version}")
        if why is None:
            return False
        await exchange.reply(why[0], error(why[1]), PLAIN)
        return True

    return script


class GoWires(Wires):
    """Messages go to the path of the stream, with a query. What has none is 400 in words, so that it looks like no MCP at all."""

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await http1.read_request(reader)) is not None:
            place, _, number = request.target.partition("?sessionid=")
            if request.method == "GET":
                writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nConnection: keep-alive\r\n")
                writer.write(b"Content-Type: text/event-stream\r\n\r\n")
                wire = self._wire(writer, b"event: message\ndata: ", b"\n\n")
                writer.write(b"event: endpoint\ndata: %s?sessionid=%d\n\n" % (place.encode(), wire.number))
                await reader.read()
                return
            if not number.isdigit():
                writer.write(plain("400 Bad Request", PLAIN, "sessionid must be provided\n"))
                continue
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            await self._hear(self.wires[int(number)], json.loads(request.body))


class Decoder(Wires):
    """A command that ends when anything stands between a message and its line feed."""

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = self._wire(writer, b"", b"\n")
        async for line in reader:
            message, end = json.JSONDecoder().raw_decode(line.decode())
            if line.decode()[end:] != "\n":
                return wire.end()
            await self._hear(wire, message)


def closes_streams(_: Running) -> Script:
    """1.2 on: the stream of a call has an event `prime` with its id, and ends with an event `close` that has a time and none; the
    response is fetched by GET."""
    waiting: dict[str, int] = {}

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        if exchange is None:
            return False
        if peer.tool is not None:
            place = f"KX7TQ3{len(waiting)}_0"
            waiting[place] = peer.id
            await exchange.stream_head()
            await exchange.chunk(b"event: prime\nid: %s\ndata: \n\n" % place.encode())
            await exchange.chunk(b"event: close\nretry: 20\ndata: \n\n")
            await exchange.chunk(b"")
            return True
        place = exchange.request.header("last-event-id") or ""
        if exchange.request.method != "GET" or place not in waiting:
            return False
        await exchange.stream_head()
        text = json.dumps({"jsonrpc": "2.0", "id": waiting[place], "result": json.loads(content("fetched"))})
        await exchange.chunk(b"event: message\nid: %s1\ndata: %s\n\n" % (place[:-1].encode(), text.encode()))
        await exchange.chunk(b"")
        return True

    return script


def keeps_alive(_: Running) -> Script:
    """Asks for a `ping` on its own account, with ids from 1 as the client's, and ends the session when it is not answered."""
    answered: set[int] = set()
    tasks: set[asyncio.Task[None]] = set()
    asked: set[Any] = set()

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        if exchange is not None and exchange.request.method == "GET":
            await exchange.stream_head()
            for id in (1, 2, 3):
                ping = json.dumps({"jsonrpc": "2.0", "id": id, "method": "ping", "params": {}})
                await exchange.chunk(f"event: message\ndata: {ping}\n\n".encode())
                await asyncio.sleep(0.05)
            while not exchange.writer.is_closing():
                await asyncio.sleep(0.02)
            return True
        if peer.wire is not None and peer.method == "notifications/initialized" and peer.wire not in asked:
            asked.add(peer.wire)
            for id in (1, 2, 3):
                await peer.message_of(id=id, method="ping", params={})
        if not peer.method and isinstance(peer.id, int):
            assert peer.message["result"] == {}
            answered.add(peer.id)
            return False
        if peer.tool is not None:
            await peer.text("alive" if answered == {1, 2, 3} else f"closed: {sorted(answered)}")
            return True
        return False

    return script


async def later_call(client: mcp.Client) -> Any:
    """A first call, and one when pings have been answered."""
    await outcome(client.list_tools())
    await asyncio.sleep(2 * SLOW)
    return await one_call(client)


def nulls() -> dict[str, bytes]:
    """A slice that was never made is null."""
    return {
        "tools/list": b'{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}',
        "tools/call": b'{"content":null,"structuredContent":{"a": null}}',
        "prompts/get": b'{"description":"","messages":null}',
        "resources/read": b'{"contents":null}',
        "prompts/list": b'{"prompts":null}',
        "resources/list": b'{"resources":[]}',
    }


async def null_calls(client: mcp.Client) -> Any:
    asked = (
        client.list_tools(), client.call_tool("x", {}), client.get_prompt("p"), client.read_resource("raw:///r"),
        client.list_prompts(), client.list_resources(), client.call_tool("x", {}),
    )  # fmt: skip
    return [await attempt(each) for each in asked]


HEALED = {"content": [{"type": "text", "text": '{"a": null}'}], "structuredContent": {"a": None}, "isError": False}
TOOLS = {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}
NULLS = [TOOLS, HEALED, *["ValidationError"] * 3, {"resources": []}, HEALED]
"""The published client takes no null for a list, and Remora has words in place of content that is null."""


OLDER = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]


def discovers(_: Running) -> Script:
    """1.7 on, with sessions (`SupportsProtocolVersion`): `server/discover` has a result, which does not name 2026-07-28. What
    else comes under that version is refused."""

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        if exchange is None or exchange.request.header("mcp-protocol-version") != "2026-07-28":
            return False
        if peer.method == "server/discover":
            about = {"io.modelcontextprotocol/serverInfo": {"name": "raw", "version": "1"}}
            more = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete", "_meta": about}
            await peer.result(supportedVersions=OLDER, capabilities=CAPABILITIES, **more)
        else:
            message = 'protocol version "2026-07-28" is not supported by this server'
            refusal = exchange.error(-32022, message, supported=OLDER, requested="2026-07-28")
            await exchange.reply(400, refusal)
        return True

    return script


async def discovered(running: Running, remora: Remora) -> None:
    await one_session(running, remora)
    assert running.methods["server/discover"] == 1, running.methods


def ends_while_called(answers: Handler) -> Maker:
    """The session ends while a call runs (`ServerSession.Close`): it is waited for, and what it returns is dropped."""

    def make(running: Running) -> Script:
        async def script(peer: Peer) -> bool:
            exchange, server = peer.exchange, running.http
            if peer.tool is None or running.methods["tools/call"] > 1 or exchange is None or server is None:
                return False
            await asyncio.sleep(0.1)
            server.sessions.discard(exchange.session or "")
            await answers(peer)
            return True

        return script

    return make


def in_words(status: int, text: str) -> Handler:
    async def answer(peer: Peer) -> None:
        assert peer.exchange is not None
        await peer.exchange.reply(status, error(text), PLAIN)

    return answer


async def in_silence(peer: Peer) -> None:
    """1.2 on: the head says what the body would have been."""
    assert peer.exchange is not None
    if peer.form == "stream":
        await peer.exchange.sse()
    else:
        await peer.exchange.reply(200, b"")


async def fails_and_works(client: mcp.Client) -> Any:
    """A call that fails, and one after it."""
    return ["fails" if "error" in await one_call(client) else "works", await one_call(client)]


def ran_once(*sent: int) -> Callable[[Running, Remora], Awaitable[None]]:
    """
    - sent: how often a call may reach the server; one that it refuses because its session is gone does not run
    """

    async def check(running: Running, remora: Remora) -> None:
        assert running.methods["tools/call"] in sent and running.methods["initialize"] == 2, running.methods

    return check


def ids_in_flight(_: Running) -> Script:
    """A request under an id that is in flight in its session is refused: by 400 over HTTP (1.8), else in an error without an id
    (`acceptRequest`), so that nothing comes for it."""
    in_flight: set[tuple[Any, Any]] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def answer(peer: Peer, key: tuple[Any, Any]) -> None:
        await asyncio.sleep(SLOW)
        in_flight.discard(key)
        await peer.text(peer.message["params"]["arguments"]["text"])

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        key = (peer.wire if peer.exchange is None else peer.exchange.session, peer.id)
        if key in in_flight and peer.exchange is not None:
            await peer.exchange.reply(400, peer.exchange.error(-32600, f"duplicate in-flight request ID {peer.id}"))
        elif key in in_flight:
            await peer.message_of(error={"code": -32600, "message": f"invalid request: request ID {peer.id} already in use"})
        else:
            in_flight.add(key)
            task = asyncio.create_task(answer(peer, key))
            tasks.add(task)
            if peer.exchange is not None:  # A wire's next message is read when this one is done with.
                await task
        return True

    return script


async def six_at_once(client: mcp.Client) -> Any:
    await outcome(client.list_tools())
    return await asyncio.gather(*(outcome(client.call_tool("x", {"text": str(number)})) for number in range(6)))


def too_large(refuse: Callable[[Exchange], bytes], type: str) -> Maker:
    """A body over the limit (4 MiB there, 2 KiB here) is 413."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            exchange = peer.exchange
            if exchange is None or len(exchange.request.body) < 2048:
                return False
            await exchange.reply(413, refuse(exchange), type)
            return True

        return script

    return make


async def large_and_small(client: mcp.Client) -> Any:
    large = await outcome(client.call_tool("x", {"text": "x" * 4096}))
    return [large.get("error", ["none"])[:2], await one_call(client)]


def asks_by_get(opening: bytes, ids: Callable[[], Any], fields: bytes = b"") -> Maker:
    """What a call asks comes on the GET stream; the answer to its POST has the result alone.

    - opening: what the GET stream begins with
    - ids: of questions
    - fields: of each event, before its data
    """

    def make(_: Running) -> Script:
        streams: dict[str | None, Exchange] = {}
        answers: dict[Any, asyncio.Future[str]] = {}

        async def script(peer: Peer) -> bool:
            exchange = peer.exchange
            assert exchange is not None
            if exchange.request.method == "GET":
                await exchange.stream_head()
                await exchange.chunk(opening)
                streams[exchange.session] = exchange
                while not exchange.writer.is_closing():
                    await asyncio.sleep(0.02)
                return True
            if not peer.method and peer.id in answers:
                answers[peer.id].set_result(json.dumps(peer.message.get("result", "refused"), sort_keys=True))
                return False
            if peer.tool is None:
                return False
            async with asyncio.timeout(10):
                while exchange.session not in streams:
                    await asyncio.sleep(0.01)
                id = ids()
                answers[id] = asyncio.get_running_loop().create_future()
                params = {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}}
                question = json.dumps({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params})
                await streams[exchange.session].chunk(fields + b"data: " + question.encode() + b"\n\n")
                await peer.text(await answers[id])
            return True

        return script

    return make


async def two_calls(client: mcp.Client) -> Any:
    return [await one_call(client), await one_call(client)]


def from_one() -> Callable[[], int]:
    """As the ids of a client."""
    return itertools.count(1).__next__


OPENED = plain("202 Accepted", "text/event-stream", "", "Cache-Control: no-cache, no-transform", "Connection: keep-alive")

ROWS = [
    OddServer("go_checks_methods", checks_methods, HTTP, check=one_session),
    OddServer("go_checks_fields", checks_fields, HTTP, check=one_session),
    OddServer("go_notified", http(to_notifications(OPENED)), HTTP),
    OddServer("go_endpoint", forms=("sse",), wires=GoWires),
    OddServer("go_endpoint_found", forms=("sse",), wires=GoWires, server={"transport": "auto"}),
    OddServer("go_decoder", forms=("stdio",), wires=Decoder, wanted=USUAL),
    OddServer("go_closes_streams", closes_streams, ("stream",)),
    OddServer("go_keeps_alive", keeps_alive, ALL, later_call, check=one_session),
    OddServer("go_nulls", results=nulls(), calls=null_calls, wanted=NULLS),
    *(
        OddServer(f"go_error_{code}", fails("tools/call", {"code": code, "message": message}), ALL, one_call, check=one_session)
        for code, message in {
            0: 'calling "tools/call": context canceled',
            -32003: "client is closing",
            -32004: "server is closing: EOF",
            -32001: "unknown error",
        }.items()
    ),
    OddServer("go_discovers", discovers, HTTP, check=discovered),
    *(
        OddServer(
            f"go_ends_while_called_{name}", ends_while_called(answers), HTTP, fails_and_works, ["fails", said("raw")],
            check=ran_once(*sent),
        )
        for name, answers, sent in [
            ("410", in_words(410, "Gone"), (2,)),
            ("410_in_words", in_words(410, "session terminated"), (2,)),
            ("500", in_words(500, "Internal Server Error"), (3,)),
            # The second call may come before the answer to the ping that settles it.
            ("nothing", in_silence, (2, 3)),
        ]
    ),
    OddServer("go_ids_in_flight", ids_in_flight, ALL, six_at_once),
    OddServer("go_ids_in_flight_asked", ids_in_flight, ALL, six_at_once, client=ASKABLE),
    OddServer(
        "go_too_large", too_large(lambda _: error("request body exceeds 4194304 bytes"), PLAIN), HTTP, large_and_small,
        [
            [
                -32603,
                "The MCP server rejected the request: the server answered with HTTP 413. It was most likely not run; the server's "
                "log says why.",
            ],
            said("raw"),
        ],
        check=one_session,
    ),
    OddServer("go_asks_by_get", asks_by_get(b": ok\n\n", from_one(), b"event: message\n"), HTTP, two_calls, client=ASKABLE),
]
