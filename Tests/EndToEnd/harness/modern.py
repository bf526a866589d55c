"""Requests of a 2026-07-28 client, byte by byte as a test wants them."""

from __future__ import annotations

import base64
import json
import ssl
from typing import Any

from . import http1
from .audit import PREFIX, loads
from .http1 import Connection, Message

VERSION = "2026-07-28"
NAMED = {
    "tools/call": "name", "prompts/get": "name", "resources/read": "uri", "tasks/get": "taskId", "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The methods that carry an Mcp-Name header, and the member of `params` that it repeats."""

OMIT = object()
"""As a value: leave the header, the `_meta` member or the id out."""


def meta(**members: Any) -> dict[str, Any]:
    """The `_meta` of a request; members are given without the specification's prefix."""
    standard = {"protocolVersion": VERSION, "clientInfo": {"name": "tests", "version": "1"}, "clientCapabilities": {}}
    chosen = {**standard, **members}
    return {PREFIX + name: value for name, value in chosen.items() if value is not OMIT}


def request(method: str, params: dict[str, Any] | None = None, *, id: Any = 1, **meta_members: Any) -> dict[str, Any]:
    """A JSON-RPC request. Without an id (OMIT) it is a notification."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
    message["params"] = {**(params or {}), "_meta": meta(**meta_members)}
    if id is OMIT:
        del message["id"]
    return message


def call(name: str, arguments: dict[str, Any] | None = None, *, id: Any = 1, **meta_members: Any) -> dict[str, Any]:
    return request("tools/call", {"name": name, "arguments": arguments or {}}, id=id, **meta_members)


def name_header(value: str) -> str:
    """As the specification wants it: plain when it is visible ASCII, else Base64."""
    if value and value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def headers(message: dict[str, Any]) -> dict[str, Any]:
    """The headers that belong to a request; those of tools/list for what is not even one."""
    method = message.get("method", "tools/list")
    params = message.get("params")
    found: dict[str, Any] = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": method,
    }
    if isinstance(params, dict) and isinstance(value := params.get(NAMED.get(method, "")), str):
        found["Mcp-Name"] = name_header(value)
    return found


def encode(
    message: dict[str, Any] | bytes,
    *,
    host: str = "127.0.0.1",
    method: str = "POST",
    target: str = "/mcp",
    of: dict[str, Any] | None = None,
    **changes: Any,
) -> bytes:
    """The bytes of an HTTP request. `of` is the message that headers are made for when the body is bytes;
    `changes` are headers, `Mcp_Name="x"` for `Mcp-Name: x`, OMIT to leave one out."""
    body = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    like = of if of is not None else message if isinstance(message, dict) else {}
    chosen: dict[str, Any] = {"Host": host, **headers(like), "Content-Length": str(len(body))}
    for name, value in changes.items():
        chosen[name.replace("_", "-")] = value
    lines = [f"{name}: {value}" for name, value in chosen.items() if value is not OMIT]
    return f"{method} {target} HTTP/1.1\r\n".encode() + _lines(lines) + body


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


class Answer:
    """A response of Remora."""

    def __init__(self, message: Message) -> None:
        self.http = message
        self.status = message.status
        self.raw = message.body
        if message.media_type == "text/event-stream":
            self.messages = [event.data for event in http1.events(message.body) if event.data]
        else:
            self.messages = [message.body.decode()] if message.body else []

    @property
    def json(self) -> dict[str, Any]:
        """The JSON-RPC response."""
        assert self.messages, f"no JSON-RPC response, but {self.http.start!r}"
        return loads(self.messages[-1])

    @property
    def result(self) -> Any:
        assert "result" in self.json, f"{self.http.start}: {self.messages[-1][:1000]}"
        return self.json["result"]

    @property
    def error(self) -> dict[str, Any]:
        assert "error" in self.json, f"{self.http.start}: {self.messages[-1][:1000]}"
        return self.json["error"]

    @property
    def code(self) -> int:
        return self.error["code"]

    @property
    def text(self) -> str:
        """The text of a tool's first content."""
        return self.result["content"][0]["text"]

    def __repr__(self) -> str:
        return f"Answer({self.http.start}, {self.raw[:500]!r})"


class Client:
    """Sends requests over one keep-alive connection, and opens another when that one was closed."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.address, self._tls = address, tls
        self._connection: Connection | None = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def send(self, message: dict[str, Any] | bytes, timeout: float = http1.TIMEOUT, **options: Any) -> Answer:
        if self._connection is None:
            self._connection = await Connection.open(self.address, self._tls)
        options.setdefault("host", self.address)
        try:
            await self._connection.send(encode(message, **options))
            response = await self._connection.receive(options.get("method", "POST"), timeout)
        except BaseException:
            self._connection.abort()
            self._connection = None
            raise
        if (response.header("connection") or "").lower() == "close":
            await self._connection.close()
            self._connection = None
        return Answer(response)

    async def call(self, name: str, arguments: dict[str, Any] | None = None, *, id: Any = 1, **options: Any) -> Answer:
        return await self.send(call(name, arguments, id=id), **options)
