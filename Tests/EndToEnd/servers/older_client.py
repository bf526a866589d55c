"""The published client of the sessions' time (mcp 1.x) with servers/lab.py: all it can do. Prints what came of it as one JSON line,
without what differs from run to run.

    older_client.py http URL | sse URL | stdio COMMAND...
"""

import json
import sys
from contextlib import asynccontextmanager

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl


@asynccontextmanager
async def transport(way: str, *place: str):
    match way:
        case "http":
            async with streamablehttp_client(place[0]) as (read, write, session_id):
                yield read, write, session_id
        case "sse":
            async with sse_client(place[0]) as (read, write):
                yield read, write, lambda: None
        case "stdio":
            async with stdio_client(StdioServerParameters(command=place[0], args=list(place[1:]))) as (read, write):
                yield read, write, lambda: None


async def main(way: str, *place: str) -> None:
    found: dict[str, object] = {}
    told: list[str] = []

    async def elicit(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def sample(context: object, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", content=content, model="m")

    async def roots(context: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada")])  # type: ignore[arg-type]

    async def hear(params: types.LoggingMessageNotificationParams) -> None:
        told.append(str(params.data))

    def plain(result: object) -> object:
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)  # type: ignore[attr-defined]

    async def outcome(asked: object) -> object:
        try:
            return plain(await asked)  # type: ignore[misc]
        except McpError as error:
            return [error.error.code, error.error.message, error.error.data]

    async with transport(way, *place) as (read, write, session_id):
        async with ClientSession(
            read,
            write,
            elicitation_callback=elicit,
            sampling_callback=sample,
            list_roots_callback=roots,
            logging_callback=hear,
        ) as session:
            found["initialize"] = plain(await session.initialize())
            await session.send_ping()
            found["tools"] = await outcome(session.list_tools())
            found["echo"] = await outcome(session.call_tool("echo", {"text": "Grüße 🐟"}))
            found["exact"] = await outcome(session.call_tool("exact"))
            found["error"] = await outcome(session.call_tool("rpc_error", {"code": -32099, "data": {"a": [1.0]}}))
            found["unknown"] = await outcome(session.call_tool("no such tool"))
            found["big"] = await outcome(session.call_tool("big", {"kib": 300}))
            found["resources"] = await outcome(session.list_resources())
            found["templates"] = await outcome(session.list_resource_templates())
            found["text"] = await outcome(session.read_resource(AnyUrl("lab:///text")))
            found["missing"] = await outcome(session.read_resource(AnyUrl("lab:///missing")))
            found["prompts"] = await outcome(session.list_prompts())
            found["greet"] = await outcome(session.get_prompt("greet", {"name": "Ada"}))
            reference = types.PromptReference(type="ref/prompt", name="greet")
            found["complete"] = await outcome(session.complete(reference, {"name": "name", "value": "A"}))

            progress: list[float] = []

            async def step(done: float, total: float | None, message: str | None = None) -> None:
                progress.append(done)

            slow = {"seconds": 0.3, "steps": 3, "logs": True}
            found["slow"] = await outcome(session.call_tool("slow", slow, progress_callback=step))
            found["progress"], found["logs"] = progress, told

            # Servers of 2024-11-05 look at a message when they are done with the one before.
            if found["initialize"]["protocolVersion"] != "2024-11-05":  # type: ignore[index]
                for kind in ("elicitation", "sampling", "roots"):
                    found[kind] = await outcome(session.call_tool("ask", {"questions": [kind]}))
                found["on its own account"] = await outcome(session.call_tool("ask", {"questions": ["roots"], "get": True}))

                several: dict[str, object] = {}

                async def one(name: str) -> None:
                    several[name] = await outcome(session.call_tool("ask", {"who": name, "questions": ["elicitation"] * 2}))

                async with anyio.create_task_group() as group:
                    for number in range(5):
                        group.start_soon(one, f"n{number}")
                found["several"] = [several[name] for name in sorted(several)]

                cancelled: list[object] = []

                async def cancel_me() -> None:
                    cancelled.append(await outcome(session.call_tool("slow", {"seconds": 30})))

                async with anyio.create_task_group() as group:
                    group.start_soon(cancel_me)
                    await anyio.sleep(0.3)
                    params = types.CancelledNotificationParams(requestId=session._request_id - 1, reason="enough")
                    notification = types.CancelledNotification(method="notifications/cancelled", params=params)
                    await session.send_notification(types.ClientNotification(notification))
                found["cancelled"] = cancelled
            found["counter"] = [await outcome(session.call_tool("counter")) for _ in range(3)]
            found["session"] = session_id() is not None
    print(json.dumps({"event": "done", **found}), flush=True)


anyio.run(main, *sys.argv[1:])
