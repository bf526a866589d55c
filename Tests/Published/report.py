"""The page that docs/ has of the comparison."""

from __future__ import annotations

from collections.abc import Sequence

from comparison import Comparison

HEAD = """# Published servers

What published servers give to the published legacy client (`mcp` 2.3.0 in its legacy mode) directly, and to the modern client
(2026-07-28) through Remora with its defaults, call by call: the lists, the calls of the table, and unknown names; once by a client
that declares nothing, once by one that declares elicitation, sampling and roots. `Tests/Published/compare` writes this page; the
table is `Tests/Published/table.py`.

| server | of | transport | calls | alike | differs, because |
|---|---|---|---|---|---|
"""


def page(found: Sequence[Comparison]) -> str:
    return HEAD + "".join(row(each) for each in found)


def row(found: Comparison) -> str:
    server = found.server
    because: dict[str, int] = {}
    for each in found.differences:
        because[each.reason or "**unknown**"] = because.get(each.reason or "**unknown**", 0) + 1
    said = "; ".join(f"{number} × {why}" for why, number in because.items()) or found.failure.replace("|", "/") or "—"
    alike = found.calls - len(found.differences)
    return f"| {server.name} | {server.language} | {server.transport} | {found.calls} | {alike} | {said} |\n"
