"""What a clinician allows: a prescription that refuses to exist when it is incoherent.

It says shape and bounds; whether it may be given now, here, on this device is what the gate rules judge.
"""

from dataclasses import dataclass

from safety.limits import SENSE, LimitError, Modality, Sensation
from safety.montage import Montage
from safety.units import ceil_div, is_whole
from safety.waveform import Train, pulse_i2t, pulse_nc

PPM = 1_000_000
NMES_FAST_US = 100_000
"""Above 10 Hz (a period below this) a muscle is held, and the duty law applies (safety reference 4.5)."""


class PrescriptionError(ValueError):
    """A prescription contradicts itself; `name` is the field at fault."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def need(name: str, value: object, low: int, high: int) -> None:
    """Raise PrescriptionError unless `value` is a whole number in low..high."""
    if not is_whole(value, low, high):
        raise PrescriptionError(name, f"{value!r} is not a whole number from {low} to {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds found on this patient, in uA; None where the patient felt or showed nothing.

    They hold for the pair of pads, the smaller pad's area and the pulse width with which they were found.
    """

    at_wall_ms: int
    pair: str
    area_mm2: int
    width_us: int
    sensory_ua: int | None
    motor_ua: int | None
    maximal_ua: int | None

    def __post_init__(self) -> None:
        need("at_wall_ms", self.at_wall_ms, 0, 2**53)
        need("area_mm2", self.area_mm2, 1, 1_000_000)
        need("width_us", self.width_us, 1, 10_000)
        if not self.pair:
            raise PrescriptionError("pair", "a calibration names the pair of pads it was found with")
        known = [value for value in (self.sensory_ua, self.motor_ua, self.maximal_ua) if value is not None]
        for value in known:
            need("calibration", value, 1, 200_000)
        if known != sorted(known):
            raise PrescriptionError("calibration", "the order is sensory <= motor <= maximal tolerated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One channel of a prescription: one body site, one pair of pads, one train.

    `ua` is where the session starts, `max_ua` the top of the window in which the set-point may be adjusted;
    `area_mm2` is the smaller pad's area;
    `twin` is the channel of the like pair on the other side (0: none).
    `delay_ms` shifts this channel's place in the cycle (half a cycle: reciprocal stimulation).
    `montage` says where the two pads sit (None: nobody said, and nothing may flow); `small_pad_reason` is why pads
    below the usual area are used.
    """

    channel: int
    site: str
    pair: str
    ua: int
    max_ua: int
    width_us: int
    gap_us: int
    period_us: int
    area_mm2: int
    delay_ms: int = 0
    calibration: Calibration | None = None
    montage: Montage | None = None
    small_pad_reason: str = ""
    twin: int = 0

    def __post_init__(self) -> None:
        need("channel", self.channel, 1, 8)
        need("twin", self.twin, 0, 8)
        need("max_ua", self.max_ua, 1, 200_000)
        need("ua", self.ua, 1, self.max_ua)
        need("width_us", self.width_us, 1, 10_000)
        need("gap_us", self.gap_us, 0, 10_000)
        need("period_us", self.period_us, 1, 60_000_000)
        need("area_mm2", self.area_mm2, 1, 1_000_000)
        need("delay_ms", self.delay_ms, 0, 600_000)
        if self.montage is not None:
            need("spacing_mm", self.montage.spacing_mm, 0, 2_000)
        if not self.site or not self.pair:
            raise PrescriptionError("site", "a channel names its body site and its pair of pads")
        if 2 * self.width_us + self.gap_us >= self.period_us:
            raise PrescriptionError("period_us", "the pulse does not fit into its period")

    def train(self, ua: int) -> Train:
        """Give this channel's train at the set-point `ua`."""
        return Train(self.channel, ua, self.width_us, self.gap_us, self.period_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """The shape of a therapy: ramp up, plateau, ramp down, rest, again and again for `therapy_ms` of played time.

    `off_ms` is the time at zero. A continuous programme (TENS) has off_ms = 0 and one plateau of on_ms. Over
    `warm_up_ms` the output rises
    from `warm_ppm` to the whole of the set-point, over the last `cool_down_ms` it falls back.
    """

    modality: Modality
    ramp_up_ms: int
    on_ms: int
    ramp_down_ms: int
    off_ms: int
    therapy_ms: int
    warm_up_ms: int = 0
    cool_down_ms: int = 0
    warm_ppm: int = 500_000

    def __post_init__(self) -> None:
        if not isinstance(self.modality, Modality):
            raise PrescriptionError("modality", f"{self.modality!r} is neither nmes nor tens")
        need("therapy_ms", self.therapy_ms, 1_000, 24 * 3_600_000)
        for name in ("ramp_up_ms", "ramp_down_ms", "off_ms", "warm_up_ms", "cool_down_ms"):
            need(name, getattr(self, name), 0, self.therapy_ms)
        need("on_ms", self.on_ms, 1, self.therapy_ms)
        need("warm_ppm", self.warm_ppm, 1, PPM)
        if self.warm_up_ms + self.cool_down_ms > self.therapy_ms:
            raise PrescriptionError("cool_down_ms", "warm-up and cool-down are longer than the therapy")
        if self.off_ms == 0 and self.modality is Modality.NMES:
            raise PrescriptionError("off_ms", "a muscle programme needs rest; only tens may be continuous")

    @property
    def cycle_ms(self) -> int:
        """Length of one cycle, or of the whole therapy where it is continuous."""
        return self.ramp_up_ms + self.on_ms + self.ramp_down_ms + self.off_ms if self.off_ms else self.therapy_ms

    @property
    def active_ms(self) -> int:
        """Time of one cycle with current: ramps count as on-time and as dose."""
        return self.cycle_ms - self.off_ms

    @property
    def cycles(self) -> int:
        """Cycles in the therapy, the last broken one counted whole."""
        return ceil_div(self.therapy_ms, self.cycle_ms)

    def onward_ms(self, played_ms: int) -> int:
        """Give the played time at which a treatment that was broken off goes on: a cycle that was begun is lost."""
        return ceil_div(played_ms, self.cycle_ms) * self.cycle_ms if self.off_ms else played_ms

    @property
    def latest_ms(self) -> int:
        """The last played time after which something is left to go on with."""
        return (self.cycles - 1) * self.cycle_ms if self.off_ms else self.therapy_ms - 1

    @property
    def plateau_ms(self) -> int:
        """All the time on the plateau in the therapy, rounded up: on-time as protocols write it, without the ramps."""
        return min(self.cycles * self.on_ms, self.therapy_ms)


def need_twins(plans: tuple[Plan, ...]) -> None:
    """Raise PrescriptionError unless each twin is another of these channels."""
    numbers = {0} | {plan.channel for plan in plans}
    if any(plan.twin == plan.channel or plan.twin not in numbers for plan in plans):
        raise PrescriptionError("twin", "a twin is another channel, the like pair on the other side")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescription:
    """An immutable version of what is allowed for one patient.

    `limits` can only tighten; `digest` is its content's fingerprint.
    """

    id: str
    version: int
    patient: str
    sensation: Sensation
    channels: tuple[Plan, ...]
    programme: Programme
    limits: tuple[tuple[str, int], ...]
    valid_until_wall_ms: int
    digest: str

    def __post_init__(self) -> None:
        need("version", self.version, 1, 1_000_000)
        need("valid_until_wall_ms", self.valid_until_wall_ms, 0, 2**53)
        if not self.id or not self.patient or not self.digest:
            raise PrescriptionError("id", "a prescription has an id, a patient and a digest")
        if not isinstance(self.sensation, Sensation):
            raise PrescriptionError("sensation", f"{self.sensation!r} is not S0, S1 or S2")
        numbers = [plan.channel for plan in self.channels]
        if not numbers or numbers != sorted(set(numbers)):
            raise PrescriptionError("channels", "at least one channel, ascending, each once")
        for plan in self.channels:
            if plan.delay_ms >= self.programme.cycle_ms:
                raise PrescriptionError("delay_ms", "a channel's delay is shorter than the cycle")
        need_twins(self.channels)
        names = [name for name, _ in self.limits]
        for name, value in self.limits:
            if name not in SENSE:
                raise LimitError(name, value, "a name of the limits table")
            if type(value) is not int or value < 0:
                raise LimitError(name, value, "a whole number, not negative")
            if names.count(name) > 1:
                raise LimitError(name, value, "each limit once")

    @property
    def ref(self) -> str:
        """The name by which a command asks for it: id@version."""
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """What one channel gave or may give: absolute charge, squared-current integral, time with current."""

    nc: int = 0
    i2t: int = 0
    on_ms: int = 0

    def __add__(self, other: "Dose") -> "Dose":
        return Dose(nc=self.nc + other.nc, i2t=self.i2t + other.i2t, on_ms=self.on_ms + other.on_ms)


def worst_dose(plan: Plan, programme: Programme, ua: int, therapy_ms: int) -> Dose:
    """Reserve for `therapy_ms` of this channel at set-point `ua`: ramps count at full current, one more pulse a train.

    The device may measure up to 2 % more than was set before M01 sees it, so 5 % are laid on top (engineering default).
    """
    cycles = ceil_div(therapy_ms, programme.cycle_ms) + (1 if plan.delay_ms else 0)
    active_ms = min(programme.active_ms, therapy_ms)
    train = plan.train(ua)
    pulses = cycles * (ceil_div(active_ms * 1000, plan.period_us) + 1)
    return Dose(
        nc=ceil_div(pulses * pulse_nc(train) * 105, 100),
        i2t=ceil_div(pulses * pulse_i2t(train) * 105, 100),
        on_ms=cycles * active_ms,
    )


def late_dose(train: Train, late_ms: int) -> Dose:
    """Give what flows after the order to stop: for `late_ms` at full current, one pulse more, and the same 5 %.

    A device that hears nothing more goes on until its own dead man.
    """
    pulses = ceil_div(late_ms * 1000, train.period_us) + 1
    return Dose(
        nc=ceil_div(pulses * pulse_nc(train) * 105, 100),
        i2t=ceil_div(pulses * pulse_i2t(train) * 105, 100),
        on_ms=late_ms,
    )
