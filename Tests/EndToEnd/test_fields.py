"""Header fields that the operator names: what reaches the server, who is told apart by it, and what is told of the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from harness.http1 import Connection
from harness.lab import address
from harness.modern import OMIT, VERSION, Client, call, encode, request
from harness.processes import SERVERS, Process, venv
from harness.remora import Remora, check, configuration
from servers.raw import Exchange, PushBackend, RawBackend


@asynccontextmanager
async def keyed(*options: str) -> AsyncIterator[str]:
    """The address of a published server that wants an `X-Api-Key`."""
    async with await Process.start(venv("legacy-1.30.0"), str(SERVERS / "keyed.py"), *options) as process:
        yield await address(process)


async def record(server: str) -> dict[str, Any]:
    async with await Connection.open(server) as connection:
        answer = await connection.exchange(f"GET /record HTTP/1.1\r\nHost: {server}\r\n\r\n".encode(), "GET")
    return json.loads(answer.body)


@asynccontextmanager
async def session(url: str, mode: str, key: str | None) -> AsyncIterator[mcp.Client]:
    """The published client, with a key."""
    headers = {"X-Api-Key": key} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
        async with mcp.Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            yield client


def text(result: Any) -> str:
    return result.content[0].text


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["stream", "json"])
@pytest.mark.parametrize("mode", ["legacy", VERSION])
async def test_a_published_server_that_wants_a_key(form: list[str], mode: str) -> None:
    async with keyed(*form) as server:
        more = {"era": "auto", "headers": {"forward": ["X-Api-Key"]}}
        settings = configuration(f"http://{server}/mcp", server=more, listen={"legacy_clients": "pass"})
        async with Remora(settings) as remora:
            url = f"http://{remora.address}/mcp"
            async with session(url, mode, "key-1") as one, session(url, mode, "key-2") as two:
                assert {tool.name for tool in (await one.list_tools()).tools} == {"count", "key"}
                counts = [[text(await each.call_tool("count")) for each in (one, two)] for _ in range(3)]
                assert counts == [["1", "1"], ["2", "2"], ["3", "3"]]
                assert [text(await each.call_tool("key")) for each in (one, two)] == ["key-1", "key-2"]
        found = await record(server)
        assert len(found["sessions"]) >= 2 and all(len(keys) == 1 for keys in found["sessions"].values()), found
        # initialize, calls, the stream and the end: each with its key, or the server would not have let it in.
        assert found["methods"]["GET"] >= 2 and found["methods"]["DELETE"] >= 2, found
        assert not any("key-1" in line or "key-2" in line for line in remora.process.lines)


async def test_many_keys_at_once_never_share_a_session() -> None:
    async with keyed("--json") as server:
        place = {"url": f"http://{server}/mcp", "headers": {"forward": ["x-api-key"]}}
        async with Remora(configuration(place, sessions={"max": 128, "max_per_principal": 128})) as remora:

            async def live(number: int) -> None:
                async with Client(remora.address) as client:
                    for _ in range(10):
                        answer = await client.call("key", X_Api_Key=f"key-{number % 32}", Authorization="Bearer same")
                        assert answer.text == f"key-{number % 32}"

            await asyncio.gather(*(live(number) for number in range(64)))
        found = (await record(server))["sessions"]
        assert len(found) == 32 and all(len(keys) == 1 for keys in found.values()), found


async def test_a_key_that_is_not_forwarded() -> None:
    """What the server makes of its absence is told with the setting that would mend it."""
    async with keyed("--json") as server, Remora(configuration(f"http://{server}/mcp")) as remora:
        async with Client(remora.address) as client:
            answer = await client.call("count", X_Api_Key="key-1", Cookie="a=b", User_Agent="x")
    assert answer.status == 401
    message = answer.error["message"]
    assert "x-api-key, cookie" in message and "backends[].headers.forward" in message
    assert "key-1" not in message and "a=b" not in message and "user-agent" not in message
    assert not any("key-1" in line for line in remora.process.lines)


async def test_every_request_has_them() -> None:
    headers = {"forward": ["x-api-key", "cookie"], "set": {"X-Tenant": "acme", "Authorization": "Bearer of-the-operator"}}
    async with PushBackend() as raw:
        async with Remora(configuration({"url": raw.url, "headers": headers})) as remora, Client(remora.address) as client:
            options = {"X_Api_Key": "k", "Cookie": "a=b", "X_Tenant": "evil", "X_Other": "o", "Authorization": "Bearer own"}
            assert (await client.call("x", **options)).status == 200
            assert (await client.send(request("tools/list"), **options)).status == 200
            await raw.until(lambda raw: any(each.method == "GET" for each in raw.requests))
        seen = {each.method for each in raw.requests}
        assert seen == {"POST", "GET", "DELETE"}
        for each in raw.requests:
            found = [(name.lower(), value) for name, value in each.headers]
            assert found.count(("x-api-key", "k")) == 1 and found.count(("cookie", "a=b")) == 1, found
            assert [value for name, value in found if name == "x-tenant"] == ["acme"], found
            assert [value for name, value in found if name == "authorization"] == ["Bearer of-the-operator"], found
            assert not any(name == "x-other" for name, _ in found), found


async def test_cookies_of_both_are_one_field() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize":
            return False
        raw.sessions.add("s")
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "a", "version": "1"}}
        headers = {"Mcp_Session_Id": "s", "Set_Cookie": "route=a; Path=/"}
        await exchange.json(exchange.response(json.dumps(result).encode()), **headers)
        return True

    async with RawBackend(script) as raw:
        async with Remora(configuration({"url": raw.url, "headers": {"forward": ["cookie"]}})) as remora:
            async with Client(remora.address) as client:
                assert (await client.call("x", Cookie="a=b")).status == 200
        first, *others = raw.requests
        assert first.header("cookie") == "a=b" and others
        for each in others:
            assert [value for name, value in each.headers if name.lower() == "cookie"] == ["a=b; route=a"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_what_is_passed_through_has_them_too(era: str) -> None:
    headers = {"forward": ["x-api-key"], "set": {"X-Tenant": "acme"}, "add": ["x-forwarded-for", "forwarded"]}

    async def script(exchange: Exchange) -> bool:
        await exchange.reply(200, b"{}")
        return True

    async with RawBackend(script) as raw:
        settings = configuration(raw.url, server={"era": era, "headers": headers}, listen={"legacy_clients": "pass"})
        async with Remora(settings) as remora:
            async with await Connection.open(remora.address) as connection:
                changes = {} if era == "modern" else {"MCP_Protocol_Version": "2025-11-25"}
                body = call("x") if era == "modern" else {"jsonrpc": "2.0", "id": 1, "method": "ping"}
                more = {"X_Api_Key": "k", "X_Tenant": "evil", "X_Forwarded_For": "10.0.0.9", **changes}
                await connection.exchange(encode(body, host=remora.address, **more), "POST")
        (found,) = raw.requests
        fields = {name.lower(): value for name, value in found.headers}
        assert fields["x-api-key"] == "k" and fields["x-tenant"] == "acme"
        assert fields["x-forwarded-for"] == "10.0.0.9, 127.0.0.1"
        assert fields["forwarded"] == f'for=127.0.0.1;host="{remora.address}";proto=http'
        assert sum(name.lower() == "x-tenant" for name, _ in found.headers) == 1


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_client_has_no_twin_of_what_is_set(era: str) -> None:
    """Servers that make variables of fields take `x_tenant` for `x-tenant`."""
    headers = {"set": {"X-Tenant-Id": "acme"}, "add": ["x-forwarded-for"]}
    twins = ["x_tenant_id", "X_Tenant-Id", "x-tenant_id", "x_forwarded_for", "X-Forwarded_For"]

    async def script(exchange: Exchange) -> bool:
        await exchange.reply(200, b"{}")
        return True

    async with RawBackend(script) as raw:
        settings = configuration(raw.url, server={"era": era, "headers": headers}, listen={"legacy_clients": "pass"})
        async with Remora(settings) as remora, await Connection.open(remora.address) as connection:
            body = call("x") if era == "modern" else {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            changes = {} if era == "modern" else {"MCP_Protocol_Version": "2025-11-25"}
            lines = "".join(f"{name}: evil\r\n" for name in [*twins, "x_other"])
            head, _, rest = encode(body, host=remora.address, **changes).partition(b"\r\n")
            await connection.exchange(head + b"\r\n" + lines.encode() + rest, "POST")
        (found,) = raw.requests
        like = [(name.lower().replace("_", "-"), value) for name, value in found.headers]
        assert [value for name, value in like if name == "x-tenant-id"] == ["acme"]
        assert [value for name, value in like if name == "x-forwarded-for"] == ["127.0.0.1"]
        assert ("x-other", "evil") in like


@pytest.mark.parametrize("public", [None, "https://mcp.example.com/mcp"])
async def test_where_a_request_came_from(public: str | None) -> None:
    add = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"]
    listen = {"public_url": public} if public else {}
    async with RawBackend() as raw:
        async with Remora(configuration({"url": raw.url, "headers": {"add": add}}, listen=listen)) as remora:
            async with Client(remora.address) as client:
                host = remora.address
                assert (await client.call("x", host=host, X_Forwarded_Proto="gopher", X_Forwarded_Host="evil")).status == 200
                # They tell no callers apart.
                assert (await client.call("x", host=host, X_Forwarded_For="10.0.0.9", Forwarded="for=10.0.0.9")).status == 200
        scheme, host = ("https", "mcp.example.com") if public else ("http", remora.address)
        calls = [each for each in raw.requests if b"tools/call" in each.body]
        assert len(calls) == 2 and sum(b'"initialize"' in each.body for each in raw.requests) == 1
        first, second = ({name.lower(): value for name, value in each.headers} for each in calls)
        assert first["x-forwarded-for"] == "127.0.0.1" and second["x-forwarded-for"] == "10.0.0.9, 127.0.0.1"
        for each in (first, second):
            assert each["x-forwarded-proto"] == scheme and each["x-forwarded-host"] == host
        own = f'for=127.0.0.1;host="{host}";proto={scheme}'
        assert first["forwarded"] == own and second["forwarded"] == f"for=10.0.0.9, {own}"


async def test_values_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "key"
    secret.write_text("from-file\n")
    secret.chmod(0o600)
    monkeypatch.setenv("REMORA_TEST_KEY", "from-environment")
    headers = {"set": {"X-One": "${REMORA_TEST_KEY}"}, "set_from": {"X-Two": str(secret)}}
    async with RawBackend() as raw:
        async with Remora(configuration({"url": raw.url, "headers": headers})) as remora, Client(remora.address) as client:
            assert (await client.call("x")).status == 200
        assert raw.requests
        for each in raw.requests:
            fields = {name.lower(): value for name, value in each.headers}
            assert fields["x-one"] == "from-environment" and fields["x-two"] == "from-file"
        assert not any("from-file" in line or "from-environment" in line for line in remora.process.lines)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"forward": ["host"]}, "must not be host, which belongs to one connection: Remora writes its own"),
        ({"forward": ["Content-Length"]}, "must not be content-length, which belongs to one connection"),
        ({"forward": ["transfer-encoding"]}, "must not be transfer-encoding, which belongs to one connection"),
        ({"forward": ["connection"]}, "must not be connection, which belongs to one connection"),
        ({"forward": ["mcp-session-id"]}, "must not be mcp-session-id, which belongs to MCP"),
        ({"forward": ["MCP-Protocol-Version"]}, "must not be mcp-protocol-version, which belongs to MCP"),
        ({"forward": ["accept"]}, "must not be accept, which belongs to MCP"),
        ({"forward": ["traceparent"]}, "goes to the server without being named here"),
        ({"forward": ["authorization"]}, "goes to the server without being named here"),
        ({"forward": ["origin"]}, "which Remora checks itself"),
        ({"forward": ["x-forwarded-for"]}, "name it in headers.add instead"),
        ({"forward": ["x key"]}, "must be the name of a header field, such as x-api-key"),
        ({"forward": ["x-a", "X-A"]}, "must name each field once"),
        ({"forward": [f"x-{number}" for number in range(33)]}, "must name at most 32 fields"),
        ({"set": {"Host": "a"}}, "must not be host, which belongs to one connection"),
        ({"set": {"cookie": "a"}}, "must not be cookie: each session has its own"),
        ({"set": {"x-a": "secret\nx-b: c"}}, "must have a text without control characters"),
        ({"set": {"x-a": " secret"}}, "must have a text without control characters, and without spaces around it"),
        ({"set": {"x-a": "1"}, "forward": ["x-a"]}, "must not have x-a, which headers.forward takes from the client"),
        ({"set": {"x-a": "1"}, "set_from": {"X-A": "/dev/null"}}, "must be a plain file"),
        ({"set": {"x-forwarded-for": "1"}, "add": ["x-forwarded-for"]}, "must not have x-forwarded-for, which headers.add"),
        ({"set_from": {"x-a": "/nowhere"}}, "must be a file that can be read"),
        ({"add": ["via"]}, "must be one of x-forwarded-for, x-forwarded-proto, x-forwarded-host, forwarded"),
        ({"forwards": []}, "did you mean `forward`?"),
    ],
)
async def test_nonsense_is_refused(headers: dict[str, Any], message: str) -> None:
    status, output = await check(configuration({"url": "http://127.0.0.1:1/mcp", "headers": headers}))
    assert status != 0 and message in output, output


async def test_a_command_has_no_header() -> None:
    status, output = await check(configuration({"command": ["true"], "headers": {"forward": ["x-a"]}}))
    assert status != 0 and "headers goes with url only" in output, output


async def test_a_page_may_send_them() -> None:
    app = "https://app.example.com"
    async with RawBackend() as raw:
        place = {"url": raw.url, "headers": {"forward": ["x-api-key"]}}
        async with Remora(configuration(place, listen={"allowed_origins": [app]})) as remora:
            async with await Connection.open(remora.address) as connection:
                text = f"OPTIONS /mcp HTTP/1.1\r\nHost: {remora.address}\r\nOrigin: {app}\r\n"
                text += "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-api-key\r\n\r\n"
                answer = await connection.exchange(text.encode(), "OPTIONS")
        assert answer.status == 204 and "x-api-key" in answer.header("access-control-allow-headers").split(", ")


# --- the door


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8808", "http://localhost:8808", 200),
        ("127.0.0.1:8808", "http://127.0.0.1:8808", 200),
        ("localhost:8808", "http://localhost:3000", 403),
        ("localhost:8808", "https://localhost:8808", 403),
        ("localhost:8808", "http://evil.example", 403),
        ("evil.example:8808", "http://evil.example:8808", 403),
        ("evil.example", "http://localhost:8808", 403),
    ],
)
async def test_the_endpoints_own_origin(host: str, origin: str, status: int) -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        assert (await client.call("x", host=host, Origin=origin)).status == status


# --- a client whose header names an older revision


async def test_an_older_revision_in_the_header() -> None:
    async with RawBackend() as raw:
        for tolerate, status in ([], 400), (["version_header"], 200):
            changes = {"listen": {"tolerate": tolerate}, "admin": {"address": "127.0.0.1:0"}}
            async with Remora(configuration(raw.url, **changes)) as remora, Client(remora.address) as client:
                for header in ("2025-11-25", "2024-11-05"):
                    answer = await client.call("x", MCP_Protocol_Version=header)
                    assert answer.status == status and (status == 200 or answer.code == -32020), answer
                # What is no such mistake stays one.
                for header in ("2027-01-01", "1", OMIT):
                    answer = await client.call("x", MCP_Protocol_Version=header)
                    assert (answer.status, answer.code) == (400, -32020), answer
                assert (await client.call("x")).status == 200
                admin = (await remora.process.event("admin_listening"))["address"]
                async with await Connection.open(admin) as connection:
                    text = f"GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n".encode()
                    page = (await connection.exchange(text, "GET")).body.decode()
                assert f'remora_tolerated_requests_total{{what="version_header"}} {2 if tolerate else 0}' in page
