"""safety/units.py: division towards more dose, and the check that fails closed."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.units import ceil_div, is_whole

pytestmark = pytest.mark.rule("X11")


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"),
    [
        (0, 1, 0),
        (0, 7, 0),
        (1, 7, 1),
        (6, 7, 1),
        (7, 7, 1),
        (8, 7, 2),
        (14, 7, 2),
        (-1, 7, 0),
        (-7, 7, -1),
        (-8, 7, -1),
    ],
)
def test_division_rounds_up(dividend: int, divisor: int, quotient: int):
    assert ceil_div(dividend, divisor) == quotient


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_division_is_the_exact_ceiling_at_any_size(dividend: int, divisor: int):
    assert ceil_div(dividend, divisor) == math.ceil(Fraction(dividend, divisor))


@pytest.mark.rule("G01")
@pytest.mark.hazard("H28")
@pytest.mark.parametrize(
    ("value", "is_accepted"),
    [
        (-6, False), (-5, True), (-4, True), (0, True), (6, True), (7, True), (8, False), (True, False), (False, False),
        (5.0, False), (math.nan, False), (math.inf, False), (None, False), ("5", False), (b"5", False), ((5,), False),
        (10**40, False), (-(10**40), False),
    ],
)  # fmt: skip
def test_only_a_plain_integer_in_range_is_whole(value: object, is_accepted: bool):
    assert is_whole(value, -5, 7) is is_accepted


def test_an_empty_range_accepts_nothing():
    assert [is_whole(value, 3, 2) for value in (1, 2, 3, 4)] == [False] * 4


def test_a_subclass_of_int_is_not_plain():
    class Loud(int):
        pass

    assert not is_whole(Loud(3), 0, 7)
