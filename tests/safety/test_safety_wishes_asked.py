"""safety/wishes.py: which rules each wish is put to, in which order, and which wishes need no claim or may overtake."""

from __future__ import annotations

import pytest
from button import at_level
from rig import (
    VOUCHED,
    Adjust,
    ArmSession,
    Attest,
    CalibrationBegin,
    Check,
    Claim,
    ClearLatch,
    Pause,
    Phase,
    Prepare,
    Present,
    Rate,
    Rated,
    Release,
    Renew,
    Resume,
    Rig,
    SkinCheck,
    Start,
    held_back,
    plan,
    rx,
    standing,
)

from safety import machine, wishes
from safety.messages import (
    Adverse,
    Asked,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Report,
    Threshold,
)
from safety.rules.views import Gate, Lane, Skin
from safety.turn import Turn
from safety.verdict import Reason, Severity

pytestmark = [pytest.mark.rule("X3"), pytest.mark.rule("X4"), pytest.mark.hazard("H40")]

WISH = "g01 g01_answers g01_rating g02 "
SESSION = "g23 g27 "
ENERGISE = "g04 g17 g18 g28 m19_rest m06_resume g22 g25 "
TRIAL = "g04 m19_rest m06_resume g22 g25 "
PAPERS = "g03 g05 g24 "
FIT = "g23_fit g06 g07 "
PULSE = "g09 g10 g11 g12 g13 g14 g15 g16 "
BLIND = "g29 g21 "
SKIN = "g20 m10_back "
BUTTON = "g01_trial g02_button g18_press g19_let_go g19_apart g19_sought g28_burst "


def paused() -> Rig:
    rig = standing(Phase.PAUSED)
    rig.must(Check(()))
    return rig


def pressed() -> Rig:
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    return rig


def put_to(rig: Rig, wish: object) -> str:
    """Names of the rules that a wish is put to."""
    _, asked = machine.explained(rig.station, Asked(rig.command(wish)), rig.now)
    return "".join(f"{each.judge.__name__} " for each in asked)


UNKNOWN = rx(plan(calibration=None))
WHOLE = WISH + SESSION + ENERGISE + PAPERS + FIT + "g19 g08 " + PULSE + BLIND


@pytest.mark.parametrize(
    ("bring", "wish", "rules"),
    [
        (lambda: standing(Phase.IDLE), Prepare(rx(), "rx-1@1", "p-1"),
         WISH + SESSION + ENERGISE + FIT + "g19 g08 " + PULSE + BLIND),
        (lambda: standing(Phase.IDLE), Prepare(UNKNOWN, "rx-1@1", "p-1"),
         WISH + SESSION + ENERGISE + FIT + "g08_window " + PULSE + BLIND),
        (lambda: standing(Phase.PREPARED), Check(()), WISH + SESSION + "g20_check "),
        (lambda: standing(Phase.PREPARED), ArmSession(), WHOLE + SKIN),
        (lambda: standing(Phase.ARMED), Start(), WHOLE + SKIN),
        (paused, Resume(), WHOLE + SKIN),
        (lambda: standing(Phase.RUNNING), Adjust(1, 1_000), WHOLE),
        (lambda: standing(Phase.RUNNING), Adjust(1, 1), WHOLE),
        (lambda: Rig().prepared(UNKNOWN), ArmSession(), WHOLE + SKIN),
        (lambda: standing(Phase.RUNNING), Adjust(1, -1_000), WISH),
        (lambda: standing(Phase.RUNNING), Adjust(1, 0), WISH),
        (lambda: standing(Phase.RUNNING), Pause(), WISH),
        (lambda: standing(Phase.RUNNING), Present(), WISH),
        (lambda: standing(Phase.PREPARED), Attest(()), WISH + "g05 "),
        (lambda: standing(Phase.IDLE), Claim(), WISH),
        (lambda: standing(Phase.IDLE), Release(), WISH),
        (lambda: standing(Phase.IDLE), ClearLatch(1, "why"), WISH),
        (lambda: standing(Phase.PREPARED), CalibrationBegin(1),
         WISH + "g01_trial g28_trial " + SESSION + TRIAL + PAPERS + FIT + "g08_trial " + PULSE + BLIND + SKIN),
        (Rig().calibrating, CalibrationStep(1_000),
         WISH + BUTTON + SESSION + TRIAL + PAPERS + FIT + "g08_trial " + PULSE + BLIND),
        (Rig().calibrating, CalibrationStep(0),
         WISH + BUTTON + SESSION + TRIAL + PAPERS + FIT + "g08_trial " + PULSE + BLIND),
        (pressed, CalibrationStep(0), WISH + "g01_trial g02_button "),
        (pressed, CalibrationStep(-1_000), WISH + "g01_trial "),
        (pressed, CalibrationMark(Threshold.SENSORY, absent=False), WISH + "g19_order g19_given "),
        (pressed, CalibrationEnd(), WISH),
    ],
)  # fmt: skip
def test_each_wish_is_put_to_these_rules_in_this_order(bring: object, wish: object, rules: str) -> None:
    assert put_to(bring(), wish) == rules  # type: ignore[operator]


