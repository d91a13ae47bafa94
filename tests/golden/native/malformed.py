"""Frames that a device must refuse or ignore, and frames that a host cannot use: the rows of malformed.json."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

from accepted import QUIET
from layout import (
    ARM,
    ASK,
    CUT,
    DRIVE,
    FEED,
    HELLO,
    IDENTITY,
    NAK,
    PROBE,
    SELFTEST,
    SELFTESTED,
    STATUS,
    STOP,
    U8,
    U16,
    U32,
    block,
    envelope,
    frame,
    payload,
    sealed,
    stuffed,
    train,
)

READY = frame(ARM, 1, permit=7, lifetime_ms=60_000, envelopes=[envelope(1)])
GO = frame(DRIVE, 2, permit=7, grant=5, trains=[train(1)])
RUN = (READY, GO)
STOPPED, ARMED, RUNNING, CUT_OFF = range(4)


def row(
    name: str,
    sent: bytes,
    *answers: dict[str, int],
    errors: int = 0,
    frames: int | None = None,
    before: tuple[bytes, ...] = (),
    state: int = STOPPED,
    faults: int = 0,
    **more: int,
) -> dict[str, Any]:
    """A row of `to_device`; `frames` is the number of answers unless told otherwise."""
    return {
        "name": name,
        "before": [one.hex() for one in before],
        "pressed": bool(more.pop("pressed", 0)),
        **more,
        "hex": sent.hex(),
        "answers": list(answers),
        "errors": errors,
        "frames": len(answers) if frames is None else frames,
        "state": state,
        "faults": faults,
    }


def nak(refused: int, code: int, seq: int = 9) -> dict[str, int]:
    """What a NAK must say."""
    return {"type": NAK, "seq": seq, "refused_type": refused, "code": code}


def status(seq: int = 9) -> dict[str, int]:
    """A STATUS is expected; its state is in the row."""
    return {"type": STATUS, "seq": seq}


def damaged() -> Iterable[dict[str, Any]]:
    """Bytes that cannot be trusted: counted, never answered."""
    ask = frame(ASK, 9)
    body = sealed(ASK, 9, b"")
    head, check = body[:-4], body[-4:]
    yield row("nothing but zeros", b"\x00" * 7)
    yield row("zeros before and after a frame", b"\x00\x00" + ask + b"\x00", status())
    yield row("COBS code points past the end", b"\x09\x07\x09\x01\x00", errors=1)
    yield row("COBS code alone", b"\x02\x00", errors=1)
    yield row("body of 0 bytes", b"\x01\x00", errors=1)
    for length in range(1, 6):
        yield row(f"body of {length} bytes", stuffed(bytes(range(length))), errors=1)
    yield row("body of 5 bytes: type and a CRC that is right", stuffed(sealed(ASK, 9, b"")[:1] + check), errors=1)
    yield row("CRC: one bit of the type turned", stuffed(bytes([STOP]) + body[1:]), errors=1)
    yield row("CRC: one bit of the seq turned", stuffed(bytes([ASK, 8]) + check), errors=1)
    yield row("CRC: its last bit turned", stuffed(body[:-1] + bytes([body[-1] ^ 0x80])), errors=1)
    yield row("CRC: big endian", stuffed(head + check[::-1]), errors=1)
    yield row("CRC: zero", stuffed(head + bytes(4)), errors=1)
    yield row("CRC: of the payload alone", stuffed(head + struct.pack("<I", zlib.crc32(b""))), errors=1)
    inverted = bytes(byte ^ U8 for byte in check)
    yield row("CRC: without its final inversion", stuffed(head + inverted), errors=1)
    yield row("CRC: in front of the body", stuffed(check + head), errors=1)
    yield row("unstuffed body", bytes([ASK, 9, 1, 2, 3, 4, 0]), errors=1)
    yield row("first half of a frame", GO[: len(GO) // 2] + b"\x00", errors=1)
    yield row("second half of a frame", GO[len(GO) // 2 :], errors=1)
    yield row("noise runs into a frame: both are lost", b"\x55\xaa\x13" + ask, errors=1)
    yield row("noise, a zero, then a frame", b"\x55\xaa\x13\x00" + ask, status(), errors=1)
    yield row("a frame twice", ask + ask, status(), status())
    yield row("three damaged frames", (GO[:5] + b"\x00") * 3, errors=3)
    yield row("body of 513 bytes, CRC right", stuffed(sealed(STOP, 9, b"\x01" * 507)), errors=1)
    yield row("516 bytes without a zero, then a frame", b"\x01" * 516 + b"\x00" + ask, status(), errors=1)
    yield row("5,000 bytes without a zero, then a frame", b"\xff" * 5_000 + b"\x00" + ask, status(), errors=1)
    yield row("a damaged DRIVE changes nothing", GO[:-3] + b"\x01\x00", errors=1, before=(READY,), state=ARMED)


def ill_formed() -> Iterable[dict[str, Any]]:
    """Frames whose CRC is right, of an unknown type or of a length that is not their type's."""

    def as_sent(type_: int, load: bytes) -> bytes:
        return stuffed(sealed(type_, 9, load))

    for type_ in (0x00, 0x0A, 0x7F, IDENTITY, STATUS, NAK, 0xFF):
        yield row(f"type 0x{type_:02x} is no frame of a host", as_sent(type_, b""), nak(type_, 1))
    yield row("unknown type, long payload", as_sent(0x33, b"\x00" * 506), nak(0x33, 1))

    for name, type_ in (("HELLO", HELLO), ("ASK", ASK), ("SELFTEST", SELFTEST)):
        yield row(f"{name} with a payload", as_sent(type_, b"\x00"), nak(type_, 2))
    arm = payload(ARM, permit=7, lifetime_ms=60_000, envelopes=[envelope(1)])
    drive = payload(DRIVE, permit=7, grant=6, trains=[train(1)])
    feed = payload(FEED, permit=7, grant=6)
    probe = payload(PROBE, permit=6, grant=1, channel=1, ua=1_000, width_us=300)
    for name, type_, load in (
        ("ARM", ARM, arm),
        ("DRIVE", DRIVE, drive),
        ("FEED", FEED, feed),
        ("PROBE", PROBE, probe),
    ):
        yield row(f"{name} without payload", as_sent(type_, b""), nak(type_, 2))
        yield row(f"{name} one byte short", as_sent(type_, load[:-1]), nak(type_, 2))
        yield row(f"{name} one byte long", as_sent(type_, load + b"\x00"), nak(type_, 2))
    for name, type_, load in (("ARM", ARM, arm), ("DRIVE", DRIVE, drive)):
        for n in (0, 2, 255):
            yield row(f"{name}: n = {n}, one row", as_sent(type_, load[:8] + bytes([n]) + load[9:]), nak(type_, 2))
    yield row(
        "DRIVE one byte short, while armed", as_sent(DRIVE, drive[:-1]), nak(DRIVE, 2), before=(READY,), state=ARMED
    )

    yield row("STOP with a payload", as_sent(STOP, b"\x01"), status(), before=RUN)
    yield row("STOP, longest body", as_sent(STOP, b"\x00" * 506), status(), before=RUN)
    yield row("STOP, longest body without a zero", as_sent(STOP, b"\x01" * 506), status(), before=RUN)
    yield row("CUT with a payload", as_sent(CUT, b"\x01"), status(), state=CUT_OFF, before=RUN)
    exact = exactly_one_block()
    yield row("STOP of one full COBS block", exact + b"\x00", status(), before=RUN)
    yield row("the same with an empty block behind it", exact + b"\x01\x00", status(), before=RUN)


