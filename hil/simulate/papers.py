"""Prescriptions, legal and not, and the patients that they are for."""

# ruff: noqa: E501 - a case of a table is a line

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from hil.simulate.plan import Of, Pad, Rx

SITES = (("thigh", "left"), ("thigh", "right"), ("lower-leg", "left"), ("lower-leg", "right"))
CHANNELS = {"native": 2, "sciencemode4": 4, "sciencemode2": 4}
"""How many are used at most."""


class Papers:
    """Writes prescriptions; each is for a new patient, unless it is for one who comes back."""

    def __init__(self, dice: Random, number: int, tighter: Mapping[str, Sequence[int]]) -> None:
        self.written: list[Rx] = []
        self.wrongs = (*WRONGS, *(f"limit {name}" for name in sorted(tighter)))
        self.pasts = tuple(PASTS)
        self._dice = dice
        self._number = number
        self._tighter = tighter

    def legal(self, kind: str, **over: Any) -> Rx:  # noqa: ANN401 - any field of a prescription
        """A prescription that a session completes under."""
        dice = self._dice
        modality = over.pop("modality", dice.choice(["nmes", "nmes", "tens"]))
        sensation = over.pop("sensation", dice.choice(["S0", "S0", "S0", "S1", "S2"]) if kind == "native" else "S0")
        therapy_ms = over.pop("therapy_ms", dice.randrange(25, 80) * 1_000)
        count = dice.randrange(1, CHANNELS[kind] + 1) if modality == "nmes" else 1
        on_ms = dice.choice([2_000, 3_000]) if modality == "nmes" else therapy_ms - 2_000
        off_ms = on_ms * 3 if modality == "nmes" else 0
        cycle_ms = on_ms + off_ms + 2_000
        period_us = (
            dice.choice([20_000, 25_000, 40_000]) if modality == "nmes" else dice.choice([25_000, 40_000, 100_000])
        )
        pads = tuple(self.pad(n, sensation, period_us, cycle_ms if count > 2 else 0) for n in range(1, count + 1))
        rx = Rx(self._name(), self._patient(), sensation, modality, 1_000, on_ms, 1_000, off_ms, therapy_ms, pads)
        return self._write(rx._replace(**over))

    def pad(self, number: int, sensation: str, period_us: int, cycle_ms: int) -> Pad:
        """A channel: half of those that cannot flow together have the second half of the cycle."""
        dice, (region, side) = self._dice, SITES[number - 1]
        most = {"S0": 40, "S1": 30, "S2": 17}[sensation]
        ua = dice.randrange(16 if sensation == "S0" else 12, most) * 1_000
        width_us = dice.choice([200, 250, 300]) if sensation != "S2" else 200
        area_mm2 = 6_400 if sensation == "S2" else dice.choice([2_500, 4_500])
        if sensation == "S1":
            ua = min(ua, 24_000)
        delay_ms = cycle_ms // 2 if cycle_ms and number > 2 else 0
        return Pad(
            number, f"site-{number}", f"pair-{number}", ua, min(ua + dice.choice([0, 1_500, 3_000]), 80_000), width_us, 100, period_us,
            area_mm2, region, side, region, side, 120, 8_000, 15_000, 60_000, delay_ms,
        )  # fmt: skip

    def skins(self, kind: str) -> list[Of]:
        """The skin under each pair: young and wet, old and dry, and what lies between."""
        dice = self._dice
        if dice.random() < 0.5:
            return []
        ohm = dice.choice([60_000.0, 100_000.0, 130_000.0])
        return [{"parallel_ohm_cm2": ohm, "body_ohm": float(dice.randrange(150, 400))}] * CHANNELS[kind]

    def wrong(self, kind: str, why: str) -> tuple[Rx, Of]:
        """A prescription, or a visit, that is to be refused before any current flows."""
        rx = self.legal(kind, modality="nmes", sensation="S0", therapy_ms=60_000)
        if why.startswith("limit "):
            name = why.removeprefix("limit ")
            value = self._dice.choice(list(self._tighter[name]))
            return self._change(rx, limits=((name, value),), wrong=why), {}
        change, pad, of = WRONGS[why]
        pads = tuple(each._replace(**pad) for each in rx.pads)
        if "channel" in of:
            pads = tuple(each._replace(**pad) for each in rx.pads[:1])
            of = {key: value for key, value in of.items() if key != "channel"}
        return self._change(rx, pads=pads, wrong=why, **change), dict(of)

    def again(self, rx: Rx, **over: Any) -> Rx:  # noqa: ANN401
        """Another prescription for the same patient and the same places."""
        return self._write(rx._replace(name=self._name(), **over))

    def past(self, kind: str, what: str) -> list[tuple[Rx, Of]]:
        """Visits of one patient, of which the last is refused for those before it."""
        first, then, pad, of = PASTS[what]
        rx = self.legal(kind, modality="tens", sensation="S0", therapy_ms=20_000)
        rx = self._change(rx, **first)
        pads = tuple(each._replace(**{key: getattr(each, key) + more for key, more in pad.items()}) for each in rx.pads)
        second = self.again(rx, pads=pads, wrong=what, **then)
        return [(rx, {}), (second, dict(of))]

    def _change(self, rx: Rx, **over: Any) -> Rx:  # noqa: ANN401
        self.written[self.written.index(rx)] = changed = rx._replace(**over)
        return changed

    def _write(self, rx: Rx) -> Rx:
        self.written.append(rx)
        return rx

    def _name(self) -> str:
        return f"rx-{self._number}-{len(self.written) + 1}"

    def _patient(self) -> str:
        return f"p-{self._number}-{len(self.written) + 1}"


