"""safety/rules/skin.py: G21's choice of a rail; and G11's limited profile."""

from __future__ import annotations

import pytest
from rig import CAPS, ArmSession, IdealDevice, Rig, config, plan, replace, rx

from safety.rules import skin
from safety.rules.pulse import g11
from safety.rules.views import Lane, Skin
from safety.state import Reading
from safety.verdict import Reason, Severity

pytestmark = [pytest.mark.rule("G21"), pytest.mark.hazard("H09")]

RAILS = (30_000, 60_000, 90_000, 120_000, 150_000)


def view(ua: int, ohms: tuple[int, ...] = (1_000, 1_000, 1_000), rails: tuple[int, ...] = RAILS) -> Skin:
    """One channel at this set-point, on skin that read so, on a device with these rails."""
    session = Rig().prepared().station.session
    assert session is not None
    setting = session.settings[0]._replace(setpoint_ua=ua)
    caps = replace(CAPS, rails_mv=rails, compliance_mv=999_999)
    return Skin(setting, Reading(1, ohms, 0) if ohms else None, session.limits, caps, session.rx, 0,
                session.channels[0].contact)  # fmt: skip


@pytest.mark.parametrize(
    ("ua", "rail_mv"),
    [
        (18_000, 30_000), (18_001, 60_000), (36_000, 60_000), (36_001, 90_000), (54_000, 90_000), (72_000, 120_000),
        (90_000, 150_000), (90_001, 150_000), (120_000, 150_000),
    ],
)  # fmt: skip
def test_the_lowest_rail_is_chosen_that_covers_the_current_at_six_tenths(ua: int, rail_mv: int) -> None:
    assert skin.rail_mv(view(ua)) == rail_mv


def test_the_highest_reading_counts_and_without_one_or_without_rails_there_is_no_choice() -> None:
    assert skin.rail_mv(view(18_000, (1_000, 1_001, 1_000))) == 60_000
    assert skin.rail_mv(view(13_504, (1_333,))) == 60_000, "18,000.8 mV"
    assert skin.rail_mv(view(18_000, ())) == 0
    assert skin.rail_mv(view(18_000, rails=())) == 0
    assert skin.rail_mv(view(18_000)._replace(reading=Reading(1, (), 0))) == 0


def test_the_top_rail_is_used_up_to_eight_tenths_and_no_further() -> None:
    assert skin.g21(view(120_000)) is None
    assert skin.g21(view(120_001)) == Reason("G21", Severity.REFUSE, "LIM.HEADROOM", 1, 120_001, 120_000, "mV")


def test_arming_says_which_rail_each_channel_needs() -> None:
    two = rx(plan(), plan(channel=2, site="left-calf"))
    rig = Rig(device=IdealDevice(caps=replace(CAPS, rails_mv=RAILS))).prepared(two)
    rig.must(ArmSession())
    accepted = next(m for m in rig.said if getattr(m, "status", "") == "accepted")
    assert dict(accepted.details)["rails"] == "1: 60000, 2: 60000"
    plain = Rig().prepared(two)
    plain.must(ArmSession())
    accepted = next(m for m in plain.said if getattr(m, "status", "") == "accepted")
    assert "rails" not in dict(accepted.details)


@pytest.mark.rule("G11")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(("ua", "is_refused"), [(85_333, False), (85_334, True)])
def test_a_site_may_bound_charge_by_width_too(ua: int, *, is_refused: bool) -> None:
    limits = config(nmes={"phase_base_nc": 17_200, "phase_charge_nc": 30_000}).limits[rx().programme.modality]
    lane = Lane(rx(), plan(), plan().train(ua), limits, CAPS, 0)
    found = g11(lane)
    allowed = 17_200 + 28 * 300
    assert found == (
        Reason("G11", Severity.REFUSE, "LIM.CHARGE", 1, allowed + 1, allowed, "nC") if is_refused else None
    )
