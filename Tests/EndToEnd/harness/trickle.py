"""Connections that send one byte of a request a second, from a process of their own so that they slow no one's clock.

    trickle.py ADDRESS COUNT

Prints {"event":"open"} when all are there, and each second how many still are; ends with its standard input, or when
it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

REQUEST = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Slow: " + b"x" * 4000


async def main(address: str, count: int) -> None:
    host, port = address.rsplit(":", 1)
    writers: list[asyncio.StreamWriter] = []
    for start in range(0, count, 100):
        opened = await asyncio.gather(
            *(asyncio.open_connection(host, int(port)) for _ in range(min(100, count - start)))
        )
        writers += [writer for _, writer in opened]
    print(json.dumps({"event": "open"}), flush=True)
    for position in range(len(REQUEST)):
        for index, writer in enumerate(writers):
            if not writer.is_closing():
                with contextlib.suppress(ConnectionError):
                    writer.write(REQUEST[position : position + 1])
            if index % 100 == 99:
                await asyncio.sleep(0.5 * 100 / count)
        await asyncio.sleep(0.5)
        alive = sum(not writer.is_closing() for writer in writers)
        print(json.dumps({"event": "second", "alive": alive}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
