"""HTTP/1.1 and Server-Sent Events, read strictly: what Remora sends has to be exactly right to be read here.

Reference: RFC 9112 for framing, the HTML standard's "Server-sent events" for the event stream.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass, field

HEAD_LIMIT = 64 * 1024
TIMEOUT = 20.0
"""Seconds that any single wait in the tests may take before it counts as a hang."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Malformed(Exception):
    """The bytes are not HTTP/1.1, or not a form that Remora may send."""


class Truncated(Malformed):
    """The connection ended inside a message; what came of it, if that is a head at least, is in `message`."""

    message: Message | None = None


@dataclass
class Message:
    """A request or a response, whole."""

    start: str
    headers: list[tuple[str, str]]
    """Names in lower case, in the order they came."""
    body: bytes = b""
    raw_head: bytes = field(default=b"", repr=False)

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    @property
    def method(self) -> str:
        return self.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        if len(values) > 1:
            raise Malformed(f"header {name} is there {len(values)} times")
        return values[0] if values else None

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").split(";")[0].strip().lower()


@dataclass
class Event:
    """One event of an event stream."""

    data: str
    name: str = "message"
    id: str | None = None
    retry: str | None = None


async def read_head(reader: asyncio.StreamReader) -> Message | None:
    """The start line and the headers; None when the connection ended before the first byte."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise Truncated(f"connection ended inside the head {error.partial[:200]!r}") from None
    except asyncio.LimitOverrunError:
        raise Malformed("head too long") from None
    if len(head) > HEAD_LIMIT:
        raise Malformed("head too long")
    start, *lines = head[:-4].split(b"\r\n")
    if not re.fullmatch(rb"HTTP/1\.1 [1-5]\d\d [\t -~]*|[A-Z]+ \S+ HTTP/1\.1", start):
        raise Malformed(f"bad start line {start[:200]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or re.search(rb"[\0\r\n]", value):
            raise Malformed(f"bad header line {line[:200]!r}")
        headers.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
    return Message(start.decode(), headers, raw_head=head)


async def read_body(reader: asyncio.StreamReader, message: Message, *, until_close: bool) -> bytes:
    """The body that the head announces. `until_close` says what no announcement means: the rest, or nothing."""
    encoding, length = message.header("transfer-encoding"), message.header("content-length")
    if encoding is not None and length is not None:
        raise Malformed("both Transfer-Encoding and Content-Length")
    if encoding is not None and encoding.lower() != "chunked":
        raise Malformed(f"Transfer-Encoding {encoding!r}")
    parts: list[bytes] = []
    try:
        if encoding is not None:
            async for chunk in chunks(reader):
                parts.append(chunk)
            return b"".join(parts)
        if length is not None:
            if not re.fullmatch(r"\d+", length):
                raise Malformed(f"Content-Length {length!r}")
            return await reader.readexactly(int(length))
        return await reader.read(-1) if until_close else b""
    except asyncio.IncompleteReadError as error:
        truncated = Truncated(f"connection ended inside the body, after {error.partial[-200:]!r}")
        message.body = b"".join(parts)
        truncated.message = message
        raise truncated from None
    except asyncio.LimitOverrunError:
        raise Malformed("a chunk size that does not end") from None


async def chunks(reader: asyncio.StreamReader):
    """The chunks of a chunked body, each as it comes."""
    while True:
        line = await reader.readuntil(b"\r\n")
        if not re.fullmatch(rb"[0-9A-Fa-f]+\r\n", line):
            raise Malformed(f"bad chunk size {line[:40]!r}")
        size = int(line, 16)
        chunk = await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("a chunk does not end with CRLF")
        if size == 0:
            return
        yield chunk


async def read_request(reader: asyncio.StreamReader) -> Message | None:
    message = await read_head(reader)
    if message is not None:
        message.body = await read_body(reader, message, until_close=False)
    return message


async def read_response(reader: asyncio.StreamReader, method: str = "POST") -> Message | None:
    """The final response: interim ones (1xx) are skipped."""
    while (message := await read_head(reader)) is not None and message.status < 200:
        pass
    if message is not None and method != "HEAD" and message.status not in (204, 304):
        message.body = await read_body(reader, message, until_close=True)
    return message


def events(body: bytes) -> list[Event]:
    """The events of a whole stream. Bytes after the last blank line are Malformed: Remora ends each event."""
    text = body.decode("utf-8")
    lines = re.split(r"\r\n|\n|\r", text)
    if lines[-1] != "":
        raise Malformed(f"event stream ends inside a line: {lines[-1][:200]!r}")
    found: list[Event] = []
    current: Event | None = None
    data: list[str] = []
    for line in lines[:-1]:
        if line == "":
            if current is not None:
                current.data = "\n".join(data)
                found.append(current)
            current, data = None, []
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        current = current or Event("")
        match name:
            case "data":
                data.append(value)
            case "event":
                current.name = value
            case "id":
                current.id = value
            case "retry":
                current.retry = value
            case _:
                raise Malformed(f"unknown field in event stream: {line[:200]!r}")
    if current is not None:
        raise Malformed("the last event has no blank line after it")
    return found


class Connection:
    """A client connection on which a test sends any bytes it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address: str, tls: ssl.SSLContext | None = None, *, buffer: int | None = None) -> Connection:
        """With `buffer`, the kernel takes about so many bytes for a test that does not read."""
        host, port = address.rsplit(":", 1)
        own = socket.socket()
        own.setblocking(False)
        if buffer is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        options = {"ssl": tls, "server_hostname": host} if tls else {}
        try:
            async with asyncio.timeout(TIMEOUT):
                await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
                return cls(*await asyncio.open_connection(sock=own, limit=HEAD_LIMIT, **options))
        except BaseException:
            own.close()
            raise

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(TIMEOUT):
            await self.writer.drain()

    async def receive(self, method: str = "POST", timeout: float = TIMEOUT) -> Message:
        """The next response; `Truncated` when the other side closes instead of answering."""
        async with asyncio.timeout(timeout):
            message = await read_response(self.reader, method)
        if message is None:
            raise Truncated("connection closed without a response")
        return message

    async def exchange(self, data: bytes, method: str = "POST") -> Message:
        await self.send(data)
        return await self.receive(method)

    async def closed_by_peer(self, timeout: float = TIMEOUT) -> bool:
        """Whether the other side closes now, without another byte."""
        async with asyncio.timeout(timeout):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self.writer.wait_closed()
        except ConnectionError:
            pass

    def abort(self) -> None:
        self.writer.transport.abort()
