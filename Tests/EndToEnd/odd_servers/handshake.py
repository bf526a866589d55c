"""Servers that are odd at the beginning of a session: versions, capabilities, first questions, the question of their era, and
lists that do not end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp
from mcp_types import ListRootsResult, Root

from harness.modern import VERSION
from harness.odd import ALL, HTTP, OddServer, Peer, Running, Script, outcome, said
from harness.remora import Remora
from servers.raw import CAPABILITIES, Exchange

TOOL = {"name": "x", "inputSchema": {"type": "object"}}
WORKS = [{"tools": [TOOL]}, said("raw"), said("raw")]
INFORMATION = {"name": "raw", "version": "1"}


async def agree(peer: Peer, **members: Any) -> None:
    """The result of `initialize`, with a session id over HTTP."""
    result = {
        "protocolVersion": peer.message["params"]["protocolVersion"],
        "capabilities": CAPABILITIES,
        "serverInfo": INFORMATION,
        **members,
    }
    result = {name: value for name, value in result.items() if value is not ...}
    if peer.exchange is None:
        return await peer.result(**result)
    peer.server.http.sessions.add("odd")
    body = json.dumps({"jsonrpc": "2.0", "id": peer.id, "result": result}).encode()
    await peer.exchange.json(body, Mcp_Session_Id="odd")


# Versions


def taking(*versions: str, status: int = 200, message: str = "Unsupported protocol version", **data: Any) -> Any:
    """A server that refuses every other version."""

    def script(running: Running) -> Script:
        async def run(peer: Peer) -> bool:
            if peer.method != "initialize":
                return False
            requested = peer.message["params"]["protocolVersion"]
            if requested in versions:
                await agree(peer)
                return True
            more = {**data, "requested": requested} if data else {}
            if status == 200:
                await peer.error(-32602, message, **more)
            else:
                await peer.exchange.reply(status, peer.exchange.error(-32602, message, **more))
            return True

        return run

    return script


def asked(times: int) -> Any:
    """As often was `initialize` sent."""

    async def check(running: Running, remora: Remora) -> None:
        assert running.methods["initialize"] == times, running.methods

    return check


def ending(running: Running) -> Script:
    """Each process or stream ends over a version that it does not know."""

    async def run(peer: Peer) -> bool:
        if peer.method != "initialize" or peer.message["params"]["protocolVersion"] == "2025-03-26":
            return False
        await peer.error(-32602, "Unsupported protocol version", supported=["2025-03-26"])
        peer.wire.end()
        return True

    return run


def never(running: Running) -> Script:
    async def run(peer: Peer) -> bool:
        if peer.method != "initialize":
            return False
        await peer.error(-32602, "Unsupported protocol version \u0007here")
        return True

    return run


async def why(client: mcp.Client) -> Any:
    found = await outcome(client.list_tools())
    return "the server refused initialize: Unsupported protocol version  here" in found["error"][1]


SUPPORTED = ["2025-03-26", "2024-11-05"]
VERSIONS = [
    OddServer("version-refused", taking(*SUPPORTED, supported=SUPPORTED), wanted=WORKS, check=asked(2)),
    OddServer(
        "version-refused-by-400", taking(*SUPPORTED, status=400, supported=SUPPORTED), ("json",), wanted=WORKS,
        check=asked(2),
    ),
    OddServer(
        "version-refused-by-500", taking(*SUPPORTED, status=500, supported=SUPPORTED), ("json",), wanted=WORKS,
        check=asked(2),
    ),
    OddServer(
        "version-refused-in-words", taking("2025-03-26", message="Bad version (supported versions: 2025-03-26)"),
        wanted=WORKS, check=asked(2),
    ),
    OddServer("version-refused-in-turn", taking("2024-11-05"), wanted=WORKS, check=asked(4)),
    OddServer("version-refused-at-last", never, calls=why, wanted=True, check=asked(4)),
    OddServer("version-refused-and-over", ending, ("stdio", "sse"), wanted=WORKS),
]


# Handshakes


def saying(**members: Any) -> Any:
    def script(running: Running) -> Script:
        async def run(peer: Peer) -> bool:
            if peer.method == "initialize":
                await agree(peer, **members)
            return peer.method == "initialize"

        return run

    return script


async def capabilities(client: mcp.Client) -> Any:
    found = await client.session.send_discover(VERSION)
    return [found["capabilities"], await outcome(client.list_tools())]


def having(name: str, value: Any) -> OddServer:
    return OddServer(
        f"capability-{name}", saying(capabilities={"tools": value, "prompts": None, "resources": False}),
        calls=capabilities, wanted=[{"tools": {}}, WORKS[0]],
    )


async def information(client: mcp.Client) -> Any:
    found = await client.session.send_discover(VERSION)
    name = found["_meta"]["io.modelcontextprotocol/serverInfo"]
    return [[name["name"], name["version"]], found.get("instructions"), await outcome(client.list_tools())]


def calling_itself(name: str, wanted: Any, **members: Any) -> OddServer:
    return OddServer(f"handshake-{name}", saying(**members), calls=information, wanted=[wanted, None, WORKS[0]])


HANDSHAKES = [
    having("list", []),
    having("tools", [TOOL]),
    having("true", True),
    having("words", "yes"),
    having("zero", 0),
    calling_itself("no-info", ["unknown", "unknown"], serverInfo=...),
    calling_itself("info-null", ["unknown", "unknown"], serverInfo=None),
    calling_itself("info-without-version", ["raw", "unknown"], serverInfo={"name": "raw"}),
    calling_itself("version-number", ["raw", "1.5"], serverInfo={"name": "raw", "version": 1.5}),
    calling_itself("instructions-list", ["raw", "1"], instructions=["a"]),
    calling_itself("instructions-null", ["raw", "1"], instructions=None),
    calling_itself("no-version", ["raw", "1"], protocolVersion=...),
    calling_itself("draft-version", ["raw", "1"], protocolVersion="2024-10-07"),
]


# Lists


def paging(next_cursor: Any) -> Any:
    """A server of which each page has a tool, named after the cursor that led to it."""

    def script(running: Running) -> Script:
        async def run(peer: Peer) -> bool:
            if peer.method != "tools/list":
                return False
            cursor = peer.message.get("params", {}).get("cursor", "first")
            following = next_cursor(cursor)
            tool = {"name": f"t-{cursor}", "inputSchema": {"type": "object"}}
            more = {} if following is ... else {"nextCursor": following}
            await peer.result(tools=[tool], **more)
            return True

        return run

    return script


async def listed(client: mcp.Client) -> Any:
    found = await client.list_tools()
    return [[tool.name for tool in found.tools], found.next_cursor]


def list_of(name: str, next_cursor: Any, *wanted: str) -> OddServer:
    return OddServer(f"list-{name}", paging(next_cursor), calls=listed, wanted=[list(wanted), None])


def heedless(running: Running) -> Script:
    """The cursor is not looked at."""

    async def run(peer: Peer) -> bool:
        if peer.method == "tools/list":
            await peer.result(tools=[TOOL], nextCursor="")
        return peer.method == "tools/list"

    return run


def strict(running: Running) -> Script:
    """An empty cursor is given, and taken for a mistake."""

    async def run(peer: Peer) -> bool:
        if peer.method != "tools/list":
            return False
        if "cursor" in peer.message.get("params", {}):
            await peer.error(-32602, "Invalid cursor")
        else:
            await peer.result(tools=[TOOL], nextCursor="")
        return True

    return run


LISTS = [
    list_of("same-cursor", lambda cursor: "a", "t-first", "t-a"),
    list_of("empty-cursor", lambda cursor: "", "t-first", "t-"),
    list_of("cycle", lambda cursor: {"first": "a", "a": "b", "b": "a"}[cursor], "t-first", "t-a", "t-b"),
    list_of("numbers", lambda cursor: {"first": 0, 0: 1, 1: ...}[cursor], "t-first", "t-0", "t-1"),
    list_of("null", lambda cursor: None, "t-first"),
    list_of("false", lambda cursor: False, "t-first"),
    OddServer("list-heedless", heedless, calls=listed, wanted=[["x"], None]),
    OddServer("list-strict", strict, calls=listed, wanted=[["x"], None]),
]


# The era


def fragile(revision: str, *, sessions: bool) -> Any:
    """A server that answers nothing any more after a method that it does not know."""

    def script(running: Running) -> Script:
        known = {"initialize", "notifications/initialized", "tools/list", "tools/call", "GET", "DELETE"}
        state = {"dead": False}

        async def run(peer: Peer) -> bool:
            exchange: Exchange = peer.exchange
            method = peer.method or exchange.request.method
            if method == "DELETE":
                state["dead"] = True
            if method not in known:
                state["dead"] = True
            if state["dead"]:
                await exchange.reply(500, b"Internal Server Error", "text/plain")
                return True
            if method == "initialize":
                if sessions:
                    await agree(peer, protocolVersion=revision)
                else:
                    result = {"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": INFORMATION}
                    await peer.result(**result)
                return True
            if sessions or method not in running.http.results:
                if method == "notifications/initialized":
                    await exchange.reply(202)
                    return True
                return False
            await peer.say(exchange.response(running.http.results[method]))
            return True

        return run

    return script


async def undisturbed(running: Running, remora: Remora) -> None:
    assert running.methods["server/discover"] == 0 and running.methods["DELETE"] == 0, running.methods
    assert running.methods["initialize"] == 1, running.methods


async def asked_in_session(running: Running, remora: Remora) -> None:
    questions = [each for each in running.http.requests if b"server/discover" in each.body]
    assert [each.header("mcp-session-id") is not None for each in questions] == [True]
    assert running.methods["initialize"] == 1 and running.methods["DELETE"] == 0, running.methods


ERAS = [
    OddServer("era-fragile", fragile("2025-03-26", sessions=False), HTTP, check=undisturbed),
    OddServer("era-fragile-sessions", fragile("2025-06-18", sessions=True), HTTP, check=undisturbed),
    OddServer("era-asked-in-session", forms=HTTP, check=asked_in_session),
]


# First questions


def rooted(*, pings: bool = True, one_by_one: bool = False) -> Any:
    """A server that asks for the roots when it hears `initialized`, and answers a call at once with those that it knows."""

    def script(running: Running) -> Script:
        known: list[str] = []
        streams: list[Exchange] = []
        answered = asyncio.Event()

        async def ask(peer: Peer) -> None:
            text = json.dumps({"jsonrpc": "2.0", "id": "roots-1", "method": "roots/list"}).encode()
            if peer.exchange is None:
                return await peer.say(text)
            for stream in streams:
                await stream.chunk(b"data: " + text + b"\n\n")

        async def run(peer: Peer) -> bool:
            if peer.exchange is not None and peer.exchange.request.method == "GET":
                streams.append(peer.exchange)
                await peer.exchange.stream_head()
                while not peer.exchange.writer.is_closing():
                    await asyncio.sleep(0.02)
                return True
            if peer.message.get("id") == "roots-1":
                known.extend(root["uri"] for root in peer.message["result"]["roots"])
                answered.set()
                return False
            if peer.method == "notifications/initialized":
                if peer.exchange is not None:
                    await peer.exchange.reply(202)
                await ask(peer)
                return True
            if peer.method == "ping":
                if not pings:
                    return True
                if one_by_one:
                    asyncio.get_running_loop().create_task(pong(peer))
                else:
                    await peer.result()
                return True
            if peer.tool is not None:
                await peer.text(",".join(known) or "access denied")
                return True
            return False

        async def pong(peer: Peer) -> None:
            await answered.wait()
            await peer.result()

        return run

    return script


async def roots(_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///home")])


async def call_at_once(client: mcp.Client) -> Any:
    return await outcome(client.call_tool("x", {}))


ROOTED = {"calls": call_at_once, "client": {"list_roots_callback": roots}, "wanted": said("file:///home")}


def deaf(running: Running) -> Script:
    """A server that never answers a ping, and asks nothing."""

    async def run(peer: Peer) -> bool:
        return peer.method == "ping"

    return run


def hasty(running: Running) -> Script:
    """A server that asks during a call, and does not wait for the answer."""

    async def run(peer: Peer) -> bool:
        if peer.message.get("id") == "roots-1" and peer.method == "":
            running.methods["answer"] += 1
        if peer.tool is None:
            return False
        await peer.message_of(id="roots-1", method="roots/list")
        await peer.text("done")
        return True

    return run


async def nothing_open(running: Running, remora: Remora) -> None:
    async with asyncio.timeout(5):
        while running.methods["answer"] == 0:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    assert running.methods["answer"] == 1


QUESTIONS = [
    OddServer(
        "asks-and-goes-on", hasty, ("stream", "sse", "stdio"), calls=call_at_once, wanted=said("done"),
        client={"list_roots_callback": roots}, check=nothing_open,
    ),
    OddServer("asks-first", rooted(), **ROOTED),
    OddServer("asks-first-one-by-one", rooted(one_by_one=True), ("stdio", "sse"), **ROOTED),
    OddServer("asks-first-deaf", rooted(pings=False), ("stdio", "sse"), **ROOTED),
    OddServer("deaf", deaf, ("stdio", "sse"), client={"list_roots_callback": roots}, wanted=WORKS),
]


# What is not declared


async def resources(client: mcp.Client) -> Any:
    return [await outcome(client.list_resources()), await outcome(client.read_resource("raw:///r"))]


async def refusals(client: mcp.Client) -> Any:
    return [(await outcome(client.list_resources()))["error"][0] for _ in range(3)]


async def told_once(running: Running, remora: Remora) -> None:
    def told() -> list[Any]:
        return [each["capability"] for each in remora.process.events() if each["event"] == "capability_undeclared"]

    # The lines of three requests stand behind it.
    await remora.process.line(lambda _: sum(each["event"] == "request" for each in remora.process.events()) >= 3)
    assert told() == ["resources"]


UNDECLARED = [
    OddServer(
        "undeclared-refused", forms=ALL, capabilities={"tools": {}}, calls=refusals, wanted=[-32601] * 3, check=told_once
    ),
    OddServer(
        "undeclared", forms=ALL, capabilities={"tools": {}}, server={"declare": ["resources"]}, calls=resources,
        wanted=[
            {"resources": [{"uri": "raw:///r", "name": "r"}]},
            {"contents": [{"uri": "raw:///r", "text": "r"}]},
        ],
    ),
]

ROWS = VERSIONS + HANDSHAKES + LISTS + ERAS + QUESTIONS + UNDECLARED
