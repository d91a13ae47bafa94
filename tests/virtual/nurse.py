"""A house in memory with this controller in it, and somebody who asks it for things over its real contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from controller.client import must_expect
from controller.contract.envelope import utc_text
from controller.contract.topics import Topics
from controller.virtual import make
from hil import simtime
from hil.bench import Bench
from hil.body import Skin
from hil.devices.device import Asked
from hil.devices.kinds import KINDS
from hil.target import Person, Seat, Site
from hil.world import House, Published
from safety.attestation import ITEMS

T = TypeVar("T")
Said = dict[str, Any]

START_US = 50_000_000
WALL_US = 1_795_000_000_000_000
"""2026-11-18: any day after the program was written."""
CALM = {item.id: "no" for item in ITEMS}
TOPICS = Topics("ward3")
INTERIM = {"accepted", "in_progress"}
THERAPY_UA = 2_000
"""A test pulse is at most this."""


def prescribed(
    name: str = "rx-1",
    *,
    patient: str = "p-1",
    modality: str = "nmes",
    on_ms: int = 2_000,
    off_ms: int = 6_000,
    therapy_ms: int = 60_000,
    channels: int = 1,
    wall_us: int = WALL_US,
) -> str:
    """A prescription: 20 mA, 300 us, 40 Hz."""
    now = datetime.fromtimestamp(wall_us // 1_000_000, UTC)
    text = (
        f'id = "{name}"\nversion = 1\npatient = "{patient}"\nsensation = "S0"\n'
        f"valid_until = {(now + timedelta(days=7)).date()}\n"
        f'[programme]\nmodality = "{modality}"\nramp_up_ms = 1000\non_ms = {on_ms}\nramp_down_ms = 1000\n'
        f"off_ms = {off_ms}\ntherapy_ms = {therapy_ms}\n"
    )
    for n in range(1, channels + 1):
        side = "left" if n % 2 else "right"
        text += (
            f'[[channel]]\nchannel = {n}\nsite = "site-{n}"\npair = "pair-{n}"\nua = 20000\nmax_ua = 30000\n'
            "width_us = 300\ngap_us = 100\nperiod_us = 25000\narea_mm2 = 2500\n"
            f'[channel.montage]\nregion_a = "thigh"\nside_a = "{side}"\nregion_b = "thigh"\nside_b = "{side}"\n'
            "spacing_mm = 80\n"
            f"[channel.calibration]\nat = {(now - timedelta(hours=1)).isoformat().replace('+00:00', 'Z')}\n"
            "sensory_ua = 8000\nmotor_ua = 15000\nmaximal_ua = 60000\n"
        )
    return text


def bench(name: str, seed: int = 0, now_us: int = START_US) -> Bench:
    """An emulated device of a kind, as the command line makes it."""
    kind = KINDS[name]
    build = kind.plan(Asked(kind.serial, kind.channels, boot=seed))
    return Bench(build, [Skin()] * kind.channels, now_us, seed)


class Ward:
    """A house with one bed, and its nurse."""

    patience_s = 7_200.0

    def __init__(self, folder: Path, *, kind: str = "native", seed: int = 0) -> None:
        site = Site("ward3", folder, (Seat("dev1", kind, "bed1"),), (Person("physio-1", "physio"),))
        self.house = self.built(site, seed)
        self.house.on_published = self._heard
        bed = self.house.beds["bed1"]
        self.bench, self.cable = bed.bench, bed.cable
        self.summary: Said = {}
        self.answers: dict[str, list[Said]] = {}
        self.events: list[Said] = []
        self.asked = 0
        self._news = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    def built(self, site: Site, seed: int) -> House:
        """The house; its benches began when the loop did."""
        return House(make, site, {"bed1": bench(site.seats[0].kind, seed)}, seed=seed, wall_us=WALL_US)

    def _heard(self, message: Published) -> None:
        match TOPICS.levels(message.topic):
            case (_, "ack", _, command_id):
                self.answers.setdefault(command_id, []).append(json.loads(message.payload))
            case (_, "state", "summary"):
                self.summary = json.loads(message.payload)
            case (_, "event", _):
                self.events.append(json.loads(message.payload))
            case _:
                return
        self._news.set()

    async def until(self, happened: Callable[[], object], patience_s: float | None = None) -> None:
        """Wait until something has come about that is told by a message."""
        async with asyncio.timeout(patience_s or self.patience_s):
            while not happened():
                self._news.clear()
                await self._news.wait()

    async def reaches(self, *phases: str) -> None:
        """Wait until the device is shown in one of these phases, by the life that is."""
        await self.until(lambda: self.summary.get("phase") in phases)

    async def turned_on(self) -> None:
        """Start the controller, and wait until its device is idle."""
        self.summary = {}
        self.house.start()
        await self.reaches("idle")

    def send(self, verb: str, body: Mapping[str, Any] | None = None, device: str = "dev1") -> str:
        """Ask; gives the id under which the answers come."""
        self.asked += 1
        command_id = f"0198c2a4-0000-7000-8000-{self.asked:012x}"
        wall_ms = (self.house.loop.now_us + self.house.wall_ahead_us) // 1_000
        seen, body = self.summary, dict(body or {})
        expect = {}
        if must_expect(verb, body):
            expect = {
                "boot_id": seen["boot_id"],
                "session_id": seen["session_id"] or "",
                "state_version": seen["state_version"],
            }
        envelope = {
            "schema": "stim.command/1", "command_id": command_id, "verb": verb, "site": "ward3", "device": device,
            "issuer": "physio-1", "issued_at": utc_text(wall_ms), "expires_at": utc_text(wall_ms + 5_000),
            "expect": expect, "body": body,
        }  # fmt: skip
        self.house.hear(TOPICS.command(device, "physio-1", verb), json.dumps(envelope).encode())
        return command_id

    def final(self, command_id: str) -> Said | None:
        """The final answer to a command, if it was given; there is never a second one."""
        final = [said for said in self.answers.get(command_id, []) if said["status"] not in INTERIM]
        assert len(final) <= 1
        return final[0] if final else None

    async def ask(self, verb: str, body: Mapping[str, Any] | None = None) -> Said:
        """Ask, and wait until it is answered for good."""
        command_id = self.send(verb, body)
        await self.until(lambda: self.final(command_id))
        answer = self.final(command_id)
        assert answer is not None
        return answer

    async def must(self, verb: str, body: Mapping[str, Any] | None = None) -> Said:
        """Ask for what has to be granted; look again and ask again where the device has changed meanwhile."""
        answer = await self.ask(verb, body)
        while answer["code"] == "CMD.PRECONDITION":
            answer = await self.ask(verb, body)
        assert (answer["status"], answer["code"]) == ("succeeded", "OK"), (verb, answer)
        return answer

    # A session, step by step

    async def claimed(self) -> None:
        """Claim the device, and keep the claim."""
        await self.must("device.claim")

        async def renew() -> None:
            while True:
                await asyncio.sleep(1)
                self.send("device.renew")

        self._renewing = asyncio.create_task(renew())

    async def prepared(self, rx: str = "rx-1@1", patient: str = "p-1") -> None:
        """Claim, prepare, vouch for the patient, and let the patient try the stop on a device that tells of it."""
        await self.claimed()
        await self.must("session.prepare", {"prescription_id": rx, "patient_ref": patient})
        await self.must("session.attest", {"answers": CALM})
        if self.bench.device.kind == "native":
            button, tried = self.bench.device.button, len(self.events)
            assert button is not None
            button.press(self.house.loop.now_us)
            self.house.beds["bed1"].emulator.touch()
            button.release()
            await self.until(lambda: any(event["kind"] == "stop.tried" for event in self.events[tried:]))

    async def running(self, **of: str) -> None:
        """Bring it to where current flows."""
        await self.prepared(**of)
        if self.bench.device.kind != "sciencemode2":
            await self.must("impedance.check", {})
        await self.must("session.arm")
        await self.must("session.start")

    def pulses(self, channel: int = 1, since_us: int = 0) -> list[Any]:
        """The pulses of therapy that reached the body."""
        return [trace for trace in self.bench.scope.pulses(channel, since_us) if trace.first_ua > THERAPY_UA]


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of virtual time that began a while after the computer was switched on."""
    return simtime.run(main, start_us=START_US)
