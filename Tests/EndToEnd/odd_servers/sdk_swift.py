"""The Swift SDK (0.7 to 0.12). Where it says so: `Server.swift`, and `Base/Transports/HTTPServer`."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import Any

import mcp

from harness.odd import ALL, HTTP, OddServer, Peer, Running, Script, outcome
from harness.odd_ways import on_call, response
from odd_servers.errors import ASKABLE
from odd_servers.loss import HEALED, forgets, one_call, one_session, three_calls, two_sessions
from odd_servers.sdk_go import asks_by_get, two_calls
from odd_servers.sdk_kotlin import knows_versions, none_open, silent_when_cancelled
from odd_servers.sdk_messages import attempt
from odd_servers.sdk_orders import list_roots, one_given_up
from servers.raw import Exchange


def strict(running: Running) -> Script:
    """A server that is strict refuses what comes before `initialize` under an id of its own making. Over HTTP nothing waits for
    that id, and the request is never answered."""
    begun: set[Any] = set()

    async def script(peer: Peer) -> bool:
        wire: Any = peer.wire or "all"
        if peer.method == "initialize":
            begun.add(wire)
        if peer.id is None or peer.method in ("", "initialize", "ping") or wire in begun:
            return False
        detail = "Server is not initialized"
        error = {"code": -32600, "message": f"Invalid Request: {detail}", "data": {"detail": detail}}
        if peer.wire is not None:
            await peer.message_of(id=str(uuid.uuid4()).upper(), error=error)
        else:
            await asyncio.sleep(30)
        return True

    return script


def refuses(message: str) -> Any:
    """The errors of the transport name a session: that which the server has now."""

    async def say(peer: Peer) -> None:
        body = {"error": {"code": -32600, "message": f"Invalid Request: {message}"}, "id": None, "jsonrpc": "2.0"}
        session = "5DB2A1AC-0F0F-4B44-8F0E-3B0B3B0B3B0B"
        assert peer.exchange is not None
        await peer.exchange.reply(404, json.dumps(body, separators=(",", ":")).encode(), Mcp_Session_Id=session)

    return say


ERRORS = (
    {"code": -32000, "message": "Connection closed"},
    {"code": -32001, "message": "Transport error: No such process", "data": {"error": "No such process"}},
    {
        "code": -32603,
        "message": "Internal error: The operation couldn\u2019t be completed. (App.SessionError error 1.)",
        "data": {"detail": "The operation couldn\u2019t be completed. (App.SessionError error 1.)"},
    },
    {"code": -32600, "message": "Invalid Request: no session of that name", "data": {"detail": "no session of that name"}},
)


async def throws(peer: Peer) -> None:
    """A tool's own error is the error of the request, in the words of the transport."""
    error = ERRORS[int(peer.message["params"]["arguments"]["text"])]
    await peer.say(json.dumps({"error": error, "id": peer.id, "jsonrpc": "2.0"}, sort_keys=True, ensure_ascii=False))


async def each_error(client: mcp.Client) -> Any:
    return [await outcome(client.call_tool("x", {"text": str(number)})) for number in range(len(ERRORS))]


def one_transport(running: Running) -> Script:
    """The transport of the SDK's first example has one session: a second `initialize` ends the first one and is refused, and after
    DELETE there is none any more."""
    state: dict[str, Any] = {}

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None and running.http is not None
        if exchange.request.method == "DELETE":
            state["over"] = True
        if state.get("over"):
            await refuses("Not Found: Session has been terminated")(peer)
            return True
        if peer.method == "initialize":
            if state.setdefault("first", peer) is peer:
                return False
            running.http.sessions.clear()
            await peer.error(-32600, "Invalid Request: Server is already initialized")
            return True
        return False

    return script


