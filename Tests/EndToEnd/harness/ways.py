"""The ways on which bytes reach Remora and its backend: over plain TCP, over TLS, over Unix sockets, and as lines on a pipe.

A tap stands at both ends and has plain bytes on its other side, so that the same tests, and the same judge, serve all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from . import audit
from .certificates import Authority
from .processes import SERVERS
from .tap import Tap


class Way:
    """Plain TCP."""

    changes: dict[str, Any] = {}
    """To Remora's configuration."""
    server: dict[str, Any] = {}
    """More keys of the backend."""

    def front(self, remora: str) -> Tap:
        """A tap before Remora."""
        return Tap(remora)

    def back(self, server: str) -> Tap | LineTap:
        """A tap before the server."""
        return Tap(server)

    def url(self, back: str) -> str | dict[str, Any]:
        """How Remora is told of a tap: a URL, or the keys that say how else to reach it."""
        return f"http://{back}/mcp"

    def host(self, back: str) -> str:
        """The value of `Host` there."""
        return back


class Unix(Way):
    """A Unix socket on both sides, in a directory of the test's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.changes = {"listen": {"address": f"unix:{directory}/remora.sock"}}

    def back(self, server: str) -> Tap:
        return Tap(server, path=self._directory / "server.sock")

    def url(self, back: str) -> str:
        return f"{back}:/mcp"

    def host(self, back: str) -> str:
        return "localhost"


class TLS(Way):
    """TLS on both sides, with certificates for 127.0.0.1; with `mutual`, each side demands one of the other."""

    def __init__(self, directory: Path, *, mutual: bool = False) -> None:
        self.authority = Authority(directory)
        self._mutual = mutual
        self._server = self.authority.issue("server", "127.0.0.1", "localhost")
        self._client = self.authority.issue("client")
        tls = self._server.settings | ({"client_ca": str(self.authority.file)} if mutual else {})
        self.changes = {"listen": {"tls": tls}}
        if mutual:
            self.changes["sessions"] = {"isolate_by": ["authorization", "client_certificate"]}
        self.server = {"tls": {"ca": str(self.authority.file), **(self._client.settings if mutual else {})}}

    def front(self, remora: str) -> Tap:
        return Tap(remora, connect_tls=self.authority.client_context(self._client if self._mutual else None))

    def back(self, server: str) -> Tap:
        context = self.authority.server_context(self._server, demands_certificate=self._mutual)
        return Tap(server, listen_tls=context)

    def url(self, back: str) -> str:
        return f"https://{back}/mcp"


class Before(Way):
    """Plain TCP, to what stands before the server."""

    def __init__(self, address: str) -> None:
        self._address = address

    def back(self, server: str) -> Tap:
        return Tap(self._address)


class OldTransport(Way):
    """HTTP+SSE, of which Remora is told."""

    server = {"transport": "sse"}


class LineTap:
    """Remembers the lines that go to and come from commands, each of which is run by servers/stdio_tap.py."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = str(path)
        self.recordings: list[Any] = []

    async def __aenter__(self) -> LineTap:
        self.path.write_text("")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def lines(self) -> list[dict[str, Any]]:
        # One may be half written.
        return [json.loads(line) for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def _side(self, side: str) -> list[Any]:
        return [json.loads(each["text"]) for each in self.lines() if each["side"] == side]

    async def exchanges(self) -> list[audit.Exchange]:
        raise AssertionError("there is no HTTP on a pipe")

    async def messages(self) -> list[Any]:
        return self._side("client")

    async def answers(self) -> list[Any]:
        return self._side("server")

    async def judge(self, host: str) -> audit.Audit:
        return audit.pipe(self.lines())


class Stdio(Way):
    """A command, which Remora runs for each session."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._command, self._directory = command, directory

    def back(self, server: str) -> LineTap:
        return LineTap(self._directory / "lines")

    def url(self, back: str) -> dict[str, Any]:
        return {"command": [sys.executable, str(SERVERS / "stdio_tap.py"), back, *self._command]}
