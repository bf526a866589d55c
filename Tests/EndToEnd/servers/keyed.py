"""A published server (mcp 1.30.0) behind a key: a middleware refuses what comes without an `X-Api-Key` that it knows.

    keyed.py [--json]

It listens on a port from the system and prints {"event":"listening","address":"127.0.0.1:PORT"}. The tool `count` counts in its
session; `key` tells the key of the request that it came with, and of the one that opened its session. `GET /record` tells with
which keys each session was used, and how often by each HTTP method.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary

import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

KEYS = {f"key-{number}" for number in range(64)}

mcp = FastMCP("keyed", json_response="--json" in sys.argv)
counters: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
used: dict[str, Counter[str]] = {}
"""By session: the keys of its requests."""
methods: Counter[str] = Counter()


@mcp.tool()
def count(ctx: Context) -> int:
    """Counts the calls of its session."""
    counters[ctx.session] = counters.get(ctx.session, 0) + 1
    return counters[ctx.session]


@mcp.tool()
def key(ctx: Context) -> str:
    """Tells whose request it was."""
    request: Request = ctx.request_context.request
    return request.headers["x-api-key"]


class Guard:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            if request.url.path == "/record":
                sessions = {session: dict(keys) for session, keys in used.items()}
                return await JSONResponse({"sessions": sessions, "methods": dict(methods)})(scope, receive, send)
            found = request.headers.getlist("x-api-key")
            if len(found) != 1 or found[0] not in KEYS:
                return await JSONResponse({"error": "an X-Api-Key is missing"}, status_code=401)(scope, receive, send)
            methods[request.method] += 1
            if session := request.headers.get("mcp-session-id"):
                used.setdefault(session, Counter())[found[0]] += 1
        await self.app(scope, receive, send)


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(json.dumps({"event": "listening", "address": f"127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    app = Guard(mcp.streamable_http_app())
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
