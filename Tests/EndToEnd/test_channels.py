"""The same cases against real servers over stdio and over HTTP+SSE: `mcp` 1.30.0 and 1.2.1, which speaks 2024-11-05."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from common_cases import *  # noqa: F403  # On this file's `any_lab`.
from harness import lab
from harness.lab import AnyLab
from session_cases import *  # noqa: F403


@pytest.fixture(scope="module", params=lab.CHANNELS, ids="-".join)
async def any_lab(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnyLab]:
    async for it in lab.any_lab(*request.param, tmp_path_factory.mktemp("lab")):
        yield it
