"""The program itself: its configuration, its messages and its exit status."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import mcp
import pytest

from harness.http1 import Connection
from harness.modern import call, encode
from harness.processes import ROOT, Process, binary
from harness.remora import Remora, check, configuration
from harness.stack import stack
from servers.raw import RawBackend

BACKEND = "http://127.0.0.1:9/mcp"
USAGE = 64


async def test_a_good_configuration() -> None:
    status, printed = await check(configuration(BACKEND))
    assert status == 0, printed


def test_keygen_prints_a_key_that_a_configuration_takes(tmp_path: Path) -> None:
    key = tmp_path / "seal.key"
    printed = subprocess.run([binary("remora"), "keygen"], capture_output=True, check=True, timeout=10).stdout
    assert len(base64.b64decode(printed.removesuffix(b"\n"), validate=True)) == 32
    key.write_bytes(printed)
    file = tmp_path / "remora.yaml"
    file.write_text(configuration(BACKEND, replicas={"keys": [str(key)]}))
    for mode, status, word in ((0o600, 0, "right"), (0o644, USAGE, "chmod 600")):
        key.chmod(mode)
        done = subprocess.run([binary("remora"), "check", "-c", file], capture_output=True, text=True, timeout=10)
        assert done.returncode == status and word in done.stdout + done.stderr, done
        assert printed.decode().strip() not in done.stdout + done.stderr


WRONG = {
    "unknown key": (configuration(BACKEND, sesions={"max": 1}), ["sesions", "sessions"]),
    "unknown key inside": (configuration(BACKEND, limits={"max_bodi": "1MiB"}), ["max_bodi", "max_body"]),
    "bad duration": (configuration(BACKEND, sessions={"idle_timeout": "0"}), ["idle_timeout"]),
    "bad size": (configuration(BACKEND, limits={"max_body": "much"}), ["max_body"]),
    "bad choice": (configuration(BACKEND, cache={"scope": "secret"}), ["scope", "private"]),
    "bad URL": (configuration("ftp://127.0.0.1/mcp"), ["url", "http"]),
    "no backend": (configuration(), ["backends"]),
    "no YAML": ("listen: [\n", []),
    "empty": ("", []),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("command", ["check", "run"])
async def test_a_wrong_configuration(name: str, command: str) -> None:
    text, words = WRONG[name]
    status, printed = await check(text, command=command)
    assert status == USAGE, printed
    assert re.search(r"remora\.yaml(:\d+:\d+)?: ", printed), printed
    for word in words:
        assert word in printed


async def test_all_mistakes_at_once_with_their_places() -> None:
    text = configuration(BACKEND, sesions={"max": 1}, limits={"max_body": "much"}, cache={"ttl": "never"})
    status, printed = await check(text)
    assert status == USAGE
    lines = text.splitlines()
    for key in ("sesions", "max_body", "ttl"):
        number = next(index for index, line in enumerate(lines, 1) if line.strip().startswith(key))
        assert re.search(rf":{number}:\d+: .*{key}", printed), printed
    assert "^" in printed


async def test_a_file_that_is_not_there() -> None:
    async with await Process.start(binary("remora"), "check", "-c", "/nonexistent/remora.yaml") as process:
        assert await process.wait() == USAGE
    assert "/nonexistent/remora.yaml" in "\n".join(process.lines)


@pytest.mark.parametrize(("backend", "words"), [
    ({"command": ["/nonexistent/server"]}, 'there is no program "/nonexistent/server"; install it'),
    ({"command": ["nonexistent-server"]}, 'there is no program "nonexistent-server" in PATH; install it'),
    ({"command": ["./server"], "cwd": "/"}, 'there is no program "./server", looked for in "/"; install it'),
    ({"command": ["/etc/passwd"]}, '"/etc/passwd" cannot be run'),
    ({"command": ["/tmp"]}, '"/tmp" cannot be run'),
    ({"command": ["true"], "cwd": "/nonexistent"}, 'there is no directory "/nonexistent"; create it'),
    ({"command": ["tool"], "env": {"PATH": "/nonexistent"}}, "in PATH"),
])
async def test_a_command_that_is_not_there(backend: dict[str, Any], words: str) -> None:
    """It is no mistake where Remora starts: the program may come later."""
    status, printed = await check(configuration(backend))
    assert status == USAGE and printed.startswith("backends[0].") and words in printed, printed


async def test_a_command_that_is_there() -> None:
    for backend in ({"command": ["true"]}, {"command": ["/bin/true"], "cwd": "/"}, {"command": ["bin/true"], "cwd": "/usr"}):
        status, printed = await check(configuration(backend))
        assert status == 0, printed


@pytest.mark.parametrize("arguments", [[], ["nosuch"], ["--nosuch"], ["-c"], ["check"], ["check", "-c"], ["demo", "x"],
    ["schema", "x"], ["completion"], ["completion", "csh"], ["completion", "bash", "x"], ["help", "x"], ["help", "check", "x"]])
async def test_a_wrong_command_line(arguments: list[str]) -> None:
    async with await Process.start(binary("remora"), *arguments) as process:
        assert await process.wait() == USAGE
    (line,) = process.lines
    assert line.startswith("remora: ") and line.endswith("; `remora help` lists what there is")


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"], ["-c", "x", "--help"]])
def test_help(arguments: list[str]) -> None:
    done = subprocess.run([binary("remora"), *arguments], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and done.stdout.startswith("usage: remora -c FILE"), done


@pytest.mark.parametrize("arguments", [["help", "check"], ["check", "--help"], ["check", "-c", "x", "-h"]])
def test_help_for_a_command(arguments: list[str]) -> None:
    done = subprocess.run([binary("remora"), *arguments], capture_output=True, text=True, check=True, timeout=10)
    first, *others = done.stdout.splitlines()
    assert first == "usage: remora check -c FILE   check a configuration"
    assert others == ["", "  -c FILE   the configuration"]


def calls() -> list[str]:
    """How Remora can be called, as its usage has it."""
    usage = subprocess.run([binary("remora"), "help"], capture_output=True, text=True, check=True, timeout=10).stdout
    return re.findall(r"^(?:usage:|      ) (remora .*?)   ", usage, re.M)


def test_the_manual_page_has_every_call() -> None:
    page = (ROOT / "conf/man/remora.1").read_text()
    synopsis = page.split(".SH SYNOPSIS\n.nf\n")[1].split(".fi\n")[0]
    assert re.sub(r"\\f[BIR]", "", synopsis).replace("\\-", "-").splitlines() == calls()
    commands = re.findall(r"^\.TP\n\\fB(\w+)\\fR\n", page.split(".SH COMMANDS\n")[1].split(".SH")[0], re.M)
    assert commands == [call.split()[1] for call in calls() if not call.split()[1].startswith("-")]
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page, capture_output=True, text=True, timeout=10)
        # Its date would be that of a change, which git knows.
        assert not [line for line in done.stdout.splitlines() if "missing date" not in line]


def completion(shell: str) -> str:
    return subprocess.run(
        [binary("remora"), "completion", shell], capture_output=True, text=True, check=True, timeout=10).stdout


@pytest.mark.parametrize("line, words", [
    ("remora ", {"check", "schema", "demo", "keygen", "completion", "version", "help", "-c", "--backend", "--listen"}),
    ("remora ch", {"check"}),
    ("remora check ", {"-c"}),
    ("remora check -c Make", {"Makefile"}),
    ("remora -c Make", {"Makefile"}),
    ("remora --backend http://b --l", {"--listen"}),
    ("remora completion ", {"bash", "zsh", "fish"}),
    ("remora demo -", {"--once"}),
    ("remora keygen ", set()),
])
def test_bash_completes(line: str, words: set[str]) -> None:
    given = line.split(" ")
    # `compopt` is for a shell that completes.
    script = f"""
        compopt() {{ :; }}
        {completion("bash")}
        COMP_WORDS=({" ".join(f"'{word}'" for word in given)}) COMP_CWORD={len(given) - 1}
        _remora
        printf '%s\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=10)
    assert set(done.stdout.split()) == words and not done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_completions(shell: str) -> None:
    script = completion(shell)
    for call in calls():
        assert re.search(rf"\b{call.split()[1].lstrip('-')}\b", script), call
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, timeout=10)
        assert done.returncode == 0 and not done.stderr


