"""A treatment that was broken off goes on with what was left of it, and with the pads that are told, through `step`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import (
    ArmSession,
    Check,
    Claim,
    Modality,
    Phase,
    Prepare,
    Programme,
    Rig,
    Start,
    Stop,
    plan,
    record,
    rx,
)

from safety.effects import Closing, PermitRequest, Settlement
from safety.history import History, Record
from safety.prescription import Prescription, late_dose, worst_dose
from safety.verdict import Reason, Severity

NMES = rx()
"""Cycles of 10 s: ramps of 1 s, 2 s on, 6 s off; one minute."""
TENS = rx(
    programme=Programme(
        modality=Modality.TENS, ramp_up_ms=1_000, on_ms=59_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000
    )
)
DAY_MS = 86_400_000


def refuse(rule: str, code: str, *rest: object) -> tuple[Reason, ...]:
    return (Reason(rule, Severity.REFUSE, code, *rest),)  # type: ignore[arg-type]


def prepare(prescription: Prescription = NMES, **changes: object) -> Prepare:
    return replace(Prepare(prescription, prescription.ref, "p-1"), **changes)


def going_on(prescription: Prescription, played_ms: int) -> Rig:
    """A rig whose session continues a treatment, checked and ready to be armed."""
    rig = Rig()
    rig.up()
    rig.must(Claim())
    rig.must(prepare(prescription, continues=True, played_ms=played_ms))
    rig.must(Check(()))
    return rig


def booked(rig: Rig) -> PermitRequest:
    """What the last permit asked of the ledger."""
    asked = [body for body in rig.notes("permit") if isinstance(body, PermitRequest) and not body.probe]
    return asked[-1]


# Where it goes on


@pytest.mark.rule("L01")
@pytest.mark.parametrize(
    ("prescription", "played_ms", "onward_ms"),
    [
        (NMES, 0, 0), (NMES, 1, 10_000), (NMES, 10_000, 10_000), (NMES, 10_001, 20_000), (TENS, 1, 1),
        (TENS, 59_999, 59_999),
    ],
)  # fmt: skip
def test_a_cycle_that_was_begun_is_lost(prescription: Prescription, played_ms: int, onward_ms: int):
    assert prescription.programme.onward_ms(played_ms) == onward_ms


@pytest.mark.rule("L01")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(("prescription", "played_ms", "left_ms"), [(NMES, 23_456, 30_000), (TENS, 23_456, 36_544)])
def test_only_what_is_left_is_reserved_and_played(prescription: Prescription, played_ms: int, left_ms: int):
    rig = going_on(prescription, played_ms)
    rig.must(ArmSession())
    asked = worst_dose(plan(), prescription.programme, 20_000, left_ms) + late_dose(plan().train(20_000), 500)
    assert [channel.reserve for channel in booked(rig).channels] == [asked]
    rig.must(Start())
    ticks = 0
    while rig.phase is Phase.RUNNING:
        rig.tick()
        ticks += 1
    assert ticks == -(-left_ms // 50)
    assert [body.outcome for body in rig.notes("close") if isinstance(body, Closing)] == ["completed"]
    (settled,) = rig.notes("settle")
    assert isinstance(settled, Settlement)
    assert (settled.completed, settled.played_ms) == (True, 60_000)
    assert 0 < settled.charged[0][1].nc <= asked.nc
    assert settled.charged[0][1].on_ms <= asked.on_ms


@pytest.mark.rule("M03")
@pytest.mark.hazard("H08")
def test_it_goes_on_from_zero_by_the_ramp():
    rig = going_on(TENS, 30_000)
    rig.must(ArmSession())
    rig.must(Start())
    rig.tick(5)
    assert [train.ua for train in rig.station.beat.picture.trains] == [5_000]
    rig.tick(20)
    assert [train.ua for train in rig.station.beat.picture.trains] == [20_000]


# What may not be continued


@pytest.mark.rule("L01")
def test_where_nothing_is_left_a_continuation_is_refused():
    rig = Rig()
    rig.up()
    rig.must(Claim())
    assert rig.ask(prepare(continues=True)).reasons == refuse("", "SES.NOTHING_LEFT")
    assert rig.phase is Phase.IDLE


@pytest.mark.rule("G01")
@pytest.mark.hazard("H28")
@pytest.mark.parametrize(
    ("prescription", "played_ms", "latest_ms"),
    [
        (NMES, -1, 50_000), (NMES, 50_000, None), (NMES, 50_001, 50_000), (NMES, 60_000, 50_000), (NMES, True, 50_000),
        (NMES, 10**30, 50_000), (TENS, 59_999, None), (TENS, 60_000, 59_999),
    ],
)  # fmt: skip
def test_g01_what_was_played_lies_inside_the_programme(
    prescription: Prescription, played_ms: int, latest_ms: int | None
):
    rig = Rig()
    rig.up()
    rig.must(Claim())
    answer = rig.ask(prepare(prescription, continues=True, played_ms=played_ms))
    wrong = refuse("G01", "CMD.SCHEMA", 0, played_ms, latest_ms, "ms")
    assert answer.reasons[:1] == (() if latest_ms is None else wrong)


@pytest.mark.rule("G01")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize(
    ("pads", "unit"),
    [
        (((1, ("a", "b")),), ""),
        (((2, ("a",)),), "channel"),
        (((1, ("a",)), (1, ("b",))), "pads"),
        (((1, ("a", "a")),), "pads"),
        (((1, ("",)),), "pads"),
    ],
)
def test_g01_pads_name_a_channel_and_each_its_own_barcode(pads: tuple[tuple[int, tuple[str, ...]], ...], unit: str):
    rig = Rig()
    rig.up()
    rig.must(Claim())
    assert rig.ask(prepare(pads=pads)).reasons == (refuse("G01", "CMD.SCHEMA", 0, 0, 0, unit) if unit else ())


# What the ledger says of it


def broken_off(prescription: Prescription, ticks: int) -> Record:
    """Play a session of its own, stop it after so many ticks, and give its record a minute later."""
    rig = Rig().running(prescription, ticks=ticks)
    whole = booked(rig).channels[0].reserve
    rig.must(Stop())
    (settled,) = rig.notes("settle")
    assert isinstance(settled, Settlement)
    return record(
        60_000, rx=prescription.ref, modality=prescription.programme.modality, reserved=whole,
        charged=settled.charged[0][1], completed=settled.completed, played_ms=settled.played_ms,
    )  # fmt: skip


@pytest.mark.rule("L01")
@pytest.mark.rule("L02")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize("ticks", [3, 21, 45, 85, 200, 413, 777, 1_000])
@pytest.mark.parametrize("prescription", [NMES, TENS], ids=["nmes", "tens"])
def test_the_rest_of_a_treatment_is_admitted_as_the_same_and_the_whole_again_is_not(
    prescription: Prescription, ticks: int
):
    begun = broken_off(prescription, ticks)
    assert begun.charged is not None
    history = History(
        patient="p-1", locked_sites=(),
        records=(begun, *(record(3 * DAY_MS + n, session=f"o-{n}", modality=begun.modality) for n in range(3))),
    )  # fmt: skip
    rest = going_on(prescription, begun.played_ms)
    rest.history = history
    assert rest.must(ArmSession()).status == "succeeded"
    again = Rig().prepared(prescription)
    again.history = history
    refused = [reason.rule for reason in again.ask(ArmSession()).reasons]
    assert refused == (["L02"] if begun.modality is Modality.NMES else [])


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
def test_the_pads_that_are_told_are_asked_of_the_ledger():
    two = rx(plan(), plan(channel=2, site="right-calf"))
    rig = Rig()
    rig.up()
    rig.must(Claim())
    rig.must(prepare(two, pads=((2, ("x", "y")),)))
    rig.must(Check(()))
    rig.history = History(patient="p-1", records=(), locked_sites=())
    assert rig.ask(ArmSession()).reasons == refuse("L11", "PAD.UNKNOWN", 2)
    assert [channel.pads for channel in booked(rig).channels] == [(), ("x", "y")]
