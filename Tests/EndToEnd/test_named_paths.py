"""The paths beside the endpoint that servers have at places of their own: those that they name themselves, and no others."""

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
from mcp.shared.auth import OAuthClientMetadata

from harness.http1 import Connection, Message
from harness.modern import OMIT, VERSION, Client, call, encode
from harness.remora import Remora, configuration
from servers.raw import Exchange, RawBackend
from test_authorization import ASM, PRM, Memory, challenges, lets_in

OIDC = "/.well-known/openid-configuration"


class Guarded:
    """A server at `/mcp` that wants a token. `documents` are there by GET; `pages` answer anything, and say what they were."""

    def __init__(self, documents: dict[str, Any], challenge: str = "Bearer", pages: tuple[str, ...] = ()) -> None:
        self.documents, self.challenge, self.pages = documents, challenge, pages
        self.raw: RawBackend | None = None

    async def __call__(self, exchange: Exchange) -> bool:
        request, address = exchange.request, self.raw.address
        path = request.target.split("?")[0]
        if path in self.documents:
            await exchange.reply(200, json.dumps(self.documents[path]).replace("BACKEND", address).encode())
        elif path in self.pages:
            await exchange.reply(200, json.dumps([request.method, request.target, request.body.decode()]).encode())
        elif path != "/mcp":
            await exchange.reply(404, b"nothing", type="text/plain")
        elif request.header("authorization") == "Bearer good":
            return False
        else:
            await exchange.reply(401, b"{}", WWW_Authenticate=self.challenge.replace("BACKEND", address))
        return True

    def run(self) -> RawBackend:
        self.raw = RawBackend(self)
        return self.raw


async def ask(remora: Remora, target: str, method: str = "GET", body: bytes = b"", **headers: Any) -> Message:
    bare = {"MCP_Protocol_Version": OMIT, "Mcp_Method": OMIT, "Mcp_Name": OMIT, **headers}
    async with await Connection.open(remora.address) as connection:
        data = encode(body, host=bare.pop("host", remora.address), method=method, target=target, of=call("x"), **bare)
        return await connection.exchange(data, method)


async def refused(remora: Remora) -> Message:
    """The answer to a call without a token."""
    async with Client(remora.address) as client:
        return (await client.call("x", host=remora.address)).http


@pytest.mark.parametrize("route", ["translated", "passed"])
@pytest.mark.parametrize("path", ["/mcp" + PRM, "/api/docs/resource.json", PRM + "/other"])
async def test_a_document_is_where_the_challenge_says(path: str, route: str) -> None:
    document = {"resource": "http://BACKEND/mcp", "authorization_servers": ["https://as.example"]}
    server = Guarded({path: document}, f'Bearer resource_metadata="http://BACKEND{path}"')
    async with server.run() as raw, Remora(configuration(raw.url, listen={"legacy_clients": "pass"})) as remora:
        front = f"http://{remora.address}"
        answer = await refused(remora) if route == "translated" else await ask(remora, "/mcp", "DELETE")
        assert (answer.status, challenges(answer)) == (401, [f'Bearer resource_metadata="{front}{path}"'])
        found = await ask(remora, path)
        assert (found.status, found.media_type) == (200, "application/json")
        assert json.loads(found.body) == {"resource": front + "/mcp", "authorization_servers": ["https://as.example"]}
        assert (await ask(remora, path, "POST")).status == 405


async def test_a_document_below_an_endpoint_of_another_name() -> None:
    document = {"resource": "http://BACKEND/mcp", "authorization_servers": ["https://as.example"]}
    server = Guarded({"/mcp" + PRM: document}, f'Bearer resource_metadata="http://BACKEND/mcp{PRM}"')
    async with server.run() as raw, Remora(configuration(raw.url, listen={"path": "/tools"})) as remora:
        front = f"http://{remora.address}"
        async with Client(remora.address) as client:
            answer = (await client.call("x", host=remora.address, target="/tools")).http
        assert challenges(answer) == [f'Bearer resource_metadata="{front}/tools{PRM}"']
        # Also for a client that looks where the specification says, before it was told anything.
        for path in ("/tools" + PRM, PRM + "/tools"):
            assert json.loads((await ask(remora, path)).body)["resource"] == front + "/tools", path