def test_every_channel_is_put_to_the_rules_of_a_pulse_and_in_a_calibration_only_its_own() -> None:
    two = rx(plan(), plan(channel=2, site="left-calf"))
    lane = FIT + "g19 g08 " + PULSE + BLIND + SKIN
    assert put_to(Rig().prepared(two), ArmSession()) == WISH + SESSION + ENERGISE + PAPERS + lane + lane
    begin = WISH + "g01_trial g28_trial " + SESSION + TRIAL + PAPERS + FIT + "g08_trial " + PULSE + BLIND + SKIN
    assert put_to(Rig().prepared(two), CalibrationBegin(2)) == begin


@pytest.mark.parametrize("wish", [Start(), Claim()])
def test_a_rule_sees_the_station_the_wish_and_no_channel_where_none_is_meant(wish: object) -> None:
    rig = standing(Phase.ARMED)
    command = rig.command(wish)
    _, asked = machine.explained(rig.station, Asked(command), rig.now)
    assert asked[0].view == Gate(rig.station, command, rig.station.session, rig.now, 0, 0)


def test_a_rule_sees_the_session_as_it_would_be() -> None:
    rig = standing(Phase.RUNNING)
    command, session = rig.command(Adjust(1, 1_000)), rig.station.session
    _, asked = machine.explained(rig.station, Asked(command), rig.now)
    risen = session._replace(settings=(session.settings[0]._replace(setpoint_ua=21_000),))
    assert asked[0].view == Gate(rig.station, command, risen, rig.now, 1, 1_000)


@pytest.mark.parametrize(("wish", "channel"), [(CalibrationBegin(1), 1), (CalibrationEnd(), 0)])
def test_a_rule_of_a_calibration_sees_no_rise_where_none_is_asked_for(wish: object, channel: int) -> None:
    rig = standing(Phase.PREPARED) if channel else pressed()
    _, asked = machine.explained(rig.station, Asked(rig.command(wish)), rig.now)
    assert (asked[0].view.channel, asked[0].view.rise_ua) == (channel, 0)


@pytest.mark.rule("G01")
def test_a_change_that_is_no_whole_number_raises_nothing_while_it_is_judged() -> None:
    rig = standing(Phase.RUNNING)
    _, asked = machine.explained(rig.station, Asked(rig.command(Adjust(1, True))), rig.now)
    assert (asked[0].view.session, asked[0].view.rise_ua) == (rig.station.session, 0)
    assert "".join(f"{each.judge.__name__} " for each in asked) == WISH


def test_a_rule_of_a_pulse_or_of_the_skin_sees_one_channel_its_reading_and_its_contact() -> None:
    rig = Rig().prepared(rx(plan(), plan(channel=2, site="left-calf", ua=12_000)))
    session = rig.station.session
    readings = tuple(reading._replace(at_ms=rig.mono_ms - reading.channel) for reading in session.readings)
    channels = tuple(
        channel._replace(contact=channel.contact._replace(fresh_ms=number))
        for number, channel in zip((1, 2), session.channels, strict=True)
    )
    session = session._replace(readings=readings, channels=channels)
    rig.station = rig.station._replace(session=session)
    _, asked = machine.explained(rig.station, Asked(rig.command(ArmSession())), rig.now)
    caps, rx_ = rig.device.caps, session.rx
    lanes = [
        Lane(rx_, setting.plan, setting.plan.train(setting.setpoint_ua), session.limits, caps, rig.wall_ms)
        for setting in session.settings
    ]
    skins = [
        Skin(setting, reading, session.limits, caps, rx_, rig.mono_ms, channel.contact)
        for setting, reading, channel in zip(session.settings, readings, channels, strict=True)
    ]
    views = [each.view for each in asked]
    assert [view for view in views if isinstance(view, Lane)] == [lane for lane in lanes for _ in range(13)]
    assert [view for view in views if isinstance(view, Skin)] == [skin for skin in skins for _ in range(4)]


def test_what_would_let_current_flow_without_a_session_is_a_defect() -> None:
    rig = standing(Phase.IDLE)
    with pytest.raises(TypeError):
        wishes.judged(Turn(rig.station, rig.now), rig.command(ArmSession()), None)


# The claim, and what may overtake

