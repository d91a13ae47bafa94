"""What the rig is made of: the shipped policy restated, an ordinary patient, an ideal device, a programme."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from safety.attestation import ITEMS, Attestation
from safety.effects import (
    Arm,
    Drive,
    Effect,
    Feed,
    Silence,
)
from safety.history import Record
from safety.limits import Modality, Sensation, site_limits
from safety.messages import (
    Capabilities,
    Config,
    DeviceState,
    Identity,
    Sample,
    Status,
)
from safety.montage import Montage, Region, Side
from safety.prescription import Calibration, Dose, Plan, Prescription, Programme
from safety.times import NATIVE
from safety.waveform import Train

WALL_MS = 1_800_000_000_000
MONO_MS = 1_000_000

SHIPPED_NMES: dict[str, int] = {
    "command_age_ms": 3_000,
    "clock_skew_ms": 2_000,
    "attest_age_ms": 86_400_000,
    "area_mm2": 1_600,
    "small_area_mm2": 900,
    "spacing_mm": 25,
    "channels_at_once": 2,
    "pulse_share_ppm": 800_000,
    "arm_to_start_ms": 60_000,
    "amplitude_ua": 80_000,
    "uncalibrated_ua": 60_000,
    "width_us": 400,
    "width_min_us": 50,
    "period_min_us": 12_500,
    "period_max_us": 1_000_000,
    "phase_charge_nc": 30_000,
    "phase_base_nc": 50_000,
    "rms_ua": 20_000,
    "density_ua_cm2": 1_000,
    "power_uw_cm2": 50_000,
    "pulse_energy_uj": 5_000,
    "mismatch_ppm": 10_000,
    "direct_ua": 50,
    "on_ms": 10_000,
    "rest_ratio_ppm": 3_000_000,
    "tens_tolerance_ppm": 900_000,
    "ramp_ms": 1_000,
    "rise_ua": 1_000,
    "rise_ua_per_s": 1_000,
    "calibration_ms": 604_800_000,
    "calibration_ppm": 400_000,
    "check_low_ohm": 300,
    "check_high_ohm": 3_000,
    "check_spread_ppm": 200_000,
    "check_age_ms": 120_000,
    "rail_ppm": 600_000,
    "headroom_ppm": 800_000,
    "dose_share_ppm": 950_000,
    "silence_hold_ms": 300,
    "silence_pause_ms": 700,
    "silence_stop_ms": 1_000,
    "claim_ms": 5_000,
    "presence_ms": 300_000,
    "poor_ohm": 4_000,
    "ratio_ppm": 1_500_000,
    "jump_ppm": 250_000,
    "drift_ppm": 100_000,
    "fall_ppm": 400_000,
    "clip_hold": 3,
    "clip_pause": 10,
    "twin_ppm": 1_600_000,
    "contact_ua_cm2": 1_500,
    "session_nc": 800_000_000,
    "session_i2t": 100_000_000_000_000_000,
    "session_on_ms": 610_000,
    "mu_hold_ppm": 600_000,
    "mu_pause_ppm": 500_000,
    "therapy_ms": 1_800_000,
    "skin_hold_mdeg": 38_000,
    "skin_pause_mdeg": 40_000,
    "tick_hold_ms": 100,
    "tick_pause_ms": 200,
    "tick_stop_ms": 250,
    "clock_step_ms": 2_000,
    "journal_ms": 500,
    "pulls_set": 60,
    "pulls_session": 90,
    "effort_hold_ms": 300_000,
    "effort_pause_ms": 600_000,
    "skin_check_ms": 600_000,
    "treatments_day": 2,
    "gap_ms": 14_400_000,
    "gap_short_ms": 3_600_000,
    "gap_first_ms": 172_800_000,
    "day_nc": 1_600_000_000,
    "week_nc": 5_600_000_000,
    "week_on_ms": 4_270_000,
    "treatments_week": 5,
    "treatments_week_short": 14,
    "first_share_ppm": 500_000,
    "growth_ppm": 100_000,
    "growth_ua": 3_000,
    "pad_uses": 15,
    "trend_ppm": 2_000_000,
}
"""The shipped policy, restated here as numbers of SAFETY.md so that a slip in the file shows."""

SHIPPED_TENS: dict[str, int] = SHIPPED_NMES | {
    "period_min_us": 8_334,
    "session_nc": 4_000_000_000,
    "session_i2t": 150_000_000_000_000_000,
    "session_on_ms": 3_600_000,
    "therapy_ms": 3_600_000,
    "treatments_day": 4,
    "day_nc": 8_000_000_000,
    "week_nc": 56_000_000_000,
    "week_on_ms": 50_400_000,
    "treatments_week": 14,
    "treatments_week_short": 14,
}

THIGH = Montage(Region.THIGH, Side.LEFT, Region.THIGH, Side.LEFT, 80)
VOUCHED = Attestation(at_wall_ms=WALL_MS - 1_000, by="physio-1", answers=tuple((item.id, "no") for item in ITEMS))

CAPS = Capabilities(
    channels=8,
    max_ua=100_000,
    step_ua=100,
    min_width_us=20,
    max_width_us=500,
    width_step_us=1,
    min_period_us=8_000,
    max_period_us=1_000_000,
    period_step_us=10,
    compliance_mv=150_000,
    dead_man_ms=500,
    accuracy_ppm=10_000,
    mismatch_ppm=10_000,
    numeric_impedance=True,
    electrode_flag_from_ua=0,
    readback=True,
    patient_stop=True,
    relay=True,
    supply_min_mv=10_800,
    supply_max_mv=13_200,
    balance=True,
)
IDENTITY = Identity(model="stimwarden-native", serial="E1", firmware="1.0", protocol=1, emulator=True, boot=7)


def config(nmes: dict[str, int] | None = None, tens: dict[str, int] | None = None) -> Config:
    """Make a configuration with the shipped policy, some of it replaced."""
    limits = {
        Modality.NMES: site_limits(Modality.NMES, SHIPPED_NMES | (nmes or {})),
        Modality.TENS: site_limits(Modality.TENS, SHIPPED_TENS | (tens or {})),
    }
    return Config(
        device="dev1",
        policy="p1",
        limits=limits,
        general=limits[Modality.NMES],
        times=NATIVE,
        models=("stimwarden-native",),
        emulator=True,
    )


def plan(**changes: object) -> Plan:
    """Make one channel: 20 mA, 300 us, 40 Hz on 25 cm2, calibrated with these very pads and this width."""
    values: dict[str, object] = {
        "channel": 1,
        "site": "left-quadriceps",
        "pair": "a",
        "ua": 20_000,
        "max_ua": 30_000,
        "width_us": 300,
        "gap_us": 100,
        "period_us": 25_000,
        "area_mm2": 2_500,
        "montage": THIGH,
        "calibration": Calibration(
            at_wall_ms=WALL_MS - 1000,
            pair="a",
            area_mm2=2_500,
            width_us=300,
            sensory_ua=8_000,
            motor_ua=15_000,
            maximal_ua=60_000,
        ),
    }
    made = Plan(**(values | changes))  # type: ignore[arg-type]
    if made.calibration is None:
        return made
    found = replace(made.calibration, pair=made.pair, area_mm2=made.area_mm2, width_us=made.width_us)
    return replace(made, calibration=found)


def rx(*plans: Plan, programme: Programme | None = None, **changes: object) -> Prescription:
    """Make a prescription: NMES 2 s on, 6 s off, 1 s ramps, one minute."""
    shape = programme or Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=60_000
    )
    values: dict[str, object] = {
        "id": "rx-1",
        "version": 1,
        "patient": "p-1",
        "sensation": Sensation.S0,
        "channels": plans or (plan(),),
        "programme": shape,
        "limits": (),
        "valid_until_wall_ms": WALL_MS + 90 * 86_400_000,
        "digest": "d1",
    }
    return Prescription(**(values | changes))  # type: ignore[arg-type]


def record(ago_ms: int, **changes: object) -> Record:
    """Make a session in the ledger: 15 min of NMES, closed `ago_ms` ago, and settled."""
    values: dict[str, object] = {
        "session": f"s-{ago_ms}",
        "rx": "rx-1@1",
        "site": "left-quadriceps",
        "pair": "a",
        "modality": Modality.NMES,
        "opened_wall_ms": WALL_MS - ago_ms - 900_000,
        "closed_wall_ms": WALL_MS - ago_ms,
        "on_time_ms": 451_000,
        "reserved": Dose(nc=500, i2t=500, on_ms=500),
        "charged": Dose(nc=100, i2t=100, on_ms=100),
        "ua": 20_000,
        "ohm": 1_500,
        "completed": True,
        "played_ms": 900_000,
    }
    return Record(**(values | changes))  # type: ignore[arg-type]


def envelope_ppm(programme: Programme, played_ms: int, delay_ms: int) -> int:
    """Give the programme's height at a played time, by the rig's own arithmetic."""
    at = played_ms - delay_ms
    if at < 0 or played_ms >= programme.therapy_ms:
        return 0
    if programme.off_ms:
        at %= programme.ramp_up_ms + programme.on_ms + programme.ramp_down_ms + programme.off_ms
    if at < programme.ramp_up_ms:
        return at * 1_000_000 // programme.ramp_up_ms
    at -= programme.ramp_up_ms
    if at < programme.on_ms or not programme.off_ms:
        return 1_000_000
    at -= programme.on_ms
    if at < programme.ramp_down_ms:
        return 1_000_000 - at * 1_000_000 // programme.ramp_down_ms
    return 0


@dataclass
class IdealDevice:
    """A device that obeys at once and measures what it gives; `ohm` is the load of each channel."""

    caps: Capabilities = CAPS
    identity: Identity = IDENTITY
    state: DeviceState = DeviceState.STOPPED
    permit: int = 0
    grant: int = 0
    frames: int = 0
    trains: dict[int, Train] = field(default_factory=dict)
    carry_us: dict[int, int] = field(default_factory=dict)
    pulses: dict[int, int] = field(default_factory=dict)
    charge_nc: dict[int, int] = field(default_factory=dict)
    total_nc: dict[int, int] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)
    presses: int = 0
    ohm: dict[int, int] = field(default_factory=dict)
    changes: dict[str, object] = field(default_factory=dict)
    sample_changes: dict[int, dict[str, object]] = field(default_factory=dict)
    ignores_stop: bool = False

    def advance(self, ms: int) -> None:
        """Give the pulses of `ms`."""
        for number, train in self.trains.items():
            pulses, self.carry_us[number] = divmod(self.carry_us.get(number, 0) + ms * 1000, train.period_us)
            self.deliver(number, train, pulses)

    def deliver(self, number: int, train: Train, pulses: int) -> None:
        """Count pulses."""
        if pulses:
            self.given.add(number)
        nc = pulses * 2 * train.ua * train.width_us // 1000
        self.pulses[number] = self.pulses.get(number, 0) + pulses
        self.charge_nc[number] = self.charge_nc.get(number, 0) + nc
        self.total_nc[number] = self.total_nc.get(number, 0) + nc

    def obey(self, effect: Effect) -> None:
        """Take an effect as the wire would bring it."""
        self.frames += 1
        if isinstance(effect, Silence) and not self.ignores_stop:
            self.state, self.trains = DeviceState.STOPPED, {}
        elif isinstance(effect, Arm):
            self.state, self.permit, self.pulses, self.charge_nc = DeviceState.ARMED, effect.grant.permit, {}, {}
        elif isinstance(effect, Drive):
            new = {train.channel: train for train in effect.picture.trains}
            for number, train in new.items():
                if number not in self.trains:
                    self.carry_us[number] = 0
                    self.deliver(number, train, 1)
            self.trains = new
            self.state = DeviceState.RUNNING if new else DeviceState.ARMED
        if isinstance(effect, Arm | Drive | Feed):
            self.grant = effect.grant.seq

    def status(self, uptime_ms: int) -> Status:
        """Say how it is."""
        status = Status(
            self.identity.boot,
            uptime_ms,
            self.frames,
            self.state,
            0,
            False,
            self.presses,
            12_000,
            self.permit,
            self.grant,
        )
        return status._replace(**self.changes)  # type: ignore[arg-type]

    def samples(self) -> tuple[Sample, ...]:
        """Read back every channel, then forget what was fresh."""
        out = []
        for number in range(1, self.caps.channels + 1):
            train = self.trains.get(number, Train(number, 0, 0, 0, 0))
            sample = Sample(
                number,
                train.ua,
                train.width_us,
                train.gap_us,
                train.period_us,
                train.ua,
                self.ohm.get(number, 1_500),
                self.pulses.get(number, 0),
                self.charge_nc.get(number, 0),
                0,
                number in self.given,
                False,
                False,
                False,
                0 if self.caps.balance else None,
            )
            out.append(sample._replace(**self.sample_changes.get(number, {})))  # type: ignore[arg-type]
        self.given.clear()
        return tuple(out)
