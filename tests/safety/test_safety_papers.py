"""safety/rules/papers.py: what must be known before current flows, each rule at its boundary and beside it."""

from __future__ import annotations

import pytest
from rig import (
    CAPS,
    HARD,
    SHIPPED_NMES,
    VOUCHED,
    ArmSession,
    Attest,
    Modality,
    Programme,
    Rig,
    Sensation,
    Start,
    plan,
    replace,
    rx,
)
from test_safety_montage import pads

from safety.attestation import ITEMS, Attestation, Kind
from safety.limits import Limits, meet, site_limits
from safety.messages import Adjust, Claim, Health, Resume
from safety.prescription import Plan
from safety.rules import papers
from safety.rules.views import Gate, Lane
from safety.verdict import Reason, Severity

NMES = site_limits(Modality.NMES, SHIPPED_NMES)
HARDEST = HARD[Modality.NMES]
DAY_MS = 86_400_000


def refuse(rule: str, code: str, *rest: object, **named: str) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest, **named)  # type: ignore[arg-type]


def at(wish: object = None, **changes: object) -> Gate:
    """A wish on a rig that is armed and ready to start; `changes` are of the command."""
    rig = Rig().armed()
    return Gate(rig.station, rig.command(wish or Start(), **changes), rig.station.session, rig.now, 0, 0)


def with_papers(view: Gate, **changes: object) -> Gate:
    assert view.session is not None
    return view._replace(session=view.session._replace(papers=view.session.papers._replace(**changes)))  # type: ignore[arg-type]


def limited(view: Gate, limits: Limits) -> Gate:
    assert view.session is not None
    return view._replace(session=view.session._replace(limits=limits))


def prescribing(view: Gate, *plans: Plan, **changes: object) -> Gate:
    assert view.session is not None
    return view._replace(session=view.session._replace(rx=rx(*plans, **changes)))  # type: ignore[arg-type]


RULES = (papers.g03, papers.g05, papers.g05_absolute, papers.g22, papers.g24)


@pytest.mark.rule("X3")
@pytest.mark.parametrize("rule", RULES)
def test_without_a_session_a_rule_about_it_has_nothing_to_say(rule: object) -> None:
    assert rule(at()._replace(session=None)) is None  # type: ignore[operator]


# G01


@pytest.mark.rule("G01")
def test_only_an_attestation_is_judged_by_its_answers() -> None:
    wrong = refuse("G01", "CMD.SCHEMA", 0, 0, 0, "answers")
    assert papers.g01_answers(at(Attest(VOUCHED.answers))) is None
    assert papers.g01_answers(at(Attest((("pregnancy", "maybe"),)))) == wrong
    assert papers.g01_answers(at(Start())) is None


# G03


def waited(ms: int, limits: Limits = NMES, **changes: object) -> Gate:
    view = limited(at(**changes), limits)
    assert view.session is not None
    return view._replace(now=view.now._replace(mono_ms=view.session.course.armed_ms + ms))


@pytest.mark.rule("G03")
@pytest.mark.hazard("H22")
@pytest.mark.parametrize(("limits", "longest_ms"), [(NMES, 60_000), (HARDEST, 120_000)])
def test_a_start_follows_arming_in_time(limits: Limits, longest_ms: int) -> None:
    assert papers.g03(waited(longest_ms - 1, limits)) is None
    assert papers.g03(waited(longest_ms, limits)) is None
    assert papers.g03(waited(longest_ms + 1, limits)) == refuse(
        "G03", "SES.OVERDUE", 0, longest_ms + 1, longest_ms, "ms"
    )


@pytest.mark.rule("G03")
@pytest.mark.hazard("H24")
@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("physio", True), ("automation", True), ("prescriber", False), ("biomed", False), ("handset", False),
        ("observer", False), ("", False),
    ],
)  # fmt: skip
def test_only_a_role_that_may_start_starts(role: str, may: bool) -> None:
    assert papers.g03(waited(0, role=role)) == (None if may else refuse("G03", "AUTH.ROLE"))
    assert papers.g03(waited(0, role=role)._replace(command=at(ArmSession(), role=role).command)) is None


