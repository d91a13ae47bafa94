"""What the proofs hold to be true, written from the safety reference and not from the rules.

The effective cap of a channel, the tables of what is legal where and of who may clear what, and how the layers of
limits meet. Nothing here calls a rule, a limit's arithmetic or a waveform's: figures are restated, bounds are solved
for the current (with integer square roots) where the rules compare squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isqrt
from typing import Final

from safety.limits import Limits, Modality, Sensation
from safety.messages import Capabilities, Verb
from safety.prescription import Plan, Prescription
from safety.state import Phase
from safety.verdict import Clear, Scope

AT_LEAST: Final = frozenset(
    {"width_min_us", "period_min_us", "rest_ratio_ppm", "ramp_ms", "check_low_ohm", "gap_ms", "gap_short_ms",
     "gap_first_ms", "mu_hold_ppm", "mu_pause_ppm", "area_mm2", "small_area_mm2", "spacing_mm"}
)  # fmt: skip
"""The limits that are lower bounds; all others are upper ones."""

CLASS_UA: Final = {Sensation.S0: 80_000, Sensation.S1: 50_000, Sensation.S2: 30_000}
CLASS_NC: Final = {Sensation.S0: 45_000, Sensation.S1: 15_000, Sensation.S2: 8_000}
HELD_MS: Final = 1_000
BURST_MS: Final = 3_000
"""A calibration's button is renewed each second, and its bursts last so long (safety reference 3.3)."""
CLASS_DENSITY: Final = {Sensation.S0: 1_000, Sensation.S1: 500, Sensation.S2: 250}
CALIBRATION_MS: Final = 7 * 86_400_000
"""Ceilings of the sensation classes in uA, nC and uA/cm2, and the age of a calibration (safety reference 3.3)."""

LEGAL: Final[Mapping[Verb, frozenset[Phase]]] = {
    **dict.fromkeys((Verb.CLAIM, Verb.RENEW, Verb.RELEASE, Verb.CLEAR, Verb.STOP), frozenset(Phase)),
    Verb.PREPARE: frozenset({Phase.IDLE}),
    Verb.CHECK: frozenset({Phase.PREPARED, Phase.PAUSED}),
    Verb.ARM: frozenset({Phase.PREPARED}),
    Verb.START: frozenset({Phase.ARMED}),
    Verb.ADJUST: frozenset({Phase.RUNNING}),
    Verb.PAUSE: frozenset({Phase.ARMED, Phase.RUNNING, Phase.CALIBRATING}),
    Verb.RESUME: frozenset({Phase.PAUSED}),
    Verb.CAL_BEGIN: frozenset({Phase.PREPARED}),
    Verb.ATTEST: frozenset({Phase.PREPARED, Phase.PAUSED}),
    **dict.fromkeys((Verb.CAL_STEP, Verb.CAL_MARK, Verb.CAL_END), frozenset({Phase.CALIBRATING})),
}
"""Where each wish of a therapy, and of a calibration, is legal."""

WAYS: Final = {
    Phase.OFFLINE: {Phase.IDLE},
    Phase.IDLE: {Phase.OFFLINE, Phase.PREPARED},
    Phase.PREPARED: {Phase.IDLE, Phase.ARMED, Phase.CALIBRATING, Phase.UNCERTAIN, Phase.OFFLINE},
    Phase.CALIBRATING: {Phase.PREPARED, Phase.PAUSED, Phase.UNCERTAIN},
    Phase.ARMED: {Phase.RUNNING, Phase.PAUSED, Phase.UNCERTAIN},
    Phase.RUNNING: {Phase.PAUSED, Phase.UNCERTAIN},
    Phase.PAUSED: {Phase.RUNNING, Phase.UNCERTAIN, Phase.OFFLINE},
    Phase.UNCERTAIN: {Phase.IDLE, Phase.OFFLINE},
}
"""The phases that one event can lead to."""

CLINICIANS: Final = {"physio", "prescriber", "biomed"}
ROLES: Final = {
    Clear.AUTO: set(),
    Clear.ACK_OPERATOR: CLINICIANS,
    Clear.NEW_SESSION: CLINICIANS,
    Clear.ACK_QUALIFIED: {"prescriber"},
    Clear.MAINTENANCE: {"biomed"},
}
CLASSES: Final = {
    Scope.DEVICE: {Clear.MAINTENANCE},
    Scope.MONTAGE: {Clear.ACK_QUALIFIED},
    Scope.PATIENT: {Clear.ACK_QUALIFIED},
    Scope.SESSION: {Clear.ACK_OPERATOR, Clear.NEW_SESSION, Clear.ACK_QUALIFIED},
}
"""Who may remove a latch of a class, and which classes a latch of a scope can have."""


