"""safety/messages.py: the verbs, what carries them, and that a message once said cannot be changed."""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass
from typing import get_args

import pytest
from rig import Rig, config

from safety import messages
from safety.messages import (
    Adjust,
    Adverse,
    ArmSession,
    Attest,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Check,
    Claim,
    ClearLatch,
    Config,
    Event,
    Expect,
    Flaw,
    Pause,
    Prepare,
    Present,
    Rate,
    Rated,
    Release,
    Renew,
    Report,
    Resume,
    SkinCheck,
    Start,
    Stop,
    Threshold,
    Verb,
    Wish,
)

pytestmark = pytest.mark.hazard("H08")

WISHES = {
    "device.claim": Claim(),
    "device.renew": Renew(),
    "device.release": Release(),
    "session.prepare": Prepare(None, "rx-1@1", "p-1"),
    "session.attest": Attest((("pregnancy", "no"),)),
    "presence.confirm": Present(),
    "session.rate": Rate(Rated.EFFORT, 4),
    "session.skin_check": SkinCheck(ok=True),
    "adverse.report": Report(Adverse.BURNING),
    "impedance.check": Check(()),
    "calibration.begin": CalibrationBegin(1),
    "calibration.step": CalibrationStep(1_000),
    "calibration.mark": CalibrationMark(Threshold.SENSORY, absent=False),
    "calibration.end": CalibrationEnd(),
    "session.arm": ArmSession(),
    "session.start": Start(),
    "session.adjust": Adjust(1, -1_000),
    "session.pause": Pause(),
    "session.resume": Resume(),
    "session.stop": Stop(),
    "latch.clear": ClearLatch(1, "pad replaced"),
}


def test_every_verb_of_the_api_has_its_wish():
    assert {wish.verb.value: wish for wish in WISHES.values()} == WISHES
    assert set(WISHES) == {verb.value for verb in Verb}
    assert {type(wish) for wish in WISHES.values()} == set(get_args(Wish))


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_a_command_has_the_verb_of_its_wish(wish: Wish):
    assert Rig().command(wish).verb is wish.verb


def test_a_sender_need_not_say_what_it_believed():
    assert Expect() == Expect(boot_id=None, session_id=None, state_version=None)


@pytest.mark.hazard("H08")
@pytest.mark.parametrize("wish", [WISHES["session.adjust"], WISHES["impedance.check"], Expect(), config()])
def test_what_was_said_cannot_be_changed(wish: object):
    name = fields(wish)[0].name  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        setattr(wish, name, None)


def test_every_event_is_frozen_or_a_tuple():
    for kind in get_args(Event):
        assert issubclass(kind, tuple) or (is_dataclass(kind) and kind.__dataclass_params__.frozen)


def test_the_configuration_names_every_field():
    values = {spec.name: getattr(config(), spec.name) for spec in fields(Config)}
    for name in values:
        with pytest.raises(TypeError):
            Config(**{key: value for key, value in values.items() if key != name})


def test_the_words_on_the_wire_are_stable():
    assert [flaw.value for flaw in Flaw] == ["damaged", "refused", "timeout", "unknown"]
    assert [state.value for state in messages.DeviceState] == ["stopped", "armed", "running", "cut"]
    assert [kind.value for kind in messages.EntryKind] == [
        "open",
        "permit",
        "latch",
        "clear",
        "settle",
        "close",
        "wish",
        "calibration",
        "attest",
    ]
    assert [threshold.value for threshold in messages.Threshold] == ["sensory", "motor", "maximal"]


def test_every_message_and_what_it_carries_is_frozen_or_a_tuple():
    made_here = [kind for kind in vars(messages).values() if getattr(kind, "__module__", "") == messages.__name__]
    for kind in (kind for kind in made_here if is_dataclass(kind)):
        assert kind.__dataclass_params__.frozen, kind


def test_what_people_say_of_the_patient_has_stable_words_too():
    assert [adverse.value for adverse in Adverse] == ["burning", "pain", "syncope", "skin", "other"]
    assert [rated.value for rated in Rated] == ["effort", "pain"]


def test_what_a_message_does_not_say_is_nothing():
    assert Prepare(None, "rx-1@1", "p-1") == Prepare(None, "rx-1@1", "p-1", (), (), False, 0, None)
    assert messages.Committed(7) == messages.Committed(7, 0, 0)
    assert not Prepare(None, "rx-1@1", "p-1").continues


@pytest.mark.rule("X7")
@pytest.mark.hazard("H40")
def test_a_measurement_that_a_device_does_not_tell_of_is_not_fitted():
    silent = {spec.name: spec.default for spec in fields(messages.Capabilities) if spec.default is not MISSING}
    assert silent == {
        "balance": False, "temperature": False, "rails_mv": (), "reprobe": False, "echo": True, "min_gap_us": 0,
        "max_gap_us": 65_535, "mute_us": 0, "one_period": False, "probe_pulses": 1,
    }  # fmt: skip
    assert messages.Sample._field_defaults == {"imbalance_ppm": None, "skin_mdeg": None}


@pytest.mark.rule("G25")
def test_a_service_that_has_not_looked_at_itself_is_not_well():
    assert messages.WELL == (True, True, True)
    assert messages.UNKNOWN == (False, False, False)
