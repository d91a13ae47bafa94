"""The doer: the shape that a therapist drew, never above it; and the checker lets all of it pass."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import CAPS, Modality, Phase, Rig, plan, rx

from controller.devices.quantise import quantised
from controller.programme import burst, picture
from safety.limits import HARD
from safety.messages import Adjust, Pause, Resume
from safety.prescription import Plan, Programme
from safety.state import FRESH, Care, Course, Papers, Session, Setting, Trial
from safety.waveform import OFF, Picture, Train

LONG_AGO = 10**9
"""A resume so long ago that its own ramp is over."""


# What was drawn, in exact fractions, as lines between corners


def along(at_ms: int, *corners: tuple[int, Fraction | int]) -> Fraction:
    """The height of a line through these corners; where two share a time it jumps to the later one."""
    height = Fraction(corners[0][1])
    for (start, low), (end, high) in pairwise(corners):
        if at_ms >= end:
            height = Fraction(high)
        elif at_ms >= start:
            return low + (at_ms - start) * Fraction(high - low) / (end - start)
    return height


def drawn(programme: Programme, delay_ms: int, played_ms: int, resumed_ms: int) -> Fraction:
    """The share of the set-point that one channel shall have."""
    if not delay_ms <= played_ms < programme.therapy_ms:
        return Fraction(0)
    end_ms, up_ms, down_ms = programme.therapy_ms, programme.ramp_up_ms, programme.ramp_down_ms
    if programme.off_ms:
        fall_ms = up_ms + programme.on_ms
        cycle_ms = fall_ms + down_ms + programme.off_ms
        at_ms = (played_ms - delay_ms) % cycle_ms
        height = along(at_ms, (0, 0), (up_ms, 1), (fall_ms, 1), (fall_ms + down_ms, 0), (cycle_ms, 0))
    else:
        rise = along(played_ms, (delay_ms, 0), (delay_ms + up_ms, 1))
        height = min(rise, along(played_ms, (end_ms - down_ms, 1), (end_ms, 0)))
    warm = Fraction(programme.warm_ppm, 1_000_000)
    warmth = min(
        along(played_ms, (0, warm), (programme.warm_up_ms, 1)),
        along(played_ms, (end_ms - programme.cool_down_ms, 1), (end_ms, warm)),
    )
    return min(height, warmth, along(resumed_ms, (0, 0), (up_ms, 1)))


def shape(**changes: int | Modality) -> Programme:
    """2 s on, 6 s off, 1 s ramps, two cycles; its ramps divide a million, so that ppm are exact."""
    usual: dict[str, int | Modality] = {
        "modality": Modality.NMES, "ramp_up_ms": 1_000, "on_ms": 2_000, "ramp_down_ms": 500, "off_ms": 6_000,
        "therapy_ms": 19_000,
    }  # fmt: skip
    return Programme(**(usual | changes))  # type: ignore[arg-type]


def session(programme: Programme, *plans: Plan) -> Session:
    """A session of this programme, every channel at its prescribed current."""
    prescription = rx(*(plans or (plan(),)), programme=programme)
    settled = tuple(Setting(each, each.ua, 0) for each in prescription.channels)
    zeros = (0,) * len(settled)
    course, care, papers = (
        Course(0, 0, 0, 0, (), 0, zeros, zeros, 0),
        Care(0, 0, 0, 0, 0),
        Papers(None, stop_tried=False),
    )
    channels = (FRESH,) * len(settled)
    return Session("s-1", prescription, HARD[Modality.NMES], settled, (), None, care, course, channels, papers)


def heights(of: Session, played_ms: int, resumed_ms: int = LONG_AGO) -> dict[int, int]:
    """The current of each channel that is on, in uA."""
    return {train.channel: train.ua for train in picture(of, played_ms, resumed_ms).trains}


# Every millisecond

SHAPES = {
    "cycles": shape(),
    "no ramp down": shape(ramp_down_ms=0),
    "warm-up": shape(warm_up_ms=10_000, warm_ppm=500_000),
    "cool-down": shape(cool_down_ms=10_000, warm_ppm=500_000),
    "warm-up and cool-down": shape(warm_up_ms=5_000, cool_down_ms=12_500, warm_ppm=100_000),
    "tens": shape(modality=Modality.TENS, off_ms=0, on_ms=15_000, ramp_down_ms=1_000),
    "tens whose plateau is not the rest of it": shape(modality=Modality.TENS, off_ms=0, on_ms=1),
    "tens that lasts longer than its therapy": shape(modality=Modality.TENS, off_ms=0, on_ms=19_000),
    "tens that ends while it rises": shape(modality=Modality.TENS, off_ms=0, ramp_up_ms=12_500, ramp_down_ms=10_000),
    "tens in bursts": shape(modality=Modality.TENS, off_ms=1_000),
}


@pytest.mark.parametrize("delay_ms", [0, 1, 4_250])
@pytest.mark.parametrize("name", SHAPES)
def test_at_every_millisecond_the_current_is_what_was_drawn(name: str, delay_ms: int) -> None:
    programme = SHAPES[name]
    of = session(programme, plan(ua=20_000, delay_ms=delay_ms))
    played = range(programme.therapy_ms + 2)
    wanted = [drawn(programme, delay_ms, at_ms, LONG_AGO) * 20_000 for at_ms in played]
    got = [heights(of, at_ms).get(1, 0) for at_ms in played]
    assert got == [int(want) for want in wanted]
    assert max(got) > 0
    assert got[programme.therapy_ms :] == [0, 0]


def test_the_corners_of_a_cycle() -> None:
    of = session(shape())
    corners = {0: 0, 1: 20, 999: 19_980, 1_000: 20_000, 3_000: 20_000, 3_001: 19_960, 3_499: 40, 3_500: 0, 9_499: 0}
    assert {at_ms: heights(of, at_ms).get(1, 0) for at_ms in corners} == corners
    assert {at_ms: heights(of, at_ms + 9_500).get(1, 0) for at_ms in corners} == corners
    assert picture(of, 19_000, LONG_AGO) == picture(of, 10**9, LONG_AGO) == OFF


def test_what_is_off_has_no_train_and_what_is_on_has_the_prescribed_one() -> None:
    of = session(shape(), plan(), plan(channel=2, site="right-quadriceps", ua=10_000, width_us=200, delay_ms=4_750))
    first, second = Train(1, 20_000, 300, 100, 25_000), Train(2, 10_000, 200, 100, 25_000)
    assert picture(of, 0, LONG_AGO) == OFF
    assert picture(of, 2_000, LONG_AGO) == Picture((first,))
    assert picture(of, 7_000, LONG_AGO) == Picture((second,))
    assert picture(of, 4_000, LONG_AGO) == OFF


def test_warm_up_begins_at_its_share_and_cool_down_ends_there() -> None:
    of = session(shape(modality=Modality.TENS, off_ms=0, ramp_up_ms=0, ramp_down_ms=0, on_ms=19_000, warm_up_ms=10_000))
    assert [heights(of, at_ms)[1] for at_ms in (0, 5_000, 10_000, 18_999)] == [10_000, 15_000, 20_000, 20_000]
    of = session(
        shape(modality=Modality.TENS, off_ms=0, ramp_up_ms=0, ramp_down_ms=0, on_ms=19_000, cool_down_ms=10_000)
    )
    assert [heights(of, at_ms)[1] for at_ms in (0, 9_000, 14_000, 18_999)] == [20_000, 20_000, 15_000, 10_001]


@pytest.mark.rule("M03")
@pytest.mark.hazard("H08")
def test_after_a_pause_it_rises_from_zero_to_where_it_stood() -> None:
    of = session(shape())
    # Paused in the plateau: the ramp of the resume. Paused near the end of it: the programme falls before that is over.
    assert [heights(of, 1_500 + at_ms, at_ms).get(1, 0) for at_ms in (0, 1, 500, 1_000, 1_500)] == [
        0, 20, 10_000, 20_000, 20_000,
    ]  # fmt: skip
    assert [heights(of, 2_900 + at_ms, at_ms).get(1, 0) for at_ms in (0, 100, 300, 500, 600)] == [
        0, 2_000, 6_000, 4_000, 0,
    ]  # fmt: skip


def test_the_set_point_scales_all_of_it() -> None:
    of = session(shape())
    lowered = of._replace(settings=(of.settings[0]._replace(setpoint_ua=7_000),))
    assert [heights(lowered, at_ms).get(1, 0) for at_ms in (500, 2_000, 3_250)] == [3_500, 7_000, 3_500]


# Whatever is drawn


@st.composite
def programmes(draw: st.DrawFn) -> Programme:
    """Anything that a prescription may hold."""
    modality = draw(st.sampled_from(Modality))
    therapy_ms = draw(st.integers(1_000, 3_600_000))
    part = st.integers(0, therapy_ms)
    warm_up_ms = draw(part)
    return Programme(
        modality=modality, ramp_up_ms=draw(part), on_ms=draw(st.integers(1, therapy_ms)), ramp_down_ms=draw(part),
        off_ms=draw(st.integers(1 if modality is Modality.NMES else 0, therapy_ms)), therapy_ms=therapy_ms,
        warm_up_ms=warm_up_ms, cool_down_ms=draw(st.integers(0, therapy_ms - warm_up_ms)),
        warm_ppm=draw(st.integers(1, 1_000_000)),
    )  # fmt: skip


@pytest.mark.hazard("H08")
@settings(max_examples=300, deadline=None)
@given(programmes(), st.integers(1, 200_000), st.data())
def test_it_is_never_above_what_was_drawn_nor_above_the_set_point(
    programme: Programme, ua: int, data: st.DataObject
) -> None:
    delay_ms = data.draw(st.integers(0, min(600_000, programme.cycle_ms - 1)))
    of = session(programme, plan(ua=ua, max_ua=ua, delay_ms=delay_ms))
    moments = data.draw(st.lists(st.integers(0, programme.therapy_ms + 1), min_size=5, max_size=20))
    for at_ms in moments:
        resumed_ms = data.draw(st.sampled_from([0, 1, at_ms, at_ms // 2, LONG_AGO]))
        want = drawn(programme, delay_ms, at_ms, resumed_ms) * ua
        got = heights(of, at_ms, resumed_ms).get(1, 0)
        # Heights are cut to ppm: each cut is worth at most ua / 1,000,000, and the last one makes whole uA.
        cut = Fraction(3 * ua, 1_000_000) + 1
        assert want - cut < got <= min(Fraction(ua), want + Fraction(ua, 1_000_000))
        assert got >= 0


# The checker lets it pass


class Played(Rig):
    """The heart on the bench, with the controller's own programme and rounding."""

    def wanted(self) -> Picture:
        session, beat = self.station.session, self.station.beat
        if session is None or self.phase is not Phase.RUNNING:
            return OFF
        late_ms = self.mono_ms - beat.tick_ms
        course = session.course
        return quantised(picture(session, course.played_ms + late_ms, course.since_resume_ms + late_ms), CAPS)


