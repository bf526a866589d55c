"""One run of a published server, and the clients to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import mcp
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client

from environments import environment
from harness.modern import VERSION
from harness.remora import Remora, configuration
from model import Published

START = 60
"""Seconds that a server may take until it listens."""


Connect = Callable[[dict[str, Any]], AbstractAsyncContextManager[mcp.Client]]
"""Makes a client, with these options."""


class Running:
    """A server in a directory of its own, with a state of its own."""

    def __init__(self, server: Published, work: Path, port: int) -> None:
        self.server, self.work, self.port = server, work, port

    def filled(self, value: Any) -> Any:
        """With what `{port}`, `{work}`, `{here}` and `{bin}` stand for."""
        if isinstance(value, str):
            places = {
                "{port}": str(self.port),
                "{work}": str(self.work),
                "{here}": str(Path(__file__).parent),
                "{bin}": str(environment(self.server.requirements) / "bin"),
            }
            for name, place in places.items():
                value = value.replace(name, place)
            return value
        if isinstance(value, dict):
            return {name: self.filled(each) for name, each in value.items()}
        return [self.filled(each) for each in value] if isinstance(value, list | tuple) else value

    @property
    def command(self) -> list[str]:
        program, *arguments = self.filled(list(self.server.command))
        known = environment(self.server.requirements) / "bin" / program
        return [str(known) if known.exists() else program, *arguments]

    @property
    def env(self) -> dict[str, str]:
        place = environment(self.server.requirements) / "bin"
        usual = {"PATH": f"{place}:{os.environ['PATH']}", "HOME": str(self.work), "LANG": "C.UTF-8", "TZ": "UTC"}
        usual["PYTHONHASHSEED"] = "0"  # Sets have an order then.
        return {**usual, **self.filled(dict(self.server.env))}

    @property
    def output(self) -> Path:
        """What it prints."""
        return self.work.with_suffix(".output")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.server.place}"

    @contextlib.asynccontextmanager
    async def process(self) -> AsyncIterator[None]:
        """The process of a server that listens. A command is started by the client, or by Remora."""
        for name, text in self.server.files.items():
            (self.work / name).write_text(text)
        for command in self.server.prepare:
            subprocess.run(command, cwd=self.work, check=True, timeout=30, capture_output=True)
        if self.server.transport == "stdio":
            yield
            return
        with open(self.output, "wb") as output:
            child = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.work,
                env=self.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                await self._listens(child)
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                await child.wait()

    async def _listens(self, child: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(START):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                if child.returncode is not None:
                    said = (self.output).read_text(errors="replace")
                    raise RuntimeError(f"{self.server.name} ended with {child.returncode}: {said[-2000:]}")
                await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def directly(self) -> AsyncIterator[Connect]:
        """The legacy client goes to the server."""

        @contextlib.asynccontextmanager
        async def connect(options: dict[str, Any]) -> AsyncIterator[mcp.Client]:
            with open(self.output, "a") as output:
                place: Any = self.url
                if self.server.transport == "sse":
                    place = sse_client(self.url)
                elif self.server.transport == "stdio":
                    program, *arguments = self.command
                    command = StdioServerParameters(command=program, args=arguments, env=self.env, cwd=self.work)
                    place = stdio_client(command, output)
                async with mcp.Client(place, mode="legacy", **options) as client:
                    yield client

        yield connect

    @contextlib.asynccontextmanager
    async def through_remora(self) -> AsyncIterator[Connect]:
        """The modern client goes to a Remora before it."""
        backend: dict[str, Any] = {"url": self.url}
        if self.server.transport == "sse":
            backend["transport"] = "sse"
        if self.server.transport == "stdio":
            backend = {"command": self.command, "env": self.env, "cwd": str(self.work)}
        async with Remora(configuration(backend, server={"era": "auto"})) as remora:

            @contextlib.asynccontextmanager
            async def connect(options: dict[str, Any]) -> AsyncIterator[mcp.Client]:
                async with mcp.Client(f"http://{remora.address}/mcp", mode=VERSION, **options) as client:
                    yield client

            yield connect


@contextlib.asynccontextmanager
async def started(server: Published) -> AsyncIterator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="published-", ignore_cleanup_errors=True) as place:
        work = Path(place).resolve() / "work"
        work.mkdir()
        running = Running(server, work, port)
        async with running.process():
            yield running
