"""Odd servers: each is run twice, by the published legacy client directly and by the modern client through Remora, and what
the two get is compared. Remora runs with the defaults that users have.

A row says what one server does in its own way, by a script, and over which forms of transport:

- `json` and `stream`: Streamable HTTP; the response is a document, or an event of the POST's own stream
- `sse`: HTTP+SSE, one stream for all messages of a session
- `stdio`: a command's lines

A script sees each message before the server does, and returns whether it has dealt with it. What it leaves, the server answers as
a good one: a tool `x`, a prompt, a resource. A script that is made for HTTP alone gets the exchange (`peer.exchange`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mcp
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from servers.raw import CAPABILITIES, RESULTS, REVISION, Exchange, RawBackend
from servers.wires import Wire, Wires

from .audit import PREFIX
from .modern import VERSION
from .remora import Remora, configuration

HTTP = ("json", "stream")
ALL = (*HTTP, "sse", "stdio")
PATIENCE = 20
"""Seconds that a client has for everything."""


class Peer:
    """One message of a client, and the way to answer it."""

    def __init__(self, form: str, message: dict[str, Any], server: Running) -> None:
        self.form, self.message, self.server = form, message, server
        self.exchange: Exchange | None = None
        """Of HTTP; `None` elsewhere, and for the messages of HTTP+SSE."""
        self.wire: Wire | None = None
        """Of HTTP+SSE and stdio."""
        self._said = False

    @property
    def method(self) -> str:
        return self.message.get("method", "")

    @property
    def id(self) -> Any:
        return self.message.get("id")

    @property
    def tool(self) -> str | None:
        """The tool that is called; `None` for another method."""
        return self.message["params"]["name"] if self.method == "tools/call" else None

    async def say(self, text: bytes | str, *, event: str | None = None) -> None:
        """Sends a text as a line, an event (of this type), or as the document."""
        data = text.encode() if isinstance(text, str) else text
        name = b"event: " + event.encode() + b"\n" if event is not None else b""
        if self.wire is not None:
            line = data + b"\n" if self.form == "stdio" else name + b"data: " + data + b"\n\n"
            self.wire.write(line)
        elif self.exchange is not None and self.form == "stream":
            if not self._said:
                await self.exchange.stream_head()
            await self.exchange.chunk(name + b"data: " + data + b"\n\n")
        elif self.exchange is not None:
            await self.exchange.json(data)
        self._said = True

    async def message_of(self, **members: Any) -> None:
        await self.say(json.dumps({"jsonrpc": "2.0", **members}))

    async def result(self, **members: Any) -> None:
        await self.message_of(id=self.id, result=members)

    async def text(self, text: str) -> None:
        """The result of a tool."""
        await self.result(content=[{"type": "text", "text": text}])

    async def error(self, code: int, message: str, **data: Any) -> None:
        await self.message_of(id=self.id, error={"code": code, "message": message, **({"data": data} if data else {})})

    async def end(self) -> None:
        """Ends the stream of this POST."""
        if self.exchange is not None and self.form == "stream" and self._said:
            await self.exchange.chunk(b"")


Script = Callable[[Peer], Awaitable[bool]]
Calls = Callable[[mcp.Client], Awaitable[Any]]


async def outcome(asked: Awaitable[Any]) -> Any:
    """What a client got: the result as JSON without what only one era has, or code, message and data of the error."""
    try:
        found = await asked
    except mcp.MCPError as error:
        return {"error": [error.code, error.message, error.data]}
    return plain(found.model_dump(mode="json", by_alias=True, exclude_none=True))


def plain(value: Any) -> Any:
    """Without what 2026-07-28 adds to a result."""
    if not isinstance(value, dict):
        return value
    added = {"resultType", "ttlMs", "cacheScope"}
    meta = {name: each for name, each in value.get("_meta", {}).items() if not name.startswith(PREFIX)}
    rest = {name: each for name, each in value.items() if name not in added and name != "_meta"}
    return {**rest, "_meta": meta} if meta else rest


async def usual_calls(client: mcp.Client) -> Any:
    """The tools, and the tool `x` twice."""
    return [
        await outcome(client.list_tools()),
        await outcome(client.call_tool("x", {"text": "1"})),
        await outcome(client.call_tool("x", {"text": "2"})),
    ]


@dataclass
class OddServer:
    """A row of the table."""

    name: str
    script: Callable[[Running], Script] | None = None
    """Makes the script of a run, so that each run begins with a state of its own."""
    forms: Sequence[str] = ALL
    calls: Calls = usual_calls
    wanted: Any = None
    """What the modern client gets where that is not what the legacy client gets: where the legacy client fails and Remora
    heals, or where 2026-07-28 wants another error."""
    capabilities: dict[str, Any] = field(default_factory=lambda: CAPABILITIES)
    revision: str = REVISION
    results: dict[str, bytes] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    """Keys of `backends[]`."""
    changes: dict[str, Any] = field(default_factory=dict)
    """To the configuration."""
    client: dict[str, Any] = field(default_factory=dict)
    """Options of both clients, such as callbacks."""
    wires: type[Wires] = Wires
    """What is under HTTP+SSE and stdio."""
    check: Callable[[Running, Remora], Awaitable[None]] | None = None
    """More that must hold after the modern client's calls."""

    def cases(self) -> list[tuple[OddServer, str]]:
        return [(self, form) for form in self.forms]