METADATA = {
    "issuer": "http://BACKEND",
    "authorization_endpoint": "http://BACKEND/rest/oauth/authorize",
    "token_endpoint": "http://BACKEND/rest/oauth/token",
    "registration_endpoint": "http://BACKEND/rest/oauth/register",
    "jwks_uri": "http://BACKEND/rest/oauth/keys",
    "introspection_endpoint": "https://elsewhere.example/introspect",
    "service_documentation": "http://BACKEND/docs/oauth",
    "op_policy_uri": "http://BACKEND/policy",
    "response_types_supported": ["code"],
}
PAGES = ("/rest/oauth/authorize", "/rest/oauth/token", "/rest/oauth/register", "/rest/oauth/keys", "/rest/oauth/admin", "/docs/oauth")


async def test_endpoints_of_the_metadata_are_reached_and_the_rest_keeps_its_name() -> None:
    server = Guarded({ASM: METADATA}, pages=PAGES)
    async with server.run() as raw, Remora(configuration(raw.url)) as remora:
        front = f"http://{remora.address}"
        # Nothing is known yet, and the server has not said that it wants anything.
        assert (await ask(remora, "/rest/oauth/token", "POST")).status == 404
        found = json.loads((await ask(remora, ASM)).body)
        for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint", "jwks_uri"):
            assert found[name] == METADATA[name].replace("http://BACKEND", front), name
        for name in ("service_documentation", "op_policy_uri", "introspection_endpoint"):
            assert found[name] == METADATA[name].replace("BACKEND", raw.address), name
        answer = await ask(remora, "/rest/oauth/authorize?client_id=a&state=b")
        assert json.loads(answer.body) == ["GET", "/rest/oauth/authorize?client_id=a&state=b", ""]
        answer = await ask(remora, "/rest/oauth/token", "POST", b"grant=x", Content_Type="application/x-www-form-urlencoded")
        assert json.loads(answer.body) == ["POST", "/rest/oauth/token", "grant=x"]
        assert json.loads((await ask(remora, "/rest/oauth/keys")).body)[0] == "GET"
        for path in ("/rest/oauth/admin", "/docs/oauth", "/policy", "/rest/oauth/token/", "/rest/oauth/../oauth/token", "/rest/oauth"):
            assert (await ask(remora, path)).status == 404, path
        assert (await ask(remora, "/rest/oauth/token", "PUT")).status == 405
        assert (await ask(remora, "/rest/oauth/token", host="evil.example")).status == 421
        assert (await ask(remora, "/rest/oauth/token", Origin="http://evil.example")).status == 403
        assert not {"/rest/oauth/admin", "/docs/oauth", "/policy"} & {each.target for each in raw.requests}


async def test_a_client_that_read_the_metadata_before_a_restart() -> None:
    """Its token is renewed at a path that this process has named to no client."""
    resource = {"resource": "http://BACKEND/mcp", "authorization_servers": ["http://BACKEND/tenant"]}
    documents = {PRM: resource, OIDC + "/tenant": METADATA}
    server = Guarded(documents, pages=PAGES)
    async with server.run() as raw, Remora(configuration(raw.url)) as remora:
        assert (await refused(remora)).status == 401
        assert json.loads((await ask(remora, "/rest/oauth/token", "POST")).body)[1] == "/rest/oauth/token"
        before = len(raw.requests)
        for number in range(20):
            assert (await ask(remora, f"/rest/{number}")).status == 404
        assert len(raw.requests) == before, "others may ask for paths, and the server does not notice"


