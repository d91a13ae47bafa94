"""What a P24 is asked, one acknowledgement after the other (ADR 0012), without I/O.

Each thing that the core asks is a script: a generator that gives a request, is given its acknowledgement, and returns
what is to be told. It knows neither line nor clock but the one that it is given, and waits for nothing else.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple

from safety import messages
from safety.effects import Envelope, Grant
from safety.impedance import NO_CURRENT_OHM
from safety.messages import DeviceState, Event, Flaw, Heard
from safety.units import ceil_div
from safety.waveform import OFF, Picture, Train

from . import sciencemode4_acks as acks
from . import sciencemode4_facts as facts
from . import sciencemode4_frames as wire
from .sciencemode4_acks import Fault, Level, Result
from .sciencemode4_frames import Measure

STOPS = (wire.LowStop, wire.MidStop)
TELLING = frozenset({Result.OK, Result.ELECTRODE, Result.PULSE_TIMEOUT, Result.PULSE_LOW_CURRENT})
"""Results of the current data that leave its word on the channels to be read."""
MOST_CLIPPED = 255
IDLE = frozenset({0})

Steps = Generator[wire.Request, acks.Ack, None]
Script = Generator[wire.Request, acks.Ack, Event]


class WrongError(Exception):
    """What ends a script: the device refused, contradicts itself, or was too late."""

    def __init__(self, flaw: Flaw, what: str) -> None:
        super().__init__(what)
        self.flaw = flaw


class Armed(NamedTuple):
    """What is held in the device's place: the permit, and its bounds for each channel."""

    permit: int
    envelopes: dict[int, Envelope]


