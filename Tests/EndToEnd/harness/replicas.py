"""Several Remoras that know each other, with a key ring in common, and nginx before them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .http1 import Connection
from .processes import ROOT, Process, binary
from .remora import Remora, configuration

NAMES = "abcdefgh"


def free_ports(count: int) -> list[int]:
    """Ports that are free at this moment: replicas have to know each other's before they start."""
    with contextlib.ExitStack() as sockets:
        found = []
        for _ in range(count):
            held = sockets.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            found.append(held.getsockname()[1])
        return found


def new_key(path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(subprocess.run([binary("remora"), "keygen"], capture_output=True, check=True).stdout)
    return path


class Replicas:
    """`count` Remoras, each with its own backend or all with the same one (addresses). Each can be killed and started again."""

    def __init__(self, *backends: str, count: int = 3, **changes: Any) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="remora-test-")
        self.path = Path(self._directory.name)
        self.key = new_key(self.path / "seal.key")
        self.names = NAMES[:count]
        ports = free_ports(2 * count)
        self.fronts = dict(zip(self.names, (f"127.0.0.1:{port}" for port in ports[:count])))
        self.peers = dict(zip(self.names, (f"127.0.0.1:{port}" for port in ports[count:])))
        self.texts = {
            name: self._text(name, backends[index % len(backends)], changes) for index, name in enumerate(self.names)
        }
        self.running: dict[str, Remora] = {}

    def _text(self, name: str, backend: str, changes: dict[str, Any]) -> str:
        replicas = {
            "id": name,
            "address": self.peers[name],
            "peers": {other: f"http://{address}" for other, address in self.peers.items()},
            "keys": [str(self.key)],
            **changes.get("replicas", {}),
        }
        listen = {"address": self.fronts[name], **changes.get("listen", {})}
        return configuration(f"http://{backend}/mcp", **{**changes, "replicas": replicas, "listen": listen})

    async def __aenter__(self) -> Replicas:
        try:
            for name in self.names:
                await self.start(name)
        except BaseException:
            await self._end(clean=False)
            raise
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self._end(clean=kind is None)
        self._directory.cleanup()

    async def _end(self, *, clean: bool) -> None:
        running, self.running = self.running, {}
        results = await asyncio.gather(
            *(remora.__aexit__(None, None, None) for remora in running.values()), return_exceptions=True
        )
        for result in results:
            if clean and isinstance(result, BaseException):
                raise result

    async def start(self, name: str) -> None:
        self.running[name] = await Remora(self.texts[name]).__aenter__()

    async def kill(self, name: str) -> None:
        """As a crash."""
        await self.running.pop(name).kill()

    async def stop(self, name: str) -> None:
        """As it is asked to, with what it still has to do."""
        await self.running.pop(name).__aexit__(None, None, None)

    def log(self, name: str, event: str) -> list[dict[str, Any]]:
        return [found for found in self.running[name].process.events() if found["event"] == event]


class Nginx:
    """nginx as `docker/nginx.conf` has it, in round robin before other addresses.

    `changes` are directives of that file with another value."""

    def __init__(self, *upstreams: str, **changes: str) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self._directory = tempfile.TemporaryDirectory(prefix="remora-test-")
        self._text = self._configuration(upstreams, changes)

    def _configuration(self, upstreams: tuple[str, ...], changes: dict[str, str]) -> str:
        text = (ROOT / "docker" / "nginx.conf").read_text()

        def put(pattern: str, value: str) -> None:
            nonlocal text
            text, count = re.subn(pattern, value, text, flags=re.M)
            assert count == 1, f"{pattern} is in docker/nginx.conf {count} times"

        path = self._directory.name
        put(
            r"^events {}$",
            f"daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n"
            "events { worker_connections 8192; }",
        )
        paths = "".join(f"{name}_temp_path {path}/{name}; " for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
        put(r"^http {$", f"http {{ client_body_temp_path {path}/body; {paths}")
        put(r"(^ +server server-\d+:8808 [^;]+;\n)+", "".join(f"server {each} fail_timeout=1s;\n" for each in upstreams))
        put(r"^ +listen 80;$", f"listen {self.address};")
        put(r"^ +access_log .*;$", "access_log off;")
        for name, value in changes.items():
            put(rf"^ +{name} .*;$", f"{name} {value};")
        return text

    async def __aenter__(self) -> Nginx:
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert program, "nginx is missing: run Tests/setup first"
        directory = Path(self._directory.name)
        file = directory / "nginx.conf"
        file.write_text(self._text)
        self._process = await Process.start(program, "-e", f"{directory}/error.log", "-c", str(file))
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    await (await Connection.open(self.address)).close()
                    return self
                assert self._process.running, self._process.tail() + (directory / "error.log").read_text()
                await asyncio.sleep(0.02)

    async def __aexit__(self, *_: object) -> None:
        await self._process.kill()
        self._directory.cleanup()
