"""What a tap saw of one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Side = Literal["client", "server"]


@dataclass
class Recording:
    """One connection: what each side sent."""

    number: int
    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)
    chunks: list[tuple[Side, bytes]] = field(default_factory=list)
    """The same bytes in the order they were seen."""
    finished: bool = False
    """Whether both sides have closed."""

    def add(self, side: Side, data: bytes) -> None:
        getattr(self, side).extend(data)
        self.chunks.append((side, data))
