"""Servers over HTTP+SSE of 2024-11-05: how they are found, where messages may go, and what the end of the stream means."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from harness import lab
from harness.modern import Client
from harness.remora import Remora, configuration


@contextlib.asynccontextmanager
async def stream(endpoint: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server whose first event names this endpoint, and that keeps what it is sent."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            requests.append(head)
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                writer.write(b"event: endpoint\ndata: " + endpoint.encode() + b"\n\n")
                await writer.drain()
                await reader.read()
            else:
                writer.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield "127.0.0.1:{}".format(server.sockets[0].getsockname()[1]), requests


@pytest.mark.parametrize("version", ["1.30.0", "1.2.1"])
async def test_the_older_transport_is_found_and_remembered(version: str) -> None:
    async with lab.Lab(version, "--sse") as own:
        async with Remora(configuration(f"http://{own.address}/mcp")) as remora, Client(remora.address) as client:
            assert [(await client.call("counter")).text for _ in range(2)] == ["1", "2"]
            assert (await client.call("counter", Authorization="Bearer other")).text == "1"
            record = await lab.record(own.address)
            assert record["sessions"] == 2
            # The first was also tried by POST, the second not any more.
            assert record["methods"]["initialize"] == 3
            await own.kill()
            refused = await client.call("counter")
            assert (refused.status, refused.error["data"]["dispatched"]) == (503, False)
            await own.start()
            assert [(await client.call("counter")).text for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/messages", "//evil.example/m", "https://evil.example/m", "a b"])
async def test_credentials_go_to_the_server_alone(endpoint: str) -> None:
    async with stream(endpoint) as (address, requests):
        text = configuration(f"http://{address}/sse", server={"transport": "sse"})
        async with Remora(text) as remora, Client(remora.address) as client:
            refused = await client.call("x", Authorization="Bearer secret")
            assert (refused.status, refused.error["data"]["dispatched"]) == (503, False)
            await asyncio.sleep(0.1)
            (entry,) = [each for each in remora.process.events() if each["event"] == "request"]
            assert "own origin" in entry["detail"] and "evil" not in entry["detail"]
        assert [each.split(b" ")[0] for each in requests] == [b"GET"]


async def test_messages_go_to_the_endpoint() -> None:
    async with stream("messages?session=s-1") as (address, requests):
        text = configuration(f"http://{address}/a/sse", server={"transport": "sse"})
        async with Remora(text) as remora, Client(remora.address) as client:
            assert (await client.call("x")).status == 503
        assert [each.split(b"\r\n")[0] for each in requests] == [
            b"GET /a/sse HTTP/1.1",
            b"POST /a/messages?session=s-1 HTTP/1.1",
        ]
