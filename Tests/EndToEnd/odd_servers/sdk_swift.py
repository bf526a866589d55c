"""The Swift SDK (0.7 to 0.12)."""

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
from odd_servers.loss import HEALED, forgets, one_session, three_calls, two_sessions
from odd_servers.sdk_messages import attempt


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
]
