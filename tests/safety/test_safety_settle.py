"""What a session is charged at its end: the device's own count, what was applied, or the whole reservation."""

from __future__ import annotations

import random

import pytest
from rig import (
    CAPS,
    Adjust,
    ArmSession,
    Check,
    Claim,
    ClearLatch,
    IdealDevice,
    Modality,
    Pause,
    Phase,
    Prepare,
    Programme,
    Resume,
    Rig,
    Start,
    Stop,
    only,
    plan,
    replace,
    rx,
    standing,
)

from safety.effects import Closing, Settlement, Silence
from safety.messages import Heard
from safety.prescription import Dose

pytestmark = pytest.mark.rule("L08")

LONG = Programme(modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000,
                 therapy_ms=1_200_000)  # fmt: skip


def go_on(rig: Rig) -> None:
    """Acknowledge what stands, measure again, and resume."""
    for latch in rig.station.latches:
        rig.must(ClearLatch(latch.id, "looked at it"))
    rig.must(Check(()))
    assert rig.ask(Resume()).status == "succeeded"


def up_by_1_percent(nc: int) -> int:
    return (nc * 1_010_000 + 999_999) // 1_000_000


@pytest.mark.rule("L08")
@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize("seed", range(6))
def test_a_session_is_charged_what_the_device_delivered_and_its_accuracy(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a script that can be repeated, no secret
    calf = plan(channel=4, site="right-calf", pair="b", ua=13_700, width_us=217, period_us=30_310, delay_ms=5_000)
    rig = Rig().running(rx(plan(), calf, programme=LONG))
    for _ in range(40):
        rig.tick(dice.randrange(1, 40))
        choice = dice.random()
        if choice < 0.2:
            rig.ask(Adjust(dice.choice((1, 4)), dice.choice((-700, 300, 1_000))))
        elif choice < 0.3:
            rig.must(Pause())
            rig.tick(dice.randrange(1, 40))
            go_on(rig)
        assert rig.phase is Phase.RUNNING
        reserve = [dose.nc for dose in rig.station.session.permit.reserve]
        assert all(held >= rig.device.total_nc.get(number, 0) for held, number in zip(reserve, (1, 4), strict=True))
    played_ms, setpoints = rig.station.session.course.played_ms, [s.setpoint_ua for s in rig.station.session.settings]
    rig.must(Stop())
    (settled,) = rig.notes("settle")
    spent = settled.charged[0][1], settled.charged[1][1]
    assert settled == Settlement(
        session="s-dev1-b1-1",
        evidence="readback",
        charged=(
            (1, Dose(nc=up_by_1_percent(rig.device.total_nc[1]), i2t=spent[0].i2t, on_ms=spent[0].on_ms)),
            (4, Dose(nc=up_by_1_percent(rig.device.total_nc[4]), i2t=spent[1].i2t, on_ms=spent[1].on_ms)),
        ),
        completed=False,
        played_ms=played_ms,
        ua=((1, setpoints[0]), (4, setpoints[1])),
    )
    assert rig.device.total_nc[1] > 2_000_000


@pytest.mark.rule("L08")
def test_a_device_without_readback_is_charged_by_what_was_applied_and_two_percent() -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, readback=False)))
    rig.running(ticks=100)
    rig.device.sample_changes[1] = only(charge_nc=0)
    channel = rig.station.session.channels[0]
    rig.must(Stop())
    (settled,) = rig.notes("settle")
    nc, i2t, on_ms = channel.spent
    assert (settled.evidence, settled.charged) == (
        "applied",
        ((1, Dose(nc=unread_of(nc), i2t=unread_of(i2t), on_ms=on_ms)),),
    )
    assert nc == rig.device.total_nc[1]
    assert on_ms == 3_950


def unread_of(applied: int) -> int:
    """What is charged of a dose that was applied and that nobody reads back: 2 % more, rounded up."""
    return -(-applied * 102 // 100)


def unread() -> Rig:
    """A rig without readback that a plateau has just reached."""
    return Rig(device=IdealDevice(caps=replace(CAPS, readback=False))).plateau()


@pytest.mark.hazard("H19")
@pytest.mark.parametrize("wish", [Stop(), Pause()])
@pytest.mark.parametrize("ms", [1, 24, 25, 49, 99])
def test_what_flows_between_the_last_tick_and_a_stop_is_counted(wish: object, ms: int) -> None:
    rig = unread()
    rig.mono_ms, rig.wall_ms = rig.mono_ms + ms, rig.wall_ms + ms
    rig.device.advance(ms)
    rig.must(wish)
    rig.must(Stop())
    (settled,) = rig.notes("settle")
    assert (settled.evidence, settled.charged[0][1].nc) == ("applied", unread_of(rig.device.total_nc[1] + 12_000))


def half_a_word(rig: Rig, channels: tuple[int, ...], **status: object) -> None:
    """Let the device confirm a stop, and tell the counts of these channels only."""
    rig.answering = True
    samples = tuple(sample for sample in rig.device.samples() if sample.channel in channels)
    rig.give(Heard(0, rig.device.status(rig.mono_ms)._replace(**status), samples))  # type: ignore[arg-type]


@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("channels", "status"), [((1, 2), {"permit": 1}), ((), {}), ((2,), {}), ((2, 3), {"permit": 0})]
)
def test_a_last_word_that_does_not_count_is_no_evidence(channels: tuple[int, ...], status: dict[str, object]) -> None:
    rig = Rig().plateau()
    rig.answering = False
    rig.tick(2)
    rig.ask(Stop())
    half_a_word(rig, channels, **status)
    (settled,) = rig.notes("settle")
    assert (settled.evidence, settled.charged[0][1].nc) == ("applied", unread_of(rig.device.total_nc[1] + 12_000))


