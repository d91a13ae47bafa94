"""M rules of the line: the device's word about itself, what cannot be read, and a stop that is not obeyed."""

from safety.messages import DeviceState, Flaw, Sample
from safety.rules.views import Noise, Word
from safety.verdict import Reason, Severity

PAUSE, STOP, LOCK = Severity.PAUSE, Severity.STOP, Severity.LOCK
STOP_AGAIN_MS = 100
CUT_MS = 250
ALARM_MS = 500
"""After a stop: when it is said again, when the output is cut, when somebody is called (M29, compiled)."""
STRAY_UA = 2_000
"""Test pulses are at most this; more than this without a grant is therapy that nobody permitted."""


def m04_stopped(word: Word) -> Reason | None:
    """A device that was armed says it is stopped: its dead man or its envelope has acted before us."""
    if word.after.state in (DeviceState.ARMED, DeviceState.RUNNING):
        return None
    return Reason("M04", STOP, "DEV.WATCHDOG", 0, word.after.faults, 0, "fault bits")


def m23_button(word: Word) -> Reason | None:
    """The patient's button is down, or was pressed since the last word."""
    if word.after.button or was_pressed(word):
        return Reason("M23", STOP, "SES.PATIENT_STOP")
    return None


def was_pressed(word: Word) -> bool:
    """Tell whether the device has counted a press since its last word; a device that restarted counts anew (M30)."""
    return word.after.boot == word.before.boot and word.after.presses != word.before.presses


def is_let_go(word: Word) -> bool:
    """Tell whether the patient's button is up, and was down at or since the last word."""
    return not word.after.button and (word.before.button or was_pressed(word))


def m27_still(word: Word) -> Reason | None:
    """A device that nothing was granted to is off."""
    if word.after.state not in (DeviceState.ARMED, DeviceState.RUNNING):
        return None
    return Reason("M27", LOCK, "DEV.READBACK_MISMATCH")


def m28(word: Word) -> Reason | None:
    """Supply voltage inside its band; far outside it the device cannot be trusted at all."""
    low, high, mv = word.caps.supply_min_mv, word.caps.supply_max_mv, word.after.supply_mv
    if low is None or high is None:
        return None
    if mv < low:
        return Reason("M28", STOP if mv * 10 < low * 9 else PAUSE, "DEV.SUPPLY", 0, mv, low, "mV")
    if mv > high:
        return Reason("M28", STOP if mv * 10 > high * 11 else PAUSE, "DEV.SUPPLY", 0, mv, high, "mV")
    return None


def m30(word: Word) -> Reason | None:
    """The device has not restarted: same boot number, uptime and frame counter do not run backwards."""
    before, after = word.before, word.after
    if after.boot == before.boot and after.uptime_ms >= before.uptime_ms and after.frames >= before.frames:
        return None
    return Reason("M30", STOP, "DEV.RESET", 0, after.uptime_ms, before.uptime_ms, "ms")


def m26(noise: Noise) -> Reason | None:
    """What the device sends can be read, and it does not refuse.

    Twice in a second pauses, three times or one unknown word stops.
    """
    count = len(noise.times)
    if noise.flaw is Flaw.UNKNOWN or (noise.flaw is Flaw.REFUSED and noise.energising):
        code = "DEV.PROTOCOL" if noise.flaw is Flaw.UNKNOWN else "DEV.NAK"
        return Reason("M26", STOP, code, 0, 1, 0, "words")
    if count >= 3:
        return Reason("M26", STOP, "DEV.PROTOCOL", 0, count, 2, "words")
    if count == 2:
        return Reason("M26", PAUSE, "DEV.PROTOCOL", 0, count, 1, "words")
    return None


def m29_stray(samples: tuple[Sample, ...]) -> Reason | None:
    """No pulse is given while nothing is granted: a stage that sticks gives them, whatever its firmware says."""
    for sample in samples:
        if sample.fresh and sample.measured_ua > STRAY_UA:
            return Reason("M29", LOCK, "DEV.STRAY_CURRENT", sample.channel, sample.measured_ua, STRAY_UA, "uA")
    return None


def m29(waited_ms: int) -> Reason | None:
    """A stop is confirmed by the device within 500 ms; after that somebody must look."""
    if waited_ms < ALARM_MS:
        return None
    return Reason("M29", LOCK, "DEV.STOP_UNCONFIRMED", 0, waited_ms, ALARM_MS, "ms")