@st.composite
def legal(draw: st.DrawFn) -> tuple[Programme, tuple[Plan, ...]]:
    """Anything that the gate accepts at the shipped policy, and that is over soon."""
    modality = draw(st.sampled_from(Modality))
    on_ms = draw(st.integers(50, 4_000))
    rest_ms = draw(st.integers(3 * on_ms, 3 * on_ms + 4_000))
    therapy_ms = draw(st.integers(16_000, 24_000))
    warm_up_ms = draw(st.sampled_from([0, 3_000]))
    programme = Programme(
        modality=modality, ramp_up_ms=draw(st.integers(1_000, 6_000)), on_ms=on_ms,
        ramp_down_ms=draw(st.integers(0, 5_000)), therapy_ms=therapy_ms,
        off_ms=0 if modality is Modality.TENS and draw(st.booleans()) else rest_ms,
        warm_up_ms=warm_up_ms, cool_down_ms=draw(st.sampled_from([0, 3_000])), warm_ppm=draw(st.integers(1, 1_000_000)),
    )  # fmt: skip
    plans = tuple(
        plan(
            channel=channel, site=f"site-{channel}", ua=ua, max_ua=ua + 3_000, width_us=draw(st.integers(50, 300)),
            period_us=draw(st.integers(12_500, 200_000)), delay_ms=draw(st.integers(0, programme.cycle_ms - 1)),
        )
        for channel, ua in enumerate(draw(st.lists(st.integers(100, 50_000), min_size=1, max_size=2)), 1)
    )  # fmt: skip
    return programme, plans


