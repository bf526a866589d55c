"""The front door: each way to be refused, with its status, its code, the request's id, and words that help."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.audit import PREFIX
from harness.http1 import Connection
from harness.modern import OMIT, VERSION, Answer, call, encode, request
from harness.stack import stack
from servers.raw import RawBackend


@dataclass
class Case:
    """A request that is refused."""

    name: str
    status: int
    code: int | None
    """None: there need not be a JSON-RPC error."""
    says: str
    """A regular expression that the message has to match, without regard to case."""
    message: Any = field(default_factory=lambda: call("x", id="the-id"))
    id: Any = "the-id"
    """The id that the error has to carry; OMIT for none."""
    data: Any = None
    """What `data` has to contain."""
    options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


def without(message: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy in which one member is missing."""
    if len(path) == 1:
        return {name: value for name, value in message.items() if name != path[0]}
    return {**message, path[0]: without(message[path[0]], *path[1:])}


def legacy(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "the-id", "method": method, "params": params}


INITIALIZE = legacy(
    "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "old", "version": "1"}
)
UNSUPPORTED = {"supported": [VERSION], "requested": "2025-11-25"}
NO_LEGACY_HEADERS = {"MCP_Protocol_Version": OMIT, "Mcp_Method": OMIT}

REFUSED = [
    # Rows 1 and 2: who may come at all.
    Case("origin", 403, None, "origin", options={"Origin": "http://evil.example"}, id=OMIT),
    Case("null origin", 403, None, "origin", options={"Origin": "null"}, id=OMIT),
    Case("rebinding", 421, None, "host", options={"host": "evil.example"}, id=OMIT),
    Case(
        "another host",
        421,
        None,
        "host",
        options={"host": "evil.example"},
        config={"listen": {"allowed_hosts": ["mcp.example.com"]}},
        id=OMIT,
    ),
    # Rows 3 and 4: clients of the sessions' time.
    Case("GET", 405, None, "POST", message=b"", options={"method": "GET"}, id=OMIT),
    Case("DELETE", 405, None, "POST", message=b"", options={"method": "DELETE", "Mcp_Session_Id": "s"}, id=OMIT),
    Case("PUT", 405, None, "POST", options={"method": "PUT"}),
    Case("initialize", 400, None, VERSION, message=INITIALIZE, options=NO_LEGACY_HEADERS),
    Case(
        "initialize with a header",
        400,
        None,
        VERSION,
        message=INITIALIZE,
        options={"MCP_Protocol_Version": "2025-11-25", "Mcp_Method": OMIT},
    ),
    Case("no version anywhere", 400, None, VERSION, message=legacy("tools/list"), options=NO_LEGACY_HEADERS),
    Case("array", 400, -32600, "batch|array|single", message=b"[]", id=OMIT),
    Case(
        "batch", 400, -32600, "batch|array|single", message=json.dumps([call("x"), call("x", id=2)]).encode(), id=OMIT
    ),
    # Row 5: the form of the body.
    Case("text", 415, None, "application/json", options={"Content_Type": "text/plain"}),
    Case("no type", 415, None, "application/json", options={"Content_Type": OMIT}),
    Case(
        "large",
        413,
        None,
        r"limit|max_body|larger|large",
        message=call("x", {"text": "x" * 2048}),
        config={"limits": {"max_body": "1KiB"}},
        id=OMIT,
    ),
    # Rows 6 and 7: JSON-RPC.
    Case("no body", 400, -32700, "JSON", message=b"", id=OMIT),
    Case("no JSON", 400, -32700, "JSON", message=b"nonsense", id=OMIT),
    Case("cut short", 400, -32700, "JSON", message=json.dumps(call("x")).encode()[:-1], id=OMIT),
    Case("two documents", 400, -32700, "JSON", message=json.dumps(call("x")).encode() * 2, id=OMIT),
    Case("bad UTF-8", 400, -32700, "UTF-8", message=b'{"a":"\xff"}', id=OMIT),
    Case("bare NaN", 400, -32700, "JSON", message=b'{"a":NaN}', id=OMIT),
    Case("string", 400, -32600, "object", message=b'"text"', id=OMIT),
    Case("number", 400, -32600, "object", message=b"1", id=OMIT),
    Case("null", 400, -32600, "object", message=b"null", id=OMIT),
    Case("empty object", 400, -32600, "jsonrpc|method", message=b"{}", id=OMIT),
    Case("no jsonrpc", 400, -32600, "jsonrpc", message=without(call("x", id="the-id"), "jsonrpc")),
    Case("jsonrpc 1.0", 400, -32600, "jsonrpc", message={**call("x", id="the-id"), "jsonrpc": "1.0"}),
    Case("jsonrpc number", 400, -32600, "jsonrpc", message={**call("x", id="the-id"), "jsonrpc": 2.0}),
    Case("no method", 400, -32600, "method", message=b'{"jsonrpc":"2.0","id":"the-id"}'),
    Case("method number", 400, -32600, "method", message=b'{"jsonrpc":"2.0","id":"the-id","method":1}'),
    Case("id null", 400, -32600, r"\bid\b", message=call("x", id=None), id=OMIT),
    Case("id true", 400, -32600, r"\bid\b", message=call("x", id=True), id=OMIT),
    Case("id object", 400, -32600, r"\bid\b", message=call("x", id={}), id=OMIT),
    Case("id fraction", 400, -32600, r"\bid\b", message=call("x", id=1.5), id=OMIT),
    Case("params array", 400, None, "params", message={**call("x", id="the-id"), "params": []}),
    Case("response", 400, -32600, "response", message={"jsonrpc": "2.0", "id": "the-id", "result": {}}, id=None),
    Case(
        "error response",
        400,
        -32600,
        "response",
        message={"jsonrpc": "2.0", "id": "the-id", "error": {"code": 1, "message": "m"}},
        id=None,
    ),
    # Row 9: headers that say something else than the body.
    Case("no version header", 400, -32020, "MCP-Protocol-Version", options={"MCP_Protocol_Version": OMIT}),
    Case("other version header", 400, -32020, "MCP-Protocol-Version", options={"MCP_Protocol_Version": "2025-11-25"}),
    Case("no method header", 400, -32020, "Mcp-Method", options={"Mcp_Method": OMIT}),
    Case("other method header", 400, -32020, "Mcp-Method", options={"Mcp_Method": "tools/list"}),
    Case("method header in capitals", 400, -32020, "Mcp-Method", options={"Mcp_Method": "TOOLS/CALL"}),
    Case("no name header", 400, -32020, "Mcp-Name", options={"Mcp_Name": OMIT}),
    Case("other name header", 400, -32020, "Mcp-Name", options={"Mcp_Name": "y"}),
    Case("bad base64", 400, -32020, "Mcp-Name|base64", options={"Mcp_Name": "=?base64?*?="}),
    Case("base64 of another name", 400, -32020, "Mcp-Name", options={"Mcp_Name": "=?base64?eQ==?="}),
    Case(
        "other prompt name",
        400,
        -32020,
        "Mcp-Name",
        message=request("prompts/get", {"name": "p"}, id="the-id"),
        options={"Mcp_Name": "q"},
    ),
    Case(
        "other URI",
        400,
        -32020,
        "Mcp-Name",
        message=request("resources/read", {"uri": "raw:///r"}, id="the-id"),
        options={"Mcp_Name": "raw:///s"},
    ),
    # Rows 10 and 11: `_meta`.
    Case(
        "no params",
        400,
        -32602,
        "_meta|protocolVersion",
        message={"jsonrpc": "2.0", "id": "the-id", "method": "tools/list"},
    ),
    Case("no _meta", 400, -32602, "_meta|protocolVersion", message=without(call("x", id="the-id"), "params", "_meta")),
    Case("no version", 400, -32602, "protocolVersion", message=call("x", id="the-id", protocolVersion=OMIT)),
    Case("version number", 400, None, "protocolVersion", message=call("x", id="the-id", protocolVersion=1)),
    Case("no capabilities", 400, -32602, "clientCapabilities", message=call("x", id="the-id", clientCapabilities=OMIT)),
    Case("capabilities list", 400, -32602, "clientCapabilities", message=call("x", id="the-id", clientCapabilities=[])),
    Case(
        "older version",
        400,
        -32022,
        VERSION,
        message=call("x", id="the-id", protocolVersion="2025-11-25"),
        options={"MCP_Protocol_Version": "2025-11-25"},
        data=UNSUPPORTED,
    ),
    Case(
        "unknown version",
        400,
        -32022,
        VERSION,
        message=call("x", id="the-id", protocolVersion="2099-01-01"),
        options={"MCP_Protocol_Version": "2099-01-01"},
        data={**UNSUPPORTED, "requested": "2099-01-01"},
    ),
    # Row 13: other parameters.
    Case("log level", 200, -32602, "logLevel", message=call("x", id="the-id", logLevel="loud")),
]

