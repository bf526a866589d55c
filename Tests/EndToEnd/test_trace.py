"""The trace of a request reaches the server in `_meta` and in the header, saying the same (decision 0016)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.http1 import Connection, Message
from harness.modern import Answer, call, encode, request
from harness.stack import stack
from servers.raw import RawBackend

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
NAMES = ("traceparent", "tracestate", "baggage")


def traced(message: dict[str, Any], **members: Any) -> dict[str, Any]:
    message["params"]["_meta"].update(members)
    return message


async def arrived(message: dict[str, Any], **headers: str) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """What the server is told of a trace, in `_meta` and in the header, and the log's line of the request."""
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.send(message, **headers)).status == 200
        (found,) = [each for each in raw.requests if message["method"].encode() in each.body]
        line = await running.remora.process.event("request")
    return _meta(found), _fields(found), line


def _meta(message: Message) -> dict[str, Any]:
    meta = json.loads(message.body)["params"].get("_meta", {})
    return {name: value for name, value in meta.items() if name in NAMES}


def _fields(message: Message) -> dict[str, str]:
    return {name: value for name, value in message.headers if name in NAMES}


PARAMS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "x"},
    "resources/read": {"uri": "raw:///r"},
    "prompts/get": {"name": "p"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}},
}


@pytest.mark.parametrize("method", PARAMS)
async def test_both_say_the_same(method: str) -> None:
    trace = {"traceparent": PARENT, "tracestate": "a=b,c=d", "baggage": "user=%C3%A9;p=1,k=v"}
    meta, fields, line = await arrived(traced(request(method, PARAMS[method]), **trace))
    assert meta == fields == trace
    assert (line["trace_id"], line["span_id"]) == (PARENT[3:35], PARENT[36:52])
    meta, fields, line = await arrived(request(method, PARAMS[method]), **trace)
    assert meta == fields == trace
    assert (line["trace_id"], line["span_id"]) == (PARENT[3:35], PARENT[36:52])


async def test_meta_wins() -> None:
    headers = {"traceparent": OTHER, "tracestate": "other=1", "baggage": "user=2"}
    meta, fields, line = await arrived(traced(call("x"), traceparent=PARENT, baggage="user=1"), **headers)
    assert meta == fields == {"traceparent": PARENT, "baggage": "user=1"}
    assert line["trace_id"] == PARENT[3:35]


async def test_what_is_no_trace_stays_where_it_was() -> None:
    broken = {"traceparent": PARENT.upper(), "tracestate": "a=1\r\nX-Evil: 1", "baggage": "a=\x00\r\nX-Evil: 1"}
    meta, fields, line = await arrived(traced(call("x"), **broken))
    assert meta == broken and fields == {} and "trace_id" not in line
    meta, fields, line = await arrived(call("x"), traceparent="00-1-2-3", tracestate="a=1", baggage="\x80")
    assert meta == {} and fields == {} and "trace_id" not in line


async def test_a_head_has_room_for_no_more() -> None:
    meta, fields, _ = await arrived(traced(call("x"), traceparent=PARENT, baggage="a" * 8193, tracestate="b" * 4097))
    assert len(meta["baggage"]) == 8193 and fields == {"traceparent": PARENT}


async def test_requests_without_a_trace_get_none() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        for message in (call("x"), traced(call("x"), traceparent=PARENT), call("x")):
            await running.client.send(message)
        calls = [each for each in raw.requests if b'"tools/call"' in each.body]
        lines = [each for each in running.remora.process.events() if each["event"] == "request"]
        # What Remora asks on the session's own account belongs to no client's trace.
        others = [each for each in raw.requests if each not in calls]
    assert [_fields(each) for each in calls] == [{}, {"traceparent": PARENT}, {}]
    assert [_meta(each) for each in calls] == [{}, {"traceparent": PARENT}, {}]
    assert [_fields(each) for each in others] == [{}] * len(others) and len(others) >= 3
    assert all(("trace_id" in line) == (index == 1) for index, line in enumerate(lines))


async def test_a_refused_request_has_its_trace_in_the_log() -> None:
    async with RawBackend(capabilities={"prompts": {}}) as raw, stack(raw.address) as running:
        assert (await running.client.call("x", traceparent=PARENT)).status == 404
        line = await running.remora.process.event("request")
    assert (line["status"], line["trace_id"]) == (404, PARENT[3:35])


async def test_a_real_server_sees_it(lab: str) -> None:
    async with stack(lab) as running:
        answer = await running.client.call("meta", traceparent=PARENT, baggage="user=1")
    seen = json.loads(answer.text)
    assert {name: seen["meta"][name] for name in ("traceparent", "baggage")} == _subset(seen["headers"])
    assert seen["headers"]["traceparent"] == PARENT


def _subset(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in NAMES}


async def test_traces_do_not_mix() -> None:
    """Two callers on one session, in one write each: every request has its own trace."""
    async with RawBackend() as raw, stack(raw.address) as running:
        async with await Connection.open(running.front.address) as connection:
            parents = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 21)]
            sent = [encode(call("x", {"p": parent}), traceparent=parent) for parent in parents]
            await connection.send(b"".join(sent))
            for _ in parents:
                assert Answer(await connection.receive()).text == "raw"
        for each in (each for each in raw.requests if b'"tools/call"' in each.body):
            parent = json.loads(each.body)["params"]["arguments"]["p"]
            assert _meta(each) == _fields(each) == {"traceparent": parent}
