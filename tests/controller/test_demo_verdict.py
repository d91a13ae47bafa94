"""The demo's claims at their boundaries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.demo.recording import Pulse
from controller.demo.verdict import (
    Check,
    Dose,
    End,
    Trial,
    completed,
    dose_agrees,
    milliampere,
    millicoulomb,
    returned,
    stayed_at_zero,
    stopped,
)
from tests.controller.demo_material import ACCIDENT, COMPLETED, STOPPED, TRIAL, recording

# The dose: 0.95 planned <= delivered <= ledger <= 1.05 delivered


@pytest.mark.parametrize(
    ("planned", "delivered", "ledger", "holds"),
    [
        (100, 95, 95, True),
        (1_000, 950, 950, True),
        (1_000, 949, 949, False),
        (1_000, 1_000, 1_000, True),
        (1_000, 1_000, 999, False),
        (1_000, 1_000, 1_050, True),
        (1_000, 1_000, 1_051, False),
        (1_000, 1_500, 1_500, True),
        (2_880_000_000, 2_736_000_000, 2_872_800_000, True),
        (2_880_000_000, 2_735_999_999, 2_736_000_000, False),
        (2_880_000_000, 2_736_000_000, 2_872_800_001, False),
        (2_880_000_000, 2_736_000_000, 2_735_999_999, False),
        (1_000, 0, 0, False),
    ],
)
def test_the_three_doses_agree_within_their_bounds(planned: int, delivered: int, ledger: int, holds: bool) -> None:
    assert dose_agrees(Dose(planned, delivered, ledger)).holds is holds


@pytest.mark.parametrize(
    ("dose", "why"),
    [
        (Dose(1_000_000_000, 949_000_000, 949_000_000), "Less than 95 % of the plan was delivered."),
        (Dose(1_000_000_000, 1_000_000_000, 999_000_000), "The ledger has less than was delivered."),
        (Dose(1_000_000_000, 1_000_000_000, 1_051_000_000), "The ledger has more than 105 % of what was delivered."),
    ],
)
def test_a_dose_that_does_not_agree_says_which_bound_it_breaks_with_its_figures(dose: Dose, why: str) -> None:
    figures = [millicoulomb(pc) for pc in dose if pc is not None]
    words = f"Planned {figures[0]}, delivered {figures[1]}, in the ledger {figures[2]}. {why}"
    assert dose_agrees(dose) == Check("Planned, delivered and booked charge agree.", False, words)


def test_a_session_that_was_never_charged_fails() -> None:
    assert dose_agrees(Dose(1, 1, None))[1:] == (False, "The ledger has charged nothing.")


# The clean session


def test_a_completed_session_holds() -> None:
    assert completed(COMPLETED).holds is True


@pytest.mark.parametrize("rule", ["M04", "M25"])
@pytest.mark.parametrize("outcome", ["stopped", "paused"])
def test_a_machine_that_was_too_slow_is_said_to_be_that(outcome: str, rule: str) -> None:
    check = completed(End(outcome, rule, "Late by 0.3 s."))
    assert check.holds is False
    assert check.words == (
        f"This machine did not keep time: rule {rule} ended the session, as it must. Try when less else runs. "
        "Late by 0.3 s."
    )


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (End("stopped", "M07", "No contact."), "It was stopped by M07. No contact."),
        (End("paused", "", ""), "It was paused by nobody that is known."),
    ],
)
def test_any_other_end_of_the_clean_session_names_its_rule(end: End, words: str) -> None:
    assert completed(end)[1:] == (False, words)


# The interlock


@pytest.mark.parametrize(
    ("end", "holds"),
    [
        (STOPPED, True),
        (End("paused", "M11", "A jump."), True),
        (End("stopped", "M25", "Late."), False),
        (End("stopped", "M21", "Time is over."), False),
        (COMPLETED, False),
    ],
)
def test_only_a_rule_that_looks_at_the_electrode_may_have_stopped_it(end: End, holds: bool) -> None:
    check = stopped(end)
    assert check.holds is holds
    assert (end.rule or "no rule") in check.words


@pytest.mark.parametrize(
    ("pulses", "holds"),
    [
        ((), True),
        ((Pulse(ACCIDENT.off_us, 20_000, 1),), True),
        ((Pulse(ACCIDENT.off_us + 1, 20_000, 1),), False),
        ((Pulse(ACCIDENT.on_us + 1, 2_001, 1),), False),
        ((Pulse(ACCIDENT.on_us + 1, 2_000, 1),), True),
    ],
)
def test_one_therapy_pulse_after_the_electrode_came_off_fails(pulses: tuple[Pulse, ...], holds: bool) -> None:
    check = stayed_at_zero(recording(*pulses), ACCIDENT)
    late = "0 pulses" if holds else "1 pulse"
    words = f"{late} above 2 mA; the scope watched for 5.6 s after the electrode was back."
    assert check[1:] == (holds, words)


@pytest.mark.parametrize(("end_us", "holds"), [(ACCIDENT.on_us, False), (ACCIDENT.on_us + 1, True)])
def test_zero_shows_nothing_where_nobody_watched_until_the_electrode_was_back(end_us: int, holds: bool) -> None:
    assert stayed_at_zero(recording(end_us=end_us), ACCIDENT).holds is holds


@pytest.mark.parametrize(
    ("at_us", "peak_ua", "holds"),
    [
        (ACCIDENT.on_us + 1, 20_000, True),
        (ACCIDENT.on_us + 1, 19_000, True),
        (ACCIDENT.on_us + 1, 18_999, False),
        (ACCIDENT.on_us + 1, 2_000, False),
        (ACCIDENT.on_us, 20_000, False),
    ],
)
def test_without_the_interlock_the_full_current_must_come_back(at_us: int, peak_ua: int, holds: bool) -> None:
    assert returned(recording(Pulse(at_us, peak_ua, 1)), ACCIDENT).holds is holds


# All of it


def test_a_trial_holds_when_every_claim_does() -> None:
    assert TRIAL.dose == Dose(2_880_000_000, 2_880_000_000, 2_908_800_000)
    assert [check.holds for check in TRIAL.checks] == [True] * 5
    assert TRIAL.holds is True


@pytest.mark.parametrize(
    ("broken", "number"),
    [
        (replace(TRIAL, clean=TRIAL.clean._replace(end=STOPPED)), 0),
        (replace(TRIAL, ledger_pc=None), 1),
        (replace(TRIAL, guarded=TRIAL.guarded._replace(end=COMPLETED)), 2),
        (replace(TRIAL, guarded=TRIAL.bare._replace(end=STOPPED)), 3),
        (replace(TRIAL, bare=TRIAL.guarded), 4),
    ],
)
def test_each_claim_alone_can_fail_the_trial(broken: Trial, number: int) -> None:
    assert [check.holds for check in broken.checks] == [place != number for place in range(5)]
    assert broken.holds is False


def test_figures_are_written_for_people() -> None:
    assert (milliampere(20_000), milliampere(22_850), milliampere(0)) == ("20.0 mA", "22.9 mA", "0.0 mA")
    assert (millicoulomb(2_880_000_000), millicoulomb(0)) == ("2.880 mC", "0.000 mC")
