"""Servers that speak 2026-07-28 themselves: found out, forwarded to, and noticed when they come or go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import mcp
import pytest

from harness.http1 import TIMEOUT, Connection
from harness.modern import OMIT, VERSION, Answer, Client, call, encode, request
from harness.processes import SERVERS, Process, venv
from harness.remora import Remora, configuration
from harness.stack import Stack, settles, stack
from servers.raw import Exchange, RawBackend
from test_legacy_clients import legacy, same_on_both_sides

OLD, NEW = "legacy-1.30.0", "client"
DISCOVERED = json.dumps(
    {
        "resultType": "complete",
        "supportedVersions": [VERSION],
        "capabilities": {"tools": {}},
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "raw", "version": "2"}},
    }
).encode()


@contextlib.asynccontextmanager
async def server(sdk: str, port: int = 0) -> AsyncIterator[str]:
    async with await Process.start(venv(sdk), str(SERVERS / "neighbour.py"), "--port", str(port)) as process:
        yield (await process.event("listening", timeout=60))["address"]
        await process.stop()


@contextlib.asynccontextmanager
async def asking(address: str, *, judge_back: bool = False, **changes: Any) -> AsyncIterator[Stack]:
    """Remora that finds out what the server is."""
    settings = {"era": "auto", **changes.pop("server", {})}
    async with stack(address, judge_front=False, judge_back=judge_back, server=settings, **changes) as running:
        yield running


def turns(running: Stack) -> list[str]:
    return [line["era"] for line in running.remora.process.events() if line["event"] == "backend_era"]


async def turned(running: Stack, *eras: str) -> None:
    """Waits until just these verdicts are in the log, which comes a little late."""
    async with asyncio.timeout(TIMEOUT):
        while turns(running)[: len(eras)] != list(eras):
            await asyncio.sleep(0.02)
    assert turns(running) == list(eras)


def probes(raw: RawBackend) -> int:
    return raw.methods["server/discover"]


class Raw:
    """A script that is a legacy server until `era` says otherwise. As a modern one it names in `seen` what came."""

    def __init__(self, era: str = "legacy") -> None:
        self.era = era
        self.hold: asyncio.Event | None = None
        """Answers to probes wait for it."""
        self.seen: list[str] = []

    async def __call__(self, exchange: Exchange) -> bool:
        era = self.era
        if exchange.method == "server/discover" and self.hold is not None:
            await self.hold.wait()
        if era == "legacy":
            if exchange.method == "server/discover":
                await exchange.reply(400, exchange.error(-32600, "Bad Request: Unsupported protocol version"))
                return True
            return False
        if isinstance(era, int):
            await exchange.reply(era, exchange.error(-32600, "neither"))
            return exchange.method == "server/discover" or False
        self.seen.append(exchange.method or exchange.request.method)
        if exchange.method == "server/discover":
            await exchange.json(exchange.response(DISCOVERED))
        elif exchange.method == "tools/call" and exchange.request.header("mcp-protocol-version") == VERSION:
            await exchange.json(exchange.response(b'{"resultType":"complete","content":[{"type":"text","text":"new"}]}'))
        else:
            # A handshake tells nothing here, so that the question has to.
            code = -32600 if exchange.method == "initialize" else -32022
            await exchange.reply(400, exchange.error(code, "not here", supported=[VERSION], requested="2025-11-25"))
        return True


async def test_the_real_server_gets_everything_as_it_is() -> None:
    async with server(NEW) as address, asking(address) as running:
        steps: list[float] = []

        async def step(done: float, total: float | None, message: str | None) -> None:
            steps.append(done)

        async with mcp.Client(running.url, mode=VERSION) as client:
            assert (await client.call_tool("echo", {"text": "first"})).content[0].text == "first"
        # What Remora did to find out is on connections of its own, which end when they are idle.
        await settles(lambda: sum(not each.finished for each in running.back.recordings), 0)
        assert sum(b"server/discover" in each.client for each in running.back.recordings) == 1
        running.front.recordings.clear()
        running.back.recordings.clear()
        async with mcp.Client(running.url, mode=VERSION) as client:
            assert (await client.call_tool("echo", {"text": "Grüße 🐟"})).content[0].text == "Grüße 🐟"
            assert (await client.call_tool("sdk")).content[0].text.startswith("2.")
            arguments = {"count": 3, "seconds": 0.05}
            done = await client.call_tool("steps", arguments, progress_callback=step)
            assert (done.content[0].text, steps) == ("done after 3", [1, 2, 3])
            assert {tool.name for tool in (await client.list_tools()).tools} == {"echo", "sdk", "steps"}
        # It serves clients of older revisions too, which is its own business.
        async with mcp.Client(running.url, mode="legacy") as client:
            assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
        await settles(lambda: sum(not each.finished for each in running.front.recordings), 0)
        assert await same_on_both_sides(running) >= 6
        lines = [line for line in running.remora.process.events() if line["event"] == "request"]
        assert {line.get("route") for line in lines} == {"pass"}
        await turned(running, "modern")


async def test_a_server_that_is_replaced_and_replaced_back() -> None:
    async def text(tool: str, **arguments: Any) -> str:
        async with mcp.Client(running.url, mode=VERSION) as client:
            return (await client.call_tool(tool, arguments)).content[0].text

    async with contextlib.AsyncExitStack() as all:
        async with server(OLD) as address:
            running = await all.enter_async_context(asking(address))
            assert (await text("sdk")).startswith("1.")
            await turned(running, "legacy")
        port = int(address.rsplit(":", 1)[1])
        async with server(NEW, port):
            # The session is gone, or cannot be had: the very first call finds the new server.
            assert (await text("sdk")).startswith("2.")
            # One that came within a second of the question before is asked by a later call.
            async with asyncio.timeout(TIMEOUT):
                while len(turns(running)) < 2:
                    assert (await text("sdk")).startswith("2.")
                    await asyncio.sleep(0.1)
            await turned(running, "legacy", "modern")
        answer = await running.client.call("sdk")
        assert answer.status >= 500 or answer.json["error"]["code"] == -32603, "no server is there"
        async with server(OLD, port):
            async with asyncio.timeout(TIMEOUT):
                while (answer := await running.client.call("sdk")).status != 200 or "result" not in answer.json:
                    await asyncio.sleep(0.1)
            assert answer.text.startswith("1.") and answer.result["resultType"] == "complete"
            assert (await text("echo", text="hi")) == "hi"
            await turned(running, "legacy", "modern", "legacy")


async def test_a_legacy_server_that_turned_modern_loses_no_call() -> None:
    """The call in flight ends on its session, which is closed then; the calls that come meanwhile are forwarded."""
    raw_script = Raw()
    released = asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.session and exchange.message["params"]["name"] == "slow":
            await released.wait()
            await exchange.json(exchange.response(b'{"content":[{"type":"text","text":"late"}]}'))
            return True
        if exchange.session in raw.sessions and exchange.method != "server/discover":
            return False
        return await raw_script(exchange)

    async with RawBackend(script) as raw:
        async with asking(raw.address, server={"probe_interval": "1s"}) as running:
            slow = asyncio.create_task(_alone(running, call("slow")))
            await raw.until(lambda raw: raw.methods["tools/call"] == 1)
            raw_script.era = "modern"
            await asyncio.sleep(1.1)
            await running.client.call("x")  # This one makes the question due, and is served as before or after.
            await turned(running, "legacy", "modern")
            assert (await running.client.call("x")).text == "new"
            assert raw.methods["DELETE"] == 0, "the session is in use"
            released.set()
            assert (await slow).text == "late"
            await raw.until(lambda raw: raw.methods["DELETE"] == 1)
            assert (await running.client.call("x")).text == "new"


async def test_a_server_that_is_replaced_just_after_the_question_is_asked_again() -> None:
    """The new one gives sessions too, and the first of them is opened too soon for another question."""
    modern = Raw("modern")
    is_replaced = False

    async def script(exchange: Exchange) -> bool:
        is_old_era = exchange.method == "initialize" or exchange.session in raw.sessions
        if is_replaced and (exchange.method == "server/discover" or not is_old_era):
            return await modern(exchange)
        return exchange.method == "server/discover" and await Raw()(exchange)

    async with RawBackend(script) as raw, asking(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        raw.sessions.clear()
        is_replaced = True
        assert (await running.client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 2 and probes(raw) == 1
        await asyncio.sleep(1.1)  # Questions out of turn are a second apart.
        await running.client.call("x")  # This one makes the question due, and is served as before or after.
        await turned(running, "legacy", "modern")
        assert (await running.client.call("x")).text == "new"


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    """The handshake is silent for so long that the answer became a stream; then the server turns out to be modern."""
    script = Raw()

    async def slow(exchange: Exchange) -> bool:
        if exchange.method == "initialize":
            script.era = "modern"
            # Longer than two questions about the era are apart.
            await asyncio.sleep(1.2)
            await exchange.reply(400, b"no such method", "text/plain")
            return True
        return await script(exchange)

    limits = {"keep_alive_interval": "200ms"}
    async with RawBackend(slow) as raw, asking(raw.address, limits=limits) as running:
        answer = await running.client.call("x")
        assert answer.http.media_type == "text/event-stream"
        assert answer.error["data"] == {"reason": "backend_unavailable", "dispatched": False}
        await turned(running, "modern")
        assert "result" in (await running.client.call("x")).json


async def test_a_modern_server_that_turned_legacy_is_noticed() -> None:
    script = Raw("modern")
    async with RawBackend(script) as raw, asking(raw.address) as running:
        assert (await running.client.call("x")).text == "new"
        script.era = "legacy"
        await asyncio.sleep(1.1)  # Questions out of turn are a second apart.
        lost = await running.client.call("x")
        assert lost.status == 404, "it went to the server as it was, and so did the answer"
        assert (await running.client.call("x")).text == "raw"
        await turned(running, "modern", "legacy")


async def test_no_evidence() -> None:
    async with asyncio.TaskGroup() as group:  # They wait most of the time.
        for status in (401, 403, 500, 503):
            group.create_task(no_evidence(status))


async def no_evidence(status: int) -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method == "server/discover" and mood == "ill":
            await exchange.reply(status, exchange.error(-32603, "ill"))
            return True
        return await raw_script(exchange)

    mood, raw_script = "ill", Raw()
    async with RawBackend(script) as raw, asking(raw.address, server={"probe_interval": "1s"}) as running:
        # It has given a session, and nothing else is known of it.
        assert (await running.client.call("x")).text == "raw"
        await turned(running, "legacy")
        assert probes(raw) == 1
        mood, raw_script.era = "well", "modern"
        await asyncio.sleep(1.1)
        assert (await running.client.call("x")).text == "new"
        mood = "ill"
        for _ in range(2):
            await asyncio.sleep(1.1)
            assert (await running.client.call("x")).text == "new"
        await turned(running, "legacy", "modern")


async def test_the_question_needs_the_credentials_of_a_caller() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.request.header("authorization") != "Bearer good":
            await exchange.reply(401, b"{}", WWW_Authenticate="Bearer")
            return True
        return await Raw("modern")(exchange)

    async with RawBackend(script) as raw, asking(raw.address) as running:
        assert (await running.client.call("x")).status == 401
        await asyncio.sleep(1.1)
        assert (await running.client.call("x", Authorization="Bearer good")).text == "new"
        await turned(running, "modern")
        assert raw.methods["initialize"] == 2, "one of the caller without credentials"


async def test_a_client_learns_which_credentials_the_question_wants() -> None:
    """A modern server that says so to what it understands only: `initialize` is refused without a challenge."""
    challenge = 'Bearer resource_metadata="https://login.example/meta"'
    modern = Raw("modern")

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize" and exchange.request.header("authorization") is None:
            await exchange.reply(401, b"{}", WWW_Authenticate=challenge)
            return True
        return await modern(exchange)

    async with RawBackend(script) as raw, asking(raw.address) as running:
        refused = await running.client.call("x")
        assert (refused.status, refused.http.header("www-authenticate")) == (401, challenge)
        assert (await running.client.call("x", Authorization="Bearer good")).text == "new"
        await turned(running, "modern")


async def test_nothing_is_asked_before_a_client_comes() -> None:
    async with RawBackend(Raw()) as raw, asking(raw.address) as running:
        await asyncio.sleep(0.5)
        assert not raw.requests
        assert (await running.client.call("x")).text == "raw"


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_request_that_needs_no_session_finds_out_too(era: str) -> None:
    async with RawBackend(Raw(era)) as raw, asking(raw.address) as running:
        answer = await running.client.send(request("vendor/method"))
        assert answer.status == (404 if era == "legacy" else 400)
        assert (answer.error["message"] == "not here") == (era == "modern")
        await turned(running, era)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_server_without_sessions_that_turns_modern_is_noticed(status: int) -> None:
    """Nothing is lost that would tell of it, but it does not take the calls any more."""
    modern = Raw("modern")

    async def script(exchange: Exchange) -> bool:
        if era == "legacy":
            return False
        if exchange.method != "server/discover" and exchange.request.header("mcp-protocol-version") != VERSION:
            await exchange.reply(status, exchange.error(-32022, "old", supported=[VERSION], requested="2025-11-25"))
            return True
        return await modern(exchange)

    era = "legacy"
    async with RawBackend(script, sessions=False) as raw, asking(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        era = "modern"
        assert "error" in (await running.client.call("x")).json
        assert (await running.client.call("x")).text == "new"
        await turned(running, "legacy", "modern")
        assert probes(raw) == 1, "the refusal says it"


async def test_each_copy_is_what_it_is() -> None:
    """While copies are replaced one after the other, calls go to those that give sessions; then everything is passed."""
    scripts = [Raw("modern"), Raw()]
    async with RawBackend(scripts[0]) as first, RawBackend(scripts[1]) as second:
        text = configuration(first.url, second.url, server={"era": "auto"})
        async with Remora(text) as remora, Client(remora.address) as client:
            for number in range(4):
                assert (await client.call("x")).text == "raw", number
            scripts[1].era = "modern"
            second.sessions.clear()
            await asyncio.sleep(1.1)
            assert [(await client.call("x")).text for _ in range(6)] == ["new"] * 6
            assert min(raw.methods["tools/call"] for raw in (first, second)) >= 2


async def test_who_comes_before_the_verdict_waits_for_it() -> None:
    script = Raw("modern")
    script.hold = asyncio.Event()
    async with RawBackend(script) as raw, asking(raw.address) as running:
        waiting = [asyncio.create_task(_alone(running, call("x", id=number))) for number in range(5)]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in waiting) and probes(raw) == 1
        script.hold.set()
        assert {(await task).text for task in waiting} == {"new"}
        assert probes(raw) == 1


async def test_and_not_for_ever() -> None:
    script = Raw()
    script.hold = asyncio.Event()
    async with RawBackend(script) as raw, asking(raw.address) as running:
        start = time.monotonic()
        assert (await running.client.call("x")).text == "raw"
        assert 1.5 < time.monotonic() - start < 4
        script.hold.set()


async def test_it_is_asked_again_in_turn() -> None:
    async with RawBackend(Raw()) as raw, asking(raw.address, server={"probe_interval": "1s"}) as running:
        for _ in range(3):
            assert (await running.client.call("x")).text == "raw"
        assert probes(raw) == 1
        for number in (2, 3):
            await asyncio.sleep(1.1)
            assert (await running.client.call("x")).text == "raw"
            await raw.until(lambda raw: probes(raw) == number)
        await turned(running, "legacy")
        assert raw.methods["initialize"] == 1


async def test_a_lost_session_makes_remora_ask() -> None:
    async with RawBackend(Raw()) as raw, asking(raw.address) as running:
        assert (await running.client.call("x")).text == "raw"
        raw.sessions.clear()
        await asyncio.sleep(1.1)
        assert (await running.client.call("x")).text == "raw"
        assert (await running.client.call("x")).text == "raw"
        assert probes(raw) == 2


async def test_a_stranger_makes_no_question_due() -> None:
    async with RawBackend(Raw()) as raw, asking(raw.address, server={"probe_interval": "1s"}) as running:
        assert (await running.client.call("x")).text == "raw"
        await asyncio.sleep(1.1)
        for headers in ({"Origin": "http://evil.example"}, {"host": "evil.example"}):
            assert (await running.client.call("x", **headers)).status in (403, 421)
        assert probes(raw) == 1
        assert (await running.client.call("x")).text == "raw"
        await raw.until(lambda raw: probes(raw) == 2)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_configured_era_is_not_asked(era: str) -> None:
    other = "modern" if era == "legacy" else "legacy"
    async with RawBackend(Raw(other)) as raw, asking(raw.address, server={"era": era}) as running:
        answer = await running.client.call("x")
        assert (answer.status, probes(raw)) == ((503, 0) if era == "legacy" else (404, 0))
        assert raw.methods["initialize"] == (1 if era == "legacy" else 0)


async def test_who_may_come_is_checked_all_the_same() -> None:
    async with RawBackend(Raw("modern")) as raw, asking(raw.address, limits={"max_body": "1KiB"}) as running:
        assert (await running.client.call("x")).text == "new"
        before = len(raw.requests)
        for status, data in [
            (403, encode(call("x"), Origin="http://evil.example")),
            (421, encode(call("x"), host="evil.example")),
            (404, encode(call("x"), target="/other")),
            (405, encode(call("x"), method="PUT")),
            (405, encode(call("x"), method="BREW")),
            (413, encode(call("x" * 1024))),
        ]:
            async with await Connection.open(running.front.address) as connection:
                assert (await connection.exchange(data)).status == status
        assert len(raw.requests) == before
        # Everything else is the server's to judge.
        async with await Connection.open(running.front.address) as connection:
            assert (await connection.exchange(legacy(b"{", Content_Type="text/plain"))).status == 400
            assert (await connection.exchange(legacy(b"", method="GET", Content_Length=OMIT))).status == 400
        assert raw.requests[-2].body == b"{"


async def _alone(running: Stack, message: dict[str, Any]) -> Answer:
    """A request on a connection of its own."""
    async with await Connection.open(running.front.address) as connection:
        return Answer(await connection.exchange(encode(message)))
