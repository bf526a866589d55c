"""Event streams as SDKs and frameworks write them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import mcp

from harness.odd import HTTP, OddServer, Peer, Running, Script, outcome
from harness.odd_ways import EVENTS, Maker, content, on_call
from servers.raw import Exchange


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


ROWS = [
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
]
