"""The legacy server that comes with Remora: whatever its clients do, nothing of it waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.http1 import TIMEOUT, Connection, Message
from harness.processes import Process, binary


def encode(method: str, message: Any = None, session: str | None = None) -> bytes:
    body = b"" if message is None else json.dumps({"jsonrpc": "2.0", **message}).encode()
    fields = {"host": "demo", "content-length": str(len(body)), "content-type": "application/json"}
    if session is not None:
        fields["mcp-session-id"] = session
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} /mcp HTTP/1.1\r\n{head}\r\n".encode() + body


async def exchange(address: str, data: bytes) -> Message:
    async with await Connection.open(address) as connection:
        return await connection.exchange(data)


class Demo:
    """A server, and a session with it whose client can be asked."""

    def __init__(self, address: str, session: str) -> None:
        self.address, self.session = address, session

    def encode(self, method: str, message: Any = None) -> bytes:
        return encode(method, message, self.session)


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[Demo]:
    async with await Process.start(binary("legacy-demo"), "--listen", "127.0.0.1:0") as process:
        address = (await process.event("listening"))["address"]
        hello = {"id": 1, "method": "initialize", "params": {"capabilities": {"elicitation": {}}}}
        session = (await exchange(address, encode("POST", hello))).header("mcp-session-id")
        assert session is not None
        yield Demo(address, session)
        assert process.running


async def asked(connection: Connection, server: Demo) -> int:
    """Begins a call that asks; returns the question's id."""
    await connection.send(server.encode("POST", {"id": 2, "method": "tools/call", "params": {"name": "ask"}}))
    async with asyncio.timeout(TIMEOUT):
        text = await connection.reader.readuntil(b"elicitation/create")
        text = text[text.rindex(b"{") :]
    return int(json.loads(text.split(b",")[1].split(b":")[1]))


async def test_a_client_that_half_closes_its_get_stream_may_have_another() -> None:
    async with demo() as server:
        async with await Connection.open(server.address) as first:
            await first.send(server.encode("GET"))
            async with asyncio.timeout(TIMEOUT):
                assert b" 200 " in await first.reader.readuntil(b"\r\n\r\n")
            first.writer.write_eof()
            async with asyncio.timeout(TIMEOUT):
                await first.reader.read()
        async with await Connection.open(server.address) as second:
            await second.send(server.encode("GET"))
            async with asyncio.timeout(TIMEOUT):
                assert b" 200 " in await second.reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("answered", [False, True])
async def test_a_call_that_asks_ends_with_its_session(answered: bool) -> None:
    async with demo() as server, await Connection.open(server.address) as calling:
        question = await asked(calling, server)
        if answered:
            answer = {"id": question, "result": {"action": "accept", "content": {"name": "Ada"}}}
            assert (await exchange(server.address, server.encode("POST", answer))).status == 202
        assert (await exchange(server.address, server.encode("DELETE"))).status == 200
        async with asyncio.timeout(TIMEOUT):
            rest = await calling.reader.readuntil(b"0\r\n\r\n")
        assert (b"Hello, Ada" if answered else b"nobody") in rest
