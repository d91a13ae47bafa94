"""The protocol between controllers, ledger and devices, checked in every interleaving by Spin.

`protocol.pml` says what the model is and what it leaves out. Each guard of the protocol is left out once, and the model
checker must then find the accident: a proof that cannot fail proves nothing.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.server("spin"), pytest.mark.server("gcc")]

MODEL = Path(__file__).with_name("protocol.pml")
ACCIDENTS = {
    "NO_MARGIN": "!(flows[(1-me)])",
    "SHORT_MARGIN": "!(flows[(1-me)])",
    "FAILOVER": "!(flows[(1-me)])",
    "LATE_RECKONING": "!(flows[(1-me)])",
    "NO_DEADLINE": "!(flows[(1-me)])",
    "RELEASE_BLINDLY": "!(flows[(1-me)])",
    "ARM_BEFORE_DURABLE": "(permit[me]==mine)",
    "STALE_EVIDENCE": "(delivered<=((charged+reserved[0])+reserved[1]))",
    "CRASH_IS_FREE": "(delivered<=((charged+reserved[0])+reserved[1]))",
}
"""Each guard that can be left out, and the assertion that falls without it."""


def check(folder: Path, *flags: str) -> str:
    """Translate the model to C, compile it, and visit every state; gives what the checker prints."""
    model = folder / MODEL.name
    model.write_bytes(MODEL.read_bytes())
    for command in (
        ["spin", *flags, "-a", model.name],
        ["gcc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-w", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    done = subprocess.run([folder / "pan", "-m100000"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.rule("M34")
@pytest.mark.rule("L07")
@pytest.mark.rule("X10")
@pytest.mark.hazard("H26")
@pytest.mark.hazard("H47")
def test_no_interleaving_breaks_the_protocol_and_every_line_of_it_is_reached(tmp_path: Path) -> None:
    said = check(tmp_path)
    assert re.search(r"errors: 0$", said, re.MULTILINE), said
    assert "max search depth too small" not in said
    unreached = re.findall(r"protocol\.pml:\d+, state \d+, (.*)", said)
    assert unreached == ['"-end-"', '"-end-"'], "only the clock and fate, which never end, have a line not reached"
    states = re.search(r"(\d+) states, stored", said)
    assert states is not None
    assert int(states[1]) > 1_000_000


@pytest.mark.parametrize("guard", ACCIDENTS)
@pytest.mark.hazard("H26")
@pytest.mark.hazard("H19")
def test_a_guard_that_is_left_out_is_found(tmp_path: Path, guard: str) -> None:
    said = check(tmp_path, f"-DBUG_{guard}")
    fallen = re.findall(r"assertion violated +(.*) \(at depth \d+\)", said)
    assert fallen == [ACCIDENTS[guard]]


def test_every_guard_of_the_model_has_its_accident() -> None:
    guards = set(re.findall(r"\bBUG_([A-Z_]+)", MODEL.read_text(encoding="ascii").split("*/", 1)[1]))
    assert guards == set(ACCIDENTS)
