"""The words of ScienceMode 4: what each golden payload means, and what is refused."""

from __future__ import annotations

import struct

import pytest

from controller.devices.sciencemode4_acks import (
    Ack,
    Complaint,
    CurrentData,
    DeviceId,
    Fault,
    Level,
    Pulsed,
    Result,
    StimStatus,
    Version,
    read_answer,
)
from controller.devices.sciencemode4_frames import (
    CHANNELS,
    GetCurrentData,
    GetDeviceId,
    GetStimStatus,
    GetVersion,
    LowInit,
    LowPulse,
    LowStop,
    Measure,
    MidInit,
    MidStop,
    MidUpdate,
    Pattern,
    Point,
    Request,
    channels_of,
    mask_of,
    read_request,
)
from tests.controller.sciencemode4.golden import ROWS

PAYLOADS = {row.row: (row.command, row.payload) for row in ROWS}
TWENTY = (Point(200, 20_000), Point(100, 0), Point(200, -20_000))
TWELVE = (Point(200, 12_500), Point(100, 0), Point(200, -12_500))
SEVEN = (Point(200, -7_500), Point(100, 0), Point(200, 7_500))

REQUESTS: list[tuple[int, Request]] = [
    (1, GetDeviceId()),
    (4, GetStimStatus()),
    (6, GetVersion()),
    (10, MidInit(all_stop=True)),
    (12, GetCurrentData()),
    (14, MidUpdate((Pattern(1, 28_500, 500, 3, TWENTY), Pattern(2, 28_500, 500, 3, TWELVE)))),
    (15, MidUpdate((Pattern(1, 28_500, 250, 3, TWENTY),))),
    (18, MidStop()),
    (20, LowInit(Measure.NOTHING)),
    (22, LowPulse(6, TWENTY)),
    (24, LowStop()),
    (31, MidUpdate((Pattern(1, 29_000, 500, 3, TWENTY), Pattern(2, 29_000, 500, 3, TWELVE)))),
    (32, MidUpdate((Pattern(5, 50_000, 500, 0, SEVEN),))),
]
NONE = (Fault.NOTHING,) * 8
ANSWERS = [
    (2, DeviceId(53, Result.OK, "EMU0000001")),
    (5, StimStatus(63, Result.OK, Level.MID_RUNNING)),
    (7, Version(69, Result.OK, (1, 2, 3), (4, 0, 0))),
    (11, Ack(31, Result.OK)),
    (13, CurrentData(37, Result.OK, 1, (Fault.NOTHING, Fault.ELECTRODE, *NONE[2:7], Fault.LOW_CURRENT))),
    (16, Ack(33, Result.OK)),
    (17, Ack(33, Result.NOT_INITIALISED)),
    (19, Ack(35, Result.OK)),
    (21, Ack(1, Result.OK)),
    (23, Pulsed(3, Result.ELECTRODE, 6, Measure.NOTHING, 0, ())),
    (25, Ack(5, Result.OK)),
    (28, Complaint(67, Result.INVALID_COMMAND)),
    (29, Complaint(66, Result.TRANSFER)),
]


@pytest.mark.parametrize(("row", "request_"), REQUESTS)
def test_a_golden_request_is_understood_both_ways(row: int, request_: Request) -> None:
    command, payload = PAYLOADS[row]
    assert (request_.COMMAND, request_.to_payload()) == (command, payload)
    assert read_request(command, payload) == request_


@pytest.mark.parametrize(("row", "answer"), ANSWERS)
def test_a_golden_answer_is_understood(row: int, answer: object) -> None:
    assert read_answer(*PAYLOADS[row]) == answer


@pytest.mark.parametrize("row", [8, 26])
def test_what_is_never_asked_is_no_request(row: int) -> None:
    with pytest.raises(ValueError, match="unknown command"):
        read_request(*PAYLOADS[row])


@pytest.mark.parametrize("row", [9, 27, 30])
def test_an_answer_to_what_is_never_asked_is_unknown(row: int) -> None:
    with pytest.raises(ValueError, match=r"unknown command|selection 3"):
        read_answer(*PAYLOADS[row])


@pytest.mark.parametrize("channel", range(1, CHANNELS + 1))
def test_a_channel_has_one_place_at_each_level(channel: int) -> None:
    (first,) = LowPulse(channel, TWENTY).to_payload()[:1]
    assert (first >> 4 & 1, first >> 5 & 3) == divmod(channel - 1, 4)
    assert read_request(2, LowPulse(channel, TWENTY).to_payload()) == LowPulse(channel, TWENTY)
    assert (mask_of([channel]), channels_of(1 << channel - 1)) == (1 << channel - 1, [channel])


