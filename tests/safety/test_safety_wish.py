"""safety/rules/wish.py: the form of a wish, its age and what its sender saw, at each edge, with the whole reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import (
    Adjust,
    ArmSession,
    CalibrationBegin,
    Check,
    Claim,
    ClearLatch,
    Pause,
    Prepare,
    Rate,
    Rated,
    Release,
    Renew,
    Resume,
    Rig,
    Start,
    rx,
)

from safety.messages import Expect
from safety.rules.views import Gate
from safety.rules.wish import g01, g01_rating, g02
from safety.verdict import Reason, Severity


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def at(wish: object = None, **changes: object) -> Gate:
    """A wish on a rig that is armed and ready to start; `changes` are of the view."""
    rig = Rig().armed()
    view = Gate(rig.station, rig.command(wish or Start()), rig.station.session, rig.now, 0, 0)
    return view._replace(**changes)  # type: ignore[arg-type]


# G01


@pytest.mark.rule("G01")
@pytest.mark.hazard("H08")
@pytest.mark.hazard("H28")
@pytest.mark.parametrize(
    ("delta_ua", "is_refused"),
    [
        (-200_001, True), (-200_000, False), (-1, False), (0, True), (1, False), (200_000, False), (200_001, True),
        (True, True), (1.0, True), ("1000", True), (None, True), (10**30, True),
    ],
)  # fmt: skip
def test_g01_an_adjustment_is_a_whole_number_in_range_and_not_zero(delta_ua: int, is_refused: bool):
    found = g01(at(Adjust(1, delta_ua)))
    assert found == (refuse("G01", "CMD.SCHEMA", 0, 0, 200_000, "uA") if is_refused else None)


@pytest.mark.rule("G01")
@pytest.mark.hazard("H23")
@pytest.mark.parametrize("number", [0, 2, 8, 9, -1, True, 1.0, "1", None])
def test_g01_a_channel_belongs_to_the_session(number: int):
    wrong = refuse("G01", "CMD.SCHEMA", 0, 0, 0, "channel")
    assert g01(at(Adjust(number, -1))) == wrong
    assert g01(at(Check((1, number)))) == wrong
    assert g01(at(Adjust(1, -1))) is None
    assert g01(at(Check((1,)))) is None
    assert g01(at(Check(()))) is None


@pytest.mark.rule("G01")
def test_g01_without_a_session_no_channel_is_known():
    assert g01(at(Check((1,)), session=None)) == refuse("G01", "CMD.SCHEMA", 0, 0, 0, "channel")
    assert g01(at(Check(()), session=None)) is None
    assert g01(at(Prepare(None, "", ""), session=None)) is None


@pytest.mark.rule("G01")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize(
    ("pads", "is_refused"),
    [
        ((), False),
        (((1, ("a", "b")),), False),
        (((1, ("a", "b")), (1, ("c", "d"))), True),
        (((1, ("a", "a")),), True),
        (((1, ("a", "")),), True),
        (((1, ()),), False),
    ],
)
def test_g01_each_channel_and_each_pad_is_named_once(
    pads: tuple[tuple[int, tuple[str, ...]], ...], *, is_refused: bool
):
    wrong = refuse("G01", "CMD.SCHEMA", 0, 0, 0, "pads")
    assert g01(at(Prepare(rx(), "", "", pads=pads))) == (wrong if is_refused else None)


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    ("played_ms", "is_refused"), [(-1, True), (0, False), (50_000, False), (50_001, True), (True, True), (None, True)]
)
def test_g01_what_was_played_lies_inside_the_programme(played_ms: int, *, is_refused: bool):
    view = at(Prepare(rx(), "", "", played_ms=played_ms))
    assert view.session is not None
    longest_ms = view.session.rx.programme.latest_ms
    found = g01(view)
    assert found == (refuse("G01", "CMD.SCHEMA", 0, played_ms, longest_ms, "ms") if is_refused else None)


@pytest.mark.rule("G01")
@pytest.mark.parametrize(("played_ms", "is_refused"), [(0, False), (1, True), (-1, True)])
def test_g01_without_a_programme_nothing_of_it_was_played(played_ms: int, *, is_refused: bool):
    found = g01(at(Prepare(None, "", "", played_ms=played_ms), session=None))
    assert found == (refuse("G01", "CMD.SCHEMA", 0, played_ms, 0, "ms") if is_refused else None)


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    ("score", "is_refused"), [(-1, True), (0, False), (10, False), (11, True), (True, True), ("3", True)]
)
def test_g01_a_rating_is_a_whole_number_up_to_ten(score: int, *, is_refused: bool):
    found = g01_rating(at(Rate(Rated.EFFORT, score)))
    assert found == (refuse("G01", "CMD.SCHEMA", 0, 0, 10, "of 10") if is_refused else None)
    assert g01_rating(at(Start())) is None


@pytest.mark.rule("G01")
@pytest.mark.parametrize(("words", "is_refused"), [("", True), (" \t\n", True), (".", False), ("pad replaced", False)])
def test_g01_a_clear_says_why(words: str, is_refused: bool):
    assert g01(at(ClearLatch(1, words))) == (refuse("G01", "CMD.SCHEMA") if is_refused else None)


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    "asked", [Claim(), Renew(), Release(), ArmSession(), Start(), Pause(), Resume(), Prepare(None, "", "")]
)
def test_g01_has_nothing_to_say_about_wishes_without_numbers(asked: object):
    assert g01(at(asked)) is None


# G02


def sent(view: Gate, **changes: object) -> Gate:
    return view._replace(command=replace(view.command, **changes))


@pytest.mark.rule("G02")
@pytest.mark.hazard("H24")
def test_g02_a_retained_wish_is_refused():
    assert g02(sent(at(), retained=False)) is None
    assert g02(sent(at(), retained=True)) == refuse("G02", "CMD.RETAINED")


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
@pytest.mark.parametrize(
    ("age_ms", "code", "asked", "allowed"),
    [
        (-2_001, "CMD.CLOCK_SKEW", 2_001, 2_000), (-2_000, None, 0, 0), (-1_999, None, 0, 0), (0, None, 0, 0),
        (2_999, None, 0, 0), (3_000, None, 0, 0), (3_001, "CMD.EXPIRED", 3_001, 3_000),
    ],
)  # fmt: skip
def test_g02_a_wish_is_neither_old_nor_from_the_future(age_ms: int, code: str | None, asked: int, allowed: int):
    view = at()
    now_ms = view.now.wall_ms
    found = g02(sent(view, issued_wall_ms=now_ms - age_ms, expires_wall_ms=now_ms + 10_000))
    assert found == (refuse("G02", code, 0, asked, allowed, "ms") if code else None)


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
@pytest.mark.parametrize(("late_ms", "is_refused"), [(-1, False), (0, False), (1, True)])
def test_g02_a_wish_dies_when_its_sender_said(late_ms: int, is_refused: bool):
    view = at()
    found = g02(sent(view, expires_wall_ms=view.now.wall_ms - late_ms))
    assert found == (refuse("G02", "CMD.EXPIRED", 0, 1, 0, "ms") if is_refused else None)


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
@pytest.mark.parametrize("name", ["boot_id", "session_id", "state_version"])
@pytest.mark.parametrize(
    ("wish", "rise_ua", "is_needed"),
    [
        (ArmSession(), 0, True), (Start(), 0, True), (Resume(), 0, True), (Adjust(1, 1), 1, True),
        (CalibrationBegin(1), 0, True),
        (Adjust(1, -1), -1, False), (Claim(), 0, False), (Check(()), 0, False), (Pause(), 0, False),
        (Prepare(None, "", ""), 0, False),
    ],
)  # fmt: skip
def test_g02_where_current_would_flow_the_sender_says_what_it_saw(
    wish: object, rise_ua: int, is_needed: bool, name: str
):
    view = at(wish, rise_ua=rise_ua)
    silent = sent(view, expect=replace(view.command.expect, **{name: None}))
    assert g02(view) is None
    assert g02(silent) == (refuse("G02", "CMD.PRECONDITION") if is_needed else None)


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
@pytest.mark.parametrize("wish", [Start(), Claim(), Pause(), Adjust(1, -1)])
def test_g02_what_the_sender_saw_is_the_present_state(wish: object):
    view = at(wish)
    version, session_id = view.station.tally.version, view.station.session.id  # type: ignore[union-attr]
    seen = view.command.expect
    assert seen == Expect(boot_id="b1", session_id=session_id, state_version=version)
    for wrong in (replace(seen, boot_id="b0"), replace(seen, session_id="s-x"), replace(seen, session_id="")):
        assert g02(sent(view, expect=wrong)) == refuse("G02", "CMD.PRECONDITION")
    for other in (version - 1, version + 1, 0):
        assert g02(sent(view, expect=replace(seen, state_version=other))) == refuse(
            "G02", "CMD.PRECONDITION", 0, other, version, "state version"
        )


@pytest.mark.rule("G02")
def test_g02_without_a_session_the_sender_expects_none():
    view = at(Claim())
    idle = view._replace(station=view.station._replace(session=None), session=None)
    assert g02(sent(idle, expect=Expect(session_id=""))) is None
    assert g02(sent(idle, expect=Expect(session_id="s-dev1-b1-1"))) == refuse("G02", "CMD.PRECONDITION")
