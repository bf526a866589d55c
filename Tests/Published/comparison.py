"""What both clients get from a server, call by call."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import mcp
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent

from harness.odd import outcome
from model import Call, Published, prompt, resource, tool
from nature import reason
from running import Connect, Running, started

PATIENCE = 20
"""Seconds for one call."""
LISTS = ("tools", "prompts", "resources", "templates")
UNKNOWN = (tool("no_such_tool"), prompt("no_such_prompt"), resource("no:such-resource"))

Results = dict[str, str]
"""What was got, as JSON, by the label of the call."""


async def answer(*_: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "Ann"})


async def say(*_: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="said"), model="m")


async def roots(*_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///r", name="r")])


CLIENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "declaring": {"elicitation_callback": answer, "sampling_callback": say, "list_roots_callback": roots},
}
"""Options of the clients: one that declares nothing, and one that can be asked for all that there is."""


@dataclass
class Difference:
    """One call with two results."""

    label: str
    direct: str
    through: str
    reason: str | None

    def text(self) -> str:
        because = self.reason or "no reason is known"
        return f"  {self.label}: {because}\n    directly: {self.direct[:1500]}\n    Remora:   {self.through[:1500]}"


@dataclass
class Comparison:
    """Of one server."""

    server: Published
    calls: int = 0
    differences: list[Difference] = field(default_factory=list)
    direct: dict[str, Results] = field(default_factory=dict)
    """What the legacy client got, for a person to look at."""
    failure: str = ""
    """Why it could not be compared."""

    @property
    def unexplained(self) -> bool:
        return bool(self.failure) or any(each.reason is None for each in self.differences)

    def line(self) -> str:
        said = self.failure or f"{self.calls - len(self.differences)} of {self.calls} alike"
        return f"{self.server.name} over {self.server.transport}: {said}{' FAILED' if self.unexplained else ''}"


async def ask(client: mcp.Client, call: Call, running: Running) -> Any:
    """One result. Progress that was reported belongs to it."""
    arguments = running.filled(dict(call.arguments))
    progress: list[Any] = []

    async def report(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total, message])

    asked: Awaitable[Any]
    match call.kind:
        case "tool":
            asked = client.call_tool(call.name, arguments, progress_callback=report)
        case "prompt":
            asked = client.get_prompt(call.name, arguments)
        case _:
            asked = client.read_resource(call.name)
    found = await result(asked)
    return {"progress": progress, **found} if progress else found


async def result(asked: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(PATIENCE):
            return await outcome(asked)
    except TimeoutError:
        return {"nothing": f"in {PATIENCE} s"}
    except Exception as error:
        return {"raises": f"{type(error).__name__}: {error}"[:300]}


async def results(running: Running, client: mcp.Client) -> Results:
    listed: dict[str, Callable[[], Awaitable[Any]]] = {
        "tools": client.list_tools,
        "prompts": client.list_prompts,
        "resources": client.list_resources,
        "templates": client.list_resource_templates,
    }
    found: dict[str, Any] = {name: await result(listed[name]()) for name in LISTS}
    for number, call in enumerate((*running.server.calls, *UNKNOWN), 1):
        found[f"{number}. {call.label}"] = await ask(client, call, running)
    return {label: normal(running, each) for label, each in found.items()}


def normal(running: Running, value: Any) -> str:
    """Without what differs from run to run."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = text.replace(str(running.work), "{work}").replace(f":{running.port}", ":{port}")
    for pattern in running.server.varies:
        text = re.sub(pattern, "~", text)
    return text


async def run(server: Published, way: Callable[[Running], AbstractAsyncContextManager[Connect]]) -> dict[str, Results]:
    """What each of the clients gets on this way, one after the other."""
    found: dict[str, Results] = {}
    async with asyncio.timeout(300), started(server) as running, way(running) as connect:
        for name, options in CLIENTS.items():
            async with connect(options) as client:
                found[name] = await results(running, client)
    return found


async def compare(server: Published) -> Comparison:
    comparison = Comparison(server)
    try:
        comparison.direct = await run(server, Running.directly)
        through = await run(server, Running.through_remora)
    except (Exception, asyncio.CancelledError) as error:
        comparison.failure = f"{type(error).__name__}: {error} {getattr(error, 'exceptions', '')}"[:2000]
        return comparison
    for client, direct in comparison.direct.items():
        comparison.calls += len(direct)
        for label, expected in direct.items():
            if (found := through[client][label]) != expected:
                why = server.differs.get(re.sub(r"^\d+\. ", "", label)) or reason(label, expected, found)
                comparison.differences.append(Difference(f"{client}: {label}", expected, found, why))
    return comparison