def exactly_one_block() -> bytes:
    """A STOP of 254 bytes without a zero, stuffed, no delimiter: encoders may end it with an empty block or not."""
    bodies = (sealed(STOP, 9, b"\x01" * 247 + bytes([last])) for last in range(1, 256))
    return b"\xff" + next(body for body in bodies if 0 not in body)


def out_of_place() -> Iterable[dict[str, Any]]:
    """Well-formed frames that the state, the permit or the grant does not allow."""
    arm = frame(ARM, 9, permit=8, lifetime_ms=60_000, envelopes=[envelope(1)])
    drive = frame(DRIVE, 9, permit=7, grant=6, trains=[train(1)])
    feed = frame(FEED, 9, permit=7, grant=6)
    probe = frame(PROBE, 9, permit=6, grant=1, channel=1, ua=1_000, width_us=300)
    selftest = frame(SELFTEST, 9)
    yield row("DRIVE in STOPPED", drive, nak(DRIVE, 3))
    yield row("FEED in STOPPED", feed, nak(FEED, 3))
    for name, before, state in (("ARMED", (READY,), ARMED), ("RUNNING", RUN, RUNNING)):
        for frame_name, type_, sent in (("ARM", ARM, arm), ("PROBE", PROBE, probe), ("SELFTEST", SELFTEST, selftest)):
            yield row(f"{frame_name} in {name}", sent, nak(type_, 3), before=before, state=state)
    after_stop = (*RUN, frame(STOP, 3))
    yield row("DRIVE after STOP", drive, nak(DRIVE, 3), before=after_stop)
    yield row("FEED after STOP", feed, nak(FEED, 3), before=after_stop)

    cut = (frame(CUT, 1),)
    for frame_name, type_, sent in (
        ("ARM", ARM, arm),
        ("DRIVE", DRIVE, drive),
        ("FEED", FEED, feed),
        ("PROBE", PROBE, probe),
        ("SELFTEST", SELFTEST, selftest),
    ):
        yield row(f"{frame_name} in CUT", sent, nak(type_, 7), before=cut, state=CUT_OFF)
    yield row(
        "wrong length in CUT: the length is judged first",
        stuffed(sealed(FEED, 9, b"")),
        nak(FEED, 2),
        before=cut,
        state=CUT_OFF,
    )
    for frame_name, type_, answer in (
        ("STOP", STOP, STATUS),
        ("ASK", ASK, STATUS),
        ("CUT", CUT, STATUS),
        ("HELLO", HELLO, IDENTITY),
    ):
        yield row(f"{frame_name} in CUT", frame(type_, 9), {"type": answer, "seq": 9}, before=cut, state=CUT_OFF)

    yield row("ARM while the patient stop is pressed", arm, nak(ARM, 9), pressed=1, faults=0b10)
    yield row("FEED while pressed: the state is judged first", feed, nak(FEED, 3), pressed=1, faults=0b10)
    yield row("DRIVE after a press in RUNNING", drive, nak(DRIVE, 3), before=RUN, pressed=1, faults=0b10)

    for name, before, state in (("ARMED", (READY,), ARMED), ("RUNNING", RUN, RUNNING)):
        other = frame(DRIVE, 9, permit=8, grant=6, trains=[train(1)])
        yield row(f"DRIVE under another permit, {name}", other, nak(DRIVE, 4), before=before, state=state)
        other = frame(FEED, 9, permit=8, grant=6)
        yield row(f"FEED under another permit, {name}", other, nak(FEED, 4), before=before, state=state)
    for grant, name in ((5, "repeated"), (4, "older"), (0, "zero")):
        late = frame(DRIVE, 9, permit=7, grant=grant, trains=[train(1)])
        yield row(f"DRIVE, grant {name}", late, nak(DRIVE, 6), before=RUN, state=RUNNING)
        late = frame(FEED, 9, permit=7, grant=grant)
        yield row(f"FEED, grant {name}", late, nak(FEED, 6), before=RUN, state=RUNNING)
    stale = frame(DRIVE, 9, permit=7, grant=5, trains=[train(200, ua=U32)])
    yield row("grant is judged before channels and range", stale, nak(DRIVE, 6), before=RUN, state=RUNNING)
    probed = (frame(PROBE, 1, permit=6, grant=1, channel=1, ua=1_000, width_us=300),)
    yield row("PROBE, grant repeated", probe, nak(PROBE, 6), before=probed)