# Row 12: methods that 2026-07-28 does not have, or that this server does not offer.
REMOVED = ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result", "tasks/list"]
REMOVED += ["roots/list", "sampling/createMessage", "elicitation/create", "initialize", "nosuch", "tools/nosuch", ""]
REFUSED += [
    Case(f"method {name!r}", 404, -32601, re.escape(name), message=request(name, id="the-id")) for name in REMOVED
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_refused(case: Case) -> None:
    async with RawBackend() as raw, stack(raw.address, **case.config) as running:
        options = {"of": call("x"), **case.options} if isinstance(case.message, bytes) else case.options
        answer = await running.client.send(case.message, **options)
        assert answer.status == case.status, answer
        assert answer.messages, "a refusal explains itself"
        error = answer.error
        assert re.search(case.says, error["message"], re.IGNORECASE), error
        assert len(error["message"]) >= 15, error
        if case.code is not None:
            assert error["code"] == case.code
        if case.id is OMIT:
            assert "id" not in answer.json, "the id could not be known"
        elif case.id is not None:
            assert answer.json.get("id") == case.id
        for name, value in (case.data or {}).items():
            assert error["data"][name] == value
        assert raw.methods["tools/call"] == 0, "what is refused does not reach the backend"
        # The connection, or a new one, still works.
        host = case.config.get("listen", {}).get("allowed_hosts", [running.front.address])[0]
        assert (await running.client.call("x", host=host)).text == "raw"


@pytest.mark.parametrize("capability", ["tools", "prompts", "resources", "completions"])
async def test_a_capability_that_the_server_does_not_have(capability: str) -> None:
    """Row 12. The request would only be refused by the server, in a way of its own."""
    asked = {
        "tools": [request("tools/list", id="i"), call("x", id="i")],
        "prompts": [request("prompts/list", id="i"), request("prompts/get", {"name": "p"}, id="i")],
        "resources": [
            request("resources/list", id="i"),
            request("resources/templates/list", id="i"),
            request("resources/read", {"uri": "raw:///r"}, id="i"),
        ],
        "completions": [
            request(
                "completion/complete",
                {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}},
                id="i",
            )
        ],
    }
    async with RawBackend(capabilities={"logging": {}}) as raw, stack(raw.address) as running:
        for message in asked[capability]:
            answer = await running.client.send(message)
            assert (answer.status, answer.code, answer.json["id"]) == (404, -32601, "i")
            assert message["method"] in answer.error["message"]


