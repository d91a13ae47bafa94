"""One real station: files for its records, the native driver on a pty, an emulated stimulator on a body behind that.

All of it runs on the test's own loop. Its times are patient, so that a slow machine looks like nothing worse, and the
device's dead man is slow: where current ends at once, it was told to.
"""

# ruff: noqa: ARG002 - it hears everything, and keeps what the tests look at

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing, suppress
from dataclasses import fields, replace
from pathlib import Path

from controller import clock
from controller.devices.base import OnEvent, Stimulator
from controller.devices.native import open_native
from controller.host import HOST, Host
from controller.journal import Journal
from controller.policy import Policy
from controller.recorder import Recorder
from controller.records import Records
from controller.settings import SHIPPED_POLICY
from controller.station import Actor, Port
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.papers import Papers
from controller.voice import Voice
from hil.bench import Bench
from hil.body import Skin
from hil.clock import boottime_us
from hil.devices.device import Build
from hil.devices.native import native
from hil.devices.native_words import Identity, State
from hil.emulate import Emulator
from hil.scope import Trace
from hil.wire import Pty
from safety.admit import admit
from safety.attestation import ITEMS
from safety.effects import Answer, Event
from safety.limits import Limits, Modality, Sensation
from safety.messages import (
    ArmSession,
    Asked,
    Attest,
    Check,
    Claim,
    Command,
    Config,
    DeviceUp,
    Expect,
    Heard,
    Now,
    Prepare,
    Start,
    Wish,
)
from safety.montage import Montage, Region, Side
from safety.prescription import Calibration, Plan, Prescription, Programme
from safety.state import Phase, Station
from safety.times import Times
from tests.controller.peer import read_frame, until

DEAD_MAN_MS = 15_000
TIMES = Times(
    keep_alive_ms=100, ack_ms=100, grant_ms=5_000, silence_hold_ms=8_000, silence_pause_ms=10_000,
    silence_stop_ms=20_000, dead_man_ms=DEAD_MAN_MS, claim_ms=60_000, hold_early_ms=2 * DEAD_MAN_MS,
)  # fmt: skip
PATIENT = {
    "tick_hold_ms": 5_000, "tick_pause_ms": 8_000, "tick_stop_ms": 10_000, "silence_hold_ms": 8_000,
    "silence_pause_ms": 10_000, "silence_stop_ms": 20_000, "claim_ms": 60_000,
}  # fmt: skip
CONTINUOUS = Programme(
    modality=Modality.TENS, ramp_up_ms=1_000, on_ms=58_000, ramp_down_ms=1_000, off_ms=0, therapy_ms=60_000
)
WELL_ANSWERED = tuple((item.id, "no") for item in ITEMS)
"""What somebody answers for a patient in whom nothing forbids anything."""
THERAPY_UA = 2_000
"""A test pulse is at most this."""


def config(device: str = "dev1") -> Config:
    """The shipped policy, but for its patience."""
    policy = Policy.read(SHIPPED_POLICY)

    def eased(limits: Limits) -> Limits:
        assert PATIENT.keys() <= {field.name for field in fields(limits)}
        return replace(limits, **PATIENT)

    limits = {modality: eased(each) for modality, each in policy.limits.items()}
    models = ("native-bench",)
    return Config(
        device=device,
        policy=policy.digest,
        limits=limits,
        general=eased(policy.general),
        times=TIMES,
        models=models,
        emulator=True,
    )


def therapy(programme: Programme = CONTINUOUS, **changes: object) -> Prescription:
    """20 mA, 300 us, 40 Hz on 25 cm2, for a patient who was calibrated an hour ago."""
    now_ms = clock.now().wall_ms
    felt = Calibration(
        at_wall_ms=now_ms - 3_600_000,
        pair="a",
        area_mm2=2_500,
        width_us=300,
        sensory_ua=8_000,
        motor_ua=15_000,
        maximal_ua=60_000,
    )
    plan = Plan(
        channel=1, site="left-thigh", pair="a", ua=20_000, max_ua=30_000, width_us=300, gap_us=100, period_us=25_000,
        area_mm2=2_500, calibration=felt, montage=Montage(Region.THIGH, Side.LEFT, Region.THIGH, Side.LEFT, 80),
    )  # fmt: skip
    usual = {
        "id": "rx-1", "version": 1, "patient": "p-1", "sensation": Sensation.S0, "channels": (plan,),
        "programme": programme, "limits": (), "valid_until_wall_ms": now_ms + 86_400_000, "digest": "d1",
    }  # fmt: skip
    return Prescription(**(usual | changes))  # type: ignore[arg-type]


