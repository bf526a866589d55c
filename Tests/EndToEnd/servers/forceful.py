"""A legacy server, in a process of its own, whose tools do what a server can do to Remora with all its might.

    forceful.py [--stdio | --sse]

Over Streamable HTTP it keeps no sessions, and prints where it listens. Its tools: `echo` answers, `ask` asks its client once, `messages`,
`comments` and `bytes` stream without end, `ask without end` asks as fast as it can and never answers what comes back. Over
stdio and HTTP+SSE: `echo` and `messages`. Over stdio also `lines`, which fills its client's connection and then prints 262,144 lines
of one byte.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.raw import CAPABILITIES, RESULTS, REVISION, Exchange, RawBackend, event, notification  # noqa: E402
from servers.wires import Wire, Wires  # noqa: E402

BLOCK = 64 * 1024
LINES = 262_144


def repeated(data: bytes) -> bytes:
    """As many chunks as one write takes, each an event."""
    chunk = b"%x\r\n%s\r\n" % (len(data), data)
    return chunk * (BLOCK // len(chunk))


MESSAGE = notification("message", level="info", data=1)
STREAMS = {
    "messages": repeated(event(MESSAGE)),
    "comments": repeated(b": 345678\n\n"),
    "bytes": repeated(b"data: 6 \n\n"),
}


async def script(exchange: Exchange) -> bool:
    message = exchange.message
    if isinstance(message, dict) and "method" not in message:
        if isinstance(message.get("id"), int):
            await asyncio.Event().wait()  # An answer to what `ask without end` has asked.
        await exchange.reply(202, type=None)
        return True
    if exchange.method != "tools/call" or (tool := message["params"]["name"]) == "echo":
        return False
    await exchange.stream_head()
    if block := STREAMS.get(tool):
        while not exchange.writer.is_closing():
            await exchange.raw(block)
            await asyncio.sleep(0)
    elif tool == "ask":
        form = {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}}
        question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": form}
        await exchange.chunk(event(json.dumps(question).encode()))
        while not exchange.writer.is_closing():
            await asyncio.sleep(60)
    elif tool == "ask without end":
        for number in range(1_000_000_000):
            if exchange.writer.is_closing():
                break
            question = {"jsonrpc": "2.0", "id": number, "method": "roots/list"}
            await exchange.chunk(event(json.dumps(question).encode()))
            await asyncio.sleep(0)
    return True


def stdio() -> None:
    def send(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()

    for line in sys.stdin:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if "id" not in message:
            continue
        if method == "initialize":
            about = {"name": "forceful", "version": "1"}
            result = {"protocolVersion": REVISION, "capabilities": CAPABILITIES, "serverInfo": about}
            send({"id": message["id"], "result": result})
        elif method == "tools/call" and params["name"] == "messages":
            block = (MESSAGE.decode() + "\n") * (BLOCK // len(MESSAGE))
            while True:
                sys.stdout.write(block)
        elif method == "tools/call" and params["name"] == "lines":
            token = params["_meta"]["progressToken"]
            for number in range(params["arguments"]["count"]):
                told = {"progressToken": token, "progress": number, "message": "x" * 30_000}
                send({"method": "notifications/progress", "params": told})
            sys.stdout.write("1\n" * LINES)
            sys.stdout.flush()
            send({"id": message["id"], "result": json.loads(RESULTS["tools/call"])})
        elif method in RESULTS:
            send({"id": message["id"], "result": json.loads(RESULTS[method])})
        else:
            send({"id": message["id"], "error": {"code": -32601, "message": "no"}})


async def serve_sse() -> None:
    streaming: set[asyncio.Task[None]] = set()
    block = event(MESSAGE) * (BLOCK // len(MESSAGE))

    async def stream(wire: Wire) -> None:
        while True:
            wire.write(block)
            await wire.flush()
            await asyncio.sleep(0)

    def called(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "tools/call" or message["params"]["name"] != "messages":
            return False
        streaming.add(asyncio.create_task(stream(wire)))
        return True

    async with Wires("sse", called) as server:
        print(json.dumps({"event": "listening", "address": f"127.0.0.1:{server.port}"}), flush=True)
        await asyncio.Event().wait()


async def serve() -> None:
    async with RawBackend(script, sessions=False) as server:
        print(json.dumps({"event": "listening", "address": server.address}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if "--stdio" in sys.argv:
        stdio()
    else:
        asyncio.run(serve_sse() if "--sse" in sys.argv else serve())
