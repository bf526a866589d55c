"""Clients that read or send slowly cost a bounded amount of memory, and hold up no other client."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from harness import http1
from harness.http1 import Connection
from harness.modern import Answer, Client, call, encode
from harness.processes import Process, binary
from harness.remora import Remora, configuration
from harness.soak import mebibytes, quantile, size, tell
from harness.stack import bystander, settles
from servers.raw import Exchange, RawBackend

MEBIBYTE = 1024 * 1024
TRICKLING = size(200, 2000)
CALLS = size(300, 3000)
READERS = size(8, 32)


async def latencies(address: str, count: int) -> list[float]:
    """Of calls one after the other, about 200 a second (seconds)."""
    found = []
    async with Client(address) as client:
        for number in range(count):
            start = time.perf_counter()
            answer = await client.call("echo", {"text": str(number)}, id=number)
            found.append(time.perf_counter() - start)
            assert answer.text == str(number)
            await asyncio.sleep(0.005)
    return found


@pytest.mark.timeout(300)
async def test_connections_that_send_a_byte_a_second() -> None:
    """Others' calls go on as before. The times are a measurement: what else the machine does is not the test's."""
    limits = {"header_timeout": "2m", "max_connections": TRICKLING + 100}
    async with await Process.start(binary("legacy-demo"), "--listen", "127.0.0.1:0") as backend:
        url = f"http://{(await backend.event('listening'))['address']}/mcp"
        async with Remora(configuration(url, limits=limits, log={"level": "info"})) as remora:
            await latencies(remora.address, 100)
            quiet = await latencies(remora.address, CALLS)
            memory, descriptors = remora.resident(), remora.descriptors()
            script = str(Path(__file__).parent / "harness" / "trickle.py")
            async with await Process.start(sys.executable, script, remora.address, str(TRICKLING)) as crowd:
                await crowd.event("open", timeout=60)
                await crowd.event("second")
                busy = await latencies(remora.address, CALLS)
                more = remora.resident() - memory
                assert remora.descriptors() >= TRICKLING, "they are all connected"
                assert [each["alive"] for each in crowd.events() if each["event"] == "second"][-1] == TRICKLING
                await crowd.kill()
            await settles(remora.descriptors, descriptors)
    worst = [quantile(each, 99) * 1000 for each in (quiet, busy)]
    tell(
        f"{TRICKLING} connections that send a byte a second: others' p99 {worst[1]:.2f} ms, {worst[0]:.2f} ms when "
        f"quiet (x{worst[1] / worst[0]:.2f}); {more / TRICKLING / 1024:.1f} KiB of memory for each"
    )
    assert more < TRICKLING * 32 * 1024


async def test_readers_that_take_nothing_of_a_large_answer() -> None:
    """Each holds its answer and no more, and gives it back when it goes; others' calls go on."""
    text = b"x" * (8 * MEBIBYTE)
    large = b'{"content":[{"type":"text","text":"' + text + b'"}]}'

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "large":
            return False
        await exchange.json(exchange.response(large))
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url, log={"level": "info"})) as remora:
        async with bystander(remora.address):
            memory, descriptors = remora.resident(), remora.descriptors()
            readers = [await Connection.open(remora.address) for _ in range(READERS)]
            for reader in readers:
                await reader.send(encode(call("large"), host=remora.address))
            await raw.until(lambda raw: raw.methods["tools/call"] >= READERS)
            end = time.monotonic() + size(2, 10)
            most = 0
            while time.monotonic() < end:
                most = max(most, remora.resident() - memory)
                await asyncio.sleep(0.05)
            # One of them goes on reading after all, and gets the whole.
            assert Answer(await readers[0].receive()).text == text.decode()
            for reader in readers:
                reader.abort()
            # The bystander has a connection on either side.
            await settles(remora.descriptors, descriptors + 2)
    tell(
        f"{READERS} readers that take nothing of answers of 8 MiB: {mebibytes(most)} of memory at most "
        f"({most / READERS / len(large):.2f} of their answers)"
    )
    assert most < READERS * len(large) * 2.5 + 16 * MEBIBYTE


STREAM = size(64, 256) * MEBIBYTE
PART = 64 * 1024


@pytest.mark.timeout(300)
async def test_a_slow_reader_of_a_long_stream() -> None:
    """The server is held up by the reader, and Remora keeps a few parts and not the stream."""
    count = STREAM // PART
    sent = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal sent
        if exchange.method != "tools/call" or exchange.message["params"]["name"] != "long":
            return False
        await exchange.stream_head()
        for number in range(count):
            params = {"level": "info", "data": {"number": number, "fill": "x" * PART}}
            message = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
            await exchange.chunk(b"data: " + json.dumps(message).encode() + b"\n\n")
            sent += 1
        await exchange.chunk(b"data: " + exchange.response(raw.results["tools/call"]) + b"\n\n")
        await exchange.chunk(b"")
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url, log={"level": "info"})) as remora:
        async with bystander(remora.address), await Connection.open(remora.address) as reader:
            memory = remora.resident()
            await reader.send(encode(call("long", logLevel="debug"), host=remora.address))
            head = await http1.read_head(reader.reader)
            assert head is not None and head.media_type == "text/event-stream"
            chunks = http1.chunks(reader.reader)
            body, most = bytearray(), 0
            end = time.monotonic() + size(3, 30)
            while time.monotonic() < end:
                body += await anext(chunks)
                most = max(most, remora.resident() - memory)
                await asyncio.sleep(0.1)
            held = sent - body.count(b'"number"')
            assert held * PART < 32 * MEBIBYTE, "the server goes on sending to a reader that does not read"
            async for chunk in chunks:
                body += chunk
                most = max(most, remora.resident() - memory)
    messages = [json.loads(event.data) for event in http1.events(bytes(body))]
    assert [each["params"]["data"]["number"] for each in messages[:-1]] == list(range(count))
    assert "result" in messages[-1]
    tell(
        f"a slow reader of a stream of {mebibytes(STREAM)}: {mebibytes(most)} of memory at most, {held} messages of "
        f"64 KiB between server and reader"
    )
    assert most < 16 * MEBIBYTE
