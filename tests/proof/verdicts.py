"""The verdict diff: recorded sessions are played again through the present `step`, and every word of it is compared.

A session is a flight recorder's tape of the real shell on an emulated stimulator, kept by the names of its fields
(`tests/golden/sessions/NAME.ndjson.gz`) with what `step` said to it beside it, in lines for people (`NAME.txt`). What a
change of a rule does to these sessions is the difference of the lines:

    python -m tests.proof.verdicts show      print the difference, and fail if there is one
    python -m tests.proof.verdicts update    write the lines anew (`make verdicts`)
    python -m tests.proof.verdicts record    play the sessions anew on the emulated stimulator, then write the lines

Numbers that `step` gives away (entries, grants, latches) are carried over from the old run to the new one by their
order within a step, and a command expects the state that there is, unless it was refused for what it expected: so one
entry more in the new run is a difference of its own, not a flood of others.
"""

from __future__ import annotations

import asyncio
import difflib
import gzip
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest import mock

from controller import words
from controller.recorder import Begin, Moment, read_tape
from controller.words import dumps, form, loads
from safety import machine
from safety.effects import Answer, Arm, Commit, Drive, Effect, Feed, Note, Probe, Silence, Tell
from safety.effects import Event as Told
from safety.messages import (
    Asked,
    ClearLatch,
    Command,
    Committed,
    Denied,
    Event,
    Expect,
    Garbled,
    Heard,
    Latch,
    Now,
    Probed,
)
from safety.state import Station
from safety.verdict import Reason
from tests.controller.ward import config

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / "tests" / "golden" / "sessions"
STATION = form(Station, named=True)
EVENT = form(Event, named=True)
FRAMES = (Arm, Drive, Feed, Probe)

FILL: dict[str, object] = {}
"""What a field that a session did not have yet means, as JSON, by `Type.field`; where it has a default, that."""


class Id(NamedTuple):
    """A number that a step gave away, and for what."""

    kind: str
    number: int


class Said(NamedTuple):
    """A moment of a session: when, what happened, which numbers the step gave away, and whether it was too blind."""

    now: Now
    event: Event
    ids: tuple[Id, ...]
    blind: bool


class Session(NamedTuple):
    """What the station was, and all that happened to it."""

    station: Station
    moments: tuple[Said, ...]


# Playing


def ids_of(effects: tuple[Effect, ...]) -> tuple[Id, ...]:
    """The numbers that a step gave away, in its order."""
    found = []
    for effect in effects:
        match effect:
            case Commit(entry):
                found.append(Id("entry", entry.id))
            case Note(entry) if isinstance(entry.body, Latch):
                found.append(Id("latch", entry.body.id))
            case Arm() | Drive() | Feed() | Probe():
                found += [Id("grant", effect.grant.seq), Id("permit", effect.grant.permit)]
    return tuple(found)


def is_blind(effects: tuple[Effect, ...]) -> bool:
    """Whether a command was refused for what it expected."""
    answers = [e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, Answer)]
    return any(reason.code == "CMD.PRECONDITION" for answer in answers for reason in answer.reasons)


def play(session: Session) -> Iterator[tuple[Said, Station, machine.Step]]:
    """Play a session through the present `step`; gives each moment, the station before it, and the step."""
    station, known = session.station, {Id("permit", 0): 0, Id("grant", 0): 0}
    for said in session.moments:
        done = machine.step(station, carried(said, station, known), said.now)
        alike: dict[str, list[int]] = {}
        for mine in ids_of(done.effects):
            alike.setdefault(mine.kind, []).append(mine.number)
        for old in said.ids:
            if alike.get(old.kind):
                known[old] = alike[old.kind].pop(0)
        yield said, station, done
        station = done.station


def carried(said: Said, station: Station, known: dict[Id, int]) -> Event:
    """Say an event of the old run in the numbers of the new one."""

    def now(kind: str, number: int) -> int:
        return known.get(Id(kind, number), number)

    match said.event:
        case Heard(grant, status, samples):
            status = status._replace(grant=now("grant", status.grant), permit=now("permit", status.permit))
            return Heard(now("grant", grant), status, samples)
        case Probed() | Garbled():
            return replace(said.event, grant=now("grant", said.event.grant))
        case Committed() | Denied():
            return replace(said.event, entry=now("entry", said.event.entry))
        case Asked(command):
            return Asked(asked(command, station, known, blind=said.blind))
    return said.event


def asked(command: Command, station: Station, known: dict[Id, int], *, blind: bool) -> Command:
    """A command whose sender sees the station as it is, if it saw it as it was."""
    if isinstance(command.wish, ClearLatch):
        latch = known.get(Id("latch", command.wish.latch), command.wish.latch)
        command = replace(command, wish=replace(command.wish, latch=latch))
    if blind or command.expect == Expect():
        return command
    session_id = station.session.id if station.session else ""
    seen = Expect(boot_id=station.boot_id, session_id=session_id, state_version=station.tally.version)
    return replace(command, expect=seen)


# Words for people


