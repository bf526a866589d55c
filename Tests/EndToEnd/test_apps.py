"""MCP Apps (ext-apps, specification/2026-01-26/apps): what a host needs of a server arrives, byte for byte."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import mcp
import pytest
from mcp.client import advertise

from harness.audit import loads
from harness.modern import VERSION, Answer, Client, call, request
from harness.odd import ALL, OddServer, Running
from harness.remora import Remora, configuration
from servers.apps import BUNDLE, CONTENTS, DECLARED, PAGE, PLAIN, RESULT, TOOLS, UI, Apps

SETTINGS = DECLARED["extensions"][UI]
OTHER = {"extensions": {UI: {"mimeTypes": ["text/uri-list"]}}}
"""Of a host that shows other pages than the server has."""


class Host:
    """A client that declares something, and its server."""

    def __init__(self, client: Client, running: Running) -> None:
        self.client, self.running = client, running

    async def send(self, message: dict[str, Any]) -> Answer:
        return await self.client.send(message)

    async def list(self, method: str, capabilities: dict[str, Any]) -> Answer:
        return await self.send(request(method, clientCapabilities=capabilities))


@contextlib.asynccontextmanager
async def host(form: str, servers: int = 1, **changes: Any) -> AsyncIterator[Host]:
    async with contextlib.AsyncExitStack() as parts:
        running = [Running(OddServer("apps", Apps), form) for _ in range(servers)]
        for each in running:
            await parts.enter_async_context(each.run())
        text = configuration(*[each.backend for each in running], server={"era": "auto"}, **changes)
        remora = await parts.enter_async_context(Remora(text))
        yield Host(await parts.enter_async_context(Client(remora.address)), running[0])


@pytest.mark.parametrize("form", ALL)
async def test_everything_about_pages_arrives_as_it_was_spelled(form: str) -> None:
    async with host(form) as it:
        discovered = await it.list("server/discover", DECLARED)
        assert discovered.result["capabilities"]["extensions"] == {UI: {}}
        tools = await it.list("tools/list", DECLARED)
        for text in TOOLS.values():
            assert text in tools.messages[-1].encode()
        resources = await it.list("resources/list", DECLARED)
        assert PAGE in resources.messages[-1].encode()
        called = await it.send(call("weather", clientCapabilities=DECLARED))
        assert RESULT in called.messages[-1].encode()
        for uri, text in CONTENTS.items():
            read = await it.send(request("resources/read", {"uri": uri}, clientCapabilities=DECLARED))
            assert text in read.messages[-1].encode()
            assert {"ttlMs", "cacheScope"} <= set(read.result), "a host may keep a page for as long"
        assert loads(CONTENTS["ui://weather/page"])["text"] == BUNDLE
        missing = await it.send(request("resources/read", {"uri": "ui://weather/none"}, clientCapabilities=DECLARED))
        assert (missing.status, missing.code, missing.error["data"]) == (200, -32602, {"uri": "ui://weather/none"})


@pytest.mark.parametrize("form", ALL)
async def test_who_declares_no_pages_has_tools_without_them(form: str) -> None:
    """Servers decide in `initialize`: sessions and lists of clients with the capability and without it are apart, in any
    order and however often they are asked for."""
    async with host(form, cache={"ttl": "60s"}) as it:
        for _ in range(2):
            for capabilities in ({}, DECLARED, OTHER):
                tools = await it.list("tools/list", capabilities)
                resources = await it.list("resources/list", capabilities)
                if capabilities is DECLARED:
                    assert [each["name"] for each in tools.result["tools"]] == list(TOOLS)
                    assert len(resources.result["resources"]) == 1
                else:
                    assert PLAIN in tools.messages[-1].encode() and len(tools.result["tools"]) == 1
                    assert resources.result["resources"] == []
        assert it.running.methods["initialize"] == 3, "one session for what is declared, however it is spelled"
        assert it.running.methods["tools/list"] == 3, "one list for each"


@pytest.mark.parametrize("form", ALL)
async def test_a_session_keeps_what_was_declared(form: str) -> None:
    """A server that looks at it in each request, as SDKs let it, sees it in each."""
    async with host(form, cache={"ttl": "0"}) as it:
        for number in range(5):
            tools = await it.list("tools/list", DECLARED)
            assert len(tools.result["tools"]) == len(TOOLS), number
            # What an app calls is a tool as any other, also one that the model is not shown.
            assert (await it.send(call("refresh", clientCapabilities=DECLARED))).text == "22 °C"
        assert it.running.methods["initialize"] == 1


async def test_what_a_host_can_be_asked_does_not_take_its_pages() -> None:
    """A client that can be asked has other sessions: they declare the extension too."""
    both = {**DECLARED, "elicitation": {}}
    async with host("stream") as it:
        assert len((await it.list("tools/list", both)).result["tools"]) == len(TOOLS)
        called = await it.send(call("weather", clientCapabilities=both))
        assert RESULT in called.messages[-1].encode()
        asked = [each for each in it.running.http.requests if b'"initialize"' in each.body]
        declared = [loads(each.body)["params"]["capabilities"] for each in asked]
        assert declared and all(each["extensions"] == DECLARED["extensions"] for each in declared)


async def test_names_and_uris_stay_with_several_copies() -> None:
    """Apps call their tools by the names that they know."""
    async with host("json", servers=2) as it:
        for _ in range(8):
            assert len((await it.list("tools/list", DECLARED)).result["tools"]) == len(TOOLS)
            assert (await it.send(call("refresh", clientCapabilities=DECLARED))).text == "22 °C"
            read = await it.send(
                request("resources/read", {"uri": "ui://weather/hidden"}, clientCapabilities=DECLARED)
            )
            assert read.result["contents"][0]["uri"] == "ui://weather/hidden"


async def test_methods_between_a_page_and_its_host_reach_no_server() -> None:
    async with host("json") as it:
        for method in ("ui/initialize", "ui/open-link", "ui/message"):
            answer = await it.list(method, DECLARED)
            assert (answer.status, answer.code) == (404, -32601)
            assert it.running.methods[method] == 0


@pytest.mark.parametrize("form", ["stream", "stdio"])
async def test_the_published_client_declares_pages(form: str) -> None:
    async with contextlib.AsyncExitStack() as parts:
        running = await parts.enter_async_context(Running(OddServer("apps", Apps), form).run())
        remora = await parts.enter_async_context(Remora(configuration(running.backend, server={"era": "auto"})))
        client = await parts.enter_async_context(
            mcp.Client(f"http://{remora.address}/mcp", mode=VERSION, extensions=[advertise(UI, SETTINGS)])
        )
        tools = (await client.list_tools()).tools
        assert tools[0].meta["ui"]["resourceUri"] == "ui://weather/page"
