"""How clients find out who lets them in, and what pages in browsers are told (sections 10 and 1 of the contract)."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import httpx2
import mcp
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from harness.http1 import Connection, Message
from harness.modern import OMIT, VERSION, call, encode
from harness.stack import Stack, stack
from servers.raw import Exchange, RawBackend

PRM = "/.well-known/oauth-protected-resource"
ASM = "/.well-known/oauth-authorization-server"
APP = "https://app.example.com"


async def ask(running: Stack, target: str, method: str = "GET", body: bytes = b"", **headers: Any) -> Message:
    bare = {"MCP_Protocol_Version": OMIT, "Mcp_Method": OMIT, "Mcp_Name": OMIT, **headers}
    async with await Connection.open(running.front.address) as connection:
        host = bare.pop("host", running.front.address)
        data = encode(body, host=host, method=method, target=target, of=call("x"), **bare)
        return await connection.exchange(data, method)


def challenges(message: Message) -> list[str]:
    return [value for name, value in message.headers if name == "www-authenticate"]


class Guarded:
    """A server that wants a token. `documents` are what it answers with to a GET of these paths."""

    def __init__(self, documents: dict[str, Any] | None = None, status: int = 401) -> None:
        self.documents = documents or {}
        self.status = status
        self.address = ""
        self.challenges = ['Bearer resource_metadata="http://BACKEND' + PRM + '/mcp", scope="a"', 'Basic realm="x"']

    async def __call__(self, exchange: Exchange) -> bool:
        request = exchange.request
        path = request.target.split("?")[0]
        if path != "/mcp":
            found = self.documents.get(path)
            if isinstance(found, str):
                await exchange.reply("302 Found", Location=found)
            elif found is None:
                await exchange.reply(404, b"nothing", type="text/plain")
            else:
                await exchange.reply(200, json.dumps(found).replace("BACKEND", self.address).encode())
            return True
        if request.header("authorization") == "Bearer good":
            return False
        lines = [f"HTTP/1.1 {self.status} No", "Content-Length: 2", "Content-Type: application/json"]
        lines += [f"WWW-Authenticate: {each.replace('BACKEND', self.address)}" for each in self.challenges]
        await exchange.raw("\r\n".join(lines).encode() + b"\r\n\r\n{}")
        return True


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("route", ["translated", "passed"])
async def test_every_challenge_comes_back_and_leads_through_remora(status: int, route: str) -> None:
    guarded = Guarded(status=status)
    async with RawBackend(guarded) as raw:
        async with stack(raw.address, judge_front=False, judge_back=False, listen={"legacy_clients": "pass"}) as running:
            guarded.address = running.back.address
            if route == "translated":
                answer = (await running.client.call("x", host=running.front.address, Authorization="Bearer old")).http
            else:
                answer = await ask(running, "/mcp", "DELETE", Authorization="Bearer old")
            assert answer.status == status
            assert challenges(answer) == [
                f'Bearer resource_metadata="http://{running.front.address}{PRM}/mcp", scope="a"',
                'Basic realm="x"',
            ]
            good = await running.client.call("x", host=running.front.address, Authorization="Bearer good")
            assert good.text == "raw"
        assert not any("old" in line or "good" in line for line in running.remora.process.lines), "no token is logged"


async def test_the_public_url_of_the_configuration() -> None:
    guarded = Guarded({PRM + "/mcp": {"resource": "https://elsewhere.example/mcp", "authorization_servers": ["https://as"]}})
    listen = {"public_url": "https://mcp.example.com/tools"}
    async with RawBackend(guarded) as raw, stack(raw.address, judge_back=False, listen=listen) as running:
        guarded.address = running.back.address
        answer = (await running.client.call("x")).http
        assert f'resource_metadata="https://mcp.example.com{PRM}/tools"' in challenges(answer)[0]
        for path in (PRM + "/tools", PRM + "/mcp"):
            document = json.loads((await ask(running, path)).body)
            assert document == {"resource": "https://mcp.example.com/tools", "authorization_servers": ["https://as"]}


async def test_the_metadata_of_the_resource() -> None:
    document = {
        "resource": "http://BACKEND/mcp",
        "authorization_servers": ["https://auth.example.com", "http://BACKEND/"],
        "scopes_supported": ["a"],
    }
    guarded = Guarded({PRM + "/mcp": document})
    async with RawBackend(guarded) as raw, stack(raw.address, judge_back=False) as running:
        guarded.address = running.back.address
        front = f"http://{running.front.address}"
        answer = await ask(running, PRM + "/mcp", Authorization="Bearer secret", Cookie="c=d")
        assert (answer.status, answer.media_type) == (200, "application/json")
        assert json.loads(answer.body) == {
            "resource": front + "/mcp",
            "authorization_servers": ["https://auth.example.com", front + "/"],
            "scopes_supported": ["a"],
        }
        (request,) = [each for each in raw.requests if each.target.startswith(PRM)]
        assert request.header("host") == running.back.address
        assert request.header("authorization") is None and request.header("cookie") is None
        # The server has none for the whole origin, and no authorization server of its own.
        assert (await ask(running, PRM)).status == 404
        assert (await ask(running, PRM + "/mcp", "POST")).header("allow") == "GET"


async def test_a_document_about_the_whole_origin_stands_for_the_endpoints() -> None:
    guarded = Guarded({PRM: {"resource": "http://BACKEND/mcp"}})
    async with RawBackend(guarded) as raw, stack(raw.address, judge_back=False) as running:
        guarded.address = running.back.address
        for path in (PRM + "/mcp", PRM):
            document = json.loads((await ask(running, path)).body)
            assert document == {"resource": f"http://{running.front.address}/mcp"}


async def test_only_these_paths() -> None:
    guarded = Guarded({"/admin": {"secret": 1}, ASM + "/../../admin": {"secret": 1}, "/token": {"secret": 1}})
    async with RawBackend(guarded) as raw, stack(raw.address, judge_back=False) as running:
        for path in ("/admin", ASM + "/../../admin", ASM + "/%2e%2e/admin", PRM + "/other", "/.well-known/x", "/token"):
            assert (await ask(running, path)).status == 404, path
        # /token is only asked of a server that says that it is an authorization server.
        assert {each.target for each in raw.requests} == {ASM}
        assert (await ask(running, PRM, host="evil.example")).status == 421
        assert (await ask(running, PRM, Origin="http://evil.example")).status == 403


async def test_what_is_no_document_is_not_passed_on() -> None:
    async def script(exchange: Exchange) -> bool:
        path = exchange.request.target
        if path == PRM:
            await exchange.reply(200, b"<html>", type="text/html")
        elif path == ASM:
            await exchange.reply(302, b"", Location="http://169.254.169.254/")
        elif path == ASM + "/large":
            await exchange.reply(200, b'{"a":"' + b"x" * 300_000 + b'"}')
        elif path == ASM + "/broken":
            await exchange.reply(500, b"{}")
        return True

    async with RawBackend(script) as raw, stack(raw.address, judge_back=False) as running:
        assert (await ask(running, PRM)).status == 404
        assert (await ask(running, ASM)).status == 404, "no redirect is followed or passed on"
        assert (await ask(running, ASM + "/large")).status == 502
        assert (await ask(running, ASM + "/broken")).status == 503


class AuthorizationServer(Guarded):
    """A server of 2025-03-26, which lets clients in itself."""

    def __init__(self) -> None:
        origin = "http://BACKEND"
        super().__init__(
            {
                ASM: {
                    "issuer": origin,
                    "authorization_endpoint": origin + "/authorize",
                    "token_endpoint": origin + "/token",
                    "registration_endpoint": origin + "/register",
                    "response_types_supported": ["code"],
                    "grant_types_supported": ["authorization_code", "refresh_token"],
                    "code_challenge_methods_supported": ["S256"],
                }
            }
        )
        self.challenges = ["Bearer"]
        self.seen: list[str] = []

    async def __call__(self, exchange: Exchange) -> bool:
        return await lets_in(exchange, self.seen) or await super().__call__(exchange)


async def lets_in(exchange: Exchange, seen: list[str]) -> bool:
    """The endpoints of an authorization server that lets every client in, where 2025-03-26 has them by default."""
    request = exchange.request
    url = urllib.parse.urlsplit(request.target)
    seen.append(f"{request.method} {url.path}")
    query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
    if url.path == "/register":
        client = {**json.loads(request.body), "client_id": "the-client"}
        await exchange.reply(201, json.dumps(client).encode())
    elif url.path == "/authorize":
        assert query["client_id"] == "the-client" and query["code_challenge"]
        back = urllib.parse.urlencode({"code": "the-code", "state": query["state"]})
        await exchange.reply(302, Location=f"{query['redirect_uri']}?{back}")
    elif url.path == "/token":
        form = urllib.parse.parse_qs(request.body.decode())
        assert form["code"] == ["the-code"] and form["code_verifier"], form
        await exchange.reply(200, b'{"access_token":"good","token_type":"Bearer","expires_in":3600}')
    else:
        return False
    return True


class Memory:
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def test_the_published_client_is_let_in_by_a_server_of_2025_03_26() -> None:
    server = AuthorizationServer()
    async with RawBackend(server, revision="2025-03-26") as raw:
        async with stack(raw.address, judge_front=False, judge_back=False) as running:
            server.address = running.back.address
            landed: dict[str, str] = {}

            async def visit(url: str) -> None:
                assert url.startswith(f"http://{running.front.address}/authorize?"), "the public one"
                async with httpx2.AsyncClient() as browser:
                    location = (await browser.get(url)).headers["location"]
                assert location.startswith("http://localhost:1/back?")
                landed.update(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))

            async def come_back() -> AuthorizationCodeResult:
                return AuthorizationCodeResult(code=landed["code"], state=landed["state"])

            metadata = OAuthClientMetadata(client_name="tests", redirect_uris=["http://localhost:1/back"])  # type: ignore[list-item]
            auth = OAuthClientProvider(running.url, metadata, Memory(), visit, come_back)
            async with httpx2.AsyncClient(auth=auth) as http:
                async with mcp.Client(streamable_http_client(running.url, http_client=http), mode=VERSION) as client:
                    assert (await client.call_tool("x")).content[0].text == "raw"
            for step in ("POST /register", "GET /authorize", "POST /token"):
                assert step in server.seen
            for method in ("HEAD", "PUT", "OPTIONS", "TRACE", "BREW"):
                assert (await ask(running, "/token", method)).header("allow") == "GET, POST", method
            document = json.loads((await ask(running, PRM + "/mcp")).body)
            origin = f"http://{running.front.address}"
            assert document == {"resource": origin + "/mcp", "authorization_servers": [origin]}
            assert json.loads((await ask(running, ASM)).body)["token_endpoint"] == origin + "/token"
        lines = running.remora.process.lines
        assert not any("the-code" in line or "good" in line or "code_challenge" in line for line in lines)
        routes = [line["route"] for line in running.remora.process.events() if "route" in line]
        assert set(routes) == {"authorization"}


# Pages in browsers.


async def preflight(running: Stack, target: str = "/mcp", **headers: Any) -> Message:
    chosen = {"Origin": APP, "Access_Control_Request_Method": "POST", "Content_Type": OMIT, **headers}
    return await ask(running, target, "OPTIONS", **chosen)


@pytest.mark.parametrize("mode", ["pass", "refuse"])
async def test_a_preflight(mode: str) -> None:
    listen = {"allowed_origins": [APP], "legacy_clients": mode}
    async with RawBackend() as raw, stack(raw.address, listen=listen) as running:
        asked = "content-type,mcp-method,mcp-param-region,x-other"
        answer = await preflight(running, Access_Control_Request_Headers=asked)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("access-control-allow-origin") == APP
        assert answer.header("access-control-allow-credentials") is None
        methods = "POST, GET, DELETE" if mode == "pass" else "POST"
        assert answer.header("access-control-allow-methods") == methods
        allowed = (answer.header("access-control-allow-headers") or "").split(", ")
        assert {"content-type", "authorization", "mcp-method", "mcp-name", "mcp-param-region"} <= set(allowed)
        assert "x-other" not in allowed
        assert int(answer.header("access-control-max-age") or 0) > 0
        assert sorted(value for name, value in answer.headers if name == "vary") == [
            "Access-Control-Request-Headers",
            "Origin",
        ]
        assert (await preflight(running, PRM)).status == 204
        assert (await preflight(running, "/other")).status == 404
        assert (await preflight(running, host="evil.example")).status == 421
        refused = await preflight(running, Origin="https://evil.example")
        assert refused.status == 403 and refused.header("access-control-allow-origin") is None
        # Without the field of a preflight it is a method like any other.
        assert (await preflight(running, Access_Control_Request_Method=OMIT)).status == 405
        assert raw.requests == []


async def test_every_answer_says_who_may_read_it() -> None:
    listen = {"allowed_origins": ["*"], "legacy_clients": "pass"}
    guarded = Guarded()
    async with RawBackend(guarded) as raw:
        async with stack(raw.address, judge_front=False, judge_back=False, listen=listen) as running:
            guarded.address = running.back.address
            good = {"Origin": APP, "Authorization": "Bearer good"}
            answers = [
                (await running.client.call("x", **good)).http,
                (await running.client.call("x", Origin=APP)).http,
                (await running.client.send({"jsonrpc": "2.0"}, **good)).http,
                await ask(running, "/other", **good),
                await ask(running, PRM, **good),
                await ask(running, "/mcp", "DELETE", **good),
                await ask(running, "/mcp", "DELETE", Origin=APP),
            ]
            assert [each.status for each in answers] == [200, 401, 400, 404, 404, 404, 401]
            for each in answers:
                assert each.header("access-control-allow-origin") == APP, each.start
                assert each.header("access-control-expose-headers") == "WWW-Authenticate, Mcp-Session-Id"
                assert each.header("vary") == "Origin"
            plain = (await running.client.call("x", Authorization="Bearer good")).http
            assert not any(name.startswith("access-control") or name == "vary" for name, _ in plain.headers)
