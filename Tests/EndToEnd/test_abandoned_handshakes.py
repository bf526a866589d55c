"""Callers that leave, or run out of time, while their session is opened: the handshake goes on for others who wait for it, and else
its place is free for a call that needs one."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Client, call, encode, request
from harness.older import Older, message
from harness.processes import SERVERS
from harness.remora import Remora, configuration
from harness.stack import settles
from servers.raw import Exchange, RawBackend
from test_commands import children

RAW = f"{sys.executable} {SERVERS / 'raw_stdio.py'}"
LISTS = [call("x"), request("tools/list"), call("x", clientCapabilities={"elicitation": {}})]
WAYS = ["call", "list", "question"]
ONE = {"sessions": {"max": 1}, "limits": {"handshake_timeout": "60s"}, "listen": {"legacy_clients": "pass"}}


def command(place: Path, first: str) -> dict[str, Any]:
    """A server whose first process does something else."""
    return {"command": ["sh", "-c", f"if mkdir {place}/first; then {first}; else exec {RAW}; fi"]}


async def leaves(remora: Remora, data: bytes) -> None:
    """A client that leaves while its session is opened."""
    async with await Connection.open(remora.address) as connection:
        await connection.send(data)
        await asyncio.sleep(0.5)
        connection.abort()


SILENT = ["cat > /dev/null", "exec sleep 1000"]


@pytest.mark.parametrize("silent", SILENT, ids=["reads", "reads-nothing"])
async def test_an_older_client_that_leaves_takes_its_process_with_it(tmp_path: Path, silent: str) -> None:
    async with Remora(configuration(command(tmp_path, silent), **ONE)) as remora:
        hello = message("initialize", 1, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "o", "version": "1"})
        await leaves(remora, Older(remora.address).encode(hello))
        other = await Older(remora.address).open()
        assert await other.call("x", 2) == "raw"


@pytest.mark.parametrize("message", LISTS, ids=WAYS)
@pytest.mark.parametrize("silent", SILENT, ids=["reads", "reads-nothing"])
async def test_a_caller_that_leaves_has_no_place(tmp_path: Path, silent: str, message: dict[str, Any]) -> None:
    async with Remora(configuration(command(tmp_path, silent), **ONE)) as remora, Client(remora.address) as client:
        await leaves(remora, encode(message, host=remora.address, Authorization="Bearer a"))
        assert (await client.call("x", Authorization="Bearer b")).text == "raw"


@pytest.mark.parametrize("message", LISTS, ids=WAYS)
async def test_a_caller_that_leaves_has_no_place_over_http(message: dict[str, Any]) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "initialize" and raw.methods["initialize"] == 1:
            await asyncio.sleep(100)
        return False

    async with RawBackend(script) as raw, Remora(configuration(raw.url, **ONE)) as remora, Client(remora.address) as client:
        await leaves(remora, encode(message, host=remora.address, Authorization="Bearer a"))
        assert (await client.call("x", Authorization="Bearer b")).text == "raw"


async def test_the_process_of_one_that_leaves_is_there_for_the_next(tmp_path: Path) -> None:
    """A client may have less patience than a server takes to start."""
    async with Remora(configuration(command(tmp_path, f"sleep 2; exec {RAW}"), **ONE)) as remora:
        await leaves(remora, encode(call("x"), host=remora.address))
        server = min(children(remora.process.child.pid))
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            assert list(children(remora.process.child.pid)) == [server]


async def test_others_wait_on_when_one_leaves() -> None:
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "initialize":
            await gate.wait()
        return False

    async with RawBackend(script) as raw, Remora(configuration(raw.url, **ONE)) as remora, Client(remora.address) as client:
        leaving = asyncio.create_task(leaves(remora, encode(call("x"), host=remora.address)))
        await raw.until(lambda raw: raw.methods["initialize"] == 1)
        staying = asyncio.create_task(client.call("x"))
        await leaving
        gate.set()
        assert (await staying).text == "raw"
        assert raw.methods["initialize"] == raw.methods["tools/call"] == 1


@pytest.mark.parametrize("message", LISTS, ids=WAYS)
async def test_a_request_ends_in_its_time_and_its_handshake_goes_on(message: dict[str, Any]) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "initialize":
            await asyncio.sleep(3)
        return False

    limits = {"request_timeout": "500ms", "handshake_timeout": "30s", "backend_idle_timeout": "30s"}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, limits=limits)) as remora:
        async with Client(remora.address) as client:
            started = time.monotonic()
            answer = await client.send(message)
            assert time.monotonic() - started < 2
            assert (answer.status, answer.error["data"]["dispatched"]) == (503, False), answer
            assert "limits.request_timeout" in answer.error["message"]
            await raw.until(lambda raw: raw.methods["notifications/initialized"] == 1)
            await asyncio.sleep(0.5)
            assert "error" not in (await client.send(message)).json
            assert raw.methods["initialize"] == 1


async def test_a_call_does_not_wait_for_a_list_beyond_its_time() -> None:
    """A list has a time of its own, for all who want it."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method in ("initialize", "tools/list"):
            await asyncio.sleep(1 if exchange.method == "initialize" else 100)
        return False

    limits = {"request_timeout": "2s", "handshake_timeout": "30s", "backend_idle_timeout": "30s"}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, limits=limits)) as remora:
        async with Client(remora.address) as client:
            started = time.monotonic()
            answer = await client.call("x")
            assert time.monotonic() - started < 2.8 and answer.error["data"]["dispatched"] is False


async def test_a_stop_does_not_wait_for_a_handshake_of_nobody(tmp_path: Path) -> None:
    async with Remora(configuration(command(tmp_path, "exec sleep 1000"), **ONE)) as remora:
        await leaves(remora, encode(call("x"), host=remora.address))
        (child,) = children(remora.process.child.pid)
        started = time.monotonic()
        remora.process.child.terminate()
        await asyncio.wait_for(remora.process.child.wait(), 10)
        assert time.monotonic() - started < 4
        await settles(lambda: Path(f"/proc/{child}").exists(), False, timeout=4)
