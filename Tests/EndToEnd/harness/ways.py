"""The ways on which bytes reach Remora and its backend: over plain TCP, over TLS, and over Unix sockets.

A tap stands at both ends and has plain bytes on its other side, so that the same tests, and the same judge, serve all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .certificates import Authority
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

    def back(self, server: str) -> Tap:
        """A tap before the server."""
        return Tap(server)

    def url(self, back: str) -> str:
        """How Remora is told of a tap."""
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
        return Tap(server, socket=self._directory / "server.sock")

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
