"""safety/rules/ledger.py to the last unit: which treatment is gone on with, and what is one at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import WALL_MS, Modality, Rig, record

from safety.admit import admit
from safety.effects import PermitRequest
from safety.history import Correction, History, Record
from safety.prescription import Dose
from safety.rules import ledger

pytestmark = pytest.mark.hazard("H19")

MINUTE_MS, DAY_MS = 60_000, 86_400_000


def request() -> PermitRequest:
    """What arming the rig's own prescription asks of the ledger."""
    asked = [body for body in Rig().armed().notes("permit") if isinstance(body, PermitRequest) and not body.probe]
    return asked[-1]


@pytest.mark.rule("L01")
def test_a_session_goes_on_with_the_last_treatment_and_not_with_the_first():
    whole, half = Dose(nc=100, i2t=100, on_ms=100), Dose(nc=40, i2t=40, on_ms=40)
    first = record(3 * DAY_MS, session="a", reserved=whole, charged=whole)
    second = record(60 * MINUTE_MS, session="b", reserved=whole, charged=half)
    onward = record(40 * MINUTE_MS, session="c", reserved=half, charged=half)
    asked = request()
    seen = ledger.past(
        History(patient="p-1", records=(first, second, onward), locked_sites=()), asked, asked.channels[0], WALL_MS
    )
    assert seen.treatments == ((first,), (second, onward))


def seen(*records: Record, **changes: object) -> ledger.Past:
    """What a request looks at, with these records."""
    asked = replace(request(), **changes)
    return ledger.past(History(patient="p-1", records=records, locked_sites=()), asked, asked.channels[0], WALL_MS)


@pytest.mark.rule("L01")
def test_a_treatment_counts_where_it_began():
    whole = Dose(nc=10**9, i2t=10**17, on_ms=10**6)
    begun = record(DAY_MS - 10 * MINUTE_MS, session="a", reserved=whole)
    onward = record(DAY_MS - 20 * MINUTE_MS, session="b", opened_wall_ms=WALL_MS - DAY_MS + 1)
    past = seen(begun, onward)
    assert past.treatments == ((begun, onward),)
    assert (ledger.since(past, DAY_MS), ledger.since(past, 2 * DAY_MS)) == (1, 2)


@pytest.mark.rule("L13")
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_correction_takes_away_at_most_what_was_given(over: int):
    at_ms = WALL_MS - MINUTE_MS
    lowered = Dose(nc=-100 + over, i2t=-100 + over, on_ms=-100 + over)
    correction = Correction("left-quadriceps", "a", Modality.NMES, at_ms, lowered, ("one", "two"), "counted twice")
    left = max(0, over)
    assert ledger.given_since(
        [record(MINUTE_MS)], [correction], ("left-quadriceps", Modality.NMES), WALL_MS, DAY_MS
    ) == Dose(nc=left, i2t=left, on_ms=left)


@pytest.mark.rule("L03")
def test_what_was_given_elsewhere_does_not_count_here():
    records = [record(MINUTE_MS), record(MINUTE_MS, site="right-calf"), record(MINUTE_MS, modality=Modality.TENS)]
    given = ledger.given_since(records, [], ("left-quadriceps", Modality.NMES), WALL_MS, DAY_MS)
    assert given == Dose(nc=100, i2t=100, on_ms=100)


@pytest.mark.rule("L01")
@pytest.mark.rule("L02")
@pytest.mark.rule("L05")
def test_a_calibration_is_no_treatment_that_must_wait_or_count():
    often = tuple(
        record((n * 50 + 40) * MINUTE_MS, session=f"s-{n}", charged=Dose(nc=500, i2t=500, on_ms=501)) for n in range(29)
    )
    assert ledger.l01(seen(*often)) is not None
    assert ledger.l02(seen(*often)) is not None
    assert ledger.l05(seen(*often)) is not None
    assert ledger.l01(seen(*often, on_time_ms=0)) is None
    assert ledger.l02(seen(*often, on_time_ms=0)) is None
    assert ledger.l05(seen(*often, on_time_ms=0)) is None


@pytest.mark.rule("L01")
@pytest.mark.parametrize(("on_time_ms", "counts"), [(0, False), (1, True)])
def test_what_plans_no_plateau_is_no_treatment(on_time_ms: int, counts: bool):
    assert ledger.is_treatment(record(DAY_MS, on_time_ms=on_time_ms, modality=Modality.NMES)) is counts


def trend(*records: Record, ohm: int) -> bool:
    """Whether L12 refuses a check of the skin that reads so much, after these."""
    past = seen(*records)
    return ledger.l12(past._replace(channel=replace(past.channel, ohm=ohm))) is not None


@pytest.mark.rule("L12")
@pytest.mark.hazard("H05")
def test_a_check_of_the_same_session_is_no_past():
    mine = record(DAY_MS, session=request().session, ohm=100)
    assert not trend(mine, ohm=90_000)
    assert trend(replace(mine, session="another"), ohm=90_000)


@pytest.mark.rule("L12")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(("ohm", "refused"), [(0, False), (1, True)])
def test_any_reading_is_one_and_none_is_none(ohm: int, refused: bool):
    assert trend(record(DAY_MS, ohm=ohm), ohm=90_000) is refused


@pytest.mark.rule("L12")
@pytest.mark.hazard("H05")
def test_the_last_checks_are_the_last_in_time_wherever_they_stand():
    late = [record(n * DAY_MS, ohm=9_000) for n in range(1, 6)]
    early = [record(n * DAY_MS, ohm=1_000) for n in range(11, 16)]
    assert not trend(*late, *early, ohm=9_001)
    assert not trend(*early, *late, ohm=9_001)


@pytest.mark.rule("L07")
@pytest.mark.parametrize(("charged", "refused"), [(None, True), (Dose(nc=1, i2t=1, on_ms=1), False)])
def test_the_ledgers_door_counts_what_was_never_settled_in_full(charged: Dose | None, refused: bool):
    asked = request()
    reserved = replace(asked.channels[0].reserve, nc=asked.limits.day_nc)
    earlier = record(2 * DAY_MS // 3, reserved=reserved, charged=charged)
    known = History(patient="p-1", records=(earlier,), locked_sites=())
    assert ("L03" in [reason.rule for reason in admit(known, asked, WALL_MS)]) is refused
