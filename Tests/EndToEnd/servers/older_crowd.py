"""Many published clients of the sessions' time (mcp 1.x) at once: all sessions are open before the first ends. Prints a JSON line in
the end.

    older_crowd.py URL COUNT
"""

import json
import ssl
import sys
import time
from typing import Any

import anyio
import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

# The certificates of authorities are read once. Each client would read them anew, which takes ten times what it does else.
TLS = ssl.create_default_context()


def http_client(headers: dict[str, str] | None = None, timeout: Any = None, auth: Any = None) -> httpx.AsyncClient:
    """No client gives up before the test does: all of them share one process."""
    return httpx.AsyncClient(verify=TLS, follow_redirects=True, headers=headers, timeout=None, auth=auth)


class Crowd:
    def __init__(self, url: str, count: int) -> None:
        self.url, self.count = url, count
        self.heard: list[str] = []
        self.here = 0
        self.full = anyio.Event()

    async def visit(self) -> None:
        async with streamablehttp_client(self.url, httpx_client_factory=http_client) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                await self.call(session)
                self.here += 1
                if self.here == self.count:
                    self.full.set()
                await self.full.wait()
                await self.call(session)

    async def call(self, session: ClientSession) -> None:
        result = await session.call_tool("x", {})
        self.heard.append(result.content[0].text)  # type: ignore[union-attr]


async def main(url: str, count: int) -> None:
    crowd = Crowd(url, count)
    start = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(crowd.visit)
    assert crowd.heard == ["raw"] * 2 * count, crowd.heard
    print(json.dumps({"event": "done", "seconds": time.monotonic() - start}), flush=True)


anyio.run(main, sys.argv[1], int(sys.argv[2]))
