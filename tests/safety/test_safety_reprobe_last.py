"""safety/reprobe.py and safety/attest.py: whose answer a test pulse has, until when, and what an attestation asks."""

from __future__ import annotations

import pytest
from rig import (
    CAPS,
    VOUCHED,
    Attest,
    IdealDevice,
    Modality,
    Pause,
    Phase,
    Programme,
    Rig,
    Sensation,
    plan,
    replace,
    rx,
    standing,
)

from safety import machine, reprobe
from safety.effects import Probe
from safety.messages import Asked, Probed
from safety.rules import papers, skin
from safety.turn import Turn

QUIET = rx(
    plan(ua=12_000),
    programme=Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=120_000
    ),
    sensation=Sensation.S1,
)
BLIND = replace(CAPS, numeric_impedance=False, electrode_flag_from_ua=15_000, reprobe=True)
"""A device that does not see the electrode at 12 mA, and can measure it in a rest."""


def running() -> Rig:
    return Rig(device=IdealDevice(caps=BLIND)).running(QUIET)


def measuring() -> tuple[Rig, int]:
    """A session whose test pulse in a rest is on its way, and the number of that pulse."""
    rig = running()
    rig.answering = False
    turn = Turn(rig.station, rig.now)
    reprobe.ask(turn, rig.station.session, 1)
    (pulse,) = (effect for effect in turn.effects if isinstance(effect, Probe))
    rig.station = rig.station._replace(session=turn.station.session, beat=turn.station.beat)
    return rig, pulse.grant.seq


@pytest.mark.rule("G29")
@pytest.mark.hazard("H04")
def test_without_a_reading_and_without_a_rest_no_electrode_is_due() -> None:
    rig = running()
    session = rig.station.session
    session = session._replace(readings=(), channels=(session.channels[0]._replace(rest_ms=0),))
    assert skin.unseen_channels(session, BLIND) == (1,)
    assert reprobe.due(rig.station, session, rig.mono_ms) == 0


@pytest.mark.rule("G29")
@pytest.mark.hazard("H04", "H05")
def test_only_the_pulse_that_is_on_its_way_is_answered() -> None:
    rig, grant = measuring()
    told = [
        reprobe.answered(Turn(rig.station, rig.now), Probed(number, channel, 1_500, False, False))
        for number, channel in ((grant, 1), (grant + 1, 1), (grant, 2), (0, 1))
    ]
    assert told == [True, False, False, False]


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
def test_an_answer_that_comes_after_the_pause_is_no_judgement_on_the_skin() -> None:
    rig, grant = measuring()
    rig.must(Pause())
    before = rig.station
    assert rig.give(Probed(grant, 1, 8_001, True, False)) == ()
    assert (rig.phase, rig.station) == (Phase.PAUSED, before)


@pytest.mark.rule("G29")
@pytest.mark.hazard("H40")
def test_a_measurement_where_no_session_is_changes_nothing() -> None:
    rig = standing(Phase.IDLE)
    before = rig.station
    assert rig.give(Probed(7, 1, 1_500, False, False)) == ()
    assert rig.station == before


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
def test_a_session_that_begins_to_run_waits_for_no_test_pulse_of_before() -> None:
    rig, _ = measuring()
    session = rig.station.session
    (reading,) = session.readings
    now_ms = rig.mono_ms + 9
    assert reprobe.from_now(session, now_ms).readings == (reading._replace(seen_ms=now_ms, asked=0),)


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
def test_an_attestation_is_judged_for_the_whole_session_and_raises_nothing() -> None:
    rig = standing(Phase.PREPARED)
    _, asked = machine.explained(rig.station, Asked(rig.command(Attest(VOUCHED.answers))), rig.now)
    views = [each.view for each in asked if each.judge is papers.g05]
    assert [(view.channel, view.rise_ua) for view in views] == [(0, 0)]