def started(programme: Programme, plans: tuple[Plan, ...]) -> Played:
    """A rig that runs, on skin that suits any current."""
    rig = Played()
    rig.device.ohm = {1: 1_000, 2: 1_000}
    rig.running(rx(*plans, programme=programme))
    return rig


def to_the_end(rig: Played, ticks: list[int]) -> None:
    """Let it play, at ticks of these lengths over and over, until it is over by itself."""
    session = rig.station.session
    assert session is not None
    left = session.rx.programme.therapy_ms // min(ticks) + len(ticks) + 2
    while rig.phase is Phase.RUNNING and left:
        rig.tick(ms=ticks[left % len(ticks)])
        left -= 1
    assert (rig.phase, rig.latched(), rig.events("session.held")) == (Phase.IDLE, [], [])
    assert [event.kind for event in rig.events("session.completed")] == ["session.completed"]


whole = settings(
    max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)


@pytest.mark.rule("M03")
@pytest.mark.rule("M20")
@pytest.mark.rule("M21")
@whole
@given(legal(), st.lists(st.integers(40, 100), min_size=1, max_size=7))
def test_any_legal_session_is_completed_without_a_rule_speaking(
    drawn: tuple[Programme, tuple[Plan, ...]], ticks: list[int]
) -> None:
    to_the_end(started(*drawn), ticks)


