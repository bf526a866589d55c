"""A legacy MCP server on the published Python SDK (mcp==1.30.0) whose tools, prompts and resources change on demand.

Its tool `change` takes `what`: tools, prompts, resources, or the URI of a resource. Lists carry the number of changes in a
name. It listens on a port from the system and prints {"event":"listening","address":"127.0.0.1:PORT"}.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import Any

import anyio
import mcp.types as types
import uvicorn
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

server: Server[Any, Any] = Server("changing", version="1.0")
changes: Counter[str] = Counter()
subscribed: Counter[str] = Counter()

# The session manager asks for the options without arguments, which would promise nothing.
_options = server.create_initialization_options
server.create_initialization_options = lambda: _options(NotificationOptions(True, True, True))  # type: ignore[method-assign]


@server.list_tools()
async def list_tools() -> list[types.Tool]:
    names = ("change", "subscribed", f"tool-{changes['tools']}")
    return [types.Tool(name=name, inputSchema={"type": "object"}) for name in names]


@server.list_prompts()
async def list_prompts() -> list[types.Prompt]:
    return [types.Prompt(name=f"prompt-{changes['prompts']}")]


@server.list_resources()
async def list_resources() -> list[types.Resource]:
    return [types.Resource(uri=f"changing:///{changes['resources']}", name="r")]  # type: ignore[arg-type]


@server.read_resource()
async def read_resource(uri: Any) -> str:
    return str(changes[str(uri)])


@server.subscribe_resource()
async def subscribe_resource(uri: Any) -> None:
    subscribed[str(uri)] += 1


@server.unsubscribe_resource()
async def unsubscribe_resource(uri: Any) -> None:
    subscribed[str(uri)] -= 1


@server.call_tool()
async def call_tool(name: str, arguments: dict[str, Any]) -> Any:
    if name == "change":
        session, what = server.request_context.session, arguments["what"]
        changes[what] += 1
        match what:
            case "tools":
                await session.send_tool_list_changed()
            case "prompts":
                await session.send_prompt_list_changed()
            case "resources":
                await session.send_resource_list_changed()
            case uri:
                await session.send_resource_updated(uri)
    return [types.TextContent(type="text", text=json.dumps(+subscribed))]


async def main() -> None:
    manager = StreamableHTTPSessionManager(app=server)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await manager.handle_request(scope, receive, send)

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)  # Before it is told of: uvicorn would do it later.
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    async with manager.run():
        address = "{}:{}".format(*listener.getsockname())
        print(json.dumps({"event": "listening", "address": address}), flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


anyio.run(main)