def test_a_configuration_from_standard_input() -> None:
    for text, status, words in (
        (configuration(BACKEND), 0, "The configuration is right."),
        ("threads: 0", USAGE, "-:1:10: threads must be a whole number between 1 and 64"),
    ):
        done = subprocess.run(
            [binary("remora"), "check", "-c", "-"], input=text, capture_output=True, text=True, timeout=10)
        assert done.returncode == status and words in done.stdout + done.stderr, done


async def test_version() -> None:
    async with await Process.start(binary("remora"), "version") as process:
        assert await process.wait() == 0
    assert re.search(r"\d+\.\d+", "\n".join(process.lines))


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:{}".format(taken.getsockname()[1])
        status, printed = await check(configuration(BACKEND, listen={"address": address}), command="run")
    assert status not in (0, -6, -11), printed
    assert address in printed and re.search("in use|taken", printed), printed


async def test_one_log_line_for_each_request() -> None:
    """Structured, and without bodies or tokens."""
    async with RawBackend() as raw, stack(raw.address, log={"level": "info"}) as running:
        await running.client.call("x", {"text": "hidden-argument"}, Authorization="Bearer hidden-token")
        await running.client.call("x", Mcp_Name="y")
        lines = running.remora.process.lines
    for line in lines:
        assert isinstance(json.loads(line), dict), line
    events = [json.loads(line) for line in lines]
    assert all({"ts", "level", "event"} <= set(event) for event in events)
    assert sum(event["event"] == "request" for event in events) == 2
    assert "hidden" not in "\n".join(lines)


async def test_several_threads(lab_json: str) -> None:
    async with stack(lab_json, threads=2) as running:
        for _ in range(20):
            async with await Connection.open(running.front.address) as connection:
                answer = await connection.exchange(encode(call("echo", {"text": "hi"}), host=running.front.address))
                assert answer.status == 200


async def test_demo() -> None:
    """`remora demo` prints a request to try, and runs until it is told to end."""
    async with await Process.start(binary("remora"), "demo") as process:
        await process.line(lambda line: "curl" in line)
        assert await process.stop() == 0


@pytest.mark.parametrize("options", [[], ["--sse"]], ids=["json", "sse"])
async def test_legacy_demo_is_a_legacy_server(options: list[str]) -> None:
    async with await Process.start(binary("legacy-demo"), "--listen", "127.0.0.1:0", *options) as process:
        address = (await process.event("listening"))["address"]
        async with mcp.Client(f"http://{address}/mcp", mode="legacy") as client:
            assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
            assert [(await client.call_tool("counter")).content[0].text for _ in range(2)] == ["1", "2"]
        async with stack(address) as running:
            assert (await running.client.call("echo", {"text": "hi"})).text == "hi"
        await process.stop()


async def test_it_says_where_it_listens() -> None:
    async with Remora(configuration(BACKEND)) as remora:
        host, port = remora.address.rsplit(":", 1)
        assert host == "127.0.0.1" and 0 < int(port) < 65536
