"""Many published clients of the sessions' time (mcp 1.x) at once, opened and closed. Prints a JSON line in the end.

    older_crowd.py URL COUNT
"""

import json
import sys
import time

import anyio
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def visit(url: str, heard: list[str]) -> None:
    async with streamablehttp_client(url) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            for _ in range(2):
                result = await session.call_tool("x", {})
                heard.append(result.content[0].text)  # type: ignore[union-attr]


async def main(url: str, count: int) -> None:
    heard: list[str] = []
    start = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(visit, url, heard)
    assert heard == ["raw"] * 2 * count, heard
    print(json.dumps({"event": "done", "seconds": time.monotonic() - start}), flush=True)


anyio.run(main, sys.argv[1], int(sys.argv[2]))
