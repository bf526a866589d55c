"""Differences that the revision 2026-07-28 asks for, by what they look like."""

from __future__ import annotations

import json
from typing import Any

MISSING_CAPABILITY, METHOD, PARAMS, INTERNAL = -32021, -32601, -32602, -32603


def reason(label: str, direct: str, through: str) -> str | None:
    """Why both may differ; `None` when nothing says so."""
    expected, found = error(direct), error(through)
    if found is None:
        return None
    code, message, data = found
    data = data if isinstance(data, dict) else {}
    if code == MISSING_CAPABILITY and "requiredCapabilities" in data:
        return "a client is told what it has to declare for a call that asks (-32021)"
    if expected is None:
        return None
    if code == METHOD == expected[0] and message.startswith("Method not found"):
        return "what a server does not declare is refused before it is asked, with the same code"
    if code == PARAMS and "resource" in label and "uri" in data:
        return "an unknown resource is -32602 with its URI"
    if code == INTERNAL and data.get("legacyCode") == expected[0] and message == expected[1]:
        return "a code that the revision has no place for is -32603 with `legacyCode`"
    return None


def error(text: str) -> tuple[int, str, Any] | None:
    """The code, the message and the data of a result that is an error."""
    found = json.loads(text)
    return tuple(found["error"]) if isinstance(found, dict) and "error" in found else None
