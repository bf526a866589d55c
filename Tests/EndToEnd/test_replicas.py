"""Several Remoras for the same clients: what they share, what they hand over, and what is left when one is gone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mcp
import mcp_types as types
import pytest

from harness import http1
from harness.certificates import Authority
from harness.http1 import Connection
from harness.lab import Lab, record
from harness.listener import Listener
from harness.modern import VERSION, Answer, Client, call, encode, request
from harness.replicas import Nginx, Replicas, new_key
from harness.soak import FULL, quantile, size, tell
from harness.stack import stack
from harness.ways import TLS, Way
from servers.counting import CountingBackend
from servers.raw import PushBackend, notification

TOOLS = b'{"tools":[{"name":"%s","inputSchema":{"type":"object"}}]}'


async def tools(address: str, **headers: str) -> list[str]:
    async with Client(address) as client:
        return [tool["name"] for tool in (await client.send(request("tools/list"), **headers)).result["tools"]]


async def all_tools(address: str) -> set[str]:
    """On connections enough to come to each loop."""
    return {name for names in await asyncio.gather(*(tools(address) for _ in range(12))) for name in names}


# What one says of a server, the others hear


@pytest.mark.parametrize("threads", [1, 3])
async def test_a_notice_reaches_listeners_and_lists_of_other_replicas(threads: int) -> None:
    async with PushBackend() as first, PushBackend() as second:
        async with Replicas(first.address, second.address, count=2, threads=threads) as group:
            a, b = group.fronts["a"], group.fronts["b"]
            wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
            async with Listener(a, **wanted) as here, Listener(b, **wanted) as there:
                second.results["tools/list"] = TOOLS % b"old"
                # Each loop of b has the old list.
                assert await all_tools(b) == {"old"}
                second.results["tools/list"] = TOOLS % b"new"
                await first.tell(notification("tools/list_changed"), notification("resources/updated", uri="raw:///r"))
                notices = {"tools/list_changed", "resources/updated raw:///r"}
                assert {await here.notice(), await here.notice()} == notices
                assert {await there.notice(), await there.notice()} == notices
                # A client that lists on the notice gets the new one, and so do the others soon.
                await asyncio.sleep(0.2)
                assert await all_tools(b) == {"new"}
                # It went no further: a said it, and no other says it again.
                await here.silence()
                await there.silence()


async def test_notices_are_for_one_caller() -> None:
    async with PushBackend() as first, PushBackend() as second:
        async with Replicas(first.address, second.address, count=2) as group:
            alice, bob = {"Authorization": "Bearer alice"}, {"Authorization": "Bearer bob"}
            async with Listener(group.fronts["a"], headers=alice, toolsListChanged=True):
                async with (
                    Listener(group.fronts["b"], headers=alice, toolsListChanged=True) as hers,
                    Listener(group.fronts["b"], headers=bob, toolsListChanged=True) as his,
                ):
                    await first.tell(notification("tools/list_changed"))
                    assert await hers.notice() == "tools/list_changed"
                    await his.silence()


async def test_notices_can_be_kept_to_oneself() -> None:
    async with PushBackend() as first, PushBackend() as second:
        async with Replicas(first.address, second.address, count=2, replicas={"cues": "off"}) as group:
            async with (
                Listener(group.fronts["a"], toolsListChanged=True) as here,
                Listener(group.fronts["b"], toolsListChanged=True) as there,
            ):
                await first.tell(notification("tools/list_changed"))
                assert await here.notice() == "tools/list_changed"
                await there.silence()


async def test_a_notice_crosses_the_loops_of_one_process() -> None:
    async with PushBackend() as raw, stack(raw.address, threads=4) as running:
        async with asyncio.TaskGroup() as group:
            listeners = [Listener(running.front.address, toolsListChanged=True) for _ in range(12)]
            for listener in listeners:
                group.create_task(listener.__aenter__())
        # The server tells one session only: the last that opened a stream.
        await raw.tell(notification("tools/list_changed"))
        for listener in listeners:
            assert await listener.notice() == "tools/list_changed"
        for listener in listeners:
            await listener.__aexit__(None, None, None)


# Cursors


async def test_a_cursor_goes_on_at_another_replica() -> None:
    many = [{"name": f"t{number}", "inputSchema": {"type": "object"}, "description": "d" * 2000} for number in range(900)]
    results = {"tools/list": json.dumps({"tools": many}).encode()}
    async with PushBackend(results=results) as raw, Replicas(raw.address) as group:
        found, cursor, turn = [], {}, 0
        while True:
            name = group.names[turn % len(group.names)]
            async with Client(group.fronts[name]) as client:
                page = (await client.send(request("tools/list", cursor))).result
            found += [tool["name"] for tool in page["tools"]]
            turn += 1
            if "nextCursor" not in page:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert turn > 1 and found == [tool["name"] for tool in many]


async def test_a_key_is_changed_under_a_call(tmp_path: Path) -> None:
    """As docs/operations.md says, step by step, each at all replicas."""
    new = str(new_key(tmp_path / "new.key"))
    async with CountingBackend() as server, Replicas(server.address, count=2) as group:
        old = str(group.key)

        async def use(*keys: str) -> None:
            for name, remora in group.running.items():
                await remora.reload(group.texts[name].replace(json.dumps([old]), json.dumps(keys)))

        message = begin("t", times=3)
        first = await send(group.fronts["a"], message)
        await use(old, new)
        second = await send(group.fronts["b"], retry(message, first))
        assert question_of(second) == "t 2"
        await use(new, old)
        third = await send(group.fronts["b"], retry(message, second))
        assert question_of(third) == "t 3"
        await use(new)
        # What the old key sealed is nothing any more.
        refused = await send(group.fronts["a"], retry(message, second))
        assert (refused.status, refused.code) == (200, -32602)
        done = await send(group.fronts["b"], retry(message, third))
        assert json.loads(done.text) == ["t 1", "t 2", "t 3"]
        never_twice(server)


# The listener for replicas


TASKS = ["/hear", "/answer/0", "/succeed/AAAAAAAAAAAAAAAAAAAAAA"]
OTHERS = ["/", "/mcp", "/metrics", "/answer/x", "/hear/"]
NO_PASS = ["", "Remora-Peer: \r\n", "Remora-Peer: v1.AAAA\r\n", "Remora-Peer: x\r\nRemora-Peer: x\r\n"]


async def test_nobody_without_a_pass_is_let_in() -> None:
    async with PushBackend() as raw, Replicas(raw.address, count=2) as group:
        address = group.peers["a"]
        for method, path, extra in itertools.product(("GET", "POST", "DELETE"), TASKS + OTHERS, NO_PASS):
            async with await Connection.open(address) as connection:
                text = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\n{extra}Content-Length: 2\r\n\r\n[]"
                answer = await connection.exchange(text.encode(), method)
                assert answer.status == (401 if path in TASKS else 404) and answer.body == b"", (method, path, extra)
        # One line for all of it, and nothing reached the server.
        await group.running["a"].process.event("peer_refused")
        assert len(group.log("a", "peer_refused")) == 1
        assert not raw.requests


async def test_who_has_no_pass_is_turned_away_before_his_body_comes() -> None:
    """Nothing is kept of what he sends."""
    size = 8 << 20
    async with PushBackend() as raw, Replicas(raw.address, count=2) as group:
        remora = group.running["a"]
        before = remora.resident()
        head = f"POST /hear HTTP/1.1\r\nHost: a\r\nRemora-Peer: v1.AAAA\r\nContent-Length: {size}\r\n"
        async with contextlib.AsyncExitStack() as stack:
            for number in range(40):
                connection = await stack.enter_async_context(await Connection.open(group.peers["a"]))
                # Nor is he asked for it.
                extra = "Expect: 100-continue\r\n" if number % 2 else ""
                await connection.send(f"{head}{extra}\r\n".encode())
                answer = await connection.receive("POST", 5)
                assert answer.status == 401 and answer.header("connection") == "close"
                with contextlib.suppress(ConnectionError):
                    await connection.send(b"x" * (1 << 20))
            assert remora.resident() - before < 4 << 20
        assert not raw.requests


async def test_a_group_with_another_key_is_not_heard(tmp_path: Path) -> None:
    async with PushBackend() as first, PushBackend() as second:
        group = Replicas(first.address, second.address, count=2)
        group.texts["b"] = group.texts["b"].replace(str(group.key), str(new_key(tmp_path / "other.key")))
        async with group:
            async with (
                Listener(group.fronts["a"], toolsListChanged=True) as here,
                Listener(group.fronts["b"], toolsListChanged=True) as there,
            ):
                await first.tell(notification("tools/list_changed"))
                assert await here.notice() == "tools/list_changed"
                await there.silence()
                await group.running["b"].process.event("peer_refused")


# Calls whose clients come back elsewhere

CAN_BE_ASKED = {"elicitation": {"form": {}}}
ROOM = {"sessions": {"max": 512, "max_per_principal": 512}}


def question_of(answer: Answer) -> str:
    assert answer.result["resultType"] == "input_required", answer
    (question,) = answer.result["inputRequests"].values()
    return question["params"]["message"]


def begin(token: str, tool: str = "plain", **arguments: Any) -> dict[str, Any]:
    return call(tool, {"token": token, **arguments}, clientCapabilities=CAN_BE_ASKED)


def retry(of: dict[str, Any], asked: Answer, id: Any = 2) -> dict[str, Any]:
    """Each answer repeats its question, so that a server can tell to which one it was."""
    assert asked.result["resultType"] == "input_required", asked
    answers = {
        key: {"action": "accept", "content": {"answer": question["params"]["message"]}}
        for key, question in asked.result["inputRequests"].items()
    }
    state = {"inputResponses": answers, "requestState": asked.result["requestState"]}
    return {**of, "id": id, "params": {**state, **of["params"]}}


async def send(address: str, message: dict[str, Any], **options: Any) -> Answer:
    async with Client(address) as client:
        return await client.send(message, **options)


def never_twice(server: CountingBackend) -> None:
    """No question was answered twice, and no run was told anything twice."""
    assert max(server.answers.values(), default=1) == 1
    assert all(count <= server.runs[token] for (token, _), count in server.told.items())


@pytest.mark.parametrize("threads", [1, 3])
async def test_each_request_of_a_call_at_another_replica(threads: int) -> None:
    async with CountingBackend() as server, Replicas(server.address, threads=threads) as group:
        for turn, first in enumerate(group.names):
            token = f"t{turn}"
            message = begin(token, times=4)
            answer = await send(group.fronts[first], message)
            for number in range(1, 5):
                assert question_of(answer) == f"{token} {number}"
                other = group.names[(turn + number) % len(group.names)]
                answer = await send(group.fronts[other], retry(message, answer, id=f"r{number}"))
                assert answer.json["id"] == f"r{number}"
            assert json.loads(answer.text) == [f"{token} {number}" for number in range(1, 5)]
            assert server.runs[token] == server.finished[token] == 1
        never_twice(server)


@pytest.mark.parametrize("way", ["plain", "certificates"])
async def test_each_request_of_a_call_on_another_loop(way: str, tmp_path: Path) -> None:
    """With certificates, the client's goes with what is handed over: it is part of the principal."""
    over = TLS(tmp_path, mutual=True) if way == "certificates" else Way()
    async with CountingBackend() as server, stack(server.address, way=over, threads=4, **ROOM) as running:
        address = running.front.address

        async def whole(token: str) -> None:
            message = begin(token, times=3)
            answer = await send(address, message)
            while answer.result["resultType"] == "input_required":
                answer = await send(address, retry(message, answer))
            assert json.loads(answer.text) == [f"{token} {number}" for number in (1, 2, 3)]

        await asyncio.gather(*(whole(f"t{number}") for number in range(32)))
        assert sum(server.finished.values()) == 32
        never_twice(server)


