"""The clock: whether what it says may be believed (G25)."""

from __future__ import annotations

import ctypes

import pytest

from controller import clock
from safety.messages import Now

pytestmark = [pytest.mark.rule("G25"), pytest.mark.hazard("H27")]

FIRST_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


class Kernel:
    """Answers as adjtimex(2) would."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def adjtimex(self, buffer: ctypes.Array[ctypes.c_char]) -> int:
        """Keep what was asked; all zeros change nothing."""
        self.asked.append(buffer.raw)
        return self.answer


@pytest.mark.parametrize(("answer", "expected"), [(0, True), (1, True), (4, True), (5, False), (-1, False)])
def test_the_kernel_says_whether_something_keeps_its_clock(
    monkeypatch: pytest.MonkeyPatch, answer: int, expected: bool
) -> None:
    kernel = Kernel(answer)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: kernel)
    assert clock.is_disciplined() is expected
    assert [set(asked) for asked in kernel.asked] == [{0}]


def test_a_system_that_cannot_be_asked_vouches_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert clock.is_disciplined() is False


def test_this_kernel_can_be_asked() -> None:
    assert clock.is_disciplined() in {True, False}


@pytest.mark.parametrize(
    ("wall_ms", "bench", "vouched", "expected"),
    [
        (FIRST_MS, True, False, True),
        (FIRST_MS - 1, True, True, False),
        (FIRST_MS, False, True, True),
        (FIRST_MS, False, False, False),
        (FIRST_MS - 1, False, True, False),
    ],
)
def test_people_are_treated_by_a_clock_that_is_kept_and_a_bench_by_one_that_was_set(
    wall_ms: int, bench: bool, vouched: bool, expected: bool
) -> None:
    assert clock.is_right(Now(1, wall_ms), bench=bench, is_disciplined=lambda: vouched) is expected
