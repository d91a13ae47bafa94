"""What a native device says, in the words of the safety core."""

from safety import messages
from safety.messages import Capabilities, DeviceState, Sample
from safety.times import Times

from .base import DeviceError
from .native_frames import Block, Contact, Fitted, Identity, Status

PROTOCOL_MAJOR = 1

MISMATCH_PPM = 10_000
"""Charge by which the two phases of a pulse may differ, which IDENTITY does not tell (engineering default)."""

IMBALANCE_PPM = 1_000
"""The unit in which STATUS tells the imbalance of a pulse."""

SUPPLY_MIN_MV, SUPPLY_MAX_MV = 10_800, 13_200
"""12 V and 10 % either way, since IDENTITY does not tell the band (engineering default)."""


def identity_of(identity: Identity) -> messages.Identity:
    """Tell who the device is."""
    return messages.Identity(
        model=identity.model,
        serial=identity.serial,
        firmware=identity.firmware,
        protocol=identity.protocol_major,
        emulator=bool(identity.flags & Fitted.EMULATOR),
        boot=identity.boot,
    )


def capabilities_of(identity: Identity, times: Times) -> Capabilities:
    """Tell what the device can do. Raises DeviceError for another protocol, or figures that cannot be worked with."""
    if identity.protocol_major != PROTOCOL_MAJOR:
        text = f"it speaks version {identity.protocol_major} of the protocol, this driver version {PROTOCOL_MAJOR}"
        raise DeviceError("DEV.PROTOCOL", text)
    fit = {
        "channels": identity.channels > 0,
        "step_ua": 0 < identity.step_ua <= identity.max_ua,
        "width_step_us": identity.width_step_us > 0,
        "max_width_us": 0 < identity.min_width_us <= identity.max_width_us,
        "period_step_us": identity.period_step_us > 0,
        "max_period_us": 0 < identity.min_period_us <= identity.max_period_us,
        "dead_man_ms": 0 < identity.dead_man_ms <= times.dead_man_ms,
    }
    unfit = [name for name, holds in fit.items() if not holds]
    if unfit:
        raise DeviceError("DEV.UNFIT", f"its IDENTITY cannot be worked with: {', '.join(unfit)}")
    numeric, supply = identity.flags & Fitted.NUMERIC_IMPEDANCE, identity.flags & Fitted.SUPPLY
    return Capabilities(
        channels=identity.channels,
        max_ua=identity.max_ua,
        step_ua=identity.step_ua,
        min_width_us=identity.min_width_us,
        max_width_us=identity.max_width_us,
        width_step_us=identity.width_step_us,
        min_period_us=identity.min_period_us,
        max_period_us=identity.max_period_us,
        period_step_us=identity.period_step_us,
        compliance_mv=identity.compliance_mv,
        dead_man_ms=identity.dead_man_ms,
        accuracy_ppm=identity.accuracy_ppm,
        mismatch_ppm=MISMATCH_PPM,
        numeric_impedance=bool(numeric),
        electrode_flag_from_ua=0 if numeric else None,
        readback=bool(identity.flags & Fitted.READBACK),
        patient_stop=bool(identity.flags & Fitted.PATIENT_STOP),
        relay=bool(identity.flags & Fitted.RELAY),
        supply_min_mv=SUPPLY_MIN_MV if supply else None,
        supply_max_mv=SUPPLY_MAX_MV if supply else None,
        balance=bool(identity.flags & Fitted.BALANCE),
    )


def lists_channels(status: Status, caps: Capabilities) -> bool:
    """Tell whether a STATUS speaks of every channel of the device, in order."""
    return [block.channel for block in status.channels] == list(range(1, caps.channels + 1))


def status_of(status: Status) -> messages.Status:
    """Tell how the device is."""
    return messages.Status(
        boot=status.boot,
        uptime_ms=status.uptime_ms,
        frames=status.frames,
        state=DeviceState[status.state.name],
        faults=status.faults,
        button=bool(status.button & 1),
        presses=status.button >> 1,
        supply_mv=status.supply_mv,
        permit=status.permit,
        grant=status.grant,
    )


def sample_of(block: Block, *, balance: bool) -> Sample:
    """Tell what one channel does; `balance` tells that the device compares the phases of its pulses."""
    return Sample(
        channel=block.channel,
        ua=block.set_ua,
        width_us=block.set_width_us,
        gap_us=block.set_gap_us,
        period_us=block.set_period_us,
        measured_ua=block.measured_ua,
        ohm=block.ohm,
        pulses=block.pulses,
        charge_nc=block.charge_nc,
        clipped=block.clipped,
        fresh=bool(block.flags & Contact.FRESH),
        open=bool(block.flags & Contact.OPEN),
        short=bool(block.flags & Contact.SHORT),
        clip=bool(block.flags & Contact.CLIP),
        imbalance_ppm=block.imbalance * IMBALANCE_PPM if balance else None,
    )
