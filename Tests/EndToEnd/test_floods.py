"""Servers that say or ask more than anybody needs: what it costs is theirs, and everybody else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Answer, Client, call, encode
from harness.remora import Remora, configuration
from servers.asking import FORM
from servers.raw import Exchange, RawBackend, event
from test_commands import RAW, children

LINES = 262_144
SIZE = 6_000_000
"""Of a message: more than the buffers of the system take for a client that does not read."""
ADMIN = {"admin": {"address": "127.0.0.1:0"}}
INFO = {"log": {"level": "info"}}


async def admin(remora: Remora) -> str:
    return str((await remora.process.event("admin_listening"))["address"])


async def healthz(address: str, timeout: float) -> None:
    async with await Connection.open(address) as connection:
        await connection.send(f"GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        assert (await connection.receive("GET", timeout)).status == 200


def processor_time(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def rests(*pids: int) -> None:
    """Waits until these processes do nothing: they wait for a peer."""
    before: list[int] = []
    async with asyncio.timeout(30):
        while (now := [processor_time(pid) for pid in pids]) != before:
            before = now
            await asyncio.sleep(0.3)


class OldServer:
    """HTTP+SSE: `say` is what a call brings on the stream, and POSTs other than calls are answered by `takes`."""

    def __init__(self) -> None:
        self.address = ""
        self.streams: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> OldServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = "127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def called(self, message: dict[str, Any], stream: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def answered(self) -> None:
        """An answer of Remora came."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if head.startswith("GET"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                    number = len(self.streams)
                    self.streams.append(writer)
                    writer.write(b"event: endpoint\ndata: /m?s=%d\n\n" % number)
                    await reader.read()
                    return
                if not head.startswith("POST /m"):
                    writer.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
                    continue
                size = next(int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length"))
                message = json.loads(await reader.readexactly(size))
                stream = self.streams[int(head.split(" ")[1].partition("s=")[2])]
                if "method" not in message:
                    await self.answered()
                writer.write(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n")
                if message.get("method") == "initialize":
                    info = {"name": "old", "version": "1"}
                    result = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": info}
                    stream.write(event(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()))
                elif message.get("method") == "tools/list":
                    text = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}}'
                    stream.write(event(text % message["id"]))
                elif message.get("method") == "tools/call":
                    self._tasks.add(asyncio.create_task(self._called(message, stream)))

    async def _called(self, message: dict[str, Any], stream: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self.called(message, stream)


async def for_ever() -> None:
    """Until the server of the test ends, which is no mistake."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def answer(id: Any) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"raw"}]}}' % id


# Lines of a byte


class Bytewise(OldServer):
    async def called(self, message: dict[str, Any], stream: asyncio.StreamWriter) -> None:
        meta = message["params"]["_meta"]
        params = {"progressToken": meta["progressToken"], "progress": 1, "message": "z" * SIZE}
        text = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        stream.write(event(json.dumps(text).encode()))
        for _ in range(LINES // 1024):
            stream.write(b"data:x\n\n" * 1024)
            await stream.drain()
        stream.write(event(answer(message["id"])))


@contextlib.asynccontextmanager
async def bytewise(way: str) -> AsyncIterator[Remora]:
    if way == "stdio":
        async with Remora(configuration({"command": RAW}, **ADMIN, **INFO)) as remora:
            yield remora
    else:
        async with Bytewise() as server:
            text = configuration(f"http://{server.address}/sse", server={"transport": "sse"}, **ADMIN, **INFO)
            async with Remora(text) as remora:
                yield remora


@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", ["stdio", "sse"])
async def test_many_small_messages_behind_a_slow_client_hold_up_nobody(way: str) -> None:
    """They wait for the client; when it reads on, they are dealt with in turn with everybody else."""
    request = call("bytes", {"size": SIZE, "lines": LINES})
    request["params"]["_meta"]["progressToken"] = "t"
    async with bytewise(way) as remora:
        async with await Connection.open(remora.address) as slow:
            before = remora.resident()
            await slow.send(encode(request, host=remora.address))
            await rests(remora.process.pid, *children(remora.process.pid))
            assert remora.resident() - before < 40 << 20
            reading = asyncio.create_task(slow.receive(timeout=200))
            address, looks = await admin(remora), 0
            # One look takes seconds where all of the lines are dealt with in one go.
            while not reading.done() or looks < 3:
                await healthz(address, timeout=5)
                looks += 1
            assert Answer(await reading).text == "raw"


# Questions without end


class Nagging(RawBackend):
    """Asks without end during calls of `nag`, and never answers what it is answered."""

    def __init__(self, method: str) -> None:
        super().__init__(self._script)
        self.asks = method
        self.answers = 0

    async def _script(self, exchange: Exchange) -> bool:
        if exchange.message is not None and exchange.method is None and exchange.request.method == "POST":
            self.answers += 1
            await for_ever()
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "nag":
            return False
        await exchange.stream_head()
        for number in range(400):
            question = {"jsonrpc": "2.0", "id": f"q{number}", "method": self.asks, "params": FORM}
            await exchange.chunk(event(json.dumps(question).encode()))
        await for_ever()
        return True


class OldNagging(OldServer):
    def __init__(self, method: str) -> None:
        super().__init__()
        self.asks = method

    async def called(self, message: dict[str, Any], stream: asyncio.StreamWriter) -> None:
        if message["params"]["name"] != "nag":
            return stream.write(event(answer(message["id"])))
        for number in range(400):
            question = {"jsonrpc": "2.0", "id": f"q{number}", "method": self.asks, "params": FORM}
            stream.write(event(json.dumps(question).encode()))
            await stream.drain()

    async def answered(self) -> None:
        await for_ever()


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["no client to ask", "a client to ask"])
@pytest.mark.parametrize("way", ["http", "sse"])
@pytest.mark.parametrize("method", ["elicitation/create", "ping"])
async def test_a_server_that_asks_without_end_and_takes_no_answer(way: str, can: dict[str, Any], method: str) -> None:
    """The answers to it leave connections for everybody else. Its own call fails where it waits for an answer that cannot be
    sent; a ping is no question."""
    server: Nagging | OldNagging = Nagging(method) if way == "http" else OldNagging(method)
    async with server:
        place = {"url": f"http://{server.address}/mcp"}
        text = configuration(place, server={"transport": way}, limits={"shutdown_timeout": "2s"}, **INFO)
        async with Remora(text) as remora, Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            resource.prlimit(remora.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
            before = remora.descriptors()

            async def nag(number: int) -> Answer | None:
                async with Client(remora.address) as own:
                    message = call("nag", clientCapabilities=can)
                    with contextlib.suppress(TimeoutError):
                        return await own.send(message, timeout=20, Authorization=f"Bearer {number}")
                return None

            async with asyncio.TaskGroup() as group:
                nagged = [group.create_task(nag(number)) for number in range(20)]
                most = 0
                while not all(task.done() for task in nagged):
                    most = max(most, remora.descriptors() - before)
                    # Another caller, with a session and a connection that are to be opened first.
                    async with Client(remora.address) as other:
                        beside = await other.call("x", Authorization="Bearer other", timeout=8)
                        assert beside.status == 200 and beside.text == "raw", beside
                    await asyncio.sleep(0.05)
            assert most < 800, f"{most} descriptors for 20 calls"
            if way == "http" and method != "ping":
                # A client that was asked nothing hears that the server could not be answered.
                assert all(task.result() is not None for task in nagged)


async def test_a_handshake_full_of_pings() -> None:
    pinged = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal pinged
        if exchange.message is not None and exchange.method is None and exchange.request.method == "POST":
            pinged += 1
            await for_ever()
        if exchange.method != "initialize":
            return False
        await exchange.stream_head()
        for number in range(2000):
            await exchange.chunk(event(json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}).encode()))
        await for_ever()
        return True

    async with RawBackend(script) as raw:
        limits = {"backend_idle_timeout": "3s", "shutdown_timeout": "2s"}
        async with Remora(configuration(raw.url, limits=limits, **INFO)) as remora, Client(remora.address) as client:
            before = remora.descriptors()
            waiting = asyncio.create_task(client.call("x", timeout=20))
            most = 0
            while not waiting.done():
                most = max(most, remora.descriptors() - before)
                await asyncio.sleep(0.05)
            assert most < 100, f"{most} descriptors for one handshake"
            assert (await waiting).status == 503


# What a GET stream brings without end


async def test_a_get_stream_that_never_rests_waits() -> None:
    """The server is held back as on every other stream: what has come and is not looked at yet has a limit."""
    heartbeats = event(b'{"type":"heartbeat"}') * 2048

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        with contextlib.suppress(OSError):
            await exchange.stream_head()
            while True:
                await exchange.chunk(heartbeats)
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url, **INFO)) as remora:
        async with Client(remora.address) as client:
            await client.call("x")
            before = remora.resident()
            for number in range(20):
                assert (await client.call("x", id=number)).text == "raw"
                await asyncio.sleep(0.2)
            assert remora.peak() - before < 24 << 20, f"{(remora.peak() - before) >> 20} MiB"


@pytest.mark.parametrize("kind", ["event", "message"])
async def test_what_is_passed_over_does_not_fill_the_log(kind: str) -> None:
    """At level debug each is a line, for a while: then they are counted. Other sessions have lines of their own."""
    count = 5000
    flood = b"event: tick\ndata: {}\n\n" if kind == "event" else b'data: {"jsonrpc":"2.0"}\n\n'

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.stream_head()
        name = exchange.message["params"]["name"]
        for _ in range(10 if name == "flood" else 0):
            await exchange.chunk(flood * (count // 10))
        await exchange.chunk(flood + b"data: " + exchange.response(raw.results["tools/call"]) + b"\n\n")
        await exchange.chunk(b"")
        return True

    def lines(event: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, remora.process.lines) if line["event"] == event]

    async with RawBackend(script) as raw:
        async with Remora(configuration(raw.url, log={"level": "debug"})) as remora, Client(remora.address) as client:
            assert (await client.call("flood")).text == "raw"
            assert (await client.call("x", Authorization="Bearer other")).text == "raw"
            await asyncio.sleep(0.5)
            few = len(lines("server_message_ignored"))
            assert 200 < few < 1000, few
            assert (await client.call("x")).text == "raw"
            await asyncio.sleep(0.5)
            dropped = sum(line["count"] for line in lines("server_message_ignored_dropped"))
            assert len(lines("server_message_ignored")) == few + 1 and dropped + few == count + 2, (few, dropped)


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_an_error_of_white_space_is_not_kept(status: int) -> None:
    """It may be the start of a response, and is not more than that."""
    (size, at_once) = (48 << 20, 8)

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] == "x":
            return False
        await exchange.raw(f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(size >> 20):
                await exchange.raw(b" \n" * (1 << 19))
        return True

    async def call_it(number: int) -> Answer:
        async with Client(remora.address) as client:
            return await client.call("spaces", id=number, timeout=60)

    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        assert (await client.call("x")).text == "raw"
        before = remora.peak()
        answers = await asyncio.gather(*(call_it(number) for number in range(at_once)))
        assert all("error" in answer.json for answer in answers)
        assert remora.peak() - before < 32 << 20, f"{(remora.peak() - before) >> 20} MiB"
        assert (await client.call("x")).text == "raw"


@pytest.mark.parametrize("byte", [b" ", b"x", b"{"])
async def test_an_error_without_end_ends(byte: bytes) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] == "x":
            return False
        await exchange.raw(b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.chunk(byte * (1 << 16))
        return True

    limits = {"max_response": "4MiB"}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, limits=limits)) as remora:
        async with Client(remora.address) as client:
            answer = await client.call("endless", timeout=10)
            assert answer.error["data"]["dispatched"] is True and "HTTP 500" in answer.error["message"]
            assert (await client.call("x")).text == "raw"
