"""A scope of your own on a real device: samples of an instrument, put together to pulses.

One sample a line, the same from a file that an instrument appends to and from a serial ADC:

    time_us,channel,ua

whole microseconds of the instrument's own clock, ascending in each channel; the channel from 1; microamperes with their
sign. A sample holds until the next one of its channel. Empty lines, lines that begin with # and the heading above say
nothing; so does the first line of an ADC, which may not be whole. An instrument sends samples while nothing flows, too:
from one that sends none nothing is believed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hil.body import NOTHING, Phase, Pulse
from hil.port import Setting, hang_up, opened
from hil.scope import Scope

HEADING = "time_us,channel,ua"
FLOOR_UA = 500
"""Less than this is noise, not current. Engineering default."""
QUIET_US = 2_000
"""A pulse has ended after so long without current: longer than any pause between phases, shorter than any period of
therapy. Engineering default."""
LONGEST_US = 10_000
"""A current that flows on is told in pieces of this length: no phase of therapy is as long. Engineering default."""
LOOK_S = 0.02
"""How often a file is looked at. Engineering default."""
STALE_US = 2_000_000
"""An instrument that has sent nothing for so long has stopped. Engineering default."""
ADC = Setting(115_200)
"""Of a serial ADC on a true serial line; one on USB does not care."""


class DeafError(Exception):
    """A scope from which nothing, or nothing sensible, has come."""


class Sample(NamedTuple):
    """One sample; how long it held is known with the next."""

    at_us: int
    ua: int


@dataclass(slots=True)
class Lead:
    """What is known of one channel: its last sample, and the pulse that it may be part of."""

    last: Sample | None = None
    begun_us: int = 0
    flowed_us: int = 0
    parts: list[tuple[int, int]] = field(default_factory=list)


class Samples:
    """Takes lines, and records pulses on a scope."""

    def __init__(self, scope: Scope, channels: int, now_us: Callable[[], int]) -> None:
        self._scope = scope
        self._leads = [Lead() for _ in range(channels)]
        self._now_us = now_us
        self._shift_us: int | None = None
        self._heard_us = 0
        self._wrong = ""

    def check(self) -> None:
        """Raise DeafError unless samples have come, and all of them made sense."""
        if self._wrong:
            raise DeafError(self._wrong)
        if self._shift_us is None:
            raise DeafError("the instrument has sent no sample since the test began: nothing is known of the current")
        if (silent_us := self._now_us() - self._heard_us) > STALE_US:
            raise DeafError(
                f"the instrument has sent nothing for {silent_us // 1_000} ms: nothing is known of the current"
            )

    def fail(self, why: str) -> None:
        """Believe nothing from now on; the first reason stays."""
        self._wrong = self._wrong or why

    def take(self, line: str) -> None:
        """One line, without its end."""
        words = line.strip()
        if not words or words.startswith("#") or words.replace(" ", "") == HEADING or self._wrong:
            return
        try:
            at_us, channel, ua = (int(word) for word in words.split(","))
        except ValueError:
            self.fail(f"the instrument says {words!r}: expected {HEADING}")
            return
        if not 1 <= channel <= len(self._leads):
            self.fail(f"the instrument tells of channel {channel}: expected one from 1 to {len(self._leads)}")
            return
        self._heard_us = self._now_us()
        if self._shift_us is None:
            self._shift_us = self._heard_us - at_us
        self._sample(channel, Sample(at_us + self._shift_us, ua))

    def _sample(self, channel: int, sample: Sample) -> None:
        lead = self._leads[channel - 1]
        if lead.last is not None:
            held_us = sample.at_us - lead.last.at_us
            if held_us <= 0:
                self.fail(f"the instrument's time does not go on: {-held_us} us back on channel {channel}")
                return
            self._hold(channel, lead, lead.last, held_us)
        lead.last = sample

    def _hold(self, channel: int, lead: Lead, sample: Sample, held_us: int) -> None:
        end_us = sample.at_us + held_us
        if abs(sample.ua) >= FLOOR_UA:
            if not lead.parts:
                lead.begun_us = sample.at_us
            lead.parts.append((sample.ua, held_us))
            lead.flowed_us = end_us
        if lead.parts and (end_us - lead.flowed_us >= QUIET_US or end_us - lead.begun_us >= LONGEST_US):
            self._scope.record(channel, lead.begun_us, _pulse(lead.parts))
            lead.parts = []


def _pulse(parts: list[tuple[int, int]]) -> Pulse:
    sign = 1 if parts[0][0] > 0 else -1
    first = _phase([(sign * ua, held_us) for ua, held_us in parts if sign * ua > 0])
    second = _phase([(-sign * ua, held_us) for ua, held_us in parts if sign * ua < 0])
    return Pulse(first, second, None)


def _phase(parts: list[tuple[int, int]]) -> Phase:
    return NOTHING._replace(
        peak_ua=float(max((ua for ua, _ in parts), default=0)),
        end_ua=float(parts[-1][0]) if parts else 0.0,
        charge_nc=sum(ua * held_us for ua, held_us in parts) / 1e3,
        square=float(sum(ua * ua * held_us for ua, held_us in parts)),
    )


class CsvScope:
    """Samples from a file that an instrument appends to: what it holds already belongs to another test."""

    def __init__(self, samples: Samples, path: Path) -> None:
        self._samples = samples
        self._file = path.open("rb")
        self._left = b""
        self._timer: asyncio.TimerHandle | None = None
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            self._is_whole = self._file.read(1) == b"\n"
        else:
            self._is_whole = True

    def begin(self) -> None:
        """Look from time to time, so that the first sample gets the time at which it came."""
        self.fetch()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self.begin)

    def fetch(self) -> None:
        """Take in what is there."""
        *lines, self._left = (self._left + self._file.read()).split(b"\n")
        for line in lines:
            if self._is_whole:
                self._samples.take(line.decode("ascii", "replace"))
            self._is_whole = True

    def close(self) -> None:
        """Look no more."""
        if self._timer:
            self._timer.cancel()
        self._file.close()


class AdcScope:
    """Samples from a serial ADC, or from a program that serves them over TCP."""

    def __init__(self, samples: Samples, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._samples = samples
        self._writer = writer
        self._task = asyncio.get_running_loop().create_task(self._listen(reader))

    @classmethod
    async def open(cls, samples: Samples, url: str) -> AdcScope:
        """Connect; raises OSError."""
        return cls(samples, *await opened(url, ADC))

    def fetch(self) -> None:
        """Nothing to do: what comes is taken in at once."""

    async def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        await hang_up(self._writer)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            await reader.readline()
            while line := await reader.readline():
                self._samples.take(line.decode("ascii", "replace"))
            self._samples.fail("the instrument has hung up")
        except (OSError, ValueError) as lost:
            self._samples.fail(f"the instrument is gone: {lost}")
