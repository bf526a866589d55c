"""Results and errors of legacy servers in the words of 2026-07-28 (translation contract, sections 3, 8 and 9)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.audit import PREFIX
from harness.modern import Client, call, request
from harness.remora import Remora, configuration
from harness.stack import stack
from servers.raw import Exchange, RawBackend
from servers.wires import FORMS, Wire, Wires

READ = request("resources/read", {"uri": "raw:///r"}, id="i")
GET = request("prompts/get", {"name": "p"}, id="i")
COMPLETE = request(
    "completion/complete",
    {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}},
    id="i",
)
CALL = call("x", id="i")
LISTS = [request(f"{each}/list", id="i") for each in ("tools", "prompts", "resources", "resources/templates")]
ALL = [CALL, GET, READ, COMPLETE, *LISTS]

SAME = [-32602, -32603, 1, 5, 404, -1, -32000, -32001, -32019, -31999, -40000]
RESERVED = [-32020, -32021, -32022, -32042, -32050, -32099]


def errors() -> list[Any]:
    found = []
    for message in ALL:
        method = message["method"]
        found += [(message, code, 200, code) for code in SAME]
        found += [(message, code, 200, -32603) for code in RESERVED]
        unknown_name = message in (CALL, GET, READ)
        found.append((message, -32601, *((200, -32602) if unknown_name else (404, -32601))))
        found.append((message, -32002, 200, -32602 if method == "resources/read" else -32603))
    return found


async def test_errors() -> None:
    """The table of section 9 for every method, in one go: each row is one exchange."""
    wanted: dict[str, int] = {}

    async def script(exchange: Exchange) -> bool:
        code = wanted.get(exchange.method or "")
        if code is None or not exchange.is_request:
            return False
        await exchange.json(exchange.error(code, "what the server says", detail=[1, {"a": None}]))
        return True

    wrong = []
    async with RawBackend(script) as raw, stack(raw.address, cache={"ttl": 0}) as running:
        for message, code, status, translated in errors():
            wanted.clear()
            wanted[message["method"]] = code
            answer = await running.client.send(message)
            error = answer.error
            data = {"detail": [1, {"a": None}]}
            right = (answer.status, error["code"], answer.json["id"]) == (status, translated, "i")
            if translated == -32602 and message["method"] == "resources/read" and code != translated:
                data["uri"] = message["params"]["uri"]
            if translated in (code, -32602):
                right = right and error["data"] == data and error["message"] == "what the server says"
            if code in RESERVED or (code == -32002 and translated == -32603):
                right = right and error["data"] == {"legacyCode": code, "legacyData": data}
            if not right:
                wrong.append((message["method"], code, answer))
    assert wrong == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("step", ["initialize", "tools/call"])
async def test_authorization_is_asked_for_by_the_server(status: int, step: str) -> None:
    """Section 10: relayed with WWW-Authenticate, and nothing is remembered."""
    refuse = True

    async def script(exchange: Exchange) -> bool:
        if exchange.method != step or not refuse:
            return False
        await exchange.reply(status, b'{"error":"invalid_token"}', WWW_Authenticate='Bearer error="invalid_token"')
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        for _ in range(2):
            answer = await running.client.call("x", Authorization="Bearer old")
            assert answer.status == status
            assert answer.http.header("www-authenticate") == 'Bearer error="invalid_token"'
        refuse = False
        assert (await running.client.call("x", Authorization="Bearer old")).text == "raw"


async def outcome(message: dict[str, Any], result: Any, **options: Any) -> Any:
    """What a client gets when the server answers a request with this result."""
    text = result if isinstance(result, bytes) else json.dumps(result).encode()
    async with RawBackend(results={message["method"]: text}) as raw, stack(raw.address, **options) as running:
        return (await running.client.send(message)).result


async def test_members_of_2026_07_28_come_from_remora_alone() -> None:
    smuggled = {
        "content": [],
        "resultType": "input_required",
        "inputRequests": {"a": {"method": "roots/list"}},
        "requestState": "forged",
    }
    result = await outcome(CALL, smuggled)
    assert result["resultType"] == "complete"
    assert "inputRequests" not in result and "requestState" not in result


async def test_members_of_tasks_are_removed() -> None:
    meta = {PREFIX + "related-task": {"taskId": "1"}, "vendor.example/key": 1}
    result = await outcome(CALL, {"content": [], "_meta": meta})
    assert PREFIX + "related-task" not in result["_meta"]
    assert result["_meta"]["vendor.example/key"] == 1
    assert result["_meta"][PREFIX + "serverInfo"] == {"name": "raw", "version": "1"}


async def test_missing_content_is_the_text_of_the_structured_one() -> None:
    result = await outcome(CALL, b'{"structuredContent":{"n":1.0}}')
    assert [item["type"] for item in result["content"]] == ["text"]
    assert json.loads(result["content"][0]["text"]) == {"n": 1.0}
    assert result["structuredContent"] == {"n": 1.0}


async def test_tools_are_mended() -> None:
    tools = [
        {"name": "a", "inputSchema": None},
        {"name": "b", "inputSchema": {"properties": {"q": {"type": "string"}}}},
        {"name": "c", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "optional"}},
    ]
    found = {tool["name"]: tool for tool in (await outcome(LISTS[0], {"tools": tools}))["tools"]}
    assert found["a"]["inputSchema"] == {"type": "object"}
    assert found["b"]["inputSchema"] == {"type": "object", "properties": {"q": {"type": "string"}}}
    assert "execution" not in found["c"]


async def test_completions_have_a_limit() -> None:
    values = [str(number) for number in range(150)]
    completion = (await outcome(COMPLETE, {"completion": {"values": values}}))["completion"]
    assert completion["values"] == values[:100] and completion["hasMore"] is True


@pytest.mark.parametrize("message", LISTS, ids=lambda each: each["method"])
async def test_lists_say_how_long_they_keep(message: dict[str, Any]) -> None:
    async with RawBackend() as raw, stack(raw.address, cache={"ttl": "5s", "scope": "public"}) as running:
        result = (await running.client.send(message)).result
    assert 4000 < result["ttlMs"] <= 5000 and result["cacheScope"] == "public"


async def test_what_is_read_is_not_kept() -> None:
    result = await outcome(READ, b'{"contents":[{"uri":"raw:///r","text":"r"}]}')
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


async def test_discover() -> None:
    capabilities = {
        "tools": {"listChanged": False},
        "prompts": {"listChanged": True},
        "resources": {"subscribe": False, "listChanged": False},
        "completions": {},
        "logging": {},
        "experimental": {"vendor.example/x": {"a": 1}},
        "tasks": {"list": {}, "requests": {}},
    }
    async with RawBackend(capabilities=capabilities) as raw, stack(raw.address) as running:
        result = (await running.client.send(request("server/discover", id=0))).result
    assert result["supportedVersions"] == ["2026-07-28"]
    assert (result["ttlMs"], result["cacheScope"]) == (30000, "private")
    found = result["capabilities"]
    assert {"tools", "prompts", "resources", "completions", "logging"} <= set(found)
    assert "tasks" not in found
    assert found["experimental"] == {"vendor.example/x": {"a": 1}}
    # The raw backend refuses GET: nothing could tell of a change.
    assert found["tools"] == {} and found["prompts"] == {} and found["resources"] == {}


async def test_completions_of_2024_11_05_are_not_declared() -> None:
    backend = RawBackend(capabilities={"prompts": {}}, revision="2024-11-05")
    async with backend as raw, stack(raw.address) as running:
        found = (await running.client.send(request("server/discover"))).result["capabilities"]
    assert "completions" in found


async def test_all_pages_can_be_reached() -> None:
    """Section 8: whether Remora drains the pages or passes cursors on, a client sees each tool once."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/list":
            return False
        cursor = exchange.message.get("params", {}).get("cursor")
        start = {None: 0, "": 2, "c2": 4}[cursor]
        tools = [{"name": f"t{number}", "inputSchema": {"type": "object"}} for number in (start, start + 1)]
        page = {"tools": tools} | ({"nextCursor": {0: "", 2: "c2"}[start]} if start < 4 else {})
        await exchange.json(exchange.response(json.dumps(page).encode()))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        names: list[str] = []
        params: dict[str, Any] = {}
        for _ in range(10):
            result = (await running.client.send(request("tools/list", params))).result
            names += [tool["name"] for tool in result["tools"]]
            if "nextCursor" not in result:
                break
            params = {"cursor": result["nextCursor"]}
        assert names == [f"t{number}" for number in range(6)]


