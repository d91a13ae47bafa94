"""Whatever the device, the journal and the programme say: no step fails, and no fact lets current rise."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import (
    CAPS,
    IDENTITY,
    MONO_MS,
    WALL_MS,
    Phase,
    Picture,
    Train,
    standing,
)

from safety import machine
from safety.effects import Arm, Drive, Feed, Probe
from safety.machine import Step
from safety.messages import (
    Committed,
    Denied,
    DeviceDown,
    DeviceState,
    DeviceUp,
    Flaw,
    Garbled,
    Heard,
    Now,
    PatientStop,
    Probed,
    Sample,
    Status,
    Tick,
)
from safety.verdict import Reason, Severity

pytestmark = pytest.mark.rule("X3")

REACHED = list(Phase)
ENERGISING = Arm | Drive | Feed | Probe

WHOLE = st.integers(-(2**33), 2**65)
SMALL = st.integers(-1, 9)
STATUS = st.builds(
    Status, boot=SMALL, uptime_ms=WHOLE, frames=WHOLE, state=st.sampled_from(DeviceState), faults=SMALL,
    button=st.booleans(), presses=SMALL, supply_mv=st.integers(9_000, 15_000), permit=SMALL, grant=WHOLE,
)  # fmt: skip
SAMPLE = st.builds(
    Sample, channel=SMALL, ua=WHOLE, width_us=WHOLE, gap_us=WHOLE, period_us=WHOLE, measured_ua=WHOLE, ohm=WHOLE,
    pulses=WHOLE, charge_nc=WHOLE, clipped=SMALL, fresh=st.booleans(), open=st.booleans(), short=st.booleans(),
    clip=st.booleans(),
)  # fmt: skip
GRANT = st.integers(0, 60)
FACT = st.one_of(
    st.builds(Heard, GRANT, STATUS, st.lists(SAMPLE, max_size=3).map(tuple)),
    st.builds(Probed, GRANT, SMALL, WHOLE, st.booleans(), st.booleans()),
    st.builds(Garbled, st.sampled_from(Flaw), GRANT, st.just("noise")),
    st.builds(Committed, GRANT),
    st.builds(Denied, GRANT, st.just((Reason("L03", Severity.REFUSE, "DOSE.DAY"),))),
    st.builds(DeviceUp, st.just(IDENTITY), st.just(CAPS), STATUS),
    st.just(DeviceDown("unplugged")),
    st.just(PatientStop()),
)
TRAIN = st.builds(Train, SMALL, WHOLE, WHOLE, WHOLE, WHOLE)
TICK = st.builds(Tick, st.lists(TRAIN, max_size=3).map(lambda trains: Picture(tuple(trains))), WHOLE)
STATIONS = {phase: standing(phase).station for phase in REACHED}


@pytest.mark.hazard("H28")
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(phase=st.sampled_from(REACHED), events=st.lists(FACT | TICK, min_size=1, max_size=4))
def test_no_fact_makes_a_step_fail_or_current_rise(phase: Phase, events: list[object]) -> None:
    station, mono_ms = STATIONS[phase], MONO_MS + 10_000
    for event in events:
        mono_ms += 50
        done = machine.step(station, event, Now(mono_ms, WALL_MS))  # type: ignore[arg-type]
        assert isinstance(done, Step)
        for effect in done.effects:
            if isinstance(effect, Drive):
                assert station.phase is done.station.phase is Phase.RUNNING
                assert isinstance(event, Tick)
                assert [train.ua <= 20_000 for train in effect.picture.trains] in ([], [True])
            elif isinstance(effect, Feed):
                assert isinstance(event, Tick)
                assert station.phase in {Phase.ARMED, Phase.RUNNING}
            else:
                assert not isinstance(effect, Arm | Probe)
        station = done.station


def test_stations_of_every_phase_but_calibrating_were_tried() -> None:
    assert [station.phase for station in STATIONS.values()] == REACHED
    assert list(itertools.chain(STATIONS)) == list(Phase)