async def test_metadata_below_the_issuer() -> None:
    """OpenID Connect Discovery has it there, and clients look there last."""
    resource = {"resource": "http://BACKEND/mcp", "authorization_servers": ["http://BACKEND/tenant"]}
    server = Guarded({PRM: resource, "/tenant" + OIDC: METADATA}, pages=PAGES)
    async with server.run() as raw, Remora(configuration(raw.url)) as remora:
        assert (await ask(remora, "/tenant" + OIDC)).status == 404
        (issuer,) = json.loads((await ask(remora, PRM)).body)["authorization_servers"]
        assert issuer == f"http://{remora.address}/tenant"
        found = json.loads((await ask(remora, "/tenant" + OIDC)).body)
        assert found["token_endpoint"] == f"http://{remora.address}/rest/oauth/token"
        assert (await ask(remora, "/rest/oauth/token", "POST")).status == 200


@pytest.mark.parametrize("named", ["/mcp", "/", "//evil.example/x", "/a/../b", "/a%2fb", "/a;b", "/" + "a" * 600])
async def test_what_is_no_plain_path_is_not_reached(named: str) -> None:
    server = Guarded({ASM: {**METADATA, "token_endpoint": "http://BACKEND" + named}}, pages=(named,))
    async with server.run() as raw, Remora(configuration(raw.url, listen={"path": "/tools"})) as remora:
        assert (await ask(remora, ASM)).status == 200
        assert (await ask(remora, named, "POST")).status in (400, 404)
        assert not any(each.target == named for each in raw.requests)


async def test_a_server_cannot_name_more_and_more() -> None:
    numbers = range(500)
    many = {f"x{number}_endpoint": f"http://BACKEND/x/{number}" for number in numbers}
    server = Guarded({ASM: many}, pages=tuple(f"/x/{number}" for number in numbers))
    async with server.run() as raw, Remora(configuration(raw.url)) as remora:
        await ask(remora, ASM)
        found = [(await ask(remora, f"/x/{number}")).status for number in numbers]
        assert found.count(200) == 64 and found.count(404) == 436


class OldServer(Guarded):
    """A server of 2025-03-26 that has no metadata at all: its endpoints are where that revision has them by default."""

    def __init__(self) -> None:
        super().__init__({})
        self.seen: list[str] = []

    async def __call__(self, exchange: Exchange) -> bool:
        return await lets_in(exchange, self.seen) or await super().__call__(exchange)


@pytest.mark.parametrize("mode", [VERSION, "legacy"])
async def test_the_published_client_is_let_in_by_a_server_without_metadata(mode: str) -> None:
    server = OldServer()
    landed: dict[str, str] = {}

    async def visit(url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            location = (await browser.get(url)).headers["location"]
        landed.update(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))

    async def come_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=landed["code"], state=landed["state"])

    async with server.run() as raw, Remora(configuration(raw.url, listen={"legacy_clients": "pass"})) as remora:
        raw.revision = "2025-03-26"
        url = f"http://{remora.address}/mcp"
        # Until it has said that it wants authorization, its `/token` may be anything.
        assert (await ask(remora, "/token")).status == 404
        metadata = OAuthClientMetadata(client_name="tests", redirect_uris=["http://localhost:1/back"])  # type: ignore[list-item]
        auth = OAuthClientProvider(url, metadata, Memory(), visit, come_back)
        async with httpx2.AsyncClient(auth=auth) as http:
            async with mcp.Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                assert (await client.call_tool("x")).content[0].text == "raw"
        assert {"POST /register", "GET /authorize", "POST /token"} <= set(server.seen)


async def test_defaults_are_not_for_a_server_that_names_another() -> None:
    document = {"resource": "http://BACKEND/mcp", "authorization_servers": ["https://as.example"]}
    server = Guarded({PRM: document}, pages=("/token", "/register", "/authorize"))
    async with server.run() as raw, Remora(configuration(raw.url)) as remora:
        assert (await refused(remora)).status == 401
        for path in ("/token", "/register", "/authorize"):
            assert (await ask(remora, path)).status == 404, path
