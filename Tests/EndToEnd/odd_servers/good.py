"""A server that is not odd: the comparison itself holds."""

from harness.odd import OddServer

ROWS = [OddServer("good")]