WRONGS: Mapping[str, tuple[Of, Of, Of]] = {
    "expired": ({"valid_days": -1}, {}, {}),
    "too long": ({"therapy_ms": 2_400_000}, {}, {}),
    "thigh to thigh": ({}, {"side_b": "middle"}, {}),
    "chest": ({}, {"region_a": "chest", "region_b": "chest"}, {}),
    "small pad": ({}, {"area_mm2": 900}, {}),
    "close pads": ({}, {"spacing_mm": 10}, {}),
    "too strong": ({}, {"ua": 85_000, "max_ua": 90_000, "maximal_ua": 90_000, "area_mm2": 10_000}, {}),
    "above tolerance": ({}, {"ua": 40_000, "max_ua": 45_000, "maximal_ua": 30_000}, {}),
    "wide": ({}, {"width_us": 450}, {}),
    "narrow": ({}, {"width_us": 40}, {}),
    "fast": ({}, {"period_us": 10_000}, {}),
    "much charge": ({}, {"ua": 78_000, "max_ua": 80_000, "maximal_ua": 90_000, "width_us": 400, "area_mm2": 10_000}, {}),
    "dense": ({}, {"ua": 60_000, "max_ua": 60_000, "maximal_ua": 90_000, "width_us": 400, "period_us": 12_500, "area_mm2": 1_600, "spacing_mm": 60}, {}),
    "long hold": ({"on_ms": 12_000, "off_ms": 40_000}, {}, {}),
    "little rest": ({"on_ms": 4_000, "off_ms": 4_000}, {}, {}),
    "steep": ({"ramp_up_ms": 200}, {}, {}),
    "calibrated long ago": ({"sensation": "S1", "calibrated_days": 9}, {"ua": 16_000, "max_ua": 16_000, "area_mm2": 4_500}, {}),
    "not calibrated": ({"sensation": "S1"}, {"sensory_ua": 0, "motor_ua": 0, "maximal_ua": 0, "ua": 16_000, "max_ua": 16_000, "area_mm2": 4_500}, {}),
    "blind device": ({"sensation": "S2"}, {"ua": 12_000, "max_ua": 12_000, "area_mm2": 6_400, "width_us": 200}, {}),
    "much current": ({"modality": "tens", "on_ms": 20_000, "off_ms": 0}, {"ua": 75_000, "max_ua": 75_000, "maximal_ua": 90_000, "width_us": 400, "period_us": 8_400, "area_mm2": 10_000}, {}),
    "pads unknown": ({}, {}, {"barcodes": [{"channel": 1, "barcodes": ["no-such-pad"]}]}),
    "pads of no channel": ({}, {}, {"barcodes": [{"channel": 8, "barcodes": ["no-such-pad"]}]}),
    "implant": ({}, {}, {"answer": "yes"}),
    "not asked": ({}, {}, {"answer": "unknown"}),
    "other patient": ({}, {}, {"patient": "p-other"}),
    "dry skin": ({}, {}, {"skins": [{"dryness": 8.0}] * 2}),
    "no lead": ({}, {}, {"skins": [{"lead_off": True}] * 2}),
    "no skin": ({}, {}, {"skins": [{"resistor_ohm": 40.0}] * 2}),
    "deep skin": ({}, {"ua": 65_000, "max_ua": 65_000, "maximal_ua": 90_000, "width_us": 200}, {"skins": [{"body_ohm": 2_000.0}] * 2}),
}  # fmt: skip
"""What to change in a legal prescription, in each of its channels, and in the visit."""

PASTS: Mapping[str, tuple[Of, Of, Of, Of]] = {
    "one a day": ({}, {"limits": (("treatments_day", 1),)}, {}, {}),
    "one a week": ({}, {"limits": (("treatments_week", 1), ("treatments_week_short", 1))}, {}, {}),
    "charge of a day": ({}, {"limits": (("day_nc", 1_000_000),)}, {}, {}),
    "charge of a week": ({}, {"limits": (("week_nc", 1_000_000),)}, {}, {}),
    "no rest": ({"modality": "nmes", "on_ms": 2_000, "off_ms": 6_000}, {}, {}, {}),
    "much more": ({}, {}, {"ua": 6_000, "max_ua": 6_000}, {}),
    "worse skin": ({}, {}, {}, {"skins": [{"dryness": 2.0, "scale": 1.6}] * 2}),
}  # fmt: skip
"""The first visit's prescription, the second's, what is added in its channels, and its visit."""
