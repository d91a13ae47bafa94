"""`demo --once`: three sessions side by side, and what they show."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import NamedTuple

from controller import clock
from controller.prescriptions import instantiate
from controller.store.dose import Ledger
from safety.admit import admit
from safety.prescription import Prescription

from . import bare
from .bedside import Bedside
from .kinds import Kind
from .processes import Family
from .recording import Recording
from .show import Show
from .site import Bed, Site, opened
from .verdict import Accident, End, Session, Trial
from .witness import Witness

INTO_PLATEAU_MS, OFF_MS = 412, 1_000
"""How far into the second plateau the electrode comes off, between two pulses, and how long it stays off."""
BOOKED_S = 10.0
"""How long the ledger's entry may take on a slow machine (engineering default)."""
LOOK_S = 0.1

Give = Callable[[], Coroutine[None, None, End]]
"""Gives a session, and tells how it ended."""


class Lane(NamedTuple):
    """One of the sessions: its name on the screen, its kind of stimulator and which, its prescription."""

    name: str
    kind: Kind
    bed: Bed
    rx: Prescription


async def trial(family: Family, folder: Path, show: Show, kind: Kind) -> Trial:
    """Set everything up and play all sessions. Raises ChildError, SessionError, and what the parts of it raise."""
    now_ms = clock.now().wall_ms
    first, second = (instantiate(name, f"p-{secrets.token_hex(4)}", now_ms) for name in kind.patients)
    show.say(f"starting a broker, three emulated stimulators ({kind.name}) and the service")
    served, others, people = ("stim-1", "stim-2"), ("stim-3",), ("physio-1", "physio-2")
    site = await opened(family, folder, kind, served, others, people, (first, second))
    show.say("everything runs; three sessions begin, the last one without the interlock")
    lanes = (
        Lane("clean session", kind, site.beds["stim-1"], first),
        Lane("with the interlock", kind, site.beds["stim-2"], second),
        Lane("without it", kind, site.beds["stim-3"], second),
    )
    return await family.while_alive(played(site, lanes, show))


async def played(site: Site, lanes: tuple[Lane, Lane, Lane], show: Show) -> Trial:
    """Play the sessions at the same time, and read afterwards what the ledger has of the clean one."""
    first, second, third = lanes
    async with (
        show.following((lane.name, lane.kind, lane.bed.control, lane.rx) for lane in lanes),
        asyncio.TaskGroup() as group,
    ):
        clean = group.create_task(undisturbed(first, partial(treated, site, "physio-1", first, show)))
        guarded = group.create_task(disturbed(second, partial(treated, site, "physio-2", second, show), show))
        unguarded = group.create_task(disturbed(third, partial(untreated, third), show))
    booked_pc = await booked(site.ledger, first.rx.patient)
    return Trial(clean.result(), *guarded.result(), *unguarded.result(), booked_pc)


async def treated(site: Site, principal: str, lane: Lane, show: Show) -> End:
    """Give a session through the service."""

    def say(words: str) -> None:
        show.say(f"{lane.name}: {words}")

    async with site.client(principal) as client:
        bedside = Bedside(client, lane.bed.device, say, lane.bed.tries_stop, measures_skin=lane.kind.measures_skin)
        return await bedside.treat(lane.rx)


async def untreated(lane: Lane) -> End:
    """Give a session without the service."""
    await bare.play(lane.kind, str(lane.bed.port), lane.rx.channels[0], lane.rx.programme)
    return End("completed", "", "")


async def undisturbed(lane: Lane, give: Give) -> Session:
    """Let a session be given, and read what it gave."""
    end = await give()
    async with await Witness.open(lane.bed.control) as witness:
        return Session(await recorded(witness, lane), end)


async def disturbed(lane: Lane, give: Give, show: Show) -> tuple[Session, Accident]:
    """Let a session be given while its electrode comes off and is pressed on; watch until its time would be over."""
    async with await Witness.open(lane.bed.control) as witness:
        async with asyncio.TaskGroup() as group:
            end = group.create_task(give())
            accident = await mishap(witness, lane, end, show)
            await until(witness, accident.on_us)
            show.say(f"{lane.name}: the electrode is pressed on again")
        programme = lane.rx.programme
        left_ms = programme.therapy_ms - programme.cycle_ms - programme.ramp_up_ms - INTO_PLATEAU_MS
        await until(witness, accident.off_us + left_ms * 1000)
        return Session(await recorded(witness, lane), end.result()), accident


async def mishap(witness: Witness, lane: Lane, given: asyncio.Task[End], show: Show) -> Accident:
    """Let the electrode come off in the second plateau, and wait for that; at once where no current ever flowed."""
    plan, programme = lane.rx.channels[0], lane.rx.programme
    start_us = None
    while start_us is None and not given.done():
        await asyncio.sleep(LOOK_S)
        start_us = (await recorded(witness, lane)).start_us
    into_us = (programme.cycle_ms + programme.ramp_up_ms + INTO_PLATEAU_MS) * 1000
    at_us = await witness.now_us() if start_us is None else start_us + into_us
    accident = await witness.snap_off(plan.channel, at_us, OFF_MS)
    await until(witness, accident.off_us)
    show.say(f"{lane.name}: an electrode comes off")
    return accident


async def until(witness: Witness, at_us: int) -> None:
    """Wait for a moment of the boot clock."""
    await asyncio.sleep(max(at_us - await witness.now_us(), 0) / 1_000_000)


async def recorded(witness: Witness, lane: Lane) -> Recording:
    """Read what was commanded and what came out so far."""
    return await witness.recording(lane.kind.reads(), lane.rx.channels[0], lane.rx.programme)


async def booked(path: Path, patient: str) -> int | None:
    """Read what the ledger has charged a patient's only session, in pC; None where it stays open."""
    ledger = Ledger(path, admit, may_create=False)
    try:
        async with asyncio.timeout(BOOKED_S):
            while True:
                history = await ledger.history(patient, clock.now().wall_ms)
                charged = [record.charged.nc for record in history.records if record.charged is not None]
                if charged:
                    return sum(charged) * 1000
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return None