async def test_head_has_no_body() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        answer = await running.client.send(b"", method="HEAD", of=call("x"))
    assert (answer.status, answer.raw, answer.http.header("allow")) == (405, b"", "POST")


async def test_another_path() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        for target in ("/", "/mcp/", "/mcpx", "/MCP", "//mcp", "/mcp/../mcp"):
            answer = await running.client.send(call("x"), target=target)
            assert (answer.status, answer.json["id"]) == (404, 1), target
            assert "/mcp" in answer.error["message"], "it says which path is right"
            assert answer.code != -32601, "a client would take it for an unknown method"
        assert (await running.client.call("x", target="/mcp?a=b")).text == "raw"


async def test_origins_and_hosts_that_are_let_in() -> None:
    listen = {"allowed_origins": ["https://app.example.com"], "allowed_hosts": ["mcp.example.com", "127.0.0.1"]}
    async with RawBackend() as raw, stack(raw.address, listen=listen) as running:
        answer = await running.client.call("x", host="mcp.example.com", Origin="https://app.example.com")
        assert answer.text == "raw"
        assert (await running.client.call("x", Origin="https://app.example.com.evil.example")).status == 403
        assert (await running.client.call("x", host="mcp.example.com.evil.example")).status == 421


@pytest.mark.parametrize("accept", [OMIT, "*/*", "application/json", "text/event-stream", "text/html"])
async def test_accept_is_not_insisted_on(accept: Any) -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.call("x", Accept=accept)).text == "raw"