@pytest.mark.rule("G03")
@pytest.mark.parametrize("wish", [ArmSession(), Resume(), Adjust(1, 1_000), Claim()])
def test_what_is_no_start_may_come_later(wish: object) -> None:
    view = at(wish)
    assert papers.g03(view._replace(now=view.now._replace(mono_ms=view.now.mono_ms + 200_000))) is None


# G05


def aged(age_ms: int, limits: Limits = NMES) -> Gate:
    view = at()
    vouched = replace(VOUCHED, at_wall_ms=view.now.wall_ms - age_ms)
    return limited(with_papers(view, attestation=vouched), limits)


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
@pytest.mark.parametrize(("limits", "oldest_ms"), [(NMES, DAY_MS), (HARDEST, 7 * DAY_MS)])
def test_an_attestation_is_neither_old_nor_from_the_future(limits: Limits, oldest_ms: int) -> None:
    for age_ms in (-2_000, 0, oldest_ms - 1, oldest_ms):
        assert papers.g05(aged(age_ms, limits)) is None
    for age_ms in (-2_001, oldest_ms + 1):
        assert papers.g05(aged(age_ms, limits)) == refuse("G05", "ATT.EXPIRED", 0, age_ms, oldest_ms, "ms")


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
def test_without_an_attestation_nothing_starts() -> None:
    assert papers.g05(with_papers(at(), attestation=None)) == refuse("G05", "ATT.MISSING")


def answering(view: Gate, **answers: str) -> Gate:
    calm = dict(VOUCHED.answers) | answers
    return with_papers(view, attestation=replace(VOUCHED, answers=tuple(calm.items())))


@pytest.mark.rule("G05")
@pytest.mark.parametrize("item", [item.id for item in ITEMS if item.kind is not Kind.MODIFIER])
def test_each_answer_alone_forbids(item: str) -> None:
    assert papers.g05(answering(at(), **{item: "no"})) is None
    assert papers.g05(answering(at(), **{item: "yes"})) == refuse("G05", "ATT.CONTRAINDICATED", unit=item)
    assert papers.g05(answering(at(), **{item: "unknown"})) == refuse("G05", "ATT.UNKNOWN", unit=item)


@pytest.mark.rule("G05")
@pytest.mark.hazard("H44")
def test_the_places_of_all_channels_count() -> None:
    foot = plan(channel=2, site="left-foot", montage=pads("left foot", "left foot"))
    bare = plan(channel=3, site="left-calf", montage=None)
    view = answering(at(), ischaemic_leg="yes")
    assert papers.g05(prescribing(view, plan())) is None
    assert papers.g05(prescribing(view, plan(), bare)) is None, "where nobody said where they sit, G06 speaks"
    assert papers.g05(prescribing(view, plan(), foot, bare)) == refuse(
        "G05", "ATT.CONTRAINDICATED", unit="ischaemic_leg"
    )


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_only_a_yes_to_an_absolute_question_locks(item: object) -> None:
    name, is_absolute = item.id, item.kind is Kind.ABSOLUTE  # type: ignore[attr-defined]
    lock = Reason("G05", Severity.LOCK, "ATT.CONTRAINDICATED", unit=name)
    assert papers.g05_absolute(answering(at(), **{name: "yes"})) == (lock if is_absolute else None)
    assert papers.g05_absolute(answering(at(), **{name: "unknown"})) is None
    assert papers.g05_absolute(answering(at())) is None
    assert papers.g05_absolute(with_papers(at(), attestation=None)) is None


# G06, G07


def lane(limits: Limits = NMES, **changes: object) -> Lane:
    channel = plan(channel=6, **changes)
    return Lane(rx(channel), channel, channel.train(channel.ua), limits, CAPS, 0)


