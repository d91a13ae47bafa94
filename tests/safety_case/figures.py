"""Figures for people: whole numbers of the code in the units of a clinic, exactly, never rounded."""

from __future__ import annotations

from decimal import Decimal

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

SCALED = {  # unit of the code: what one thousand, one million ... of it is called
    "nC": ((10**9, "C"), (10**6, "mC"), (10**3, "uC"), (1, "nC")),
    "uA": ((10**3, "mA"),),
    "uA^2 us": ((10**18, "A2 s"),),
    "us": ((10**3, "ms"), (1, "us")),
    "ppm": ((10**4, "%"),),
    "ohm": ((1, "ohm"),),
    "mV": ((10**3, "V"),),
    "uJ": ((10**3, "mJ"),),
    "uA/cm2": ((10**3, "mA/cm2"),),
    "uA per s": ((10**3, "mA/s"),),
    "uW/cm2": ((10**3, "mW/cm2"),),
    "mm2": ((10**2, "cm2"),),
    "mdeg": ((10**3, "C"),),
}
SUFFIXES = {
    "ua_cm2": "uA/cm2",
    "uw_cm2": "uW/cm2",
    "ua_per_s": "uA per s",
    "i2t": "uA^2 us",
    "ua": "uA",
    "us": "us",
    "ms": "ms",
    "nc": "nC",
    "ppm": "ppm",
    "ohm": "ohm",
    "mv": "mV",
    "uj": "uJ",
    "mm2": "mm2",
    "mm": "mm",
    "mdeg": "mdeg",
}


def plain(number: Decimal) -> str:
    """Write a number with thousands marked and no idle zeros."""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def span(ms: int) -> str:
    """Write a time in the largest unit that it fills exactly, up to days beyond three."""
    if ms >= 3 * DAY_MS and ms % DAY_MS == 0:
        return f"{ms // DAY_MS:,} d"
    for unit, name in ((HOUR_MS, "h"), (MINUTE_MS, "min")):
        if ms >= unit and ms % unit == 0:
            return f"{ms // unit:,} {name}"
    return f"{plain(Decimal(ms) / 1000)} s" if ms >= 1_000 else f"{ms} ms"


def human(value: int, unit: str) -> str:
    """Write a figure of this unit."""
    if unit == "ms":
        return span(value)
    for size, name in SCALED.get(unit, ()):
        if abs(value) >= size or size == SCALED[unit][-1][0]:
            return f"{plain(Decimal(value) / size)} {name}"
    return f"{value:,} {unit}".rstrip()


def unit_of(name: str) -> str:
    """Tell the unit of a field by the end of its name; a count has none."""
    return next((unit for suffix, unit in SUFFIXES.items() if name == suffix or name.endswith(f"_{suffix}")), "")


def named(name: str, value: int) -> str:
    """Write the value of a field; a period also says its rate."""
    text = human(value, unit_of(name))
    if "period" in name:
        return f"{text} ({plain((Decimal(1_000_000) / value).quantize(Decimal('0.001')))} Hz)"
    return text
