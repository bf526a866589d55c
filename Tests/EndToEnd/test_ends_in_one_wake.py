"""A peer that says something and breaks off, both before Remora looks: what it said is heard, and so is the end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import Client, call, encode, request
from harness.remora import Remora, configuration
from harness.stack import settled, settles
from servers.raw import Exchange, PushBackend, RawBackend, notification
from servers.wires import FORMS, Wire, Wires, text
from test_admin import ADMIN, admin_address
from test_borrowed_bytes import WAYS, place
from test_commands import children

CONNECTIONS = 100

REQUESTS = {
    "a call": lambda host: encode(call("x"), host=host),
    "half a head": lambda host: encode(call("x"), host=host)[:60],
    "half a body": lambda host: encode(call("x"), host=host)[:-10],
    "a wrong path": lambda host: encode(call("x"), host=host, target="/nothing"),
    "a listener": lambda host: encode(request("subscriptions/listen", {"notifications": {}}), host=host),
    "two calls": lambda host: encode(call("x"), host=host) * 2,
}


@contextlib.contextmanager
def asleep(remora: Remora) -> Iterator[None]:
    """What happens meanwhile, it finds all at once."""
    os.kill(remora.process.pid, signal.SIGSTOP)
    try:
        with open(f"/proc/{remora.process.pid}/stat") as stat:
            while stat.read().rsplit(")", 1)[1].split()[0] != "T":
                stat.seek(0)
        yield
    finally:
        os.kill(remora.process.pid, signal.SIGCONT)


def reset(connection: socket.socket) -> None:
    """Ends it without an end of the stream."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", REQUESTS)
async def test_a_request_and_a_reset(what: str, threads: int) -> None:
    """A hundred of those leave no connection behind, and room for everybody else."""
    # Each thread has its share of them, and the system may give one more than half of all.
    limits = {"max_connections": (CONNECTIONS + 20) * threads}
    async with RawBackend() as server:
        text = configuration(server.url, limits=limits, threads=threads, log={"level": "info"})
        async with Remora(text) as remora:
            async with Client(remora.address) as client:
                assert (await client.call("x")).text == "raw"
            before = await settled(remora.descriptors)
            host, port = remora.address.rsplit(":", 1)
            data = REQUESTS[what](remora.address)
            connections = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)]
            await _accepted(remora, before + CONNECTIONS)
            with asleep(remora):
                for connection in connections:
                    connection.sendall(data)
                    reset(connection)
                    connection.close()
            # Connections to the server are kept for a while, and there are not more than calls.
            await settles(remora.descriptors, before, timeout=10)
            async with Client(remora.address) as client:
                assert (await client.call("x", id=2)).text == "raw"


async def _accepted(remora: Remora, count: int) -> None:
    async with asyncio.timeout(10):
        while remora.descriptors() < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("threads", [1, 2])
async def test_requests_and_resets_over_tls(threads: int, tmp_path: Path) -> None:
    """Each of them, a few times: an end behind a record is found like one behind bytes."""
    async with RawBackend() as server, place("TLS to clients", tmp_path, server, threads=threads) as there:
        async with await there.open() as connection:
            await there.remora.process.event("listening")
            assert (await connection.exchange(there.call("y", "1", "a"))).status == 200
        before = await settled(there.remora.descriptors)
        connections = [await there.open() for _ in range(4 * len(REQUESTS))]
        await _accepted(there.remora, before + len(connections))
        requests = [REQUESTS[what](there.remora.address) for what in REQUESTS] * 4
        with asleep(there.remora):
            for connection, data in zip(connections, requests, strict=True):
                connection.writer.write(data)
                reset(connection.writer.get_extra_info("socket"))
                connection.abort()
            # What asyncio does about it, it does in its next turn.
            await asyncio.sleep(0.1)
        await settles(there.remora.descriptors, before, timeout=10)


async def test_a_request_and_a_reset_at_the_admin_listener() -> None:
    async with RawBackend() as server:
        async with Remora(configuration(server.url, admin=ADMIN, log={"level": "info"})) as remora:
            host, port = (address := await admin_address(remora)).rsplit(":", 1)
            before = await settled(remora.descriptors)
            connections = [socket.create_connection((host, int(port))) for _ in range(50)]
            await _accepted(remora, before + 50)
            with asleep(remora):
                for connection in connections:
                    connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
                    reset(connection)
                    connection.close()
            await settles(remora.descriptors, before, timeout=10)


