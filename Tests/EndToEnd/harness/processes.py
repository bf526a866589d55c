"""Child processes of the tests: started, watched for the line that says where they listen, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any, Callable

from .http1 import TIMEOUT

ROOT = Path(__file__).resolve().parents[3]
VENVS = ROOT / ".build" / "venvs"
SERVERS = Path(__file__).resolve().parents[1] / "servers"


def venv(name: str, program: str = "python") -> str:
    """The path of a program in one of the environments that Tests/setup makes."""
    path = VENVS / name / "bin" / program
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run Tests/setup first")
    return str(path)


def binary(name: str) -> str:
    """The path of a program that `swift build` makes."""
    configured = os.environ.get("REMORA_BIN_DIR")
    places = [Path(configured)] if configured else [ROOT / ".build" / "debug", ROOT / ".build" / "release"]
    for place in places:
        if (place / name).exists():
            return str(place / name)
    raise FileNotFoundError(f"no {name} in {', '.join(map(str, places))}: run `swift build`, or set REMORA_BIN_DIR")


class Process:
    """A running program and every line it has printed."""

    def __init__(self, name: str, child: asyncio.subprocess.Process) -> None:
        self.name = name
        self.child = child
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._readers = [asyncio.create_task(self._collect(stream)) for stream in (child.stdout, child.stderr)]

    @classmethod
    async def start(cls, *command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Process:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 22,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        return cls(Path(command[0]).name, child)

    async def __aenter__(self) -> Process:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child.returncode is None

    async def _collect(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        async for line in stream:
            async with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    async def line(self, found: Callable[[str], Any], timeout: float = TIMEOUT) -> Any:
        """What `found` makes of the first line, past or to come, for which it is true."""
        seen = 0

        def look() -> Any:
            nonlocal seen
            for line in self.lines[seen:]:
                seen += 1
                if result := found(line):
                    return result
            return self.ended()

        try:
            async with asyncio.timeout(timeout), self._changed:
                result = await self._changed.wait_for(look)
        except TimeoutError:
            raise AssertionError(f"{self.name} did not print what was waited for:\n{self.tail()}") from None
        if result is True and self.ended():
            raise AssertionError(f"{self.name} ended:\n{self.tail()}")
        return result

    async def event(self, name: str, timeout: float = TIMEOUT) -> dict[str, Any]:
        """The first JSON line whose `event` is `name`."""
        return await self.line(lambda line: (found := as_event(line)) and found.get("event") == name and found, timeout)

    def events(self) -> list[dict[str, Any]]:
        return [found for line in self.lines if (found := as_event(line))]

    def ended(self) -> bool:
        return all(reader.done() for reader in self._readers)

    def tail(self) -> str:
        return "\n".join(line[:2000] for line in self.lines[-30:]) or "(it printed nothing)"

    async def wait(self, timeout: float = TIMEOUT) -> int:
        """The exit status, once the program has ended by itself."""
        async with asyncio.timeout(timeout):
            status = await self.child.wait()
            await asyncio.gather(*self._readers)
        return status

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGTERM)

    async def stop(self) -> int:
        """Asks the program to end, and makes it end when it does not."""
        self.terminate()
        try:
            return await self.wait()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"{self.name} ignored SIGTERM:\n{self.tail()}") from None

    async def kill(self) -> None:
        """Ends the program without asking, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        await self.child.wait()


def as_event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