def lines_of(session: Session) -> list[str]:
    """What the present `step` says to a session: one line for each moment that changed anything."""
    lines, frames, begun_ms = [], dict.fromkeys(FRAMES, 0), 0
    for said, before, done in play(session):
        begun_ms = begun_ms or said.now.mono_ms
        for effect in done.effects:
            if isinstance(effect, FRAMES):
                frames[type(effect)] += 1
        words_of = [text for effect in done.effects if (text := effect_text(effect))]
        if before.phase is not done.station.phase:
            words_of.append(f"-> {done.station.phase.value}")
        if words_of:
            at = (said.now.mono_ms - begun_ms) / 1000
            lines.append(f"{at:8.3f} s  {event_text(said.event):20} {'; '.join(words_of)}")
    counts = ", ".join(f"{count} {kind.__name__.lower()}" for kind, count in frames.items())
    return [*lines, f"frames that energise: {counts}"]


def event_text(event: Event) -> str:
    """Name an event."""
    return event.command.verb.value if isinstance(event, Asked) else type(event).__name__.lower()


def effect_text(effect: Effect) -> str:
    """Say an effect, where it is a decision."""
    match effect:
        case Silence(cut):
            return "cut" if cut else "silence"
        case Tell(Answer() as answer):
            return " ".join((answer.status, answer.code, *(map(reason_text, answer.reasons))))
        case Tell(Told() as told):
            return " ".join((told.kind, *(map(reason_text, told.reasons))))
        case Commit(entry):
            return f"commit {entry.kind.value}"
    return ""


def reason_text(reason: Reason) -> str:
    """Say a reason with its figures."""
    where = f" channel {reason.channel}" if reason.channel else ""
    figures = f" {reason.asked} against {reason.allowed} {reason.unit}" if reason.unit else ""
    return f"[{reason.rule or '-'} {reason.severity.name} {reason.code}{where}{figures}]"


# Files


def kept(tape: Path) -> Session:
    """Read a flight recorder's tape."""
    begin, *lines = read_tape(tape)
    assert isinstance(begin, Begin)
    assert begin.station is not None
    moments = [line for line in lines if isinstance(line, Moment)]
    return Session(begin.station, tuple(Said(m.now, m.event, ids_of(m.effects), is_blind(m.effects)) for m in moments))


def write(session: Session, path: Path) -> None:
    """Keep a session by the names of its fields; the site's limits are those of the run, and are left out."""
    station = cast("dict[str, object]", STATION.write(session.station))
    del station["config"]
    rows = [
        {"at": list(said.now), "event": EVENT.write(said.event), "ids": said.ids, "blind": said.blind}
        for said in session.moments
    ]
    text = "".join(f"{dumps(row)}\n" for row in (station, *rows))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def read(path: Path) -> Session:
    """Read a session; what it did not know yet is filled in, what is known no more is left out."""
    first, *rows = [
        cast("dict[str, Any]", loads(text)) for text in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    present = cast("dict[str, Any]", loads(dumps(STATION.write(machine.fresh(config())))))
    with mock.patch.object(words.Record, "_items", filled):
        station = STATION.read(first | {"config": present["config"]})
        moments = tuple(
            Said(
                Now(*row["at"]), cast("Event", EVENT.read(row["event"])),
                tuple(Id(*each) for each in row["ids"]), row["blind"],
            )
            for row in rows
        )  # fmt: skip
    return Session(cast("Station", station), moments)


def filled(record: words.Record, data: object) -> list[object]:
    """Give every field of a record, in its order."""
    assert isinstance(data, dict), data
    return [data[name] if name in data else meant(record, name) for name in record._parts]


def meant(record: words.Record, name: str) -> object:
    """What a field means in a session that is older than it."""
    kind: Any = record._kind
    if (key := f"{kind.__name__}.{name}") in FILL:
        return FILL[key]
    if is_dataclass(kind):
        default = next(spec.default for spec in fields(kind) if spec.name == name)
    else:
        default = kind._field_defaults.get(name, MISSING)
    if default is MISSING:
        raise KeyError(f"{key}: the recorded sessions do not know it; say in FILL what it meant, or record them anew")
    return loads(dumps(record._parts[name].write(default)))


def names() -> list[str]:
    """The sessions that are kept."""
    return sorted(path.name.removesuffix(".ndjson.gz") for path in SESSIONS.glob("*.ndjson.gz"))


def text_of(name: str) -> str:
    """What the present `step` says to a kept session."""
    return "".join(f"{line}\n" for line in lines_of(read(SESSIONS / f"{name}.ndjson.gz")))


def difference(name: str) -> str:
    """What has changed in the verdicts of a kept session; empty where nothing has."""
    stored = (SESSIONS / f"{name}.txt").read_text(encoding="utf-8")
    return "".join(
        difflib.unified_diff(
            stored.splitlines(keepends=True), text_of(name).splitlines(keepends=True), f"{name}, as it was judged",
            f"{name}, as it is judged now", n=1,
        )
    )  # fmt: skip


def main(do: str) -> int:
    """Show, update or record."""
    if do == "record":
        from tests.proof.sessions import record  # noqa: PLC0415 - needs a stimulator, which the others do not

        with tempfile.TemporaryDirectory() as folder:
            for name, session in asyncio.run(record(Path(folder))).items():
                write(session, SESSIONS / f"{name}.ndjson.gz")
    changed = ""
    for name in names():
        if do == "show":
            changed += difference(name)
        else:
            (SESSIONS / f"{name}.txt").write_text(text_of(name), encoding="utf-8")
    print(changed, end="")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
