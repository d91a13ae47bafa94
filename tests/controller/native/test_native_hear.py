"""The native driver against a scripted device on a real pty: what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.devices.base import Order
from controller.devices.native import REMEMBERED
from safety import messages
from safety.effects import Arm, Ask, Drive, Feed, Probe
from safety.messages import DeviceState, Flaw, Garbled, Heard, PatientStop, Sample
from safety.waveform import OFF, Train
from tests.controller.native.bench import ENVELOPE, Bench, Make
from tests.controller.peer import Peer, until
from tests.golden.native import layout
from tests.golden.native.layout import block, frame


async def test_a_status_is_heard_with_the_grant_it_answers(bench: Bench) -> None:
    grant = bench.grant
    orders: list[Order] = [Arm(grant(), (ENVELOPE,), 60_000), Drive(grant(), OFF), Feed(grant()), Ask()]
    for number, order in enumerate(orders, 1):
        bench.driver.send(order)
        heard = await bench.told()
        assert isinstance(heard, Heard)
        assert heard.grant == (0 if number == 4 else number)
        assert heard.status.frames == number
    bench.driver.silence(cut=True)
    await until(lambda: len(bench.events) == 2)
    assert [(e.grant, e.status.state) for e in bench.events if isinstance(e, Heard)] == [
        (0, DeviceState.STOPPED),
        (0, DeviceState.CUT),
    ]


async def test_a_status_is_told_in_full(bench: Bench) -> None:
    said = {
        "uptime_ms": 99,
        "frames": 5,
        "state": 2,
        "faults": 0b10_0001,
        "button": 0b1010_0011,
        "supply_mv": 11_111,
        "permit": 8,
        "grant": 9,
        "channels_status": [
            block(1, flags=8, set_ua=20_000, set_width_us=300, set_gap_us=100, set_period_us=25_000,
                  measured_ua=19_870, ohm=1_562, pulses=80, charge_nc=953_760, clipped=3, imbalance=21),
            block(2, flags=1, ohm=0xFFFF_FFFF),
        ],
    }  # fmt: skip
    bench.peer.says[layout.ASK] = lambda asked: [bench.peer.status(asked[1], **said)]
    bench.driver.send(Ask())
    one = Sample(
        channel=1, ua=20_000, width_us=300, gap_us=100, period_us=25_000, measured_ua=19_870, ohm=1_562, pulses=80,
        charge_nc=953_760, clipped=3, fresh=True, open=False, short=False, clip=False, imbalance_ppm=21_000,
    )  # fmt: skip
    two = Sample(
        channel=2, ua=0, width_us=0, gap_us=0, period_us=0, measured_ua=0, ohm=4_294_967_295, pulses=0,
        charge_nc=0, clipped=0, fresh=False, open=True, short=False, clip=False, imbalance_ppm=0,
    )  # fmt: skip
    await bench.hears(
        Heard(
            0,
            messages.Status(
                boot=4,
                uptime_ms=99,
                frames=5,
                state=DeviceState.RUNNING,
                faults=0b10_0001,
                button=True,
                presses=0b101_0001,
                supply_mv=11_111,
                permit=8,
                grant=9,
            ),
            (one, two),
        )
    )


@pytest.mark.parametrize("flag", range(4))
async def test_each_flag_of_a_channel_is_told_alone(bench: Bench, flag: int) -> None:
    blocks = [block(1, flags=1 << flag), block(2, flags=0xF0)]
    bench.peer.says[layout.ASK] = lambda asked: [bench.peer.status(asked[1], channels_status=blocks)]
    bench.driver.send(Ask())
    heard = await bench.told()
    assert isinstance(heard, Heard)
    names = ("open", "short", "clip", "fresh")
    flags = [tuple(getattr(sample, name) for name in names) for sample in heard.samples]
    assert flags == [tuple(at == flag for at in range(4)), (False,) * 4]


@pytest.mark.rule("M16")
@pytest.mark.hazard("H15")
async def test_a_device_that_does_not_compare_the_phases_tells_no_imbalance(make: Make) -> None:
    bench: Bench = await make(Peer(flags=0b011_1111))
    blocks = [block(1, imbalance=255), block(2)]
    bench.peer.says[layout.ASK] = lambda asked: [bench.peer.status(asked[1], channels_status=blocks)]
    bench.driver.send(Ask())
    heard = await bench.told()
    assert isinstance(heard, Heard)
    assert [sample.imbalance_ppm for sample in heard.samples] == [None, None]


@pytest.mark.parametrize(("flags", "told"), [(8, (False, False)), (9, (True, False)), (10, (False, True))])
async def test_a_probe_is_told_with_what_it_measured(bench: Bench, flags: int, told: tuple[bool, bool]) -> None:
    bench.peer.says[layout.PROBE] = lambda asked: [
        frame(layout.PROBED, asked[1], channel=2, ohm=1_562, measured_ua=1_000, flags=flags)
    ]
    bench.driver.send(Probe(bench.grant(), Train(2, 1_000, 300, 0, 25_000)))
    await bench.hears(messages.Probed(1, 2, 1_562, *told))


NAKS = {
    1: "UNKNOWN_TYPE",
    2: "WRONG_LENGTH",
    3: "WRONG_STATE",
    4: "WRONG_PERMIT",
    5: "OUT_OF_RANGE",
    6: "GRANT_NOT_GREATER",
    7: "CUT",
    8: "SELFTEST_FAILED",
    9: "PATIENT_STOP",
    10: "CHANNEL_LIST",
}


@pytest.mark.parametrize(("code", "name"), NAKS.items())
async def test_a_refusal_is_told_with_its_reason(bench: Bench, code: int, name: str) -> None:
    bench.peer.says[layout.DRIVE] = lambda asked: [frame(layout.NAK, asked[1], refused_type=layout.DRIVE, code=code)]
    bench.driver.send(Drive(bench.grant(), OFF))
    await bench.hears(Garbled(Flaw.REFUSED, 1, f"DRIVE was refused: {name}"))


def seal(type_: int, load: bytes) -> Callable[[int], bytes]:
    return lambda seq: layout.stuffed(layout.sealed(type_, seq, load))


UNKNOWN: dict[str, tuple[int, Callable[[int], bytes], str]] = {
    "NAK with an unknown code": (layout.FEED, lambda seq: frame(layout.NAK, seq, refused_type=4, code=11), "NAK: "),
    "NAK of another type": (layout.FEED, lambda seq: frame(layout.NAK, seq, refused_type=3, code=4), "NAK 4 is no"),
    "unknown type": (layout.FEED, seal(0x99, b""), "frame of the unknown type 0x99"),
    "a frame of a host": (layout.FEED, seal(layout.FEED, bytes(8)), "frame of the unknown type 0x04"),
    "STATUS of a wrong length": (layout.FEED, seal(layout.STATUS, bytes(33)), "STATUS: "),
    "STATUS in an unknown state": (layout.FEED, seal(layout.STATUS, bytes(16) + b"\x04" + bytes(17)), "STATUS: "),
    "STATUS without channels": (layout.FEED, seal(layout.STATUS, bytes(34)), "STATUS of the wrong channels"),
    "PROBED for FEED": (
        layout.FEED,
        lambda seq: frame(layout.PROBED, seq, channel=1, ohm=1, measured_ua=1, flags=8),
        "PROBED 4 is no answer to FEED",
    ),
    "SELFTESTED for FEED": (layout.FEED, lambda seq: frame(layout.SELFTESTED, seq, result=0), "SELFTESTED 4 is no"),
    "STATUS for PROBE": (layout.PROBE, seal(layout.STATUS, bytes(34)), "STATUS 4 is no answer to PROBE"),
    "PROBED on another channel": (
        layout.PROBE,
        lambda seq: frame(layout.PROBED, seq, channel=2, ohm=1, measured_ua=1, flags=8),
        "PROBED of the wrong channels",
    ),
}


@pytest.mark.parametrize(("asked", "said", "what"), UNKNOWN.values(), ids=UNKNOWN.keys())
async def test_an_answer_that_does_not_match_is_unknown(
    bench: Bench, asked: int, said: Callable[[int], bytes], what: str
) -> None:
    bench.peer.says[asked] = lambda one: [said(one[1])]
    probe = Probe(bench.grant(), Train(1, 1_000, 300, 0, 25_000))
    bench.driver.send(Feed(probe.grant) if asked == layout.FEED else probe)
    told = await bench.told()
    assert isinstance(told, Garbled)
    assert (told.flaw, told.grant) == (Flaw.UNKNOWN, 1)
    assert told.what.startswith(what)


async def test_an_answer_that_nobody_asked_for_is_unknown(bench: Bench) -> None:
    bench.peer.say(bench.peer.status(200))
    await bench.hears(Garbled(Flaw.UNKNOWN, 0, "STATUS 200 answers nothing that was asked"))


async def test_the_second_of_two_answers_is_unknown(bench: Bench) -> None:
    bench.peer.says[layout.FEED] = lambda asked: bench.peer.answer(asked) * 2
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: len(bench.events) == 2)
    assert isinstance(bench.events[0], Heard)
    assert bench.events[1] == Garbled(Flaw.UNKNOWN, 0, "STATUS 4 answers nothing that was asked")


async def test_damage_is_told_without_a_grant(bench: Bench) -> None:
    bench.peer.says[layout.FEED] = lambda asked: [bench.peer.status(asked[1])[:-2] + b"\x7f\0"]
    bench.driver.send(Feed(bench.grant()))
    told = await bench.told()
    assert isinstance(told, Garbled)
    assert (told.flaw, told.grant) == (Flaw.DAMAGED, 0)


async def test_a_late_answer_is_heard_with_its_own_grant(bench: Bench) -> None:
    kept = bench.peer.mute(layout.FEED)
    for _ in range(3):
        bench.driver.send(Feed(bench.grant()))
    await until(lambda: len(kept) == 3)
    for _, seq, _ in (kept[2], kept[0], kept[1]):
        bench.peer.say(bench.peer.status(seq))
    await until(lambda: len(bench.events) == 3)
    assert [event.grant for event in bench.events if isinstance(event, Heard)] == [3, 1, 2]


@pytest.mark.parametrize(("others", "known"), [(REMEMBERED - 1, True), (REMEMBERED, False), (260, False)])
async def test_an_answer_that_is_too_late_is_unknown(bench: Bench, others: int, known: bool) -> None:
    kept = bench.peer.mute(layout.FEED)
    bench.driver.send(Feed(bench.grant()))
    for _ in range(others):
        await bench.settled()
    bench.peer.say(bench.peer.status(kept[0][1]))
    told = await bench.told()
    assert isinstance(told, Heard if known else Garbled)
    assert len(bench.driver._asked._sent) <= REMEMBERED


# Events


def event(kind: int, seq: int = 77, channel: int = 0, faults: int = 0) -> bytes:
    return frame(layout.EVENT, seq, kind=kind, channel=channel, faults=faults)


async def test_the_patient_stop_is_told_at_once(bench: Bench) -> None:
    bench.peer.say(event(1, faults=2))
    await bench.hears(PatientStop())
    assert bench.peer.types() == []


async def test_the_patient_stop_is_told_before_the_device_is_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.peer.say(event(1, faults=2))
    await bench.hears(PatientStop())


async def test_a_released_button_is_left_to_the_next_status(bench: Bench) -> None:
    bench.peer.say(event(2, faults=2))
    await bench.settled()
    assert (bench.events, bench.peer.types()) == ([], [layout.ASK])


@pytest.mark.parametrize("kind", [3, 4, 5])
async def test_other_events_are_answered_by_a_question(bench: Bench, kind: int) -> None:
    bench.peer.say(event(kind, channel=1))
    heard = await bench.told()
    assert isinstance(heard, Heard)
    assert (heard.grant, bench.peer.types()) == (0, [layout.ASK])


async def test_an_event_while_a_frame_is_unanswered_is_asked_about_after_the_answer(bench: Bench) -> None:
    bench.peer.says[layout.FEED] = lambda asked: [event(3), event(5, channel=1), *bench.peer.answer(asked)]
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: len(bench.events) == 2)
    assert [one.grant for one in bench.events if isinstance(one, Heard)] == [1, 0]
    assert bench.peer.types() == [layout.FEED, layout.ASK]


async def test_a_storm_of_events_is_answered_by_one_question_at_a_time(bench: Bench) -> None:
    bench.peer.mute(layout.ASK)
    for _ in range(100):
        bench.peer.say(event(5, channel=1))
    await until(lambda: bench.peer.tape)
    await asyncio.sleep(0.05)
    assert (bench.peer.types(), bench.events) == ([layout.ASK], [])


async def test_an_event_never_passes_for_an_answer(bench: Bench) -> None:
    odd = layout.stuffed(layout.sealed(layout.EVENT, 4, bytes([9, 0, 0, 0])))
    bench.peer.says[layout.FEED] = lambda asked: [odd, *bench.peer.answer(asked)]
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: len(bench.events) == 2)
    garbled, heard = bench.events
    assert isinstance(garbled, Garbled)
    assert isinstance(heard, Heard)
    assert (garbled.flaw, garbled.grant, heard.grant) == (Flaw.UNKNOWN, 0, 1)
