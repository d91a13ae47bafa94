"""Each monitor rule with all others switched off: it reports itself through `step`, and its action is the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from rig import OFF, WELL, Adjust, Phase, Picture, Release, Rig, Sensation, Train, only, replace, standing

from safety.effects import Arm, Drive, Effect, Event, Feed, Probe, Silence, Tell
from safety.messages import DeviceState, Flaw, Garbled, Tick
from safety.rules import monitor
from safety.state import Hold
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = pytest.mark.rule("X12")

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
LISTS = (
    *("TICK", "TICK_ARMED", "TICK_PAUSED", "TICK_PREPARED"),
    *("HEARD", "WORD", "WORD_STILL", "WORD_UNGRANTED"),
)
Cause = Callable[[Rig], object]


class Case(NamedTuple):
    """One rule, what makes it speak, what it then says, and the latch's scope and clear class if it locks."""

    rule: str
    cause: Cause
    reason: Reason
    scope: Scope = Scope.SESSION
    clear: Clear | None = None


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Switch every monitor rule off but the one whose function has this name."""

    def switch(name: str) -> None:
        for each in LISTS:
            monkeypatch.setattr(monitor, each, tuple(r for r in getattr(monitor, each) if r.__name__ == name))

    return switch


# Causes


def late(ms: int) -> Cause:
    return lambda rig: rig.tick(ms=ms)


def heard_then(ms: int) -> Cause:
    return lambda rig: (rig.hear(), rig.tick(ms=ms))


def bent(ticks: int = 2, **sample: object) -> Cause:
    """Bend the readback of channel 1 and go on."""
    return lambda rig: (rig.device.sample_changes.update({1: only(**sample)}), rig.tick(ticks))


def loaded(ohm: int, ticks: int = 2) -> Cause:
    return lambda rig: (rig.device.ohm.update({1: ohm}), rig.tick(ticks))


def says(**status: object) -> Cause:
    """Bend what the device says of itself, and let it speak once."""
    return lambda rig: (rig.device.changes.update(status), setattr(rig, "answering", False), rig.hear())


def proposes(ua: int) -> Cause:
    picture = Picture((Train(1, ua, 300, 100, 25_000),))

    def cause(rig: Rig) -> None:
        rig.mono_ms += 50
        rig.give(Tick(picture, 0, WELL))

    return cause


def overstays(rig: Rig) -> None:
    picture = rig.station.beat.picture
    rig.wanted = lambda: picture
    while rig.phase is Phase.RUNNING:
        rig.tick()


def remembers(**channel: object) -> Cause:
    """Bend what the core remembers of channel 1, and tick."""

    def cause(rig: Rig) -> None:
        session = rig.station.session
        channels = (session.channels[0]._replace(**channel),)
        rig.station = rig.station._replace(session=session._replace(channels=channels))
        rig.tick()

    return cause


def came_far(rig: Rig) -> None:
    session = rig.station.session
    course = session.course._replace(first_run_ms=rig.mono_ms - 90_000)
    rig.station = rig.station._replace(session=session._replace(course=course))
    rig.tick()


def dries(rig: Rig) -> None:
    contact = rig.station.session.channels[0].contact
    minutes = tuple((rig.mono_ms - ago, ohm) for ago, ohm in ((120_000, 1_000), (60_000, 1_101), (0, 1_212)))
    remembers(contact=contact._replace(minutes=minutes))(rig)
    rig.tick(2)


def garbles(*flaws: Flaw) -> Cause:
    return lambda rig: [rig.give(Garbled(flaw, 0, "noise")) for flaw in flaws]


def gives_up_the_claim(rig: Rig) -> None:
    rig.must(Release())
    rig.tick()


def changed(rig: Rig, **session: object) -> None:
    rig.station = rig.station._replace(session=rig.station.session._replace(**session))


def unattended(ms: int) -> Cause:
    """Let the last confirmation, rating and look be so long ago at the next tick, of skin that feels less."""

    def cause(rig: Rig) -> None:
        last_ms, session = rig.mono_ms + 50 - ms, rig.station.session
        changed(
            rig,
            rx=replace(session.rx, sensation=Sensation.S1),
            care=session.care._replace(present_ms=last_ms, effort_ms=last_ms, skin_ms=last_ms),
            course=session.course._replace(first_run_ms=last_ms),
        )
        rig.tick()

    return cause


def differs(ms: int, sensation: Sensation = Sensation.S0) -> Cause:
    """Let the pads differ from their twins for so long at the next tick."""

    def cause(rig: Rig) -> None:
        contact = rig.station.session.channels[0].contact
        past = contact.past._replace(uneven_ms=rig.mono_ms + 50 - ms)
        changed(rig, rx=replace(rig.station.session.rx, sensation=sensation))
        remembers(contact=contact._replace(past=past))(rig)

    return cause


def crowds(area_mm2: int) -> Cause:
    """Peel a pad that is smaller than was ever allowed: to 2,100 of 1,500 ohm."""

    def cause(rig: Rig) -> None:
        settings = rig.station.session.settings
        changed(rig, settings=(settings[0]._replace(plan=replace(settings[0].plan, area_mm2=area_mm2)),))
        loaded(2_100, 6)(rig)

    return cause


def warms(mdeg: int | None) -> Cause:
    """Fit a sensor of the skin's temperature that says this."""

    def cause(rig: Rig) -> None:
        device = rig.station.device
        rig.station = rig.station._replace(device=device._replace(caps=replace(device.caps, temperature=True)))
        bent(skin_mdeg=mdeg)(rig)

    return cause


