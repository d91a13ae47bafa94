"""The exhaustive walk of `step`: every event of an alphabet in every stage that it can lead to, until none is new.

The shipped `step` itself is walked, breadth first, and complete: there is no second model that could drift. One
quotient with everything in it would explode, so there are many (slices/), each with an alphabet, a start and a key of
its own (quotient.py), and each is walked until its frontier is empty. Every transition is judged by the independent
oracle. What all of them together must have reached stands in walks.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from safety.effects import Tell
from safety.machine import Step
from safety.messages import Asked
from safety.state import Phase
from safety.verdict import Severity
from tests.proof.quotient import Keep, key
from tests.proof.stage import Happening, Move, Stage, next_answer

Figure = Callable[..., int | None]
"""Reads a figure off a transition: the stage, what happens, and where an edge asks for it the station after it."""


class Edge(NamedTuple):
    """A boundary: at `mark` this rule is quiet, at the next unit it speaks, at least so hard.

    `figure` reads the unit off a transition; where it is None, the boundary is not asked for. With `after` it is shown
    the station that came of the transition, too.
    """

    name: str
    rule: str
    mark: int
    figure: Figure
    least: Severity = Severity.REFUSE
    after: bool = False


class Slice(NamedTuple):
    """One quotient: its prose, where it starts, what can happen, what its key keeps, and what it must reach.

    A move is one happening, or several in a row. With `prompt` the device answers each frame at once and honestly, so
    that its words need no moves of their own. Stages outside of `scope` are reached and judged, and not walked any
    further: another slice goes on from there. With `depth` every sequence of so many moves is walked, and none longer.
    `expects` names moves whose answer in phase `asked_in` is known beforehand: the rule that must bind, or none.
    """

    name: str
    prose: str
    start: Callable[[], tuple[Stage, ...]]
    moves: Mapping[str, Move | tuple[Move, ...]]
    keep: Keep = Keep()
    prompt: bool = True
    edges: tuple[Edge, ...] = ()
    expects: Mapping[str, str] = MappingProxyType({})
    asked_in: Phase = Phase.IDLE
    scope: Callable[[Stage], bool] = lambda stage: True
    depth: int = 0
    quick: bool = True


class Walked(NamedTuple):
    """What a walk has seen: counts, what bound, which sides of which edges, and what was wrong, with the way there."""

    name: str
    states: int
    transitions: int
    flowing: int
    phases: Counter[str]
    binding: Counter[str]
    sides: dict[str, frozenset[tuple[int, bool]]]
    faults: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    complete: bool


Key = tuple[object, ...]


class Walk:
    """One slice on its way."""

    def __init__(self, quotient: Slice) -> None:
        self.slice = quotient
        self.seen: dict[Key, tuple[Key | None, str]] = {}
        self.frontier: deque[tuple[Stage, int]] = deque()
        self.transitions = self.flowing = 0
        self.phases: Counter[str] = Counter()
        self.binding: Counter[str] = Counter()
        self.sides: defaultdict[str, set[tuple[int, bool]]] = defaultdict(set)
        self.faults: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        for stage in quotient.start():
            self.reach(stage, None, "start", 0)

    def reach(self, stage: Stage, parent: Key | None, name: str, depth: int) -> None:
        """Put a stage on the frontier if it is new."""
        known = key(stage, self.slice.keep)
        if known not in self.seen:
            self.seen[known] = (parent, name)
            if self.slice.scope(stage) and not 0 < self.slice.depth <= depth:
                self.frontier.append((stage, depth))
            self.phases[stage.station.phase] += 1
            self.flowing += bool(stage.ghost.line.picture.trains)

    def go(self, most: int = 0) -> Walked:
        """Walk until the frontier is empty, or `most` states are known."""
        while self.frontier and not (most and len(self.seen) >= most) and len(self.faults) < MANY:
            stage, depth = self.frontier.popleft()
            here = key(stage, self.slice.keep)
            for name, move in self.slice.moves.items():
                self.take(stage, here, name, move if isinstance(move, tuple) else (move,), depth)
        sides = {name: frozenset(sides) for name, sides in self.sides.items()}
        return Walked(
            self.slice.name, len(self.seen), self.transitions, self.flowing, self.phases, self.binding, sides,
            tuple(self.faults), not self.frontier,
        )  # fmt: skip

    def take(self, stage: Stage, here: Key, name: str, moves: tuple[Move, ...], depth: int) -> None:
        """Take one move from one stage, and the answers that the outside owes to it."""
        taken = False
        for move in moves:
            what = move(stage)
            if what is None:
                continue
            taken = True
            stage, done = self.happens(stage, what, here, name)
            for _ in range(20 if self.slice.prompt else 0):
                answer = next_answer(stage, done.effects, journal=False)
                owed = answer(stage) if answer else None
                if owed is None:
                    break
                stage, done = self.happens(stage, owed, here, f"{name}, answered")
        if taken:
            self.reach(stage, here, name, depth + 1)

    def happens(self, before: Stage, what: Happening, here: Key, name: str) -> tuple[Stage, Step]:
        """Let something happen; count it, and note what spoke in it."""
        stage, judged, done = before.after(what)
        self.transitions += 1
        binding = [e.message.reasons[0].rule for e in done.effects if isinstance(e, Tell) and e.message.reasons]
        self.binding.update(binding)
        self.binding.update(hold.reason.rule for hold in done.station.holds)
        faults = list(judged.faults)
        expected = self.slice.expects.get(name)
        asked = isinstance(what.event, Asked) and before.station.phase is self.slice.asked_in
        if expected is not None and asked and next(iter(judged.spoke), "") != expected:
            faults.append(f"{name}: {expected or 'nothing'} must bind, and {list(judged.spoke)} speak")
        latched = {latch.rule for latch in before.station.latches}
        held = {hold.reason.rule for hold in before.station.holds}
        for edge in self.slice.edges:
            figure = edge.figure(before, what, done.station) if edge.after else edge.figure(before, what)
            speaks = judged.spoke.get(edge.rule, 0) >= edge.least
            past = figure is not None and figure - edge.mark == 1
            # What is latched already is not said again, and what is held lets go at another mark.
            standing = (past and edge.rule in latched and not speaks) or (
                edge.rule in held and edge.least <= Severity.HOLD
            )
            if figure is not None and figure - edge.mark in (0, 1) and not standing:
                self.sides[edge.name].add((figure - edge.mark, speaks))
        if faults:
            self.faults.append((tuple(faults), (*self.way(here), name)))
        return stage, done

    def way(self, here: Key | None) -> tuple[str, ...]:
        """Give the moves that lead to a stage."""
        names: list[str] = []
        while here is not None:
            here, name = self.seen[here]
            names.append(name)
        return tuple(reversed(names))


MANY: Final = 5
"""So many faults are enough to tell."""


def walk(quotient: Slice) -> Walked:
    """Walk one slice to its end."""
    return Walk(quotient).go()
