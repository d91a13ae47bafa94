"""Every limit there is, its hard ceiling, and how layers of limits meet.

A limit is an upper bound (`at_most`) or a lower bound (`at_least`). Layers are laid over one another in the order
hard, site, device,
prescription, class, calibration, and each can only tighten: upper bounds meet with min, lower bounds with max. The
hard column is compiled in and
cannot be passed by any file. A layer that lacks a field leaves it as it was; the site's layer must name every field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final


class Modality(StrEnum):
    """Kind of therapy: each is judged by rules of its own."""

    NMES = "nmes"
    TENS = "tens"


class Sensation(StrEnum):
    """What the skin under the pads can feel (10 g monofilament, sharp or dull)."""

    S0 = "S0"
    S1 = "S1"
    S2 = "S2"


class LimitError(ValueError):
    """A layer of limits cannot be used: a field is missing, unknown, no whole number, or past its hard ceiling."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"limit {name} = {value!r}: expected {expected}")
        self.name = name
        self.value = value
        self.expected = expected


def at_most(hard: int, source: str) -> int:
    """Declare an upper bound with its hard ceiling."""
    value: int = field(metadata={"sense": min, "hard": hard, "source": source})
    return value


def at_least(hard: int, source: str) -> int:
    """Declare a lower bound with its hard floor."""
    value: int = field(metadata={"sense": max, "hard": hard, "source": source})
    return value


