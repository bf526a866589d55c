"""SIGHUP keeps the sessions whose server has not changed, and what goes on in them; of the others the log says that they are lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness import http1
from harness.certificates import Authority
from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import OMIT, Answer, Client, call, encode
from harness.remora import Remora, configuration
from harness.tap import Tap
from servers.raw import Exchange, PushBackend, RawBackend
from servers.wires import Wire, Wires, text
from test_admin import admin_address, metrics

CHANGED: dict[str, Any] = {
    "nothing": {},
    "limits": {"limits": {"max_response": "1MiB", "connect_timeout": "1s", "backend_idle_timeout": "20s"}},
    "cache": {"cache": {"ttl": "0s"}},
    "sessions": {"sessions": {"max": 10, "max_per_principal": 5, "idle_timeout": "1m"}},
    "log": {"log": {"level": "info"}},
    "listen": {"listen": {"allowed_hosts": ["127.0.0.1"]}},
}
"""Changes that concern no server."""


def counting(**options: Any) -> RawBackend:
    """Each tool call says how many there were in its session."""
    counts: Counter[str | None] = Counter()

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.session not in raw.sessions:
            return False
        counts[exchange.session] += 1
        result = b'{"content":[{"type":"text","text":"%d"}]}' % counts[exchange.session]
        await exchange.json(exchange.response(result))
        return True

    raw = RawBackend(script, **options)
    return raw


async def count(client: Client, **options: Any) -> int:
    return int((await client.call("x", **options)).text)


def lost(remora: Remora) -> list[dict[str, Any]]:
    return [each for each in remora.process.events() if each["event"] == "session_lost"]


@pytest.mark.parametrize("changes", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("threads", [1, 3])
async def test_a_counter_goes_on(changes: dict[str, Any], threads: int) -> None:
    async with counting() as raw, Remora(configuration(raw.url, threads=threads)) as remora:
        async with Client(remora.address) as client:
            assert await count(client) == 1
            await remora.reload(configuration(raw.url, threads=threads, **changes))
            assert await count(client) == 2
            await remora.reload(configuration(raw.url, threads=threads))
            assert await count(client) == 3
            assert raw.methods["initialize"] == 1 and raw.methods["DELETE"] == 0
            assert lost(remora) == []
    assert raw.methods["DELETE"] == 1 and not raw.sessions


@pytest.mark.parametrize("form", ["stdio", "sse"])
async def test_a_counter_goes_on_in_a_process_or_stream(form: str) -> None:
    counts: Counter[int] = Counter()

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "tools/call":
            return False
        counts[wire.number] += 1
        wire.say({"id": message["id"], "result": text(str(counts[wire.number]))})
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora:
        async with Client(remora.address) as client:
            assert await count(client) == 1
            await remora.reload(configuration(server.backend, limits={"max_response": "2MiB"}))
            assert await count(client) == 2
            await remora.reload(configuration(server.backend, sessions={"max": 4}))
            assert await count(client) == 3
            assert len(server.wires) == 1


async def test_a_call_in_flight_and_its_session_go_on() -> None:
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "slow":
            await gate.wait()
        return False

    async with RawBackend(script) as raw, Remora(configuration(raw.url)) as remora:
        async with await Connection.open(remora.address) as busy, Client(remora.address) as client:
            await busy.send(encode(call("slow"), host=remora.address))
            await raw.until(lambda raw: raw.methods["tools/call"] == 1)
            for _ in range(3):
                await remora.reload(configuration(raw.url))
            assert (await client.call("x")).text == "raw"
            gate.set()
            assert Answer(await busy.receive()).text == "raw"
            assert raw.methods["initialize"] == 1


async def test_only_the_sessions_of_a_server_that_has_changed_are_lost() -> None:
    async with counting() as one, counting() as other, counting() as third:
        before = configuration(one.url, other.url, admin={"address": "127.0.0.1:0"})
        async with Remora(before) as remora, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(remora.address)) for _ in range(2)]
            for number, client in enumerate(clients):
                assert await count(client, Authorization=f"Bearer {number}") == 1
            assert one.methods["initialize"] == other.methods["initialize"] == 1
            # In another order, so that the places differ.
            await remora.reload(configuration(third.url, one.url, admin={"address": "127.0.0.1:0"}))
            counts = [await count(client, Authorization=f"Bearer {number}") for number, client in enumerate(clients)]
            assert sorted(counts) == [1, 2]
            await other.until(lambda raw: raw.methods["DELETE"] == 1)
            line = await remora.process.event("session_lost")
            assert (line["reason"], line["level"]) == ("configuration", "warning")
            assert (line["sessions"], line["callers"], line["backend"]) == (1, 1, f"http://{other.address}")
            assert one.methods["initialize"] == third.methods["initialize"] == 1
            numbers = await metrics(await admin_address(remora))
            assert numbers.value("remora_sessions_lost_total", reason="configuration") == 1
            assert numbers.value("remora_sessions", state="open") == 2
            loads = {name: numbers.value("remora_backend_load", backend=f"http://{name}") for name in (one.address, third.address)}
            assert loads == {one.address: 1, third.address: 1}
        assert not one.sessions and not third.sessions


SECTIONS: dict[str, Any] = {
    "server": {"server": {"annotations": "ignore"}},
    "isolation": {"sessions": {"isolate_by": ["authorization", "header:x-tenant"]}},
}


@pytest.mark.parametrize("changes", SECTIONS.values(), ids=SECTIONS)
async def test_a_session_that_cannot_go_on_is_told(changes: dict[str, Any]) -> None:
    async with counting() as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as client:
            assert await count(client) == 1
            await remora.reload(configuration(raw.url, **changes))
            assert await count(client) == 1
            assert (await remora.process.event("session_lost"))["reason"] == "configuration"
            await raw.until(lambda raw: raw.methods["DELETE"] == 1)


async def test_listeners_hear_on() -> None:
    async with PushBackend() as raw, Remora(configuration(raw.url)) as remora:
        async with Listener(remora.address, toolsListChanged=True) as listener:
            await remora.reload(configuration(raw.url, sessions={"max": 3}))
            await raw.tell(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
            assert await listener.notice() == "tools/list_changed"
            await remora.reload(configuration(raw.url))
            await asyncio.sleep(0.2)
            await raw.tell(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
            assert await listener.notice() == "tools/list_changed"
            assert raw.methods["initialize"] == 1 and raw.methods["GET"] == 1


async def test_a_stream_that_is_passed_through_goes_on() -> None:
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        await exchange.stream_head()
        await gate.wait()
        await exchange.chunk(b"data: {}\n\n")
        await exchange.chunk(b"")
        return True

    passing = {"listen": {"legacy_clients": "pass"}}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, **passing)) as remora:
        async with await Connection.open(remora.address) as connection:
            get = encode(
                b"", method="GET", host=remora.address, Content_Length=OMIT, MCP_Protocol_Version="2025-11-25"
            )
            await connection.send(get)
            assert await http1.read_head(connection.reader) is not None
            await remora.reload(configuration(raw.url, limits={"max_body": "1MiB"}, **passing))
            gate.set()
            async with asyncio.timeout(5):
                assert b"data: {}" in await connection.reader.readuntil(b"0\r\n\r\n")


@contextlib.asynccontextmanager
async def parked() -> AsyncIterator[RawBackend]:
    """A server whose tool asks something."""

    async def script(exchange: Exchange) -> bool:
        if isinstance(exchange.message, dict) and "result" in exchange.message:
            answered.set()
        if exchange.method != "tools/call":
            return False
        await exchange.stream_head()
        question = b'{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}'
        await exchange.chunk(b"data: " + question + b"\n\n")
        await answered.wait()
        await exchange.chunk(b"data: " + exchange.response(b'{"content":[{"type":"text","text":"answered"}]}') + b"\n\n")
        await exchange.chunk(b"")
        return True

    answered = asyncio.Event()
    async with RawBackend(script) as raw:
        yield raw


async def test_a_parked_call_goes_on_and_its_session_too() -> None:
    async with parked() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        capabilities = {"elicitation": {}}
        asked = (await client.send(call("x", clientCapabilities=capabilities))).result
        assert asked["resultType"] == "input_required"
        for _ in range(2):
            await remora.reload(configuration(raw.url))
        name = next(iter(asked["inputRequests"]))
        retry = call("x", clientCapabilities=capabilities)
        retry["params"]["inputResponses"] = {name: {"action": "accept", "content": {}}}
        retry["params"]["requestState"] = asked["requestState"]
        assert (await client.send(retry)).text == "answered"
        assert raw.methods["initialize"] == 1


async def test_many_reloads_under_load_lose_nothing() -> None:
    async with counting() as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as client:
            done = asyncio.Event()

            async def loop() -> list[int]:
                found = []
                while not done.is_set():
                    found.append(await count(client))
                return found

            running = asyncio.create_task(loop())
            for number in range(60):
                await remora.reload(configuration(raw.url, sessions={"max": 10 + number % 2}))
            done.set()
            found = await running
            assert found == list(range(1, len(found) + 1)) and len(found) > 10
            assert raw.methods["initialize"] == 1


async def test_a_smaller_number_of_sessions_ends_those_that_are_idle() -> None:
    async with counting() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        for number in range(5):
            assert await count(client, Authorization=f"Bearer {number}") == 1
        await remora.reload(configuration(raw.url, sessions={"max": 2}))
        await raw.until(lambda raw: raw.methods["DELETE"] == 3)
        assert await count(client, Authorization="Bearer 4") == 2
        line = await remora.process.event("session_evicted")
        assert (line["sessions"], line["callers"]) == (3, 3)


async def test_files_that_are_read_anew_and_say_the_same_change_no_server(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    identity = authority.issue("backend", "127.0.0.1")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Path(authority.file).read_bytes())
    async with counting() as raw, Tap(raw.address, listen_tls=authority.server_context(identity)) as tap:
        text = configuration({"url": f"https://{tap.address}/mcp", "tls": {"ca": str(trusted)}})
        async with Remora(text) as remora, Client(remora.address) as client:
            assert await count(client) == 1
            await remora.reload(text)
            await asyncio.sleep(3.5)  # Idle connections are closed: the next one is made with what was read anew.
            assert await count(client) == 2
            trusted.write_bytes(Path(authority.file).read_bytes() + Path(other.file).read_bytes())
            await remora.reload(text)
            assert await count(client) == 1
            assert (await remora.process.event("session_lost"))["reason"] == "configuration"
