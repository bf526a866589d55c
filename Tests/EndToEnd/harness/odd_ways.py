"""What tables of odd servers have in common: forms, scripts for one method, and what the usual calls get."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from .odd import Peer, Running, Script

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


def initialize_result(peer: Peer) -> dict[str, Any]:
    row = peer.server.row
    return {
        "protocolVersion": row.revision,
        "capabilities": row.capabilities,
        "serverInfo": {"name": "raw", "version": "1"},
    }