@pytest.mark.hazard("H19")
def test_a_pause_whose_last_word_does_not_count_is_counted_as_applied() -> None:
    rig = Rig().plateau()
    rig.answering = False
    rig.tick(2)
    rig.ask(Pause())
    half_a_word(rig, ())
    course = rig.station.session.course
    assert course.base_nc[0] + course.seen_nc[0] == rig.device.total_nc[1] + 12_000


@pytest.mark.hazard("H19")
def test_of_two_channels_only_the_one_that_is_not_told_is_counted_as_applied() -> None:
    rig = Rig().running(rx(plan(), plan(channel=4, site="right-calf", pair="b")), ticks=45)
    rig.device.sample_changes[1] = only(charge_nc=9_000_000)
    rig.answering = False
    rig.tick(1)
    rig.ask(Pause())
    half_a_word(rig, (1,))
    assert rig.station.session.course.seen_nc == (9_000_000, rig.device.total_nc[4] + 12_000)


@pytest.mark.rule("M18")
@pytest.mark.hazard("H19")
def test_a_rise_late_in_a_session_still_reserves_what_the_device_has_counted() -> None:
    rig = Rig().running()
    rig.tick(1_030)
    assert rig.station.session.channels[0].plateau_ms > 0
    counted = rig.station.session.course.seen_nc[0] * 103 // 100
    rig.device.sample_changes[1] = only(charge_nc=counted)
    rig.hear()
    assert rig.must(Adjust(1, 1_000)).status == "succeeded"
    left_ms = 60_000 - rig.station.session.course.played_ms
    cycles, pulse_nc = -(-left_ms // 10_000), 2 * 21_000 * 300 // 1_000
    assert rig.station.session.permit.reserve[0].nc == -(-counted * 101 // 100) + -(
        -(cycles * 161 + 21) * pulse_nc * 105 // 100
    )


def test_a_session_that_was_never_armed_has_nothing_to_settle() -> None:
    rig = standing(Phase.PREPARED)
    rig.must(Stop())
    assert (rig.notes("settle"), len(rig.notes("close"))) == ([], 1)


def test_a_session_that_was_armed_and_never_ran_is_charged_nothing() -> None:
    rig = standing(Phase.ARMED)
    rig.must(Stop())
    nothing = ((1, Dose()),)
    assert rig.notes("settle") == [
        Settlement(session="s-dev1-b1-1", evidence="readback", charged=nothing, ua=((1, 20_000),))
    ]


def test_every_closing_names_its_rule() -> None:
    rig = standing(Phase.RUNNING)
    rig.device.sample_changes[1] = only(open=True)
    rig.tick(2)
    assert rig.notes("close") == [Closing(session="s-dev1-b1-1", outcome="stopped", rule="M07")]
    assert rig.events("session.closed")[0].details == (
        ("session_id", "s-dev1-b1-1"),
        ("outcome", "stopped"),
        ("evidence", "readback"),
    )
    for latch in rig.station.latches:
        rig.must(ClearLatch(latch.id, "pressed on"))
    rig.device.sample_changes.clear()
    rig.must(Claim())
    assert rig.must(Prepare(rx(), "rx-1@1", "p-1")).status == "succeeded"
    rig.must(Check(()))
    rig.must(ArmSession())
    rig.must(Start())
    assert rig.station.session.id != "s-dev1-b1-1"


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize(("ticks", "evidence"), [(1, "applied"), (2, "reservation"), (4, "reservation")])
def test_without_readback_a_stop_that_had_to_be_repeated_costs_the_reservation(ticks: int, evidence: str) -> None:
    """The first repetition goes out at 100 ms."""
    rig = Rig(device=IdealDevice(caps=replace(CAPS, readback=False))).plateau()
    rig.device.ignores_stop = True
    rig.ask(Stop())
    rig.tick(ticks)
    rig.device.ignores_stop = False
    rig.device.obey(Silence(cut=False))
    rig.hear()
    assert [note.evidence for note in rig.notes("settle")] == [evidence]


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize(("ticks", "more_ms"), [(1, 0), (2, 100), (4, 200)])
def test_without_readback_a_pause_that_had_to_be_repeated_costs_all_that_may_have_flowed(
    ticks: int, more_ms: int
) -> None:
    rig = unread()
    rig.device.ignores_stop = True
    rig.must(Pause())
    before = rig.station.session.channels
    rig.tick(ticks)
    rig.device.ignores_stop = False
    rig.device.obey(Silence(cut=False))
    rig.hear()
    nc, i2t, on_ms = before[0].spent
    # Pulses of 12 uC every 25 ms, one more, and 5 %.
    pulses = more_ms // 25 + 1 if more_ms else 0
    spent = (nc + pulses * 12_600, i2t + pulses * 252_000_000_000, on_ms + more_ms)
    assert [channel.spent for channel in rig.station.session.channels] == [spent]
    assert rig.phase is Phase.PAUSED


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
def test_with_readback_a_pause_that_had_to_be_repeated_is_counted_by_the_device() -> None:
    rig = Rig().plateau()
    rig.device.ignores_stop = True
    rig.must(Pause())
    before = rig.station.session.channels
    rig.tick(4)
    rig.device.ignores_stop = False
    rig.device.obey(Silence(cut=False))
    rig.hear()
    assert [channel.spent for channel in rig.station.session.channels] == [channel.spent for channel in before]
