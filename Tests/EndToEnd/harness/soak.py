"""Tests of hard cases have two sizes: one for the gate, and the full one of `make soak`, which prints what it measured."""

from __future__ import annotations

import os
import statistics

FULL = os.environ.get("REMORA_SOAK") == "full"


def size(gate: int, full: int) -> int:
    return full if FULL else gate


def tell(what: str) -> None:
    """A line that can be quoted; pytest shows it with -s, or when the test fails."""
    print(f"measured: {what}", flush=True)


def quantile(values: list[float], which: int) -> float:
    """The percentile, 1 to 99."""
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1]


def mebibytes(size: int) -> str:
    return f"{size / 1048576:.1f} MiB"
