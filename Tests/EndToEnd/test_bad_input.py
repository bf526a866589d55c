"""Clients that break the rules of JSON and HTTP: each gets its answer, no other client notices, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator

import pytest

from harness import http1
from harness.http1 import Connection
from harness.modern import OMIT, PREFIX, Answer, Client, call, encode
from harness.stack import Stack, bystander, settled, settles, stack
from servers.raw import RawBackend

LIMITS = {
    "header_timeout": "400ms",
    "body_timeout": "400ms",
    "idle_timeout": "1500ms",
    "max_head": "16KiB",
    "max_body": "8MiB",
}
REPETITIONS = 8
SPARE = 4
"""Descriptors that may be more at the end: fewer than one for each repetition, so that a leak shows."""


@pytest.fixture
async def running() -> AsyncIterator[Stack]:
    """Remora with short timeouts. While a test runs another client works, and at the end no descriptor is left."""
    async with RawBackend() as raw, stack(raw.address, limits=LIMITS) as it:
        address = it.remora.address
        # As many connections to the backend as any test here makes Remora keep.
        await asyncio.gather(*(good_call(address) for _ in range(REPETITIONS)))
        before = await settled(it.remora.descriptors)
        async with bystander(address):
            yield it
        await it.client.__aexit__()
        await settles(it.remora.descriptors, before + SPARE)


async def good_call(address: str) -> None:
    async with Client(address) as client:
        assert (await client.call("x")).text == "raw"


def with_twice(text: str, member: str, again: str) -> bytes:
    """The JSON text with a member given a second time, before the first."""
    at = text.index(member)
    return (text[:at] + again + ", " + text[at:]).encode()


CALL = json.dumps(call("x"))
DUPLICATES = {
    "envelope": with_twice(CALL, '"method"', '"method": "tools/list"'),
    "envelope, escaped": with_twice(CALL, '"method"', r'"m\u0065thod": "tools/list"'),
    "id": with_twice(CALL, '"id"', '"id": 2'),
    "params": with_twice(CALL, '"params"', '"params": {}'),
    "name": with_twice(CALL, '"name"', '"name": "y"'),
    "name, escaped": with_twice(CALL, '"name"', r'"\u006eame": "y"'),
    "arguments": with_twice(CALL, '"arguments"', '"arguments": {}'),
    "_meta": with_twice(CALL, '"_meta"', '"_meta": {}'),
    "in _meta": with_twice(CALL, f'"{PREFIX}protocolVersion"', f'"{PREFIX}protocolVersion": "2025-11-25"'),
    "in _meta, escaped": with_twice(
        CALL, f'"{PREFIX}clientCapabilities"', r'"io.modelcontextprotocol\/client\u0043apabilities": {}'
    ),
}


@pytest.mark.parametrize("name", DUPLICATES)
async def test_duplicate_members(running: Stack, name: str) -> None:
    for _ in range(REPETITIONS):
        answer = await running.client.send(DUPLICATES[name], of=call("x"))
        assert (answer.status, answer.code) == (400, -32600)
        assert re.search("duplicate|twice|repeated|more than once", answer.error["message"]), answer


async def test_duplicates_inside_arguments_are_the_servers_business(running: Stack) -> None:
    body = CALL.replace('"arguments": {}', '"arguments": {"a": 1, "a": 2}').encode()
    assert (await running.client.send(body, of=call("x"))).text == "raw"


@pytest.mark.parametrize("text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 10_000])
@pytest.mark.parametrize("place", ["whole", "arguments", "_meta"])
async def test_ten_thousand_levels(running: Stack, text: str, place: str) -> None:
    body = {
        "whole": text,
        "arguments": CALL.replace('"arguments": {}', f'"arguments": {{"a": {text}}}'),
        "_meta": CALL.replace('"_meta": {', f'"_meta": {{"a/b": {text}, '),
    }[place]
    answer = await running.client.send(body.encode(), of=call("x"))
    assert answer.status == 400 and answer.code in (-32600, -32700)
    assert re.search("deep|depth|nest|level", answer.error["message"]), answer


HUNDRED_MEBIBYTES = 100 * 1024 * 1024


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_hundred_mebibytes(running: Stack, framing: str) -> None:
    """Directly, so that no tap keeps the bytes."""
    memory = running.remora.resident()
    async with await Connection.open(running.remora.address) as connection:
        head = {"Content_Length": HUNDRED_MEBIBYTES}
        if framing == "chunked":
            head = {"Content_Length": OMIT, "Transfer_Encoding": "chunked"}
        await connection.send(encode(b"", of=call("x"), host=running.remora.address, **head))

        async def pour() -> None:
            part = b'"' + b"x" * 65534 + b'"'
            if framing == "chunked":
                part = b"10000\r\n" + part + b"\r\n"
            with contextlib.suppress(ConnectionError):
                for _ in range(HUNDRED_MEBIBYTES // 65536):
                    connection.writer.write(part)
                    await connection.writer.drain()

        pouring = asyncio.create_task(pour())
        answer = Answer(await connection.receive())
        pouring.cancel()
        assert answer.status == 413
        assert re.search("8388608|8 ?MiB|max_body|limit", answer.error["message"]), answer
        connection.abort()
    assert running.remora.resident() < memory + 32 * 1024 * 1024


async def test_a_body_just_as_large_as_allowed(running: Stack) -> None:
    small = len(encode(call("x", {"text": ""})).split(b"\r\n\r\n")[1])
    text = "x" * (8 * 1024 * 1024 - small)
    async with Client(running.remora.address) as client:
        assert (await client.call("x", {"text": text})).text == "raw"
        assert (await client.call("x", {"text": text + "x"})).status == 413


async def test_a_head_that_never_ends(running: Stack) -> None:
    for _ in range(REPETITIONS):
        async with await Connection.open(running.remora.address) as connection:
            await connection.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n")

            async def pour() -> None:
                with contextlib.suppress(ConnectionError):
                    for number in range(10_000):
                        connection.writer.write(b"X-%d: %s\r\n" % (number, b"x" * 100))
                        await connection.writer.drain()

            pouring = asyncio.create_task(pour())
            assert (await connection.receive()).status == 431
            pouring.cancel()
            connection.abort()


@pytest.mark.parametrize("sent", [b"P", b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_a_head_that_stops(running: Stack, sent: bytes) -> None:
    async with contextlib.AsyncExitStack() as open:
        connections = [
            await open.enter_async_context(await Connection.open(running.remora.address)) for _ in range(REPETITIONS)
        ]
        for connection in connections:
            await connection.send(sent)
        for connection in connections:
            assert (await connection.receive()).status == 408
            assert await connection.closed_by_peer()


@pytest.mark.parametrize("sent", [b"", b'{"jsonrpc"'])
async def test_a_body_that_never_comes(running: Stack, sent: bytes) -> None:
    async with contextlib.AsyncExitStack() as open:
        connections = [
            await open.enter_async_context(await Connection.open(running.remora.address)) for _ in range(REPETITIONS)
        ]
        for connection in connections:
            host = running.remora.address
            await connection.send(encode(b"", of=call("x"), host=host, Content_Length=100) + sent)
        for connection in connections:
            answer = Answer(await connection.receive())
            assert answer.status == 408
            assert re.search("body", answer.error["message"]), answer
            assert await connection.closed_by_peer()


async def test_a_connection_on_which_nothing_comes(running: Stack) -> None:
    async with await Connection.open(running.remora.address) as connection:
        assert await connection.closed_by_peer(timeout=10)


async def test_connections_that_go_away(running: Stack) -> None:
    whole = encode(call("x"), host=running.remora.address)
    for cut in (0, 1, 20, len(whole) - 1, len(whole)):
        for _ in range(REPETITIONS):
            connection = await Connection.open(running.remora.address)
            await connection.send(whole[:cut])
            connection.abort()


GARBAGE = {
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /mcp\r\n\r\n",
    "two lengths": encode(call("x")).replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length", 1),
    "length and chunked": encode(call("x"), Transfer_Encoding="chunked"),
    "negative length": encode(call("x"), Content_Length=-1),
    "length with sign": encode(call("x"), Content_Length="+10"),
    "huge length": encode(call("x"), Content_Length="9" * 40),
    "unknown coding": encode(call("x"), Content_Length=OMIT, Transfer_Encoding="gzip"),
    "bad chunk": encode(b"zz\r\n", of=call("x"), Content_Length=OMIT, Transfer_Encoding="chunked"),
    "huge chunk": encode(b"f" * 20 + b"\r\n", of=call("x"), Content_Length=OMIT, Transfer_Encoding="chunked"),
    "chunk without end": encode(b"1\r\nxy\r\n", of=call("x"), Content_Length=OMIT, Transfer_Encoding="chunked"),
    "space before colon": encode(call("x")).replace(b"Mcp-Method:", b"Mcp-Method :"),
    "folded": encode(call("x")).replace(b"Mcp-Method: ", b"Mcp-Method:\r\n "),
    "no colon": encode(call("x")).replace(b"Mcp-Method:", b"Mcp-Method"),
    "NUL in a value": encode(call("x"), Mcp_Method="a\0b"),
    "no host": encode(call("x")).replace(b"Host: 127.0.0.1\r\n", b""),
    "two hosts": encode(call("x")).replace(b"Host: 127.0.0.1", b"Host: 127.0.0.1\r\nHost: 127.0.0.1"),
    "two versions": encode(call("x"), MCP_Protocol_Version="2026-07-28\r\nMCP-Protocol-Version: 2025-11-25"),
    "two names": encode(call("x"), Mcp_Name="x\r\nMcp-Name: y"),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_instead_of_http(running: Stack, name: str) -> None:
    for _ in range(REPETITIONS):
        async with await Connection.open(running.remora.address) as connection:
            await connection.send(GARBAGE[name])
            connection.writer.write_eof()
            try:
                status = (await connection.receive()).status
                assert status in (400, 413, 431, 501, 505), status
            except (http1.Truncated, ConnectionError):
                assert name in ("nonsense", "HTTP/2", "HTTP/0.9"), "what looks like HTTP gets an answer"


async def test_too_many_connections() -> None:
    limits = {**LIMITS, "max_connections": 4}
    async with RawBackend() as raw, stack(raw.address, limits=limits) as running:
        async with contextlib.AsyncExitStack() as open:
            clients = [await open.enter_async_context(Client(running.remora.address)) for _ in range(4)]
            for client in clients:
                assert (await client.call("x")).text == "raw"
            # One more waits, is refused or is closed; those that were there do not notice.
            extra = await open.enter_async_context(await Connection.open(running.remora.address))
            with contextlib.suppress(ConnectionError):
                await extra.send(encode(call("x"), host=running.remora.address))
            for client in clients:
                assert (await client.call("x")).text == "raw"
        async with asyncio.timeout(http1.TIMEOUT):
            while True:  # Until the others' places are free again.
                with contextlib.suppress(http1.Truncated, ConnectionError, AssertionError):
                    await good_call(running.remora.address)
                    break
