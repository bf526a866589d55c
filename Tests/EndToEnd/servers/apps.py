"""A legacy server with MCP Apps, by the letter of the extension's specification (ext-apps, specification/2026-01-26/apps):
what it registers depends on what its client declared in `initialize`, and everything about its pages has a spelling of its own.

It is a script for an odd server (harness/odd.py), so that it runs over each form of transport.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from harness.odd import Peer, Running
from servers.raw import REVISION

UI = "io.modelcontextprotocol/ui"
MIME_TYPE = "text/html;profile=mcp-app"
DECLARED = {"extensions": {UI: {"mimeTypes": [MIME_TYPE]}}}
"""What a host declares."""

TOOLS = {
    # For the model and the app; the page's settings in an order and a spelling that no serializer chooses.
    "weather": rb'{"name":"weather","description":"In a page","inputSchema":{"type":"object"},"_meta":{ "ui" : {"visibility":["model","app"],"resourceUri":"ui:\/\/weather\/page" }}}',
    # For the app alone: it is the host that keeps it from the model.
    "refresh": rb'{"name":"refresh","description":"","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://weather/page","visibility":["app"]},"z":1.0}}',
    # The older key.
    "flat": rb'{"name":"flat","description":"","inputSchema":{"type":"object"},"_meta":{"ui/resourceUri":"ui://weather/hidden"}}',
}
PLAIN = rb'{"name":"weather","description":"As text","inputSchema":{"type":"object"}}'
"""What a client without pages gets in place of the first."""

PAGE_META = rb'{"ui":{"csp":{"connectDomains":["https:\/\/api.example","wss://live.example"],"resourceDomains":["https://*.cdn.example"],"frameDomains":[],"baseUriDomains":["https://cdn.example"]},"permissions":{"camera":{},"microphone":{ },"geolocation":{},"clipboardWrite":{}},"domain":"a904794854a047f6.pages.example","prefersBorder":true}}'
PAGE = rb'{"uri":"ui://weather/page","name":"page","mimeType":"text/html;profile=mcp-app","_meta":' + PAGE_META + b"}"
BUNDLE = "<!DOCTYPE html><html><body>" + "<p>\u00e9\\</p>" * 150_000 + "</body></html>"
"""A page of 2 MB, which is what bundlers make."""
CONTENTS = {
    "ui://weather/page": b'{"uri":"ui://weather/page","mimeType":"text/html;profile=mcp-app","text":'
    + json.dumps(BUNDLE).encode()
    + b',"_meta":{"ui":{"prefersBorder":false , "csp":{"connectDomains":[]}}}}',
    # Not listed, as servers may leave it.
    "ui://weather/hidden": b'{"uri":"ui://weather/hidden","mimeType":"text/html;profile=mcp-app","blob":"PCFET0NUWVBFIGh0bWw+","_meta":{"ui":{}}}',
}
RESULT = rb'"content":[{"type":"text","text":"22 \u00b0C"}],"structuredContent":{ "temperature" : 22.0,"history":[1e1,12345678901234567890123]},"_meta":{"timestamp":"2025-11-10T15:30:00Z","source":"weather-api","viewUUID":"\u0061"'
"""Of a tool: the three parts of which the model sees one; the last object is open."""

_numbers = itertools.count(1)


class Apps:
    def __init__(self, running: Running) -> None:
        self.running = running
        self.with_pages: dict[Any, bool] = {}
        """By session: whether its client shows pages."""

    async def __call__(self, peer: Peer) -> bool:
        match peer.method:
            case "initialize":
                await self.initialize(peer)
            case "tools/list":
                tools = list(TOOLS.values()) if self.shows_pages(peer) else [PLAIN]
                await self.say(peer, b'"tools":[' + b",".join(tools) + b"]")
            case "tools/call":
                assert peer.tool in TOOLS
                await self.say(peer, RESULT + b"}")
            case "resources/list":
                await self.say(peer, b'"resources":[' + (PAGE if self.shows_pages(peer) else b"") + b"]")
            case "resources/read":
                uri = peer.message["params"]["uri"]
                if uri not in CONTENTS:
                    await peer.error(-32002, "Resource not found", uri=uri)
                else:
                    await self.say(peer, b'"contents":[' + CONTENTS[uri] + b"]")
            case _:
                return False
        return True

    async def initialize(self, peer: Peer) -> None:
        settings = peer.message["params"]["capabilities"].get("extensions", {}).get(UI, {})
        capabilities = {"tools": {"listChanged": True}, "resources": {}, "extensions": {UI: {}}}
        result = {
            "protocolVersion": REVISION,
            "capabilities": capabilities,
            "serverInfo": {"name": "apps", "version": "1"},
        }
        session: Any = peer.wire
        headers = {}
        if peer.exchange is not None:
            session = f"apps-{next(_numbers)}"
            self.running.http.sessions.add(session)
            self.running.http.issued.add(session)
            headers["Mcp_Session_Id"] = session
        self.with_pages[session] = MIME_TYPE in settings.get("mimeTypes", [])
        if peer.exchange is not None:
            await peer.exchange.json(peer.exchange.response(json.dumps(result).encode()), **headers)
        else:
            await peer.result(**result)

    def shows_pages(self, peer: Peer) -> bool:
        return self.with_pages[peer.wire if peer.exchange is None else peer.exchange.session]

    async def say(self, peer: Peer, members: bytes) -> None:
        await peer.say(b'{"jsonrpc":"2.0","id":%d,"result":{' % peer.id + members + b"}}")
