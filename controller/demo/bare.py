"""The counter-example: the same driver and programme on a plain timer, and nobody who judges what the device says.

This is what is left of a stimulator service without its interlock: where a device has stopped by itself, it is armed
and driven again, as a script does that wants its session to go on. It exists to be measured, never to be used.
"""

import asyncio
from contextlib import suppress
from itertools import count

from controller import clock
from controller.devices.base import DeviceError
from controller.programme import height_ppm
from safety.effects import Arm, Drive, Envelope, Grant
from safety.messages import DeviceState, Event, Heard
from safety.prescription import PPM, Plan, Programme, worst_dose
from safety.waveform import Picture

from .kinds import Kind

PERMIT = 1
SPARE_MS = 60_000


class Restart:
    """Hears nothing of a device but that it has stopped; a word from before it was driven counts for nothing."""

    def __init__(self) -> None:
        self.is_due, self.is_driven = True, False

    def hear(self, event: Event) -> None:
        """Take note of a device that says it has stopped."""
        if isinstance(event, Heard) and event.status.state is DeviceState.STOPPED and self.is_driven:
            self.is_due = True

    def armed(self) -> None:
        """Take note that it was armed, once more."""
        self.is_due = self.is_driven = False

    def driven(self) -> None:
        """Take note that a picture was sent."""
        self.is_driven = True


async def play(kind: Kind, port: str, plan: Plan, programme: Programme) -> None:
    """Play one channel's programme once, whatever happens. Raises LinkError, DeviceError."""
    restart = Restart()
    driver = await kind.open(port, kind.times, restart.hear)
    try:
        step_ua = (await driver.connect()).caps.step_ua
        seqs = count(1)
        most_nc = worst_dose(plan, programme, plan.ua, programme.therapy_ms).nc
        envelope = Envelope(plan.channel, plan.ua, plan.width_us, plan.period_us, most_nc)
        begun_ms = clock.now().mono_ms
        while (played_ms := clock.now().mono_ms - begun_ms) < programme.therapy_ms:
            grant = Grant(PERMIT, next(seqs), begun_ms + played_ms + kind.times.grant_ms)
            train = plan.train(plan.ua * height_ppm(programme, plan, played_ms) // PPM)
            wanted = Picture((train,) if train.ua >= step_ua else ())
            # A frame that is still unanswered makes the driver refuse the next: this beat is then left out.
            with suppress(DeviceError):
                if restart.is_due:
                    driver.send(Arm(grant, (envelope,), programme.therapy_ms + SPARE_MS))
                    restart.armed()
                else:
                    driver.send(Drive(grant, driver.quantise(wanted)))
                    restart.driven()
            await asyncio.sleep(kind.times.tick_ms / 1000)
    finally:
        await driver.close()
