"""Sessions with the backend: made, shared, lost, given up, and closed at the end."""

from __future__ import annotations

import asyncio
import re

import pytest

from harness.http1 import Connection, Truncated
from harness.modern import Answer, call, encode, request
from harness.remora import Remora, configuration
from harness.stack import stack
from servers.raw import Exchange, RawBackend


async def test_the_handshake() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        (initialize,) = await running.backend_messages("initialize")
        assert initialize["params"]["protocolVersion"] == "2025-11-25"
        assert initialize["params"]["capabilities"] == {}
        order = [each["method"] for each in await running.backend_messages()]
        assert order[:2] == ["initialize", "notifications/initialized"]
    assert raw.methods["DELETE"] == 1 and raw.sessions == set(), "the session is closed at the end"


@pytest.mark.parametrize("revision", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
@pytest.mark.parametrize("sessions", [True, False])
async def test_every_legacy_revision(revision: str, sessions: bool) -> None:
    """The audit looks at MCP-Protocol-Version and at the messages."""
    async with RawBackend(revision=revision, sessions=sessions) as raw, stack(raw.address) as running:
        for _ in range(3):
            assert (await running.client.call("x")).text == "raw"
        assert (await running.client.send(request("tools/list"))).result["tools"][0]["name"] == "x"
    assert raw.methods["initialize"] == 1


async def test_principals_do_not_share(lab_json: str) -> None:
    async with stack(lab_json) as running:
        counts = {}
        for _ in range(3):
            for principal in ("Bearer a", "Bearer b", None):
                headers = {"Authorization": principal} if principal else {}
                counts[principal] = (await running.client.call("counter", **headers)).text
        assert counts == {"Bearer a": "3", "Bearer b": "3", None: "3"}
        assert len(await running.backend_messages("initialize")) == 3
        for exchange in await running.backend_exchanges():
            assert exchange.request is not None
            authorization = exchange.request.header("authorization")
            assert authorization in ("Bearer a", "Bearer b", None)


async def test_a_configured_header_separates_too(lab_json: str) -> None:
    sessions = {"isolate_by": ["authorization", "header:X-Tenant"]}
    async with stack(lab_json, sessions=sessions) as running:
        assert (await running.client.call("counter", X_Tenant="a")).text == "1"
        assert (await running.client.call("counter", X_Tenant="b")).text == "1"
        assert (await running.client.call("counter", X_Tenant="a")).text == "2"
        assert (await running.client.call("counter", X_Other="c", X_Tenant="a")).text == "3"


async def test_an_idle_session_is_closed() -> None:
    async with RawBackend() as raw, stack(raw.address, sessions={"idle_timeout": "1s"}) as running:
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["DELETE"] == 0
        await raw.until(lambda raw: raw.methods["DELETE"] == 1)
        assert raw.sessions == set()
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 2


async def test_sessions_have_a_limit() -> None:
    """More principals than sessions: idle ones make room."""
    async with RawBackend() as raw, stack(raw.address, sessions={"max": 2}) as running:
        for principal in ("a", "b", "c", "a"):
            assert (await running.client.call("x", Authorization=f"Bearer {principal}")).text == "raw"
            assert len(raw.sessions) <= 2


def held(gate: asyncio.Event) -> object:
    """A script that keeps every call until the gate opens."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            await gate.wait()
        return False

    return script


async def test_the_end_waits_for_calls() -> None:
    """SIGTERM: no new connection, but the call in flight is answered; then the session is closed, and the exit is 0."""
    gate = asyncio.Event()
    async with RawBackend(held(gate)) as raw, Remora(configuration(raw.url)) as remora:  # type: ignore[arg-type]
        async with await Connection.open(remora.address) as connection:
            await connection.send(encode(call("x"), host=remora.address))
            await raw.until(lambda raw: raw.methods["tools/call"] == 1)
            remora.process.terminate()
            async with asyncio.timeout(10):
                while True:  # Until it does not listen any more.
                    try:
                        await (await Connection.open(remora.address)).close()
                    except ConnectionError:
                        break
            gate.set()
            assert Answer(await connection.receive()).text == "raw"
            assert await connection.closed_by_peer()
        assert await remora.process.wait() == 0
        assert raw.sessions == set()


async def test_the_end_does_not_wait_for_ever() -> None:
    text_limits = {"shutdown_timeout": "300ms"}
    async with RawBackend(held(asyncio.Event())) as raw:  # type: ignore[arg-type]
        async with Remora(configuration(raw.url, limits=text_limits)) as remora:
            async with await Connection.open(remora.address) as connection:
                await connection.send(encode(call("x"), host=remora.address))
                await raw.until(lambda raw: raw.methods["tools/call"] == 1)
                remora.process.terminate()
                await remora.process.wait(timeout=10)
                try:
                    assert Answer(await connection.receive()).code == -32603
                except (Truncated, ConnectionError):
                    pass


async def test_the_end_closes_idle_connections() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora:
        async with await Connection.open(remora.address) as connection:
            assert Answer(await connection.exchange(encode(call("x"), host=remora.address))).text == "raw"
            remora.process.terminate()
            assert await connection.closed_by_peer()
        assert await remora.process.wait(timeout=3) == 0