class Ward:
    """The station, the bench behind its line, and everything that it said; `voice` says it on, where there is one."""

    def __init__(
        self, folder: Path, *, dead_man_ms: int = DEAD_MAN_MS, build: Build | None = None, channels: int = 2
    ) -> None:
        self.folder = folder
        build = build or native(Identity(dead_man_ms=dead_man_ms))
        self.bench = Bench(build, [Skin()] * channels, boottime_us())
        self.emulator = Emulator(self.bench, Pty(folder / "line"))
        self.said: list[Answer | Event] = []
        self.states: list[Station] = []
        self.capable: list[DeviceUp] = []
        self.words: list[Heard] = []
        self.voice: Voice | None = None
        self.opened = 0
        self.actor: Actor
        self.journal: Journal
        self.ledger: Ledger
        self._ids = itertools.count(1)
        self._boots = itertools.count(1)
        self._running: asyncio.Task[None]

    # The station's life

    async def open(self) -> None:
        """Plug the stimulator in, and start the station."""
        self.emulator.start()
        await self.turn_on()
        await self.reaches(Phase.IDLE)

    async def turn_on(self) -> None:
        """Start the station on what its files remember."""
        self.journal = Journal.open(self.folder / "journal.db", "ward3", "p1", clock.now(), self.failing)
        self.ledger = Ledger(self.folder / "ledger.db", admit, may_create=self.journal.is_new)
        self.records = Records(Clinic(self.folder / "ledger.db"), Papers(self.folder / "ledger.db"), self.ledger)
        recorder = Recorder(self.folder / "tapes", self.failing)
        self.boot_id = f"b-{next(self._boots)}"
        self.actor = Actor(
            self.config(), self.boot_id, Port(str(self.folder / "line"), self.open_driver), self.journal, self.ledger,
            self.records, recorder, self, clock.now,
        )  # fmt: skip
        await self.actor.boot()
        self._running = asyncio.create_task(self.actor.run())

    def config(self) -> Config:
        """What does not change for this station."""
        return config()

    async def turn_off(self) -> None:
        """End the station as the service does."""
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        await self.actor.close()
        await self.journal.close()

    async def close(self) -> None:
        """Take everything down."""
        await self.turn_off()
        self.emulator.stop()

    def failing(self, error: Exception) -> None:
        """Hear of an error of the records."""
        raise error

    async def open_driver(self, port: str, times: Times, on_event: OnEvent, host: Host = HOST) -> Stimulator:
        """Open the driver, and count."""
        self.opened += 1
        return await open_native(port, times, on_event, host)

    # What it says

    def answer(self, device: str, answer: Answer, now: Now) -> None:
        """Hear an answer."""
        self.said.append(answer)
        if self.voice:
            self.voice.answer(device, answer, now)

    def event(self, device: str, event: Event, now: Now) -> None:
        """Hear an event."""
        self.said.append(event)
        if self.voice:
            self.voice.event(device, event, now)

    def state(self, station: Station, now: Now) -> None:
        """Hear how the station is."""
        self.states.append(station)
        if self.voice:
            self.voice.state(station, now)

    def device(self, device: str, up: DeviceUp, now: Now) -> None:
        """Hear what the device can do."""
        self.capable.append(up)

    def readback(self, station: Station, heard: Heard, now: Now) -> None:
        """Hear what flows."""
        self.words.append(heard)

    def events(self, *kinds: str) -> list[Event]:
        """The events of these kinds so far."""
        return [said for said in self.said if isinstance(said, Event) and said.kind in kinds]

    def answers(self, command_id: str) -> list[Answer]:
        """The answers to a command so far."""
        return [said for said in self.said if isinstance(said, Answer) and said.command.id == command_id]

    # What is asked of it

    def command(self, wish: Wish) -> Command:
        """A fresh command of somebody who sees the present state."""
        now, station = clock.now(), self.actor.station
        seen = Expect(
            boot_id=self.boot_id, session_id=station.session.id if station.session else "",
            state_version=station.tally.version,
        )  # fmt: skip
        return Command(
            id=f"c-{next(self._ids)}", principal="dr", role="physio", issued_wall_ms=now.wall_ms,
            expires_wall_ms=now.wall_ms + 60_000, retained=False, expect=seen, wish=wish,
        )  # fmt: skip

    def begin(self, wish: Wish) -> str:
        """Ask, and give the id under which the answers come."""
        command = self.command(wish)
        self.actor.post(Asked(command))
        return command.id

    async def final(self, command_id: str) -> Answer:
        """Wait for a command's last answer."""
        await until(
            lambda: any(answer.status not in {"accepted", "in_progress"} for answer in self.answers(command_id))
        )
        return self.answers(command_id)[-1]

    async def ask(self, wish: Wish) -> Answer:
        """Ask for something, and wait until it is answered for good."""
        return await self.final(self.begin(wish))

    async def must(self, *wishes: Wish) -> None:
        """Ask for things that have to be granted."""
        for wish in wishes:
            answer = await self.ask(wish)
            assert (answer.status, answer.code) == ("succeeded", "OK"), answer

    async def reaches(self, *phases: Phase) -> None:
        """Wait for a phase."""
        await until(lambda: self.actor.station.phase in phases)

    async def prepared(self, rx: Prescription | None = None) -> None:
        """Claim, prepare, vouch for the patient, try the patient's stop, and check."""
        await self.vouched(rx)
        await self.must(Check(()))

    async def vouched(self, rx: Prescription | None = None) -> None:
        """Claim, prepare, vouch for the patient, and let the patient press the device's stop and let it go."""
        rx = rx or therapy()
        await self.must(Claim(), Prepare(rx, rx.ref, rx.patient), Attest(WELL_ANSWERED))
        self.bench.device.model.press(boottime_us())
        self.bench.device.model.release()
        await until(lambda: (session := self.actor.station.session) is not None and session.papers.stop_tried)

    async def running(self, rx: Prescription | None = None) -> None:
        """Bring it to where the scope sees current."""
        await self.prepared(rx)
        await self.must(ArmSession(), Start())
        await until(self.pulses)

    # What flows

    def pulses(self, since_us: int = 0) -> list[Trace]:
        """The pulses of therapy that reached the body."""
        self.emulator.touch()
        return [trace for trace in self.bench.scope.pulses(1, since_us) if trace.first_ua > THERAPY_UA]

    def types(self) -> list[int]:
        """The types of all frames that reached the device."""
        data = b"".join(chunk for _, direction, chunk in self.bench.tape.since(0) if direction == "to_device")
        frames = (read_frame(chunk) for chunk in data.split(b"\0") if chunk)
        return [frame[0] for frame in frames if frame is not None]

    async def is_off(self) -> None:
        """The device has stopped, and from then on nothing flows, for as long as we look."""
        await until(lambda: self.bench.device.model.state in {State.STOPPED, State.CUT})
        since_us = boottime_us()
        await asyncio.sleep(1)
        assert self.pulses(since_us) == []

    # What is on disk

    def kinds(self) -> list[tuple[str, str]]:
        """Kind and body of the journal's durable entries."""
        with closing(sqlite3.connect(self.folder / "journal.db")) as reader:
            return list(reader.execute("SELECT kind, body FROM journal WHERE seq > 1 ORDER BY seq"))

    def charged(self) -> list[tuple[str, int, int | None, str | None]]:
        """Session, reserved and charged nC, and the evidence, row by row of the ledger."""
        query = "SELECT session, reserved_nc, charged_nc, evidence FROM reservations ORDER BY opened_wall_ms"
        with closing(sqlite3.connect(self.folder / "ledger.db")) as reader:
            return list(reader.execute(query))
