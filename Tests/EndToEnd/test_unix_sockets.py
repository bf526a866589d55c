"""The common cases with a Unix socket on either side of Remora, and what is about the sockets themselves."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common_cases import *  # noqa: F403  # On this file's `running`.
from harness.http1 import Connection
from harness.lab import AnyLab
from harness.modern import Answer, call, encode
from harness.processes import Process, binary
from harness.remora import Remora, configuration
from harness.stack import Stack, stack
from harness.tap import connect
from harness.ways import Unix
from servers.raw import RawBackend

BACKEND = "http://127.0.0.1:9/mcp"


@pytest.fixture
async def running(any_lab: AnyLab, tmp_path: Path) -> AsyncIterator[Stack]:
    async with stack(any_lab.address, way=Unix(tmp_path)) as it:
        yield it


async def ask(path: Path, **headers: str) -> Answer:
    async with Connection(*await connect(f"unix:{path}")) as connection:
        return Answer(await connection.exchange(encode(call("x"), **headers)))


async def test_who_may_connect_and_under_which_name(tmp_path: Path) -> None:
    path = tmp_path / "remora.sock"
    listen = {"address": f"unix:{path}", "socket_mode": "0600"}
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen=listen)) as remora:
            assert remora.address == f"unix:{path}"
            assert path.stat().st_mode & 0o777 == 0o600
            for host in ("localhost", "mcp.example.com", "whatever:1"):
                assert (await ask(path, Host=host)).text == "raw"
    assert not path.exists(), "the file goes with Remora"


@pytest.mark.parametrize("threads", [1, 3])
async def test_loops_share_a_socket(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "remora.sock"
    async with RawBackend() as raw:
        text = configuration(f"http://{raw.address}/mcp", listen={"address": f"unix:{path}"}, threads=threads)
        async with Remora(text):
            answers = await asyncio.gather(*(ask(path) for _ in range(60)))
            assert {answer.text for answer in answers} == {"raw"}
    assert not path.exists()


async def test_what_a_killed_one_left_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "remora.sock"
    text = configuration(BACKEND, listen={"address": f"unix:{path}"})
    configured = tmp_path / "remora.yaml"
    configured.write_text(text)
    async with await Process.start(binary("remora"), "-c", str(configured)) as first:
        await first.event("listening")
        async with await Process.start(binary("remora"), "-c", str(configured)) as second:
            assert await second.wait() == 1
            assert f"cannot listen on unix:{path}: Address already in use" in second.tail()
        await first.kill()
    assert path.exists()
    async with Remora(text):
        assert path.exists()
    assert not path.exists()


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "remora.sock"
    path.write_text("precious")
    configured = tmp_path / "remora.yaml"
    configured.write_text(configuration(BACKEND, listen={"address": f"unix:{path}"}))
    async with await Process.start(binary("remora"), "-c", str(configured)) as process:
        assert await process.wait() == 1
        assert "no socket" in process.tail()
    assert path.read_text() == "precious"


async def test_a_server_whose_socket_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    async with Remora(configuration(f"unix:{path}:/mcp")) as remora:
        async with await Connection.open(remora.address) as connection:
            answer = Answer(await connection.exchange(encode(call("x"))))
        assert (answer.status, answer.error["data"]) == (503, {"reason": "backend_unavailable", "dispatched": False})


async def test_the_admin_listener_on_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", admin={"address": f"unix:{path}"})) as remora:
            await remora.process.event("admin_listening")
            async with Connection(*await connect(f"unix:{path}")) as connection:
                answer = await connection.exchange(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET")
            assert answer.status == 200 and json.loads(answer.body)
            assert os.path.exists(path) and socket.AF_UNIX
