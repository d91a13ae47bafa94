"""What the emulated P24 measures is what the body has: samples to a hundredth, electrode check, errors of channels."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.body import Load, Skin
from tests.hil.host import PLAIN
from tests.hil.host4 import (
    ELECTRODE,
    LOW_CURRENT,
    LOW_INIT,
    LOW_PULSE,
    MID_INIT,
    MID_UPDATE,
    OK,
    PARAMETER,
    PULSE_TIMEOUT,
    RESET,
    SQUARE,
    TRANSFER,
    Host4,
    Said,
    Shape,
    pattern,
    pulse,
    update,
)

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H04")]

NO, CURRENT, VOLTAGE, SOURCE = range(4)
OPEN = Skin(lead_off=True)
HALF_A_STEP = 0.005 + 1e-9
"""Samples are whole hundredths, of a milliampere or a volt."""


def low(*skins: Skin, measure: int = NO) -> Host4:
    """A P24 at the low level."""
    host = Host4(*skins)
    assert host.result(LOW_INIT, bytes((measure << 4,))) == OK
    return host


def measured(host: Host4, shape: Shape = SQUARE, channel: int = 1) -> tuple[int, list[float]]:
    """Interval in us and the samples, in mA or V."""
    payload = host.ask(LOW_PULSE, pulse(channel, shape))
    assert len(payload) == 261
    index = channel - 1
    assert payload[1] == index // 4 << 4 | index % 4
    words = [int.from_bytes(payload[at : at + 2], "big") for at in range(3, 261, 2)]
    return words[0], [word / 100 for word in words[1:]]


# --- single pulses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", range(1, 9))
def test_a_single_pulse_on_each_channel(channel: int):
    host = low()
    at_us = host.now_us
    connector, colour = divmod(channel - 1, 4)
    assert host.ask(LOW_PULSE, pulse(channel)) == bytes((OK, connector << 4 | colour, NO))
    for other in range(1, 9):
        assert host.pulses(at_us, other) == ([(0, 20_000)] if other == channel else [])
    host.wait(10_000_000)
    # Silence is no pulses: there is no dead man and nothing to end.
    assert len(host.bench.scope.pulses(channel)) == 1


@pytest.mark.parametrize(("shape", "width_us"), [(SQUARE, 500), ([(3, 20), (4_095, 0), (10, -20)], 4_115)])
def test_the_answer_comes_after_the_pulse(shape: Shape, width_us: int):
    host = low()
    assert host.is_silent(LOW_PULSE, pulse(1, shape))
    assert host.wait(width_us - 1) == []
    assert host.wait(1) == [Said(63, LOW_PULSE + 1, bytes((OK, 0, NO)))]


def test_pulses_wait_for_one_another():
    host = low()
    at_us = host.now_us
    for channel in (1, 2, 1):
        assert host.is_silent(LOW_PULSE, pulse(channel))
    assert [one.payload[1] for one in host.jump(2_000)] == [0, 1, 0]
    assert (host.times(at_us, 1), host.times(at_us, 2)) == ([0, 1_000], [500])


@pytest.mark.parametrize("payload", [pulse(execute=False), pulse(execute=False)[:1]], ids=["with", "without"])
def test_a_pulse_that_is_not_to_be_executed_may_come_with_points_or_without(payload: bytes):
    host = low(measure=CURRENT)
    at_us = host.now_us
    assert host.ask(LOW_PULSE, payload) == bytes((OK, 0, NO))
    assert host.now_us == at_us
    assert host.pulses(at_us) == []


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        (pulse()[:-1], TRANSFER),
        (pulse() + b"\x00", TRANSFER),
        (pulse(execute=False)[:-1], TRANSFER),
        (pulse()[:1], TRANSFER),
        (pulse(1, [(200, 261)]), PARAMETER),
        (pulse(1, [(200, -261)]), PARAMETER),
        (pulse()[:-1] + b"\x20", PARAMETER),
    ],
)
def test_single_pulses_that_are_refused(payload: bytes, result: int):
    host = low()
    at_us = host.now_us
    assert host.ask(LOW_PULSE, payload) == bytes((result, 0, NO))
    host.wait(10_000)
    assert host.pulses(at_us) == []


@pytest.mark.parametrize(
    ("skin", "half_ma", "result"),
    [
        (OPEN, 30, ELECTRODE),
        (OPEN, 29, OK),
        (Skin(resistor_ohm=8_000.0), 40, LOW_CURRENT),
        (Skin(resistor_ohm=8_000.0), 39, OK),
        (Skin(resistor_ohm=20_000.0), 40, ELECTRODE),
        (Skin(resistor_ohm=20_000.0), 29, OK),
    ],
)
@pytest.mark.hazard("H06")
def test_the_electrode_check_begins_at_15_ma(skin: Skin, half_ma: int, result: int):
    host = low(skin)
    assert host.ask(LOW_PULSE, pulse(1, [(200, half_ma), (200, -half_ma)])) == bytes((result, 0, NO))


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width_us", "every_us"), [(128, 1), (129, 2), (500, 4), (512, 4), (513, 5), (4_095, 32)])
def test_the_samples_cover_the_pulse(width_us: int, every_us: int):
    interval, samples = measured(low(measure=CURRENT), [(width_us, 20)])
    assert interval == every_us
    inside = sum((n + 0.5) * every_us <= width_us for n in range(128))
    assert samples == [10.0] * inside + [0.0] * (128 - inside)
    assert inside * every_us > width_us - every_us


def test_samples_of_the_current_have_no_sign_and_know_the_gap():
    interval, samples = measured(low(measure=CURRENT))
    times = [(n + 0.5) * interval for n in range(128)]
    assert samples == [20.0 if at < 200 or 300 < at < 500 else 0.0 for at in times]


def test_samples_of_a_resistor_are_ohms_law():
    host = low(Skin(resistor_ohm=1_234.0), measure=VOLTAGE)
    _, samples = measured(host)
    assert samples[:50] == [24.68] * 50
    assert samples[50:75] == [0.0] * 25


def test_samples_of_the_source():
    host = Host4()
    assert host.result(LOW_INIT, bytes((SOURCE << 4 | 3 << 1,))) == OK
    assert measured(host)[1] == [60.0] * 128


def test_samples_of_the_voltage_follow_the_skin():
    """Against the formula of R_s + (R_p || C_p), written once more."""
    load = PLAIN.load(20_000, 150_000, 0)
    assert isinstance(load, Load)
    tau_us = load.parallel_ohm * load.farad * 1e6
    interval, samples = measured(low(measure=VOLTAGE))
    times = [(n + 0.5) * interval for n in range(128)]

    def volts(at_us: float) -> float:
        charged = 0.02 * load.parallel_ohm
        first = charged * (1 - exp(-min(at_us, 200) / tau_us))
        if at_us <= 200:
            return 0.02 * load.series_ohm + first
        left = first * exp(-(min(at_us, 300) - 200) / tau_us)
        if at_us <= 300:
            return left
        second = charged + (-left - charged) * exp(-(at_us - 300) / tau_us)
        return abs(0.02 * load.series_ohm + second) if at_us <= 500 else 0.0

    assert samples == pytest.approx([volts(at) for at in times], abs=HALF_A_STEP)


@given(
    area=st.floats(5, 100),
    contact=st.floats(0.2, 1),
    dryness=st.floats(1, 4),
    half_ma=st.integers(1, 120),
    width_us=st.integers(10, 1_000),
)
def test_voltage_over_current_is_the_impedance_of_the_body(
    *, area: float, contact: float, dryness: float, half_ma: int, width_us: int
):
    """The same pulse measured twice, as a driver would: every sample is the body's own to a hundredth."""
    skin = Skin(area_cm2=area, contact=contact, dryness=dryness, hydration=0.0)
    shape = [(width_us, half_ma), (width_us, -half_ma)]
    interval, amperes = measured(low(skin, measure=CURRENT), shape)
    again, volts = measured(low(skin, measure=VOLTAGE), shape)
    assert interval == again
    load = skin.load(half_ma * 500, 150_000, 0)
    assert load is not None
    tau_us = load.parallel_ohm * load.farad * 1e6
    for n, (ma, volt) in enumerate(zip(amperes, volts, strict=True)):
        at_us = (n + 0.5) * interval
        if at_us > width_us:
            break
        ohm = load.series_ohm + load.parallel_ohm * (1 - exp(-at_us / tau_us))
        if half_ma / 2e3 * ohm < 149.9:
            assert ma == half_ma / 2
            assert volt == pytest.approx(half_ma / 2e3 * ohm, abs=HALF_A_STEP)
        else:
            assert ma <= half_ma / 2
            assert volt <= 150.0


