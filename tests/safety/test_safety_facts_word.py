"""safety/facts.py: which rules each word of the device is put to, and what of its readback is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from clinic import NMES
from rig import (
    CAPS,
    ArmSession,
    CalibrationBegin,
    Check,
    Phase,
    Resume,
    Rig,
    held_back,
    on_the_way,
    only,
    standing,
)

from safety import facts
from safety.effects import Event, Tell
from safety.impedance import Span, observe
from safety.messages import (
    DeviceState,
    Heard,
)
from safety.rules import line, monitor
from safety.rules.views import Look
from safety.state import Hold, Stopping
from safety.turn import Turn
from safety.verdict import Reason, Severity

pytestmark = [pytest.mark.rule("X4"), pytest.mark.hazard("H40")]

SESSION = "s-dev1-b1-1"


def told(kind: str, reasons: tuple[Reason, ...] = (), priority: str = "none", **details: int | str) -> Tell:
    rule, code = (reasons[0].rule, reasons[0].code) if reasons else ("", "OK")
    return Tell(
        Event(kind=kind, rule=rule, code=code, priority=priority, reasons=reasons, details=tuple(details.items()))
    )


def loud(name: str) -> Callable[[object], Reason]:
    return lambda _word: Reason(name, Severity.HOLD, "SAID")


def stopping_too(rig: Rig) -> Rig:
    rig.station = rig.station._replace(stopping=Stopping(rig.mono_ms, 1, False, False, "", "M11", ""))
    return rig


@pytest.mark.rule("M23")
@pytest.mark.rule("M27")
@pytest.mark.rule("M28")
@pytest.mark.parametrize(
    ("bring", "judges"),
    [
        (lambda: standing(Phase.IDLE), "ungranted"),
        (lambda: stopping_too(standing(Phase.IDLE)), ""),
        (lambda: standing(Phase.PREPARED), "still ungranted"),
        (lambda: stopping_too(standing(Phase.PREPARED)), "still button"),
        (lambda: on_the_way(Phase.PREPARED, ArmSession()), "still button"),
        (lambda: on_the_way(Phase.PREPARED, CalibrationBegin(1)), "still button"),
        (lambda: on_the_way(Phase.PREPARED, Check(())), "still button ungranted"),
        (lambda: held_back(Phase.PREPARED, ArmSession()), "still button ungranted"),
        (lambda: standing(Phase.PAUSED), "still button ungranted"),
        (lambda: on_the_way(Phase.PAUSED, Resume()), "still button"),
        (lambda: standing(Phase.CALIBRATING), "energised"),
        (lambda: standing(Phase.ARMED), "energised"),
        (lambda: standing(Phase.RUNNING), "energised"),
        (lambda: standing(Phase.UNCERTAIN), ""),
    ],
)  # fmt: skip
def test_a_word_is_put_to_these_rules(bring: Callable[[], Rig], judges: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = bring()
    monkeypatch.setattr(monitor, "WORD", (loud("energised"),))
    monkeypatch.setattr(monitor, "WORD_STILL", (loud("still"),))
    monkeypatch.setattr(monitor, "WORD_UNGRANTED", (loud("ungranted"),))
    monkeypatch.setattr(line, "m23_button", loud("button"))
    turn, device = Turn(rig.station, rig.now), rig.station.device
    assert [reason.rule for reason in facts.words(turn, device, device.status)] == judges.split()
    assert (turn.station, turn.effects) == (rig.station, [])


@pytest.mark.rule("G24")
def test_a_press_that_has_been_let_go_is_a_trial_of_the_stop_only_where_nothing_flows() -> None:
    for bring, is_trial in (
        (lambda: standing(Phase.PREPARED), True),
        (lambda: standing(Phase.PAUSED), False),
        (lambda: held_back(Phase.PREPARED, ArmSession()), False),
        (lambda: stopping_too(standing(Phase.PREPARED)), False),
    ):
        rig = bring()
        papers = rig.station.session.papers._replace(stop_tried=False)
        rig.station = rig.station._replace(session=rig.station.session._replace(papers=papers))
        turn, device = Turn(rig.station, rig.now), rig.station.device
        facts.words(turn, device, device.status._replace(presses=device.status.presses + 1))
        assert turn.station.session.papers.stop_tried is is_trial
        assert turn.effects == [told("stop.tried", session_id=SESSION)] * is_trial


@pytest.mark.rule("M01")
@pytest.mark.rule("M18")
@pytest.mark.rule("M27")
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("state", [DeviceState.RUNNING, DeviceState.STOPPED, DeviceState.CUT])
@pytest.mark.parametrize("told_of", [(1, 3), (3,), (1,), (2,)])
@pytest.mark.parametrize("permit", [0, 1])
def test_each_readback_of_a_session_that_runs_is_judged_and_counted(
    answers: bool, state: DeviceState, told_of: tuple[int, ...], permit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig().running(NMES, ticks=45)
    views: list[Look] = []
    monkeypatch.setattr(monitor, "HEARD", (views.append, lambda look: loud(f"M{look.sample.channel}")(look)))
    session = rig.station.session
    spans = [channel._replace(low_ua=5_000, high_ua=29_000) for channel in session.channels]
    session = session._replace(channels=tuple(spans), course=session.course._replace(seen_nc=(5_000_000, 7)))
    hold = Hold(Reason("M14", Severity.HOLD, "IMP.CLIP"), 1)
    rig.station = rig.station._replace(session=session, holds=(hold,))
    rig.device.given = {1, 2, 3}
    samples = {each.channel: each for each in rig.device.samples() if each.channel in told_of}
    status = rig.device.status(rig.mono_ms)
    status = status._replace(state=state, permit=status.permit + permit)
    turn = Turn(rig.station, rig.now)
    found = facts.look(turn, Heard(0, status, tuple(samples.values())), CAPS, answers)
    heard = [n for n, number in enumerate((1, 3)) if number in told_of]
    settled = answers and state is DeviceState.RUNNING
    contacts = {
        n: observe(
            spans[n].contact,
            samples[(1, 3)[n]],
            Span(5_000, 29_000, session.settings[n].setpoint_ua, CAPS.accuracy_ppm),
            rig.mono_ms,
        )
        for n in heard
    }
    assert views == [
        Look(
            session.settings[n],
            spans[n].train,
            5_000,
            samples[(1, 3)[n]],
            spans[n].contact,
            contacts[n],
            session.limits,
            CAPS,
            settled,
            NMES.sensation,
            (hold,),
        )
        for n in heard
    ]
    assert [reason.rule for reason in found] == [f"M{(1, 3)[n]}" for n in heard]
    after = list(spans)
    for n in heard:
        ua = spans[n].train.ua
        low_ua, high_ua = (ua, ua) if answers else (5_000, 29_000)
        after[n] = spans[n]._replace(low_ua=low_ua, high_ua=high_ua, contact=contacts[n])
    seen = [5_000_000, 7]
    for n in heard:
        seen[n] = seen[n] if permit else max(seen[n], samples[(1, 3)[n]].charge_nc)
    course = session.course._replace(seen_nc=tuple(seen))
    assert turn.station == rig.station._replace(session=session._replace(channels=tuple(after), course=course))
    assert all(contact is not spans[n].contact for n, contact in contacts.items())


@pytest.mark.rule("M18")
def test_a_readback_of_a_session_that_does_not_run_is_counted_and_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig().armed(NMES)
    monkeypatch.setattr(monitor, "HEARD", (loud("M01"),))
    rig.device.sample_changes = {1: only(charge_nc=5, fresh=True), 3: only(charge_nc=9)}
    session, status = rig.station.session, rig.device.status(rig.mono_ms)
    turn = Turn(rig.station, rig.now)
    assert facts.look(turn, Heard(0, status, rig.device.samples()), CAPS, answers=True) == ()
    course = session.course._replace(seen_nc=(5, 9))
    assert turn.station == rig.station._replace(session=session._replace(course=course))
    prepared = Rig().prepared(NMES)
    turn = Turn(prepared.station, prepared.now)
    facts.look(turn, Heard(0, status, rig.device.samples()), CAPS, answers=True)
    assert turn.station.session == prepared.station.session


@pytest.mark.rule("M27")
def test_a_channel_that_is_off_has_been_told_nothing_once_the_device_has_answered() -> None:
    rig = Rig().running(NMES)
    session = rig.station.session
    spans = tuple(channel._replace(low_ua=3, high_ua=9) for channel in session.channels)
    turn = Turn(rig.station._replace(session=session._replace(channels=spans)), rig.now)
    facts.look(turn, Heard(0, rig.device.status(rig.mono_ms), rig.device.samples()), CAPS, answers=True)
    assert [(channel.low_ua, channel.high_ua) for channel in turn.station.session.channels] == [(0, 0), (0, 0)]
