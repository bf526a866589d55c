"""Debian's redis-server, started and ended by a test, and stores that are no good."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from .certificates import Pair
from .processes import Process
from .replicas import free_ports


class Redis:
    """A redis-server without files. It can be ended and started again at the same place."""

    def __init__(self, *, password: str = "", unix: bool = False, tls: Pair | None = None, options: tuple[str, ...] = ()) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="remora-test-")
        self.socket = f"{self._directory.name}/redis.sock"
        self.password = password
        self.port = free_ports(1)[0]
        place = ["--bind", "127.0.0.1", "--port", "0", "--unixsocket", self.socket]
        self.url = f"unix:{self.socket}"
        if tls:
            files = ["--tls-cert-file", str(tls.certificate), "--tls-key-file", str(tls.key)]
            place += ["--tls-port", str(self.port), *files, "--tls-ca-cert-file", str(tls.certificate)]
            place += ["--tls-auth-clients", "no"]
            self.url = f"rediss://127.0.0.1:{self.port}/0"
        elif not unix:
            place[3] = str(self.port)
            self.url = f"redis://127.0.0.1:{self.port}/0"
        secret = ["--requirepass", password] if password else []
        memory = ["--save", "", "--appendonly", "no", "--dir", self._directory.name]
        self._arguments = [*place, *secret, *memory, *options]
        self._process: Process | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The section `store` of those who use it."""
        return {"url": self.url, **({"password": self.password} if self.password else {})}

    async def __aenter__(self) -> Redis:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()
        self._directory.cleanup()

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: run Tests/setup first"
        self._process = await Process.start(program, *self._arguments)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    if await self.ask("PING") == "PONG":
                        return
                assert self._process.running, self._process.tail()
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """As a crash: nothing is kept."""
        if self._process:
            await self._process.kill()
        self._process = None
        Path(self.socket).unlink(missing_ok=True)

    async def ask(self, *words: str | bytes) -> Any:
        """The answer to one command: a text, a number, None or a list of these."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            if self.password:
                writer.write(_wire("AUTH", self.password))
                assert await _answer(reader) == "OK"
            writer.write(_wire(*words))
            return await _answer(reader)
        finally:
            writer.close()

    async def content(self) -> dict[str, tuple[int, dict[str, str]]]:
        """All that is in it: for each key the seconds that it has left (-1: it stays for ever), and its fields. A text is the field
        without a name, and members of a sorted set have their scores."""
        found = {}
        for key in await self.ask("KEYS", "*"):
            kind = await self.ask("TYPE", key)
            if kind == "string":
                fields = ["", await self.ask("GET", key)]
            elif kind == "zset":
                fields = await self.ask("ZRANGE", key, "0", "-1", "WITHSCORES")
            else:
                fields = await self.ask("HGETALL", key)
            found[key] = (await self.ask("TTL", key), dict(zip(fields[::2], fields[1::2])))
        return found


def _wire(*words: str | bytes) -> bytes:
    texts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


async def _answer(reader: asyncio.StreamReader) -> Any:
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:].decode()
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else (await reader.readexactly(int(rest) + 2))[:-2].decode(errors="replace")
    if kind == b"*":
        return [await _answer(reader) for _ in range(int(rest))]
    raise AssertionError(line)


class Liar:
    """Something else where a store is expected: `behave` does what it likes with each connection."""

    def __init__(self, behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._behave = behave
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Liar:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._behave(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await self._server.wait_closed()
