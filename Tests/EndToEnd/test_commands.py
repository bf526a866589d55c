"""Servers that are started as a command: what they may do wrong, and that nothing of them is left over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp
import pytest

from harness import soak
from harness.http1 import Connection
from harness.modern import OMIT, VERSION, Answer, Client, call, encode
from harness.modern import request as message
from harness.processes import SERVERS, venv
from harness.remora import Remora, check, configuration

RAW = [sys.executable, str(SERVERS / "raw_stdio.py")]

# Answers `initialize`, whose id is 1, and waits for the end. It starts in a millisecond.
SMALL = """
read line
printf '%s\\n' '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},\
"serverInfo":{"name":"small","version":"1"}}}'
while read line; do :; done
"""


@asynccontextmanager
async def command(*arguments: str, server: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Remora]:
    async with Remora(configuration({"command": list(arguments)}, server=server, **changes)) as remora:
        yield remora


@asynccontextmanager
async def raw(*options: str, server: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[tuple[Remora, Client]]:
    async with command(*RAW, *options, server=server, **changes) as remora, Client(remora.address) as client:
        yield remora, client


def children(pid: int) -> dict[int, str]:
    """The processes below one, but for the warden."""
    found: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if status[0] != "Z":
                found[int(entry.name)] = (int(status[1]), line)
    below = {pid}
    while more := {each for each, (parent, _) in found.items() if parent in below} - below:
        below |= more
    return {each: found[each][1] for each in below - {pid} if "--warden" not in found[each][1]}


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], bool], timeout: float = 10) -> float:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout, "it does not come"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


def events(remora: Remora, name: str) -> list[dict[str, Any]]:
    return [each for each in remora.process.events() if each["event"] == name]


# What a child gets.


async def test_its_environment_directory_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMORA_TEST_SECRET", "for nobody")
    monkeypatch.setenv("TZ", "UTC")
    server = {"env": {"TOKEN": "${REMORA_TEST_SECRET}!", "EMPTY": ""}, "cwd": str(tmp_path)}
    async with raw(server=server) as (_, client):
        environment = json.loads((await client.call("env")).text)
        assert environment.pop("TOKEN") == "for nobody!" and environment.pop("EMPTY") == ""
        assert environment["TZ"] == "UTC"
        # Python adds LC_CTYPE by itself.
        assert environment.keys() <= {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LC_CTYPE"}
        assert (await client.call("where")).text == str(tmp_path.resolve())


async def test_a_message_is_one_line() -> None:
    async with raw() as (remora, _):
        body = json.dumps(call("line", {"text": "a\nb\r"}), indent=2).replace("\n", "\r\n").encode()
        async with await Connection.open(remora.address) as connection:
            request = encode(body, of=call("line"), host=remora.address)
            line = json.loads(Answer(await connection.exchange(request)).text)
        assert line.endswith("\n") and line.count("\n") == 1 and "\r" not in line
        assert json.loads(line)["params"]["arguments"] == {"text": "a\nb\r"}


async def test_callers_share_no_process() -> None:
    async with raw() as (remora, client):
        one = (await client.call("pid", Authorization="Bearer one")).text
        two = (await client.call("pid", Authorization="Bearer two")).text
        assert one != two and (await client.call("pid", Authorization="Bearer one")).text == one
        assert {int(one), int(two)} <= children(remora.process.pid).keys()


async def test_its_credentials_do_not_reach_it() -> None:
    async with raw() as (_, client):
        line = (await client.call("line", Authorization="Bearer secret-token")).text
        assert "secret-token" not in line


# What it may do wrong.


@pytest.mark.parametrize("tool", ["endless", "exit", "killed", "closes"])
async def test_what_ends_a_session_ends_nothing_else(tool: str) -> None:
    async with raw(limits={"max_response": "256KiB"}) as (remora, client):
        other = (await client.call("pid", Authorization="Bearer other")).text
        before = (await client.call("pid")).text
        failed = await client.call(tool, timeout=5)
        assert (failed.status, failed.code) == (200, -32603), failed
        assert failed.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert (await client.call("pid")).text != before
        await until(lambda: not runs(int(before)))
        assert (await client.call("pid", Authorization="Bearer other")).text == other
        assert len(events(remora, "server_started")) == 3


async def test_a_response_that_is_no_json_ends_its_call_alone() -> None:
    async with raw() as (remora, client):
        before = (await client.call("pid")).text
        failed = await client.call("garbage", timeout=5)
        assert (failed.status, failed.code) == (200, -32603), failed
        assert failed.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert (await client.call("latin")).result["x"] == "\ufffd"
        assert (await client.call("pid")).text == before
        assert not events(remora, "server_output")


async def test_what_is_no_message_goes_into_the_log() -> None:
    async with raw("banner") as (remora, client):
        assert (await client.call("stray")).text == "raw"
        await until(lambda: len(events(remora, "server_output")) >= 4)
        texts = [each["text"] for each in events(remora, "server_output") if each["stream"] == "stdout"]
        assert texts[0] == "Welcome to the server!" and "\x1b" in texts[1]
        assert texts[2:] == ["   ", "not a message", "\ufffd\ufffd neither", "  "]
        assert all("\x1b" not in line for line in remora.process.lines), "escaped on the way"


async def test_what_it_complains_of_is_logged_with_a_limit() -> None:
    async with raw() as (remora, client):
        assert (await client.call("complains", {"lines": 3, "length": 5000})).text == "raw"
        await until(lambda: len(events(remora, "server_output")) == 3)
        assert all(len(each["text"]) == 1000 and each["stream"] == "stderr" for each in events(remora, "server_output"))
        assert (await client.call("complains", {"lines": 100_000})).text == "raw"
        await asyncio.sleep(0.3)
        assert (await client.call("complains", {"lines": 1})).text == "raw"

        def counted() -> int:
            dropped = sum(each["count"] for each in events(remora, "server_output_dropped"))
            return dropped + len(events(remora, "server_output"))

        await until(lambda: counted() == 100_004)
        assert len(events(remora, "server_output")) < 1000


async def test_words_before_the_end_count() -> None:
    async with raw() as (_, client):
        for _ in range(3):
            for tool in ("last words", "cut off"):
                process = int((await client.call("pid")).text)
                answer = await client.call(tool)
                assert answer.result["content"] in ([], [{"type": "text", "text": "said"}])
                await until(lambda: not runs(process))


async def test_one_answer_is_enough() -> None:
    async with raw() as (_, client):
        assert (await client.call("twice")).text == "first"
        assert (await client.call("x", {"text": "next"})).text == "next"


@pytest.mark.parametrize(
    ("option", "detail"), [("fails", "exit status 7"), ("garbled", "no JSON"), ("silent", "did not answer")]
)
async def test_a_start_that_leads_to_no_session(option: str, detail: str) -> None:
    async with raw(option, limits={"backend_idle_timeout": "1s"}) as (remora, client):
        for _ in range(20):
            refused = await client.call("x", timeout=5)
            assert (refused.status, refused.error["data"]) == (503, {"reason": "backend_unavailable", "dispatched": False})
        # Each failure doubles the pause before the next start.
        assert len(events(remora, "server_started")) <= 3
        await until(lambda: bool(events(remora, "request")))
        assert detail in events(remora, "request")[0]["detail"]
        if option == "fails":
            assert [each["text"] for each in events(remora, "server_output")][0] == "I cannot start"
        await until(lambda: not children(remora.process.pid))


async def test_a_program_that_is_not_there() -> None:
    async with command("no-such-program-anywhere") as remora, Client(remora.address) as client:
        refused = await client.call("x")
        assert refused.status == 503
        await until(lambda: bool(events(remora, "request")))
        (entry,) = events(remora, "request")
        assert "no-such-program-anywhere cannot be started: exec: No such file" in entry["detail"]


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "exclusive"])
async def test_a_server_that_asks_and_does_not_read(can: dict[str, Any]) -> None:
    async with raw() as (remora, client):
        before = remora.resident()
        assert (await client.send(call("asks", clientCapabilities=can), timeout=10)).text == "raw"
        assert remora.resident() - before < 8 << 20


async def test_what_a_deaf_server_was_not_given_was_not_sent() -> None:
    async with raw(limits={"backend_idle_timeout": "1s"}) as (remora, client):
        assert (await client.call("deaf")).text == "deaf from now on"
        text = "x" * (1 << 20)
        async with Client(remora.address) as second:
            first, then = await asyncio.gather(
                client.call("x", {"text": text}, timeout=5), second.call("x", {"text": text}, timeout=5)
            )
        outcomes = sorted((each.error["data"]["dispatched"], each.status) for each in (first, then))
        assert outcomes == [(False, 503), (True, 200)]
        # It answers no ping either: the next call gets another.
        await asyncio.sleep(5.5)
        assert (await client.call("x", {"text": "next"}, timeout=5)).text == "next"


@pytest.mark.parametrize(
    ("what", "can"), [("progress", {}), ("progress", {"elicitation": {}}), ("logs", {"elicitation": {}})],
    ids=["progress", "progress of a call that may be asked", "its log messages"],
)
async def test_a_slow_client_holds_up_its_server_if_it_is_alone(what: str, can: dict[str, Any]) -> None:
    """40 MB before the answer: Remora holds a little of it, and the client gets all."""
    arguments = {"count": 4000, "size": 10_000}
    request = call(what, arguments, clientCapabilities=can, logLevel="debug")
    request["params"]["_meta"]["progressToken"] = "t"
    async with raw() as (remora, client):
        before = remora.resident()
        async with await Connection.open(remora.address) as slow:
            await slow.send(encode(request, host=remora.address))
            await asyncio.sleep(1)
            assert remora.resident() - before < 8 << 20
            answer = Answer(await slow.receive(timeout=20))
        assert answer.text == "raw"
        assert sum('"notifications/' in each for each in answer.messages) == 4000


async def test_a_slow_client_holds_up_nobody_else() -> None:
    arguments = {"count": 4000, "size": 10_000}
    request = call("progress", arguments)
    request["params"]["_meta"]["progressToken"] = "t"
    async with raw() as (remora, client):
        async with await Connection.open(remora.address) as slow:
            await slow.send(encode(request, host=remora.address))
            await asyncio.sleep(0.5)
            assert (await client.call("x", {"text": "beside"}, timeout=10)).text == "beside"
            slow.abort()


# Older clients, and configuration.


async def test_older_clients_are_told_which_revision_to_speak() -> None:
    async with raw(listen={"legacy_clients": "refuse"}) as (_, client):
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        refused = await client.send(initialize, MCP_Protocol_Version=OMIT, Mcp_Method=OMIT)
        assert (refused.status, refused.code) == (400, -32022)
        assert refused.error["data"]["supported"] == [VERSION]


async def test_the_configuration_is_checked() -> None:
    status, printed = await check(configuration({"command": ["x"], "url": "http://127.0.0.1:1/"}))
    assert status == 64 and "a server is reached in one way" in printed


# Nothing is left over.


async def test_a_stop_ends_what_was_started() -> None:
    async with raw("child") as (remora, client):
        for number in range(3):
            await client.call("pid", Authorization=f"Bearer {number}")
        below = children(remora.process.pid)
        assert len(below) >= 6
    await until(lambda: not [pid for pid in below if runs(pid)], timeout=2)


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGUSR1])
async def test_whatever_kills_remora_kills_what_was_started(what: signal.Signals) -> None:
    async with raw("child") as (remora, client):
        for number in range(5):
            await client.call("pid", Authorization=f"Bearer {number}")
        below = children(remora.process.pid)
        assert len(below) >= 10, "each has a child that ignores SIGTERM"
        os.kill(remora.process.pid, what)
        took = await until(lambda: not [pid for pid in below if runs(pid)])
        print(f"measured: {len(below)} processes were gone {took:.3f} s after {what.name}")
        assert await remora.process.wait() == -what
        remora.ended_as_wanted = True


@pytest.mark.timeout(600)
async def test_sessions_that_come_and_go_leave_nothing() -> None:
    sessions, rounds = soak.size((20, 3), (200, 50))
    limits = {"max": sessions, "max_per_principal": sessions, "idle_timeout": "1s"}
    script = ["/bin/sh", "-c", SMALL]
    async with command(*script, sessions=limits) as remora:
        measured: list[tuple[int, int]] = []
        for _ in range(rounds):
            async with asyncio.TaskGroup() as group:
                for number in range(sessions):
                    group.create_task(discover(remora.address, f"Bearer {number}"))
            await until(lambda: not children(remora.process.pid))
            await asyncio.sleep(0.1)
            measured.append((remora.descriptors(), remora.resident()))
        assert len(events(remora, "server_started")) == len(events(remora, "server_ended")) == sessions * rounds
        print(f"measured: {sessions} sessions, {rounds} times: descriptors and bytes were {measured[0]}, are {measured[-1]}")
        assert measured[-1][0] <= measured[0][0]
        assert measured[-1][1] <= measured[0][1] * 1.1 + (1 << 20)


async def discover(address: str, authorization: str) -> None:
    async with Client(address) as client:
        found = await client.send(message("server/discover"), Authorization=authorization, timeout=60)
        assert found.status == 200, found


# Published servers.


async def test_the_published_time_server() -> None:
    async with command(venv("servers", "mcp-server-time"), "--local-timezone", "UTC") as remora:
        async with mcp.Client(f"http://{remora.address}/mcp", mode=VERSION) as client:
            assert {each.name for each in (await client.list_tools()).tools} == {"get_current_time", "convert_time"}
            told = json.loads((await client.call_tool("get_current_time", {"timezone": "UTC"})).content[0].text)
            assert told["timezone"] == "UTC"


async def test_the_published_git_server(git_repository: Path) -> None:
    async with command(venv("servers", "mcp-server-git"), "--repository", str(git_repository)) as remora:
        async with mcp.Client(f"http://{remora.address}/mcp", mode=VERSION) as client:
            told = await client.call_tool("git_status", {"repo_path": str(git_repository)})
            assert "modified:   file.txt" in told.content[0].text


async def test_the_published_sqlite_server(tmp_path: Path) -> None:
    async with command(venv("servers", "mcp-server-sqlite"), "--db-path", str(tmp_path / "db")) as remora:
        async with mcp.Client(f"http://{remora.address}/mcp", mode=VERSION) as client:
            await client.call_tool("create_table", {"query": "CREATE TABLE fish (name TEXT)"})
            await client.call_tool("write_query", {"query": "INSERT INTO fish VALUES ('remora')"})
            told = await client.call_tool("read_query", {"query": "SELECT name FROM fish"})
            assert "remora" in told.content[0].text
            assert (await client.read_resource("memo://insights")).contents


async def test_the_published_fetch_server(lab: str) -> None:
    async with command(venv("fetch", "mcp-server-fetch"), "--ignore-robots-txt") as remora:
        async with mcp.Client(f"http://{remora.address}/mcp", mode=VERSION) as client:
            assert [each.name for each in (await client.list_prompts()).prompts] == ["fetch"]
            told = await client.call_tool("fetch", {"url": f"http://{lab}/record", "raw": True})
            assert "tools/call" in told.content[0].text or "methods" in told.content[0].text