@pytest.mark.rule("G06")
@pytest.mark.hazard("H01")
@pytest.mark.hazard("H03")
@pytest.mark.parametrize(
    ("places", "code"),
    [
        (None, "MON.MISSING"),
        (("left chest", "left upper-back"), "MON.DENIED"),
        (("left forearm", "right forearm"), "MON.DENIED"),
        (("left lower-back", "right lower-back"), "MON.DENIED"),
        (("left abdomen", "left abdomen"), "MON.NOT_LISTED"),
        (("middle thigh", "middle thigh"), "MON.NOT_LISTED"),
        (("left thigh", "left lower-leg"), ""),
        (("middle lower-back", "middle lower-back"), ""),
    ],
)
def test_pads_sit_where_a_pair_may(places: tuple[str, str] | None, code: str) -> None:
    found = papers.g06(lane(montage=pads(*places) if places else None))
    assert found == (refuse("G06", code, 6) if code else None)


@pytest.mark.rule("G07")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H46")
@pytest.mark.parametrize(
    ("limits", "why", "smallest_mm2"),
    [
        (NMES, "", 1_600),
        (NMES, "  ", 1_600),
        (NMES, "a child's hand", 900),
        (HARDEST, "", 500),
        (HARDEST, "a child's hand", 500),
        (meet(NMES, {"area_mm2": 5_000, "small_area_mm2": 5_000}), "a child's hand", 5_000),
    ],
)
def test_a_pad_has_its_least_area(limits: Limits, why: str, smallest_mm2: int) -> None:
    for area_mm2 in (smallest_mm2, smallest_mm2 + 1):
        assert papers.g07(lane(limits, area_mm2=area_mm2, small_pad_reason=why)) is None
    assert papers.g07(lane(limits, area_mm2=smallest_mm2 - 1, small_pad_reason=why)) == refuse(
        "G07", "PAD.SMALL", 6, smallest_mm2 - 1, smallest_mm2, "mm2"
    )


@pytest.mark.rule("G07")
@pytest.mark.parametrize(("limits", "least_mm"), [(NMES, 25), (HARDEST, 20)])
def test_the_pads_of_a_pair_sit_apart(limits: Limits, least_mm: int) -> None:
    for spacing_mm in (least_mm, least_mm + 1):
        assert papers.g07(lane(limits, montage=pads("left thigh", "left knee", spacing_mm))) is None
    assert papers.g07(lane(limits, montage=pads("left thigh", "left knee", least_mm - 1))) == refuse(
        "G07", "PAD.CLOSE", 6, least_mm - 1, least_mm, "mm"
    )
    assert papers.g07(lane(limits, montage=None)) is None


# G22

CONTINUOUS = Programme(
    modality=Modality.TENS, ramp_up_ms=1_000, on_ms=59_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000
)
CYCLE = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=60_000
)
"""4 s with current in 10 s."""


def channels(*delays_ms: int, **changes: object) -> tuple[Plan, ...]:
    return tuple(
        plan(channel=number, site=f"left-{number}", delay_ms=delay_ms, **changes)
        for number, delay_ms in enumerate(delays_ms, 1)
    )


@pytest.mark.rule("G22")
@pytest.mark.hazard("H23")
@pytest.mark.parametrize(
    ("delays_ms", "programme", "expected"),
    [
        ((0,), CYCLE, 1),
        ((0, 0), CYCLE, 2),
        ((0, 0, 0), CYCLE, 3),
        ((0, 0, 0), CONTINUOUS, 3),
        ((0, 3_999), CYCLE, 2),
        ((0, 4_000), CYCLE, 1),
        ((0, 6_000), CYCLE, 1),
        ((0, 6_001), CYCLE, 2),  # the last of it reaches into the next cycle
        ((0, 2_000, 3_999), CYCLE, 3),
        ((0, 2_000, 4_000), CYCLE, 2),
        ((0, 0, 4_000, 4_000), CYCLE, 2),
        ((0, 3_000, 6_000), CYCLE, 2),
        ((0, 3_000, 6_001, 9_000), CYCLE, 3),
    ],
)
def test_channels_are_counted_where_most_have_current(
    delays_ms: tuple[int, ...], programme: Programme, expected: int
) -> None:
    plans = channels(*delays_ms)
    assert papers.together(plans, programme) == expected
    by_ms = max(
        sum((at_ms - each.delay_ms) % programme.cycle_ms < programme.active_ms for each in plans)
        for at_ms in range(0, programme.cycle_ms, 1 if programme is CYCLE else 1_000)
    )
    assert by_ms == expected


