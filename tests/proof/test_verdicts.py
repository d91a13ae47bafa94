"""What was decided in the recorded sessions is decided again; a change of a rule is told line by line, and is seen."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from safety import wishes
from safety.messages import Heard
from safety.rules import monitor
from safety.rules.heard import m07
from tests.proof import verdicts
from tests.proof.verdicts import SESSIONS, Session, difference, ids_of, lines_of, names, play, read, write

HINT = (
    "If meant: `make verdicts` writes the verdicts anew (with RECORD=1 the sessions, too); commit them with the change."
)


@pytest.mark.hazard("H40")
@pytest.mark.rule("X4")
@pytest.mark.parametrize("name", names())
def test_a_recorded_session_is_judged_as_it_was(name: str) -> None:
    assert difference(name) == "", f"{difference(name)}\n{HINT}"


def test_the_recorded_sessions_hold_an_end_a_fault_people_and_refusals() -> None:
    said = {name: "\n".join(lines_of(read(SESSIONS / f"{name}.ndjson.gz"))) for name in names()}
    assert set(said) == {"by-hand", "clean", "electrode-off", "given-up"}
    assert "session.completed; -> uncertain" in said["clean"]
    assert "M07 STOP IMP.OPEN channel 1" in said["electrode-off"]
    assert "M23 STOP SES.PATIENT_STOP" in said["by-hand"]
    assert said["given-up"].count("rejected SES.STATE") >= 4


# The difference bites


def test_a_rule_that_was_taken_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "HEARD", tuple(judge for judge in monitor.HEARD if judge is not m07))
    changed = difference("electrode-off")
    assert "-   " in changed
    assert any(line.startswith("-") and "M07 STOP IMP.OPEN" in line for line in changed.splitlines())
    assert not any(line.startswith("+") and "M07" in line for line in changed.splitlines())


def test_a_gate_rule_that_was_taken_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tuple(judge for judge in wishes.ENERGISE_RULES if judge.__name__ != "g18")
    monkeypatch.setattr(wishes, "ENERGISE_RULES", kept)
    changed = difference("by-hand")
    assert any(line.startswith("-") and "G18 REFUSE LIM.STEP" in line for line in changed.splitlines())


def test_a_device_that_says_less_is_another_session() -> None:
    """The oracle is the device's word: without it, silence is judged."""
    session = read(SESSIONS / "clean.ndjson.gz")
    deaf = Session(session.station, tuple(m for m in session.moments if not isinstance(m.event, Heard)))
    assert lines_of(deaf) != lines_of(session)


# The files


@pytest.mark.parametrize("name", names())
def test_a_session_comes_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    session = read(SESSIONS / f"{name}.ndjson.gz")
    write(session, tmp_path / "again.ndjson.gz")
    assert (tmp_path / "again.ndjson.gz").read_bytes() == (SESSIONS / f"{name}.ndjson.gz").read_bytes()
    assert read(tmp_path / "again.ndjson.gz") == session


def test_numbers_of_the_old_run_are_carried_over_to_the_new_one() -> None:
    session = read(SESSIONS / "clean.ndjson.gz")
    tally = session.station.tally
    later = session._replace(station=session.station._replace(tally=tally._replace(next_id=tally.next_id + 1_000)))
    assert lines_of(later) == lines_of(session)
    shifted = [ids_of(step.effects) for _, _, step in play(later)]
    assert shifted != [ids_of(step.effects) for _, _, step in play(session)]


def rewritten(path: Path, to: Path, **changes: object) -> Path:
    """A session whose first moment's command is changed; None takes a field out."""
    head, first, *rest = gzip.decompress(path.read_bytes()).decode().splitlines()
    row = json.loads(first)
    kind, event = row["event"]
    command = {name: value for name, value in (event["command"] | changes).items() if value is not None}
    row["event"] = [kind, {"command": command}]
    to.write_bytes(gzip.compress("".join(f"{line}\n" for line in (head, json.dumps(row), *rest)).encode()))
    return to


def test_a_field_that_a_session_does_not_know_must_be_given_a_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = rewritten(SESSIONS / "clean.ndjson.gz", tmp_path / "old.ndjson.gz", role=None)
    with pytest.raises(KeyError, match=r"Command\.role: the recorded sessions do not know it"):
        read(old)
    monkeypatch.setitem(verdicts.FILL, "Command.role", "physio")
    assert read(old) == read(SESSIONS / "clean.ndjson.gz")


def test_a_field_that_is_known_no_more_is_left_out(tmp_path: Path) -> None:
    old = rewritten(SESSIONS / "clean.ndjson.gz", tmp_path / "old.ndjson.gz", colour="blue")
    assert read(old) == read(SESSIONS / "clean.ndjson.gz")
