"""safety/permits.py: what a permit reserves and bounds, to the last nanocoulomb."""

from __future__ import annotations

import pytest
from clinic import NMES
from rig import CAPS, ArmSession, IdealDevice, Phase, Rig, plan, replace, rx, standing

from safety import permits
from safety.effects import Arm, ChannelRequest, Envelope, Grant, Permit
from safety.prescription import Dose
from safety.state import Purpose, Reading
from safety.turn import Turn
from safety.waveform import Train

pytestmark = [pytest.mark.rule("G28"), pytest.mark.hazard("H18")]

THIGH_DOSE = Dose(nc=12_436_200, i2t=248_724_000_000_000, on_ms=24_500)
"""6 cycles x 161 pulses x 2 x 20 mA x 300 us, and 5 %; the same squared; 6 x 4 s with current."""


@pytest.mark.rule("G20")
@pytest.mark.parametrize(("width_us", "tested_us"), [(300, 300), (500, 500), (501, 500)])
def test_a_test_pulse_has_1_ma_and_the_therapys_width_up_to_500_us(width_us: int, tested_us: int) -> None:
    session = Rig().prepared(rx(plan(), plan(channel=2, site="left-calf", width_us=210))).station.session
    wide = session.settings[0]._replace(plan=replace(session.settings[0].plan, width_us=width_us))
    session = session._replace(settings=(wide, session.settings[1]))
    assert permits.probe_train(session, 1) == Train(1, 1_000, tested_us, 0, 1_000_000)
    assert permits.probe_train(session, 2) == Train(2, 1_000, 210, 0, 1_000_000)


def test_a_request_says_what_was_measured_and_whether_the_skin_was_looked_at() -> None:
    rig = standing(Phase.PREPARED)
    session = rig.station.session
    session = session._replace(readings=(Reading(1, (1_400, 1_600, 1_450), 7),))
    permit = Permit(9, session.id, "d1", (Envelope(1, 1, 2, 3, 4),), (THIGH_DOSE,), 5)
    for skin_ms, seen in ((0, False), (1, True)):
        looked = session._replace(care=session.care._replace(skin_ms=skin_ms))
        asked = permits.permit_request(looked, permit)
        assert asked.skin_checked is seen
        assert (asked.probe, asked.on_time_ms) == (False, 12_000)
        assert asked.channels == (
            ChannelRequest(channel=1, site="left-quadriceps", pair="a", reserve=THIGH_DOSE, ua=20_000, ohm=1_450),
        )
    assert permits.permit_request(session, permit, trial=True).on_time_ms == 0


def test_a_channel_that_asks_for_nothing_is_not_the_ledgers() -> None:
    session = Rig().prepared(NMES).station.session
    envelopes = (Envelope(1, 1, 2, 3, 4), Envelope(3, 1, 2, 3, 4))
    permit = Permit(9, session.id, "d1", envelopes, (Dose(), THIGH_DOSE), 5)
    assert [each.channel for each in permits.permit_request(session, permit).channels] == [3]
    assert [each.channel for each in permits.permit_request(session, permit, probe=True).channels] == [1, 3]


