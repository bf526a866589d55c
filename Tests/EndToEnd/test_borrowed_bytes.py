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
from servers.wires import FORMS, Wire, Wires

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
WAYS = ["plain", "TLS to clients", "TLS to the server", "TLS on both sides"]
PAUSE = 0.1
"""Seconds between the response and the end of its stream, and for what must be on its way before it."""
READ_AHEAD = 64 * KIBIBYTE
"""Bytes of pipelined requests that are taken before an answer."""

SESSIONS: list[dict[str, Any]] = [{}, {"elicitation": {}}]
"""What clients declare: calls share a session, and each has one for itself, since it may be asked."""

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

    def call(self, tool: str, text: str, principal: str, can: dict[str, Any] | None = None) -> bytes:
        message = call(tool, {"text": text}, id=text, clientCapabilities=can or {})
        return encode(message, host=self.remora.address, Authorization=f"Bearer {principal}")

    async def truth(self, connection: Connection, principal: str, text: str, can: dict[str, Any] | None = None) -> None:
        """One call, which must be answered with what the server says to this caller."""
        answer = Answer(await connection.exchange(self.call("x", text, principal, can)))
        assert answer.status == 200 and answer.json["id"] == text, answer
        assert answer.text == f"to Bearer {principal}: {text}", answer