class Desk:
    """What is believed of the device, by all that was written and answered, and the scripts."""

    def __init__(self, now_ms: Callable[[], int], tell: Callable[[Event], None]) -> None:
        self._now_ms = now_ms
        self._tell = tell
        self.low = self.mid = True
        """Whether the level may be initialised: a device that was not asked yet may have either."""
        self.disarm()

    def disarm(self) -> None:
        """Nothing may be driven any more."""
        self.armed: Armed | None = None
        self.masks = IDLE
        """The channels that may be on: the last picture that was acknowledged, and every one written since."""
        self._picture = OFF
        self._clipped_ms: dict[int, int] = {}

    def stops(self) -> tuple[wire.Request, ...]:
        """Give the stops of all that may be on."""
        return (wire.MidStop(), wire.LowStop()) if self.low else (wire.MidStop(),)

    # Scripts

    def confirming(self, stop: wire.Request) -> Script:
        """After a stop: what does the device say of its output."""
        accepted((yield stop), stop)
        return (yield from self.asking())

    def asking(self) -> Script:
        """How is the device."""
        return Heard(0, facts.status_of(self.heard_level((yield wire.GetStimStatus()))), ())

    def arming(self, grant: Grant, armed: Armed) -> Script:
        """Go to the mid level, from wherever the device is."""
        yield from self._looking()
        if self.low:
            yield from self._stopping(wire.LowStop())
        if self.mid:
            yield from self._stopping(wire.MidStop())
        yield from self._middle()
        self.disarm()
        self.armed = armed
        return Heard(grant.seq, facts.status_of(DeviceState.ARMED), ())

    def feeding(self, grant: Grant) -> Script:
        """Keep the picture going, and hear of its electrodes."""
        return self._heard(grant, (yield wire.GetCurrentData()))

    def driving(self, grant: Grant, picture: Picture) -> Script:
        """Hear of the electrodes, and if the device has not stopped anything by itself, put the picture in force.

        An update would set going again what was stopped, and hide why.
        """
        heard = self._heard(grant, (yield wire.GetCurrentData()))
        if heard.status.state is DeviceState.STOPPED or any(sample.open for sample in heard.samples):
            return heard
        update = facts.update_of(picture)
        mask = wire.mask_of(train.channel for train in picture.trains)
        self.masks |= {mask}
        accepted((yield update), update)
        self.masks, self._picture = frozenset({mask}), picture
        state = DeviceState.RUNNING if mask else DeviceState.ARMED
        return heard._replace(status=heard.status._replace(state=state))

    def probing(self, grant: Grant, train: Train) -> Script:
        """Give two test pulses at the low level, one measured for current, one for voltage; then all is as before."""
        yield from self._looking()
        was_mid = self.mid
        if was_mid:
            yield from self._stopping(wire.MidStop())
        pulse, found = wire.LowPulse(train.channel, facts.points_of(train)), []
        for measure in (Measure.CURRENT, Measure.VOLTAGE):
            self.low = True
            init = wire.LowInit(measure)
            accepted((yield init), init)
            pulsed = yield pulse
            is_open = pulsed.result is Result.ELECTRODE
            if not is_open:
                accepted(pulsed, pulse)
                found.append(sampled(pulsed, pulse.channel, measure, train.width_us))
            # Left in between as well: the document does not say that a level may be initialised twice.
            yield from self._stopping(wire.LowStop())
            if is_open:
                break
        if was_mid:
            yield from self._middle()
        return measured(grant, train, found)

    def _looking(self) -> Steps:
        """Begin what takes long with the device's word, which is told at once: the core counts how old it is (M04)."""
        self._tell(Heard(0, facts.status_of(self.heard_level((yield wire.GetStimStatus()))), ()))

    def _stopping(self, stop: wire.Request) -> Steps:
        accepted((yield stop), stop)
        if isinstance(stop, wire.LowStop):
            self.low = False
        else:
            self.mid = False

    def _middle(self) -> Steps:
        self.mid = True
        init = wire.MidInit(all_stop=True)
        accepted((yield init), init)

    # What the device says

    def heard_level(self, status: acks.Ack) -> DeviceState:
        """Take in which level is on. Raises WrongError."""
        accepted(status, wire.GetStimStatus())
        level = status.level if isinstance(status, acks.StimStatus) else Level.MID_RUNNING
        self.low, self.mid = level is Level.LOW, level in {Level.MID, Level.MID_RUNNING}
        return facts.state_of(level)

    def _heard(self, grant: Grant, data: acks.Ack) -> Heard:
        """Judge whether what the device says of its channels fits what was driven. Raises WrongError."""
        if not isinstance(data, acks.CurrentData) or data.result not in TELLING:
            raise WrongError(Flaw.REFUSED, f"GetCurrentData was refused: {data.result.name}")
        if data.result is not Result.OK and not any(data.faults):
            raise WrongError(Flaw.REFUSED, f"{data.result.name} on no channel")
        if Fault.PULSE_TIMEOUT in data.faults:
            channel = data.faults.index(Fault.PULSE_TIMEOUT) + 1
            raise WrongError(Flaw.REFUSED, f"channel {channel} does not reach its period")
        faulty = wire.mask_of(channel for channel, fault in enumerate(data.faults, 1) if fault)
        has_stopped = not data.active and 0 not in self.masks
        fits = any(not data.active & ~mask and not mask & ~data.active & ~faulty for mask in self.masks)
        if not fits and not has_stopped:
            driven = " or ".join(str(wire.channels_of(mask)) for mask in sorted(self.masks))
            raise WrongError(Flaw.UNKNOWN, f"channels {wire.channels_of(data.active)} are on, {driven} were driven")
        state = DeviceState.STOPPED if has_stopped else DeviceState.RUNNING if data.active else DeviceState.ARMED
        samples = [facts.sample_of(data, channel, clipped) for channel, clipped in self._clipped(data)]
        return Heard(grant.seq, facts.status_of(state, facts.faults_of(data)), tuple(samples))

    def _clipped(self, data: acks.CurrentData) -> list[tuple[int, int]]:
        """Count the pulses of each channel that have clipped on end: one word says it of one, two of those between."""
        now_ms, channels = self._now_ms(), range(1, wire.CHANNELS + 1)
        flagged = [channel for channel in channels if data.faults[channel - 1] is Fault.LOW_CURRENT]
        self._clipped_ms = {channel: self._clipped_ms.get(channel, now_ms) for channel in flagged}
        periods_us = {train.channel: train.period_us for train in self._picture.trains}
        clipped = dict.fromkeys(channels, 0)
        for channel, since_ms in self._clipped_ms.items():
            pulses = 1 + (now_ms - since_ms) * 1_000 // periods_us.get(channel, 1)
            clipped[channel] = min(pulses, MOST_CLIPPED)
        return list(clipped.items())


def accepted(ack: acks.Ack, frame: wire.Request) -> None:
    """Raise WrongError where the device refused; a level that is not on needs no stop."""
    if ack.result is Result.OK or (isinstance(frame, STOPS) and ack.result is Result.NOT_INITIALISED):
        return
    raise WrongError(Flaw.REFUSED, f"{type(frame).__name__} was refused: {ack.result.name}")


def sampled(pulsed: acks.Ack, channel: int, measure: Measure, width_us: int) -> int:
    """Give what a test pulse measured at the end of its first phase. Raises WrongError."""
    if not isinstance(pulsed, acks.Pulsed) or (pulsed.channel, pulsed.measured) != (channel, measure):
        raise WrongError(Flaw.UNKNOWN, f"{pulsed} is no measurement of {measure.name} on channel {channel}")
    try:
        return facts.at_phase_end(pulsed, width_us)
    except ValueError as error:
        raise WrongError(Flaw.UNKNOWN, str(error)) from error


def measured(grant: Grant, train: Train, found: list[int]) -> messages.Probed:
    """Tell the ohms of a test pulse, rounded up; where less than half of its current flowed, it is open (M07)."""
    if len(found) < len((Measure.CURRENT, Measure.VOLTAGE)) or found[0] * 2 * 10 < train.ua:
        return messages.Probed(grant.seq, train.channel, NO_CURRENT_OHM, open=True, short=False)
    centi_ma, centi_v = found
    return messages.Probed(grant.seq, train.channel, ceil_div(centi_v * 1_000, centi_ma), open=False, short=False)
