"""A legacy MCP server that sends exactly the bytes it is told to, and breaks every rule it is told to.

By default it behaves: it hands out sessions, takes notifications with 202, answers GET with 405 and DELETE with 200,
and answers each request with what `results` holds for its method. A script, an `async def script(exchange)`, takes
over the requests that it wants: it returns True for those it has dealt with.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from harness import http1

REVISION = "2025-11-25"

RESULTS: dict[str, bytes] = {
    "tools/list": b'{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}',
    "tools/call": b'{"content":[{"type":"text","text":"raw"}]}',
    "prompts/list": b'{"prompts":[{"name":"p"}]}',
    "prompts/get": b'{"messages":[]}',
    "resources/list": b'{"resources":[{"uri":"raw:///r","name":"r"}]}',
    "resources/templates/list": b'{"resourceTemplates":[]}',
    "resources/read": b'{"contents":[{"uri":"raw:///r","text":"r"}]}',
    "completion/complete": b'{"completion":{"values":[]}}',
    "ping": b"{}",
}
_numbers = itertools.count(1)
"""Of sessions: no two servers give out the same id."""

CAPABILITIES: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}, "logging": {}}


@dataclass
class Exchange:
    """One HTTP request, and the connection to answer it on."""

    request: http1.Message
    writer: asyncio.StreamWriter
    message: Any
    """The JSON of the body; None when there is none."""

    @property
    def method(self) -> str | None:
        """The JSON-RPC method."""
        return self.message.get("method") if isinstance(self.message, dict) else None

    @property
    def is_request(self) -> bool:
        return self.method is not None and "id" in self.message

    @property
    def session(self) -> str | None:
        return self.request.header("mcp-session-id")

    def response(self, result: bytes) -> bytes:
        """The JSON-RPC response with these exact bytes as its result."""
        return b'{"jsonrpc":"2.0","id":' + json.dumps(self.message.get("id")).encode() + b',"result":' + result + b"}"

    def error(self, code: int, message: str = "from the backend", **data: Any) -> bytes:
        error = {"code": code, "message": message, **({"data": data} if data else {})}
        id = self.message.get("id") if isinstance(self.message, dict) else None
        return json.dumps({"jsonrpc": "2.0", "id": id, "error": error}).encode()

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self, status: int | str, body: bytes = b"", type: str | None = "application/json", **headers: str
    ) -> None:
        """A response with a Content-Length. In names of headers, `_` stands for `-`."""
        lines = [f"HTTP/1.1 {status}" + ("" if isinstance(status, str) else " X"), f"Content-Length: {len(body)}"]
        if type is not None:
            lines.append(f"Content-Type: {type}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def json(self, message: bytes, **headers: str) -> None:
        await self.reply(200, message, **headers)

    async def sse(self, *messages: bytes, newline: bytes = b"\r\n", bytewise: bool = False) -> None:
        """A chunked event stream. A message with line feeds in it becomes several `data` lines of one event;
        `bytewise` sends every byte as its own chunk and packet."""
        await self.stream_head()
        for message in messages:
            lines = [b"event: message", *(b"data: " + line for line in message.split(b"\n"))]
            text = newline.join(lines) + newline * 2
            for start in range(0, len(text), 1 if bytewise else len(text)):
                await self.chunk(text[start : start + 1] if bytewise else text)
                if bytewise:
                    await asyncio.sleep(0)
        await self.chunk(b"")

    async def stream_head(self, **headers: str) -> None:
        lines = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[bool]]


class RawBackend:
    """Listens in the test's own event loop, on a port from the system unless one is given."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        results: dict[str, bytes] | None = None,
        capabilities: dict[str, Any] | None = None,
        revision: str = REVISION,
        sessions: bool = True,
        port: int = 0,
    ) -> None:
        self.script = script
        self.results = {**RESULTS, **(results or {})}
        self.capabilities = CAPABILITIES if capabilities is None else capabilities
        self.revision = revision
        self.with_sessions = sessions
        self.port = port
        self.address = ""
        self.received = bytearray()
        """Every byte of every connection, in the order it came."""
        self.requests: list[http1.Message] = []
        self.methods: Counter[str] = Counter()
        """Requests by JSON-RPC method, or by HTTP method for those without a body."""
        self.sessions: set[str] = set()
        self.issued: set[str] = set()
        """All sessions that there ever were."""
        self.changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._closed = False
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}/mcp"

    async def __aenter__(self) -> RawBackend:
        # A burst of connections must not lose first packets, which are sent again after a second only.
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, limit=http1.HEAD_LIMIT, backlog=1024
        )
        self.address = "127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._closed = True
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop_listening(self) -> None:
        """Takes no further connection; those there are stay."""
        assert self._server is not None
        self._server.close()

    def close_connections(self) -> None:
        """Ends every connection, those without a request too."""
        for writer in self._writers:
            writer.close()

    async def until(self, condition: Callable[[RawBackend], bool], timeout: float = http1.TIMEOUT) -> None:
        """Waits until something that arrived makes the condition true."""
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(lambda: condition(self))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:  # Accepted before the end, and only now told of: the server is gone.
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            while (request := await http1.read_request(reader)) is not None:
                self.received += request.raw_head + request.body
                exchange = Exchange(request, writer, _json(request.body))
                self.requests.append(request)
                self.methods[exchange.method or request.method] += 1
                async with self.changed:
                    self.changed.notify_all()
                if self.script is None or not await self.script(exchange):
                    await self.behave(exchange)
                if writer.is_closing():
                    break
        except (http1.Malformed, ConnectionError):
            pass  # The connection is over; what came is in `received`, and a tap judges its form.
        finally:
            self._writers.discard(writer)
            writer.close()

    async def behave(self, exchange: Exchange) -> None:
        """What a good server does."""
        known = not self.with_sessions or exchange.session in self.sessions
        if exchange.method == "initialize":
            await self.initialize(exchange)
        elif exchange.request.method == "GET":
            await exchange.reply(405, Allow="POST, DELETE")
        elif not known:
            await exchange.reply(404, exchange.error(-32600, "Session not found"))
        elif exchange.request.method == "DELETE":
            self.sessions.discard(exchange.session or "")
            await exchange.reply(200)
        elif not exchange.is_request:
            await exchange.reply(202)
        elif exchange.method in self.results:
            await exchange.json(exchange.response(self.results[exchange.method]))
        else:
            await exchange.json(exchange.error(-32601, "Method not found"))

    async def initialize(self, exchange: Exchange) -> None:
        headers = {}
        if self.with_sessions:
            session = f"session-{next(_numbers)}"
            self.sessions.add(session)
            self.issued.add(session)
            headers["Mcp_Session_Id"] = session
        result = {
            "protocolVersion": self.revision,
            "capabilities": self.capabilities,
            "serverInfo": {"name": "raw", "version": "1"},
        }
        await exchange.json(exchange.response(json.dumps(result).encode()), **headers)