def limit(site: Limits, rx: Prescription, name: str) -> int:
    """Give the limit that binds: the tightest of what the site, the prescription and the class say."""
    tightest = max if name in AT_LEAST else min
    layers = [getattr(site, name), *(value for other, value in rx.limits if other == name)]
    by_class = {"amplitude_ua": CLASS_UA, "phase_charge_nc": CLASS_NC, "density_ua_cm2": CLASS_DENSITY}
    if name in by_class:
        layers.append(by_class[name][rx.sensation])
    minutes = {"nmes": {"S0": 30, "S1": 20, "S2": 15}, "tens": {"S0": 60, "S1": 30, "S2": 20}}
    if name == "therapy_ms":
        layers.append(minutes[rx.programme.modality][rx.sensation] * 60_000)
    if name in ("area_mm2", "small_area_mm2") and rx.sensation is Sensation.S2:
        layers.append(5_000)
    if name == "ratio_ppm":
        layers.append({"S0": 1_500_000, "S1": 1_300_000, "S2": 1_200_000}[rx.sensation])
    return tightest(layers)


def looser(site: Limits, rx: Prescription, limits: Limits) -> list[str]:
    """Name the limits of a session's snapshot that are looser than what the layers say (X8, I11)."""
    return [
        spec.name
        for spec in fields(limits)
        if (getattr(limits, spec.name) - limit(site, rx, spec.name)) * (-1 if spec.name in AT_LEAST else 1) > 0
    ]


def tolerated_ua(site: Limits, rx: Prescription, plan: Plan, wall_ms: int) -> int:
    """Give the current that this patient's own thresholds and class allow (safety reference 3.3, G08, G17)."""
    found, sense, nmes = plan.calibration, rx.sensation, rx.programme.modality is Modality.NMES
    ways = []
    motor, maximal = (found.motor_ua, found.maximal_ua) if found else (None, None)
    skew_ms = limit(site, rx, "clock_skew_ms")
    fits = found is not None and (found.pair, found.area_mm2, found.width_us) == (
        plan.pair,
        plan.area_mm2,
        plan.width_us,
    )
    valid = fits and found.at_wall_ms - skew_ms <= wall_ms <= found.at_wall_ms + CALIBRATION_MS
    if maximal is not None and not nmes:
        ways.append(maximal * limit(site, rx, "tens_tolerance_ppm") // 1_000_000)
    if sense is Sensation.S0:
        ways += [] if maximal is None else [maximal]
        ways += [] if valid and maximal is not None else [limit(site, rx, "uncalibrated_ua")]
    else:
        if nmes and not (valid and motor is not None and (sense is Sensation.S2 or maximal is not None)):
            return 0
        ways += [] if maximal is None else [maximal * 4 // 5]
        ways += [] if motor is None else [motor * (20 if sense is Sensation.S1 else 12) // 10]
    return min(ways, default=200_000)


def cap_ua(site: Limits, rx: Prescription, plan: Plan, caps: Capabilities, wall_ms: int, *, trial: bool = False) -> int:
    """Give the effective cap of a channel at its prescribed width and rate: the least of every bound (G08, G11-G16).

    A calibration is bounded by the class and the pulse, not by thresholds that it is looking for, nor by the window.
    """
    width, period, area = plan.width_us, plan.period_us, plan.area_mm2

    def squares(bound: int) -> int:
        """Solve 2 I^2 w <= bound for I."""
        return isqrt(bound // (2 * width))

    return min(
        caps.max_ua,
        limit(site, rx, "amplitude_ua"),
        *(() if trial else (plan.max_ua, tolerated_ua(site, rx, plan, wall_ms))),
        limit(site, rx, "phase_charge_nc") * 1_000 // width,
        squares(limit(site, rx, "rms_ua") ** 2 * period),
        squares((limit(site, rx, "density_ua_cm2") * area) ** 2 * period // 10_000),
        squares(limit(site, rx, "power_uw_cm2") * area * period * 1_000_000 // 50_000),
        squares(limit(site, rx, "pulse_energy_uj") * 1_000_000_000_000 // 500),
        limit(site, rx, "direct_ua") * period * 1_000_000 // max(1, width * caps.mismatch_ppm),
    )


def reserve_nc(rx: Prescription, plan: Plan, ua: int) -> int:
    """Give the least charge that covers a whole therapy at this current: every pulse of every plateau and ramp."""
    shape = rx.programme
    cycle_ms = shape.ramp_up_ms + shape.on_ms + shape.ramp_down_ms + shape.off_ms if shape.off_ms else shape.therapy_ms
    active_ms = min(cycle_ms - shape.off_ms, shape.therapy_ms)
    return shape.therapy_ms // cycle_ms * (active_ms * 1_000 // plan.period_us) * 2 * ua * plan.width_us // 1_000
