"""Callers who behave, and a prober of `/healthz`, from a process of their own: what they notice is not what the test's process is busy with.

    neighbours.py ADDRESS ADMIN SECONDS AUTHORITY PRINCIPAL...

With the file of an authority, or "" for plain TCP, principals connect over TLS. Each makes one call after the other. Prints one line
at the end: the durations of calls and probes in seconds, and what was refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time

from . import http1
from .http1 import Connection
from .modern import Client


async def watch(
    address: str, admin: str, seconds: float, authority: str, principals: list[str]
) -> dict[str, list[float] | list[str]]:
    tls = ssl.create_default_context(cafile=authority) if authority else None
    calls: list[float] = []
    probes: list[float] = []
    refused: list[str] = []
    end = time.monotonic() + seconds

    async def neighbour(principal: str) -> None:
        async with Client(address, tls) as client:
            number = 0
            while time.monotonic() < end:
                number += 1
                start = time.monotonic()
                try:
                    answer = await client.call("echo", {"text": principal}, id=number, Authorization=f"Bearer {principal}")
                except (TimeoutError, http1.Malformed, OSError) as error:
                    refused.append(f"{principal}: {error!r}")
                    continue
                finally:
                    calls.append(time.monotonic() - start)
                if answer.status != 200 or "result" not in answer.json:
                    refused.append(f"{principal}: {answer!r}")
                await asyncio.sleep(0.005)

    async def prober() -> None:
        while time.monotonic() < end:
            start = time.monotonic()
            with contextlib.suppress(TimeoutError, http1.Malformed, OSError):
                async with await Connection.open(admin) as connection:
                    await connection.exchange(f"GET /healthz HTTP/1.1\r\nHost: {admin}\r\n\r\n".encode(), "GET")
            probes.append(time.monotonic() - start)
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(neighbour, principals), prober())
    return {"calls": calls, "probes": probes, "refused": refused}


if __name__ == "__main__":
    seen = asyncio.run(watch(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4], sys.argv[5:]))
    print(json.dumps({"event": "seen", **seen}), flush=True)