def by_id(running: Running) -> Script:
    """A server without sessions keeps what waits for a response by the id of its request: of two with one id at once, the first is
    never answered."""
    waiting: dict[Any, asyncio.Event] = {}

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None and running.http is not None
        if peer.id is None or not peer.method:
            await exchange.reply(405 if exchange.request.method != "POST" else 202, b"", None)
            return True
        if peer.method == "initialize":
            information = {"name": "raw", "version": "1"}
            row = running.row
            await peer.result(protocolVersion=row.revision, capabilities=row.capabilities, serverInfo=information)
            return True
        if peer.tool is None:
            result = running.http.results.get(peer.method)
            unknown = exchange.error(-32601, f"Method not found: Unknown method: {peer.method}")
            await peer.say(exchange.response(result) if result is not None else unknown)
            return True
        replaced, mine = waiting.pop(peer.id, None), asyncio.Event()
        waiting[peer.id] = mine
        if replaced is not None:
            replaced.set()
        try:
            async with asyncio.timeout(0.5):
                await mine.wait()
            await asyncio.sleep(30)
        except TimeoutError:
            waiting.pop(peer.id, None)
            await peer.text(peer.message["params"]["arguments"]["text"])
        return True

    return script


async def many_at_once(client: mcp.Client) -> Any:
    return await asyncio.gather(*(outcome(client.call_tool("x", {"text": str(number)})) for number in range(6)))


async def flat_resource(peer: Peer) -> None:
    """Before 0.11 a resource in a result is not in a member `resource`."""
    text = '{"mimeType":"text/plain","text":"t","type":"resource","uri":"file:///a"}'
    await peer.say(response(peer, f'{{"content":[{text}],"isError":false}}'))


async def one_attempt(client: mcp.Client) -> Any:
    return [await attempt(client.call_tool("x", {"text": "1"}))]


async def pieces(peer: Peer) -> None:
    """Output that does not block is tried again after 10 ms: a line comes in pieces that end anywhere."""
    text = json.dumps({"content": [{"type": "text", "text": "é\U0001f41f" * 20}]}, ensure_ascii=False)
    line = response(peer, text).encode() + b"\n"
    for start in range(0, len(line), 37):
        assert peer.wire is not None
        peer.wire.write(line[start : start + 37])
        await asyncio.sleep(0.01)


def wants_its_host(_: Running) -> Script:
    """`OriginValidator.localhost()`: another host is 421, and one without a port is another; an origin that is not local is 403."""

    async def script(peer: Peer) -> bool:
        assert peer.exchange is not None
        if not re.fullmatch(r"127\.0\.0\.1:[0-9]+", peer.exchange.request.header("host") or ""):
            message = "Invalid Request: Misdirected Request: Host header not allowed"
            await peer.exchange.reply(421, peer.exchange.error(-32600, message))
            return True
        return False

    return script


def refused_version(version: str) -> bytes:
    """`ProtocolVersionValidator`."""
    message = f"Invalid Request: Bad Request: Unsupported protocol version: {version}. Supported: 2024-11-05, 2025-11-25"
    return json.dumps({"error": {"code": -32600, "message": message}, "id": None, "jsonrpc": "2.0"}).encode()


def priming(stream: str) -> bytes:
    """`sendPrimingEvent`: ids count in the session, and begin with the stream."""
    return b"id: %s_1\nretry: 20\ndata: \n\n" % stream.encode()


def random_id() -> str:
    return str(uuid.uuid4()).upper()


def keeps_get(_: Running) -> Script:
    """A GET stream that was cut off is not let go of (`standaloneSSEContinuation`): another is 409 for good, unless it says by
    `Last-Event-ID` where it was. A question goes to the GET stream, or is kept until then."""
    streams: dict[str | None, Exchange | None] = {}
    kept: dict[str | None, list[bytes]] = {}
    answers: dict[Any, asyncio.Future[str]] = {}

    async def listen(exchange: Exchange) -> None:
        session, resumed = exchange.session, exchange.request.header("last-event-id") is not None
        if session in streams and not resumed:
            message = "Invalid Request: Conflict: Only one SSE stream is allowed per session"
            body = {"error": {"code": -32600, "message": message}, "id": None, "jsonrpc": "2.0"}
            return await exchange.reply(409, json.dumps(body).encode(), Mcp_Session_Id=session or "")
        first = session not in streams
        streams[session] = None
        await exchange.stream_head(Mcp_Session_Id=session or "")
        for event in kept.pop(session, []):
            await exchange.chunk(event)
        await exchange.chunk(priming("_GET_stream"))
        await asyncio.sleep(0.1)
        if first:
            return exchange.abort()
        streams[session] = exchange
        for event in kept.pop(session, []):
            await exchange.chunk(event)
        while not exchange.writer.is_closing():
            await asyncio.sleep(0.02)

    async def ask(peer: Peer, exchange: Exchange) -> None:
        async with asyncio.timeout(10):
            while exchange.session not in streams:
                await asyncio.sleep(0.01)
            id = random_id()
            answers[id] = asyncio.get_running_loop().create_future()
            params = {"message": "name?", "mode": "form", "requestedSchema": {"type": "object", "properties": {}}}
            question = {"id": id, "jsonrpc": "2.0", "method": "elicitation/create", "params": params}
            event = b"id: _GET_stream_%d\nevent: message\ndata: %s\n\n" % (len(answers) + 9, json.dumps(question).encode())
            stream = streams[exchange.session]
            if stream is not None:
                await stream.chunk(event)
            else:
                kept.setdefault(exchange.session, []).append(event)
            await peer.text(await answers[id])

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None
        if exchange.request.method == "GET":
            await listen(exchange)
            return True
        if not peer.method and peer.id in answers:
            answers[peer.id].set_result(json.dumps(peer.message.get("result", "refused"), sort_keys=True))
        if peer.tool is not None:
            await ask(peer, exchange)
        return peer.tool is not None

    return script


