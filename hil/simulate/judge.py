"""Judges a clinic while it is open: by the current that the scope saw, and by what was published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hil.simulate.bed_judge import BedJudge
from hil.simulate.plan import Act, Of, Rx, Schedule
from hil.simulate.staff import Order, Staff
from hil.world import Bed, House, Published

ENDED = "it ended in order"
"""How a controller dies that was told to end, and has answered everything."""


class Violation(NamedTuple):
    """An invariant that does not hold."""

    at_us: int
    device: str
    invariant: str
    text: str


class Asked(NamedTuple):
    """An order, when it was first sent, and how often; a controller in which life got it."""

    device: str
    wish: str
    at_us: int
    times: int
    life: int
    is_owed: bool


class Judge:
    """Sees everything of a clinic, and decides nothing."""

    def __init__(self, schedule: Schedule, house: House, beds: Mapping[str, Bed], staff: Staff, folder: Path) -> None:
        self.prescriptions = {rx.name: rx for rx in schedule.prescriptions}
        self.violations: list[Violation] = []
        self.notes: list[str] = []
        self.tally: Counter[str] = Counter()
        self._house = house
        self._staff = staff
        self._beds = {
            seat.device: BedJudge(self, seat, beds[seat.device].bench, staff, folder) for seat in schedule.seats
        }
        self._asked: dict[str, Asked] = {}
        self._finals: dict[str, list[bytes]] = {}
        self._taken: set[str] = set()
        self._life = 0
        self._began_us = house.loop.now_us

    @property
    def now_us(self) -> int:
        """Now, on the boot clock."""
        return self._house.loop.now_us

    def found(self, device: str, invariant: str, text: str, at_us: int | None = None) -> None:
        """Note a violation; each invariant once a second at a bed."""
        at_us = self.now_us if at_us is None else at_us
        last = [v for v in self.violations if (v.device, v.invariant) == (device, invariant)]
        if not last or at_us - last[-1].at_us > 1_000_000:
            self.violations.append(Violation(at_us, device, invariant, text))

    # What is done

    def acted(self, act: Act) -> None:
        """An act of the schedule is done."""
        self.tally[f"act {act.kind}"] += 1
        if act.device and act.kind in {"ask", "rest", "mischief"}:
            self._beds[act.device].disturbed(act)

    def asked(self, order: Order, device: str, wish: str, *, is_sent: bool) -> None:
        """Somebody asks for something, or sends the same again."""
        known = self._asked.get(order.id)
        if known is None:
            self._asked[order.id] = Asked(device, wish, self.now_us, 1, self._life, is_sent)
        else:
            self._asked[order.id] = known._replace(times=known.times + is_sent, is_owed=known.is_owed or is_sent)
        if is_sent:
            self._beds[device].asked(known.wish if known else wish)

    def visited(self, device: str, rx: Rx, of: Of) -> None:
        """A visit begins."""
        self._beds[device].visited(rx, of)

    def pressed(self, device: str) -> None:
        """The patient's button is down."""
        self._beds[device].pressed()

    # What happens to the computer

    def born(self) -> None:
        """A controller was started."""
        self._life += 1
        self.tally["lives"] += 1
        for bed in self._beds.values():
            bed.born()

    def ending(self) -> None:
        """The controller is told to end."""
        for bed in self._beds.values():
            bed.ending()

    def died(self, why: str) -> None:
        """The controller is gone: a crash point."""
        self.tally["deaths"] += 1
        self.tally["crashes"] += why.startswith("killed")
        # What nobody has written down yet is the broker's to deliver again, and here there is none that would.
        for order_id, asked in self._asked.items():
            if (
                why != ENDED
                and asked.life == self._life
                and order_id not in self._finals
                and order_id not in self._taken
            ):
                self._asked[order_id] = asked._replace(is_owed=False)
        for bed in self._beds.values():
            bed.died()

    def injected(self, device: str, fault: str, of: Mapping[str, object]) -> None:
        """A fault is in force."""
        self.tally[f"fault {fault}"] += 1
        for name, bed in self._beds.items():
            if device in {"", name}:
                bed.injected(fault, of)

    def cleared(self, device: str, fault: str) -> None:
        """It is not any more."""
        for name, bed in self._beds.items():
            if device in {"", name}:
                bed.cleared(fault)

    # What is published

    def heard(self, message: Published) -> None:
        """Take in a message."""
        topic, payload = message.topic, message.payload
        if (shown := self._staff.shown(topic, payload)) is not None:
            self._beds[shown.device].shows(shown)
        elif (answer := self._staff.answer(topic, payload)) is not None:
            asked = self._asked.get(answer.id)
            if not answer.is_final:
                self._taken.add(answer.id)
            else:
                if asked is not None:
                    self._finals.setdefault(answer.id, []).append(payload)
                if answer.rules and not answer.is_done:
                    self.tally[f"rule {answer.rules[0]}"] += 1
                self.tally[f"code {answer.code}"] += 1
        elif (told := self._staff.told(topic, payload)) is not None:
            if told.kind in {"fault.latched", "session.held"} and told.rules:
                self.tally[f"rule {told.rules[0]}"] += 1
            self._beds[told.device].told(told)

    def end(self) -> None:
        """The clinic is closed."""
        for bed in self._beds.values():
            bed.end()
        self.tally["open ms"] += (self.now_us - self._began_us) // 1000 * len(self._beds)
        self._judge_answers()

    def _judge_answers(self) -> None:
        for order_id, asked in self._asked.items():
            finals = self._finals.get(order_id, [])
            self.tally["orders"] += 1
            if len(finals) > max(1, asked.times):
                self.found(
                    asked.device,
                    "answered once",
                    f"{asked.wish}: {len(finals)} final answers to {asked.times} messages",
                )
            if not finals and asked.is_owed:
                self.found(
                    asked.device, "answered", f"{asked.wish} of {asked.at_us} us has no final answer", asked.at_us
                )