def sets_the_clock(ms: int) -> Cause:
    return lambda rig: (setattr(rig, "wall_ms", rig.wall_ms + ms), rig.tick())


def unsynced(ms: int) -> Cause:
    def cause(rig: Rig) -> None:
        rig.mono_ms, rig.wall_ms = rig.mono_ms + 50, rig.wall_ms + 50
        rig.give(Tick(rig.wanted(), ms, WELL))

    return cause


def hold_ends(rig: Rig) -> None:
    changed(rig, care=rig.station.session.care._replace(token=3, hold_ends_ms=rig.mono_ms))
    rig.tick()


def reason(rule: str, severity: Severity, code: str, *found: int | str) -> Reason:
    return Reason(rule, severity, code, *found)


RUNNING = [
    Case("m25", late(150), reason("M25", HOLD, "SYS.OVERLOAD", 0, 150, 100, "ms")),
    Case("m25", late(225), reason("M25", PAUSE, "SYS.OVERLOAD", 0, 225, 200, "ms")),
    Case("m25", late(251), reason("M25", STOP, "SYS.OVERLOAD", 0, 251, 250, "ms")),
    Case("m04", heard_then(301), reason("M04", HOLD, "DEV.LOST", 0, 301, 300, "ms")),
    Case("m04", heard_then(501), reason("M04", PAUSE, "DEV.LOST", 0, 501, 500, "ms")),
    Case("m04", heard_then(1_001), reason("M04", STOP, "DEV.LOST", 0, 1_001, 1_000, "ms")),
    Case("m04", bent(12, fresh=False), reason("M04", STOP, "IMP.STALE", 1, 600, 550, "ms")),
    Case("m03", proposes(20_100), reason("M03", STOP, "LIM.STEP", 1, 20_100, 20_000, "uA")),
    Case(
        "m02",
        proposes(30_100),
        reason("M02", LOCK, "LIM.TOLERANCE", 1, 30_100, 30_000, "uA"),
        clear=Clear.ACK_QUALIFIED,
    ),
    Case("m18", remembers(spent=(0, 0, 579_450)), reason("M18", PAUSE, "DOSE.SESSION", 1, 579_500, 579_500, "ms")),
    Case(
        "m18",
        bent(3, charge_nc=12_436_201),
        reason("M18", STOP, "DOSE.SESSION", 1, 12_436_201, 12_436_200, "nC"),
    ),
    Case("m20", overstays, reason("M20", STOP, "FAT.ON_TIME", 1, 2_250, 2_210, "ms")),
    Case(
        "m20",
        remembers(train=None, rest_ms=5_700),
        reason("M20", STOP, "FAT.DUTY", 1, 5_750, 5_800, "ms"),
    ),
    Case("m21", came_far, reason("M21", STOP, "DOSE.TIME", 0, 90_050, 90_000, "ms")),
    # From 550,000 a tick at full drive takes (550,000 - 200,000) x 50 / 30,000, rounded up.
    Case("m19", remembers(mu_ppm=550_000), reason("M19", HOLD, "FAT.REST", 1, 549_416, 600_000, "ppm")),
    Case("m19", remembers(mu_ppm=500_000), reason("M19", PAUSE, "FAT.REST", 1, 499_500, 500_000, "ppm")),
    Case("m05", gives_up_the_claim, reason("M05", PAUSE, "SES.CLAIM_EXPIRED", 0, 0, 0, "ms")),
    Case(
        "m01",
        bent(4, measured_ua=22_201),
        reason("M01", LOCK, "DEV.READBACK_MISMATCH", 1, 22_201, 20_000, "uA"),
        Scope.DEVICE,
        Clear.MAINTENANCE,
    ),
    Case("m08", loaded(99, 4), reason("M08", LOCK, "IMP.SHORT", 1, 99, 100, "ohm"), Scope.MONTAGE, Clear.ACK_QUALIFIED),
    Case(
        "m27",
        bent(gap_us=101),
        reason("M27", LOCK, "DEV.READBACK_MISMATCH", 1, 20_000, 20_000, "uA"),
        Scope.DEVICE,
        Clear.MAINTENANCE,
    ),
    Case("m07", bent(open=True), reason("M07", STOP, "IMP.OPEN", 1, 1_500, 8_000, "ohm")),
    Case("m07", loaded(8_001), reason("M07", STOP, "IMP.OPEN", 1, 8_001, 8_000, "ohm")),
    Case("m11", loaded(1_876), reason("M11", PAUSE, "IMP.DRIFT", 1, 376, 375, "ohm")),
    Case("m09", loaded(4_001, 6), reason("M09", PAUSE, "IMP.HIGH", 1, 4_001, 4_000, "ohm")),
    Case("m10", loaded(2_251, 6), reason("M10", PAUSE, "IMP.DRIFT", 1, 2_251, 2_250, "ohm")),
    Case("m13", loaded(899, 6), reason("M13", PAUSE, "IMP.FALL", 1, 899, 900, "ohm")),
    Case("m14", bent(clipped=3), reason("M14", HOLD, "IMP.CLIP", 1, 3, 3, "pulses")),
    Case("m14", bent(clipped=10), reason("M14", PAUSE, "IMP.CLIP", 1, 10, 10, "pulses")),
    Case("m12", dries, reason("M12", HOLD, "IMP.DRIFT", 1, 1_212, 1_211, "ohm")),
    Case("m30", says(uptime_ms=5), reason("M30", STOP, "DEV.RESET", 0, 5, 1_002_200, "ms")),
    Case("m23_button", says(button=True), reason("M23", STOP, "SES.PATIENT_STOP")),
    Case("m23_button", says(presses=2), reason("M23", STOP, "SES.PATIENT_STOP")),
    Case("m04_stopped", says(state=DeviceState.STOPPED), reason("M04", STOP, "DEV.WATCHDOG", 0, 0, 0, "fault bits")),
    Case("m28", says(supply_mv=10_799), reason("M28", PAUSE, "DEV.SUPPLY", 0, 10_799, 10_800, "mV")),
    Case("m28", says(supply_mv=9_719), reason("M28", STOP, "DEV.SUPPLY", 0, 9_719, 10_800, "mV")),
    Case("m06", unattended(300_001), reason("M06", PAUSE, "SES.PRESENCE", 0, 300_001, 300_000, "ms")),
    Case("m36", unattended(300_001), reason("M36", HOLD, "FAT.RATING", 0, 300_001, 300_000, "ms")),
    Case("m36", unattended(600_001), reason("M36", PAUSE, "FAT.RATING", 0, 600_001, 600_000, "ms")),
    Case("m37", unattended(600_001), reason("M37", PAUSE, "SES.SKIN_CHECK", 0, 600_001, 600_000, "ms")),
    Case("m15", differs(10_001), reason("M15", HOLD, "IMP.UNEVEN", 1, 10_001, 10_000, "ms")),
    Case("m15", differs(10_001, Sensation.S1), reason("M15", PAUSE, "IMP.UNEVEN", 1, 10_001, 10_000, "ms")),
    Case(
        "m16",
        bent(18, imbalance_ppm=24_445),
        reason("M16", LOCK, "DEV.IMBALANCE", 1, 20_001, 20_000, "ppm"),
        Scope.DEVICE,
        Clear.MAINTENANCE,
    ),
    Case("m16", bent(imbalance_ppm=None), reason("M16", LOCK, "DEV.IMBALANCE", 1), Scope.DEVICE, Clear.MAINTENANCE),
    Case("m17", crowds(250), reason("M17", PAUSE, "IMP.DENSITY", 1, 1_845, 1_500, "uA/cm2")),
    Case("m17", crowds(200), reason("M17", STOP, "IMP.DENSITY", 1, 2_296, 2_000, "uA/cm2")),
    Case("m22", warms(38_000), reason("M22", HOLD, "IMP.WARM", 1, 38_000, 38_000, "mdeg")),
    Case("m22", warms(40_000), reason("M22", PAUSE, "IMP.WARM", 1, 40_000, 40_000, "mdeg")),
    Case("m22", warms(None), reason("M22", STOP, "IMP.WARM", 1)),
    Case("m31", sets_the_clock(2_001), reason("M31", PAUSE, "SYS.CLOCK", 0, 2_001, 2_000, "ms")),
    Case("m31", sets_the_clock(-2_001), reason("M31", PAUSE, "SYS.CLOCK", 0, 2_001, 2_000, "ms")),
    Case("m32", unsynced(501), reason("M32", STOP, "SYS.AUDIT_UNWRITABLE", 0, 501, 500, "ms")),
    Case("m34", hold_ends, reason("M34", STOP, "SES.FENCED", 0, 1_002_300, 1_002_250, "ms")),
    Case(
        "m35",
        remembers(train=None, rest_ms=6_000, pulls=(60, 60)),
        reason("M35", PAUSE, "FAT.SET", 1, 61, 60, "contractions"),
    ),
    Case(
        "m35",
        remembers(train=None, rest_ms=6_000, pulls=(5, 90)),
        reason("M35", STOP, "FAT.SET", 1, 91, 90, "contractions"),
    ),
    Case("m10", loaded(1_951, 6), reason("M10", HOLD, "IMP.DRIFT", 1, 1_951, 1_950, "ohm")),
    Case(
        "m26",
        garbles(Flaw.DAMAGED, Flaw.DAMAGED),
        reason("M26", PAUSE, "DEV.PROTOCOL", 0, 2, 1, "words"),
    ),
    Case("m26", garbles(Flaw.UNKNOWN), reason("M26", STOP, "DEV.PROTOCOL", 0, 1, 0, "words")),
]

