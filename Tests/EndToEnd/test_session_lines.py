"""What the log and the metrics say of sessions that end, and of servers that come and go."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from harness.modern import Client
from harness.remora import Remora, configuration
from servers.raw import Exchange, RawBackend
from servers.wires import Wire, Wires
from test_admin import admin_address, metrics

ADMIN: dict[str, Any] = {"admin": {"address": "127.0.0.1:0"}}


async def call(client: Client, caller: object) -> None:
    assert (await client.call("x", Authorization=f"Bearer {caller}")).text == "raw"


async def test_a_session_that_is_opened() -> None:
    name = "a\nb\u202e" + "n" * 1000

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize":
            return False
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": name, "version": 7}}
        await exchange.json(exchange.response(json.dumps(result).encode()))
        return True

    async with RawBackend(script, sessions=False) as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
        line = await remora.process.event("session_opened")
        assert line["level"] == "info" and line["backend"] == f"http://{raw.address}"
        assert line["revision"] == "2025-06-18" and line["server_version"] == "7" and line["principal"] == "-"
        assert line["server"].startswith("a\nb") and len(line["server"].encode()) <= 256
        assert 0 < line["ms"] < 60_000


async def test_a_server_that_starts_anew_is_one_line() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url, **ADMIN)) as remora, Client(remora.address) as client:
        for caller in range(6):
            await call(client, caller % 3)
            await call(client, caller)
        raw.sessions.clear()
        for caller in range(6):
            await call(client, caller)
        line = await remora.process.event("session_lost")
        assert (line["level"], line["reason"], line["backend"]) == ("warning", "server", f"http://{raw.address}")
        assert (line["sessions"], line["callers"]) == (6, 6) and "principal" not in line
        numbers = await metrics(await admin_address(remora))
        assert numbers.value("remora_sessions_lost_total", reason="server") == 6
        assert numbers.value("remora_sessions_lost_total", reason="configuration") == 0


@pytest.mark.parametrize("form", ["stdio", "sse"])
async def test_the_end_of_a_process_or_stream_is_one(form: str) -> None:
    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") == "tools/call":
            wire.end()
        return message.get("method") == "tools/call"

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora:
        async with Client(remora.address) as client:
            await client.call("x")
            line = await remora.process.event("session_lost")
            assert (line["reason"], line["callers"], line["principal"]) == ("server", 1, "-")


async def test_sessions_that_expire_and_that_make_room() -> None:
    sessions = {"max": 2, "max_per_principal": 1, "idle_timeout": "1s"}
    async with RawBackend() as raw, Remora(configuration(raw.url, sessions=sessions)) as remora:
        async with Client(remora.address) as client:
            for caller in range(3):
                await call(client, caller)
            line = await remora.process.event("session_evicted")
            assert (line["level"], line["sessions"], line["callers"]) == ("info", 1, 1)

            def expired(_: str) -> bool:
                lines = [each for each in remora.process.events() if each["event"] == "session_expired"]
                assert all(each["level"] == "info" and each["sessions"] == each["callers"] for each in lines)
                return sum(each["sessions"] for each in lines) == 2

            await remora.process.line(expired)


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_server_that_is_not_there_at_the_start(era: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Remora(configuration(f"http://127.0.0.1:{port}/mcp", server={"era": era})) as remora:
        line = await remora.process.event("backend_down")
        assert line["level"] == "error" and line["backend"] == f"http://127.0.0.1:{port}"
        assert "refused" in line["reason"] and (line["sessions"], line["callers"]) == (0, 0)
        async with RawBackend(port=port), Client(remora.address) as client:
            await asyncio.sleep(1.1)
            assert (await client.call("x")).text == "raw"
            line = await remora.process.event("backend_up")
            assert line["level"] == "info" and line["down_ms"] >= 1000
        assert len([each for each in remora.process.events() if each["event"] == "backend_down"]) <= 2


async def test_a_command_that_is_not_there() -> None:
    async with Remora(configuration({"command": ["/nowhere/server"]})) as remora:
        line = await remora.process.event("backend_down")
        assert line["backend"] == "stdio:server" and "server" in line["reason"]


async def test_a_server_that_goes_and_comes_back() -> None:
    async with RawBackend() as other:
        raw = RawBackend()
        async with raw:
            port = int(raw.address.rpartition(":")[2])
            remora = Remora(configuration(raw.url, other.url))
            await remora.__aenter__()
            async with Client(remora.address) as client:
                for caller in range(4):
                    await call(client, caller)
        async with Client(remora.address) as client:
            for caller in range(4, 6):
                await call(client, caller)
            line = await remora.process.event("backend_down")
            assert line["level"] == "warning", "another copy is there"
            assert (line["sessions"], line["callers"]) == (2, 2)
            async with RawBackend(port=port):
                await remora.process.event("backend_up")
        await remora.__aexit__(None)


async def test_a_server_that_gives_no_session() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize" or works.is_set():
            return False
        await exchange.reply(500, b"broken")
        return True

    works = asyncio.Event()
    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        assert (await client.call("x")).status == 503
        line = await remora.process.event("backend_down")
        assert "HTTP 500" in line["reason"]
        works.set()
        await asyncio.sleep(1.1)
        assert (await client.call("x")).text == "raw"
        await remora.process.event("backend_up")
