"""What a P24 can do and says, in the words of the safety core, and what the core asks, in the words of a P24."""

from safety import messages
from safety.impedance import NO_CURRENT_OHM
from safety.messages import Capabilities, DeviceState, Sample
from safety.units import ceil_div
from safety.waveform import Picture, Train

from .base import DeviceError, NotRepresentable
from .quantise import quantised
from .sciencemode4_acks import SAMPLES, CurrentData, DeviceId, Fault, Level, Pulsed, Version
from .sciencemode4_frames import (
    CHANNELS,
    HALF_US,
    MAX_POINT_US,
    MAX_UA,
    QUARTER_US,
    STEP_UA,
    MidUpdate,
    Pattern,
    Point,
)

MODEL, PROTOCOL_MAJOR = "p24", 4
EMULATOR = "EMU"
"""What the id of an emulated device begins with: the protocol has no flag for it."""
POINT_MIN_US = 10
"""A shorter point acts as this (P24's IFU 1.1)."""
QUARTERS_TO_US = 8_191_500
"""Longer periods are counted in half milliseconds only (P24's IFU 1.1)."""
PULSE_MUTE_US, PPM = 60, 1_000_000
"""What a pulse takes besides its points, in the rule that all of them fit into their periods (maker's C library)."""
PROBE_MAX_UA, PROBE_MAX_WIDTH_US = 2_000, 500

CAPABILITIES = Capabilities(
    channels=CHANNELS,
    max_ua=MAX_UA,
    step_ua=STEP_UA,
    min_width_us=POINT_MIN_US,
    max_width_us=MAX_POINT_US,
    width_step_us=1,
    min_period_us=500,
    max_period_us=16_383_000,
    period_step_us=QUARTER_US,
    compliance_mv=150_000,
    dead_man_ms=2_000,
    accuracy_ppm=100_000,
    mismatch_ppm=10_000,
    numeric_impedance=False,
    electrode_flag_from_ua=15_000,
    readback=False,
    patient_stop=False,
    relay=False,
    supply_min_mv=None,
    supply_max_mv=None,
    reprobe=True,
    echo=False,
    max_gap_us=MAX_POINT_US,
    mute_us=PULSE_MUTE_US,
    probe_pulses=2,
)
"""P24's IFU 1.1 and the maker's C library; accuracy and mismatch, which neither tells, are engineering defaults."""


def identity_of(device: DeviceId, version: Version) -> messages.Identity:
    """Tell who the device is; it counts no boots. Raises DeviceError for another protocol."""
    protocol = version.protocol[0]
    if protocol != PROTOCOL_MAJOR:
        text = f"it speaks version {protocol} of the protocol, this driver version {PROTOCOL_MAJOR}"
        raise DeviceError("DEV.PROTOCOL", text)
    return messages.Identity(
        model=MODEL,
        serial=device.id,
        firmware=".".join(map(str, version.firmware)),
        protocol=protocol,
        emulator=device.id.startswith(EMULATOR),
        boot=0,
    )


def status_of(state: DeviceState, faults: int = 0) -> messages.Status:
    """Tell how the device is: it has no clock, no counters, no button, and knows no permit."""
    return messages.Status(
        boot=0, uptime_ms=0, frames=0, state=state, faults=faults, button=False, presses=0, supply_mv=0, permit=0,
        grant=0,
    )  # fmt: skip


def state_of(level: Level) -> DeviceState:
    """Tell what a level means: with one initialised the high voltage is on."""
    known = {Level.NOTHING: DeviceState.STOPPED, Level.MID_RUNNING: DeviceState.RUNNING}
    return known.get(level, DeviceState.ARMED)


def faults_of(data: CurrentData) -> int:
    """Give the faults of all channels as one number, four bits each, channel 1 lowest."""
    return sum(fault << 4 * index for index, fault in enumerate(data.faults))


def sample_of(data: CurrentData, channel: int, clipped: int) -> Sample:
    """Tell what one channel does: of the skin a P24 only says what is wrong, and of the current nothing."""
    fault = data.faults[channel - 1]
    return Sample(
        channel=channel,
        ua=0,
        width_us=0,
        gap_us=0,
        period_us=0,
        measured_ua=0,
        ohm=NO_CURRENT_OHM,
        pulses=0,
        charge_nc=0,
        clipped=clipped,
        fresh=bool(data.active >> channel - 1 & 1) or fault is not Fault.NOTHING,
        open=fault is Fault.ELECTRODE,
        short=False,
        clip=fault is Fault.LOW_CURRENT,
    )


def rounded(picture: Picture) -> Picture:
    """Round a picture to the steps of a P24: current and width down, gap and period up. Raises NotRepresentable."""
    trains = []
    for train in quantised(picture, CAPABILITIES).trains:
        gap_us = max(train.gap_us, POINT_MIN_US) if train.gap_us else 0
        unit_us = unit_of(train.period_us)
        trains.append(train._replace(gap_us=gap_us, period_us=ceil_div(train.period_us, unit_us) * unit_us))
    share_ppm = sum(ceil_div((2 * t.width_us + t.gap_us + PULSE_MUTE_US) * PPM, t.period_us) for t in trains)
    if share_ppm >= PPM:
        raise NotRepresentable(0, "share of the time that pulses take in ppm", share_ppm, 0, PPM - 1)
    return Picture(tuple(trains))


def unit_of(period_us: int) -> int:
    """Give the unit that a period is counted in: whichever gives the nearer period above it."""
    halves = period_us > QUARTERS_TO_US or period_us % HALF_US == 0
    return HALF_US if halves else QUARTER_US


def update_of(picture: Picture) -> MidUpdate:
    """Write a rounded picture as an update, without a ramp: the core judges each step of it."""
    return MidUpdate(
        tuple(Pattern(t.channel, t.period_us, unit_of(t.period_us), 0, points_of(t)) for t in picture.trains)
    )


def points_of(train: Train) -> tuple[Point, ...]:
    """Give the pulse of a train: one phase, the gap if there is one, the same phase the other way round."""
    gap = (Point(train.gap_us, 0),) if train.gap_us else ()
    return Point(train.width_us, train.ua), *gap, Point(train.width_us, -train.ua)


def at_phase_end(pulsed: Pulsed, width_us: int) -> int:
    """Give the last sample that surely lies in the first phase. Raises ValueError.

    The document does not say whether the first sample is taken at the beginning or after one interval.
    """
    if not pulsed.every_us:
        raise ValueError("its samples have no interval")
    index = (width_us - 1) // pulsed.every_us - 1
    if not 0 <= index < SAMPLES:
        raise ValueError(f"samples every {pulsed.every_us} us show no end of a phase of {width_us} us")
    return pulsed.samples[index]