@pytest.mark.rule("M03")
@whole
@given(legal(), st.integers(1, 80))
def test_a_pause_anywhere_changes_nothing_of_that(drawn: tuple[Programme, tuple[Plan, ...]], before: int) -> None:
    rig = started(*drawn)
    rig.tick(before)
    rig.must(Pause())
    rig.tick(20)
    rig.must(Resume())
    to_the_end(rig, [50])


@pytest.mark.parametrize("delta_ua", [-19_000, -2_000, -100, 100, 1_000])
def test_a_new_set_point_on_the_plateau_is_followed_at_the_next_tick(delta_ua: int) -> None:
    rig = started(shape(), (plan(),))
    rig.tick(40)
    assert rig.must(Adjust(1, delta_ua)).details == (("setpoint_ua", 20_000 + delta_ua),)
    rig.tick(1)
    assert rig.station.beat.picture == Picture((plan().train(20_000 + delta_ua),))
    to_the_end(rig, [50])


@pytest.mark.rule("M03")
def test_a_burst_rises_from_zero_to_its_set_point_and_flows_only_while_the_button_is_down() -> None:
    alone = shape(ramp_up_ms=1_000, on_ms=3_000, ramp_down_ms=0, off_ms=1)
    first, second = plan(channel=1), plan(channel=2)
    held = Trial(2, alone, held_ms=5_000, began_ms=5_000, ended_ms=0, is_loud=False, felt_ua=0, marks=())
    session = SimpleNamespace(settings=(Setting(first, 20_000, 0), Setting(second, 12_000, 0)))
    expected = {5_000: 0, 5_001: 12, 5_500: 6_000, 5_999: 11_988, 6_000: 12_000, 7_999: 12_000}
    for now_ms, ua in expected.items():
        wanted = Picture((second.train(ua),)) if ua else OFF
        assert burst(session, held, now_ms) == wanted  # type: ignore[arg-type]
    assert burst(session, held._replace(began_ms=0), 5_500) == OFF  # type: ignore[arg-type]
