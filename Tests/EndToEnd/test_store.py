"""Replicas that find each other in a store, and stores that are away, wrong or hostile."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority
from harness.http1 import TIMEOUT, Connection, Message
from harness.modern import call
from harness.prometheus import parse
from harness.remora import Remora, check, configuration
from harness.replicas import Replicas, free_ports, new_key
from harness.store import Liar, Redis
from servers.counting import CountingBackend
from test_replicas import begin, retry, send

ANY = "127.0.0.1:0"


class Group(Replicas):
    """Replicas that know nothing of each other but the store, on ports that the system gives."""

    async def start(self, name: str) -> None:
        await super().start(name)
        running = self.running[name]
        self.fronts[name] = running.address
        self.peers[name] = (await running.process.event("peers_listening"))["address"]


def group(server: CountingBackend, store: dict[str, Any], **options: Any) -> Group:
    replicas = {"peers": {}, "address": ANY}
    return Group(server.address, store=store, replicas=replicas, listen={"address": ANY}, admin={"address": ANY}, **options)


async def until(what: str, condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        await asyncio.sleep(0.05)


async def know_each_other(replicas: Replicas) -> None:
    """Waits until each that runs has found all others that run."""

    def all_know() -> bool:
        names = set(replicas.running)
        return all(
            {line["replica"] for line in replicas.log(name, "replica_joined")} >= names - {name} for name in names
        )

    try:
        await until("replicas find each other", all_know)
    except AssertionError as error:
        raise AssertionError("\n".join(running.process.tail() for running in replicas.running.values())) from error


async def calls_go_round(server: CountingBackend, replicas: Replicas, token: str) -> None:
    """A call whose client comes back to another replica each time runs once, and ends."""
    names = list(replicas.running)
    for turn, first in enumerate(names):
        mine = f"{token}-{turn}"
        message = begin(mine, times=3)
        answer = await send(replicas.fronts[first], message)
        for number in range(1, 4):
            assert answer.result["resultType"] == "input_required", answer
            other = names[(turn + number) % len(names)]
            answer = await send(replicas.fronts[other], retry(message, answer, f"r{number}"))
        assert json.loads(answer.text) == [f"{mine} {number}" for number in range(1, 4)]
        assert server.runs[mine] == server.finished[mine] == 1


async def calls_go_on(replicas: Replicas, token: str) -> None:
    """While the store is away, a call ends that asks nothing, and one that asks does so. Its answers wait."""
    names = list(replicas.running)
    for turn, first in enumerate(names):
        plain = await send(replicas.fronts[first], call("plain", {"token": token, "times": 0}))
        assert plain.text == "[]"
        message = begin(f"{token}-{turn}", times=1)
        asked = await send(replicas.fronts[first], message)
        refused = await send(replicas.fronts[names[(turn + 1) % len(names)]], retry(message, asked, 2))
        assert refused.error["data"] == {"reason": "store_unavailable", "dispatched": False}


async def answers_are_taken(replicas: Replicas) -> None:
    """Waits until each has found the store, for calls too."""
    for name in replicas.running:
        async with asyncio.timeout(TIMEOUT):
            message = begin(f"first-{name}", times=1)
            asked = await send(replicas.fronts[name], message)
            while "error" in (await send(replicas.fronts[name], retry(message, asked, 2))).json:
                await asyncio.sleep(0.1)


async def look(remora: Remora, path: str) -> Message:
    """An answer of the admin listener."""
    address = (await remora.process.event("admin_listening"))["address"]
    async with await Connection.open(address) as connection:
        return await connection.exchange(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())


async def store_numbers(remora: Remora) -> dict[str, float]:
    """Of `/metrics`, with the kinds of errors that there were."""
    found = {}
    for name, family in parse((await look(remora, "/metrics")).body.decode()).items():
        for (_, labels), value in family.samples.items():
            if name.startswith("remora_store_") and (not labels or value):
                short = name.removeprefix("remora_store_").removesuffix("_total")
                found["_".join([short, *dict(labels).values()])] = value
    return found


# Finding each other


@pytest.mark.parametrize("count, threads", [(2, 1), (3, 1), (3, 3)])
async def test_replicas_find_each_other(count: int, threads: int) -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=count, threads=threads) as replicas:
            await know_each_other(replicas)
            await calls_go_round(server, replicas, "t")
            for name in replicas.names:
                (up,) = replicas.log(name, "store_up")
                assert up["store"] == redis.url
                assert not replicas.log(name, "store_down")
            numbers = await store_numbers(replicas.running["a"])
            assert numbers["reachable"] == 1 and numbers["commands"] >= 6
            assert not [name for name in numbers if name.startswith("errors")]


async def test_what_is_in_the_store() -> None:
    """Every key has an expiry, every value is sealed, and no name says anything."""
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, {**redis.settings, "prefix": "mine:"}) as replicas:
            await know_each_other(replicas)
            await calls_go_round(server, replicas, "t")
            content = await redis.content()
            print(json.dumps(content, indent=1))
            left, fields = content.pop("mine:replicas")
            assert 0 < left <= 30
            assert len(fields) == 3
            for name, value in fields.items():
                assert len(name) == 22 and value.startswith("v1."), (name, value)
            # Of each call that was asked: who has it.
            assert len(content) == 3
            for key, (left, fields) in content.items():
                assert re.fullmatch(r"mine:call:[\w-]{22}", key) and 0 < left <= 1202
                assert list(fields) == [""] and fields[""].startswith("v1.")
            content = await redis.content()
            text = json.dumps(content)
            for secret in [*replicas.peers.values(), *replicas.fronts.values(), "127.0.0.1", "remora"]:
                assert secret not in text


async def test_with_a_password() -> None:
    async with CountingBackend() as server, Redis(password="s3cret words") as redis:
        async with group(server, redis.settings, count=2) as replicas:
            await know_each_other(replicas)
            await calls_go_round(server, replicas, "t")
            assert not any("s3cret" in line for line in replicas.running["a"].process.lines)


@pytest.mark.parametrize("given", ["wrong pass", None])
async def test_with_a_wrong_password_or_none(given: str | None) -> None:
    async with CountingBackend() as server, Redis(password="right") as redis:
        store = {"url": redis.url, **({"password": given} if given else {})}
        async with group(server, store, count=1) as replicas:
            remora = replicas.running["a"]
            down = await remora.process.event("store_down")
            assert down["reason"] == f"it refused a command: {'AUTH, WRONGPASS' if given else 'PING, NOAUTH'}"
            await calls_go_on(replicas, "t")
            assert not any("wrong pass" in line for line in remora.process.lines)
            assert (await store_numbers(remora))["errors_refused"] >= 1


async def test_over_a_unix_socket() -> None:
    async with CountingBackend() as server, Redis(unix=True) as redis:
        async with group(server, redis.settings, count=2) as replicas:
            await know_each_other(replicas)
            await calls_go_round(server, replicas, "t")


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with CountingBackend() as server, Redis(tls=authority.issue("redis", "127.0.0.1"), password="p") as redis:
        async with group(server, {**redis.settings, "tls": {"ca": str(authority.file)}}, count=2) as replicas:
            await know_each_other(replicas)
            await calls_go_round(server, replicas, "t")


async def test_a_store_that_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with CountingBackend() as server, Redis(tls=authority.issue("redis", "other.example")) as redis:
        async with group(server, {**redis.settings, "tls": {"ca": str(authority.file)}}, count=1) as replicas:
            down = await replicas.running["a"].process.event("store_down")
            assert "TLS" in down["reason"]
            assert not replicas.log("a", "store_up")


async def test_another_database() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, {"url": redis.url.removesuffix("0") + "5"}, count=2) as replicas:
            await know_each_other(replicas)
            assert await redis.ask("DBSIZE") == 0
            assert "db5:keys=1" in await redis.ask("INFO", "keyspace")


async def test_where_others_reach_it_can_be_said() -> None:
    async with CountingBackend() as server, Redis() as redis:
        replicas = group(server, redis.settings, count=2)
        for name in replicas.names:
            (port,) = free_ports(1)
            before = replicas.texts[name]
            replicas.texts[name] = before.replace(
                f"id: {name}\n  address: {json.dumps(ANY)}",
                f"id: {name}\n  address: \":{port}\"\n  advertise: http://localhost:{port}",
            )
            assert replicas.texts[name] != before
        async with replicas:
            await know_each_other(replicas)
            (joined,) = replicas.log("a", "replica_joined")
            assert joined["address"].startswith("localhost:")
            await calls_go_round(server, replicas, "t")


# Replicas that come and go


async def test_a_call_that_began_when_its_replica_was_alone() -> None:
    """What was answered then is known where it goes on."""
    async with CountingBackend() as server, Redis() as redis:
        replicas = group(server, redis.settings, count=3)
        replicas.names = "a"
        async with replicas:
            await replicas.running["a"].process.event("store_up")
            message = begin("t", "safe", times=3)
            asked = await send(replicas.fronts["a"], message)
            asked = await send(replicas.fronts["a"], retry(message, asked, 2))
            for name in "bc":
                await replicas.start(name)
            await know_each_other(replicas)
            await replicas.kill("a")
            asked = await send(replicas.fronts["c"], retry(message, asked, 3))
            assert list(asked.result["inputRequests"]) == ["elicitation-3"]
            done = await send(replicas.fronts["b"], retry(message, asked, 4))
            assert json.loads(done.text) == ["t 1", "t 2", "t 3"]
            assert server.runs["t"] == 2 and server.finished["t"] == 1
            assert max(server.answers.values()) == 1


async def test_a_replica_that_is_elsewhere_after_a_restart() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=2) as replicas:
            await know_each_other(replicas)
            before = replicas.peers["b"]
            await replicas.kill("b")
            await replicas.start("b")
            after = replicas.peers["b"]
            assert after != before
            await until(
                "a learns where b is now",
                lambda: [line["address"] for line in replicas.log("a", "replica_joined")] == [before, after],
            )
            await know_each_other(replicas)
            await calls_go_round(server, replicas, "t")


async def test_a_replica_that_ends_is_forgotten() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=2) as replicas:
            await know_each_other(replicas)
            await replicas.stop("b")
            ((_, fields),) = (await redis.content()).values()
            assert len(fields) == 1
            left = await replicas.running["a"].process.event("replica_left", timeout=40)
            assert left["replica"] == "b"
            await calls_go_round(server, replicas, "t")


async def test_two_with_one_name() -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=1) as replicas:
            await replicas.running["a"].process.event("store_up")
            async with Remora(replicas.texts["a"]):
                taken = await replicas.running["a"].process.event("replica_id_taken")
                assert taken["replica"] == "a"
            assert not replicas.log("a", "replica_joined")


# A store that is away


async def test_a_store_that_is_away_at_the_start_and_comes() -> None:
    async with CountingBackend() as server, Redis() as redis:
        await redis.end()
        async with group(server, redis.settings, count=2) as replicas:
            for name in replicas.names:
                await replicas.running[name].process.event("store_down")
            alone = await send(replicas.fronts["a"], call("plain", {"token": "t", "times": 0}))
            assert alone.status == 200
            assert (await store_numbers(replicas.running["a"]))["reachable"] == 0
            await redis.start()
            await know_each_other(replicas)
            await answers_are_taken(replicas)
            await calls_go_round(server, replicas, "u")
            for name in replicas.names:
                assert len(replicas.log(name, "store_down")) == len(replicas.log(name, "store_up")) == 1


async def test_a_store_that_goes_and_comes_back_empty() -> None:
    """Replicas stay known while it is away, and when it has forgotten them."""
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=3) as replicas:
            await know_each_other(replicas)
            await redis.end()
            for name in replicas.names:
                await replicas.running[name].process.event("store_down")
            await calls_go_on(replicas, "away")
            assert (await look(replicas.running["a"], "/readyz")).status == 200
            assert (await store_numbers(replicas.running["a"]))["reachable"] == 0
            await redis.start()
            await until("all are up again", lambda: all(len(replicas.log(name, "store_up")) == 2 for name in replicas.names))
            await answers_are_taken(replicas)
            await calls_go_round(server, replicas, "back")
            assert not any(replicas.log(name, "replica_left") for name in replicas.names)
            assert all(len(replicas.log(name, "store_down")) == 1 for name in replicas.names)


async def test_a_store_that_can_only_be_read() -> None:
    nowhere = free_ports(1)[0]
    async with CountingBackend() as server, Redis(options=("--replicaof", "127.0.0.1", str(nowhere))) as redis:
        async with group(server, redis.settings, count=1) as replicas:
            down = await replicas.running["a"].process.event("store_down")
            assert down["reason"] == "it refused a command: READONLY"
            await calls_go_on(replicas, "t")
            await asyncio.sleep(2)
            assert len(replicas.log("a", "store_down")) == 1 and not replicas.log("a", "store_up")


# Others who write to it


async def test_what_others_write_is_passed_over(tmp_path: Path) -> None:
    async with CountingBackend() as server, Redis() as redis:
        replicas = group(server, redis.settings, count=3)
        # The third has another ring.
        replicas.texts["c"] = replicas.texts["c"].replace(str(replicas.key), str(new_key(tmp_path / "other.key")))
        async with replicas:
            await until(
                "a and b find each other",
                lambda: all(replicas.log(name, "replica_joined") for name in "ab"),
            )
            for name in "abc":
                await replicas.running[name].process.event("store_entries_unreadable")
            await redis.ask("HSET", "remora:replicas", b"\xff\0nonsense", b"\xff" * 1000, "", "", "v1.", "v1.")
            mine = (await redis.content())["remora:replicas"][1]
            # An entry under the name of another one.
            one, other = list(mine)[:2]
            await redis.ask("HSET", "remora:replicas", "x" * 22, mine[one])
            await asyncio.sleep(7)
            assert {line["replica"] for line in replicas.log("a", "replica_joined")} == {"b"}
            assert not replicas.log("c", "replica_joined")
            for name in "abc":
                assert len(replicas.log(name, "store_entries_unreadable")) == 1
                assert not replicas.log(name, "store_down")
            await replicas.kill("c")
            await calls_go_round(server, replicas, "t")


async def test_something_else_in_its_place() -> None:
    async with CountingBackend() as server, Redis() as redis:
        await redis.ask("SET", "remora:replicas", "taken")
        async with group(server, redis.settings, count=2) as replicas:
            down = await replicas.running["a"].process.event("store_down")
            assert down["reason"] == "it refused a command: WRONGTYPE"
            await redis.ask("DEL", "remora:replicas")
            await know_each_other(replicas)


# What is no store


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await reader.read()


async def gigabytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"$1000000000\r\n")
    for _ in range(1000):
        writer.write(b"x" * (1 << 20))
        await writer.drain()


async def nested(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"+PONG\r\n")
    await reader.read(100)
    writer.write(b"*4096\r\n" * 100)
    await reader.read()


async def elements(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"+PONG\r\n")
    await reader.read(100)
    writer.write(b"*2147483647\r\n" + b"$1\r\nx\r\n" * 1000)
    await reader.read()


async def unasked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+PONG\r\n+PONG\r\n+PONG\r\n")
    await reader.read()
    await reader.read()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """By 5 s, from the first command behind the greeting on."""
    await reader.read(100)
    writer.write(b"+PONG\r\n")
    await reader.read(1000)
    await asyncio.sleep(5)
    writer.write(b"*0\r\n:1\r\n:1\r\n")
    await reader.read()


MALFORMED = "its answer is not one that a store gives here"


@pytest.mark.parametrize(
    "behave, reason",
    [
        (nonsense, MALFORMED),
        (gigabytes, "its answer is larger than 262144 bytes"),
        (nested, MALFORMED),
        (elements, MALFORMED),
        (unasked, MALFORMED),
        (silent, "it did not answer in time"),
        (closing, "it closed the connection"),
        (slow, "it did not answer in time"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_what_is_no_store(behave: Callable[..., Awaitable[None]], reason: str) -> None:
    async with CountingBackend() as server, Liar(behave) as liar:
        async with group(server, {"url": liar.url}, count=1) as replicas:
            remora = replicas.running["a"]
            before = remora.resident()
            down = await remora.process.event("store_down")
            assert down["reason"] == reason
            # It is tried again, and no call is held up meanwhile.
            times: list[float] = []
            end = time.monotonic() + 3
            while time.monotonic() < end or liar.connections < 4:
                start = time.monotonic()
                await send(replicas.fronts["a"], begin("t", times=0))
                times.append(time.monotonic() - start)
                await asyncio.sleep(0.05)
            # Half of the store's own time to answer: who waited for it would take longer each time.
            assert sorted(times)[len(times) // 2] < 1, times
            await calls_go_on(replicas, "t")
            assert len(replicas.log("a", "store_down")) == 1 and not replicas.log("a", "store_up")
            assert remora.resident() - before < 32 << 20
            assert (await store_numbers(remora))["reachable"] == 0


# The configuration


@pytest.mark.parametrize(
    "store, said",
    [
        ({"url": "redis://:hunter2@127.0.0.1:6379/0"}, "store.url must have no user name and no password"),
        ({"url": "redis://user:hunter2@127.0.0.1"}, "store.url must have no user name and no password"),
        ({"url": "unix:/run/hunter2@x", "password": "hunter2"}, "store.url must have no user name and no password"),
        ({"password": "hunter2"}, "store.password is of no use without store.url"),
        ({"url": "http://127.0.0.1:6379"}, "store.url must be off, redis://HOST:PORT/DATABASE"),
        ({"url": "redis://127.0.0.1:6379/x"}, "store.url must be off, redis://HOST:PORT/DATABASE"),
        ({"url": "redis://127.0.0.1:0"}, "store.url must be off"),
        ({"url": "unix:redis.sock"}, "store.url must have an absolute path"),
        ({"url": "redis://127.0.0.1:6379", "prefix": "a b"}, "store.prefix must be 1 to 64 characters"),
        ({"url": "redis://127.0.0.1:6379", "when_unreachable": "refuse"}, "store.when_unreachable must be one of go_on"),
        ({"url": "redis://127.0.0.1:6379", "tls": {"server_name": "x"}}, "store.tls.server_name is of no use"),
        ({"url": "redis://127.0.0.1:6379"}, "replicas.id is missing"),
    ],
)
async def test_what_is_refused(store: dict[str, Any], said: str) -> None:
    status, printed = await check(configuration("http://127.0.0.1:9/mcp", store=store))
    assert status != 0 and said in printed, printed
    assert "hunter2" not in printed


async def test_an_address_that_others_cannot_reach(tmp_path: Path) -> None:
    replicas = {"id": "a", "address": ":8809", "keys": [str(new_key(tmp_path / "seal.key"))]}
    text = configuration("http://127.0.0.1:9/mcp", store={"url": "redis://127.0.0.1"}, replicas=replicas)
    status, printed = await check(text)
    assert status != 0 and "replicas.advertise is missing" in printed, printed
    status, printed = await check(text.replace('":8809"', '":8809"\n  advertise: http://10.0.0.5:8809'))
    assert status == 0, printed


async def test_it_stays_until_a_restart(tmp_path: Path) -> None:
    async with CountingBackend() as server, Redis() as redis:
        async with group(server, redis.settings, count=1) as replicas:
            remora = replicas.running["a"]
            await remora.process.event("store_up")
            await remora.reload(remora.text.replace(redis.url, "redis://127.0.0.1:1"))
            assert (await remora.process.event("needs_restart"))["key"] == "store"