@contextlib.asynccontextmanager
async def place(
    way: str, directory: Path, server: RawBackend | HastyOld, *, path: str = "/mcp", server_keys: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[Place]:
    authority = Authority(directory)
    own = authority.issue("own", "127.0.0.1", "localhost")
    to_clients, to_server = way in ("TLS to clients", WAYS[3]), way in ("TLS to the server", WAYS[3])
    async with contextlib.AsyncExitStack() as parts:
        url, keys = f"http://{server.address}{path}", dict(server_keys or {})
        if to_server:
            tap = await parts.enter_async_context(Tap(server.address, listen_tls=authority.server_context(own), buffer=64 * KIBIBYTE))
            url = f"https://{tap.address}{path}"
            keys["tls"] = {"ca": str(authority.file)}
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
    read ahead, all of it made to look like an end of that stream. The next caller gets the truth. Every other client may be
    asked, so that its calls have sessions of their own; connections are the same."""
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
            late_call = there.call("late", f"late-{shift}", "a", SESSIONS[shift % 2])
            await connection.send(late_call + behind.ljust(READ_AHEAD, b"x"))
            await asyncio.sleep(PAUSE)
            # One packet or record, which fills the place of what the server sends, as it must be for that.
            await connection.send((END[shift:] + END * 1500)[: 16 * KIBIBYTE - 100])
            await asyncio.sleep(PAUSE)
            filled.set()
            late = Answer(await connection.receive())
            assert late.text == f"to Bearer a: late-{shift}"
            for number in range(2):
                await there.truth(other, "b", f"{shift}-{number}", SESSIONS[number])
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
            message = call("x", {"text": str(number)}, id=number, clientCapabilities=SESSIONS[number % 2])
            data = encode(message, host=there.remora.address, Authorization="Bearer a")
            found = Answer(await connection.exchange(data))
            tail = large if what == "the response and comments" else ""
            assert found.status == 200 and found.text == f"to Bearer a: {number}{tail}", found


@pytest.mark.parametrize("can", SESSIONS, ids=["shared", "exclusive"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_message_above_the_buffer_with_more_behind_it_on_one_wire(form: str, can: dict[str, Any]) -> None:
    """The same where other calls' messages come behind it."""
    large = "x" * (300 * KIBIBYTE)
    held: list[int] = []

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "tools/call":
            return False

        def reply(id: int, text: str) -> dict[str, Any]:
            return {"id": id, "result": {"content": [{"type": "text", "text": text}]}}

        held.append(message["id"])
        # Those of a session that is shared are answered together, the large answer first.
        if len(held) == (1 if can else 3):
            told = {"method": "notifications/message", "params": {"level": "info", "data": large}}
            first, *rest = held
            wire.say(told, reply(first, f"{first}{large}"), told, *(reply(each, str(each)) for each in rest), told)
            held.clear()
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora:

        async def one(number: int) -> str:
            async with Client(remora.address) as client:
                found = await client.send(call("x", id=number, clientCapabilities=can))
                assert found.status == 200 and found.json["id"] == number, found
                return found.text

        for _ in range(4):
            texts = [await one(0)] if can else await asyncio.gather(*map(one, range(3)))
            assert sorted(len(text) > len(large) for text in texts) == sorted([True] + [False] * (len(texts) - 1))
            ids = [text.rstrip("x") for text in texts]
            assert len(set(ids)) == len(ids) and all(id.isdigit() for id in ids)
        assert server.methods["initialize"] == 1 and len(server.wires) == 1


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
                can = SESSIONS[number % 2]
                message = call("x", {"text": "x" * (7 * MEBIBYTE)}, id=number, clientCapabilities=can)
                await one.send(encode(message, host=there.remora.address, Authorization="Bearer a"))
                found = Answer(await one.receive())
                assert found.status == 200 and found.text == "hasty", found
                async with asyncio.timeout(5):
                    await there.truth(other, "b", str(number))
        assert len(server.hasty) == 3


class HastyOld:
    """HTTP+SSE. Takes a large message when it has read its beginning, answers it on the stream, and reads nothing more on that
    connection."""

    def __init__(self) -> None:
        self.streams: list[asyncio.StreamWriter] = []
        self.hasty = 0

    async def __aenter__(self) -> HastyOld:
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIBIBYTE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, sock=listening, limit=http1.HEAD_LIMIT)
        self.address = "127.0.0.1:{}".format(listening.getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError, ConnectionError):
            while (head := await http1.read_head(reader)) is not None:
                if head.method == "GET":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                    writer.write(b"event: endpoint\ndata: /m?%d\n\n" % len(self.streams))
                    self.streams.append(writer)
                    await reader.read()
                    return
                number = head.target.rpartition("?")[2]
                if not number.isdigit():  # The stream's own path.
                    await reader.readexactly(int(head.header("content-length") or 0))
                    writer.write(b"HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n")
                    continue
                size = int(head.header("content-length") or 0)
                start = await reader.readexactly(min(size, 4 * KIBIBYTE))
                writer.write(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n")
                self._answer(self.streams[int(number)], start, head.header("authorization") or "")
                if size > MEBIBYTE:
                    self.hasty += 1
                    writer.transport.pause_reading()  # type: ignore[attr-defined]
                    await asyncio.Event().wait()

    def _answer(self, stream: asyncio.StreamWriter, start: bytes, caller: str) -> None:
        id, method = re.search(rb'"id":\s*(\d+)', start), re.search(rb'"method":\s*"([^"]+)', start)
        if id is None or method is None:
            return
        said = re.search(rb'"text":\s*"([^"x]+)"', start)
        text = "hasty" if said is None else f"to {caller}: {said[1].decode()}"
        results: dict[bytes, dict[str, Any]] = {
            b"initialize": {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"},
            },
            b"tools/list": {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]},
            b"tools/call": {"content": [{"type": "text", "text": text}]},
        }
        stream.write(event(json.dumps({"jsonrpc": "2.0", "id": int(id[1]), "result": results.get(method[1], {})}).encode()))


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2]])
async def test_a_message_that_is_not_sent_is_not_done(way: str, tmp_path: Path) -> None:
    """The same of HTTP+SSE, where the answer comes on another connection. A caller's messages share connections with its own
    others and with everybody else's."""
    async with HastyOld() as server:
        async with place(way, tmp_path, server, path="/sse", server_keys={"transport": "sse"}) as there:
            async with await there.open() as one, await there.open() as other:
                await there.truth(other, "b", "first")
                for number in range(4):
                    can = SESSIONS[number % 2]
                    message = call("x", {"text": "x" * (7 * MEBIBYTE)}, id=number, clientCapabilities=can)
                    await one.send(encode(message, host=there.remora.address, Authorization="Bearer a"))
                    found = Answer(await one.receive())
                    assert found.status == 200 and found.text == "hasty", found
                    async with asyncio.timeout(5):
                        await there.truth(other, "b", str(number), can)
                        await there.truth(other, "a", f"{number} again", can)
            assert server.hasty == 4
