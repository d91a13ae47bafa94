"""The counter-example: the same driver and programme on a plain timer, and nobody who looks at what the device says.

This is what is left of a stimulator service without its interlock. It exists to be measured, never to be used.
"""

import asyncio
from contextlib import suppress
from itertools import count

from controller import clock
from controller.devices.base import DeviceError
from controller.devices.native import open_native
from controller.programme import height_ppm
from safety.effects import Arm, Drive, Envelope, Grant
from safety.messages import Event
from safety.prescription import PPM, Plan, Programme, worst_dose
from safety.times import NATIVE
from safety.waveform import Picture

TICK_S = NATIVE.tick_ms / 1000
PERMIT = 1
SPARE_MS = 60_000


def unheard(_event: Event) -> None:
    """Ignore what the device says."""


async def play(port: str, plan: Plan, programme: Programme) -> None:
    """Play one channel's programme once, whatever happens. Raises LinkError, DeviceError."""
    driver = await open_native(port, NATIVE, unheard)
    try:
        await driver.connect()
        seqs = count(1)
        most_nc = worst_dose(plan, programme, plan.ua, programme.therapy_ms).nc
        envelope = Envelope(plan.channel, plan.ua, plan.width_us, plan.period_us, most_nc)
        begun_ms = clock.now().mono_ms
        driver.send(Arm(grant(next(seqs), begun_ms), (envelope,), programme.therapy_ms + SPARE_MS))
        while (played_ms := clock.now().mono_ms - begun_ms) < programme.therapy_ms:
            wanted = Picture((plan.train(plan.ua * height_ppm(programme, plan, played_ms) // PPM),))
            # A frame that is still unanswered makes the driver refuse the next: this beat is then left out.
            with suppress(DeviceError):
                driver.send(Drive(grant(next(seqs), begun_ms + played_ms), driver.quantise(wanted)))
            await asyncio.sleep(TICK_S)
    finally:
        await driver.close()


def grant(seq: int, now_ms: int) -> Grant:
    """Permit oneself whatever comes next: nobody else is asked."""
    return Grant(PERMIT, seq, now_ms + NATIVE.grant_ms)
