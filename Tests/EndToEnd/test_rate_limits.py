"""A server that takes no more requests for now: the client hears when it does, and the session lives on."""

from __future__ import annotations

from typing import Any

import pytest

from harness.modern import request
from harness.remora import Remora, configuration
from harness.modern import Client
from harness.stack import stack
from servers.raw import Exchange, RawBackend
from servers.wires import Wires

LIMITED = {"reason": "rate_limited", "dispatched": False}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("7", "7"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        (None, "1"),
        ("x" * 1000, "1"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"Too many requests in this session", b'{"error":"slow down"}'])
async def test_a_call_that_is_one_too_many(value: str | None, told: str, body: bytes) -> None:
    limits = True

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or not limits:
            return False
        await exchange.reply(429, body, "text/plain", **({"Retry_After": value} if value else {}))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert (answer.status, answer.code) == (503, -32603) and answer.error["data"] == LIMITED, answer
        assert answer.http.header("retry-after") == told and "rate limited" in answer.error["message"]
        assert raw.methods["tools/call"] == 1 and raw.methods["ping"] == 0
        limits = False
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 1


async def test_the_response_of_a_call_that_is_one_too_many() -> None:
    """Its status is what says when to come back."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.reply(429, exchange.error(-32000, "slow down"), Retry_After="7")
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert answer.status == 503 and answer.error["data"] == LIMITED
        assert answer.http.header("retry-after") == "7"


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized", "tools/list", "prompts/get"])
async def test_anything_that_is_one_too_many(method: str) -> None:
    limits = True

    async def script(exchange: Exchange) -> bool:
        if exchange.method != method or not limits:
            return False
        await exchange.reply(429, b"", None, Retry_After="7")
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        message: dict[str, Any] = request("prompts/get", {"name": "p"}) if method == "prompts/get" else request("tools/list")
        answer = await running.client.send(message)
        assert answer.status == 503 and answer.error["data"] == LIMITED, answer
        assert answer.http.header("retry-after") == "7"
        assert raw.methods[method] == 1
        limits = False
        assert "result" in (await running.client.send(message)).json


async def test_a_stream_that_is_one_too_many() -> None:
    """It is asked for later: the server has it."""
    asked = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal asked
        if exchange.request.method != "GET":
            return False
        asked += 1
        await exchange.reply(429 if asked == 1 else 405, b"", None)
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        await raw.until(lambda raw: raw.methods["GET"] == 2)


async def test_one_too_many_over_http_sse() -> None:
    async with Wires("sse") as wires, Remora(configuration(wires.backend)) as remora, Client(remora.address) as client:
        wires.refusal = lambda _, message: (429, b"") if message["method"] == "tools/call" else None
        answer = await client.call("x")
        assert answer.status == 503 and answer.error["data"] == LIMITED, answer
        wires.refusal = None
        assert (await client.call("x")).text == "raw"
        assert wires.methods["initialize"] == 1


async def test_a_busy_server_may_have_run_the_call() -> None:
    """503 may come from something that had sent the call on: it is not repeated, and not said to be without effect."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.reply(503, b"busy", "text/plain", Retry_After="7")
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert (answer.status, answer.error["data"]) == (200, {"reason": "outcome_unknown", "dispatched": True})
        assert (raw.methods["tools/call"], raw.methods["ping"], raw.methods["initialize"]) == (1, 0, 1)
