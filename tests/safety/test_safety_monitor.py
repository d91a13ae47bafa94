"""safety/rules/monitor.py: which rules are asked at which event, and in which order."""

from __future__ import annotations

import pytest

from safety.rules import monitor, tick


@pytest.mark.rule("X12")
def test_the_lists_name_every_monitor_rule_once_and_in_this_order() -> None:
    def names(rules: tuple[object, ...]) -> str:
        return " ".join(rule.__name__ for rule in rules)

    assert names(monitor.TICK) == "m25 m04 m03 m02 m34 m32 m18 m20 m35 m21 m19 m15 m31 g29_overdue m05 m06 m37 m36"
    assert names(monitor.TICK_ARMED) == "m25 m04 m34 m32 m21 m05"
    assert names(monitor.TICK_PAUSED) == "m04 m34 m21"
    assert names(monitor.TICK_PREPARED) == "m04"
    assert names(monitor.HEARD) == "m01 m16 m08 m27 m07 m11 m17 m09 m10 m13 m14 m22 m12"
    assert names(monitor.WORD) == "m30 m23_button m04_stopped m28"
    assert names(monitor.WORD_STILL) == "m30 m28"
    assert names(monitor.WORD_UNGRANTED) == "m27_still"
    assert names(monitor.TICK_CALIBRATING) == ("m25 m04 m03 m02 m34 m32 m18 m21 m19 m15 m31 g29_overdue m05 m06 m37")
    assert names(tick.PULSE) == "g08 g09 g10 g11 g12 g13 g14 g15 g16"
    assert names(tick.PULSE_TRIAL) == "g08_trial g09 g10 g11 g12 g13 g14 g15 g16"