def pattern(**changes: object) -> MidUpdate:
    return MidUpdate((Pattern(1, 28_500, 500, 0, TWENTY)._replace(**changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("update", "period"),
    [
        (pattern(period_us=500), b"\x00\x02"),
        (pattern(period_us=16_383_500), b"\xff\xfe"),
        (pattern(period_us=250, unit_us=250), b"\x00\x03"),
        (pattern(period_us=8_191_750, unit_us=250), b"\xff\xff"),
        (pattern(period_us=28_750, unit_us=250), b"\x00\xe7"),
    ],
)
def test_a_period_is_counted_in_halves_or_quarters_of_a_millisecond(update: MidUpdate, period: bytes) -> None:
    assert update.to_payload()[2:4] == period
    assert read_request(32, update.to_payload()) == update


@pytest.mark.parametrize(
    "point", [Point(0, 0), Point(4_095, 130_000), Point(1, -130_000), Point(200, 500), Point(200, -500)]
)
def test_a_point_at_its_bounds_is_written(point: Point) -> None:
    update = pattern(points=(point,))
    assert read_request(32, update.to_payload()) == update


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    "wrong",
    [
        pattern(period_us=16_384_000),
        pattern(period_us=20_000_000),
        pattern(period_us=8_192_000, unit_us=250),
        pattern(period_us=28_501),
        pattern(period_us=28_750),
        pattern(period_us=-500),
        pattern(ramp=16),
        pattern(ramp=-1),
        pattern(channel=0),
        pattern(channel=9),
        pattern(points=()),
        pattern(points=(Point(10, 0),) * 17),
        pattern(points=(Point(4_096, 0),)),
        pattern(points=(Point(-1, 0),)),
        pattern(points=(Point(200, 130_500),)),
        pattern(points=(Point(200, -130_500),)),
        pattern(points=(Point(200, 20_001),)),
        MidUpdate(pattern(channel=2).patterns + pattern(channel=1).patterns),
        MidUpdate(pattern().patterns * 2),
        LowPulse(0, TWENTY),
        LowPulse(9, TWENTY),
        LowPulse(1, ()),
    ],
)
def test_what_does_not_fit_is_not_written(wrong: Request) -> None:
    with pytest.raises((ValueError, struct.error)):
        wrong.to_payload()


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (0, "80"),
        (0, "01"),
        (0, "04"),
        (0, "30"),
        (0, ""),
        (2, ""),
        (2, "32"),
        (2, "32 0c855000 0644b000 0c841000"),
        (2, "b2 0c855000"),
        (2, "b2 0c855001 0644b000 0c841000"),
        (2, "b2 ffffc000 0644b000 0c841000"),
        (4, "00"),
        (30, "02"),
        (30, ""),
        (32, ""),
        (32, "01"),
        (32, "01 23"),
        (32, "01 20 0072 0c855000 0644b000"),
        (32, "01 10 0072 0c855000 0644b000 0c841000"),
        (34, "00"),
        (36, ""),
        (36, "03"),
        (52, "00"),
    ],
)
def test_a_payload_that_is_not_of_its_kind_is_not_read(command: int, payload: str) -> None:
    with pytest.raises((ValueError, struct.error)):
        read_request(command, bytes.fromhex(payload))


SAMPLES = "0005" + "0064" * 128


def test_what_a_pulse_measured_is_read() -> None:
    pulsed = read_answer(3, bytes.fromhex("00 12 01" + "0005" + "0064" * 127 + "ffff"))
    assert pulsed == Pulsed(3, Result.OK, 7, Measure.CURRENT, 5, (100,) * 127 + (65_535,))


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (1, ""),
        (1, "0000"),
        (1, "1d"),
        (31, "ff"),
        (3, "00"),
        (3, "001000ff"),
        (3, "002000"),
        (3, "001400"),
        (3, "001003" + SAMPLES),
        (3, "001004" + SAMPLES),
        (3, "001001" + SAMPLES[:-4]),
        (3, "001001" + SAMPLES + "00"),
        (37, "00"),
        (37, "0004 00 000000"),
        (37, "0004 00 0000000000"),
        (37, "0003 00 00000000"),
        (37, "0004 00 40000000"),
        (37, "0004 00 00000004"),
        (53, "00"),
        (53, "00" + "41" * 9),
        (53, "00" + "41" * 11),
        (53, "00" + "ff" * 10),
        (53, "00" + "07" * 10),
        (53, "00" + "20" * 10),
        (53, "00" + "00" * 10),
        (63, "0000"),
        (63, "00000100"),
        (63, "000401"),
        (69, "00" + "00" * 11),
        (69, "00" + "00" * 13),
        (66, ""),
        (66, "0101"),
        (66, "ff"),
        (99, "00"),
        (52, ""),
    ],
)
def test_an_answer_that_is_not_of_its_kind_is_not_read(command: int, payload: str) -> None:
    with pytest.raises((ValueError, struct.error)):
        read_answer(command, bytes.fromhex(payload))


def test_every_result_of_the_document_has_a_name_of_its_own() -> None:
    assert [*Result] == [*range(29)]


@pytest.mark.parametrize("command", [1, 3, 5, 31, 33, 35, 37, 53, 63, 69])
@pytest.mark.parametrize("result", [result for result in Result if result is not Result.OK])
def test_a_failure_may_say_no_more_than_that(command: int, result: Result) -> None:
    assert read_answer(command, bytes([result])) == Ack(command, result)
    for more in (b"\0\0", b"\xff" * 20, bytes(300)):
        assert read_answer(command, bytes([result]) + more).result is result
