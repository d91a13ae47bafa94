"""How a run ended, in words; what is not shown to be well is not well."""

from __future__ import annotations

from typing import NamedTuple

from hil.evidence import Outcome, Run


class Verdict(NamedTuple):
    """Whether the run passed, and why not."""

    passed: bool
    words: str


def count(run: Run, outcome: Outcome) -> int:
    """How many tests ended so."""
    return sum(test.outcome == outcome for test in run.tests)


def judge(run: Run) -> Verdict:
    """Passed: tests ran, none failed, no figure lies beyond its limit, the bench was sound, and pytest is content."""
    beyond = sum(not each.passed for test in run.tests if test.outcome == "passed" for each in test.measurements)
    broken = [test for test in run.tests if test.first_cause]
    wrong = [
        words
        for number, words in (
            (count(run, "failed"), "{} failed"),
            (count(run, "error"), "{} could not be run (error)"),
            (len(broken), "{} met a broken bench"),
            (beyond, "{} measurements of passed tests lie beyond their limits"),
        )
        if number
        for words in (words.format(number),)
    ]
    total, good = len(run.tests), count(run, "passed")
    if not total:
        return Verdict(False, "Failed: no test was run.")
    if wrong:
        cause = f" First cause: {broken[0].first_cause}" if broken else ""
        return Verdict(False, f"Failed: of {total} tests {', '.join(wrong)}.{cause}")
    if not good:
        return Verdict(False, f"Failed: all of {total} tests were skipped.")
    if run.exit_status:
        return Verdict(False, f"Failed: no test failed, but pytest ended with status {run.exit_status}.")
    return Verdict(True, f"Passed: {good} of {total} tests, {total - good} skipped.")