@pytest.mark.parametrize("way", WAYS[::2])
async def test_an_event_and_a_reset_on_a_get_stream(way: str, tmp_path: Path) -> None:
    """The change is told, and the stream is opened again, so that the next one is as well."""
    async with PushBackend() as server, place(way, tmp_path, server) as there:
        async with Listener(there.remora.address, toolsListChanged=True) as listener:
            for opened in range(1, 3):
                await server.until(lambda server: server.methods["GET"] == opened and server.streams)
                [stream] = server.streams.values()
                with asleep(there.remora):
                    await stream.chunk(b"data: " + notification("tools/list_changed") + b"\n\n")
                    await asyncio.sleep(0.05)
                    reset(stream.writer.get_extra_info("socket"))
                    server.drop()
                    await asyncio.sleep(0.05)
                assert await listener.notice() == "tools/list_changed"
            await server.until(lambda server: server.methods["GET"] == 3)


@pytest.mark.parametrize("form", FORMS)
async def test_a_notice_and_the_end_of_its_wire(form: str) -> None:
    """The change is told; the session that takes the lost one's place tells the next."""

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "initialize":
            return False
        about = {"serverInfo": {"name": "wires", "version": "1"}, "capabilities": {"tools": {"listChanged": True}}}
        wire.say({"id": message["id"], "result": {"protocolVersion": "2025-11-25", **about}})
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora:
        async with Listener(remora.address, toolsListChanged=True) as listener:
            for opened in range(1, 3):
                await server.until(lambda server: server.methods["notifications/initialized"] == opened)
                await asyncio.sleep(0.1)
                with asleep(remora):
                    server.wires[-1].tell("tools/list_changed")
                    await asyncio.sleep(0.05)
                    await end(server.wires[-1], remora)
                assert await listener.notice() == "tools/list_changed"


async def end(wire: Wire, remora: Remora) -> None:
    """Of a stream by a reset, and of a command by the end of its process, which is waited for."""
    if not children(remora.process.pid):
        wire.reset()
        return await asyncio.sleep(0.05)
    wire.end()
    async with asyncio.timeout(10):
        while children(remora.process.pid):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "exclusive"])
@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_and_the_end_of_its_wire(form: str, can: dict[str, Any]) -> None:
    """The call is answered, and the next one has a session that lives. The reset of a stream may be heard when the server refuses
    the next message."""

    async def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "tools/call":
            return False
        with asleep(remora):
            wire.say({"id": message["id"], "result": text("raw")})
            await asyncio.sleep(0.05)
            await end(wire, remora)
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora:
        server.refusal = lambda wire, _: (404, b'"no such session"') if wire.has_ended else None
        async with Client(remora.address) as client:
            for number in range(3):
                answer = await client.send(call("x", id=number, clientCapabilities=can))
                assert answer.status == 200 and answer.text == "raw", answer
        assert sum(each["method"] == "tools/call" for wire in server.wires for each in wire.heard if "method" in each) == 3


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "exclusive"])
@pytest.mark.parametrize("way", WAYS[::2])
@pytest.mark.parametrize("form", ["json", "events"])
async def test_an_answer_and_a_reset(form: str, way: str, can: dict[str, Any], tmp_path: Path) -> None:
    """A server that breaks off right behind its answer has answered; the next call goes on another connection."""
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        result = exchange.response(server.results["tools/call"])
        with asleep(there.remora):
            await (exchange.json(result) if form == "json" else exchange.sse(result))
            await asyncio.sleep(0.02)
            reset(exchange.writer.get_extra_info("socket"))
            exchange.abort()
            await asyncio.sleep(0.02)
        return True

    async with RawBackend(script) as server, place(way, tmp_path, server) as there:
        async with Client(there.remora.address) as client:
            for number in range(3):
                answer = await client.send(call("x", id=number, clientCapabilities=can))
                assert answer.status == 200 and answer.text == "raw", answer
        await settles(lambda: len(server._writers), 1)


@pytest.mark.parametrize("behind", [100, 200_000], ids=["little", "more than is read"])
async def test_a_client_that_leaves_behind_pipelined_bytes(behind: int) -> None:
    """Its call is cancelled at once, though Remora reads no more of what it sends."""
    begun = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        begun.set()
        await asyncio.Event().wait()
        return True

    async with RawBackend(script) as server, Remora(configuration(server.url)) as remora:
        host, port = remora.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as client:
            client.sendall(encode(call("x"), host=remora.address))
            async with asyncio.timeout(10):
                await begun.wait()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.send(b"G" * behind)
            # Remora has taken what it takes of that: it is in the middle of a request.
            async with asyncio.timeout(10):
                while unsent(client) and behind < 200_000:
                    await asyncio.sleep(0.01)
            reset(client)
        await server.until(lambda raw: raw.methods["notifications/cancelled"] == 1, timeout=5)


def unsent(connection: socket.socket) -> int:
    """Bytes that the other side's kernel has not taken."""
    count = fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", count)[0])