@pytest.mark.parametrize("field", ["Authorization", "X_Api_Key"])
async def test_a_state_is_for_its_caller_at_every_replica(field: str) -> None:
    headers = {"headers": {"forward": ["x-api-key"], "add": ["x-forwarded-for"]}}
    async with CountingBackend() as server, Replicas(server.address, server=headers) as group:
        message = begin("t", times=1)
        alice, bob = ({field: f"Bearer {name}"} for name in ("alice", "bob"))
        asked = await send(group.fronts["a"], message, **alice)
        again = retry(message, asked)
        other_arguments = {**again, "params": {**again["params"], "arguments": {"token": "t", "times": 9}}}
        for name in group.names:
            for wrong in (
                await send(group.fronts[name], again, **bob),
                await send(group.fronts[name], again),
                await send(group.fronts[name], other_arguments, **alice),
            ):
                assert (wrong.status, wrong.code) == (200, -32602) and "requestState" in wrong.error["message"]
        assert not server.answers
        done = await send(group.fronts["c"], again, **alice, Remora_Client_Address="10.9.9.9")
        assert json.loads(done.text) == ["t 1"]
        for each in server.requests:
            found = {name.lower(): value for name, value in each.headers}
            assert found[field.lower().replace("_", "-")] == "Bearer alice"
            # The client's, wherever it came; not that of a replica, nor what another says of himself.
            assert found["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_certificate_is_known_at_every_replica(threads: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    served = authority.issue("remora", "127.0.0.1", "localhost")
    mine, other = (authority.client_context(authority.issue(name)) for name in ("mine", "other"))
    changes = {
        "listen": {"tls": served.settings | {"client_ca": str(authority.file)}},
        "sessions": {"isolate_by": ["authorization", "client_certificate"]},
    }

    async def ask(name: str, who: ssl.SSLContext, message: dict[str, Any], **headers: str) -> Answer:
        host, port = group.fronts[name].rsplit(":", 1)
        connection = Connection(*await asyncio.open_connection(host, int(port), ssl=who))
        async with connection:
            return Answer(await connection.exchange(encode(message, host=group.fronts[name], **headers)))

    async with CountingBackend() as server, Replicas(server.address, threads=threads, **changes) as group:
        message = begin("t", times=1)
        again = retry(message, await ask("a", mine, message))
        # What another says of himself is worth nothing.
        forged = base64.urlsafe_b64encode(b"CN=mine").decode().rstrip("=")
        for name in group.names:
            assert (await ask(name, other, again, Remora_Client_Subject=forged)).code == -32602
        assert json.loads((await ask("b", mine, again)).text) == ["t 1"]


async def test_the_same_retry_everywhere_at_once() -> None:
    async with CountingBackend() as server, Replicas(server.address) as group:
        message = begin("t", times=1)
        again = retry(message, await send(group.fronts["a"], message))
        answers = await asyncio.gather(*(send(group.fronts[name], again) for name in "abcabcabc"))
        assert [json.loads(answer.text) for answer in answers] == [["t 1"]] * 9
        assert server.runs["t"] == 1
        never_twice(server)


async def test_what_is_said_before_the_answer_passes_through_the_other_replica() -> None:
    async with CountingBackend() as server, Replicas(server.address) as group:
        server.hold = asyncio.Event()
        message = call("plain", {"token": "t", "times": 1}, clientCapabilities=CAN_BE_ASKED)
        message["params"]["_meta"]["progressToken"] = "mine"
        asked = await send(group.fronts["a"], message)
        async with await Connection.open(group.fronts["b"]) as connection:
            await connection.send(encode(retry(message, asked), host=group.fronts["b"]))
            head = await http1.read_head(connection.reader)
            assert head is not None and head.media_type == "text/event-stream"
            chunks = http1.chunks(connection.reader)
            first = await anext(chunks)
            assert b'"progressToken": "mine"' in first
            server.hold.set()
            rest = b"".join([chunk async for chunk in chunks])
            assert b'"resultType":"complete"' in rest


async def test_who_leaves_there_has_left_here() -> None:
    async with CountingBackend() as server, Replicas(server.address) as group:
        server.hold = asyncio.Event()
        message = begin("t", times=1)
        asked = await send(group.fronts["a"], message)
        connection = await Connection.open(group.fronts["b"])
        await connection.send(encode(retry(message, asked), host=group.fronts["b"]))
        async with asyncio.timeout(10):
            while not server.told:
                await asyncio.sleep(0.01)
            connection.abort()
            while not server.cancelled["t"]:
                await asyncio.sleep(0.05)


# The one that has the call is gone


def is_lost(answer: Answer) -> bool:
    return bool(answer.result.get("isError")) and "interaction was lost" in answer.text


@pytest.mark.parametrize("restarts", [False, True], ids=["gone", "restarted"])
async def test_a_call_that_nobody_has_is_lost_and_not_run_again(restarts: bool) -> None:
    async with CountingBackend() as server, Replicas(server.address) as group:
        message = begin("t")
        again = retry(message, await send(group.fronts["a"], message))
        await group.kill("a")
        if restarts:
            await group.start("a")
        for name in group.running:
            assert is_lost(await send(group.fronts[name], again))
        assert server.runs["t"] == 1 and not server.answers
        # No answer will ever come there.
        await server.until(lambda server: server.cancelled["t"])


async def test_a_call_is_taken_up_where_its_server_lets_it() -> None:
    async with CountingBackend(events="keep") as server, Replicas(server.address) as group:
        message = begin("t", times=3)
        asked = await send(group.fronts["a"], message)
        await group.kill("a")
        again = retry(message, asked)
        # One takes it up for all, and from there on it is as any other.
        answers = await asyncio.gather(*(send(group.fronts[name], again) for name in "bcbc"))
        assert {question_of(answer) for answer in answers} == {"t 2"}
        asked = await send(group.fronts["c"], retry(message, answers[0]))
        assert question_of(asked) == "t 3"
        done = await send(group.fronts["b"], retry(message, asked))
        assert json.loads(done.text) == ["t 1", "t 2", "t 3"]
        assert server.runs["t"] == server.finished["t"] == 1
        assert max(server.told.values()) == 1 and not server.cancelled
        never_twice(server)
        # The session was its only call's.
        await server.until(lambda server: server.methods["DELETE"] >= 1)


@pytest.mark.parametrize("tool", ["plain", "safe"])
@pytest.mark.parametrize("events", ["empty", "refuse"])
async def test_a_stream_that_proves_nothing_is_not_taken_up(events: str, tool: str) -> None:
    async with CountingBackend(events=events) as server, Replicas(server.address) as group:
        message = begin("t", tool, times=1)
        again = retry(message, await send(group.fronts["a"], message))
        await group.kill("a")
        answer = await send(group.fronts["b"], again)
        if tool == "plain":
            assert is_lost(answer) and server.runs["t"] == 1 and not server.answers
        else:
            assert json.loads(answer.text) == ["t 1"] and server.runs["t"] == 2
        never_twice(server)


async def test_a_stream_of_another_kind_leaves_it_open_what_became_of_the_call() -> None:
    limits = {"backend_idle_timeout": "1s"}
    async with CountingBackend(events="other") as server, Replicas(server.address, limits=limits) as group:
        message = begin("t", times=1)
        again = retry(message, await send(group.fronts["a"], message))
        await group.kill("a")
        answer = await send(group.fronts["b"], again)
        assert answer.error["data"] == {"reason": "idle_timeout", "dispatched": True}
        assert server.runs["t"] == 1
        never_twice(server)


@pytest.mark.parametrize("named", [False, True], ids=["says so", "is named"])
async def test_what_may_run_twice_runs_again_with_the_answers_so_far(named: bool) -> None:
    tool, changes = ("plain", {"interaction": {"replay": ["plain"]}}) if named else ("safe", {})
    async with CountingBackend() as server, Replicas(server.address, **changes) as group:
        message = begin("t", tool, times=3)
        asked = await send(group.fronts["a"], message)
        asked = await send(group.fronts["b"], retry(message, asked))
        again = retry(message, asked)
        await group.kill("a")
        # Several come at once, to any replica that is left: one of those goes on with it, for all.
        answers = await asyncio.gather(*(send(group.fronts[name], again) for name in "bcbc"))
        assert {question_of(answer) for answer in answers} == {"t 3"}
        assert {key for answer in answers for key in answer.result["inputRequests"]} == {"elicitation-3"}
        done = await send(group.fronts["c"], retry(message, answers[0]))
        assert json.loads(done.text) == ["t 1", "t 2", "t 3"]
        assert server.runs["t"] == 2 and server.finished["t"] == 1
        await server.until(lambda server: server.cancelled["t"])
        assert server.told == {("t", "t 1"): 2, ("t", "t 2"): 1, ("t", "t 3"): 1}
        never_twice(server)


async def test_another_question_is_asked_anew() -> None:
    async with CountingBackend() as server, Replicas(server.address) as group:
        message = begin("t", "safe", times=1, varies=True)
        asked = await send(group.fronts["a"], message)
        await group.kill("a")
        anew = await send(group.fronts["b"], retry(message, asked))
        assert question_of(asked) == "t 1 run 1" and question_of(anew) == "t 1 run 2"
        # A key never means two questions.
        assert not asked.result["inputRequests"].keys() & anew.result["inputRequests"].keys()
        done = await send(group.fronts["c"], retry(message, anew))
        assert json.loads(done.text) == ["t 1 run 2"]
        never_twice(server)


async def test_nothing_runs_twice_where_hints_are_not_trusted() -> None:
    async with CountingBackend() as server, Replicas(server.address, server={"annotations": "ignore"}) as group:
        message = begin("t", "safe")
        again = retry(message, await send(group.fronts["a"], message))
        await group.kill("a")
        assert is_lost(await send(group.fronts["b"], again))
        assert server.runs["t"] == 1


async def test_a_retry_that_reached_its_replica_is_not_brought_to_another() -> None:
    async with CountingBackend() as server, Replicas(server.address) as group:
        server.hold = asyncio.Event()
        message = begin("t", "safe", times=1)
        asked = await send(group.fronts["a"], message)
        waiting = asyncio.create_task(send(group.fronts["b"], retry(message, asked)))
        async with asyncio.timeout(10):
            while not server.told:
                await asyncio.sleep(0.01)
        await group.kill("a")
        answer = await waiting
        assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
        assert server.runs["t"] == 1
        never_twice(server)


async def test_one_that_stops_finishes_what_is_parked_there() -> None:
    async with CountingBackend() as server:
        async with Replicas(server.address, limits={"shutdown_timeout": "20s"}) as group:
            message = begin("t", times=2)
            asked = await send(group.fronts["a"], message)
            stopping = asyncio.create_task(group.stop("a"))
            async with asyncio.timeout(10):
                while True:
                    try:
                        await (await Connection.open(group.fronts["a"])).close()
                        await asyncio.sleep(0.01)
                    except OSError:
                        break
            # Clients do not come there any more, but what is asked there is answered.
            asked = await send(group.fronts["b"], retry(message, asked))
            assert question_of(asked) == "t 2" and not stopping.done()
            done = await send(group.fronts["c"], retry(message, asked))
            assert json.loads(done.text) == ["t 1", "t 2"]
            async with asyncio.timeout(5):
                await stopping
            never_twice(server)


# Many at once, behind a balancer that knows nothing of calls

CLIENTS = size(24, 200)
CALLS = size(240, 10_000)


class Crowd:
    """Clients that make calls until there were enough of them; each asks twice. What became of them is counted."""

    def __init__(self, address: str, calls: int = CALLS) -> None:
        self.address = address
        self.endings: dict[str, str] = {}
        """How each call ended, by its token."""
        self.again: Counter[str] = Counter()
        """What was answered to requests that were then sent again."""
        self.times: list[float] = []
        self._tokens = iter(range(calls))

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(self.endings.values())

    async def run(self, clients: int = CLIENTS) -> None:
        start = time.monotonic()
        await asyncio.gather(*(self._client() for _ in range(clients)))
        took = time.monotonic() - start
        counted = dict(self.outcomes.most_common())
        tell(f"{len(self.endings)} calls by {clients} clients in {took:.1f} s: {counted}; sent again: {dict(self.again)}")
        tell(f"a call took {quantile(self.times, 50):.3f} s, 99 % at most {quantile(self.times, 99):.3f} s")

    async def _client(self) -> None:
        async with Client(self.address) as client:
            for number in self._tokens:
                start = time.monotonic()
                token = f"t{number}"
                self.endings[token] = await self._call(client, token, "safe" if number % 2 else "plain")
                self.times.append(time.monotonic() - start)

    async def _call(self, client: Client, token: str, tool: str) -> str:
        message = begin(token, tool)
        request = message
        for attempt in itertools.count(1):
            answer = await client.send(request, timeout=60)
            if "error" in answer.json:
                ending = f"{answer.error['data']['reason']} ({answer.status})"
                # What it says to do is done: what did not run is sent again, and so is a retry, which has its effect once.
                may_go_again = ending == "remora_unavailable (503)" or request is not message and answer.status == 502
                if may_go_again and attempt <= 10:
                    self.again[ending] += 1
                    await asyncio.sleep(0.1)
                    continue
                assert "check before you call again" in answer.error["message"], answer
                return ending
            if answer.result["resultType"] == "input_required":
                request = retry(message, answer)
                continue
            if answer.result.get("isError"):
                return "lost" if is_lost(answer) else answer.text
            assert json.loads(answer.text) == [f"{token} 1", f"{token} 2"]
            return "done"
        raise AssertionError


@pytest.mark.timeout(size(120, 600))
async def test_a_crowd_behind_a_balancer() -> None:
    async with CountingBackend() as server, Replicas(server.address, **ROOM) as group:
        async with Nginx(*group.fronts.values()) as nginx:
            crowd = Crowd(nginx.address)
            await crowd.run()
        assert crowd.outcomes == {"done": CALLS}
        assert set(server.runs.values()) == {1} and sum(server.finished.values()) == CALLS
        never_twice(server)


@pytest.mark.timeout(size(120, 600))
async def test_a_crowd_while_replicas_are_killed() -> None:
    pause = 5.0 if FULL else 1.5
    async with CountingBackend() as server, Replicas(server.address, **ROOM) as group:
        async with Nginx(*group.fronts.values()) as nginx:
            kills = 0

            async def killing() -> None:
                nonlocal kills
                for name in itertools.cycle(group.names):
                    await asyncio.sleep(pause)
                    await group.kill(name)
                    kills += 1
                    await asyncio.sleep(pause / 5)
                    await group.start(name)

            crowd = Crowd(nginx.address, calls=size(1500, CALLS))
            killer = asyncio.create_task(killing())
            try:
                await crowd.run()
            finally:
                killer.cancel()
                await asyncio.gather(killer, return_exceptions=True)
        tell(f"{kills} replicas were killed")
        assert kills >= 1
        # A result, or what happened: nothing else, and nothing by halves.
        known = {"done", "lost", "outcome_unknown (200)", "outcome_unknown (502)"}
        assert len(crowd.endings) == size(1500, CALLS) and crowd.outcomes.keys() <= known, crowd.outcomes
        assert crowd.outcomes["done"] > 0
        assert all(server.finished[token] for token, ending in crowd.endings.items() if ending == "done")
        # What may not run twice did not.
        twice = [token for token, count in server.runs.items() if count > 1]
        assert all(int(token[1:]) % 2 for token in twice)
        tell(f"{len(twice)} calls ran again; answers that came twice: {sum(n > 1 for n in server.answers.values())}")
        never_twice(server)


# The real ones


@pytest.mark.parametrize("version", ["1.30.0", "1.12.4"])
async def test_a_call_is_taken_up_at_a_real_server(version: str) -> None:
    async with Lab(version, "--events") as lab, Replicas(lab.address) as group:
        message = call("ask", {"questions": ["elicitation"] * 3}, clientCapabilities=CAN_BE_ASKED)
        answer = {"action": "accept", "content": {"name": "Ada"}}

        def again(asked: Answer) -> dict[str, Any]:
            (key,) = asked.result["inputRequests"]
            state = {"requestState": asked.result["requestState"], "inputResponses": {key: answer}}
            return {**message, "id": 2, "params": {**state, **message["params"]}}

        asked = await send(group.fronts["a"], message)
        await group.kill("a")
        asked = await send(group.fronts["b"], again(asked))
        asked = await send(group.fronts["c"], again(asked))
        done = await send(group.fronts["b"], again(asked))
        assert json.loads(done.text) == [answer] * 3
        assert (await record(lab.address))["tools"] == {"ask": 1}


async def test_the_published_client_and_server_with_a_balancer_between() -> None:
    seen: list[str] = []

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        seen.append(params.message)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with Lab() as lab, Replicas(lab.address) as group, Nginx(*group.fronts.values()) as nginx:
        url = f"http://{nginx.address}/mcp"
        async with mcp.Client(url, mode=VERSION, elicitation_callback=elicit) as client:
            for number in range(6):
                arguments = {"questions": ["elicitation", "elicitation"], "who": f"P{number}"}
                done = await client.call_tool("ask", arguments)
                answer = {"action": "accept", "content": {"name": "Ada"}}
                assert json.loads(done.content[0].text) == [answer, answer]
        assert seen == [f"P{number} {question}.1" for number in range(6) for question in (1, 2)]
        # Three requests a call, in turn to three replicas: most of them came to one that did not have the call.
        lines = [line for name in group.names for line in group.log(name, "request")]
        assert sum("forwarded" in line for line in lines) >= 6
