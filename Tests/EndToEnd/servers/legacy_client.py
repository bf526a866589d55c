"""The published client of the sessions' time (mcp 1.x), doing all it can. Prints what came of it as one JSON line."""

import json
import sys

import anyio
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client


async def main(url: str) -> None:
    progress: list[float] = []
    found: dict[str, object] = {"progress": progress}

    async def answer(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def roots(context: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada")])  # type: ignore[arg-type]

    async def step(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    def text(result: types.CallToolResult) -> str:
        return result.content[0].text  # type: ignore[union-attr]

    async with streamablehttp_client(url) as (read, write, session_id):
        async with ClientSession(read, write, elicitation_callback=answer, list_roots_callback=roots) as session:
            initialized = await session.initialize()
            found["revision"] = initialized.protocolVersion
            found["server"] = initialized.serverInfo.name
            found["tools"] = sorted(tool.name for tool in (await session.list_tools()).tools)
            await session.send_ping()
            found["echo"] = text(await session.call_tool("echo", {"text": "Grüße 🐟"}))
            arguments = {"count": 3, "seconds": 0.05}
            found["steps"] = text(await session.call_tool("steps", arguments, progress_callback=step))
            found["ask"] = text(await session.call_tool("ask"))
            found["roots"] = text(await session.call_tool("roots"))
            found["session"] = session_id() is not None
    print(json.dumps({"event": "done", **found}), flush=True)


anyio.run(main, sys.argv[1])