class PushBackend(RawBackend):
    """A backend with GET streams on which a test can send. Resources can be subscribed to, but for those in `refused`."""

    def __init__(self, script: Script | None = None, *, promises: bool = True, **options: Any) -> None:
        every = {"listChanged": True}
        capabilities = {"tools": every, "prompts": every, "resources": {**every, "subscribe": True}, "logging": {}}
        options.setdefault("capabilities", capabilities if promises else CAPABILITIES)
        super().__init__(self.dispatch, **options)
        self.other = script
        self.streams: dict[str | None, Exchange] = {}
        """The open GET streams, by session."""
        self.refused: set[str] = set()
        self.subscribed: Counter[str] = Counter()
        """Subscribed minus unsubscribed, by URI."""

    async def dispatch(self, exchange: Exchange) -> bool:
        if self.other is not None and await self.other(exchange):
            return True
        if exchange.session not in self.sessions:
            if exchange.request.method == "GET":
                await exchange.reply(404)
            return exchange.request.method == "GET"
        if exchange.request.method == "GET":
            await self.push(exchange)
        elif exchange.method in ("resources/subscribe", "resources/unsubscribe"):
            uri = exchange.message["params"]["uri"]
            if uri in self.refused:
                await exchange.json(exchange.error(-32002, "no such resource"))
            else:
                self.subscribed[uri] += 1 if exchange.method == "resources/subscribe" else -1
                await exchange.json(exchange.response(b"{}"))
        else:
            return False
        return True

    async def push(self, exchange: Exchange) -> None:
        await exchange.stream_head()
        self.streams[exchange.session] = exchange
        async with self.changed:
            self.changed.notify_all()
        while not exchange.writer.is_closing():
            await asyncio.sleep(0.05)

    async def tell(self, *messages: bytes, id: str | None = None) -> None:
        """Sends messages on every open GET stream."""
        await self.until(lambda _: len(self.streams) > 0)
        for stream in list(self.streams.values()):
            for message in messages:
                await stream.chunk(event(message, id))

    def drop(self) -> None:
        """Ends every GET stream."""
        for stream in self.streams.values():
            stream.abort()
        self.streams.clear()


def event(message: bytes, id: str | None = None) -> bytes:
    return (f"id: {id}\r\n".encode() if id is not None else b"") + b"data: " + message + b"\r\n\r\n"


def notification(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}).encode()

def _json(body: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(body)
    return None