async def sample(*_: Any) -> Any:
    return mcp.types.CreateMessageResult(role="assistant", content=mcp.types.TextContent(type="text", text="s"), model="m")


EVERYTHING = {**ASKABLE, "list_roots_callback": list_roots, "sampling_callback": sample}


def typed_capabilities(_: Running) -> Script:
    """What a client says of itself is decoded into types (`Client.Capabilities`): `experimental` has words alone, a flag is a
    flag. What does not fit is the error of `initialize`."""

    def fits(parameters: Any) -> bool:
        capabilities, information = parameters["capabilities"], parameters["clientInfo"]
        return (
            all(isinstance(each, str) for each in (information["name"], information["version"], parameters["protocolVersion"]))
            and all(isinstance(capabilities.get(name) or {}, dict) for name in ("sampling", "elicitation", "roots", "experimental"))
            and all(isinstance(each, str) for each in (capabilities.get("experimental") or {}).values())
            and isinstance((capabilities.get("roots") or {}).get("listChanged") or False, bool)
            and all(isinstance((capabilities.get("elicitation") or {}).get(name) or {}, dict) for name in ("form", "url"))
        )

    async def script(peer: Peer) -> bool:
        if peer.method != "initialize" or fits(peer.message["params"]):
            return False
        detail = "The data couldn\u2019t be read because it isn\u2019t in the correct format."
        await peer.error(-32603, f"Internal error: {detail}", detail=detail)
        return True

    return script


ROWS = [
    OddServer("swift_strict", strict, ("json", "stream", "stdio")),
    OddServer(
        "swift_lost", forgets(refuses("Not Found: Invalid or expired session ID")), ("json",), three_calls, HEALED,
        check=two_sessions,
    ),
    OddServer(
        "swift_terminated", forgets(refuses("Not Found: Session has been terminated")), ("json",), three_calls, HEALED,
        check=two_sessions,
    ),
    OddServer("swift_errors", on_call(throws), ALL, each_error, check=one_session),
    OddServer("swift_one_transport", one_transport, HTTP, three_calls, HEALED, check=one_session),
    OddServer("swift_one_transport_asked", one_transport, HTTP, three_calls, HEALED, client=ASKABLE, check=one_session),
    OddServer("swift_waits_by_id", by_id, ("json",), many_at_once),
    OddServer("swift_waits_by_id_asked", by_id, ("json",), many_at_once, client=ASKABLE),
    OddServer("swift_flat_resource", on_call(flat_resource), ALL, one_attempt),
    OddServer("swift_pieces", on_call(pieces), ("stdio",)),
    OddServer("swift_host", wants_its_host, HTTP),
    OddServer("swift_knows_versions", knows_versions(refused_version), HTTP, check=one_session),
    OddServer(
        "swift_asks_by_get", asks_by_get(priming("_GET_stream"), random_id, b"id: _GET_stream_7\nevent: message\n"), HTTP,
        two_calls, client=ASKABLE,
    ),
    OddServer("swift_keeps_get", keeps_get, HTTP, one_call, client=ASKABLE, check=one_session),
    OddServer("swift_silent_when_cancelled", silent_when_cancelled(priming("1")), HTTP, one_given_up, check=none_open),
    OddServer("swift_typed_capabilities", typed_capabilities, ALL, client=EVERYTHING),
]