async def test_a_cursor_that_nobody_gave() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        answer = await running.client.send(request("tools/list", {"cursor": "forged"}))
        assert answer.status == 200 and ("result" in answer.json or answer.code == -32602)
        answer = await running.client.send(request("tools/list", {"cursor": 1}))
        assert (answer.status, answer.code) == (200, -32602)


MIRRORED = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "q": {"type": "string"},
    },
}
"""Parameters that clients repeat in headers: row 14 of section 1, and section 9."""


CONTRADICTIONS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"region": "eu"}, {}),
    ({"region": "eu"}, {"Mcp_Param_Region": "us"}),
    ({"region": ["eu"]}, {"Mcp_Param_Region": "eu"}),
    ({"region": {"eu": 1}}, {"Mcp_Param_Region": "eu"}),
    ({"count": 42}, {"Mcp_Param_Count": "43"}),
    ({"count": 42}, {"Mcp_Param_Count": "1e400"}),
    ({"region": "eu"}, {"Mcp_Param_Region": "=?base64?*?="}),
]


async def mirrored(arguments: dict[str, Any], **headers: str) -> Any:
    """What comes of a call of a tool with such parameters, made after the tools were listed."""
    tools = json.dumps({"tools": [{"name": "x", "inputSchema": MIRRORED}]}).encode()
    async with RawBackend(results={"tools/list": tools}) as raw, stack(raw.address) as running:
        listed = (await running.client.send(request("tools/list"))).result
        assert listed["tools"][0]["inputSchema"] == MIRRORED
        return await running.client.call("x", arguments, **headers)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"q": "a"}, {}),
        ({"region": None}, {}),
        ({"region": "eu"}, {"Mcp_Param_Region": "eu"}),
        ({"region": "é"}, {"Mcp_Param_Region": "=?base64?w6k=?="}),
        ({"count": 42}, {"Mcp_Param_Count": "42.0"}),
        ({"q": "a"}, {"Mcp_Param_Other": "b"}),
    ],
)
async def test_parameters_that_their_headers_repeat(arguments: dict[str, Any], headers: dict[str, str]) -> None:
    assert (await mirrored(arguments, **headers)).text == "raw"