def out_of_range() -> Iterable[dict[str, Any]]:
    """Well-formed frames with a channel list, a range or an envelope that is not kept."""

    def arm(*envelopes: dict[str, int], lifetime_ms: int = 60_000) -> bytes:
        return frame(ARM, 9, permit=7, lifetime_ms=lifetime_ms, envelopes=list(envelopes))

    def drive(*trains: dict[str, int]) -> bytes:
        return frame(DRIVE, 9, permit=7, grant=6, trains=list(trains))

    yield row("ARM: no envelope", arm(), nak(ARM, 5))
    yield row("ARM: lifetime 0", arm(envelope(1), lifetime_ms=0), nak(ARM, 5))
    yield row("ARM: current above the device's", arm(envelope(1, max_ua=U32)), nak(ARM, 5))
    yield row("ARM: width above the device's", arm(envelope(1, max_width_us=U16)), nak(ARM, 5))
    yield row("ARM: period below the device's", arm(envelope(1, min_period_us=1)), nak(ARM, 5))
    yield row("ARM: channel 0", arm(envelope(0)), nak(ARM, 10))
    yield row("ARM: a channel that is not there", arm(envelope(1), envelope(200)), nak(ARM, 10))
    yield row("ARM: a channel twice", arm(envelope(1), envelope(1)), nak(ARM, 10))
    yield row("ARM: channels descending", arm(envelope(2), envelope(1)), nak(ARM, 10))
    yield row("ARM: the channel list is judged before the range", arm(envelope(0, max_ua=U32)), nak(ARM, 10))

    for name, before, state in (("ARMED", (READY,), ARMED), ("RUNNING", RUN, RUNNING)):
        unlisted = {
            "channel 0": (train(0),),
            "a channel that is not there": (train(1), train(200)),
            "a channel twice": (train(1), train(1)),
            "channels descending": (train(2), train(1)),
        }
        for wrong, trains in unlisted.items():
            yield row(f"DRIVE: {wrong}, {name}", drive(*trains), nak(DRIVE, 10), before=before, state=state)
        breach = {
            "current": train(1, ua=40_500),
            "width": train(1, width_us=410),
            "period": train(1, period_us=24_999),
        }
        for wrong, one in breach.items():
            yield row(
                f"DRIVE outside the envelope: {wrong}, {name}", drive(one), nak(DRIVE, 5), before=before, faults=0b100
            )
        second = drive(train(1), train(2))
        yield row(
            f"DRIVE outside the envelope: a channel without one, {name}",
            second,
            nak(DRIVE, 5),
            before=before,
            faults=0b100,
            min_channels=2,
        )

    def probe(channel: int, ua: int, width_us: int) -> bytes:
        return frame(PROBE, 9, permit=6, grant=1, channel=channel, ua=ua, width_us=width_us)

    yield row("PROBE above 2,000 uA", probe(1, 2_001, 300), nak(PROBE, 5))
    yield row("PROBE above 500 us", probe(1, 1_000, 501), nak(PROBE, 5))
    yield row("PROBE: channel 0", probe(0, 1_000, 300), nak(PROBE, 10))
    yield row("PROBE: a channel that is not there", probe(200, 1_000, 300), nak(PROBE, 10))
    yield row("PROBE: the channel is judged before the range", probe(200, U32, U16), nak(PROBE, 10))


