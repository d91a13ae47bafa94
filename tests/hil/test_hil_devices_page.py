"""docs/devices.md names every kind of device and every choice that an emulator makes in place of a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.devices.device import Kind
from hil.devices.kinds import KINDS

pytestmark = pytest.mark.hazard("H35")

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_page_names_every_switch(kind: Kind):
    assert f"`{kind.name}`" in PAGE
    assert [key for key in kind.switches if f"`{key}`" not in PAGE] == []