ENERGISING = Arm | Drive | Feed | Probe


def told(effects: tuple[Effect, ...]) -> list[tuple[str, str, tuple[Reason, ...]]]:
    """Give kind, priority and reasons of the session's events in one step."""
    messages = [e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, Event)]
    return [(m.kind, m.priority, m.reasons) for m in messages if m.kind.startswith("session.")]


def acted(rig: Rig, mark: int) -> tuple[Effect, ...]:
    """Give the effects of the first step since `mark` in which a rule spoke."""
    return next(effects for _, effects in rig.steps[mark:] if told(effects))


def name(case: Case) -> str:
    return f"{case.rule}-{case.reason.severity.name}-{case.reason.code}"


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("case", [c for c in RUNNING if c.reason.severity is HOLD], ids=name)
def test_a_rule_that_holds_leaves_the_picture_and_refuses_a_raise(case: Case, alone: Callable[[str], None]) -> None:
    rig = Rig().plateau()
    before, mark = rig.station.beat.picture, len(rig.steps)
    alone(case.rule)
    case.cause(rig)

    assert told(acted(rig, mark)) == [("session.held", "low", (case.reason,))]
    # What holds lets go at another threshold than the one it began at.
    held = rig.station.holds[0].reason
    assert held == case.reason._replace(asked=held.asked, allowed=held.allowed)
    assert (rig.phase, rig.station.beat.picture, rig.latched()) == (Phase.RUNNING, before, [])
    assert not rig.silences()
    assert rig.device.trains == {train.channel: train for train in before.trains}

    refused = rig.ask(Adjust(1, 1_000))
    assert refused.status == "rejected"
    assert "G27" in [found.rule for found in refused.reasons]
    assert rig.station.session.settings[0].setpoint_ua == 20_000
    assert rig.must(Adjust(1, -1_000)).status == "succeeded"


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("case", [c for c in RUNNING if c.reason.severity is not HOLD], ids=name)
def test_a_rule_that_acts_silences_first_and_latches(case: Case, alone: Callable[[str], None]) -> None:
    rig = Rig().plateau()
    rig.device.ignores_stop = True
    mark = len(rig.steps)
    alone(case.rule)
    case.cause(rig)

    severity = case.reason.severity
    kind, priority, phase, clear = {
        PAUSE: ("session.paused", "medium", Phase.PAUSED, Clear.ACK_OPERATOR),
        STOP: ("session.stopped", "medium", Phase.UNCERTAIN, Clear.NEW_SESSION),
        LOCK: ("session.stopped", "high", Phase.UNCERTAIN, case.clear),
    }[severity]
    effects = acted(rig, mark)
    assert effects[0] == Silence(cut=False)
    assert told(effects) == [(kind, priority, (case.reason,))]
    assert not [effect for effect in effects if isinstance(effect, ENERGISING)]
    key = "p-1/left-quadriceps" if case.scope is Scope.MONTAGE else ""
    assert [latch[1:5] for latch in rig.station.latches] == [(case.scope, case.reason.rule, clear, key)]
    assert (rig.phase, rig.station.beat.picture, rig.station.beat.unanswered) == (phase, OFF, 0)
    assert rig.station.session.channels[0][:3] == (None, 0, 0)
    assert rig.station.stopping.since_ms <= rig.mono_ms

    mark = len(rig.log)
    rig.tick(4)
    assert not [effect for effect in rig.log[mark:] if isinstance(effect, ENERGISING)]


