"""What a host said on the line, in words for its chunks and in the currents that it commanded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hil.devices import (
    native_frames,
    native_words,
    sciencemode2_frames,
    sciencemode2_words,
    sciencemode4_frames,
    sciencemode4_words,
)
from hil.evidence import Step
from hil.frame_names import units
from hil.tape import Chunk, Direction

Picture: TypeAlias = dict[int, int]
"""The amplitude of every channel that is to give pulses, in uA; all others are to be at zero."""


def words(chunks: Sequence[Chunk], kind: str) -> list[str]:
    """The names of the frames that end in each chunk; "" where none does."""
    said: dict[Direction, dict[int, list[str]]] = {"to_device": {}, "to_host": {}}
    for direction, ended in said.items():
        for unit in units(chunks, direction, kind):
            ended.setdefault(unit.offset + len(unit.data), []).append(unit.name)
    found = []
    passed: dict[Direction, int] = {"to_device": 0, "to_host": 0}
    for _, direction, data in chunks:
        begin, end = passed[direction], passed[direction] + len(data)
        names = [name for at in range(begin + 1, end + 1) for name in said[direction].get(at, ())]
        passed[direction] = end
        found.append(", ".join(names))
    return found


def commanded(chunks: Sequence[Chunk], kind: str) -> dict[int, tuple[Step, ...]]:
    """What each channel was told over time, by the host's frames alone: whether the device obeyed is not asked.

    Single pulses (PROBE, LOW_PULSE, SINGLE_PULSE) are over when they are told, and are left out.
    """
    if kind not in READERS:
        return {}
    read = READERS[kind]()
    told: dict[int, list[Step]] = {}
    for unit in units(chunks, "to_device", kind):
        picture = read(unit.data)
        if picture is None:
            continue
        for channel in sorted(told.keys() | picture.keys()):
            steps = told.setdefault(channel, [])
            ua = picture.get(channel, 0)
            if not steps or steps[-1].ua != ua:
                steps.append(Step(unit.at_us, ua))
    return {channel: tuple(steps) for channel, steps in told.items()}


def _native() -> Callable[[bytes], Picture | None]:
    def read(frame: bytes) -> Picture | None:
        for body in native_frames.Deframer().push(frame):
            try:
                request = body and native_frames.parse(body.type, body.payload)
            except native_words.Refused:
                continue
            match request:
                case native_words.Drive(trains=trains):
                    return {train.channel: train.ua for train in trains}
                case native_words.Hello() | native_words.Stop() | native_words.Cut():
                    return {}
        return None

    return read


def _sciencemode4() -> Callable[[bytes], Picture | None]:
    ends = {sciencemode4_words.Command.MID_STOP, sciencemode4_words.Command.RESET}

    def read(frame: bytes) -> Picture | None:
        for found in sciencemode4_frames.Receiver().push(frame):
            if isinstance(found, sciencemode4_frames.Damaged):
                continue
            try:
                request = sciencemode4_words.parse(found.command, found.payload)
            except sciencemode4_words.Refused:
                continue
            match request:
                case sciencemode4_words.MidUpdate(patterns=patterns):
                    return {one.channel: max(abs(point.ua) for point in one.points) for one in patterns}
                case sciencemode4_words.Ask(command=command) if command in ends:
                    return {}
        return None

    return read


def _sciencemode2() -> Callable[[bytes], Picture | None]:
    active: tuple[int, ...] = ()

    def read(frame: bytes) -> Picture | None:
        nonlocal active
        for found in sciencemode2_frames.Deframer().push(frame):
            if not found.is_sound:
                continue
            try:
                if found.command == sciencemode2_words.Command.INIT_LIST:
                    active = sciencemode2_words.read_channels(found.data).active
                if found.command == sciencemode2_words.Command.START_LIST:
                    pulses = sciencemode2_words.read_pulses(found.data, active)
                    return {channel: pulse.ua for channel, pulse in pulses.items()}
            except sciencemode2_words.Refused:
                continue
            if found.command == sciencemode2_words.Command.STOP_LIST:
                return {}
        return None

    return read


READERS: dict[str, Callable[[], Callable[[bytes], Picture | None]]] = {
    "native": _native,
    "sciencemode4": _sciencemode4,
    "sciencemode2": _sciencemode2,
}
