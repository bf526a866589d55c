"""What must happen once, with a store: the answers of a client are delivered by one replica, and one goes on with a call."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections import Counter
from typing import Any

import pytest

from harness.http1 import TIMEOUT, Truncated
from harness.modern import Answer, Client, call
from harness.relay import Islands
from harness.replicas import Replicas, new_key
from harness.soak import FULL, quantile, size, tell
from harness.store import Redis
from servers.counting import CountingBackend
from servers.raw import Exchange
from test_replicas import ROOM, begin, is_lost, never_twice, retry, send
from test_store import answers_are_taken, until


def is_refused(answer: Answer, reason: str) -> bool:
    """What was refused says that nothing was delivered, and when to come again."""
    assert "error" in answer.json, answer
    assert "were not delivered" in answer.error["message"] and "Send the same request again in 5 s" in answer.error["message"]
    assert (answer.status, answer.http.header("retry-after")) == (503, "5"), answer
    # Of one whose store is away, whether it has the call is what it knows.
    assert answer.error["data"]["dispatched"] or reason == "store_unavailable"
    return answer.error["data"]["reason"] == reason


async def entries(redis: Redis) -> dict[str, tuple[int, str]]:
    """Of calls: how long each has left, in seconds (-1: it stays for ever), and its value."""
    found = {}
    for key in await redis.ask("KEYS", "remora:call:*"):
        # What has expired meanwhile has none.
        if (value := await redis.ask("GET", key)) is not None and (left := await redis.ask("TTL", key)) != -2:
            found[key] = (left, value)
    return found


# What is in the store


async def test_a_call_has_one_entry_from_its_first_answer_on() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with Islands(server.address, redis, interaction={"park_timeout": "60s"}) as replicas:
            message = begin("t", times=3)
            answer = await send(replicas.fronts["a"], message)
            # To ask needs no claim.
            assert not await entries(redis)
            seen = set()
            for name in "bca":
                answer = await send(replicas.fronts[name], retry(message, answer))
                ((key, (left, value)),) = (await entries(redis)).items()
                assert re.fullmatch(r"remora:call:[\w-]{22}", key) and value.startswith("v1.")
                assert 110 <= left <= 122
                seen.add((key, value))
            assert json.loads(answer.text) == ["t 1", "t 2", "t 3"]
            assert len(seen) == 3 and len({key for key, _ in seen}) == 1
            # A call that asks nothing leaves nothing.
            await send(replicas.fronts["a"], begin("u", times=0))
            assert len(await entries(redis)) == 1
            never_twice(server)


# A replica that is gone


@pytest.mark.parametrize("restarts", [True, False], ids=["restarts", "stays away"])
@pytest.mark.parametrize("tool", ["plain", "safe"])
async def test_answers_that_a_dying_replica_took_are_not_delivered_again(tool: str, restarts: bool) -> None:
    """It dies between their delivery and the answer of the server, which would let another one go on with the run."""
    async with CountingBackend(events="keep") as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            server.hold = asyncio.Event()
            message = begin("t", tool, times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            waiting = asyncio.create_task(send(replicas.fronts["b"], again))
            await until("the answer is there", lambda: server.told)
            await replicas.kill("a")
            answer = await waiting
            assert answer.error["data"] == {"reason": "outcome_unknown", "dispatched": True}
            server.hold.set()
            if not restarts:
                # The entry of the replica that was killed is good for a while.
                for name in "bc":
                    assert is_refused(await send(replicas.fronts[name], again), "held_elsewhere")
                assert server.runs["t"] == 1 and not server.cancelled
                return never_twice(server)
            await replicas.start("a")
            await until("its entry is another one", lambda: replicas.log("a", "store_up"))
            answers = await asyncio.gather(*(send(replicas.fronts[name], again) for name in "abcabc"))
            if tool == "plain":
                assert all(is_lost(answer) for answer in answers) and server.runs["t"] == 1
            else:
                assert {answer.text for answer in answers} == {'["t 1"]'} and server.runs["t"] == 2
            never_twice(server)


class GatedBackend(CountingBackend):
    """Its tools run when their user has been to a page."""

    def __init__(self) -> None:
        super().__init__()
        self.gated: set[str] = set()

    async def _run(self, exchange: Exchange) -> None:
        token = exchange.message["params"]["arguments"]["token"]
        if token in self.gated:
            return await super()._run(exchange)
        self.gated.add(token)
        page = {"mode": "url", "message": "Visit.", "url": "https://example.com/", "elicitationId": token}
        await exchange.json(exchange.error(-32042, "Visit first.", elicitations=[page]))


@pytest.mark.parametrize("tool", ["plain", "safe"])
async def test_a_call_that_was_asked_before_it_ran_does_not_run_twice(tool: str) -> None:
    # Half of which is what the user has for the page.
    limits = {"request_timeout": "4s"}
    async with GatedBackend() as server, Redis() as redis, Islands(server.address, redis, limits=limits) as replicas:
        server.hold = asyncio.Event()
        message = call(tool, {"token": "t", "times": 0}, clientCapabilities={"elicitation": {"url": {}}})
        asked = await send(replicas.fronts["a"], message)
        (key,) = asked.result["inputRequests"]
        state = {"inputResponses": {key: {"action": "accept"}}, "requestState": asked.result["requestState"]}
        again = {**message, "id": 2, "params": {**state, **message["params"]}}
        waiting = asyncio.create_task(send(replicas.fronts["a"], again))
        await until("it runs", lambda: server.runs["t"])
        await replicas.kill("a")
        with pytest.raises((OSError, Truncated)):
            await waiting
        server.hold.set()
        await replicas.start("a")
        await until("its entry is another one", lambda: replicas.log("a", "store_up"))
        for name in "bca":
            answer = await send(replicas.fronts[name], again)
            assert is_lost(answer) if tool == "plain" else answer.text == "[]", answer
        assert server.runs["t"] == (1 if tool == "plain" else 2)


@pytest.mark.parametrize("events", [None, "keep"])
async def test_a_call_whose_answers_did_not_come_is_taken_over_as_before(events: str | None) -> None:
    async with CountingBackend(events=events) as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            message = begin("t", "safe", times=3)
            asked = await send(replicas.fronts["a"], message)
            again = retry(message, await send(replicas.fronts["b"], retry(message, asked)))
            await replicas.kill("a")
            answers = await asyncio.gather(*(send(replicas.fronts[name], again) for name in "bcbc"))
            asked = await send(replicas.fronts["c"], retry(message, answers[0]))
            assert json.loads(asked.text) == ["t 1", "t 2", "t 3"]
            assert server.runs["t"] == (1 if events else 2) and server.finished["t"] == 1
            never_twice(server)


# One that others do not reach


@pytest.mark.parametrize("tool, events", [("safe", None), ("plain", "keep")], ids=["runs again", "is taken up"])
async def test_one_that_is_cut_off_delivers_nothing_to_a_call_that_another_took_over(tool: str, events: str | None) -> None:
    async with CountingBackend(events=events) as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            message = begin("t", tool, times=2)
            again = retry(message, await send(replicas.fronts["a"], message))
            replicas.cut_off("a")
            elsewhere, answer = await send(replicas.fronts["b"], again), await send(replicas.fronts["a"], again)
            assert is_refused(answer, "held_elsewhere")
            done = await send(replicas.fronts["c"], retry(message, elsewhere))
            assert json.loads(done.text) == ["t 1", "t 2"]
            assert server.runs["t"] == (1 if events else 2) and server.finished["t"] == 1
            # It has let go of the call, and of its session, which may be the other one's. Who comes again is brought to that one.
            replicas.mend()
            for name in "abc":
                assert json.loads((await send(replicas.fronts[name], again)).text) == ["t 1", "t 2"]
            assert server.answers.total() == server.told.total()
            never_twice(server)


@pytest.mark.parametrize("threads", [1, 3])
async def test_who_comes_to_one_that_was_cut_off_is_brought_to_the_one_that_has_the_call(threads: int) -> None:
    headers = {"Authorization": "Bearer alice"}
    async with CountingBackend(events="keep") as server, Redis() as redis:
        async with Islands(server.address, redis, threads=threads) as replicas:

            async def ask(name: str, message: dict[str, Any]) -> Answer:
                async with Client(replicas.fronts[name]) as client:
                    return await client.send(message, **headers)

            message = begin("t", times=3)
            again = retry(message, await ask("a", message))
            replicas.cut_off("a")
            first = await ask("b", again)
            replicas.mend()
            # Those who come at once: the first of them has it learn that the call is another's.
            answers = await asyncio.gather(*(ask("a", again) for _ in range(8)))
            for each in answers:
                assert "error" not in each.json or is_refused(each, "held_elsewhere")
            for name in "abcabc":
                asked = await ask(name, again)
                assert asked.result["inputRequests"] == first.result["inputRequests"]
            for name in "ca":
                asked = await ask(name, retry(message, asked))
            assert json.loads(asked.text) == ["t 1", "t 2", "t 3"]
            assert server.runs["t"] == server.finished["t"] == 1
            never_twice(server)


@pytest.mark.parametrize("tool", ["plain", "safe"])
@pytest.mark.parametrize("events", [None, "keep"])
async def test_what_one_that_is_cut_off_has_taken_runs_nowhere_else(events: str | None, tool: str) -> None:
    async with CountingBackend(events=events) as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            server.hold = asyncio.Event()
            message = begin("t", tool, times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            waiting = asyncio.create_task(send(replicas.fronts["a"], again))
            await until("the answer is there", lambda: server.told)
            replicas.cut_off("a")
            for name in "bcb":
                assert is_refused(await send(replicas.fronts[name], again), "held_elsewhere")
            assert server.runs["t"] == 1 and not server.cancelled
            server.hold.set()
            assert json.loads((await waiting).text) == ["t 1"]
            replicas.mend()
            # What became of it is kept for who comes again.
            assert json.loads((await send(replicas.fronts["c"], again)).text) == ["t 1"]
            never_twice(server)


@pytest.mark.parametrize("store", [False, True], ids=["store", "no store"])
async def test_one_whose_client_does_not_come_back_leaves_the_run_that_another_took_up(store: bool) -> None:
    """It would cancel the run, and answer what is open: the client's answers went to the other one."""
    async with CountingBackend(events="keep") as server, Redis() as redis:
        async with Islands(server.address, redis, interaction={"park_timeout": "2s"}) as replicas:
            server.hold = asyncio.Event()
            message = begin("t", times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            replicas.cut_off("a", store=store)
            waiting = asyncio.create_task(send(replicas.fronts["b"], again))
            # Two seconds, and one more until what is open would be answered.
            await asyncio.sleep(4)
            server.hold.set()
            assert json.loads((await waiting).text) == ["t 1"]
            assert server.runs["t"] == server.finished["t"] == 1 and not server.cancelled
            never_twice(server)


async def test_one_whose_client_does_not_come_back_ends_the_run_as_before() -> None:
    async with CountingBackend(events="keep") as server, Redis() as redis:
        async with Islands(server.address, redis, interaction={"park_timeout": "3s"}) as replicas:
            message = begin("t", times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            await server.until(lambda server: server.cancelled["t"] and server.answers)
            # And no other takes it up.
            for name in "abc":
                assert is_lost(await send(replicas.fronts[name], again))
            assert server.runs["t"] == 1
            never_twice(server)


async def test_one_that_is_cut_off_from_the_store_too_delivers_nothing() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            message = begin("t", "safe", times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            replicas.cut_off("a", store=True)
            assert is_refused(await send(replicas.fronts["a"], again), "store_unavailable")
            assert not server.answers
            assert json.loads((await send(replicas.fronts["b"], again)).text) == ["t 1"]
            replicas.mend()
            assert server.runs["t"] == 2 and server.finished["t"] == 1
            never_twice(server)


async def test_the_same_retry_everywhere_while_one_is_cut_off() -> None:
    """Whichever of them has it, has it alone."""
    async with CountingBackend(events="keep") as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:

            async def one(number: int) -> None:
                token = f"t{number}"
                message = begin(token, "safe" if number % 2 else "plain", times=1)
                asked = await send(replicas.fronts["abc"[number % 3]], message)
                replicas.cut_off("abc"[number % 3])
                answers = await asyncio.gather(*(send(replicas.fronts[name], retry(message, asked)) for name in "abcabc"))
                replicas.mend()
                for answer in answers:
                    assert "error" not in answer.json or is_refused(answer, "held_elsewhere"), answer
                assert any("error" not in answer.json for answer in answers)
                assert server.runs[token] == server.finished[token] == 1

            for number in range(12):
                await one(number)
            never_twice(server)


# A store that cannot be asked


async def test_while_the_store_is_away_answers_wait_and_all_else_goes_on() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            message = begin("t", times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            await redis.end()
            for name in replicas.names:
                assert is_refused(await send(replicas.fronts[name], again), "store_unavailable")
                assert (await send(replicas.fronts[name], call("plain", {"token": "u", "times": 0}))).text == "[]"
                # To ask needs no claim.
                assert (await send(replicas.fronts[name], begin(f"v{name}"))).result["resultType"] == "input_required"
            await replicas.running["a"].process.event("answers_refused")
            assert not server.answers
            await redis.start()
            async with asyncio.timeout(TIMEOUT):
                while "error" in (done := await send(replicas.fronts["b"], again)).json:
                    assert is_refused(done, "store_unavailable")
                    await asyncio.sleep(0.2)
            assert json.loads(done.text) == ["t 1"]
            assert server.runs["t"] == server.finished["t"] == 1
            never_twice(server)


@pytest.mark.timeout(size(120, 300))
async def test_a_store_that_is_away_under_load_fails_no_call_that_needs_no_claim() -> None:
    rate, away = size(60, 500), size(3, 30)
    async with CountingBackend() as server, Redis() as redis, Islands(server.address, redis, **ROOM) as replicas:
        outcomes: Counter[str] = Counter()
        times: list[float] = []
        is_over = False

        async def calls(name: str) -> None:
            """Calls at a steady rate, on one connection."""
            pause = 30 / rate
            due = time.monotonic() + pause * random.random()
            async with Client(replicas.fronts[name]) as client:
                while not is_over:
                    await asyncio.sleep(max(0, due - time.monotonic()))
                    due = max(due + pause, time.monotonic() - 1)
                    start = time.monotonic()
                    answer = await client.send(call("plain", {"token": "p", "times": 0}))
                    times.append(time.monotonic() - start)
                    outcomes["plain" if answer.text == "[]" else "plain, failed"] += 1

        async def asks(number: int) -> None:
            """Calls that ask, one after the other."""
            for turn in itertools.count():
                if is_over:
                    return
                message = begin(f"a{number}-{turn}", times=1)
                request, refused = message, 0
                while True:
                    answer = await send(replicas.fronts["abc"[(number + turn + refused) % 3]], request)
                    if "error" not in answer.json:
                        if answer.result["resultType"] != "input_required":
                            break
                        request = retry(message, answer)
                        continue
                    assert is_refused(answer, "store_unavailable")
                    refused += 1
                    await asyncio.sleep(0.25)
                assert json.loads(answer.text) == [f"a{number}-{turn} 1"]
                outcomes["asked, refused at first" if refused else "asked"] += 1
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(calls("abc"[number % 3]))
            for number in range(6):
                group.create_task(asks(number))
            await asyncio.sleep(1)
            await redis.end()
            await asyncio.sleep(away)
            await redis.start()
            await answers_are_taken(replicas)
            await asyncio.sleep(1)
            is_over = True
        tell(f"{rate} calls a second were asked for, the store was away for {away} s: {dict(outcomes)}")
        tell(f"a plain call took {quantile(times, 50) * 1000:.1f} ms, 99 % at most {quantile(times, 99) * 1000:.1f} ms")
        assert not outcomes["plain, failed"] and outcomes["plain"] > rate and outcomes["asked, refused at first"]
        never_twice(server)


async def test_what_others_write_in_the_place_of_a_claim(tmp_path: Any) -> None:
    """Who writes to the store can hold a call up, and nothing more."""
    async with CountingBackend() as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            message = begin("t", times=2)
            asked = await send(replicas.fronts["a"], message)
            asked = await send(replicas.fronts["a"], retry(message, asked))
            other = begin("u", times=2)
            await send(replicas.fronts["a"], retry(other, await send(replicas.fronts["a"], other)))
            (mine, _), (its, _) = (await entries(redis)).items()
            before = {key: value for key, (_, value) in (await entries(redis)).items()}
            again = retry(message, asked)
            for value in ["x", "v1.", "\0" * 1000]:
                for key in mine, its:
                    await redis.ask("SET", key, value, "PX", "60000")
                assert is_refused(await send(replicas.fronts["b"], again), "store_unavailable")
            # That of another call.
            await redis.ask("SET", mine, before[its])
            await redis.ask("SET", its, before[mine])
            assert is_refused(await send(replicas.fronts["b"], again), "store_unavailable")
            await redis.ask("DEL", mine, its)
            assert json.loads((await send(replicas.fronts["b"], again)).text) == ["t 1", "t 2"]
            never_twice(server)


async def test_rings_that_are_being_changed_agree(tmp_path: Any) -> None:
    """A claim under one key of the ring binds those that seal with another."""
    async with CountingBackend(events="keep") as server, Redis() as redis:
        async with Islands(server.address, redis) as replicas:
            old, new = str(replicas.key), str(new_key(tmp_path / "new.key"))
            for name, keys in ("a", [old, new]), ("b", [new, old]), ("c", [new, old]):
                await replicas.running[name].reload(replicas.texts[name].replace(json.dumps([old]), json.dumps(keys)))
            message = begin("t", times=1)
            again = retry(message, await send(replicas.fronts["a"], message))
            replicas.cut_off("a")
            assert json.loads((await send(replicas.fronts["b"], again)).text) == ["t 1"]
            assert is_refused(await send(replicas.fronts["a"], again), "held_elsewhere")
            never_twice(server)


# Many at once, while replicas are killed and cut off in turns

CLIENTS = size(16, 200)
CALLS = size(240, 10_000)
KNOWN = {"done", "lost", "outcome_unknown (200)", "the replica went away"}


class Crowd:
    """Clients that spread their requests over replicas, and make calls until there were enough of them; each asks twice."""

    def __init__(self, replicas: Islands) -> None:
        self._replicas = replicas
        self.endings: dict[str, str] = {}
        """How each call ended, by its token."""
        self.again: Counter[str] = Counter()
        """What was answered to requests that were then sent again."""
        self._turn = itertools.count()
        self._tokens = iter(range(CALLS))

    async def run(self) -> None:
        start = time.monotonic()
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))
        counted = dict(Counter(self.endings.values()).most_common())
        tell(f"{len(self.endings)} calls by {CLIENTS} clients in {time.monotonic() - start:.1f} s: {counted}")
        tell(f"sent again: {dict(self.again)}")

    async def _client(self) -> None:
        for number in self._tokens:
            token = f"t{number}"
            self.endings[token] = await self._call(token, "safe" if number % 2 else "plain")

    async def _call(self, token: str, tool: str) -> str:
        message = begin(token, tool)
        request = message
        while True:
            names = list(self._replicas.running)
            address = self._replicas.fronts[names[next(self._turn) % len(names)]]
            try:
                async with Client(address) as client:
                    answer = await client.send(request, timeout=60)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
                continue
            except (OSError, Truncated, asyncio.IncompleteReadError):
                # A client that began a call does not know what became of it. Answers have their effect once.
                if request is message:
                    return "the replica went away"
                self.again["the replica went away"] += 1
                continue
            if "error" in answer.json:
                reason = f"{answer.error['data']['reason']} ({answer.status})"
                if answer.status == 503:
                    assert is_refused(answer, answer.error["data"]["reason"])
                    self.again[reason] += 1
                    await asyncio.sleep(0.5)
                    continue
                assert "check before you call again" in answer.error["message"], answer
                # What became of answers that were on their way, the next one may know.
                if request is not message and reason == "outcome_unknown (200)":
                    self.again[reason] += 1
                    continue
                return reason
            if answer.result["resultType"] == "input_required":
                request = retry(message, answer)
            elif answer.result.get("isError"):
                return "lost" if is_lost(answer) else answer.text
            else:
                assert json.loads(answer.text) == [f"{token} 1", f"{token} 2"]
                return "done"


async def disturb(replicas: Islands, pause: float, counted: Counter[str]) -> None:
    """Kills one replica and starts it again, cuts the next one off from the others, and the one after that from the store too."""
    for number in itertools.count():
        name = replicas.names[number % 3]
        await asyncio.sleep(pause)
        if number % 3 == 0:
            await replicas.kill(name)
            await asyncio.sleep(pause / 5)
            await replicas.start(name)
            counted["killed"] += 1
        else:
            replicas.cut_off(name, store=number % 3 == 2)
            await asyncio.sleep(pause)
            replicas.mend()
            counted["cut off from the store too" if number % 3 == 2 else "cut off"] += 1
        # Each of the three has each of it in turn.
        if number % 3 == 2:
            replicas.names = replicas.names[1:] + replicas.names[:1]


@pytest.mark.timeout(size(180, 1800))
@pytest.mark.parametrize("events", [None, "keep"])
async def test_a_crowd_while_replicas_are_killed_and_cut_off(events: str | None) -> None:
    async with CountingBackend(events=events) as server, Redis() as redis:
        async with Islands(server.address, redis, **ROOM, interaction={"park_timeout": "60s"}) as replicas:
            counted: Counter[str] = Counter()
            crowd = Crowd(replicas)
            disturbing = asyncio.create_task(disturb(replicas, 5.0 if FULL else 0.5, counted))
            try:
                await crowd.run()
            finally:
                disturbing.cancel()
                await asyncio.gather(disturbing, return_exceptions=True)
            tell(f"replicas were {dict(counted)}")
            twice = [token for token, count in server.runs.items() if count > 1]
            tell(f"{len(twice)} calls ran again; answers that came twice: {sum(n > 1 for n in server.answers.values())}")
            found = await entries(redis)
            tell(f"{len(found)} entries of calls, {len([key for key, (left, _) in found.items() if left < 0])} without an expiry")
            outcomes = Counter(crowd.endings.values())
            assert counted["killed"] >= 1 and len(crowd.endings) == CALLS and outcomes.keys() <= KNOWN, outcomes
            assert outcomes["done"] > CALLS / 2
            assert all(server.finished[token] for token, ending in crowd.endings.items() if ending == "done")
            # What may not run twice did not, and no question was answered twice.
            assert all(int(token[1:]) % 2 for token in twice)
            never_twice(server)
            assert all(0 <= left <= 122 and value.startswith("v1.") for left, value in found.values())


# Without a store


async def test_without_a_store_nothing_is_claimed() -> None:
    async with CountingBackend() as server, Replicas(server.address) as replicas:
        message = begin("t", times=1)
        again = retry(message, await send(replicas.fronts["a"], message))
        assert json.loads((await send(replicas.fronts["b"], again)).text) == ["t 1"]
        assert not any("claim" in line or "answers_refused" in line for line in replicas.running["a"].process.lines)