class Still(NamedTuple):
    """A rule in a phase without current: where, what makes it speak, what it says, where that leads."""

    phase: Phase
    rule: str
    cause: Cause
    reason: Reason
    leads: Phase


def lost(severity: Severity, age_ms: int, allowed: int) -> Reason:
    return Reason("M04", severity, "DEV.LOST", 0, age_ms, allowed, "ms")


STILL = [
    Still(Phase.ARMED, "m25", late(225), reason("M25", PAUSE, "SYS.OVERLOAD", 0, 225, 200, "ms"), Phase.PAUSED),
    Still(Phase.ARMED, "m25", late(251), reason("M25", STOP, "SYS.OVERLOAD", 0, 251, 250, "ms"), Phase.UNCERTAIN),
    Still(Phase.ARMED, "m04", heard_then(501), lost(PAUSE, 501, 500), Phase.PAUSED),
    Still(
        Phase.ARMED, "m05", gives_up_the_claim, reason("M05", PAUSE, "SES.CLAIM_EXPIRED", 0, 0, 0, "ms"), Phase.PAUSED
    ),
    Still(
        Phase.ARMED, "m21", came_far, reason("M21", STOP, "DOSE.TIME", 0, 90_050, 90_000, "ms"), Phase.UNCERTAIN
    ),
    Still(
        Phase.ARMED,
        "m04_stopped",
        says(state=DeviceState.STOPPED, faults=1),
        reason("M04", STOP, "DEV.WATCHDOG", 0, 1, 0, "fault bits"),
        Phase.UNCERTAIN,
    ),
    Still(Phase.ARMED, "m23_button", says(presses=2), reason("M23", STOP, "SES.PATIENT_STOP"), Phase.UNCERTAIN),
    Still(
        Phase.ARMED, "m28", says(supply_mv=13_201), reason("M28", PAUSE, "DEV.SUPPLY", 0, 13_201, 13_200, "mV"),
        Phase.PAUSED,
    ),
    Still(Phase.PAUSED, "m04", heard_then(501), lost(PAUSE, 501, 500), Phase.PAUSED),
    Still(Phase.PAUSED, "m04", heard_then(1_001), lost(STOP, 1_001, 1_000), Phase.UNCERTAIN),
    Still(
        Phase.PAUSED, "m21", came_far, reason("M21", STOP, "DOSE.TIME", 0, 90_050, 90_000, "ms"), Phase.UNCERTAIN
    ),
    Still(
        Phase.PAUSED, "m30", says(uptime_ms=5), reason("M30", STOP, "DEV.RESET", 0, 5, 1_002_250, "ms"),
        Phase.UNCERTAIN,
    ),
    Still(Phase.PAUSED, "m23_button", says(button=True), reason("M23", STOP, "SES.PATIENT_STOP"), Phase.UNCERTAIN),
    Still(
        Phase.PAUSED, "m28", says(supply_mv=10_799), reason("M28", PAUSE, "DEV.SUPPLY", 0, 10_799, 10_800, "mV"),
        Phase.PAUSED,
    ),
    Still(
        Phase.PAUSED, "m27_still", says(state=DeviceState.RUNNING), reason("M27", LOCK, "DEV.READBACK_MISMATCH"),
        Phase.UNCERTAIN,
    ),
    Still(Phase.PREPARED, "m04", heard_then(501), lost(PAUSE, 501, 500), Phase.PREPARED),
    Still(Phase.PREPARED, "m04", heard_then(1_001), lost(STOP, 1_001, 1_000), Phase.UNCERTAIN),
    Still(
        Phase.PREPARED, "m30", says(uptime_ms=5), reason("M30", STOP, "DEV.RESET", 0, 5, 1_000_000, "ms"),
        Phase.UNCERTAIN,
    ),
    Still(
        Phase.PREPARED, "m28", says(supply_mv=10_799), reason("M28", PAUSE, "DEV.SUPPLY", 0, 10_799, 10_800, "mV"),
        Phase.PREPARED,
    ),
    Still(
        Phase.PREPARED, "m27_still", says(state=DeviceState.ARMED), reason("M27", LOCK, "DEV.READBACK_MISMATCH"),
        Phase.UNCERTAIN,
    ),
    Still(
        Phase.PREPARED,
        "m26",
        garbles(Flaw.TIMEOUT, Flaw.DAMAGED),
        reason("M26", PAUSE, "DEV.PROTOCOL", 0, 2, 1, "words"),
        Phase.PREPARED,
    ),
]  # fmt: skip


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("case", STILL, ids=lambda case: f"{case.phase}-{case.rule}-{case.reason.severity.name}")
def test_a_rule_acts_also_where_no_current_flows(case: Still, alone: Callable[[str], None]) -> None:
    rig = standing(case.phase)
    rig.device.ignores_stop = True
    rig.answering = False
    mark = len(rig.steps)
    alone(case.rule)
    case.cause(rig)

    effects = next(effects for _, effects in rig.steps[mark:] if any(isinstance(e, Silence) for e in effects))
    assert effects[0] == Silence(cut=False)
    rules = [e.message.reasons for e in effects if isinstance(e, Tell) and isinstance(e.message, Event)]
    assert (case.reason,) in rules
    severity = case.reason.severity
    scope = Scope.DEVICE if severity is LOCK else Scope.SESSION
    clear = {PAUSE: Clear.ACK_OPERATOR, STOP: Clear.NEW_SESSION, LOCK: Clear.MAINTENANCE}[severity]
    assert [latch[1:4] for latch in rig.station.latches] == [(scope, case.reason.rule, clear)]
    assert (rig.phase, rig.station.beat.picture, rig.station.waiting) == (case.leads, OFF, None)