def test_what_was_given_is_reserved_as_it_will_be_charged() -> None:
    rig = Rig().prepared(NMES)
    session = rig.station.session
    given = session.channels[0]._replace(spent=(1_000_003, 7, 9))
    course = session.course._replace(played_ms=55_000, seen_nc=(0, 2_000_001), base_nc=(0, 50))
    session = session._replace(channels=(given, session.channels[1]), course=course)
    permit = permits.therapy_permit(Turn(rig.station, rig.now), session)
    # What is left, 5 s, holds one cycle of the thigh and may hold two of the calf, which begins half a second later.
    # A stop that is not heard lets half a second more pass, and a pulse: 21 of the thigh's.
    cycle_nc = -(-(161 + 21) * 12_000 * 105 // 100)
    assert permit.reserve[0].nc == 1_010_004 + cycle_nc
    i2t = -(-(161 + 21) * 240_000_000_000 * 105 // 100)
    assert (permit.reserve[0].i2t, permit.reserve[0].on_ms) == (7 + i2t, 9 + 4_500)
    assert permit.reserve[1].nc - (-(-2_000_051 * 101 // 100)) == permit_of_calf_nc()
    top_nc = -(-(161 + 21) * 18_000 * 105 // 100)
    assert permit.envelopes[0] == Envelope(1, 30_000, 300, 25_000, top_nc + 1_000_003)
    assert (permit.id, permit.session, permit.rx_digest) == (rig.station.tally.next_id, session.id, "d1")
    assert permit.ends_mono_ms == rig.mono_ms + 60_000 + 90_000


def permit_of_calf_nc() -> int:
    rig = Rig().prepared(NMES)
    session = rig.station.session
    session = session._replace(course=session.course._replace(played_ms=55_000))
    return permits.therapy_permit(Turn(rig.station, rig.now), session).reserve[1].nc


def test_no_envelope_is_wider_than_the_sessions_cap() -> None:
    rig = Rig().prepared(NMES)
    session = rig.station.session
    session = session._replace(limits=replace(session.limits, session_nc=10_000_000))
    permit = permits.therapy_permit(Turn(rig.station, rig.now), session)
    assert [each.max_charge_nc for each in permit.envelopes] == [10_000_000, 7_533_162]


@pytest.mark.parametrize(("accuracy_ppm", "nc"), [(0, 12_436_200 + 1_000), (10_000, 12_436_200 + 1_010)])
def test_the_devices_accuracy_is_laid_on_top_of_what_was_given(accuracy_ppm: int, nc: int) -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, accuracy_ppm=accuracy_ppm))).prepared()
    session = rig.station.session
    session = session._replace(channels=(session.channels[0]._replace(spent=(1_000, 0, 0)),))
    assert permits.therapy_permit(Turn(rig.station, rig.now), session).reserve[0].nc == nc


@pytest.mark.parametrize(
    ("base_nc", "seen_nc", "spent_nc", "left_nc"),
    [(0, 0, 0, 5_000), (1_000, 500, 0, 3_500), (1_000, 500, 1_600, 3_400), (0, 0, 5_000, 0), (0, 0, 5_001, 0)],
)
def test_the_device_is_armed_for_what_is_left_of_its_envelope(
    base_nc: int, seen_nc: int, spent_nc: int, left_nc: int
) -> None:
    rig = Rig().prepared(NMES)
    session, number = rig.station.session, rig.station.tally.next_id
    thigh, calf = session.channels
    course = session.course._replace(base_nc=(base_nc, 7), seen_nc=(seen_nc, 3))
    session = session._replace(channels=(thigh._replace(spent=(spent_nc, 0, 0)), calf), course=course)
    envelopes = Envelope(1, 30_000, 300, 25_000, 5_000), Envelope(3, 0, 210, 30_310, 5_000)
    permit = Permit(9, session.id, "d1", envelopes, (Dose(), Dose()), rig.mono_ms + 1_234)
    turn, command = Turn(rig.station, rig.now), rig.command(ArmSession())
    permits.arm_device(turn, session, command, Purpose.ARMED, permit, (3,))
    grant = Grant(9, number, rig.mono_ms + 200)
    # The calf's channel may give nothing, and is not armed at all.
    assert turn.effects == [Arm(grant, (envelopes[0]._replace(max_charge_nc=left_nc),), 1_234)]
    rolled = course._replace(base_nc=(base_nc + seen_nc, 10), seen_nc=(0, 0))
    assert turn.station.session == session._replace(course=rolled, permit=permit)
    waiting = turn.station.waiting
    assert (waiting.command, waiting.purpose, waiting.grant, waiting.channels) == (command, Purpose.ARMED, number, (3,))
