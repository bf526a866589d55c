"""The tests' own tools: taps copy bytes, the audit finds what is wrong, and the servers are what they seem."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp
import pytest

from harness import audit, http1, schema
from harness.http1 import Connection
from harness.modern import PREFIX, VERSION, OMIT, Client, call, encode, request
from harness.tap import Recording, Tap
from servers.raw import Exchange, RawBackend

SERVER_INFO = {PREFIX + "serverInfo": {"name": "s", "version": "1"}}
GOOD = {"resultType": "complete", "content": [{"type": "text", "text": "hi"}], "_meta": SERVER_INFO}
LIST = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": [], "_meta": SERVER_INFO}


def response(message: Any, status: int = 200, type: str = "application/json", **headers: str) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def result(value: Any, id: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(code: int, id: Any = 1, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "m", **members}}


def stream(*messages: Any, extra: str = "") -> bytes:
    return "".join(f"{extra}data: {json.dumps(message)}\r\n\r\n" for message in messages).encode()


PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}


async def judge_front(asked: bytes, answered: bytes) -> list[str]:
    return (await audit.front([Recording(1, bytearray(asked), bytearray(answered))])).violations


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (call("echo"), response(result(GOOD))),
        (request("tools/list"), response(result(LIST))),
        (call("echo", id="a"), response(error(-32602, "a"))),
        (call("echo"), response(error(-32020), 400)),
        (call("echo"), response(error(-32022, data={"supported": [VERSION], "requested": "1"}), 400)),
        (call("echo"), response(stream(PROGRESS, result(GOOD)), type="text/event-stream", X_Accel_Buffering="no")),
        (b"{", response({"jsonrpc": "2.0", "error": {"code": -32700, "message": "m"}}, 400)),
        (request("notifications/x", id=OMIT), b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_audit_accepts_what_is_right(asked: Any, answered: bytes) -> None:
    assert await judge_front(encode(asked), answered) == []


@pytest.mark.parametrize(
    ("asked", "answered", "found"),
    [
        (call("echo"), response(result({"content": [], "_meta": SERVER_INFO})), "resultType"),
        (call("echo"), response(result({**GOOD, "content": "hi"})), "CallToolResult"),
        (request("tools/list"), response(result({**LIST, "ttlMs": "0"})), "ListToolsResult"),
        (request("tools/list"), response(result(GOOD)), "ListToolsResult"),
        (request("tools/list"), response(result({**LIST, "tools": [{"name": "x"}]})), "ListToolsResult"),
        (call("echo"), response(result({**GOOD, "_meta": {}})), "serverInfo"),
        (call("echo"), response(result(GOOD, id="1")), "answers"),
        (call("echo"), response(result(GOOD, id=1.0)), "answers"),
        (call("echo", id=2), response(result(GOOD)), "answers"),
        (call("echo", id=2), response(error(-32602)), "answers"),
        (call("echo"), response(error(-32602, message="")), "without a message"),
        (call("echo"), response(error(-32602, message=1)), "JSONRPCErrorResponse"),
        (call("echo"), response(error(-32022), 400), "UnsupportedProtocolVersionError"),
        (call("echo"), response(error(-32021, data={"requiredCapabilities": []}), 400), "MissingRequired"),
        (call("echo"), response(error(-32020)), "status 200"),
        (call("echo"), response(error(-32002)), "legacy"),
        (call("echo"), response(result(GOOD), Mcp_Session_Id="s"), "mcp-session-id"),
        (call("echo"), response(result(GOOD), type="text/html"), "text/html"),
        (call("echo"), response(b"{"), "not JSON"),
        (call("echo"), response(b'{"jsonrpc":"2.0","id":1,"id":1,"result":{}}'), "duplicate"),
        (call("echo"), response(b'{"jsonrpc":"2.0","id":1,"result":{"_meta":{"a":1,"\\u0061":1}}}'), "duplicate"),
        (call("echo"), response([result(GOOD)]), "not a JSON object"),
        (call("echo"), response({**result(GOOD), "error": {"code": 1, "message": "m"}}), "both"),
        (call("echo"), response(result({**GOOD, "resultType": "input_required"})), "inputRequests"),
        (call("echo"), response(stream(result(GOOD)), type="text/event-stream"), "X-Accel-Buffering"),
        (
            call("echo"),
            response(stream(result(GOOD), extra="id: 1\r\n"), type="text/event-stream", X_Accel_Buffering="no"),
            "`id:`",
        ),
        (
            call("echo"),
            response(stream(result(GOOD), PROGRESS), type="text/event-stream", X_Accel_Buffering="no"),
            "follows the response",
        ),
        (
            call("echo"),
            response(
                stream({**PROGRESS, "params": {}}, result(GOOD)), type="text/event-stream", X_Accel_Buffering="no"
            ),
            "ProgressNotification" if schema.specification() else "ServerNotification",
        ),
        (call("echo"), b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "Truncated"),
        (call("echo"), response(result(GOOD))[:-1], "Truncated"),
        (call("echo"), b"HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n", "Allow"),
    ],
)
async def test_audit_finds_what_is_wrong(asked: Any, answered: bytes, found: str) -> None:
    violations = await judge_front(encode(asked), answered)
    if found == "Truncated":  # Not a violation by itself: a backend may make Remora break a stream off.
        read = await audit.exchanges(Recording(1, bytearray(encode(asked)), bytearray(answered)))
        assert "Truncated" in (read[0].response_error or "")
    else:
        assert any(found in each for each in violations), violations


def legacy_post(message: Any, session: str | None = "s", **changes: Any) -> bytes:
    chosen = {"Mcp_Session_Id": session or OMIT, "MCP_Protocol_Version": "2025-11-25", "Mcp_Method": OMIT}
    return encode(message, of={"method": "x"}, **{**chosen, **changes})


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "r", "version": "1"}},
}
INITIALIZED = response(
    result({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}),
    Mcp_Session_Id="s",
)
LEGACY_CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}


async def judge_back(*asked: bytes) -> list[str]:
    first = encode(INITIALIZE, of={"method": "x"}, MCP_Protocol_Version=OMIT, Mcp_Method=OMIT)
    answers = INITIALIZED + response(b"", 202) * len(asked)
    recording = Recording(1, bytearray(first + b"".join(asked)), bytearray(answers))
    return (await audit.back([recording], "127.0.0.1")).violations


async def test_audit_accepts_a_right_conversation_with_a_backend() -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    refusal = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32601, "message": "no"}}
    assert await judge_back(*map(legacy_post, (notification, LEGACY_CALL, refusal, result({}, 0)))) == []


async def test_a_session_counts_though_its_first_answer_was_cut_off() -> None:
    """The published client closes the connection as soon as it has read the event."""
    body = b"data: " + INITIALIZED.split(b"\r\n\r\n", 1)[1] + b"\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: s\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    first = encode(INITIALIZE, of={"method": "x"}, MCP_Protocol_Version=OMIT, Mcp_Method=OMIT)
    recordings = [
        Recording(1, bytearray(first), bytearray(head + b"%x\r\n%s\r\n" % (len(body), body))),
        Recording(2, bytearray(legacy_post(LEGACY_CALL)), bytearray()),
    ]
    assert (await audit.back(recordings, "127.0.0.1")).violations == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (legacy_post(LEGACY_CALL, None), "no such session"),
        (legacy_post(LEGACY_CALL, "other"), "no such session"),
        (legacy_post(LEGACY_CALL, MCP_Protocol_Version=VERSION), "negotiated"),
        (legacy_post(LEGACY_CALL, MCP_Protocol_Version=OMIT), "negotiated"),
        (legacy_post(LEGACY_CALL, Accept="application/json"), "Accept"),
        (legacy_post(LEGACY_CALL, Content_Type="text/plain"), "Content-Type"),
        (legacy_post(LEGACY_CALL, Host="example.com"), "Host"),
        (legacy_post(LEGACY_CALL, Origin="http://x"), "origin"),
        (legacy_post(LEGACY_CALL, Mcp_Method="tools/call"), "mcp-method"),
        (legacy_post({**LEGACY_CALL, "id": 0}), "positive"),
        (legacy_post({**LEGACY_CALL, "id": "2"}), "positive"),
        (legacy_post(LEGACY_CALL) * 2, "twice"),
        (legacy_post({**LEGACY_CALL, "params": {"name": 1}}), "CallToolRequest"),
        (legacy_post({**LEGACY_CALL, "params": {"name": "x", "requestState": "s"}}), "requestState"),
        (legacy_post(call("echo", id=2)), "_meta member"),
        (legacy_post([LEGACY_CALL]), "not a JSON object"),
        (legacy_post(b"{"), "not JSON"),
        (b"POST / HTTP/1.0\r\n\r\n", "start line"),
    ],
)
async def test_audit_finds_what_is_wrong_toward_a_backend(asked: bytes, found: str) -> None:
    violations = await judge_back(asked)
    if not schema.specification():
        found = {"no ClientRequest": "ClientRequest", "CallToolRequest": "ClientRequest"}.get(found, found)
    assert any(found in each for each in violations), violations


@pytest.mark.parametrize("name", [schema.MODERN, *schema.LEGACY])
def test_every_definition_that_the_audit_uses_is_there(name: str) -> None:
    names = ["JSONRPCRequest", "JSONRPCNotification", "JSONRPCResponse"]
    if name == schema.MODERN:
        names += [*schema._WHOLE_ERRORS.values(), *schema._ERROR_OBJECTS.values(), *schema._RESULTS.values()]
    missing = [each for each in names if not schema.revision(name).defines(each)]
    assert missing == [] or (schema.specification() is None and missing == ["SubscriptionsListenResult"])


@pytest.mark.parametrize("name", [schema.MODERN, schema.LEGACY[0]])
def test_the_sdk_types_judge_in_place_of_a_schema(name: str) -> None:
    without = schema.Revision(name, None)
    definition = "CallToolResult"
    good = {key: value for key, value in GOOD.items() if name == schema.MODERN or key != "resultType"}
    assert without.errors(definition, good) == []
    assert without.errors(definition, {**good, "content": "hi"}) != []
    assert without.errors(definition, {**good, "isError": "no"}) != []


def test_specification_examples_are_accepted() -> None:
    found = schema.specification()
    if found is None:
        pytest.skip("left out: no specification beside the repository")
    examples = sorted((found / VERSION / "examples").glob("*/*.json"))
    assert examples
    wrong = {
        path.name: problems
        for path in examples
        if (problems := schema.revision(VERSION).errors(path.parent.name, json.loads(path.read_text())))
    }
    assert wrong == {}


def test_event_streams_are_read_by_the_rules() -> None:
    read = http1.events(b": comment\r\ndata: a\rdata: b\n\nevent: x\ndata:c\nid: 1\n\n")
    assert [(event.name, event.data, event.id) for event in read] == [("message", "a\nb", None), ("x", "c", "1")]
    for broken in (b"data: a", b"data: a\n", b"dta: a\n\n"):
        with pytest.raises(http1.Malformed):
            http1.events(broken)


async def test_a_tap_copies_every_byte() -> None:
    blob = bytes(range(256)) * 4096

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(-1))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Tap("127.0.0.1:{}".format(server.sockets[0].getsockname()[1])) as tap:
        async with await Connection.open(tap.address) as connection:
            await connection.send(blob)
            connection.writer.write_eof()
            async with asyncio.timeout(10):
                assert await connection.reader.read(-1) == blob
        assert bytes(tap.recordings[0].client) == blob == bytes(tap.recordings[0].server)


@pytest.mark.parametrize("json_mode", [False, True])
async def test_lab_is_a_legacy_server(request: pytest.FixtureRequest, lab: str, lab_json: str, json_mode: bool) -> None:
    """Directly, by the real SDK in its legacy mode."""
    address = lab_json if json_mode else lab
    async with Tap(address) as tap, mcp.Client(f"http://{tap.address}/mcp", mode="legacy") as client:
        assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
        assert [(await client.call_tool("counter")).content[0].text for _ in range(2)] == ["1", "2"]
        assert (await client.call_tool("fail")).is_error
        assert (await client.call_tool("slow", {"steps": 2, "seconds": 0.01})).content[0].text == "done after 2"
        with pytest.raises(mcp.MCPError) as caught:
            await client.call_tool("rpc_error", {"code": -32042, "data": {"x": 1}})
        assert (caught.value.code, caught.value.data) == (-32042, {"x": 1})
        with pytest.raises(mcp.MCPError) as caught:
            await client.read_resource("lab:///missing")
        assert caught.value.code == -32002
        assert len((await client.list_resources()).resources) == 10
    violations = (await audit.back(tap.recordings, tap.address)).violations
    assert violations == []


async def test_lab_records_what_it_was_asked(lab: str) -> None:
    async def record() -> dict[str, Any]:
        async with await Connection.open(lab) as connection:
            response = await connection.exchange(f"GET /record HTTP/1.1\r\nHost: {lab}\r\n\r\n".encode(), "GET")
            return json.loads(response.body)

    before = await record()
    async with mcp.Client(f"http://{lab}/mcp", mode="legacy") as client:
        await client.call_tool("echo", {"text": "hi"})
        during = await record()
    after = await record()
    assert during["methods"]["initialize"] - before["methods"].get("initialize", 0) == 1
    assert during["methods"]["notifications/initialized"] - before["methods"].get("notifications/initialized", 0) == 1
    assert during["tools"]["echo"] - before["tools"].get("echo", 0) == 1
    assert (during["sessions"] - before["sessions"], after["sessions"] - before["sessions"]) == (1, 0)
    assert after["http"]["DELETE"] - before["http"].get("DELETE", 0) == 1


async def test_published_servers_run_behind_mcp_proxy(time_server: str, git_server: str, git_repository: Any) -> None:
    async with mcp.Client(f"http://{time_server}/mcp", mode="legacy") as client:
        answer = await client.call_tool("get_current_time", {"timezone": "Asia/Tokyo"})
        assert json.loads(answer.content[0].text)["timezone"] == "Asia/Tokyo"
    async with mcp.Client(f"http://{git_server}/mcp", mode="legacy") as client:
        answer = await client.call_tool("git_log", {"repo_path": str(git_repository)})
        assert "First commit" in answer.content[0].text


async def test_raw_backend_behaves_unless_told_otherwise() -> None:
    async with RawBackend() as raw, mcp.Client(raw.url, mode="legacy") as client:
        assert (await client.call_tool("x")).content[0].text == "raw"
        assert [tool.name for tool in (await client.list_tools()).tools] == ["x"]
    assert raw.methods["initialize"] == 1 and raw.methods["DELETE"] == 1 and raw.sessions == set()
    assert b'"method":"tools/call"' in raw.received


@pytest.mark.parametrize("newline", [b"\r\n", b"\n", b"\r"])
@pytest.mark.parametrize("bytewise", [False, True])
async def test_raw_backend_streams(newline: bytes, bytewise: bool) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.sse(exchange.response(b'{"content":[]}'), newline=newline, bytewise=bytewise)
        return True

    async with RawBackend(script, sessions=False) as raw, Client(raw.address) as client:
        assert (await client.call("x")).result == {"content": []}
