"""Lists of the emulated RehaStim2 by the microsecond: slots, doublets, channels passed over, updates, single pulses."""

from __future__ import annotations

import pytest

from hil.devices.sciencemode2_list import fits
from hil.devices.sciencemode2_words import Channels, Pulse
from tests.hil.host2 import (
    BUSY,
    INIT_LIST,
    OK,
    PARAMETER,
    SINGLE,
    START_LIST,
    STARTED,
    STOP_LIST,
    Host,
    list_data,
    row,
)

pytestmark = pytest.mark.hazard("H35")


@pytest.fixture
def host() -> Host:
    return Host()


EIGHT = tuple(range(1, 9))
ONE, TWO, THREE = (Pulse(groups, 300, 1_000) for groups in (1, 2, 3))


@pytest.mark.parametrize(
    ("active", "between_us", "every_us", "pulse", "is_room"),
    [
        (EIGHT, 1_500, 8_000, ONE, True),
        (EIGHT, 9_000, 8_000, ONE, False),
        (EIGHT, 6_000, 12_000, TWO, True),
        (EIGHT, 5_999, 12_000, TWO, False),
        (EIGHT, 6_000, 11_999, TWO, False),
        (EIGHT, 6_000, 18_000, THREE, True),
        (EIGHT, 6_000, 17_999, THREE, False),
        (EIGHT, 6_000, 0, THREE, True),
        ((1, 2, 3, 4), 6_000, 0, TWO, True),
        ((1, 2, 3, 4), 4_500, 0, TWO, False),
        ((1, 2, 5, 6), 3_000, 0, TWO, True),
        ((1, 2, 5, 6), 2_999, 0, TWO, False),
        ((8,), 1_500, 8_000, THREE, True),
    ],
)
def test_groups_and_slots_need_room(
    host: Host, active: tuple[int, ...], between_us: int, every_us: int, pulse: Pulse, *, is_room: bool
):
    channels = Channels(0, active, frozenset(), between_us, every_us)
    # The longest of the channels counts.
    pulses = dict.fromkeys(active, ONE) | {active[-1]: pulse}
    assert fits(channels, pulses) is is_room


def test_a_list_without_room_is_refused_and_the_one_before_goes_on(host: Host):
    host.run(t2=37, t1=38)
    assert host.result(START_LIST, row(mode=1)) == PARAMETER
    assert host.mode() == STARTED
    host.wait(40_000)
    assert host.pulses() == [0, 20_000, 40_000]


# --- pulses -----------------------------------------------------------------------------------------------------------


def test_a_pulse_is_balanced_with_a_gap(host: Host):
    host.run(row(40, 250))
    (trace,) = host.bench.scope.pulses(1)
    assert (trace.first_ua, trace.second_ua, trace.charge_nc, trace.net_nc) == (40_000, 40_000, 20_000, 0)


@pytest.mark.parametrize(("width_us", "charge_nc"), [(0, 800), (19, 800), (20, 800), (21, 840), (500, 20_000)])
def test_a_short_pulse_is_given_with_the_least_width(host: Host, width_us: int, charge_nc: int):
    host.run(row(20, width_us))
    assert host.bench.scope.charge_nc(1) == charge_nc


def test_a_source_serves_its_channels_in_slots_and_both_work_at_once(host: Host):
    host.run(*[row()] * 8)
    host.wait(19_999)
    assert [host.pulses(channel) for channel in EIGHT] == [[0], [1_500], [3_000], [4_500]] * 2


def test_only_active_channels_take_a_slot(host: Host):
    host.result(INIT_LIST, list_data(2, 4, 7))
    host.result(START_LIST, row() * 3)
    host.wait(21_500)
    assert [host.pulses(channel) for channel in (2, 4, 7)] == [[0, 20_000], [1_500, 21_500], [0, 20_000]]


def test_a_channel_without_current_keeps_its_slot(host: Host):
    host.run(row(), row(0), row())
    host.wait(5_000)
    assert [host.pulses(channel) for channel in (1, 2, 3)] == [[0], [], [3_000]]


@pytest.mark.parametrize(
    ("code", "every_us"), [(14, 8_000), (38, 20_000), (56, 29_000), (57, 29_500), (2048, 1_025_000)]
)
def test_the_main_interval(host: Host, code: int, every_us: int):
    host.run(t1=code)
    host.wait(every_us - 1)
    assert host.pulses() == [0]
    host.wait(1)
    assert host.pulses() == [0, every_us]