@pytest.mark.parametrize(("arguments", "headers"), CONTRADICTIONS)
async def test_parameters_that_their_headers_contradict(arguments: dict[str, Any], headers: dict[str, str]) -> None:
    answer = await mirrored(arguments, **headers)
    assert (answer.status, answer.code) == (400, -32020)


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "exclusive"])
@pytest.mark.parametrize("form", FORMS)
async def test_parameters_that_their_headers_contradict_before_one_wire(form: str, can: dict[str, Any]) -> None:
    """What a server says of its tools counts on each way, and what is refused does not reach it."""

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "tools/list":
            return False
        wire.say({"id": message["id"], "result": {"tools": [{"name": "x", "inputSchema": MIRRORED}]}})
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora, Client(remora.address) as client:
        assert (await client.send(request("tools/list", clientCapabilities=can))).status == 200
        for arguments, headers in CONTRADICTIONS:
            answer = await client.send(call("x", arguments, clientCapabilities=can), **headers)
            assert (answer.status, answer.code) == (400, -32020), (arguments, headers)
        assert server.methods["tools/call"] == 0
        agrees = call("x", {"region": "eu", "count": 1}, clientCapabilities=can)
        assert (await client.send(agrees, Mcp_Param_Region="eu", Mcp_Param_Count="1")).text == "raw"
