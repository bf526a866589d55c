"""Differences that the revision 2026-07-28 asks for, by what they look like."""

from __future__ import annotations

import json
from typing import Any

MISSING_CAPABILITY, METHOD, PARAMS, INTERNAL = -32021, -32601, -32602, -32603


def reason(label: str, direct: str, through: str) -> str | None:
    """Why two results of a call may differ; `None` when nothing says so."""
    if label == "tools" and without_execution(direct) == json.loads(through):
        return "`execution` of a tool is no part of the revision"
    expected, found = error(direct), error(through)
    if found is None:
        return None
    code, message, data = found
    data = data if isinstance(data, dict) else {}
    if code == MISSING_CAPABILITY and "requiredCapabilities" in data:
        return "a client is told what it has to declare for a call that asks (-32021)"
    if code == METHOD and "This server has no" in message:
        if expected is not None and expected[0] == METHOD:
            return "what a server does not declare is refused before it is asked, with the same code"
        return "a server has what it does not declare: `backends[].declare` shows it"
    if expected is None:
        return None
    if code == PARAMS and message == expected[1]:
        return "an unknown name is -32602"
    if code == INTERNAL and data.get("legacyCode") == expected[0] and message == expected[1]:
        return "a code that the revision has no place for is -32603 with `legacyCode`"
    return None


def without_execution(text: str) -> Any:
    """A list of tools without what says whether they run as tasks of 2025-11-25."""
    found = json.loads(text)
    for tool in found.get("tools", []):
        tool.pop("execution", None)
    return found


def error(text: str) -> tuple[int, str, Any] | None:
    """The code, the message and the data of a result that is an error."""
    found = json.loads(text)
    return tuple(found["error"]) if isinstance(found, dict) and "error" in found else None
