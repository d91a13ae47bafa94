"""safety/admit.py: the second door, directly and behind `step`, each ledger rule alone and all together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import WALL_MS, Adjust, ArmSession, Check, Phase, Rig, plan, record, rx

from safety.admit import admit, weighed
from safety.effects import Arm, ChannelRequest, PermitRequest
from safety.history import History, Record
from safety.prescription import Dose
from safety.rules import ledger
from safety.verdict import Reason, Severity

pytestmark = pytest.mark.hazard("H19")

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SITE = "left-quadriceps"


def history(*records: Record, locked: tuple[str, ...] = ()) -> History:
    return History(patient="p-1", records=records, locked_sites=locked)


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def request(**changes: object) -> PermitRequest:
    """What arming the rig's own prescription asks of the ledger."""
    rig = Rig().armed()
    asked = [body for body in rig.notes("permit") if isinstance(body, PermitRequest) and not body.probe]
    return replace(asked[-1], **changes)


WILD = history(
    *(
        record((40 + n * 50) * MINUTE_MS, session=f"w-{n}", charged=Dose(nc=2_000_000_000, on_ms=1_000_000))
        for n in range(15)
    ),
    locked=(SITE,),
)
"""A history that every ledger rule refuses: fifteen treatments within 13 h, the last one 40 min ago, and a lock."""

ALONE = [
    (ledger.g27_montage, refuse("G27", "FLT.LATCHED", 1)),
    (ledger.l01, refuse("L01", "DOSE.DAY", 1, 16, 2, "treatments")),
    (ledger.l02, refuse("L02", "FAT.REST", 1, 40 * MINUTE_MS, HOUR_MS, "ms")),
    (ledger.l03, refuse("L03", "DOSE.DAY", 1, 30_012_436_200, 1_600_000_000, "nC")),
    (ledger.l04, refuse("L04", "DOSE.WEEK", 1, 30_012_436_200, 5_600_000_000, "nC")),
    (ledger.l05, refuse("L05", "DOSE.WEEK", 1, 16, 14, "treatments")),
]
OTHER = rx(id="rx-2")


@pytest.mark.hazard("H19")
def test_an_empty_history_admits():
    assert admit(history(), request(), WALL_MS) == ()


@pytest.mark.hazard("H19")
def test_all_reasons_are_given_in_the_order_of_the_rules():
    assert admit(WILD, request(rx="rx-2@1"), WALL_MS) == tuple(reason for _, reason in ALONE)


def test_a_test_pulse_needs_no_history():
    assert admit(WILD, request(probe=True), WALL_MS) == ()


@pytest.mark.hazard("H19")
@pytest.mark.parametrize(("rule", "reason"), ALONE, ids=[reason.rule for _, reason in ALONE])
def test_each_rule_alone_is_what_step_refuses_with(monkeypatch: pytest.MonkeyPatch, rule: object, reason: Reason):
    monkeypatch.setattr(ledger, "LEDGER", (rule,))
    rig = Rig().prepared(OTHER)
    rig.history = WILD
    answer = rig.ask(ArmSession())
    assert (answer.status, answer.code, answer.reasons) == ("rejected", reason.code, (reason,))
    assert (rig.phase, rig.station.waiting) == (Phase.PREPARED, None)
    assert not [effect for effect in rig.log if isinstance(effect, Arm)]


for _rule, _reason in ALONE:
    test_each_rule_alone_is_what_step_refuses_with = pytest.mark.rule(_reason.rule)(
        test_each_rule_alone_is_what_step_refuses_with
    )


def test_without_its_rules_the_ledger_refuses_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger, "LEDGER", ())
    rig = Rig().prepared(OTHER)
    rig.history = WILD
    assert rig.ask(ArmSession()).status == "succeeded"
    assert rig.phase is Phase.ARMED


@pytest.mark.hazard("H19")
def test_step_gives_all_reasons_of_the_ledger_and_opens_nothing():
    rig = Rig().prepared(OTHER)
    rig.history = WILD
    answer = rig.ask(ArmSession())
    assert (answer.status, answer.code) == ("rejected", "FLT.LATCHED")
    assert answer.reasons == tuple(reason for _, reason in ALONE)
    assert rig.station.session is not None
    assert (rig.station.session.permit, rig.station.session.course.armed_ms) == (None, 0)
    rig.history = history()
    assert rig.ask(ArmSession()).status == "succeeded"


