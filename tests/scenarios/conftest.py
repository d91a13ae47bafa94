"""A house for each test: a broker, one bed, the service not yet started."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from house import House, Server, therapy


def built(server: Server, folder: Path) -> House:
    home = House(folder, server.host, server.port)
    home.add_bed()
    home.configure()
    home.prescribe(therapy())
    return home


@pytest.fixture
async def house(broker: Server, tmp_path: Path) -> AsyncIterator[House]:
    """One bed, one prescription, the service not started."""
    home = built(broker, tmp_path)
    yield home
    await home.close()


@pytest.fixture
async def any_house(any_broker: Server, tmp_path: Path) -> AsyncIterator[House]:
    """The same with each kind of broker in turn."""
    home = built(any_broker, tmp_path)
    yield home
    await home.close()


@pytest.fixture
async def mosquitto_house(mosquitto: Server, tmp_path: Path) -> AsyncIterator[House]:
    """The same with the real broker."""
    home = built(mosquitto, tmp_path)
    yield home
    await home.close()
