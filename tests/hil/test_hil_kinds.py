"""What holds for every kind of device that the bench can play: the faults it can have, its switches, its back door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bench import Bench
from hil.devices.device import Asked, Kind, NotThisDevice
from hil.devices.kinds import KINDS
from hil.emulate import Emulator
from hil.faults import FAULTS
from hil.settings import BadSetting
from hil.verbs import VERBS, answer
from hil.wire import NullModem
from tests.hil.around import noted
from tests.hil.host import PLAIN, START_US

pytestmark = pytest.mark.hazard("H35")

EVERYWHERE = {
    "peel", "snap_off", "intermittent", "short", "dry_out", "bridge",
    "motion", "swapped_leads", "test_load",
    "dead_line", "half_open", "drop", "duplicate", "corrupt", "corrupt_each_bit", "split", "delay", "reorder",
    "baud_mismatch", "flood", "slow_answers",
    "over_delivery", "dac_gain", "stuck_dac", "missing_phase_2", "stuck_output", "drifted_clock",
    "ignored_stop", "silent_stop", "hung_firmware", "lost_dead_man", "device_reset", "supply", "brown_out", "wrong_id",
    "late_tick", "clock_jump", "disk_full", "read_only_disk", "memory_pressure", "broker_loss", "broker_flood",
}  # fmt: skip
"""What can go wrong with any stimulator."""


def built(kind: Kind) -> Bench:
    usual = {key: setting.default for key, setting in kind.switches.items()}
    build = kind.plan(Asked(kind.serial, kind.channels, switches=usual))
    return Bench(build, [PLAIN] * kind.channels, START_US)


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def test_a_kind_has_the_name_that_finds_it(kind: Kind):
    assert KINDS[kind.name] is kind
    assert built(kind).device.kind == kind.name
    assert built(kind).device.badge()["serial"] == kind.serial


def test_a_device_begins_with_no_output_and_nothing_to_do(kind: Kind):
    bench = built(kind)
    bench.advance(START_US)
    bench.advance(START_US + 10_000_000)
    assert not bench.stage.is_live
    assert [bench.scope.total(channel).pulses for channel in range(1, kind.channels + 1)] == [0] * kind.channels


def test_any_stimulator_can_have_the_usual_faults(kind: Kind):
    device = built(kind).device
    assert {name for name, entry in FAULTS.items() if entry.fits(device)} >= EVERYWHERE


def test_each_fault_acts_and_ends_or_is_refused_by_name(kind: Kind):
    bench = built(kind)
    _, bench.host = noted()
    for name, entry in FAULTS.items():
        if entry.fits(bench.device):
            token = bench.faults.inject(name)
            bench.advance(bench.now_us + 50_000)
            bench.faults.clear(token)
        else:
            with pytest.raises(NotThisDevice, match=f"fault='{name}': a {kind.name} device has none; it has peel, "):
                bench.faults.inject(name)
        bench.advance(bench.now_us + 50_000)
        assert bench.faults.standing() == []
        assert not any(len(knob._layers) > 1 for knob in bench.device.knobs.values())


def test_a_knob_that_is_not_there(kind: Kind):
    with pytest.raises(NotThisDevice, match=rf"knob='turbo': a {kind.name} device has none; it has .*hung, "):
        built(kind).knob("turbo")


def test_every_switch_has_a_usual_position(kind: Kind):
    device = built(kind).device
    assert device.switchable == kind.switches
    assert device.switches == {key: setting.default for key, setting in kind.switches.items()}
    for key, setting in kind.switches.items():
        assert setting.read(key, setting.default) == setting.default
        assert setting.text


def test_two_devices_of_one_plan_share_no_switch():
    kind = KINDS["sciencemode4"]
    build = kind.plan(Asked(kind.serial, kind.channels, switches={"hv_ms": 7}))
    one, other = (Bench(build, [PLAIN] * 8, START_US).device for _ in range(2))
    one.switches["hv_ms"] = 9
    assert other.switches["hv_ms"] == 7


@pytest.mark.parametrize("serial", ["", "x" * 17, "café"])
def test_a_serial_number_that_does_not_fit(kind: Kind, serial: str):
    with pytest.raises(BadSetting, match="serial="):
        kind.plan(Asked(serial, kind.channels))


def test_the_inside_is_json_and_looking_changes_nothing(kind: Kind):
    bench = built(kind)
    before = bench.device.inside(START_US)
    assert json.loads(json.dumps(before)) == json.loads(json.dumps(bench.device.inside(START_US)))
    assert {"state", "picture", "is_live"} <= set(before)


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = ["channel", "fault", "token", "since_us", "limit", "contact", "end", "at_us", "for_ms", "code", "number", "ramp"]
REQUESTS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4)
VERB_NAMES = st.sampled_from([name for name in VERBS if not name.startswith("line")])


@settings(max_examples=50)
@given(
    name=st.sampled_from(list(KINDS)),
    requests=st.lists(st.tuples(VERB_NAMES, REQUESTS, st.sampled_from([*FAULTS, None])), max_size=5),
)
async def test_no_line_at_the_back_door_ever_raises(name: str, requests: list[tuple[str, dict[str, Any], str | None]]):
    emulator = Emulator(built(KINDS[name]), NullModem(lambda _: None), lambda: START_US)
    emulator.start()
    for do, given_settings, fault in requests:
        line = {**given_settings, "do": do} | ({"fault": fault} if fault else {})
        said = answer(emulator, json.dumps(line).encode())
        assert said["ok"] or said["code"] in {"bad_setting", "not_this_device", "no_host"}
        assert json.dumps(said)
    emulator.bench.faults.clear_all()
    assert answer(emulator, b'{"do": "ping"}')["ok"]
    emulator.stop()