@pytest.mark.rule("L03")
def test_a_check_is_never_asked_of_the_ledger():
    rig = Rig().prepared(OTHER)
    rig.history = WILD
    assert rig.ask(Check(())).status == "succeeded"


@pytest.mark.rule("L03")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
def test_a_rise_is_asked_of_the_ledger_and_does_not_count_its_own_session_twice():
    long_plateau = replace(rx().programme, on_ms=10_000, off_ms=30_000, therapy_ms=120_000)
    rig = Rig().plateau(rx(programme=long_plateau))
    session = rig.station.session
    assert session is not None
    own = record(0, session=session.id, closed_wall_ms=None, charged=None, reserved=Dose(nc=1_600_000_000))
    rig.history = history(own)
    assert rig.must(Adjust(1, 1_000)).details == (("setpoint_ua", 21_000),)
    rig.tick(20)
    rig.history = history(own, record(HOUR_MS, charged=Dose(nc=1_600_000_000)))
    answer = rig.ask(Adjust(1, 1_000))
    assert [reason.rule for reason in answer.reasons] == ["L02", "L03"]
    assert (answer.status, answer.code) == ("rejected", "FAT.REST")
    after = rig.station.session
    assert after is not None
    assert (after.settings[0].setpoint_ua, rig.phase) == (21_000, Phase.RUNNING)


@pytest.mark.hazard("H19")
def test_each_channel_is_judged_by_its_own_site():
    two = rx(plan(), plan(channel=2, site="right-calf"))
    rig = Rig().prepared(two)
    rig.history = history(locked=("right-calf",))
    assert rig.ask(ArmSession()).reasons == (refuse("G27", "FLT.LATCHED", 2),)
    rig.history = history(locked=("right-calf", SITE))
    assert rig.ask(ArmSession()).reasons == (refuse("G27", "FLT.LATCHED", 1), refuse("G27", "FLT.LATCHED", 2))


@pytest.mark.rule("L02")
def test_the_limits_that_the_prescription_tightened_are_the_ledgers_too():
    rig = Rig().prepared(rx(limits=(("gap_short_ms", 2 * DAY_MS + 1),)))
    rig.history = history(*(record(2 * DAY_MS + n * DAY_MS) for n in range(3)))
    assert rig.ask(ArmSession()).reasons == (refuse("L02", "FAT.REST", 1, 2 * DAY_MS, 2 * DAY_MS + 1, "ms"),)


def test_a_request_says_all_that_the_ledger_asks():
    asked = request()
    assert asked.channels == (
        ChannelRequest(
            channel=1, site=SITE, pair="a", reserve=Dose(nc=12_436_200, i2t=248_724_000_000_000, on_ms=24_500),
            ua=20_000, ohm=1_500,
        ),
    )  # fmt: skip
    assert (asked.patient, asked.rx, asked.rx_digest, asked.on_time_ms) == ("p-1", "rx-1@1", "d1", 12_000)
    assert asked.session == asked.permit.session


def test_every_ledger_rule_is_weighed_for_every_channel_and_found_what_admit_says():
    asked = request(channels=(channel := request().channels[0], replace(channel, channel=2)))
    weights = weighed(WILD, asked, WALL_MS)
    assert [each.judge for each in weights] == [ledger.l09, *ledger.LEDGER, *ledger.LEDGER]
    assert tuple(each.found for each in weights if each.found) == admit(WILD, asked, WALL_MS)
    assert [each.view for each in weights[1:]] == [
        ledger.past(WILD, asked, one, WALL_MS) for one in asked.channels for _ in ledger.LEDGER
    ]


def test_a_strangers_history_and_a_test_pulse_weigh_nothing_else():
    stranger = replace(history(), patient="p-2")
    assert [each.judge for each in weighed(stranger, request(), WALL_MS)] == [ledger.l09]
    assert weighed(WILD, request(probe=True), WALL_MS) == ()
