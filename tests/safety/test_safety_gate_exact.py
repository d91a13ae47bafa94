"""safety/rules/gate.py to the last unit: G18 where nothing is known, and where a wait is shorter than a millisecond."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import Adjust, Rig

from safety.rules import gate
from safety.rules.views import Gate
from safety.verdict import Reason, Severity

pytestmark = [pytest.mark.rule("G18"), pytest.mark.hazard("H08")]


def rising(
    rise_ua: int, base_ua: int, ua: int, *, known: bool = True, per_s: int = 2_000, since_ms: int = 5_000
) -> Gate:
    """A rise to base + rise on channel 1, with `ua` flowing (0: no train)."""
    rig = Rig().running()
    session = rig.station.session
    assert session is not None
    plan = session.settings[0].plan
    settings = (session.settings[0]._replace(setpoint_ua=base_ua + rise_ua, raised_ms=rig.mono_ms - since_ms),)
    channels = (session.channels[0]._replace(train=plan.train(ua) if ua else None),)
    limits = replace(session.limits, rise_ua_per_s=per_s)
    session = session._replace(settings=settings, channels=channels, limits=limits)
    station = rig.station if known else rig.station._replace(device=None)
    return Gate(station, rig.command(Adjust(1, rise_ua)), session, rig.now, 1, rise_ua)


def not_on_the_plateau() -> Reason:
    return Reason("G18", Severity.REFUSE, "LIM.STEP", 1, 0, 1, "ms on the plateau")


def test_a_wait_of_half_a_millisecond_is_one():
    assert gate.g18(rising(1, 20_000, 20_000, since_ms=1)) is None
    assert gate.g18(rising(1, 20_000, 20_000, since_ms=0)) == Reason("G18", Severity.REFUSE, "LIM.STEP", 1, 0, 1, "ms")


@pytest.mark.parametrize(("ua", "refused"), [(20_000, True), (20_001, False)])
def test_a_device_that_is_not_known_has_no_step_to_fall_short_by(ua: int, refused: bool):
    assert gate.g18(rising(1_000, 20_000, ua, known=False)) == (not_on_the_plateau() if refused else None)


@pytest.mark.parametrize(("short_ua", "refused"), [(0, True), (1, False)])
def test_no_train_is_no_current(short_ua: int, refused: bool):
    device = Rig().running().station.device
    assert device is not None
    assert gate.g18(rising(1_000, device.caps.step_ua - short_ua, 0)) == (not_on_the_plateau() if refused else None)
