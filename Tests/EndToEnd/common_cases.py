"""The cases that hold whatever version of the SDK a server is on, and on every way it is reached.

A file imports all of them: with a fixture `any_lab` that says what is there, or one `running` for a way of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import mcp
import mcp_types as types
import pytest

from harness import lab
from harness.audit import PREFIX
from harness.http1 import Connection
from harness.lab import AnyLab
from harness.modern import VERSION, Client, call, encode
from harness.modern import request as message
from harness.stack import Stack

__all__ = [
    "client", "test_a_client_that_leaves_cancels_its_call", "test_discover", "test_failures", "test_lists",
    "test_many_calls_at_once", "test_methods_that_are_not_there", "test_prompts_resources_and_completion", "test_results",
    "test_texts_that_are_easily_spoilt",
]

TOOLS = {"echo", "add", "exact", "counter", "slow", "big", "fail", "crash", "rpc_error", "meta", "näme ünicode"}


@pytest.fixture
async def client(running: Stack) -> AsyncIterator[mcp.Client]:
    """The published client, which speaks nothing but 2026-07-28."""
    async with mcp.Client(running.url, mode=VERSION) as it:
        yield it


async def every(fetch: Any, member: str) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    cursor = None
    while True:
        page = await fetch(cursor=cursor)
        found += getattr(page, member)
        if (cursor := page.next_cursor) is None:
            return found


async def test_discover(client: mcp.Client, running: Stack, any_lab: AnyLab) -> None:
    found = await client.session.send_discover(VERSION)
    assert found["supportedVersions"] == [VERSION]
    if any_lab.version != "1.2.1":
        assert found["instructions"] == "A server for tests."
    assert found["_meta"][PREFIX + "serverInfo"] == {"name": "lab", "version": "1.0"}
    assert set(found["capabilities"]) >= {"tools", "prompts", "resources"}
    assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
    # The audit compares each header with it.
    (initialized,) = [
        version
        for each in await running.back.answers()
        if isinstance(each.get("result"), dict) and (version := each["result"].get("protocolVersion"))
    ]
    assert initialized == any_lab.revision


async def test_lists(client: mcp.Client, any_lab: AnyLab) -> None:
    tools = {each.name: each for each in await every(client.list_tools, "tools")}
    assert tools.keys() >= TOOLS
    if any_lab.version != "1.2.1":
        assert tools["add"].annotations.read_only_hint is True
    assert tools["echo"].input_schema["required"] == ["text"]
    assert [each.name for each in await every(client.list_prompts, "prompts")] == ["greet"]
    resources = await every(client.list_resources, "resources")
    assert [each.name for each in resources] == ["text", "blob", "missing", *(f"item/{n}" for n in range(22))]
    (template,) = await every(client.list_resource_templates, "resource_templates")
    assert template.uri_template == "lab:///item/{number}"


async def test_results(client: mcp.Client, any_lab: AnyLab) -> None:
    assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
    added = await client.call_tool("add", {"a": 1, "b": 2})
    assert json.loads(added.content[0].text) == {"sum": 3}
    assert added.structured_content == ({"sum": 3} if any_lab.revision >= "2025-06-18" else None)
    assert (await client.call_tool("näme ünicode")).content[0].text == "found"
    assert [(await client.call_tool("counter")).content[0].text for _ in range(3)] == ["1", "2", "3"]
    assert (await client.call_tool("slow", {"seconds": 0.03, "steps": 3, "logs": True})).content[0].text == (
        "done after 3"
    )


async def test_failures(client: mcp.Client) -> None:
    for name, text in [("fail", "it did not work"), ("crash", "crashed"), ("nosuch", "Unknown tool: nosuch")]:
        failed = await client.call_tool(name)
        assert failed.is_error and failed.content[0].text == text
    with pytest.raises(mcp.MCPError) as caught:
        await client.call_tool("rpc_error", {"code": -32001, "message": "no luck", "data": {"why": [1, None]}})
    assert (caught.value.code, caught.value.message) == (-32001, "no luck")
    assert caught.value.data == {"why": [1, None]}


async def test_prompts_resources_and_completion(client: mcp.Client) -> None:
    assert (await client.get_prompt("greet", {"name": "Ada"})).messages[0].content.text == "Hello, Ada!"
    assert (await client.read_resource("lab:///text")).contents[0].text == "Tëxt\n"
    assert base64.b64decode((await client.read_resource("lab:///blob")).contents[0].blob) == bytes(range(256))
    assert (await client.read_resource("lab:///item/7")).contents[0].text == "item/7"
    reference = types.PromptReference(type="ref/prompt", name="greet")
    completed = await client.complete(reference, {"name": "name", "value": "A"})
    assert completed.completion.values == ["Ada", "Alan"]
    with pytest.raises(mcp.MCPError) as caught:
        await client.read_resource("lab:///missing")
    assert (caught.value.code, caught.value.data) == (-32602, {"uri": "lab:///missing"})
    with pytest.raises(mcp.MCPError) as caught:
        await client.get_prompt("nosuch")
    assert caught.value.code == -32602 and "nosuch" in caught.value.message


async def test_methods_that_are_not_there(running: Stack) -> None:
    for method in ("nosuch", "logging/setLevel", "ping", "tasks/list"):
        answer = await running.client.send(message(method, {"level": "info"}, id="i"))
        assert (answer.status, answer.code, answer.json["id"]) == (404, -32601, "i")
    assert (await running.client.call("echo", {"text": "still there"})).text == "still there"


async def test_texts_that_are_easily_spoilt(running: Stack) -> None:
    for text in ("Grüße, 世界 🐟", "\0\x1f\x7f\x85\u2028\u2029", '"\\/\b\f\t', "\r\n\r\ndata: x\n\n", "x" * 10**6):
        assert (await running.client.call("echo", {"text": text})).text == text
    large = (await running.client.call("big", {"kib": 2000})).text
    assert large == "x" * 2000 * 1024


async def test_many_calls_at_once(running: Stack, any_lab: AnyLab) -> None:
    async def one(number: int) -> None:
        async with Client(running.front.address) as client:
            answer = await client.call("slow", {"seconds": 0.2 - number * 0.004, "steps": number % 7 + 1}, id=7)
            assert answer.json["id"] == 7 and answer.text == f"done after {number % 7 + 1}"
            assert (await client.call("echo", {"text": f"text {number}"}, id=number)).text == f"text {number}"

    await asyncio.gather(*map(one, range(12 if any_lab.does_one_after_the_other else 40)))
    assert len(await running.backend_messages("initialize")) == 1


async def test_a_client_that_leaves_cancels_its_call(running: Stack, any_lab: AnyLab) -> None:
    if any_lab.does_one_after_the_other:
        pytest.skip("it looks at a cancellation when the call is done")

    async def slow() -> Connection:
        before = await lab.ends(any_lab.address, "started")
        connection = await Connection.open(running.front.address)
        await connection.send(encode(call("slow", {"seconds": 30}), host=running.front.address))
        await lab.until(any_lab.address, lambda record: record["ends"].get("started", 0) > before)
        return connection

    before = await lab.ends(any_lab.address, "cancelled")
    (await slow()).abort()
    assert await lab.until(any_lab.address, lambda record: record["ends"].get("cancelled", 0) == before + 1) < 1
    (notification,) = await running.backend_messages("notifications/cancelled")
    (cancelled,) = [each for each in await running.backend_messages("tools/call")]
    assert notification["params"]["requestId"] == cancelled["id"]
    # The next call works, also on 1.9.4, whose session is broken by a cancellation for good.
    for number in range(3):
        assert (await running.client.call("echo", {"text": str(number)}, timeout=5)).text == str(number)
    assert len(await running.backend_messages("initialize")) == (2 if any_lab.revision == "2025-03-26" else 1)
