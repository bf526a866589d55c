"""Fixtures of the end-to-end tests. Every test starts its own Remora; the Python servers are shared by one worker."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import lab as lab_server
from harness import schema
from harness.lab import AnyLab
from harness.processes import Process, venv
from harness.stack import Stack, stack

# Before a file of tests imports them.
pytest.register_assert_rewrite("common_cases", "session_cases", "question_cases")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_report_header() -> str:
    return f"messages are checked against {schema.source()}"


async def _lab(*options: str, version: str = "1.30.0") -> AsyncIterator[str]:
    async with await lab_server.start(version, *options) as process:
        yield await lab_server.address(process)
        await process.stop()


@pytest.fixture(scope="session")
async def lab(anyio_backend: str) -> AsyncIterator[str]:
    """The address of a legacy server on the real SDK that answers with event streams."""
    async for address in _lab():
        yield address


@pytest.fixture(scope="session")
async def lab_json(anyio_backend: str) -> AsyncIterator[str]:
    """The same, answering with JSON documents."""
    async for address in _lab("--json"):
        yield address


@pytest.fixture(scope="session", params=lab_server.FEW, ids="-".join)
async def any_lab(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnyLab]:
    """A few servers over Streamable HTTP, for files that reach them in a way of their own."""
    async for it in lab_server.any_lab(*request.param, tmp_path_factory.mktemp("lab")):
        yield it


@pytest.fixture
async def running(any_lab: AnyLab) -> AsyncIterator[Stack]:
    """Remora before the server that `any_lab` gives, on the way that it is reached."""
    async with stack(any_lab.address, way=any_lab.way) as it:
        yield it


async def _published(program: str, *options: str) -> AsyncIterator[str]:
    """A published stdio server, made a legacy Streamable HTTP one by mcp-proxy."""
    command = [venv("mcp-proxy", "mcp-proxy"), "--host", "127.0.0.1", "--port", "0", "--pass-environment"]
    running = re.compile(r"Uvicorn running on http://(\S+) ")
    async with await Process.start(*command, "--", venv("servers", program), *options) as process:
        yield (await process.line(running.search, timeout=60))[1]
        await process.stop()


@pytest.fixture(scope="session")
async def time_server(anyio_backend: str) -> AsyncIterator[str]:
    async for address in _published("mcp-server-time", "--local-timezone", "UTC"):
        yield address


@pytest.fixture(scope="session")
async def git_server(anyio_backend: str, git_repository: Path) -> AsyncIterator[str]:
    async for address in _published("mcp-server-git", "--repository", str(git_repository)):
        yield address


@pytest.fixture(scope="session")
def git_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit and one change that is not committed."""
    import subprocess

    path = tmp_path_factory.mktemp("repository")

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(path), *identity, *arguments], check=True, capture_output=True)

    git("init", "--initial-branch=main")
    (path / "file.txt").write_text("one\n")
    git("add", "file.txt")
    git("commit", "--message", "First commit")
    (path / "file.txt").write_text("two\n")
    return path
