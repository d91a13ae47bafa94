"""The sessions that are recorded for the verdict diff: the real shell, an emulated stimulator, and what people do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from hil.clock import boottime_us
from safety.limits import Modality
from safety.messages import Adjust, ArmSession, ClearLatch, Pause, Resume, Start, Stop
from safety.prescription import Prescription, Programme
from safety.state import Phase
from tests.controller.peer import until
from tests.controller.ward import Ward, therapy
from tests.proof.verdicts import Session, kept

SHORT = Programme(modality=Modality.TENS, ramp_up_ms=1_000, on_ms=3_000, ramp_down_ms=1_000, off_ms=0, therapy_ms=5_000)
LONG = replace(SHORT, on_ms=18_000, therapy_ms=20_000)


async def plateau(ward: Ward, programme: Programme) -> Prescription:
    """Bring a session to where its full current flows."""
    rx = therapy(programme)
    await ward.running(rx)
    await until(lambda: any(trace.first_ua > 19_000 for trace in ward.pulses()))
    return rx


async def clean(ward: Ward) -> None:
    """From the claim to the end, and nothing happens."""
    await plateau(ward, SHORT)
    await ward.reaches(Phase.IDLE)


async def electrode_off(ward: Ward) -> None:
    """An electrode comes off on the plateau; its latch is cleared afterwards."""
    await plateau(ward, LONG)
    token = ward.bench.faults.inject("snap_off", channel=1)
    await ward.reaches(Phase.IDLE)
    ward.bench.faults.clear(token)
    for latch in ward.actor.station.latches:
        await ward.ask(ClearLatch(latch.id, "pressed on again"))


async def by_hand(ward: Ward) -> None:
    """Raised, raised too much, lowered, paused, resumed; then the patient presses the button."""
    await plateau(ward, LONG)
    await until(lambda: ward.actor.station.session is None or ward.actor.station.session.channels[0].plateau_ms > 0)
    for wish in (Adjust(1, 1_000), Adjust(1, 9_000), Adjust(1, 100_000), Adjust(1, -5_000), Start(), Pause(), Resume()):
        await ward.ask(wish)
        await until(lambda: ward.actor.station.stopping is None)
    await until(lambda: ward.actor.station.beat.picture.trains)
    ward.bench.device.model.press(boottime_us())
    ward.emulator.touch()
    await ward.reaches(Phase.IDLE)
    ward.bench.device.model.release()


async def given_up(ward: Ward) -> None:
    """Armed and then stopped, with steps in the wrong order on the way."""
    await ward.prepared(therapy(LONG))
    for wish in (Start(), Resume(), Adjust(1, 1_000), ArmSession(), ArmSession(), Pause()):
        await ward.ask(wish)
    ward.emulator.touch()
    await until(lambda: ward.actor.station.stopping is None)
    ward.begin(Stop())
    await ward.reaches(Phase.IDLE)


SESSIONS: dict[str, Callable[[Ward], Awaitable[None]]] = {
    "clean": clean, "electrode-off": electrode_off, "by-hand": by_hand, "given-up": given_up,
}  # fmt: skip


async def record(folder: Path) -> dict[str, Session]:
    """Play every session, and read the tape of each."""
    found = {}
    for name, give in SESSIONS.items():
        (folder / name).mkdir()
        ward = Ward(folder / name)
        await ward.open()
        await give(ward)
        await ward.close()
        (tape,) = (folder / name / "tapes").glob("*.ndjson")
        found[name] = kept(tape)
    return found
