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

import pytest

from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import Client, call, encode, request
from harness.remora import Remora, configuration
from harness.stack import settled, settles
from servers.raw import Exchange, PushBackend, RawBackend, notification
from test_borrowed_bytes import WAYS, place

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


async def test_a_request_and_a_reset_over_tls(tmp_path: Path) -> None:
    async with RawBackend() as server, place("TLS to clients", tmp_path, server) as there:
        async with await there.open() as connection:
            await there.remora.process.event("listening")
            assert (await connection.exchange(there.call("y", "1", "a"))).status == 200
        before = await settled(there.remora.descriptors)
        connections = [await there.open() for _ in range(20)]
        await _accepted(there.remora, before + 20)
        with asleep(there.remora):
            for connection in connections:
                connection.writer.write(there.call("x", "1", "a"))
                reset(connection.writer.get_extra_info("socket"))
                connection.abort()
            # What asyncio does about it, it does in its next turn.
            await asyncio.sleep(0.1)
        await settles(there.remora.descriptors, before, timeout=10)


@pytest.mark.parametrize("way", WAYS[::2])
async def test_an_event_and_a_reset_on_a_get_stream(way: str, tmp_path: Path) -> None:
    """The change is told, and the stream is opened again, so that the next one is as well."""
    async with PushBackend() as server, place(way, tmp_path, server) as there:
        async with Listener(there.remora.address, toolsListChanged=True) as listener:
            for opened in range(1, 4):
                await server.until(lambda server: server.methods["GET"] == opened and server.streams)
                [stream] = server.streams.values()
                with asleep(there.remora):
                    await stream.chunk(b"data: " + notification("tools/list_changed") + b"\n\n")
                    await asyncio.sleep(0.05)
                    reset(stream.writer.get_extra_info("socket"))
                    server.drop()
                    await asyncio.sleep(0.05)
                assert await listener.notice() == "tools/list_changed"
            await server.until(lambda server: server.methods["GET"] == 4)


@pytest.mark.parametrize("form", ["json", "events"])
async def test_an_answer_and_a_reset(form: str) -> None:
    """A server that breaks off right behind its answer has answered; the next call goes on another connection."""
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        result = exchange.response(server.results["tools/call"])
        with asleep(remora):
            await (exchange.json(result) if form == "json" else exchange.sse(result))
            await asyncio.sleep(0.02)
            reset(exchange.writer.get_extra_info("socket"))
            exchange.abort()
            await asyncio.sleep(0.02)
        return True

    async with RawBackend(script) as server, Remora(configuration(server.url, log={"level": "info"})) as remora:
        async with Client(remora.address) as client:
            for number in range(3):
                answer = await client.call("x", id=number)
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
