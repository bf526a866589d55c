"""A legacy MCP server whose tools run as tasks, on the published Python SDK (mcp 1.30.0).

    tasking.py [--stdio] [--port PORT] [--ledger FILE]

It listens on a port from the system, unless one is given, and prints {"event":"listening","address":"127.0.0.1:PORT"}; with --stdio it
serves one session on its standard streams. Each run of a tool writes its argument `key` to the ledger.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
from typing import Any

import anyio
import mcp.types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

server: Any = Server("tasking", version="1.0")
server.experimental.enable_tasks()
ledger: int | None = None
SCHEMA = {"type": "object", "properties": {"key": {"type": "string"}}}
SUPPORT = {
    "dig": "required", "ask": "required", "sample": "required", "crash": "required", "grumble": "required",
    "maybe": "optional", "never": "forbidden", "silent": None,
}


@server.list_tools()
async def tools() -> list[types.Tool]:
    return [
        types.Tool(
            name=name, inputSchema=SCHEMA,
            **({"execution": types.ToolExecution(taskSupport=support)} if support else {}),
        )
        for name, support in SUPPORT.items()
    ]


def text(words: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)], isError=is_error)


@server.call_tool()
async def call(name: str, arguments: dict[str, Any]) -> Any:
    if ledger is not None:
        os.write(ledger, f"{arguments.get('key', name)}\n".encode())
    about = server.request_context.experimental
    about.validate_task_mode(SUPPORT[name])
    if not about.is_task:
        return text(f"plain {name}")

    async def work(task: Any) -> types.CallToolResult:
        await anyio.sleep(arguments.get("seconds", 0.05))
        if name == "ask":
            answers = []
            for number in range(arguments.get("questions", 1)):
                answer = await task.elicit(
                    message=f"question {number}", requestedSchema={"type": "object", "properties": {"name": {"type": "string"}}})
                answers.append({"action": answer.action, "content": answer.content})
            return text(json.dumps(answers))
        if name == "sample":
            said = await task.create_message(
                messages=[types.SamplingMessage(role="user", content=types.TextContent(type="text", text="say"))],
                max_tokens=5)
            return text(said.content.text)
        if name == "crash":
            raise RuntimeError("the shaft fell in")
        if name == "grumble":
            return text("no spade", is_error=True)
        return text(f"task {name} {arguments.get('key', '')}".strip())

    return await about.run_task(work)


async def main() -> None:
    global ledger
    parser = argparse.ArgumentParser()
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger")
    options = parser.parse_args()
    if options.ledger:
        ledger = os.open(options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if options.stdio:
        from mcp.server.stdio import stdio_server

        async with stdio_server() as (incoming, outgoing):
            return await server.run(incoming, outgoing, server.create_initialization_options())
    manager = StreamableHTTPSessionManager(app=server)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await manager.handle_request(scope, receive, send)

    async with contextlib.AsyncExitStack() as running:
        await running.enter_async_context(manager.run())
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", options.port))
        listener.listen(2048)
        print(json.dumps({"event": "listening", "address": "{}:{}".format(*listener.getsockname())}), flush=True)
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        await uvicorn.Server(config).serve(sockets=[listener])


anyio.run(main)