class Running:
    """An odd server that runs, over one form of transport."""

    def __init__(self, row: OddServer, form: str) -> None:
        self.row, self.form = row, form
        self.methods: Counter[str] = Counter()
        """Messages by method; GET and DELETE of Streamable HTTP by those names."""
        self.script = row.script(self) if row.script is not None else None
        self.http: RawBackend | None = None
        self.wires: Wires | None = None

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Running]:
        results = {**RESULTS, **self.row.results}
        if self.form in HTTP:
            options = {"capabilities": self.row.capabilities, "revision": self.row.revision, "results": results}
            async with RawBackend(self._exchange, **options) as self.http:
                yield self
        else:
            async with self.row.wires(self.form, self._wire) as self.wires:
                yield self

    @property
    def backend(self) -> dict[str, Any]:
        return {"url": self.http.url} if self.http is not None else self.wires.backend

    def legacy_client(self) -> mcp.Client:
        """The published one, straight to the server."""
        if self.http is not None:
            return mcp.Client(self.http.url, mode="legacy", **self.row.client)
        if self.form == "sse":
            return mcp.Client(sse_client(self.wires.backend["url"]), mode="legacy", **self.row.client)
        command, *arguments = self.wires.backend["command"]
        parameters = StdioServerParameters(command=command, args=arguments)
        return mcp.Client(parameters, mode="legacy", **self.row.client)

    async def _exchange(self, exchange: Exchange) -> bool:
        message = exchange.message if isinstance(exchange.message, dict) else {}
        self.methods[exchange.method or exchange.request.method] += 1
        peer = Peer(self.form, message, self)
        peer.exchange = exchange
        if self.script is not None and await self.script(peer):
            await peer.end()
            return True
        if self.form == "stream" and exchange.is_request and exchange.method in self.http.results:
            if exchange.session in self.http.sessions:
                await exchange.sse(exchange.response(self.http.results[exchange.method]))
                return True
        return False

    async def _wire(self, wire: Wire, message: dict[str, Any]) -> bool:
        self.methods[message.get("method", "")] += 1
        peer = Peer(self.form, message, self)
        peer.wire = wire
        if self.script is not None and await self.script(peer):
            return True
        if "id" not in message or "method" not in message:
            return False
        if message["method"] == "initialize":
            information = {"name": "raw", "version": "1"}
            await peer.result(
                protocolVersion=self.row.revision, capabilities=self.row.capabilities, serverInfo=information
            )
            return True
        results = {**RESULTS, **self.row.results}
        if message["method"] in results:
            await peer.result(**json.loads(results[message["method"]]))
            return True
        return False


async def direct(row: OddServer, form: str) -> Any:
    """What the legacy client gets from the server; `"fails"` with the reason where it does not even connect."""
    async with Running(row, form).run() as running:
        try:
            async with asyncio.timeout(PATIENCE), running.legacy_client() as client:
                return await row.calls(client)
        except (Exception, asyncio.CancelledError) as error:
            return {"fails": repr(error)[:200]}


async def compare(row: OddServer, form: str) -> None:
    """Runs a row both ways. The difference is the failure."""
    expected = row.wanted if row.wanted is not None else await direct(row, form)
    assert not (isinstance(expected, dict) and "fails" in expected), f"directly, {expected}: the row has to say what is wanted"
    async with Running(row, form).run() as running:
        async with Remora(configuration(running.backend, server=row.server, **row.changes)) as remora:
            async with asyncio.timeout(PATIENCE), mcp.Client(
                f"http://{remora.address}/mcp", mode=VERSION, **row.client
            ) as client:
                found = await row.calls(client)
            if row.check is not None:
                await row.check(running, remora)
    assert found == expected, f"through Remora: {found!r}\ninstead of:     {expected!r}\n{remora.process.tail()}"


def said(text: str) -> dict[str, Any]:
    """What `outcome` makes of the result of a tool that says this."""
    return {**text_result(text), "isError": False}


def text_result(text: str) -> dict[str, Any]:
    """The result of a tool that says this, as a server writes it."""
    return {"content": [{"type": "text", "text": text}]}
