"""Odd servers: what the published legacy client gets directly, the modern client gets through Remora (harness/odd.py)."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import odd_servers
from harness.odd import OddServer, compare

MODULES = [importlib.import_module(f"odd_servers.{each.name}") for each in pkgutil.iter_modules(odd_servers.__path__)]
CASES = [case for module in MODULES for row in module.ROWS for case in row.cases()]


@pytest.mark.parametrize(("row", "form"), CASES, ids=[f"{row.name}-{form}" for row, form in CASES])
async def test_odd_server(row: OddServer, form: str) -> None:
    await compare(row, form)