@pytest.mark.rule("M04")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.PAUSED, Phase.PREPARED])
def test_a_hold_without_current_only_holds(phase: Phase, alone: Callable[[str], None]) -> None:
    rig = standing(phase)
    silences = len(rig.silences())
    alone("m04")
    rig.hear()
    rig.tick(ms=301)
    assert rig.station.holds == (Hold(lost(HOLD, 301, 300), rig.mono_ms),)
    assert (rig.phase, len(rig.silences()), rig.latched()) == (phase, silences, [])


@pytest.mark.rule("M27")
@pytest.mark.hazard("H10")
def test_m27_alone_silences_and_locks_a_device_that_runs_without_a_session(alone: Callable[[str], None]) -> None:
    rig = Rig()
    rig.up()
    rig.answering = False
    alone("m27_still")
    rig.device.changes["state"] = DeviceState.RUNNING
    assert rig.hear()[0] == Silence(cut=False)
    assert [latch[1:4] for latch in rig.station.latches] == [(Scope.DEVICE, "M27", Clear.MAINTENANCE)]
    assert rig.phase is Phase.IDLE
    rig.tick(10)
    assert [event.reasons[0].rule for event in rig.events("alarm.raised")] == ["M29"]


@pytest.mark.parametrize("case", [c for c in RUNNING if c.rule not in {"m20", "m26"}], ids=name)
def test_with_all_rules_off_nothing_speaks(case: Case, alone: Callable[[str], None]) -> None:
    rig = Rig().plateau()
    alone("none")
    case.cause(rig)
    assert (rig.phase, rig.station.holds, rig.silences()) == (Phase.RUNNING, (), [])
