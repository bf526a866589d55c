"""What one connection has read is never taken for what another has, and a connection that is not done is not used again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness import http1
from harness.certificates import Authority
from harness.http1 import TIMEOUT, Connection
from harness.modern import Answer, Client, call, encode
from harness.remora import Remora, configuration
from harness.tap import Tap
from servers.raw import Exchange, RawBackend, event, notification

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
WAYS = ["plain", "TLS to clients", "TLS to the server", "TLS on both sides"]
PAUSE = 0.1
"""Seconds between the response and the end of its stream, and for what must be on its way before it."""
READ_AHEAD = 64 * KIBIBYTE
"""Bytes of pipelined requests that are taken before an answer."""

END = b"\r\n0\r\na:\r\n\r\n"
"""As the rest of a chunked body: the end of a chunk, the last one, and a trailer."""
COMMENT = b"4\r\n:aa\n\r\n"
"""A chunk with a comment, which is as long as what comes after the first line feed of `END`."""

assert len(COMMENT) + 2 == len(END)


class Place:
    """Remora before a server, and how clients reach it."""

    def __init__(self, remora: Remora, tls: ssl.SSLContext | None) -> None:
        self.remora, self.tls = remora, tls

    async def open(self) -> Connection:
        host, port = self.remora.address.rsplit(":", 1)
        async with asyncio.timeout(TIMEOUT):
            return Connection(*await asyncio.open_connection(host, int(port), ssl=self.tls, limit=http1.HEAD_LIMIT))

    def call(self, tool: str, text: str, principal: str) -> bytes:
        return encode(call(tool, {"text": text}, id=text), host=self.remora.address, Authorization=f"Bearer {principal}")

    async def truth(self, connection: Connection, principal: str, text: str) -> None:
        """One call, which must be answered with what the server says to this caller."""
        answer = Answer(await connection.exchange(self.call("x", text, principal)))
        assert answer.status == 200 and answer.json["id"] == text, answer
        assert answer.text == f"to Bearer {principal}: {text}", answer


@contextlib.asynccontextmanager
async def place(way: str, directory: Path, server: RawBackend, **changes: Any) -> AsyncIterator[Place]:
    authority = Authority(directory)
    own = authority.issue("own", "127.0.0.1", "localhost")
    to_clients, to_server = way in ("TLS to clients", WAYS[3]), way in ("TLS to the server", WAYS[3])
    async with contextlib.AsyncExitStack() as parts:
        url, keys = server.url, {}
        if to_server:
            tap = await parts.enter_async_context(Tap(server.address, listen_tls=authority.server_context(own), buffer=64 * KIBIBYTE))
            url, keys = f"https://{tap.address}/mcp", {"tls": {"ca": str(authority.file)}}
        listen = {"tls": own.settings} if to_clients else {}
        text = configuration(url, server=keys, **{"listen": listen, "log": {"level": "info"}, **changes})
        remora = await parts.enter_async_context(Remora(text))
        yield Place(remora, authority.client_context() if to_clients else None)


def answer(exchange: Exchange, tail: str = "") -> bytes:
    """To a call: who asked and what."""
    text = exchange.message["params"]["arguments"]["text"]
    content = {"type": "text", "text": f"to {exchange.request.header('authorization')}: {text}{tail}"}
    return exchange.response(json.dumps({"content": [content]}).encode())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", WAYS)
async def test_pipelined_bytes_are_not_the_rest_of_an_answer(way: str, tmp_path: Path) -> None:
    """The server ends its stream some time after the response, behind a comment, and its client has more to say than is
    read ahead, all of it made to look like an end of that stream. The next caller gets the truth."""
    filled = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        if exchange.message["params"]["name"] != "late":
            await exchange.json(answer(exchange))
            return True
        await filled.wait()
        text = event(answer(exchange))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        # In one packet.
        await exchange.raw(head + b"%x\r\n%s\r\n" % (len(text), text) + COMMENT)
        await asyncio.sleep(PAUSE)
        await exchange.chunk(b": this is no answer to anybody\n\n")
        await exchange.chunk(b"")
        return True

    async with RawBackend(script) as server, place(way, tmp_path, server) as there, await there.open() as other:
        await there.truth(other, "b", "first")
        for shift in range(len(END)):
            filled.clear()
            connection = await there.open()
            # A request that does not end, so that its bytes are read on when the one before is answered.
            behind = encode(b"", of=call("x"), host=there.remora.address, Content_Length=str(MEBIBYTE))
            await connection.send(there.call("late", f"late-{shift}", "a") + behind.ljust(READ_AHEAD, b"x"))
            await asyncio.sleep(PAUSE)
            # One packet or record, which fills the place of what the server sends, as it must be for that.
            await connection.send((END[shift:] + END * 1500)[: 16 * KIBIBYTE - 100])
            await asyncio.sleep(PAUSE)
            filled.set()
            late = Answer(await connection.receive())
            assert late.text == f"to Bearer a: late-{shift}"
            for number in range(2):
                await there.truth(other, "b", f"{shift}-{number}")
            connection.abort()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ["a notification and the response", "the response and comments"])
async def test_a_message_above_the_buffer_with_more_behind_it(way: str, what: str, tmp_path: Path) -> None:
    """The server is held up when a message is larger than `stream_buffer`, and goes on when that is taken: nothing of
    what came with it is lost."""
    large = "x" * (300 * KIBIBYTE)

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.stream_head()
        more = b": more\n\n" * 20_000
        if what == "the response and comments":
            body = event(answer(exchange, large)) + more
        else:
            body = event(notification("message", level="info", data=large)) + more + event(answer(exchange))
        # Small chunks, many of them in a packet: their ends must all be found.
        parts = [body[start : start + 1000] for start in range(0, len(body), 1000)]
        await exchange.raw(b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n")
        return True

    async with RawBackend(script) as server, place(way, tmp_path, server) as there, await there.open() as connection:
        for number in range(10):
            # It does not want to hear notifications.
            message = call("x", {"text": str(number)}, id=number)
            data = encode(message, host=there.remora.address, Authorization="Bearer a")
            found = Answer(await connection.exchange(data))
            tail = large if what == "the response and comments" else ""
            assert found.status == 200 and found.text == f"to Bearer a: {number}{tail}", found


class Hasty(RawBackend):
    """Answers a large request when it has read its beginning, and reads nothing more on that connection."""

    def __init__(self) -> None:
        super().__init__(self._plain)
        self.hasty: list[socket.socket] = []
        self.later: list[bytes] = []
        """What came after that, on the same connections: nothing that was read."""

    async def _plain(self, exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            await exchange.json(answer(exchange))
        return exchange.method == "tools/call"

    async def __aenter__(self) -> Hasty:
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # Of every connection: what is not read soon waits on the other side.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIBIBYTE)
        self._server = await asyncio.start_server(self._first, sock=listening, limit=http1.HEAD_LIMIT)
        self.address = "127.0.0.1:{}".format(listening.getsockname()[1])
        return self

    async def _first(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Looks at each request of a connection before the usual reading does."""
        server = self

        class Looking:
            """The reader, which stops for ever in a large body."""

            async def readuntil(self, separator: bytes) -> bytes:
                return await reader.readuntil(separator)

            async def readexactly(self, count: int) -> bytes:
                if count < MEBIBYTE:
                    return await reader.readexactly(count)
                start = await reader.readexactly(4 * KIBIBYTE)
                id = re.search(rb'"id":\s*(\d+)', start)
                assert id is not None, start
                result = b'{"jsonrpc":"2.0","id":' + id[1] + b',"result":{"content":[{"type":"text","text":"hasty"}]}}'
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(result)
                writer.transport.pause_reading()
                writer.write(head + result)
                server.hasty.append(writer.get_extra_info("socket"))
                await asyncio.Event().wait()
                return b""

        await self._connected(Looking(), writer)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_that_is_not_sent_is_not_done(way: str, tmp_path: Path) -> None:
    """The server answers before it has read all of a large request, and reads nothing more. No next call waits
    behind the rest of it."""
    async with Hasty() as server, place(way, tmp_path, server) as there:
        async with await there.open() as one, await there.open() as other:
            await there.truth(other, "b", "first")
            for number in range(3):
                # More than the kernel takes on its way.
                message = call("x", {"text": "x" * (7 * MEBIBYTE)}, id=number)
                await one.send(encode(message, host=there.remora.address, Authorization="Bearer a"))
                found = Answer(await one.receive())
                assert found.status == 200 and found.text == "hasty", found
                async with asyncio.timeout(5):
                    await there.truth(other, "b", str(number))
        assert len(server.hasty) == 3
