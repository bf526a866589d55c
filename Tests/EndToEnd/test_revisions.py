"""The same cases against a real server of each revision with Streamable HTTP, in both forms of an answer.

`mcp` 1.30.0 speaks 2025-11-25, 1.12.4 speaks 2025-06-18, 1.9.4 speaks 2025-03-26. What has one channel for everything is in
test_channels.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common_cases import *  # noqa: F403  # On this file's `any_lab`.
from harness import lab
from harness.http1 import Connection
from harness.lab import AnyLab
from harness.modern import Client
from harness.remora import Remora, configuration
from harness.stack import Stack, stack
from servers.raw import Exchange, RawBackend
from session_cases import *  # noqa: F403


@pytest.fixture(scope="module", params=lab.HTTP, ids="-".join)
async def any_lab(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnyLab]:
    async for it in lab.any_lab(*request.param, tmp_path_factory.mktemp("lab")):
        yield it


async def test_a_session_that_was_deleted_is_replaced(running: Stack, any_lab: AnyLab) -> None:
    assert [(await running.client.call("counter")).text for _ in range(2)] == ["1", "2"]
    await delete_behind(running, any_lab)
    assert [(await running.client.call("counter", id=number)).text for number in range(2)] == ["1", "2"]
    assert len(await running.backend_messages("initialize")) == 2


async def delete_behind(running: Stack, any_lab: AnyLab) -> None:
    """Ends the session of which Remora thinks that it has it."""
    (session,) = {
        found
        for each in await running.backend_exchanges()
        if each.request is not None and (found := each.request.header("mcp-session-id"))
    }
    lines = [f"Host: {any_lab.address}", f"Mcp-Session-Id: {session}", "Accept: application/json, text/event-stream"]
    async with await Connection.open(any_lab.address) as connection:
        answer = await connection.exchange(b"DELETE /mcp HTTP/1.1\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n")
    assert answer.status == 200, answer


async def test_a_session_that_a_restart_took_is_replaced(any_lab: AnyLab) -> None:
    options = ["--json"] if any_lab.form == "json" else []
    async with lab.Lab(any_lab.version, *options) as own:
        # Without a tap, which would go on to accept connections.
        async with Remora(configuration(f"http://{own.address}/mcp")) as remora, Client(remora.address) as client:
            assert [(await client.call("counter")).text for _ in range(2)] == ["1", "2"]
            await own.kill()
            refused = await client.call("counter")
            assert (refused.status, refused.error["data"]["dispatched"]) == (503, False)
            await own.start()
            assert [(await client.call("counter")).text for _ in range(2)] == ["1", "2"]
            methods = (await lab.record(own.address))["methods"]
            assert (methods["initialize"], methods["tools/call"]) == (1, 3), "one was turned away, and sent once more"


# Batches: a server of 2025-03-26 may answer with an array (2025-03-26, basic/index, "Batching").

PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}'
MESSAGE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
PING = b'{"jsonrpc":"2.0","id":"p-1","method":"ping"}'


def array(*messages: bytes) -> bytes:
    return b"[" + b" ,\n".join(messages) + b"]"


def batches(form: str, *parts: bytes) -> Any:
    """A script that answers each call with these texts, in which RESPONSE stands for the response."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        response = exchange.response(b'{"content":[{"type":"text","text":"batch"}]}')
        texts = [part.replace(b"RESPONSE", response) for part in parts]
        if form == "json":
            assert len(texts) == 1
            await exchange.json(texts[0])
        else:
            await exchange.sse(*texts, newline=b"\n" if form == "sse-lf" else b"\r\n")
        return True

    return script


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ("json", [array(b"RESPONSE")]),
        ("json", [array(PROGRESS, b"RESPONSE")]),
        ("json", [array(MESSAGE, PROGRESS, b"RESPONSE", MESSAGE)]),
        ("sse", [array(b"RESPONSE")]),
        ("sse", [array(PROGRESS, MESSAGE), array(b"RESPONSE")]),
        ("sse-lf", [array(PROGRESS, b"RESPONSE")]),
        ("sse", [PROGRESS, array(MESSAGE, b"RESPONSE")]),
    ],
)
async def test_batches(form: str, parts: list[bytes]) -> None:
    async with RawBackend(batches(form, *parts), revision="2025-03-26") as raw, stack(raw.address) as running:
        for number in range(3):
            answer = await running.client.call("x", id=number)
            assert (answer.status, answer.json["id"], answer.text) == (200, number, "batch")


async def test_a_request_in_a_batch_is_answered() -> None:
    script = batches("sse", array(PING, b"RESPONSE"))
    async with RawBackend(script, revision="2025-03-26") as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "batch"
        await raw.until(lambda raw: any(b'"p-1"' in each.body for each in raw.requests))
        (answer,) = [json.loads(each.body) for each in raw.requests if b'"p-1"' in each.body]
        assert answer == {"jsonrpc": "2.0", "id": "p-1", "result": {}}


async def test_a_batch_on_the_get_stream_is_read() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        await exchange.stream_head()
        await exchange.chunk(b"data: " + array(MESSAGE.replace(b"\n", b""), PING).replace(b"\n", b"") + b"\n\n")
        await raw.until(lambda raw: any(b'"p-1"' in each.body for each in raw.requests))
        await exchange.chunk(b"")
        return True

    async with RawBackend(script, revision="2025-03-26") as raw, stack(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        await raw.until(lambda raw: any(b'"p-1"' in each.body for each in raw.requests))


@pytest.mark.parametrize("revision", ["2025-11-25", "2025-06-18", "2024-11-05"])
@pytest.mark.parametrize("form", ["json", "sse"])
async def test_other_revisions_have_no_batches(revision: str, form: str) -> None:
    script = batches(form, array(b"RESPONSE"))
    async with RawBackend(script, revision=revision) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
        assert (answer.status, answer.code) == (200, -32603)
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert raw.methods["tools/call"] == 1
