"""What may be prepared and armed: every bound of the gate, on it and one unit past it, and every device it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from safety.limits import Modality, Sensation
from safety.messages import Capabilities, Verb
from safety.montage import Montage, Region, Side
from safety.prescription import Calibration, Plan, Prescription, Programme
from safety.state import Phase
from tests.proof import stage as m
from tests.proof.slices.parts import QUICK_RAMP, READY, asked_for, asks, idle, short, walked_up
from tests.proof.stage import Happening, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import CAPS, WALL_MS, config, plan, rx

DAY_MS: Final = 86_400_000


def therapy(**changes: object) -> Programme:
    """Make an ordinary muscle programme, some of it changed."""
    values: dict[str, object] = {
        "modality": Modality.NMES, "ramp_up_ms": 1_000, "on_ms": 2_000, "ramp_down_ms": 1_000, "off_ms": 6_000,
        "therapy_ms": 60_000,
    }  # fmt: skip
    return Programme(**(values | changes))  # type: ignore[arg-type]


STEADY: Final = therapy(modality=Modality.TENS, on_ms=60_000, ramp_down_ms=0, off_ms=0)
LIGHT: Final = therapy(on_ms=1_000, off_ms=9_000)


def found(**changes: object) -> Calibration:
    """Make a calibration, some of it changed."""
    values: dict[str, object] = {
        "at_wall_ms": WALL_MS - 1_000, "pair": "a", "area_mm2": 2_500, "width_us": 300, "sensory_ua": 8_000,
        "motor_ua": 15_000, "maximal_ua": 60_000,
    }  # fmt: skip
    return Calibration(**(values | changes))  # type: ignore[arg-type]


def one(**changes: object) -> Plan:
    """Make one channel in a wide window."""
    return plan(max_ua=100_000, **changes)


def limited(**limits: int) -> Prescription:
    """Prescribe the ordinary programme under limits of its own."""
    return rx(plan(), limits=tuple(limits.items()))


def arm(side: Side, channel: int) -> Plan:
    """Put a pair of pads on a forearm."""
    return plan(
        channel=channel, site=f"{side}-forearm", montage=Montage(Region.FOREARM, side, Region.FOREARM, side, 80)
    )


def leg(channel: int) -> Plan:
    """Put a pair of pads on a place of the left leg."""
    return plan(channel=channel, site=f"left-leg-{channel}")


class Bound(NamedTuple):
    """A bound of the gate: the rule that must refuse what lies a unit past it, and must not refuse what lies on it."""

    name: str
    rule: str
    within: Prescription
    past: Prescription


REASON: Final = {"small_pad_reason": "a hand"}
STRONG: Final = {"width_us": 400, "area_mm2": 9_000, "calibration": found(maximal_ua=80_000)}

BOUNDS: Final = (
    Bound("end of validity", "G04", rx(plan(), valid_until_wall_ms=WALL_MS),
          rx(plan(), valid_until_wall_ms=WALL_MS - 1)),
    Bound("length", "G04", rx(plan(), programme=replace(LIGHT, therapy_ms=1_800_000)),
          rx(plan(), programme=replace(LIGHT, therapy_ms=1_800_001))),
    Bound("pad", "G07", rx(plan(area_mm2=1_600)), rx(plan(area_mm2=1_599))),
    Bound("small pad", "G07", rx(plan(area_mm2=900, **REASON)), rx(plan(area_mm2=899, **REASON))),
    Bound("spacing", "G07", rx(plan(montage=Montage(Region.THIGH, Side.LEFT, Region.THIGH, Side.LEFT, 25))),
          rx(plan(montage=Montage(Region.THIGH, Side.LEFT, Region.THIGH, Side.LEFT, 24)))),
    Bound("tolerance", "G08", rx(one(ua=60_000)), rx(one(ua=60_001))),
    Bound("tolerance of TENS", "G08", rx(one(ua=54_000), programme=STEADY), rx(one(ua=54_001), programme=STEADY)),
    Bound("twice the motor threshold", "G08", rx(one(ua=30_000, area_mm2=3_000), sensation=Sensation.S1),
          rx(one(ua=30_001, area_mm2=3_000), sensation=Sensation.S1)),
    Bound("1.2 of the motor threshold", "G08", rx(one(ua=18_000, area_mm2=6_000), sensation=Sensation.S2),
          rx(one(ua=18_001, area_mm2=6_000), sensation=Sensation.S2)),
    Bound("width", "G09", rx(plan(width_us=400)), rx(plan(width_us=401))),
    Bound("least width", "G09", rx(plan(width_us=50)), rx(plan(width_us=49))),
    Bound("rate", "G10", rx(plan(period_us=12_500)), rx(plan(period_us=12_499))),
    Bound("least rate", "G10", rx(plan(period_us=500_000), limits=(("period_max_us", 500_000),)),
          rx(plan(period_us=500_001), limits=(("period_max_us", 500_000),))),
    Bound("charge of a phase", "G11", rx(one(ua=75_000, **STRONG)), rx(one(ua=75_001, **STRONG))),
    Bound("r.m.s. current", "G12", limited(rms_ua=3_099), limited(rms_ua=3_098)),
    Bound("density", "G13", limited(density_ua_cm2=124), limited(density_ua_cm2=123)),
    Bound("power", "G14", limited(power_uw_cm2=192), limited(power_uw_cm2=191)),
    Bound("energy", "G15", limited(pulse_energy_uj=120), limited(pulse_energy_uj=119)),
    Bound("mismatch", "G16", limited(mismatch_ppm=10_000), limited(mismatch_ppm=9_999)),
    Bound("direct current", "G16", limited(direct_ua=3), limited(direct_ua=2)),
    Bound("rest", "G17", rx(plan(), programme=therapy()), rx(plan(), programme=therapy(off_ms=5_999))),
    Bound("plateau", "G17", rx(plan(), programme=therapy(on_ms=10_000, off_ms=30_000)),
          rx(plan(), programme=therapy(on_ms=10_001, off_ms=30_003))),
    Bound("ramp", "G18", rx(plan(), programme=therapy()), rx(plan(), programme=therapy(ramp_up_ms=999))),
    Bound("channels at once", "G22", rx(leg(1), leg(2)), rx(leg(1), leg(2), leg(3))),
    Bound("a path through the chest", "G22", rx(arm(Side.LEFT, 1), arm(Side.LEFT, 2)),
          rx(arm(Side.LEFT, 1), arm(Side.RIGHT, 2))),
    Bound("time for each pulse", "G22", limited(pulse_share_ppm=28_000), limited(pulse_share_ppm=27_999)),
    Bound("charge of a session", "G28", limited(session_nc=13_090_737), limited(session_nc=13_090_736)),
    Bound("squared current of a session", "G28", limited(session_i2t=261_814_736_842_106),
          limited(session_i2t=261_814_736_842_105)),
    Bound("on-time of a session", "G28", limited(session_on_ms=25_790), limited(session_on_ms=25_789)),
)  # fmt: skip
"""Figures of safety reference 1.2, 3.3 and 7.1. The ordinary channel (20 mA, 300 us, 40 Hz, 25 cm2) has 3,098.4 uA
r.m.s., 123.9 uA/cm2, 192 uW/cm2, 120 uJ a pulse, 2.4 uA of direct current, 28,000 ppm of pulse time; its programme 966
pulses of 12 uC and 24 s, a stop that is not heard 21 and half a second; and 5 % more, of which the caps are 95 %."""

ALONE: Final = (
    ("window", rx(plan(ua=30_000)), ""),
    ("uncalibrated", rx(one(ua=60_000, calibration=None)), ""),
    ("uncalibrated over", rx(one(ua=60_001, calibration=None)), ""),
    ("old calibration", rx(one(ua=60_001, calibration=found(at_wall_ms=WALL_MS - 8 * DAY_MS, maximal_ua=90_000))), ""),
    ("no motor threshold", rx(one(ua=1_000, calibration=None), sensation=Sensation.S1), ""),
    ("nobody said where", rx(plan(montage=None)), "G06"),
)
"""What may be prepared although it may not be armed; and pads of which nobody said where they sit."""


def named(name: str, what: Prescription) -> Prescription:
    """Give a prescription its own name."""
    return replace(what, id=name)


ROWS: Final = (
    *(row for b in BOUNDS for row in ((b.name, b.within, ""), (f"{b.name} past", b.past, b.rule))),
    *ALONE,
)


def side_of(name: str) -> Callable[[Stage, Happening], int | None]:
    """Make a figure: 0 for a prescription on a bound, 1 for the one past it."""
    return lambda stage, what: {name: 0, f"{name} past": 1}.get(asked_for(stage, what))


GATE: Final = Slice(
    "gate",
    """Every prescription on a bound of what may be given, and one unit past it, prepared on a device that suits: the
    one must pass, the other be refused by its rule first.""",
    lambda: (idle(*(named(name, each) for name, each, _ in ROWS)),),
    {name: m.prepare(index) for index, (name, _, _) in enumerate(ROWS)},
    expects={name: rule for name, _, rule in ROWS},
    edges=tuple(Edge(b.name, b.rule, 0, side_of(b.name)) for b in BOUNDS),
)


# The device that it is for


def cap_of(name: str, sign: int = 1, index: int = 0) -> Callable[[Stage, Happening], int | None]:
    """Make a figure: a capability of a device that is the ordinary one but for it, as a session is prepared."""

    def figure(stage: Stage, what: Happening) -> int | None:
        device = stage.station.device
        if device is None or asked_for(stage, what) != stage.rxs[index].id:
            return None
        usual = replace(device.caps, **{name: getattr(CAPS, name)})
        return sign * getattr(device.caps, name) if usual == CAPS else None

    return figure


FITS: Final = (
    ("accuracy_ppm", "G23", 200_000, 1), ("max_ua", "G23", 20_000, -1), ("step_ua", "G23", 20_000, 1),
    ("min_width_us", "G23", 300, 1), ("max_width_us", "G23", 300, -1), ("min_period_us", "G23", 25_000, 1),
    ("max_period_us", "G23", 25_000, -1), ("channels", "G23", 1, -1), ("mismatch_ppm", "G16", 10_000, 1),
)  # fmt: skip

DEVICES: Final = Slice(
    "devices",
    """Every device on a bound of what it must be able to do, and one unit past it, and the session prepared on it; a
    device of another kind, an emulator where none is expected; a latch, who may clear it.""",
    lambda: (walked_up(m.begin(config(), (rx(plan(), id="usual"),)), m.CLAIM),),
    {
        "up": m.up({}), "up other": m.up({"model": "toaster"}), "up no emulator": m.up({"emulator": False}),
        **{
            f"up {name} {mark + sign * more}": m.up({}, **{name: mark + sign * more})
            for name, _, mark, sign in FITS
            for more in (0, 1)
        },
        "down": m.down, "claim": m.CLAIM, "maintain": m.clear("biomed"), "clear": m.clear("prescriber"),
        "prepare": m.prepare(0), "stop": m.STOP,
    },
    scope=lambda stage: stage.session is None and len(stage.station.latches) < 2,
    edges=tuple(Edge(name, rule, sign * mark, cap_of(name, sign)) for name, rule, mark, sign in FITS),
)  # fmt: skip


# What is armed


class Arming(NamedTuple):
    """A bound that is judged as a session is armed: what lies on it and a unit past it, and the device of each."""

    name: str
    rule: str
    within: Prescription
    past: Prescription
    caps: Capabilities = CAPS
    past_caps: Capabilities = CAPS

    def stages(self) -> tuple[Stage, Stage]:
        """Prepare both, the stop tried and the skin measured at 1,500 ohm."""
        within, past = named(self.name, self.within), named(f"{self.name} past", self.past)
        return (
            walked_up(idle(within, policy=QUICK_RAMP, caps=self.caps), *READY),
            walked_up(idle(past, policy=QUICK_RAMP, caps=self.past_caps), *READY),
        )


def reduced(**changes: object) -> Prescription:
    """Prescribe for skin that feels less, with thresholds that were found otherwise where they say so."""
    return rx(replace(plan(), calibration=found(**changes)), sensation=Sensation.S1)


ARMINGS: Final = (
    Arming("uncalibrated", "G08", rx(one(ua=60_000, calibration=None)), rx(one(ua=60_001, calibration=None))),
    Arming("age of thresholds", "G19", reduced(at_wall_ms=WALL_MS - 7 * DAY_MS),
           reduced(at_wall_ms=WALL_MS - 7 * DAY_MS - 1)),
    Arming("thresholds of the future", "G19", reduced(at_wall_ms=WALL_MS + 2_000), reduced(at_wall_ms=WALL_MS + 2_001)),
    Arming("area of thresholds", "G19", reduced(), reduced(area_mm2=2_499)),
    Arming("width of thresholds", "G19", reduced(), reduced(width_us=301)),
    Arming("pair of thresholds", "G19", reduced(), reduced(pair="b")),
    Arming("headroom", "G21", short(), short(), replace(CAPS, compliance_mv=37_500),
           replace(CAPS, compliance_mv=37_499)),
)  # fmt: skip


def armed_at(name: str) -> Callable[[Stage, Happening], int | None]:
    """Make a figure: 0 for a session on a bound, 1 for the one past it, as it is armed."""

    def figure(stage: Stage, what: Happening) -> int | None:
        if not asks(stage, what, Verb.ARM, Phase.PREPARED) or stage.session is None:
            return None
        return {name: 0, f"{name} past": 1}.get(stage.session.rx.id)

    return figure


ARMED: Final = Slice(
    "arming",
    """Every session on a bound that is judged as it is armed, and one unit past it: thresholds that were found too long
    ago, with other pads or another width, or none; a voltage with and without room to spare. Prepared, the stop tried,
    the skin measured at 1,500 ohm.""",
    lambda: tuple(stage for each in ARMINGS for stage in each.stages()),
    {"arm": m.ARM},
    scope=lambda stage: stage.station.phase is Phase.PREPARED and stage.station.waiting is None,
    edges=tuple(Edge(each.name, each.rule, 0, armed_at(each.name)) for each in ARMINGS),
)

SLICES: Final = (GATE, DEVICES, ARMED)