EVERYBODYS = "device.claim session.stop session.pause adverse.report"
OVERTAKES = (
    "device.claim device.renew device.release presence.confirm session.rate session.skin_check adverse.report "
    "session.pause latch.clear"
)


@pytest.mark.rule("M05")
@pytest.mark.parametrize(
    ("phase", "wish"),
    [
        (Phase.IDLE, Claim()), (Phase.IDLE, Renew()), (Phase.IDLE, Release()), (Phase.IDLE, ClearLatch(1, "why")),
        (Phase.IDLE, Prepare(rx(), "rx-1@1", "p-1")), (Phase.PREPARED, Check(())), (Phase.PREPARED, ArmSession()),
        (Phase.PREPARED, Attest(VOUCHED.answers)), (Phase.PREPARED, CalibrationBegin(1)),
        (Phase.RUNNING, Present()), (Phase.RUNNING, Rate(Rated.EFFORT, 4)), (Phase.RUNNING, SkinCheck(ok=True)),
        (Phase.RUNNING, Report(Adverse.PAIN)), (Phase.RUNNING, Pause()), (Phase.RUNNING, Adjust(1, 1_000)),
        (Phase.ARMED, Start()), (Phase.ARMED, Pause()), (Phase.PAUSED, Resume()),
        (Phase.CALIBRATING, CalibrationStep(1_000)), (Phase.CALIBRATING, CalibrationStep(0)),
        (Phase.CALIBRATING, CalibrationEnd()), (Phase.CALIBRATING, CalibrationMark(Threshold.SENSORY, absent=True)),
    ],
)  # fmt: skip
def test_who_has_no_claim_may_claim_and_lead_towards_zero_and_nothing_else(phase: Phase, wish: object) -> None:
    for holder, code in ((None, "SES.CLAIM_EXPIRED"), ("somebody-else", "SES.CLAIM_HELD")):
        rig = standing(phase)
        claim = rig.station.holder
        rig.station = rig.station._replace(holder=claim._replace(principal=holder) if holder else None)
        before, command = rig.station, rig.command(wish)
        rig.give(Asked(command))
        barred = command.verb.value not in EVERYBODYS.split() or (holder is not None and wish == Claim())
        answer = rig.answer(command.id)
        assert (answer.code == code) is barred
        if barred:
            assert (answer.status, answer.reasons) == ("rejected", (Reason("", Severity.REFUSE, code),))
            assert rig.station == before


@pytest.mark.rule("M05")
@pytest.mark.parametrize(("phase", "wish"), [(Phase.RUNNING, Adjust(1, -1)), (Phase.CALIBRATING, CalibrationStep(-1))])
def test_whoever_asks_for_less_needs_no_claim(phase: Phase, wish: object) -> None:
    rig = standing(phase)
    rig.station = rig.station._replace(holder=None)
    assert rig.ask(wish).status == "succeeded"


@pytest.mark.hazard("H25")
@pytest.mark.parametrize(
    ("phase", "wish"),
    [
        (Phase.PREPARED, Claim()), (Phase.PREPARED, Renew()), (Phase.PREPARED, ClearLatch(1, "why")),
        (Phase.PREPARED, Check(())), (Phase.PREPARED, ArmSession()), (Phase.PREPARED, Attest(VOUCHED.answers)),
        (Phase.PREPARED, CalibrationBegin(1)), (Phase.PREPARED, Release()),
        (Phase.RUNNING, Present()), (Phase.RUNNING, Rate(Rated.EFFORT, 4)), (Phase.RUNNING, SkinCheck(ok=True)),
        (Phase.RUNNING, Report(Adverse.PAIN)), (Phase.RUNNING, Pause()), (Phase.RUNNING, Adjust(1, 1_000)),
        (Phase.RUNNING, Adjust(1, 0)),
    ],
)  # fmt: skip
def test_a_wish_on_its_way_is_overtaken_only_by_what_raises_nothing(phase: Phase, wish: object) -> None:
    rig = held_back(phase, Adjust(1, 1_000) if phase is Phase.RUNNING else ArmSession())
    before, command = rig.station, rig.command(wish)
    rig.give(Asked(command))
    waits = command.verb.value not in OVERTAKES.split()
    answer = rig.answer(command.id)
    assert (answer.code == "SES.PHASE_CHANGED") is waits
    if waits:
        assert (answer.status, answer.reasons) == ("rejected", (Reason("", Severity.REFUSE, "SES.PHASE_CHANGED"),))
        assert rig.station == before


@pytest.mark.hazard("H25")
def test_less_overtakes_a_rise_that_is_on_its_way() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    assert rig.must(Adjust(1, -1)).details == (("setpoint_ua", 19_999),)
    assert rig.station.waiting is None
