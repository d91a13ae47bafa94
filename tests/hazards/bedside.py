"""A ward: one or more beds, this controller, and everybody who asks it for things over its real contract.

It is the same in virtual time and on ptys. What the controller says is kept as lines without times and ids, in the
order in which it was said; what is delivered is judged by the scopes, on the benches' own clock.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

from cobs import cobs

from controller.client import must_expect
from controller.contract.envelope import utc_text
from controller.contract.topics import Topics
from controller.identity.jws import seal
from controller.store.clinic import Clinic
from controller.virtual import make
from hil.bench import Bench
from hil.body import Skin
from hil.clock import boottime_us
from hil.devices.device import Asked
from hil.devices.kinds import KINDS
from hil.scope import Trace
from hil.target import Seat, Site
from hil.world import Published
from tests.hazards.houses import RealHost, RealHouse, VirtualHost, VirtualHouse, beds
from tests.hazards.papers import PEOPLE, PERIOD_US, SECRETS, UA, write_settings

Said = dict[str, Any]

START_US = 50_000_000
WALL_US = 1_795_000_000_000_000
"""2026-11-18: any day after the program was written."""
TOPICS = Topics("ward3")
INTERIM = {"accepted", "in_progress"}
PROBE_UA = 2_000
"""A test pulse is at most this."""
REAL_SLACK_US = 1_500_000
"""How late real time may be: it shows that current ends, how soon is a matter of virtual time."""
RENEWS_S = 1.0
SETTLE_S = 5.0
"""How long a word may be on its way that follows another."""
TICK_US = 50_000
DEAD_MAN_US = {"native": 500_000, "sciencemode4": 2_000_000, "sciencemode2": 1_200_000}

FRAMES = dict(enumerate(("hello", "arm", "drive", "feed", "stop", "probe", "ask", "cut", "self-test"), 1))
"""Of the native protocol, docs/native-protocol.md."""


class Options(NamedTuple):
    """What kind of ward a story needs."""

    kind: str = "native"
    devices: tuple[str, ...] = ("dev1",)
    profile: str = "bench"
    limits: Mapping[str, int | None] = {}
    ledger: str = "ledger.sqlite"
    skin: Skin = Skin()


class Bedside:
    """One site with its controller. `told` is what was said since the last look."""

    def __init__(self, folder: Path, options: Options, *, is_real: bool, beside: Bedside | None = None) -> None:
        """`beside` another ward, it has that one's beds."""
        self.folder, self.options, self.is_real, self._has_beds = folder, options, is_real, beside is None
        self.patience_s = 20.0 if is_real else 100.0
        seats = tuple(Seat(device, options.kind, f"bed-{device}") for device in options.devices)
        if beside is not None:
            seats = beside.house.site.seats
        site = Site("ward3", folder, seats, PEOPLE)
        ports = [seat._replace(port=str((beside or self).folder / seat.port)) for seat in seats]
        write_settings(folder, ports, profile=options.profile, ledger=options.ledger, limits=options.limits)
        start_us = boottime_us() if is_real else asyncio.get_running_loop().now_us  # type: ignore[attr-defined]
        benches = {seat.port: bench(options, start_us, number) for number, seat in enumerate(seats)}
        self.house: VirtualHouse | RealHouse
        if is_real:
            self.house = RealHouse(site, beside.house.beds if beside else beds(folder, benches))
        else:
            self.house = VirtualHouse(make, site, benches, wall_us=WALL_US + start_us - START_US)
            if beside is not None:
                self.house.beds = beside.house.beds
        self.house.on_published = self._heard
        self.beds = {seat.device: self.house.beds[seat.port] for seat in seats}
        self.summaries: dict[str, Said] = {}
        self.answers: dict[str, list[Said]] = {}
        self.asked: dict[str, str] = {}
        self.events: list[Said] = []
        self.owed: Counter[str] = Counter()
        self._others: list[Self] = []
        self.clinic: Clinic | None = None
        self._lines: list[str] = []
        self._news = asyncio.Event()
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._quiet: set[str] = set()

    # Hearing

    def _heard(self, message: Published) -> None:
        match TOPICS.levels(message.topic):
            case (_, "ack", _, command_id):
                said = json.loads(message.payload)
                self.answers.setdefault(command_id, []).append(said)
                if command_id not in self._quiet and said["status"] not in INTERIM:
                    self._note(said, f"{self.asked.get(command_id, '?')}: {said['status']}")
            case (device, "state", "summary"):
                self.summaries[device] = said = json.loads(message.payload)
            case (device, "event", _):
                said = json.loads(message.payload)
                self.events.append(said)
                where = "" if device == self.options.devices[0] else f"{device} "
                alarm = "" if said["priority"] == "none" else f" ({said['priority']})"
                self._note(said, f"{where}{said['kind']}{alarm}")
            case _:
                return
        self._news.set()

    def _note(self, said: Said, what: str) -> None:
        rules = [reason["rule"] or "-" for reason in said["reasons"]] or ([said["rule"]] if said.get("rule") else [])
        code = "" if said["code"] == "OK" and ":" not in what else f" {said['code']}"
        self._lines.append(what + code + (f" [{' '.join(rules)}]" if rules else ""))

    def told(self) -> list[str]:
        """What was said since the last look."""
        lines, self._lines = self._lines, []
        return lines

    def say(self, lines: Iterable[str]) -> None:
        """Put lines before what will be said; for a story that has looked at them already."""
        self._lines = [*lines, *self._lines]

    async def until(self, happened: Callable[[], object], patience_s: float | None = None) -> None:
        """Wait until something has come about that is told by a message."""
        async with asyncio.timeout(patience_s or self.patience_s):
            while not happened():
                self._news.clear()
                await self._news.wait()

    async def hears(self, kind: str, patience_s: float | None = None) -> Said:
        """Wait for an event of a kind, if it was not told since the last look."""
        await self.until(lambda: any(line.split(" ")[0] == kind for line in self._lines), patience_s)
        return next(event for event in reversed(self.events) if event["kind"] == kind)

    def summary(self, device: str = "dev1") -> Said:
        """How a device is shown."""
        return self.summaries.get(device, {})

    def latches(self, device: str = "dev1") -> list[str]:
        """The latches that stand, with who may clear them."""
        return [f"{latch['rule']} {latch['clear']}" for latch in self.summary(device)["latches"]]

    async def reaches(self, *phases: str, device: str = "dev1") -> None:
        """Wait until a device is shown in one of these phases."""
        await self.until(lambda: self.summary(device).get("phase") in phases)

    # Time

    @property
    def now_us(self) -> int:
        """The bench's clock."""
        return self.house.loop.now_us

    @property
    def wall_ms(self) -> int:
        """The controller's time of day."""
        return (self.house.loop.now_us + self.house.wall_ahead_us) // 1_000

    async def turned_on(self) -> None:
        """Start the controller, and wait until its devices are idle; who asks looks at this life only."""
        await self.on()
        for device in self.options.devices:
            await self.reaches("idle", device=device)
            line = "device.online" if device == self.options.devices[0] else f"{device} device.online"
            await self.until(lambda line=line: line in self._lines, SETTLE_S)  # type: ignore[misc]
            self._lines.remove(line)

    async def does_not_start(self) -> None:
        """Start the controller, and see that it ends by itself."""
        self.house.start()
        async with asyncio.timeout(self.patience_s):
            while not self.house.is_over:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.02)
        self.house.forget()

    async def off(self) -> None:
        """Tell the controller to end, in order."""
        self.unclaimed()
        await self.house.end()

    async def on(self) -> None:
        """Start the controller."""
        self.summaries = {}
        self.house.start()
        for bed in self.beds.values():
            bed.bench.host = RealHost(self.house) if isinstance(self.house, RealHouse) else VirtualHost(self.house)
        await self.until(lambda: self.summaries)

    def kill(self) -> None:
        """End the controller without a word; what it was asked and did not answer stays open."""
        self.unclaimed()
        self.owed = Counter({asked: len(self.finals(asked)) for asked in self.asked})
        self.house.kill()

    async def close(self) -> None:
        """Leave nothing behind."""
        self.unclaimed()
        for bed in self.beds.values():
            bed.bench.faults.clear_all()
        for other in self._others:
            await other.close()
        if isinstance(self.house, RealHouse):
            self.house.close()
            for bed in self.beds.values() if self._has_beds else ():
                bed.emulator.stop()
        elif self.house.life is not None:
            await self.house.end()

    def second(self, device: str = "") -> Self:
        """Another controller on the same ledger: with a bed and a device of its own, or on the beds of this one."""
        folder = self.folder / f"other-{len(self._others)}"
        folder.mkdir()
        devices = (device,) if device else self.options.devices
        options = self.options._replace(ledger="../ledger.sqlite", devices=devices)
        beside = None if device else self
        self._others.append(type(self)(folder, options, is_real=self.is_real, beside=beside))
        return self._others[-1]

    # Asking

    def command(self, verb: str, body: Mapping[str, Any] | None = None, **of: Any) -> Said:  # noqa: ANN401 - any field
        """A sound command of the present; `of` changes a field, `by` and `device` those who ask and are asked."""
        by, device, body = of.pop("by", "physio-1"), of.pop("device", "dev1"), dict(body or {})
        expect = {}
        if must_expect(verb, body) and (seen := self.summary(device)):
            expect = {
                "boot_id": seen["boot_id"], "session_id": seen["session_id"] or "",
                "state_version": seen["state_version"],
            }  # fmt: skip
        return {
            "schema": "stim.command/1", "command_id": f"0198c2a4-0000-7000-8000-{len(self.asked):012x}", "verb": verb,
            "site": "ward3", "device": device, "issuer": by, "issued_at": utc_text(self.wall_ms),
            "expires_at": utc_text(self.wall_ms + 5_000), "expect": expect, "body": body,
        } | of  # fmt: skip

    def post(
        self,
        command: Said | bytes,
        topic: str | None = None,
        *,
        retained: bool = False,
        name: str | None = None,
        is_answered: bool = True,
    ) -> str:
        """Publish a command, or bytes in its place; gives the id under which it is answered, if it is."""
        said: Said = command if isinstance(command, dict) else {}
        command_id = str(said.get("command_id") or "unknown")
        self.asked[command_id] = name or str(said.get("verb") or "?")
        own = topic or (TOPICS.command(said["device"], said["issuer"], said["verb"]) if said else "")
        payload = json.dumps(command).encode() if isinstance(command, dict) else command
        if isinstance(command, dict) and (secret := SECRETS.get(str(said.get("issuer")))):
            # A world has no user properties: the command is carried by its signature, as in MQTT 3.1.1.
            payload = seal(secret, own, payload)
        host = self.bench.host
        if not (isinstance(host, VirtualHost | RealHost) and host.is_broker_away):
            self.house.hear(own, payload, retained=retained)
            self.owed[command_id] += is_answered
        return command_id

    def finals(self, command_id: str) -> list[Said]:
        """The final answers to a command: one to each time that it was sent."""
        return [said for said in self.answers.get(command_id, []) if said["status"] not in INTERIM]

    def final(self, command_id: str) -> Said | None:
        """The latest of them, if one was given."""
        return finals[-1] if (finals := self.finals(command_id)) else None

    async def answered(self, command_id: str) -> Said:
        """Wait for the final answer to a command."""
        await self.until(lambda: self.final(command_id))
        answer = self.final(command_id)
        assert answer is not None
        return answer

    async def all_answered(self) -> None:
        """Ask no more, and give what was asked the time to be answered."""
        self.unclaimed()
        with suppress(TimeoutError):
            await self.until(lambda: all(len(self.finals(asked)) >= self.owed[asked] for asked in self.asked), SETTLE_S)

    async def ask(self, verb: str, body: Mapping[str, Any] | None = None, **of: Any) -> Said:  # noqa: ANN401
        """Ask, and wait until it is answered for good."""
        return await self.answered(self.post(self.command(verb, body, **of)))

    async def refused(self, verb: str, body: Mapping[str, Any] | None = None, **of: Any) -> tuple[str, str | None]:  # noqa: ANN401
        """Ask for what must not be granted; gives code and rule."""
        answer = await self.ask(verb, body, **of)
        assert answer["status"] in {"rejected", "failed"}, answer
        return answer["code"], answer["rule"]

    async def must(self, verb: str, body: Mapping[str, Any] | None = None, **of: Any) -> Said:  # noqa: ANN401
        """Ask for what has to be granted; where the device has changed meanwhile, look and ask again."""
        while (answer := await self.ask(verb, body, **of))["code"] == "CMD.PRECONDITION":
            self._lines.remove(f"{verb}: rejected CMD.PRECONDITION [G02]")
        assert (answer["status"], answer["code"]) == ("succeeded", "OK"), (verb, answer, self._lines)
        return answer

    async def junk(self, payload: bytes, topic: str) -> None:
        """Publish what cannot be read as a command; it is answered under no id, and refused."""
        known = len(self.finals("unknown"))
        self.post(payload, topic, name="junk")
        await self.until(lambda: len(self.finals("unknown")) > known)
        assert (self.finals("unknown")[-1]["status"], self.finals("unknown")[-1]["code"]) == ("rejected", "CMD.SCHEMA")

    async def claimed(self, device: str = "dev1", by: str = "physio-1") -> None:
        """Claim a device, and keep the claim."""
        await self.must("device.claim", device=device, by=by)

        async def renew() -> None:
            while True:
                await asyncio.sleep(RENEWS_S)
                renewal = self.command("device.renew", device=device, by=by)
                self._quiet.add(renewal["command_id"])
                self.post(renewal)

        self.unclaimed(device)
        self._renewing[device] = asyncio.create_task(renew())

    def unclaimed(self, device: str | None = None) -> None:
        """Renew the claim no more."""
        for name in list(self._renewing):
            if device in {None, name}:
                self._renewing.pop(name).cancel()

    def press(self, device: str = "dev1") -> int:
        """Push the patient's button; gives the time."""
        bed = self.beds[device]
        at_us, button = bed.emulator.touch(), bed.bench.device.button
        assert button is not None
        button.press(bed.bench.own_us)
        bed.emulator.touch()
        return at_us

    def let_go(self, device: str = "dev1") -> None:
        """Let it go."""
        button = self.beds[device].bench.device.button
        assert button is not None
        button.release()

    # Faults and the scope

    @property
    def bench(self) -> Bench:
        """The first device's."""
        return self.beds[self.options.devices[0]].bench

    def fault(self, name: str, device: str = "dev1", **settings: object) -> int:
        """Inject a fault now; gives the time."""
        bed = self.beds[device]
        at_us = bed.emulator.touch()
        bed.bench.faults.inject(name, **settings)
        bed.emulator.touch()
        return at_us

    def mend(self, device: str = "dev1") -> None:
        """Let every fault go away."""
        bed = self.beds[device]
        bed.emulator.touch()
        bed.bench.faults.clear_all()
        bed.emulator.touch()

    def pulses(self, channel: int = 1, since_us: int = 0, device: str = "dev1") -> list[Trace]:
        """The pulses of therapy that reached the body, up to now."""
        bed = self.beds[device]
        bed.emulator.touch()
        return [trace for trace in bed.bench.scope.pulses(channel, since_us) if trace.first_ua > PROBE_UA]

    async def flows(
        self, ua: int = UA, *, channel: int = 1, device: str = "dev1", since_us: int = 0, pulses: int = 10, **_: int
    ) -> None:
        """Wait until the scope sees so many pulses of this current, one after the other."""
        async with asyncio.timeout(self.patience_s):
            while [p.first_ua for p in self.pulses(channel, since_us, device)[-pulses:]] != [ua] * pulses:  # noqa: ASYNC110 - a scope
                await asyncio.sleep(0.05)

    async def steady(
        self, seconds: int = 1, ua: int = UA, *, period_us: int = PERIOD_US, channel: int = 1, device: str = "dev1"
    ) -> None:
        """See that current flows on as it should: each pulse at its time, at its height."""
        since_us = self.now_us
        await asyncio.sleep(seconds)
        found = self.pulses(channel, since_us, device)
        expected = seconds * 1_000_000 // period_us
        assert abs(len(found) - (self.now_us - since_us) // period_us) <= 1, (len(found), expected)
        assert {pulse.first_ua for pulse in found} == {ua}
        assert {after.at_us - before.at_us for before, after in pairwise(found)} == {period_us}

    async def zero(self, cause_us: int, within_us: int, *, channel: int = 1, device: str = "dev1") -> None:
        """See that current flowed until something happened, and none from so long after it on."""
        end_us = cause_us + within_us + REAL_SLACK_US * self.is_real
        await asyncio.sleep(max(0, end_us - self.now_us) / 1_000_000 + 1)
        found = self.pulses(channel, cause_us - 1_100_000, device)
        assert any(pulse.at_us <= cause_us for pulse in found), "nothing flowed before"
        late_us = [pulse.at_us - cause_us for pulse in found if pulse.at_us > end_us]
        assert late_us == [], f"current after {late_us[-1]} us"

    def silent(self, since_us: int = 0) -> None:
        """See that no current of therapy flowed, on any channel of any device."""
        for device, bed in self.beds.items():
            for channel in range(1, len(bed.bench.bodies) + 1):
                assert self.pulses(channel, since_us, device) == []

    def sent(self, device: str = "dev1") -> Counter[str]:
        """The frames that a native device was sent, by what they ask for."""
        tape = self.beds[device].bench.tape.since()
        data = b"".join(chunk.data for chunk in tape if chunk.direction == "to_device")
        return Counter(FRAMES[cobs.decode(piece)[0]] for piece in data.split(b"\x00") if piece)

    # On disk

    @property
    def ledger_path(self) -> Path:
        """Where doses are kept."""
        return self.folder / self.options.ledger

    async def booked(self) -> None:
        """Wait until every dose that was reserved is charged."""
        async with asyncio.timeout(self.patience_s):
            while any(row["charged_nc"] is None for row in self.ledger()):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)

    def ledger(self) -> list[Said]:
        """What was reserved and charged, by session and channel."""
        return self._rows(self.ledger_path, "SELECT * FROM reservations ORDER BY opened_wall_ms, channel")

    def logged(self) -> list[str]:
        """What the controller has logged."""
        if isinstance(self.house, RealHouse):
            return (self.folder / "service.log").read_text(encoding="utf-8").splitlines()
        return self.house.logged

    def journal(self) -> list[Said]:
        """What was decided."""
        rows = self._rows(self.folder / "journal.sqlite", "SELECT * FROM journal ORDER BY seq")
        return [row | {"body": json.loads(row["body"])} for row in rows]

    def write(self, statement: str, *values: object) -> None:
        """Write into the ledger as a program beside the controller does."""
        with closing(sqlite3.connect(self.ledger_path)) as database, database:
            database.execute(statement, values)

    def _rows(self, path: Path, query: str) -> list[Said]:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]
        return []


def bench(options: Options, now_us: int, number: int) -> Bench:
    """An emulated device of the ward's kind; each has a serial number of its own."""
    kind = KINDS[options.kind]
    build = kind.plan(Asked(f"{kind.serial[:-1]}{number}", kind.channels, boot=number, clinical=False))
    return Bench(build, [options.skin] * kind.channels, now_us, number)
