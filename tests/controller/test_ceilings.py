"""Limits of a credential: each at its bound and one unit beyond, for whoever asks, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from parts import plan, rx
from rig import Adjust, ArmSession, Check, Claim, Rig, Start

from controller.contract.codes import text
from controller.identity import Principal, Role
from controller.identity.ceilings import NONE, Ceilings, binds
from controller.prescriptions import instantiate
from safety.messages import CalibrationStep, Pause, Prepare, Renew, Resume, Stop
from safety.verdict import Reason, Severity
from tests.controller.reception import Reception, answers, numbered
from tests.controller.wire import NOW, PRINCIPALS

RX = rx(plan(), plan(channel=2, site="right-quadriceps", ua=25_000, width_us=400))
PREPARE = Prepare(RX, RX.ref, RX.patient)


def reason(channel: int, asked: int, allowed: int, unit: str) -> Reason:
    return Reason("", Severity.REFUSE, "LIM.CREDENTIAL", channel, asked, allowed, unit)


def bound(rig: Rig, wish: object, **of: int) -> Reason | None:
    return binds(Ceilings(**of), rig.station, rig.command(wish))


def test_who_has_no_limits_of_their_own_is_bound_by_none() -> None:
    rig = Rig().plateau(RX)
    for wish in (PREPARE, ArmSession(), Start(), Resume(), Adjust(1, 100_000), CalibrationStep(100_000)):
        assert binds(NONE, rig.station, rig.command(wish)) is None


BOUNDS = [
    ({"ua": 25_000}, None),
    ({"ua": 24_999}, reason(2, 25_000, 24_999, "uA")),
    ({"ua": 19_999}, reason(1, 20_000, 19_999, "uA")),
    ({"width_us": 400}, None),
    ({"width_us": 399}, reason(2, 400, 399, "us")),
    ({"therapy_ms": 60_000}, None),
    ({"therapy_ms": 59_999}, reason(0, 60_000, 59_999, "ms")),
    ({"ua": 0, "width_us": 0, "therapy_ms": 0}, reason(1, 20_000, 0, "uA")),
]


@pytest.mark.parametrize(("of", "found"), BOUNDS)
def test_each_limit_binds_one_unit_beyond_it(of: dict[str, int], found: Reason | None) -> None:
    rig = Rig().plateau(RX)
    for wish in (PREPARE, ArmSession(), Start(), Resume()):
        assert bound(rig, wish, **of) == found


@pytest.mark.parametrize(("delta_ua", "found"), [(1_000, None), (1_001, reason(1, 21_001, 21_000, "uA"))])
def test_a_rise_is_measured_where_it_ends(delta_ua: int, found: Reason | None) -> None:
    rig = Rig().plateau(RX)
    assert bound(rig, Adjust(1, delta_ua), ua=21_000) == found


def test_a_pulse_that_is_too_wide_binds_its_own_channel() -> None:
    rig = Rig().plateau(RX)
    assert bound(rig, Adjust(1, 1), width_us=300) is None
    assert bound(rig, Adjust(2, 1), width_us=300) == reason(2, 400, 300, "us")


def test_a_calibration_is_bound_on_its_channel() -> None:
    rig = Rig().calibrating(RX, channel=2)
    assert rig.station.session is not None
    (at_ua,) = [each.setpoint_ua for each in rig.station.session.settings if each.plan.channel == 2]
    assert bound(rig, CalibrationStep(1_000), ua=at_ua + 1_000) is None
    assert bound(rig, CalibrationStep(1_000), ua=at_ua + 999) == reason(2, at_ua + 1_000, at_ua + 999, "uA")


def test_what_raises_nothing_is_bound_by_nothing() -> None:
    rig, nothing = Rig().plateau(RX), {"ua": 0, "width_us": 0, "therapy_ms": 0}
    for wish in (Claim(), Renew(), Check(()), Pause(), Stop(), Adjust(1, -1), CalibrationStep(0), CalibrationStep(-1)):
        assert bound(rig, wish, **nothing) is None
    assert bound(Rig(), Start(), **nothing) is None
    assert bound(Rig(), replace(PREPARE, rx=None), **nothing) is None


# At the desk


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = Principal("clinician-1", Role.PHYSIO, frozenset({"dev1"}), limits=Ceilings(ua=1_000))
    monkeypatch.setitem(PRINCIPALS, "clinician-1", limited)


async def test_the_answer_names_the_credential_as_what_binds(tmp_path: Path, narrow: None) -> None:
    desk = Reception(tmp_path)
    await desk.open()
    paper = instantiate("calf", "p-1", NOW.wall_ms)
    desk.clinic.add(paper, NOW.wall_ms)
    body = {"prescription_id": paper.ref, "patient_ref": "p-1"}
    desk.ask("session.prepare", body=body)
    await desk.desk.looked_up()
    (told,) = desk.outbox.take()
    ua = paper.channels[0].ua
    assert {name: told.said[name] for name in ("status", "code", "requested", "limit", "unit", "rule")} == {
        "status": "rejected", "code": "LIM.CREDENTIAL", "requested": ua, "limit": 1_000, "unit": "uA", "rule": None,
    }  # fmt: skip
    assert told.said["text"] == text("LIM.CREDENTIAL", "rejected", reason(1, ua, 1_000, "uA"))
    assert answers(desk.ask("session.prepare", body=body))[0][2] == "LIM.CREDENTIAL", "the answer was kept"
    question = {"verb": "session.prepare", "body": body}
    desk.ask("service.explain", command_id=numbered(2), body=question)
    await desk.desk.looked_up()
    (explained,) = desk.outbox.take()
    assert (explained.said["explained"]["obeyed"], explained.said["explained"]["code"]) == (False, "LIM.CREDENTIAL")
    await desk.close()
