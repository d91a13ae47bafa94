"""docs/faults.md is what the table says, and the printed table shows what a kind of device can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.devices.device import Kind
from hil.devices.kinds import KINDS
from hil.fault_list import LAYERS, page, rows
from hil.faults import FAULTS
from tests.hil.process import said

pytestmark = pytest.mark.hazard("H35")

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
ONLY = {
    "native": {"wrong_echo", "failed_self_test"},
    "sciencemode4": {"wrong_answer", "channel_error"},
    "sciencemode2": {"wrong_answer", "blind_skin_check", "module_error"},
}
"""What a kind can have and not every other."""


def test_the_page_is_fresh():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_names_every_fault_once_under_its_layer():
    titles = [line[3:] for line in page().splitlines() if line.startswith("## ")]
    assert titles == list(LAYERS.values())
    assert sorted(line[5:-1] for line in page().splitlines() if line.startswith("### ")) == sorted(FAULTS)
    sections = dict(part.split("\n", 1) for part in page().split("\n## ")[1:])
    for entry in FAULTS.values():
        assert (
            f"### `{entry.id}`\n\n{entry.text}\n\n- A correct controller: {entry.correct}."
            in sections[LAYERS[entry.layer]]
        )


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_kind_s_rows_are_what_it_can_have(kind: Kind):
    shared = set(FAULTS) - set.union(*ONLY.values())
    assert {entry.id for entry in rows(kind)} == shared | ONLY[kind.name]


def test_all_rows_without_a_kind():
    assert rows(None) == list(FAULTS.values())


def test_the_command_prints_only_what_the_device_can_have():
    code, out, errors = said("faults", "--device", "sciencemode4")
    assert (code, errors) == (0, "")
    names = {f"{entry.id} ({entry.layer})" for entry in rows(KINDS["sciencemode4"])}
    assert {name for entry in FAULTS.values() if (name := f"{entry.id} ({entry.layer})") in out} == names
    code, _, errors = said("faults", "--device", "p24")
    assert (code, "expected native" in errors) == (2, True)
