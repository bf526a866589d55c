"""A proxy that copies bytes both ways, unchanged, and remembers them.

One stands between the client and Remora, one between Remora and the backend, so that a test can look at, and
`audit` can judge, everything that Remora sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

from . import audit
from .recording import Recording, Side


async def connect(address: str, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to HOST:PORT or unix:PATH."""
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"), **options)
    host, port = address.rsplit(":", 1)
    return await asyncio.open_connection(host, int(port), **options)


class Tap:
    """Listens on a port from the system, or on a Unix socket, and connects each client to `upstream`. Either side may be
    over TLS: what it remembers is the text."""

    def __init__(
        self,
        upstream: str,
        *,
        path: Path | None = None,
        listen_tls: ssl.SSLContext | None = None,
        connect_tls: ssl.SSLContext | None = None,
        buffer: int | None = None,
        keeps: bool = True,
    ) -> None:
        """With `buffer`, no more than about as many bytes wait in each direction. Unless it `keeps`, it remembers nothing."""
        self._keeps = keeps
        self.upstream, self._path, self._buffer = upstream, path, buffer
        self._listen_tls, self._connect_tls = listen_tls, connect_tls
        self.address = ""
        self.recordings: list[Recording] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def exchanges(self) -> list[audit.Exchange]:
        return [each for recording in self.recordings for each in await audit.exchanges(recording)]

    async def messages(self) -> list[Any]:
        """The JSON of each request so far."""
        return [each.message for each in await self.exchanges()]

    async def answers(self) -> list[Any]:
        """The messages of the server so far."""
        return [message for each in await self.exchanges() for message in each.messages]

    async def judge(self, host: str) -> audit.Audit:
        """Judges what Remora sent to a server that it knows under `host`."""
        return await audit.back(self.recordings, host)

    def next_upstream(self) -> str:
        """Where the next connection goes."""
        return self.upstream

    async def __aenter__(self) -> Tap:
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._connected, self._path)
            self.address = f"unix:{self._path}"
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._listen_tls)
            self.address = "127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
            if self._buffer is not None:
                # Those that it accepts have it too.
                self._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        recording = Recording(len(self.recordings) + 1)
        self.recordings.append(recording)
        writers = [writer]
        try:
            up_reader, up_writer = await connect(self.next_upstream(), **({"ssl": self._connect_tls} if self._connect_tls else {}))
            writers.append(up_writer)
            if self._buffer is not None:
                up_writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, up_writer, recording, "client"))
                group.create_task(self._copy(up_reader, writer, recording, "server"))
        except* OSError:
            pass  # Either side went away; the other side is told so by the abort below.
        finally:
            recording.finished = True
            for each in writers:
                with contextlib.suppress(OSError):
                    if each.transport.get_write_buffer_size() == 0:
                        each.close()
                    else:
                        each.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recording: Recording, side: Side
    ) -> None:
        while data := await reader.read(65536):
            if self._keeps:
                recording.add(side, data)
            writer.write(data)
            await writer.drain()
        if side == "server" or not writer.can_write_eof():
            raise ConnectionResetError  # HTTP knows no half-closed server: end the other direction, too.
        writer.write_eof()