@pytest.mark.hazard("H14")
def test_samples_see_the_dac_and_not_what_is_behind_the_sense_resistor():
    host = low(measure=CURRENT)
    with host.bench.faults.injected("over_delivery", gain=1.5):
        at_us = host.now_us
        assert measured(host)[1][0] == 20.0
        assert host.pulses(at_us) == [(0, 30_000)]
    with host.bench.faults.injected("dac_gain", gain=1.5):
        assert measured(host)[1][0] == 30.0


@pytest.mark.hazard("H15")
def test_samples_see_a_missing_second_phase():
    host = low(measure=CURRENT)
    with host.bench.faults.injected("missing_phase_2"):
        _, samples = measured(host)
    assert samples == [20.0] * 50 + [0.0] * 78


def test_an_open_lead_has_the_whole_voltage_and_no_current():
    assert measured(low(OPEN, measure=CURRENT), [(500, 20)])[1] == [0.0] * 128
    assert measured(low(OPEN, measure=VOLTAGE), [(500, 20)])[1][:125] == [150.0] * 125


# --- errors of channels in the mid level ------------------------------------------------------------------------------


@pytest.mark.hazard("H06")
@pytest.mark.parametrize(
    ("skin", "code", "result"), [(OPEN, 1, ELECTRODE), (Skin(resistor_ohm=8_000.0), 3, LOW_CURRENT)]
)
@pytest.mark.parametrize("switch", ["zero", "error"])
def test_a_channel_with_an_error_stops_and_the_others_go_on(skin: Skin, code: int, result: int, switch: str):
    host = Host4(PLAIN, skin)
    host.bench.device.switches["data_result"] = switch
    fed_us = host.run(pattern(1), pattern(2))
    host.wait(100_000)
    assert host.data() == (result if switch == "error" else OK, [1], [0, code, 0, 0, 0, 0, 0, 0])
    assert len(host.times(fed_us, 1)) == 6
    assert len(host.times(fed_us, 2)) == (0 if skin is OPEN else 1)
    assert host.bench.device.inside(host.now_us)["errors"] == {"2": "ELECTRODE" if code == 1 else "LOW_CURRENT"}
    # It stays off when the contact is back, until an update.
    host.bench.bodies[1].skin = PLAIN
    host.wait(100_000)
    assert host.data()[1] == [1]
    again_us = host.now_us
    assert host.result(MID_UPDATE, update(pattern(1), pattern(2))) == OK
    assert host.data() == (OK, [1, 2], [0] * 8)
    host.wait(0)
    assert host.times(again_us, 2) == [0]


