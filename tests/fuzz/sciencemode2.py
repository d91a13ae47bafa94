"""Any bytes for the emulated RehaStim2: its receiver, and the whole device behind it.

    python -m tests.fuzz.sciencemode2 receiver|device [-max_total_time=SECONDS ...]

needs `atheris`, which installs on Linux only and is no dependency of anything here; the tests run the same targets on
bytes of Hypothesis and on golden frames that are cut, spliced and flipped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from hil.body import Skin
from hil.devices.sciencemode2_frames import HEAD, LONGEST_FRAME, Deframer, encode
from tests.hil.host import START_US
from tests.hil.host2 import ERROR, INIT, Host, decoded

SHORTEST_FRAME = HEAD + 3
LIMIT_UA = 130_000
WATCHDOG_US = 1_200_000
RESISTOR = Skin(resistor_ohm=500.0)
"""The strongest pulse stays below the rail, where both phases are equal."""


def receiver(data: bytes) -> None:
    """Bytes are frames or counted noise, whatever the pieces; what is sound is found again in its own bytes."""
    whole, pieces = Deframer(), Deframer()
    frames = whole.push(data)
    found = []
    for byte in data:
        found += pieces.push(bytes((byte,)))
        assert len(pieces._held) < LONGEST_FRAME
    assert found == frames
    assert pieces.noise == whole.noise
    assert whole.noise + len(whole._held) + SHORTEST_FRAME * len(frames) <= len(data)
    for frame in frames:
        again = encode(*frame[:3])
        if len(again) <= LONGEST_FRAME:
            assert Deframer().push(again) == [frame._replace(is_sound=True)]


def device(data: bytes) -> None:
    """A device that is connected and gets these bytes sends nothing but sound frames, and falls silent in time."""
    host = Host(*[RESISTOR] * 8)
    answers = decoded(host.bench.receive(data, host.now_us))
    assert len([one for one in answers if one.command not in {INIT, ERROR}]) <= len(Deframer().push(data))
    host.wait(50_000)
    host.jump(WATCHDOG_US)
    for channel in range(1, 9):
        total = host.bench.scope.total(channel)
        assert (total.max_ua <= LIMIT_UA, total.net_nc) == (True, 0)
        assert (total.last_us or 0) < START_US + WATCHDOG_US
    assert not host.model.is_connected
    assert not host.bench.stage.is_live


TARGETS: dict[str, Callable[[bytes], None]] = {"receiver": receiver, "device": device}


def main(target: str, options: list[str]) -> None:
    """Fuzz one target until something is found or the time is up."""
    import atheris  # noqa: PLC0415 - only here, where it is asked for

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
