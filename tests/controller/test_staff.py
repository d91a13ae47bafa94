"""What the people of a site send is what the contract takes, and they read what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.contract.bodies import VERBS as KNOWN
from controller.contract.topics import Topics
from controller.prescriptions import read_prescription
from controller.staff import BEYOND, TIGHTER, VERBS, Charge, Shown, Staff
from safety.limits import SENSE, Sensation
from safety.rules.registry import RULES

STAFF = Staff("ward")
TOPICS = Topics("ward")
WALL_US = 1_795_000_000_000_000
PAD = {
    "channel": 1, "site": "s-1", "pair": "p-1", "ua": 20_000, "max_ua": 21_000, "width_us": 300, "gap_us": 100,
    "period_us": 25_000, "area_mm2": 2_500, "region_a": "thigh", "side_a": "left", "region_b": "knee", "side_b": "left",
    "spacing_mm": 80, "sensory_ua": 8_000, "motor_ua": 0, "maximal_ua": 60_000, "delay_ms": 500,
}  # fmt: skip
RX: dict[str, Any] = {
    "name": "rx-1", "patient": "p-1", "sensation": "S1", "modality": "nmes", "ramp_up_ms": 1_000, "on_ms": 2_000,
    "ramp_down_ms": 900, "off_ms": 6_000, "therapy_ms": 60_000, "pads": [PAD], "limits": [("treatments_day", 1)],
    "valid_days": 7, "calibrated_days": 2,
}  # fmt: skip
SHOWN = Shown("bed", "idle", "", (), {}, {}, {"boot_id": "b-1", "session_id": "", "state_version": 3})


def test_a_prescription_that_is_written_reads_as_it_was_meant(tmp_path: Path):
    file = tmp_path / "rx.toml"
    file.write_text(STAFF.prescription(RX, WALL_US), encoding="utf-8")
    rx = read_prescription(file)
    (plan,) = rx.channels
    assert (rx.ref, rx.patient, rx.sensation, rx.limits) == ("rx-1@1", "p-1", Sensation.S1, (("treatments_day", 1),))
    assert {name: getattr(rx.programme, name) for name in ("ramp_up_ms", "on_ms", "ramp_down_ms", "off_ms")} == {
        "ramp_up_ms": 1_000, "on_ms": 2_000, "ramp_down_ms": 900, "off_ms": 6_000,
    }  # fmt: skip
    same = ("channel", "site", "pair", "ua", "max_ua", "width_us", "gap_us", "period_us", "area_mm2", "delay_ms")
    assert {name: getattr(plan, name) for name in same} == {name: PAD[name] for name in same}
    assert plan.montage is not None
    assert (plan.montage.regions, plan.montage.spacing_mm) == (("thigh", "knee"), 80)
    found = plan.calibration
    assert found is not None
    assert (found.sensory_ua, found.motor_ua, found.maximal_ua) == (8_000, None, 60_000)
    assert WALL_US // 1_000 - found.at_wall_ms == (2 * 24 + 1) * 3_600_000


def test_who_was_never_calibrated_has_no_thresholds(tmp_path: Path):
    file = tmp_path / "rx.toml"
    pad = PAD | {"sensory_ua": 0, "motor_ua": 0, "maximal_ua": 0}
    file.write_text(STAFF.prescription(RX | {"pads": [pad], "limits": []}, WALL_US), encoding="utf-8")
    rx = read_prescription(file)
    assert (rx.channels[0].calibration, rx.limits) == (None, ())


@pytest.mark.parametrize("wish", VERBS)
def test_every_wish_is_a_verb_of_the_contract_under_its_sender_s_topic(wish: str):
    of = {"rx": "rx-1@1", "patient": "p-1", "latch": "l-1"} | ({"delta_ua": 500} if wish in {"adjust", "step"} else {})
    order = STAFF.order("physio", "bed", wish, 17, WALL_US, SHOWN, of)
    said = json.loads(order.payload)
    assert order.topic == TOPICS.command("bed", "physio", said["verb"])
    assert said["verb"] in KNOWN
    assert order.id == said["command_id"] == "0198c2a4-0000-7000-8000-000000000011"
    must = {"arm", "start", "resume", "begin", "adjust", "step"}
    assert said["expect"] == (dict(SHOWN.expect) if wish in must else {})


def test_a_refusal_an_event_and_a_state_are_read():
    answer = {"status": "rejected", "code": "CMD.PRECONDITION", "reasons": [{"rule": "G02"}, {"rule": "G27"}]}
    read = STAFF.answer(TOPICS.ack("bed", "physio", "c-1"), json.dumps(answer).encode())
    assert read == ("c-1", True, False, True, "CMD.PRECONDITION", ("G02", "G27"))
    event = {"reasons": [], "details": {"session_id": "s-1"}}
    told = STAFF.told(TOPICS.event("bed", "session.closed"), json.dumps(event).encode())
    assert told == ("bed", "session.closed", "s-1", ())
    latches = [
        {"latch_id": "l-3", "rule": "M01", "clear": "maintenance", "scope": "device"},
        {"latch_id": "l-4", "rule": "M08", "clear": "ack_qualified", "scope": "montage"},
        {"latch_id": "l-5", "rule": "STOP", "clear": "new_session", "scope": "session"},
    ]
    state = {
        "phase": "prepared", "session_id": "s-1", "latches": latches, "boot_id": "b-1", "state_version": 4,
        "channels": [{"channel": 2, "setpoint_ua": 5_000, "max_ua": 6_000}],
    }  # fmt: skip
    shown = STAFF.shown(TOPICS.summary("bed"), json.dumps(state).encode())
    assert shown is not None
    assert (shown.stage, shown.session, shown.set_ua, shown.caps_ua) == ("open", "s-1", {2: 5_000}, {2: 6_000})
    assert [(latch.who, latch.stops) for latch in shown.latches] == [
        ("biomed", True), ("prescriber", False), ("physio", True),
    ]  # fmt: skip
    assert shown.expect == {"boot_id": "b-1", "session_id": "s-1", "state_version": 4}


@pytest.mark.parametrize("read", [STAFF.answer, STAFF.told, STAFF.shown])
def test_what_is_for_nobody_here_is_not_read(read: Callable[[str, bytes], object]):
    assert read(TOPICS.telemetry("bed", 1), b"no JSON") is None
    assert read("elsewhere/v1/ward/bed/state/summary", b"no JSON") is None


def test_before_the_first_life_nothing_was_charged_or_permitted(tmp_path: Path):
    assert (STAFF.charges(tmp_path), STAFF.permitted(tmp_path)) == ([], frozenset())
    assert Charge("s-1", 1, 20) == ("s-1", 1, 20)


def test_what_is_said_of_rules_and_limits_names_rules_and_limits():
    assert BEYOND.keys() < {rule.id for rule in RULES}
    assert TIGHTER.keys() < SENSE.keys()
