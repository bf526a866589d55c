"""What Swift sources declare, read without a compiler: for the checks beside this file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).resolve().parents[1] / "Sources"
DECLARATION = re.compile(
    r"(?P<brace>[{}])|\bextension\s+(?P<extended>[A-Z][\w.]*)"
    r"|\b(?P<kind>class|struct|enum|protocol|actor|typealias)\s+(?P<type>[A-Z]\w*)"
    r"|\b(?:func|var|let)\s+`?(?P<member>[A-Za-z_]\w*)|\bcase\s+(?P<cases>[a-z][^\n:{]*)"
)
PRIVATE = re.compile(r"\b(?:file)?private\b(?!\(set\))")


class Declaration(NamedTuple):
    name: str
    is_type: bool
    owner: str
    """The type that it stands in, or that is extended there; empty on the top level."""
    is_private: bool


def code_of(text: str) -> str:
    """The text without comments and strings; lines stay where they are. Interpolated code stays."""
    out: list[str] = []
    at, end = 0, len(text)

    def skip_comment(at: int) -> int:
        if text.startswith("//", at):
            stop = text.find("\n", at)
            return end if stop < 0 else stop
        depth = 0
        while at < end:
            if text.startswith("/*", at):
                depth, at = depth + 1, at + 2
            elif text.startswith("*/", at):
                depth, at = depth - 1, at + 2
                if depth == 0:
                    return at
            else:
                out.append("\n" if text[at] == "\n" else "")
                at += 1
        return at

    def code(at: int, until: str) -> int:
        depth = 0
        while at < end:
            if text.startswith(("//", "/*"), at):
                at = skip_comment(at)
                continue
            # Three quotes begin lines of a string where the line ends behind them; else they are a string with a quote in it.
            opening = re.compile(r'(#*)("""(?=[ \t]*\n)|")').match(text, at)
            if opening:
                at = string(opening.end(), opening[1], opening[2])
                continue
            if until:
                depth += (text[at] == "(") - (text[at] == ")")
                if depth < 0:
                    return at + 1
            out.append(text[at])
            at += 1
        return at

    def string(at: int, hashes: str, quote: str) -> int:
        out.append('"')
        closing, escape = quote + hashes, "\\" + hashes
        while at < end and not text.startswith(closing, at):
            if text.startswith(escape + "(", at):
                out.append(" (")
                at = code(at + len(escape) + 1, ")")
                out.append(") ")
            elif text.startswith(escape, at):
                at += len(escape) + 1
            else:
                if text[at] == "\n":
                    out.append("\n")
                at += 1
        out.append('"')
        return at + len(closing)

    code(0, "")
    return "".join(out)


def declarations(code: str) -> list[Declaration]:
    """What a file declares. `code` is without comments and strings."""
    found = []
    # The type that each open brace belongs to; None for those of functions, closures and statements.
    scopes: list[str | None] = []
    pending: str | None = None
    for each in DECLARATION.finditer(code):
        owners = [scope for scope in scopes if scope]
        if each["brace"] == "{":
            scopes.append(pending)
            pending = None
        elif each["brace"]:
            del scopes[-1:]
        elif each["extended"]:
            pending = each["extended"].split(".")[-1]
        else:
            before = code[code.rfind("\n", 0, each.start()) + 1 : each.start()]
            cases = re.sub(r"\(.*?\)|=[^,]*", "", each["cases"] or "").split(",")
            for name in cases if each["cases"] else [each["type"] or each["member"]]:
                # What a function declares for itself, no other file can mean.
                if None not in scopes:
                    owner = owners[-1] if owners else ""
                    found.append(Declaration(name.strip(), bool(each["type"]), owner, bool(PRIVATE.search(before))))
            pending = each["type"] if each["kind"] != "typealias" else None
    return found