E = "engineering default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A complete set of limits; the number beside each is its hard ceiling or floor, the text its rule and source."""

    command_age_ms: int = at_most(10_000, f"G02; {E}")
    attest_age_ms: int = at_most(604_800_000, f"G05; {E}")
    area_mm2: int = at_least(500, f"G07; {E}: the smaller pad")
    small_area_mm2: int = at_least(500, f"G07; {E}: the smaller pad where a reason is named")
    spacing_mm: int = at_least(20, f"G07; Neotek manual has 25 mm, {E}")
    channels_at_once: int = at_most(8, f"G22; {E}")
    pulse_share_ppm: int = at_most(1_000_000, "G22; ScienceMode 4 validity code: pulse time over all channels")
    clock_skew_ms: int = at_most(2_000, f"G02; {E}")
    arm_to_start_ms: int = at_most(120_000, f"G03; {E}")
    amplitude_ua: int = at_most(100_000, f"G08; {E}, below the 130 mA of ScienceMode devices")
    uncalibrated_ua: int = at_most(60_000, f"G08; {E}")
    width_us: int = at_most(500, f"G09; {E}; FDA draft guidance 2010 has 500 us (from memory)")
    width_min_us: int = at_least(50, f"G09; {E}")
    period_min_us: int = at_least(8_334, f"G10; {E}: 120 Hz")
    period_max_us: int = at_most(1_000_000, f"G10; {E}: 1 Hz")
    phase_charge_nc: int = at_most(50_000, f"G11; {E}")
    phase_base_nc: int = at_most(
        50_000, "G11; FDA draft guidance 2010: 20 uC and 28 uC a ms of width (from memory); a site may ask for it"
    )
    rms_ua: int = at_most(50_000, "G12; IEC 60601-2-10 201.12.4.104 (from memory); Enraf Endomed 484 manual")
    density_ua_cm2: int = at_most(
        2_000, "G13; IEC 60601-2-10 instructions clause via AS 60601.2.10:2018; Enraf manuals"
    )
    power_uw_cm2: int = at_most(250_000, "G14; FDA powered muscle stimulator guidance 1999")
    pulse_energy_uj: int = at_most(20_000, f"G15; {E}, far inside the 300 mJ of IEC 601-2-10")
    mismatch_ppm: int = at_most(20_000, f"G16; {E}")
    direct_ua: int = at_most(100, "G16; FDA draft guidance 2010 (from memory)")
    on_ms: int = at_most(20_000, f"G17; {E}")
    rest_ratio_ppm: int = at_least(1_000_000, f"G17; {E}: off time over on time")
    tens_tolerance_ppm: int = at_most(900_000, f"G17; {E}: share of the maximal tolerated current")
    ramp_ms: int = at_least(500, f"G18; {E}")
    rise_ua: int = at_most(1_000, "G18; IEC 60601-2-10 201.12.1.101 (from memory): steps of at most 1 mA")
    rise_ua_per_s: int = at_most(2_000, f"G18; {E}")
    calibration_ms: int = at_most(2_592_000_000, f"G19; {E}: 30 days")
    calibration_ppm: int = at_most(500_000, f"G28; {E}: share of the session's caps that a calibration reserves")
    check_low_ohm: int = at_least(150, f"G20; {E}")
    check_high_ohm: int = at_most(6_000, f"G20; {E}; for 25 cm2, scales with 25/area")
    check_spread_ppm: int = at_most(200_000, f"G20; {E}")
    check_age_ms: int = at_most(600_000, f"G20; {E}")
    rail_ppm: int = at_most(950_000, f"G21; {E}: of a rail below the top one")
    headroom_ppm: int = at_most(950_000, f"G21; {E}")
    dose_share_ppm: int = at_most(950_000, f"G28; {E}")
    silence_hold_ms: int = at_most(300, f"M04; {E}")
    silence_pause_ms: int = at_most(700, f"M04; {E}")
    silence_stop_ms: int = at_most(1_000, f"M04; {E}")
    claim_ms: int = at_most(15_000, f"M05; {E}")
    presence_ms: int = at_most(600_000, f"M06; {E}")
    poor_ohm: int = at_most(6_000, f"M09; {E}; for 25 cm2, scales with 25/area")
    ratio_ppm: int = at_most(2_000_000, f"M10; {E}")
    jump_ppm: int = at_most(400_000, f"M11; {E}")
    drift_ppm: int = at_most(100_000, f"M12; {E}: a minute, two minutes running")
    fall_ppm: int = at_most(600_000, f"M13; {E}")
    clip_hold: int = at_most(20, f"M14; {E}")
    clip_pause: int = at_most(20, f"M14; {E}")
    twin_ppm: int = at_most(3_000_000, f"M15; {E}: the larger impedance of a like pair over the smaller")
    contact_ua_cm2: int = at_most(2_000, "M17; as G13, over what is left of the pad's contact")
    session_nc: int = at_most(10_000_000_000, f"M18; {E}")
    session_i2t: int = at_most(500_000_000_000_000_000, f"M18; {E}: 0.5 A^2 s")
    session_on_ms: int = at_most(14_400_000, f"M18; {E}")
    mu_hold_ppm: int = at_least(500_000, f"M19; {E} on the fatigue bound of Riener")
    mu_pause_ppm: int = at_least(500_000, f"M19; {E} on the fatigue bound of Riener")
    therapy_ms: int = at_most(7_200_000, f"M21; {E}; NMES half of it")
    skin_hold_mdeg: int = at_most(41_000, "M22; IEC 60601-1 table 24 (from memory): 41 C needs no justification")
    skin_pause_mdeg: int = at_most(41_000, "M22; as above")
    tick_hold_ms: int = at_most(100, f"M25; {E}")
    tick_pause_ms: int = at_most(200, f"M25; {E}")
    tick_stop_ms: int = at_most(250, f"M25; {E}")
    clock_step_ms: int = at_most(5_000, f"M31; {E}")
    journal_ms: int = at_most(1_000, f"M32; {E}")
    pulls_set: int = at_most(120, f"M35; {E}")
    pulls_session: int = at_most(120, f"M35; {E}")
    effort_hold_ms: int = at_most(600_000, f"M36; {E}")
    effort_pause_ms: int = at_most(600_000, f"M36; {E}")
    skin_check_ms: int = at_most(600_000, f"M37; {E}; only where the skin does not feel well")
    treatments_day: int = at_most(8, f"L01; {E}; NMES half of it")
    gap_ms: int = at_least(3_600_000, f"L02; {E}")
    gap_short_ms: int = at_least(3_600_000, f"L02; {E}: programmes of at most 450 s of on-time")
    gap_first_ms: int = at_least(3_600_000, f"L02; {E} on Teschler 2016, Kemmler 2023: after each of the first two")
    day_nc: int = at_most(20_000_000_000, f"L03; {E}")
    week_nc: int = at_most(100_000_000_000, f"L04; {E}")
    week_on_ms: int = at_most(100_800_000, f"L04; {E}: 7 days of the hard on-time")
    treatments_week: int = at_most(28, f"L05; {E}; NMES half of it")
    treatments_week_short: int = at_most(28, f"L05; {E}: programmes of at most 450 s of on-time; NMES half of it")
    first_share_ppm: int = at_most(500_000, f"G26; {E} on Teschler 2016: first two treatments of a muscle")
    growth_ppm: int = at_most(250_000, f"L06; {E}: above the last completed session")
    growth_ua: int = at_most(3_000, f"L06; {E}: allowed above the last completed session however low it was")
    pad_uses: int = at_most(30, f"L11; {E}: hydrogel pads lose tack after 10 to 20 uses")
    trend_ppm: int = at_most(3_000_000, f"L12; {E}: the skin's check over the median of the last five")


HARD_NMES: Final[Mapping[str, int]] = {
    "therapy_ms": 3_600_000,
    "treatments_day": 4,
    "treatments_week": 14,
    "treatments_week_short": 14,
}
"""Where the hard ceiling of NMES lies below that of TENS (safety reference 7.2 and 7.3, engineering defaults)."""


