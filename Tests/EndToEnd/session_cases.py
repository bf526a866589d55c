"""What holds for sessions with every server, on every way it is reached: when they end, and what a call may do to them.

A file imports all of them: with a fixture `any_lab` that says what is there, or one `running` for a way of its own.
"""

from __future__ import annotations

import pytest

from harness import lab
from harness.http1 import Connection
from harness.lab import AnyLab
from harness.modern import Answer, call, encode
from harness.stack import Stack, stack

__all__ = [
    "test_a_cancellation_takes_no_other_call_with_it",
    "test_a_session_given_up_is_closed",
    "test_an_idle_session_is_closed",
    "test_a_call_that_is_silent_for_too_long_is_cancelled",
]


async def test_a_cancellation_takes_no_other_call_with_it(running: Stack, any_lab: AnyLab) -> None:
    """A session of 1.9.4 ends by a cancellation, with every call in it: it has to wait for the others."""
    if any_lab.does_one_after_the_other:
        pytest.skip("it has one call at a time")
    before = await lab.record(any_lab.address)
    address = running.front.address
    async with await Connection.open(address) as stays, await Connection.open(address) as leaves:
        await stays.send(encode(call("slow", {"seconds": 0.5}), host=address))
        await leaves.send(encode(call("slow", {"seconds": 30}), host=address))
        started = before["ends"].get("started", 0) + 2
        await lab.until(any_lab.address, lambda record: record["ends"].get("started", 0) == started)
        leaves.abort()
        assert Answer(await stays.receive(timeout=5)).text == "done after 1"
    cancelled = before["ends"].get("cancelled", 0) + 1
    await lab.until(any_lab.address, lambda record: record["ends"].get("cancelled", 0) >= cancelled)


async def test_a_session_given_up_is_closed(running: Stack, any_lab: AnyLab) -> None:
    """Servers of that time keep a session until it is deleted, also one that a cancellation broke."""
    before = await lab.record(any_lab.address)
    async with await Connection.open(running.front.address) as leaves:
        await leaves.send(encode(call("slow", {"seconds": 30}), host=running.front.address))
        started = before["ends"].get("started", 0) + 1
        await lab.until(any_lab.address, lambda record: record["ends"].get("started", 0) == started)
        leaves.abort()
    assert (await running.client.call("echo", {"text": "next"}, timeout=5)).text == "next"
    await lab.until(any_lab.address, lambda record: record["sessions"] <= before["sessions"] + 1, timeout=4)


async def test_an_idle_session_is_closed(any_lab: AnyLab) -> None:
    before = (await lab.record(any_lab.address))["sessions"]
    async with stack(any_lab.address, way=any_lab.way, sessions={"idle_timeout": "1s"}) as running:
        assert (await running.client.call("counter")).text == "1"
        assert (await lab.record(any_lab.address))["sessions"] == before + 1
        await lab.until(any_lab.address, lambda record: record["sessions"] == before)
        if any_lab.form in ("sse", "json"):
            assert await running.backend_methods("DELETE") == 1
        assert (await running.client.call("counter")).text == "1"


async def test_a_call_that_is_silent_for_too_long_is_cancelled(any_lab: AnyLab) -> None:
    before = await lab.ends(any_lab.address, "cancelled")
    limits = {"backend_idle_timeout": "5s" if any_lab.form == "stdio" else "500ms"}  # A process has to start.
    async with stack(any_lab.address, way=any_lab.way, limits=limits) as running:
        assert (await running.client.call("slow", {"seconds": 0.2})).text == "done after 1"
        answer = await running.client.call("slow", {"seconds": 30})
        assert (answer.status, answer.code) == (200, -32603)
        assert answer.error["data"] == {"reason": "idle_timeout", "dispatched": True}
        if not any_lab.does_one_after_the_other:
            await lab.until(any_lab.address, lambda record: record["ends"].get("cancelled", 0) > before)
        assert (await running.client.call("echo", {"text": "next"})).text == "next"