@pytest.mark.hazard("H06")
def test_or_all_of_them_stop():
    host = Host4(PLAIN, OPEN)
    fed_us = host.run(pattern(1), pattern(2), pattern(3), stop_all=True)
    host.wait(100_000)
    assert host.data() == (OK, [], [0, 1, 0, 0, 0, 0, 0, 0])
    # Pulses of the same moment go by channel: the third never came to its turn.
    assert (host.times(fed_us, 1), host.times(fed_us, 3)) == ([0], [])
    assert host.status()[0] == 2


@pytest.mark.hazard("H06")
@pytest.mark.parametrize(("half_ma", "active"), [(29, [1]), (30, [])])
def test_below_15_ma_a_lifted_electrode_stays_unnoticed(half_ma: int, active: list[int]):
    host = Host4(OPEN)
    host.run(pattern(1, [(200, half_ma), (200, -half_ma)]))
    host.wait(200_000)
    assert host.data()[1] == active


def test_the_check_begins_elsewhere_by_switch():
    host = Host4(OPEN, check_from_ma=0)
    host.run(pattern(1, [(200, 2), (200, -2)]))
    host.wait(0)
    assert host.data() == (OK, [], [1, 0, 0, 0, 0, 0, 0, 0])


def test_a_ramp_is_checked_with_the_current_it_gives():
    host = Host4(OPEN)
    host.run(pattern(1, ramp=3))
    host.wait(35_000)
    # 5 and 10 mA are not checked; 15 mA is.
    assert host.data()[1] == [1]
    host.wait(10_000)
    assert host.data() == (OK, [], [1, 0, 0, 0, 0, 0, 0, 0])


def test_a_pattern_without_current_is_never_in_error():
    host = Host4(OPEN, check_from_ma=0)
    host.run(pattern(1, [(200, 0)]))
    host.wait(100_000)
    assert host.data() == (OK, [1], [0] * 8)


@pytest.mark.parametrize(("code", "errors"), [(1, [2] + [0] * 7), (2, [0] * 8)])
def test_a_period_that_cannot_be_kept_is_a_pulse_timeout(code: int, errors: list[int]):
    """500 us of points and 60 beside them do not go into half a millisecond."""
    host = Host4(duty_check=False)
    fed_us = host.run(pattern(1, code=code))
    host.wait(2_000)
    assert host.data() == (OK, [] if errors[0] else [1], errors)
    assert host.times(fed_us) == ([0] if errors[0] else [0, 1_000, 2_000])


@pytest.mark.parametrize(("code", "result"), [(1, ELECTRODE), (2, PULSE_TIMEOUT), (3, LOW_CURRENT)])
def test_an_error_that_nobody_can_see(code: int, result: int):
    host = Host4(data_result="error")
    fed_us = host.run(pattern(1), pattern(2))
    host.wait(5_000)
    with host.bench.faults.injected("channel_error", channel=2, code=code):
        host.wait(20_000)
    assert host.data() == (result, [1], [0, code, 0, 0, 0, 0, 0, 0])
    assert host.times(fed_us, 2) == [0, 20_000]
    assert host.result(RESET) == OK
    assert host.result(LOW_INIT, b"\x00") == OK
    with host.bench.faults.injected("channel_error", code=code):
        assert host.result(LOW_PULSE, pulse()) == result
    assert host.result(LOW_PULSE, pulse()) == OK


def test_a_clipped_channel_is_low_and_gets_what_the_rail_gives():
    """130 mA on ordinary skin: the rail holds it back, the device says so and stops."""
    host = Host4()
    assert host.result(MID_INIT, b"\x00") == OK
    at_us = host.now_us
    assert host.result(MID_UPDATE, update(pattern(1, [(200, 260), (200, -260)]))) == OK
    assert host.data() == (OK, [], [3, 0, 0, 0, 0, 0, 0, 0])
    assert len(host.times(at_us)) == 1
