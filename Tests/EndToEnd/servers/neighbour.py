"""A server on the real SDK whose tools use everything that needs more than one answer. It runs on 1.x, which has
sessions, and on 2.x, which serves 2026-07-28, on a port that can be named: so one can take the other's place."""

import argparse
import importlib.metadata
import json
import socket

import anyio
import uvicorn
from pydantic import BaseModel

SDK = importlib.metadata.version("mcp")
if SDK.startswith("1."):
    from mcp.server.fastmcp import Context, FastMCP
    from mcp.server.streamable_http import EventMessage, EventStore
else:
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver import MCPServer as FastMCP
    from mcp.server.streamable_http import EventMessage, EventStore


class Name(BaseModel):
    name: str


class Events(EventStore):
    """Keeps all events, so that a stream can be resumed."""

    def __init__(self) -> None:
        self.events: list = []

    async def store_event(self, stream_id, message) -> str:
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        start = int(last_event_id)
        stream = self.events[start - 1][0]
        for number, (stream_id, message) in enumerate(self.events[start:], start + 1):
            if stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def make(events: EventStore | None) -> FastMCP:
    server = FastMCP("neighbour", **({"event_store": events} if SDK.startswith("1.") else {}))

    @server.tool()
    async def echo(text: str) -> str:
        return text

    @server.tool()
    async def sdk() -> str:
        return SDK

    @server.tool()
    async def steps(count: int, seconds: float, ctx: Context) -> str:
        for step in range(1, count + 1):
            await anyio.sleep(seconds)
            await ctx.report_progress(step, count)
        return f"done after {count}"

    if SDK.startswith("1."):

        @server.tool()
        async def ask(ctx: Context) -> str:
            answer = await ctx.elicit("Who are you?", Name)
            return f"hello {answer.data.name}"

        @server.tool()
        async def roots(ctx: Context) -> str:
            """The question goes out on the GET stream."""
            found = await ctx.session.list_roots()
            return ",".join(str(root.uri) for root in found.roots)

    return server


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--resumable", action="store_true", help="keep events, and give them ids")
    options = parser.parse_args()
    events = Events() if options.resumable else None
    server = make(events)
    app = server.streamable_http_app(**({} if SDK.startswith("1.") else {"event_store": events}))
    # With the protocol named, asyncio turns Nagle's delay off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen(128)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    print(json.dumps({"event": "listening", "address": "{}:{}".format(*listener.getsockname()), "sdk": SDK}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


anyio.run(main)