@pytest.mark.rule("G22")
@pytest.mark.hazard("H23")
@pytest.mark.parametrize(("limits", "most"), [(NMES, 2), (meet(HARDEST, {"channels_at_once": 7}), 7)])
def test_so_many_channels_have_current_at_once(limits: Limits, most: int) -> None:
    view = limited(at(), limits)
    assert papers.g22(prescribing(view, *channels(*(0,) * (most - 1)))) is None
    assert papers.g22(prescribing(view, *channels(*(0,) * most))) is None
    assert papers.g22(prescribing(view, *channels(*(0,) * (most + 1)))) == refuse(
        "G22", "LIM.CHANNELS", 0, most + 1, most, "channels"
    )


@pytest.mark.rule("G22")
@pytest.mark.parametrize(("limits", "share_ppm"), [(NMES, 800_000), (HARDEST, 1_000_000)])
def test_the_pulses_of_all_channels_find_room(limits: Limits, share_ppm: int) -> None:
    # Two channels of a pulse of 500 us: 2 * 500 * 1e6 / share is the period at the boundary.
    period_us = 1_000_000_000 // share_ppm
    view = limited(at(), limits)

    def room(*periods_us: int) -> Reason | None:
        plans = tuple(
            plan(channel=n, site=f"left-{n}", width_us=200, gap_us=100, period_us=each)
            for n, each in enumerate(periods_us, 1)
        )
        return papers.g22(prescribing(view, *plans))

    assert room(period_us, period_us) is None
    assert room(period_us + 1, period_us) is None
    crowded_ppm = share_ppm // 2 + -(-500_000_000 // (period_us - 1))
    assert room(period_us - 1, period_us) == refuse("G22", "LIM.PULSE_TIME", 0, crowded_ppm, share_ppm, "ppm")


def on_device(view: Gate, **caps: object) -> Gate:
    """The same wish to another device; none where nothing is said of it."""
    device = view.station.device
    assert device is not None
    other = device._replace(caps=replace(device.caps, **caps)) if caps else None
    return view._replace(station=view.station._replace(device=other))


@pytest.mark.rule("G22")
@pytest.mark.hazard("H23")
def test_a_device_takes_time_for_itself_between_two_pulses() -> None:
    # Two channels of 500 us and 60 us in 1,400 us are 800,000 ppm to the last.
    view = limited(prescribing(at(), *channels(0, 0, width_us=200, gap_us=100, period_us=1_400)), NMES)
    assert papers.g22(on_device(view, mute_us=60)) is None
    assert papers.g22(on_device(view, mute_us=61)) == refuse("G22", "LIM.PULSE_TIME", 0, 801_430, 800_000, "ppm")


@pytest.mark.rule("G22")
@pytest.mark.hazard("H23")
def test_a_device_of_one_period_is_given_one() -> None:
    alike, other = channels(0, 0), (*channels(0), plan(channel=3, site="left-3", period_us=40_000))
    for shared in (False, True):
        assert papers.g22(on_device(prescribing(at(), *alike), one_period=shared)) is None
    view = prescribing(at(), *other)
    assert papers.g22(on_device(view, one_period=False)) is None
    first_us = other[0].period_us
    assert papers.g22(on_device(view, one_period=True)) == refuse(
        "G22", "RX.DEVICE_MISMATCH", 3, 40_000, first_us, "us"
    )


@pytest.mark.rule("G22")
def test_without_a_device_the_channels_together_are_not_judged() -> None:
    assert papers.g22(on_device(prescribing(at(), *channels(0, 0, 0)))) is None


