"""Defects to plant in the controller; each is also a target: `--target tests.simulate.planted:with_NAME`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import RowMapping

from controller import perform, virtual, voice
from controller.contract.accept import Asker
from controller.store import dose
from hil import world
from hil.target import Make
from safety import turn
from safety.effects import Answer, Entry, Settlement
from safety.messages import Committed, Now, Verb
from safety.prescription import Dose
from safety.rules import monitor, pulse, tick
from safety.verdict import Reason

staff = virtual.staff


def latch_skipped(plant: pytest.MonkeyPatch) -> None:
    """What stops a session leaves no latch."""

    def skipped(self: turn.Turn, reasons: tuple[Reason, ...]) -> None:
        pass

    plant.setattr(turn.Turn, "latch", skipped)


def permit_early(plant: pytest.MonkeyPatch) -> None:
    """What a permit allows is done before the permit is in the journal."""

    def early(self: perform.Performer, entry: Entry, now: Now, hold: perform.Hold) -> None:
        self._journal.append(self._device, entry, now, lambda: None)
        self._post(Committed(entry.id, hold.token, hold.ends_mono_ms))

    plant.setattr(perform.Performer, "_make_durable", early)


def settlement_lost(plant: pytest.MonkeyPatch) -> None:
    """A settlement never reaches the ledger."""

    async def lost(*_: object) -> None:
        pass

    plant.setattr(dose.Ledger, "settle", lost)


def update_lost(plant: pytest.MonkeyPatch) -> None:
    """Of two writers of a charge the one with the older figure wins: a tenth is missing."""
    true = dose.settled

    def stale(row: RowMapping, settlement: Settlement, charged: Dose | None, now_wall_ms: int) -> dict[str, object]:
        values = true(row, settlement, charged, now_wall_ms)
        return values | {"charged_nc": int(str(values["charged_nc"])) * 9 // 10}

    plant.setattr(dose, "settled", stale)


def dead_man_forgotten(plant: pytest.MonkeyPatch) -> None:
    """A device that says nothing more is fed all the same."""
    plant.setattr(monitor, "TICK", tuple(rule for rule in monitor.TICK if rule is not tick.m04))


def cap_off_by_one(plant: pytest.MonkeyPatch) -> None:
    """A set-point may be a microampere above its cap."""
    true = pulse.cap_ua
    plant.setattr(pulse, "cap_ua", lambda lane: true(lane) + 1)


def answer_lost(plant: pytest.MonkeyPatch) -> None:
    """Who says that somebody is with the patient gets no answer."""
    true = voice.Voice.answer

    def lost(self: voice.Voice, device: str, answer: Answer, now: Now) -> None:
        if answer.command.verb is not Verb.PRESENT:
            true(self, device, answer, now)

    plant.setattr(voice.Voice, "answer", lost)


def answer_twice(plant: pytest.MonkeyPatch) -> None:
    """Every answer is sent twice."""
    true = voice.Voice.send

    def twice(self: voice.Voice, asker: Asker, payload: bytes) -> None:
        true(self, asker, payload)
        true(self, asker, payload)

    plant.setattr(voice.Voice, "send", twice)


def life_undead(plant: pytest.MonkeyPatch) -> None:
    """A controller that was killed goes on, in front of a device that another one will drive."""
    plant.setattr(world.Life, "over", lambda *_: None)


DEFECTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    each.__name__: each
    for each in (
        latch_skipped,
        permit_early,
        settlement_lost,
        update_lost,
        dead_man_forgotten,
        cap_off_by_one,
        answer_lost,
        answer_twice,
        life_undead,
    )
}


@contextmanager
def planted(name: str) -> Iterator[Make]:
    """A controller with a defect, as long as the context lasts."""
    with pytest.MonkeyPatch.context() as plant:
        DEFECTS[name](plant)
        yield virtual.make


def factory(name: str) -> Make:
    """A controller with a defect, in a process that is there for nothing else."""
    DEFECTS[name](pytest.MonkeyPatch())
    return virtual.make


def __getattr__(name: str) -> Make:
    defect = name.removeprefix("with_")
    if defect == name or defect not in DEFECTS:
        raise AttributeError(name)
    return factory(defect)
