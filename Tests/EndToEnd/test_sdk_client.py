"""The published client, modern only, against real legacy servers through Remora."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp
import mcp_types as types
import pytest

from common_cases import every
from harness.audit import PREFIX
from harness.modern import VERSION
from harness.stack import Stack, stack


@pytest.fixture(params=["sse", "json"])
async def running(request: pytest.FixtureRequest, lab: str, lab_json: str) -> AsyncIterator[Stack]:
    async with stack(lab if request.param == "sse" else lab_json) as it:
        yield it


def client(running: Stack, **options: Any) -> mcp.Client:
    return mcp.Client(running.url, mode=VERSION, **options)


async def test_discover(running: Stack) -> None:
    async with client(running) as it:
        found = await it.session.send_discover(VERSION)
    assert found["supportedVersions"] == [VERSION]
    assert found["resultType"] == "complete" and found["cacheScope"] == "private" and found["ttlMs"] == 30000
    assert found["instructions"] == "A server for tests."
    assert found["_meta"][PREFIX + "serverInfo"] == {"name": "lab", "version": "1.0"}
    assert set(found["capabilities"]) >= {"tools", "prompts", "resources", "completions"}


async def test_the_default_mode_of_the_client_stays_modern(running: Stack) -> None:
    async with mcp.Client(running.url) as it:
        assert (await it.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
    assert len(await running.backend_messages("initialize")) <= 2


async def test_lists_are_those_of_the_server(running: Stack, lab: str) -> None:
    async with client(running) as it, mcp.Client(f"http://{lab}/mcp", mode="legacy") as direct:
        for name, member in [
            ("list_tools", "tools"),
            ("list_prompts", "prompts"),
            ("list_resources", "resources"),
            ("list_resource_templates", "resource_templates"),
        ]:
            assert await every(getattr(it, name), member) == await every(getattr(direct, name), member)


async def test_tools(running: Stack) -> None:
    async with client(running) as it:
        assert (await it.call_tool("echo", {"text": "Grüße, 世界 🐟"})).content[0].text == "Grüße, 世界 🐟"
        added = await it.call_tool("add", {"a": 1, "b": 2})
        assert added.structured_content == {"sum": 3} and json.loads(added.content[0].text) == {"sum": 3}
        exact = await it.call_tool("exact")
        assert exact.structured_content["z"] == 12345678901234567890123
        assert (await it.call_tool("näme ünicode")).content[0].text == "found"
        assert (await it.call_tool("slow", {"seconds": 0.05, "steps": 3})).content[0].text == "done after 3"
        assert len((await it.call_tool("big", {"kib": 3000})).content[0].text) == 3000 * 1024


async def test_failures(running: Stack) -> None:
    async with client(running) as it:
        failed = await it.call_tool("fail")
        assert failed.is_error and failed.content[0].text == "it did not work"
        assert (await it.call_tool("crash")).is_error
        unknown = await it.call_tool("nosuch")
        assert unknown.is_error and "nosuch" in unknown.content[0].text
        assert (await it.call_tool("add", {"a": "x"})).is_error
        with pytest.raises(mcp.MCPError) as caught:
            await it.call_tool("rpc_error", {"code": -32001, "message": "no luck", "data": {"why": [1, None]}})
        assert (caught.value.code, caught.value.message) == (-32001, "no luck")
        assert caught.value.data == {"why": [1, None]}
        with pytest.raises(mcp.MCPError) as caught:
            await it.read_resource("lab:///missing")
        assert (caught.value.code, caught.value.data) == (-32602, {"uri": "lab:///missing"})
        with pytest.raises(mcp.MCPError) as caught:
            await it.get_prompt("nosuch")
        assert caught.value.code == -32602 and "nosuch" in caught.value.message


async def test_prompts_resources_and_completion(running: Stack) -> None:
    async with client(running) as it:
        assert (await it.get_prompt("greet", {"name": "Ada"})).messages[0].content.text == "Hello, Ada!"
        assert (await it.read_resource("lab:///text")).contents[0].text == "Tëxt\n"
        blob = (await it.read_resource("lab:///blob")).contents[0]
        assert base64.b64decode(blob.blob) == bytes(range(256))
        assert (await it.read_resource("lab:///item/7")).contents[0].text == "item/7"
        reference = types.PromptReference(type="ref/prompt", name="greet")
        completed = await it.complete(reference, {"name": "name", "value": "A"})
        assert completed.completion.values == ["Ada", "Alan"]


async def test_one_client_keeps_its_session(running: Stack) -> None:
    async with client(running) as it:
        assert [(await it.call_tool("counter")).content[0].text for _ in range(3)] == ["1", "2", "3"]


async def test_time_server(time_server: str) -> None:
    async with stack(time_server) as running, client(running) as it:
        tools = await every(it.list_tools, "tools")
        assert {tool.name for tool in tools} == {"get_current_time", "convert_time"}
        now = await it.call_tool("get_current_time", {"timezone": "Asia/Tokyo"})
        assert json.loads(now.content[0].text)["timezone"] == "Asia/Tokyo"
        times = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kolkata"}
        converted = await it.call_tool("convert_time", times)
        assert "T17:30:00+05:30" in json.loads(converted.content[0].text)["target"]["datetime"]
        assert (await it.call_tool("get_current_time", {"timezone": "Nowhere"})).is_error


async def test_git_server(git_server: str, git_repository: Path) -> None:
    async with stack(git_server) as running, client(running) as it:

        async def call(name: str, **arguments: Any) -> str:
            answer = await it.call_tool(name, {"repo_path": str(git_repository), **arguments})
            assert not answer.is_error, answer
            return answer.content[0].text

        names = {tool.name for tool in await every(it.list_tools, "tools")}
        assert {"git_status", "git_log", "git_commit"} <= names
        assert "file.txt" in await call("git_status")
        assert "+two" in await call("git_diff_unstaged")
        await call("git_add", files=["file.txt"])
        assert "+two" in await call("git_diff_staged")
        await call("git_create_branch", branch_name="topic")
        assert "topic" in await call("git_branch", branch_type="local")
        await call("git_checkout", branch_name="topic")
        assert "First commit" in await call("git_log")
        assert "First commit" in await call("git_show", revision="HEAD")
        await call("git_reset")
        assert (await it.call_tool("git_show", {"repo_path": str(git_repository), "revision": "nosuch"})).is_error