def to_host() -> Iterable[dict[str, Any]]:
    """What a host says about frames of a device that it cannot use."""

    def heard(name: str, sent: bytes, *reports: str) -> dict[str, Any]:
        return {"name": name, "hex": sent.hex(), "reports": list(reports)}

    good = sealed(SELFTESTED, 9, b"\x00")
    yield heard("nothing but zeros", b"\x00\x00\x00")
    yield heard("COBS code points past the end", b"\x09\x07\x09\x01\x00", "damaged")
    yield heard("body of 0 bytes", b"\x01\x00", "damaged")
    yield heard("body of 5 bytes", stuffed(good[:5]), "damaged")
    yield heard("wrong CRC", stuffed(good[:-1] + bytes([good[-1] ^ 1])), "damaged")
    yield heard("half a frame", stuffed(good)[:4] + b"\x00", "damaged")
    yield heard("516 bytes without a zero", b"\x01" * 516 + b"\x00", "damaged")
    yield heard("body of 513 bytes, CRC right", stuffed(sealed(SELFTESTED, 9, bytes(507))), "damaged")
    for type_ in (0x00, STOP, 0x85, 0x90, 0xFF):
        yield heard(f"type 0x{type_:02x} is no frame of a device", stuffed(sealed(type_, 9, b"")), "unknown")
    for code in (0, 11, 255):
        yield heard(f"NAK with the code {code}", frame(NAK, 9, refused_type=DRIVE, code=code), "unknown")
    for state in (4, 255):
        odd = frame(STATUS, 9, **{**QUIET, "state": state, "channels_status": [block(1)]})
        yield heard(f"STATUS with the state {state}", odd, "unknown")
    yield heard(
        "a damaged frame, then an unknown one", b"\x02\x00" + stuffed(sealed(0x90, 9, b"")), "damaged", "unknown"
    )


def malformed() -> dict[str, list[dict[str, Any]]]:
    """The two lists of malformed.json."""
    return {
        "to_device": [*damaged(), *ill_formed(), *out_of_place(), *out_of_range()],
        "to_host": list(to_host()),
    }
