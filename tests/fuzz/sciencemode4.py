"""Any bytes for the emulated P24: its receiver, and the whole device behind sound frames.

The tests run both on bytes of Hypothesis; `python -m tests.fuzz.run` runs them for longer.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.devices.sciencemode4_frames import LONGEST, SHORTEST, Damaged, Frame, Receiver, encode
from tests.hil.host4 import CURRENT_DATA, LOW_PULSE, MID_UPDATE, NOT_INITIALISED, PARAMETER, TRANSFER, Host4, frame4

LIMIT_UA = 130_000
DEAD_MAN_US = 2_000_000
COMMANDS = (0, 2, 4, 30, 32, 34, 36, 52, 54, 58, 62, 68)


def receiver(data: bytes) -> None:
    """Bytes are frames or counted noise, whatever the pieces; what is found is found again in its own bytes."""
    whole, pieces = Receiver(), Receiver()
    found = whole.push(data)
    assert found == [one for byte in data for one in pieces.push(bytes((byte,)))]
    assert whole.noise == pieces.noise
    assert len(whole._held) <= LONGEST
    assert whole.noise + len(whole._held) + SHORTEST * len(found) <= len(data)
    for one in found:
        if isinstance(one, Frame):
            assert Receiver().push(encode(one)) == [one]
        else:
            assert isinstance(one, Damaged)


def device(data: bytes) -> None:
    """Sound frames with any payload, and time: every answer is sound, and no pulse is without a reason.

    A byte chooses the command, the next one the length of the payload; a command byte above the list lets time pass.
    """
    host = Host4()
    fed_us = None
    rest = memoryview(data)
    while len(rest) >= 2:
        choice, length = rest[0], rest[1]
        if choice % 16 >= len(COMMANDS):
            host.jump(length * 20_000)
            rest = rest[2:]
            continue
        command = COMMANDS[choice % 16]
        payload = bytes(rest[2 : 2 + length])
        rest = rest[2 + length :]
        said = host.send(frame4(command, payload, choice >> 4)) or host.jump(100_000)
        assert all(one.payload for one in said)
        is_reason = command in {LOW_PULSE, MID_UPDATE, CURRENT_DATA} and bool(said)
        if is_reason and said[-1].payload[0] not in {NOT_INITIALISED, PARAMETER, TRANSFER}:
            fed_us = host.now_us
    host.jump(10_000_000)
    totals = [host.bench.scope.total(channel) for channel in range(1, 9)]
    assert max(total.max_ua for total in totals) <= LIMIT_UA
    assert not host.bench.stage.is_live
    last_us = max((total.last_us or 0 for total in totals), default=0)
    assert last_us < (fed_us or host.now_us) + DEAD_MAN_US


TARGETS: dict[str, Callable[[bytes], None]] = {"sciencemode4-receiver": receiver, "sciencemode4-device": device}
