"""Fixtures for tests with the real client."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.sipe.client import SipeClient, StartClient, build_driver, missing_packages


@pytest.fixture(scope="session")
def sipe_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver's program, built once in a run."""
    if missing := missing_packages():
        pytest.skip(f"not installed; Debian packages: {' '.join(missing)}")
    return build_driver(tmp_path_factory.mktemp("sipe-driver"))


@pytest.fixture
async def start_client(sipe_driver: Path, tmp_path: Path) -> AsyncIterator[StartClient]:
    """`await start_client("alice@example.test", "127.0.0.1:5060", ...)`: a client that is closed after the test."""
    number = count(1)
    async with AsyncExitStack() as clients:

        async def start(user: str, server: str, **options: Any) -> SipeClient:
            directory = tmp_path / f"{next(number)}-{user}"
            client = SipeClient(sipe_driver, directory, user, server, **options)
            return await clients.enter_async_context(client)

        yield start
