"""What a row of the table says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One thing that a client asks for, beside the lists and the unknown names that each server is asked for."""

    kind: str
    """`tool`, `prompt` or `resource`."""
    name: str
    """For a resource its URI."""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name} {json.dumps(self.arguments)}" if self.arguments else f"{self.kind} {self.name}"


def tool(name: str, /, **arguments: Any) -> Call:
    return Call("tool", name, arguments)


def prompt(name: str, /, **arguments: str) -> Call:
    return Call("prompt", name, arguments)


def resource(uri: str) -> Call:
    return Call("resource", uri)


@dataclass(frozen=True)
class Published:
    """One published server over one transport."""

    name: str
    language: str
    """What it is written in, and on which SDK."""
    requirements: Sequence[str]
    """Pinned; rows with the same ones share a virtual environment."""
    command: Sequence[str]
    """A program of that environment and its arguments. `{port}`, `{work}` and `{here}` stand for a free port, the directory
    that it runs in, and the directory of this file."""
    transport: str = "stdio"
    """`stdio`, `http` or `sse`."""
    calls: Sequence[Call] = ()
    path: str = ""
    """Of the endpoint; `/mcp` or `/sse` unless it is given."""
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Of the directory that it runs in, with their texts."""
    prepare: Sequence[Sequence[str]] = ()
    """Commands that run there first."""
    varies: Sequence[str] = ()
    """Patterns of what differs by nature: times, ids, ports."""
    differs: Mapping[str, str] = field(default_factory=dict)
    """Labels of calls of which the results differ, with the reason."""

    @property
    def place(self) -> str:
        return self.path or ("/sse" if self.transport == "sse" else "/mcp")