def meet(base: Limits, *layers: Mapping[str, int]) -> Limits:
    """Lay layers over `base`; each field can only tighten.

    Raises LimitError for an unknown field or no whole number.
    """
    values = {spec.name: getattr(base, spec.name) for spec in fields(base)}
    for layer in layers:
        for name, value in layer.items():
            if name not in values:
                raise LimitError(name, value, "a name of the limits table")
            if type(value) is not int or value < 0:
                raise LimitError(name, value, "a whole number, not negative")
            values[name] = SENSE[name](values[name], value)
    return Limits(**values)


SENSE: Final = {spec.name: spec.metadata["sense"] for spec in fields(Limits)}
"""How two values of a limit meet: upper bounds with min, lower bounds with max."""

HARD: Final[Mapping[Modality, Limits]] = {
    Modality.TENS: (_tens := Limits(**{spec.name: spec.metadata["hard"] for spec in fields(Limits)})),
    Modality.NMES: meet(_tens, HARD_NMES),
}


def site_limits(modality: Modality, policy: Mapping[str, int]) -> Limits:
    """Make the site's limits; the policy must name every field and pass no ceiling. Raises LimitError."""
    hard = HARD[modality]
    for spec in fields(Limits):
        if spec.name not in policy:
            raise LimitError(spec.name, None, "a value: a missing limit is never guessed")
    limits = meet(hard, policy)
    for name, value in policy.items():
        if getattr(limits, name) != value:
            bound = spec_text(name)
            raise LimitError(name, value, f"{bound} {getattr(hard, name)}, the hard limit")
    return limits


def spec_text(name: str) -> str:
    """Say in words which way a limit binds."""
    return "at most" if SENSE[name] is min else "at least"


MINUTE_MS = 60_000

CLASS_CAPS: Final[Mapping[tuple[Modality, Sensation], Mapping[str, int]]] = {
    (Modality.NMES, Sensation.S0): {"amplitude_ua": 80_000, "phase_charge_nc": 45_000, "density_ua_cm2": 1_000,
                                    "ratio_ppm": 1_500_000, "therapy_ms": 30 * MINUTE_MS},
    (Modality.NMES, Sensation.S1): {"amplitude_ua": 50_000, "phase_charge_nc": 15_000, "density_ua_cm2": 500,
                                    "ratio_ppm": 1_300_000, "therapy_ms": 20 * MINUTE_MS,
                                    "skin_check_ms": 10 * MINUTE_MS},
    (Modality.NMES, Sensation.S2): {"amplitude_ua": 30_000, "phase_charge_nc": 8_000, "density_ua_cm2": 250,
                                    "ratio_ppm": 1_200_000, "therapy_ms": 15 * MINUTE_MS,
                                    "skin_check_ms": 5 * MINUTE_MS,
                                    "area_mm2": 5_000, "small_area_mm2": 5_000},
    (Modality.TENS, Sensation.S0): {"amplitude_ua": 80_000, "phase_charge_nc": 45_000, "density_ua_cm2": 1_000,
                                    "ratio_ppm": 1_500_000, "therapy_ms": 60 * MINUTE_MS},
    (Modality.TENS, Sensation.S1): {"amplitude_ua": 50_000, "phase_charge_nc": 15_000, "density_ua_cm2": 500,
                                    "ratio_ppm": 1_300_000, "therapy_ms": 30 * MINUTE_MS,
                                    "skin_check_ms": 10 * MINUTE_MS},
    (Modality.TENS, Sensation.S2): {"amplitude_ua": 30_000, "phase_charge_nc": 8_000, "density_ua_cm2": 250,
                                    "ratio_ppm": 1_200_000, "therapy_ms": 20 * MINUTE_MS,
                                    "skin_check_ms": 5 * MINUTE_MS,
                                    "area_mm2": 5_000, "small_area_mm2": 5_000},
}  # fmt: skip
"""Ceilings of each sensation class (safety reference 3.3; engineering defaults that a clinician signs off)."""


UNMEASURED_CAPS: Final[Mapping[Sensation, Mapping[str, int]]] = {
    Sensation.S0: {},
    Sensation.S1: {"density_ua_cm2": 250},
    Sensation.S2: {},
}
"""Ceilings on a device that cannot measure the pads while it stimulates, so that no reading tells of a pad that peels.

Four tenths of a pad's contact may be lost unseen before the electrode flag speaks, and more: half of the class's own
density (safety reference 7.3b; engineering default). Class S2 is not treated on such a device at all (G29).
"""


def canonical() -> str:
    """Write the compiled ceilings as text, one `name sense value` a line; the shell logs its digest, a test pins it."""
    lines = [
        f"{m} {spec.name} {spec_text(spec.name)} {getattr(HARD[m], spec.name)}"
        for m in Modality
        for spec in fields(Limits)
    ]
    lines += [f"{m} {s} {name} {value}" for (m, s), caps in CLASS_CAPS.items() for name, value in caps.items()]
    lines += [f"unmeasured {s} {name} {value}" for s, caps in UNMEASURED_CAPS.items() for name, value in caps.items()]
    return "\n".join(lines) + "\n"
