"""What will happen in a clinic, drawn up front as data, so that it can be played again, and with parts left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

Of: TypeAlias = dict[str, Any]


class Pad(NamedTuple):
    """A channel of a prescription: where its pads sit, what was found there (0: nothing), its train."""

    channel: int
    site: str
    pair: str
    ua: int
    max_ua: int
    width_us: int
    gap_us: int
    period_us: int
    area_mm2: int
    region_a: str
    side_a: str
    region_b: str
    side_b: str
    spacing_mm: int
    sensory_ua: int
    motor_ua: int
    maximal_ua: int
    delay_ms: int = 0


class Rx(NamedTuple):
    """A prescription; `wrong` says in a word what a controller must refuse it for, empty where it is legal."""

    name: str
    patient: str
    sensation: str
    modality: str
    ramp_up_ms: int
    on_ms: int
    ramp_down_ms: int
    off_ms: int
    therapy_ms: int
    pads: tuple[Pad, ...]
    limits: tuple[tuple[str, int], ...] = ()
    valid_days: int = 7
    calibrated_days: int = 0
    wrong: str = ""

    def told(self) -> Of:
        """As a mapping, pads included."""
        return self._asdict() | {"pads": [pad._asdict() for pad in self.pads]}


class Seat(NamedTuple):
    """A bed's device and its kind."""

    device: str
    kind: str


class Act(NamedTuple):
    """Something that is done at a time since the clinic opened, at a bed or (empty) to the whole house."""

    at_ms: int
    device: str
    kind: str
    of: Of

    @property
    def words(self) -> str:
        """In words."""
        where = f" at {self.device}" if self.device else ""
        of = ", ".join(f"{key} {value}" for key, value in self.of.items())
        return f"{self.at_ms / 1000:9.1f} s  {self.kind}{where}{': ' if of else ''}{of}"


class Schedule(NamedTuple):
    """A clinic: its seed, how long it is open, its beds, its prescriptions, and all that will be done."""

    seed: int
    open_ms: int
    seats: tuple[Seat, ...]
    prescriptions: tuple[Rx, ...]
    acts: tuple[Act, ...]

    def words(self) -> list[str]:
        """One line an act, and one a prescription that any of them uses."""
        used = {act.of["rx"] for act in self.acts if "rx" in act.of}
        beds = ", ".join(f"{seat.device} ({seat.kind})" for seat in self.seats)
        lines = [f"seed {self.seed}: {self.open_ms / 1000:.1f} s; beds: {beds}"]
        lines += [
            f"  {rx.name}: {rx.modality}, {rx.sensation}, {rx.therapy_ms / 1000:g} s, {rx.on_ms}/{rx.off_ms} ms, "
            + "; ".join(
                f"channel {p.channel} {p.ua} of {p.max_ua} uA {p.width_us} us {p.period_us} us" for p in rx.pads
            )
            + (f"; {dict(rx.limits)}" if rx.limits else "")
            + (f"; wrong: {rx.wrong}" if rx.wrong else "")
            for rx in self.prescriptions
            if rx.name in used
        ]
        return lines + [act.words for act in self.acts]

    def to_json(self) -> dict[str, Any]:
        """In words that JSON has."""
        told: dict[str, Any] = json.loads(
            json.dumps(self._asdict() | {"prescriptions": [rx.told() for rx in self.prescriptions]})
        )
        told["seats"] = [seat._asdict() for seat in self.seats]
        told["acts"] = [act._asdict() for act in self.acts]
        return told


def from_json(told: Mapping[str, Any]) -> Schedule:
    """Read back what `to_json` gave."""
    return Schedule(
        seed=told["seed"],
        open_ms=told["open_ms"],
        seats=tuple(Seat(**seat) for seat in told["seats"]),
        prescriptions=tuple(
            Rx(
                **{
                    **rx,
                    "pads": tuple(Pad(**pad) for pad in rx["pads"]),
                    "limits": tuple((name, value) for name, value in rx["limits"]),
                }
            )
            for rx in told["prescriptions"]
        ),
        acts=tuple(Act(**act) for act in told["acts"]),
    )