async def test_a_media_type_with_parameters() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        for type in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"):
            assert (await running.client.call("x", Content_Type=type)).text == "raw"


async def test_notifications_are_taken_and_dropped() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        for method in ("notifications/cancelled", "notifications/initialized", "notifications/nosuch"):
            answer = await running.client.send(request(method, {"requestId": 1}, id=OMIT))
            assert (answer.status, answer.raw) == (202, b"")
        assert (await running.client.call("x")).text == "raw"
    assert raw.methods["notifications/cancelled"] == 0


async def test_session_headers_of_a_client_mean_nothing() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        answer = await running.client.call("x", Mcp_Session_Id="guess", Last_Event_ID="1")
        assert answer.text == "raw"


async def test_header_names_in_any_case() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        data = encode(call("x"), host=running.front.address)
        for old in (b"MCP-Protocol-Version", b"Mcp-Method", b"Mcp-Name", b"Content-Type", b"Content-Length"):
            data = data.replace(old, old.upper() if old != b"Mcp-Name" else b"mcp-NAME")
        async with await Connection.open(running.front.address) as connection:
            assert Answer(await connection.exchange(data)).text == "raw"


@pytest.mark.parametrize("name", ["x", "näme", " padded ", "two\nlines", "=?base64?eA==?=", "a,b;c", "🐟", "", "a b"])
async def test_names_in_the_header(name: str) -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.call(name)).text == "raw"
        assert raw.methods["tools/call"] == 1
        (sent,) = await running.backend_messages("tools/call")
        assert sent["params"]["name"] == name


async def test_base64_where_it_was_not_needed() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.call("x", Mcp_Name="=?base64?eA==?=")).text == "raw"
        assert (await running.client.call("x", Mcp_Name="  x\t")).text == "raw"


async def test_a_name_that_is_spelled_with_escapes() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        body = json.dumps(call("x")).replace('"name": "x"', r'"n\u0061me": "\u0078"').encode()
        assert (await running.client.send(body, of=call("x"))).text == "raw"


async def test_what_legacy_servers_must_not_see() -> None:
    """Section 5: headers and `_meta` toward the backend. The audit looks at the rest."""
    async with RawBackend() as raw, stack(raw.address) as running:
        message = call("x")
        traceparent = f"00-{'1' * 32}-{'2' * 16}-01"
        message["params"]["_meta"] |= {"vendor.example/key": [1.0], "traceparent": traceparent}
        message["params"] |= {"inputResponses": {}, "task": {"ttl": 1}}
        answer = await running.client.send(message, Authorization="Bearer t", Cookie="a=b", Accept_Encoding="gzip")
        assert answer.text == "raw"
        (sent,) = await running.backend_messages("tools/call")
        exchanges = await running.backend_exchanges()
        assert sent["params"]["_meta"]["vendor.example/key"] == [1.0]
        assert sent["params"]["_meta"]["traceparent"] == traceparent
        assert not any(name.startswith(PREFIX) for name in sent["params"]["_meta"])
        assert {"name", "arguments"} <= set(sent["params"]) <= {"name", "arguments", "_meta"}
        (http,) = [each.request for each in exchanges if each.message == sent]
        assert http is not None and http.header("authorization") == "Bearer t"
        assert http.header("accept-encoding") in (None, "identity"), "Remora cannot read what is compressed"
