"""What a RehaStim2 is, and what it says, in the words of the safety core.

It tells nothing about itself but the version of its protocol. What stands here is its maker's description; where that
is silent, the figure is the worse one and says so.
"""

from safety.impedance import NO_CURRENT_OHM
from safety.messages import Capabilities, DeviceState, Identity, Sample, Status
from safety.waveform import Picture

from .sciencemode2_frames import CHANNELS, Fault

VERSION = 1
MODEL = "rehastim2"
UNKNOWN = "unknown"

MAX_UA, STEP_UA = 130_000, 1_000
MIN_WIDTH_US, MAX_WIDTH_US = 20, 500
GAP_US = 100
"""Between the phases; the device makes it, and knows no other."""
MIN_PERIOD_US, MAX_PERIOD_US, PERIOD_STEP_US = 8_000, 1_025_000, 500
"""The shortest is the firmware's, the longest the document's."""
MUTE_US = 1_400
"""With it the shortest pulse has its slot of 1.5 ms, and eight of the longest have the 20 ms of the technical data."""
DEAD_MAN_MS = 1_200

COMPLIANCE_MV = 0
"""Not told. No rule can use it, for the skin's resistance is not told either."""
ACCURACY_PPM = 200_000
"""Not told. 20 % is what IEC 60601-2-10 201.12.1.102 allows (from memory), and what is charged on top."""
MISMATCH_PPM = 10_000
"""Charge by which the two phases of a pulse may differ: not told (engineering default)."""

FAULT_BIT = 1
"""The stimulation module has failed (status.faults)."""

CAPABILITIES = Capabilities(
    channels=CHANNELS,
    max_ua=MAX_UA,
    step_ua=STEP_UA,
    min_width_us=MIN_WIDTH_US,
    max_width_us=MAX_WIDTH_US,
    width_step_us=1,
    min_period_us=MIN_PERIOD_US,
    max_period_us=MAX_PERIOD_US,
    period_step_us=PERIOD_STEP_US,
    compliance_mv=COMPLIANCE_MV,
    dead_man_ms=DEAD_MAN_MS,
    accuracy_ppm=ACCURACY_PPM,
    mismatch_ppm=MISMATCH_PPM,
    numeric_impedance=False,
    electrode_flag_from_ua=0,
    readback=False,
    patient_stop=False,
    relay=False,
    supply_min_mv=None,
    supply_max_mv=None,
    echo=False,
    min_gap_us=GAP_US,
    max_gap_us=GAP_US,
    mute_us=MUTE_US,
    one_period=True,
    probe_pulses=0,
)
"""The electrode is tried before each pulse, whatever its current. Of the emergency switch only a press is told."""


def identity_of(boot: int, *, emulator: bool) -> Identity:
    """Tell who the device is, as far as that can be known (ADR 0013)."""
    return Identity(model=MODEL, serial=UNKNOWN, firmware=UNKNOWN, protocol=VERSION, emulator=emulator, boot=boot)


def status_of(boot: int, state: DeviceState, fault: Fault | None) -> Status:
    """Tell how the device is; it has no clock, no counter, no supply and no grant to tell of."""
    faults = FAULT_BIT if fault is Fault.MODULE else 0
    return Status(boot, 0, 0, state, faults, button=False, presses=0, supply_mv=0, permit=0, grant=0)


def opened(picture: Picture) -> tuple[Sample, ...]:
    """Tell that an electrode of this picture is open; it does not say which, so each of them may be."""
    return tuple(
        Sample(
            channel=train.channel,
            ua=0,
            width_us=0,
            gap_us=0,
            period_us=0,
            measured_ua=0,
            ohm=NO_CURRENT_OHM,
            pulses=0,
            charge_nc=0,
            clipped=0,
            fresh=True,
            open=True,
            short=False,
            clip=False,
        )
        for train in picture.trains
    )
