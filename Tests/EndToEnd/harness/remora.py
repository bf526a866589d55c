"""Remora as a child process, with a configuration that each test writes."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .processes import Process, binary

DEFAULTS: dict[str, Any] = {
    "threads": 1,
    "listen": {"address": "127.0.0.1:0", "path": "/mcp", "legacy_clients": "refuse"},
    "limits": {"shutdown_timeout": "5s"},
    "log": {"level": "debug", "format": "json"},
}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def yaml(value: Any, indent: int = 0) -> str:
    """Block YAML for mappings, flow YAML for the rest, which is JSON."""
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            lines.append(f"{' ' * indent}{key}:\n{yaml(item, indent + 2)}")
        else:
            plain = isinstance(item, str) and item.replace(".", "").replace("_", "").isalnum()
            lines.append(f"{' ' * indent}{key}: {item if plain else json.dumps(item)}\n")
    return "".join(lines)


def configuration(
    *backends: str | Mapping[str, Any], server: Mapping[str, Any] | None = None, **changes: Any
) -> str:
    """The text of a configuration: the defaults above, these backends (a URL, or the keys that say how else it is reached)
    with more keys, and a test's changes.

    A server's era is found out, as for users. A test that counts requests says `era: legacy`: the question would be one of them.
    """
    places = [{"url": each} if isinstance(each, str) else each for each in backends]
    entries = [{**place, **(server or {})} for place in places]
    return yaml(merged({**DEFAULTS, "backends": entries}, changes))


class Remora:
    """A running Remora. Leaving the `async with` stops it and demands that it ends well."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.address = ""
        self.ended_as_wanted = False
        """Whether a test has ended it by its own means."""
        self._directory = tempfile.TemporaryDirectory(prefix="remora-test-")
        self.path = Path(self._directory.name) / "remora.yaml"
        self.path.write_text(text)
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> Remora:
        self._process = await Process.start(binary("remora"), "-c", str(self.path))
        try:
            self.address = (await self.process.event("listening"))["address"]
        except BaseException:
            await self.process.kill()
            raise
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            status = await self.process.stop()
            if kind is None and not self.ended_as_wanted:
                assert status == 0, f"remora ended with {status}:\n{self.process.tail()}"
        finally:
            self._directory.cleanup()

    async def reload(self, text: str, event: str = "reloaded") -> dict[str, Any]:
        """Writes another configuration and asks to read it; returns the line that says what came of it."""
        self.path.write_text(text)
        return await self.hangup(event)

    async def hangup(self, event: str = "reloaded") -> dict[str, Any]:
        def those() -> list[dict[str, Any]]:
            return [each for each in self.process.events() if each["event"] == event]

        seen = len(those())
        self.process.child.send_signal(signal.SIGHUP)
        return await self.process.line(lambda _: len(found := those()) > seen and found[-1])

    async def kill(self) -> None:
        """As a crash, in place of leaving the `async with`."""
        await self.process.kill()
        self._directory.cleanup()

    def descriptors(self) -> int:
        """How many file descriptors are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self) -> int:
        """Bytes of memory in use."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most bytes of memory that were ever in use."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{name}:"))


async def check(text: str, *, command: str = "check") -> tuple[int, str]:
    """`remora check` on a configuration: its exit status, and what it printed."""
    with tempfile.TemporaryDirectory(prefix="remora-test-") as directory:
        path = Path(directory) / "remora.yaml"
        path.write_text(text)
        arguments = ["check", "-c", str(path)] if command == "check" else ["-c", str(path)]
        async with await Process.start(binary("remora"), *arguments) as process:
            return await process.wait(), "\n".join(process.lines)
