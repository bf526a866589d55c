"""Clients that leave in the middle of a call: the server hears of it at once, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness import lab as server
from harness.http1 import Connection
from harness.modern import Client, call, encode
from harness.remora import Remora, configuration
from harness.soak import mebibytes, size, tell
from harness.stack import settled, settles
from servers.raw import Exchange, RawBackend
from test_commands import events as log_lines
from test_commands import until

CLIENTS = size(200, 1000)
AT_ONCE = 100
LONG = call("slow", {"seconds": 30})


async def test_the_server_hears_of_it_within_a_second(lab: str) -> None:
    slowest = 0.0
    count = size(10, 100)
    async with Remora(configuration(f"http://{lab}/mcp")) as remora:
        for _ in range(count):
            before = (await server.record(lab))["ends"]
            async with await Connection.open(remora.address) as connection:
                await connection.send(encode(LONG, host=remora.address))
                await server.until(lab, lambda record: reached(record, before, "started", 1))
                connection.abort()
            slowest = max(slowest, await server.until(lab, lambda record: reached(record, before, "cancelled", 1)))
            assert slowest < 1
    tell(f"{count} clients left one after the other; the server's record said so after {slowest * 1000:.0f} ms at most")


def reached(record: dict[str, Any], before: dict[str, int], what: str, more: int) -> bool:
    return record["ends"].get(what, 0) >= before.get(what, 0) + more


async def test_while_an_error_is_on_its_way() -> None:
    """What has come of the body is no fault of the server's: the line of the log says that the client left."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.raw(b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nsome")
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora:
        async with await Connection.open(remora.address) as connection:
            await connection.send(encode(call("x"), host=remora.address))
            await raw.until(lambda raw: raw.methods["tools/call"] == 1)
            await asyncio.sleep(0.1)  # The head has no sign of its own.
            connection.abort()
        await until(lambda: log_lines(remora, "request"))
        line = log_lines(remora, "request")[-1]
        assert (line["status"], line.get("side")) == (499, None), line


async def test_before_there_is_a_session() -> None:
    """A client that leaves while the handshake is under way is never called for; the handshake goes on for the next."""
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "initialize":
            await gate.wait()
        return False

    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora:
        descriptors = remora.descriptors()
        connections = [await Connection.open(remora.address) for _ in range(AT_ONCE)]
        for connection in connections:
            await connection.send(encode(call("x"), host=remora.address))
        await raw.until(lambda raw: raw.methods["initialize"] == 1)
        for connection in connections:
            connection.abort()
        await settles(remora.descriptors, descriptors + 1, timeout=8)  # The handshake's.
        gate.set()
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
        assert (raw.methods["initialize"], raw.methods["tools/call"]) == (1, 1)
        await remora.process.line(lambda _: statuses(remora).count(499) == AT_ONCE)


def statuses(remora: Remora) -> list[int]:
    """Of the requests in the log."""
    return [each["status"] for each in remora.process.events() if each["event"] == "request"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sessions", ["one", "each"])
async def test_a_crowd_leaves_nothing_behind(lab: str, sessions: str) -> None:
    """With one session for all of them, or a principal and a session for each."""
    changes = {"sessions": {"idle_timeout": "1s", "max": 2 * AT_ONCE}, "log": {"level": "info"}}
    # Replicas that other tests killed have left sessions there.
    sessions_before = (await server.record(lab))["sessions"]
    async with Remora(configuration(f"http://{lab}/mcp", **changes)) as remora:
        descriptors = remora.descriptors()
        memory = []
        # The first round makes buffers as large as they get, and pools as full.
        for turn in range(size(2, 4)):
            await crowd(remora, lab, f"{sessions}-{turn}" if sessions == "each" else None)
            await settles(remora.descriptors, descriptors)
            await server.until(lab, lambda record: record["sessions"] == sessions_before)
            memory.append(await settled(remora.resident))
        async with Client(remora.address) as client:
            assert (await client.call("echo", {"text": "still there"})).text == "still there"
        growth = memory[-1] / memory[0] - 1
        tell(
            f"{CLIENTS} clients left in a call, {len(memory)} times, with {sessions} session: "
            f"{' '.join(map(mebibytes, memory))} of memory after each time ({growth:+.1%}), {descriptors} descriptors "
            "before and after, no further session on the server"
        )
        assert growth < 0.05, memory


async def crowd(remora: Remora, lab: str, principal: str | None) -> None:
    """All the clients, some at once: each calls, and leaves when the server has begun."""
    for start in range(0, CLIENTS, AT_ONCE):
        before = (await server.record(lab))["ends"]

        async def arrive(number: int) -> Connection:
            headers = {} if principal is None else {"Authorization": f"Bearer {principal}-{number}"}
            connection = await Connection.open(remora.address)
            await connection.send(encode(LONG, host=remora.address, **headers))
            return connection

        connections = await asyncio.gather(*(arrive(start + number) for number in range(AT_ONCE)))
        await server.until(lab, lambda record: reached(record, before, "started", AT_ONCE))
        for connection in connections:
            connection.abort()
        await server.until(lab, lambda record: reached(record, before, "cancelled", AT_ONCE))