@pytest.mark.parametrize(("mode", "count"), [(0, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize(("code", "between_us"), [(0, 1_500), (1, 2_000), (13, 8_000), (255, 129_000)])
def test_doublets_and_triplets(host: Host, mode: int, count: int, code: int, between_us: int):
    host.run(row(mode=mode), t2=code, t1=1_000)
    host.wait(500_999)
    assert host.pulses() == [group * between_us for group in range(count)]


def test_channels_of_different_groups_share_a_list(host: Host):
    host.run(row(mode=2), row(), row(mode=1), t2=13, t1=98)
    host.wait(50_000)
    assert host.pulses(1) == [0, 8_000, 16_000, 50_000]
    assert host.pulses(2) == [1_500]
    assert host.pulses(3) == [3_000, 11_000]


@pytest.mark.parametrize("skips", range(8))
def test_a_rare_channel_is_passed_over(host: Host, skips: int):
    host.run(row(), row(), skips=skips, rare=0b10)
    host.keep(2_000_000)
    assert host.pulses(1) == list(range(0, 2_000_001, 20_000))
    assert host.pulses(2) == list(range(1_500, 2_000_001, 20_000 * (skips + 1)))


def test_a_list_of_rare_channels_alone_keeps_its_rhythm(host: Host):
    host.run(skips=2, rare=1)
    host.wait(130_000)
    assert host.pulses() == [0, 60_000, 120_000]


def test_an_update_counts_from_the_next_list_on_and_keeps_the_rhythm(host: Host):
    host.run(row(20, mode=1), row(20), t2=13)
    host.wait(1_000)
    assert host.result(START_LIST, row(30) + row(0)) == OK
    host.wait(39_000)
    assert host.pulses(1) == [0, 8_000, 20_000, 40_000]
    assert host.pulses(2) == [1_500]
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000, 20_000, 30_000, 30_000]


def test_the_last_of_several_updates_counts_and_skips_go_on(host: Host):
    host.run(row(), row(), skips=1, rare=0b10)
    for ma in (30, 40, 50):
        host.wait(5_000)
        host.result(START_LIST, row(ma) + row(ma))
    host.wait(25_000)
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000, 50_000, 50_000]
    assert [trace.first_ua for trace in host.bench.scope.pulses(2)] == [20_000]
    host.wait(1_500)
    assert [trace.first_ua for trace in host.bench.scope.pulses(2)] == [20_000, 50_000]


@pytest.mark.parametrize("step_us", [1_000_000, 7_919, 20_000, 500])
def test_pulses_are_at_their_times_however_late_time_is_told(step_us: int):
    host = Host()
    host.run(row(mode=1), row(), t2=9, t1=38)
    for _ in range(100_000 // step_us + 1):
        host.jump(step_us)
    both = [at for list_us in range(0, 100_000, 20_000) for at in (list_us, list_us + 6_000)]
    assert [at for at in host.pulses(1) if at < 100_000] == both
    assert [at for at in host.pulses(2) if at < 100_000] == [1_500, 21_500, 41_500, 61_500, 81_500]


def test_each_start_runs_a_single_list_once(host: Host):
    host.run(row(mode=1), row(), t2=9, t1=0)
    host.wait(5_999)
    # The last slot has not begun.
    assert host.result(START_LIST, row(50) + row(50)) == BUSY
    host.wait(3_000)
    assert host.result(START_LIST, row(50) + row(50)) == BUSY
    host.wait(1)
    assert host.pulses(1) == [0, 6_000]
    host.wait(500_000)
    assert host.mode() == STARTED
    assert (host.pulses(1), host.pulses(2)) == ([0, 6_000], [1_500])
    assert host.result(START_LIST, row() + row()) == OK
    host.wait(500_000)
    assert (host.pulses(1), host.pulses(2)) == ([0, 6_000, 509_000], [1_500, 510_500])


def test_a_single_list_may_be_stopped_half_way(host: Host):
    host.run(row(mode=2), t2=13, t1=0)
    host.wait(9_000)
    host.result(STOP_LIST)
    host.wait(50_000)
    assert host.pulses() == [0, 8_000]
    host.run(t1=0)
    assert host.pulses() == [0, 8_000, 59_000]


def test_a_single_pulse_is_one_pulse(host: Host):
    assert host.result(SINGLE, b"\x04" + row(60, 400)[1:]) == OK
    host.wait(1_000_000)
    assert host.pulses(5) == [0]
    assert host.bench.scope.total(5).charge_nc == 48_000
    assert host.result(SINGLE, b"\x04" + row(0, 400)[1:]) == OK
    assert host.pulses(5) == [0]


def test_a_list_starts_anew_after_a_stop(host: Host):
    host.run(row(), row(), skips=7, rare=0b10)
    host.wait(45_000)
    host.result(STOP_LIST)
    host.wait(5_000)
    host.run(row(), row(), skips=7, rare=0b10)
    host.wait(20_000)
    assert host.pulses(1) == [0, 20_000, 40_000, 50_000, 70_000]
    assert host.pulses(2) == [1_500, 51_500]
