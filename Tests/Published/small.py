"""A small server on FastMCP, of the `mcp` package or of the package of that name: `small.py TRANSPORT PORT`.

Its annotations are no strings: old versions look at them as they are.
"""

import sys
from typing import Any

try:
    from fastmcp import Context, FastMCP
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP  # type: ignore[assignment]

import anyio
from mcp import types
from pydantic import BaseModel

STANDALONE = FastMCP.__module__.startswith("fastmcp")

transport, port = sys.argv[1], int(sys.argv[2])
server: Any = FastMCP("small") if STANDALONE else FastMCP("small", host="127.0.0.1", port=port)
calls = 0


class Name(BaseModel):
    name: str


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def point(x: float, label: str | None = None) -> dict[str, Any]:
    """An object."""
    return {"x": x, "label": label, "é": ["\u2028", None, 9007199254740993]}


@server.tool()
def count() -> str:
    """How many calls this process has had."""
    global calls
    calls += 1
    return str(calls)


@server.tool()
def fail(why: str) -> str:
    """Raises."""
    raise ValueError(why)


@server.tool()
async def work(steps: int, ctx: Context) -> str:
    """Reports progress and logs."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
        await ctx.info(f"step {step + 1}")
    await anyio.sleep(0.1)  # Old versions send these on another stream than the result.
    return "done"


@server.tool()
async def ask(ctx: Context) -> str:
    """Asks for a name."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    elicit = getattr(ctx.session, "elicit", None)
    if elicit is None:
        return "this revision does not ask"
    found = await elicit("Which name?", schema)
    return f"{found.action} {found.content}"


@server.tool()
async def sample(ctx: Context) -> str:
    """Asks for a text of a model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="say"))
    found = await ctx.session.create_message(messages=[message], max_tokens=5)
    return str(getattr(found.content, "text", found.content))


@server.tool()
async def roots(ctx: Context) -> str:
    """The client's roots."""
    return ",".join(str(each.uri) for each in (await ctx.session.list_roots()).roots)


@server.resource("small://text")
def text() -> str:
    return "a text"


@server.resource("small://items/{number}", mime_type="application/json")
def item(number: str) -> str:
    return f'{{"number": "{number}"}}'


@server.prompt()
def greet(name: str) -> str:
    return f"Greet {name}."


if transport == "stdio":
    server.run()
elif STANDALONE:
    server.run(transport="sse" if transport == "sse" else "streamable-http", host="127.0.0.1", port=port)
else:
    server.run(transport="sse" if transport == "sse" else "streamable-http")