@pytest.mark.rule("G22")
@pytest.mark.hazard("H01")
def test_two_channels_do_not_cross() -> None:
    leg = plan()
    arm = plan(channel=2, site="left-arm", montage=pads("left forearm", "left forearm"))
    other = plan(channel=3, site="right-arm", montage=pads("right forearm", "right forearm"))
    bare = plan(channel=2, site="left-calf", montage=None)
    both = plan(channel=2, site="right-thigh", montage=pads("right thigh", "right thigh"))
    assert papers.g22(prescribing(at(), leg, both)) is None
    assert papers.g22(prescribing(at(), leg, bare)) is None
    assert papers.g22(prescribing(at(), bare, replace(arm, channel=5))) is None
    assert papers.g22(prescribing(at(), leg, arm)) == refuse("G22", "MON.CROSSING", 2)
    assert papers.g22(prescribing(at(), arm, other)) == refuse("G22", "MON.CROSSING", 3)
    late = replace(arm, channel=8, delay_ms=5_000)
    assert papers.g22(prescribing(at(), leg, both, late)) == refuse("G22", "MON.CROSSING", 8)


# G24


def button(view: Gate, *, is_fitted: bool, is_down: bool) -> Gate:
    device = view.station.device
    assert device is not None
    device = device._replace(
        caps=replace(device.caps, patient_stop=is_fitted), status=device.status._replace(button=is_down)
    )
    return view._replace(station=view.station._replace(device=device))


@pytest.mark.rule("G24")
@pytest.mark.rule("X7")
@pytest.mark.hazard("H33")
@pytest.mark.parametrize(
    ("is_fitted", "sensation", "is_tried", "code"),
    [
        (True, Sensation.S0, True, ""),
        (True, Sensation.S0, False, "SES.STOP_UNTRIED"),
        (True, Sensation.S1, True, ""),
        (True, Sensation.S1, False, "SES.STOP_UNTRIED"),
        (False, Sensation.S0, True, ""),
        (False, Sensation.S0, False, ""),
        (False, Sensation.S1, True, ""),
        (False, Sensation.S1, False, "SES.STOP_UNTRIED"),
        (False, Sensation.S2, False, "SES.STOP_UNTRIED"),
    ],
)
def test_the_patients_stop_was_tried(is_fitted: bool, sensation: Sensation, is_tried: bool, code: str) -> None:
    view = with_papers(at(), stop_tried=is_tried)
    view = button(prescribing(view, plan(), sensation=sensation), is_fitted=is_fitted, is_down=False)
    assert papers.g24(view) == (refuse("G24", code) if code else None)
    held = button(view, is_fitted=is_fitted, is_down=True)
    assert papers.g24(held) == refuse("G24", "SES.STOP_HELD")


@pytest.mark.rule("G24")
def test_without_a_device_the_stop_is_not_judged() -> None:
    view = with_papers(at(), stop_tried=False)
    assert papers.g24(view._replace(station=view.station._replace(device=None))) is None


# G25


@pytest.mark.rule("G25")
@pytest.mark.hazard("H27")
@pytest.mark.hazard("H39")
@pytest.mark.parametrize(
    ("health", "code"),
    [
        ((True, True, True), ""),
        ((False, True, True), "SYS.CLOCK_UNSET"),
        ((True, False, True), "DOSE.LEDGER_UNAVAILABLE"),
        ((True, True, False), "SYS.AUDIT_UNWRITABLE"),
        ((False, False, False), "SYS.CLOCK_UNSET"),
    ],
)
def test_the_service_is_well(health: tuple[bool, bool, bool], code: str) -> None:
    view = at()
    view = view._replace(station=view.station._replace(health=Health(*health)))
    assert papers.g25(view) == (refuse("G25", code) if code else None)


@pytest.mark.rule("G05")
def test_an_attestation_of_the_rig_answers_every_question() -> None:
    assert (
        Attestation(at_wall_ms=VOUCHED.at_wall_ms, by="physio-1", answers=tuple((item.id, "no") for item in ITEMS))
        == VOUCHED
    )
