"""The benches of a suite: an emulated device in virtual time or behind a pseudo terminal, or a real port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple, Self, TypeAlias

from hil.bench import Bench
from hil.beyond import Beyond, beyond
from hil.body import Skin
from hil.cable import Cable, Pace
from hil.clock import boottime_us
from hil.devices.device import Asked, Build, Kind
from hil.devices.kinds import KINDS
from hil.emulate import Emulator
from hil.evidence import Attachment, Injection, Journal, Measurement, Message, Step
from hil.measure import Base
from hil.port import LINES, Streams, hang_up, opened, plugged
from hil.samples import AdcScope, CsvScope, Samples
from hil.settings import BadSetting, Value, read_all
from hil.simtime import SimLoop
from hil.wire import Claim, Line, Pty

BenchKind: TypeAlias = Literal["virtual", "pty", "serial", "tcp"]
ScopeKind: TypeAlias = Literal["none", "emulator", "csv", "adc"]

AT_ONCE = Pace(1_000_000_000)
"""Of the cable between a test and the relay of a real port: the real line has its own pace."""


class NotHereError(Exception):
    """Something that this kind of bench cannot do; the text says which one can."""


class OutOfReachError(NotHereError):
    """A fault that the bench cannot bring about on a real device: a test that needs it is skipped there."""


class Spec(NamedTuple):
    """A bench as it was asked for; `scope_url` is the file or the port of an instrument."""

    kind: BenchKind
    url: str
    device: str
    seed: int
    scope: ScopeKind
    scope_url: str

    @property
    def is_real(self) -> bool:
        """True where a real device stands behind the port."""
        return self.kind in {"serial", "tcp"}

    @property
    def options(self) -> list[str]:
        """The words of the command line that ask for it."""
        scope = self.scope + (f":{self.scope_url}" if self.scope_url else "")
        usual = "none" if self.is_real else "emulator"
        words = ["--bench", self.url, "--bench-device", self.device, "--bench-seed", str(self.seed)]
        return words + (["--bench-scope", scope] if scope != usual else [])


def spec(url: str, device: str, seed: int, scope: str | None) -> Spec:
    """A bench from the options of the command line; raises BadSetting."""
    kind: BenchKind
    match url:
        case "virtual":
            kind = "virtual"
        case "pty":
            kind = "pty"
        case _ if url.startswith("/"):
            kind = "serial"
        case _ if url.startswith("tcp://") and url.rpartition(":")[2].isdecimal():
            kind = "tcp"
        case _:
            raise BadSetting("bench", url, "virtual, pty, the path of a port, or tcp://HOST:PORT")
    if device not in KINDS:
        raise BadSetting("bench-device", device, ", ".join(KINDS))
    is_real = kind in {"serial", "tcp"}
    word, _, scope_url = (scope or ("none" if is_real else "emulator")).partition(":")
    match word, scope_url, is_real:
        case ("none", "", _):
            return Spec(kind, url, device, seed, "none", "")
        case ("emulator", "", False):
            return Spec(kind, url, device, seed, "emulator", "")
        case ("csv", str(given), True) if given:
            return Spec(kind, url, device, seed, "csv", given)
        case ("adc", str(given), True) if given:
            return Spec(kind, url, device, seed, "adc", given)
    raise BadSetting("bench-scope", scope, "none, csv:FILE or adc:PORT" if is_real else "emulator or none")


class Plan(NamedTuple):
    """How the device of a bench is to be; `serial` and `channels` None: as the kind has them."""

    serial: str | None = None
    channels: int | None = None
    clinical: bool = False
    switches: Mapping[str, Value] = {}
    skins: Sequence[Skin] = ()


class Notes:
    """What is to be on record of one test, besides what the bench remembers itself."""

    def __init__(self) -> None:
        self.injections: list[Injection] = []
        self.measurements: list[Measurement] = []
        self.messages: list[Message] = []
        self.attachments: list[Attachment] = []
        self.commanded: dict[int, tuple[Step, ...]] = {}
        self.limits_ua: dict[int, int] = {}
        self.journal: Journal | None = None


class Stand:
    """One bench, for one test; begin it with `async with`.

    `connect` works on every kind; `port` is the name of a port that the controller opens by itself, where there is one.
    """

    base: Base

    def __init__(self, asked: Spec, plan: Plan, build: Build, line: Line, clock_us: Callable[[], int]) -> None:
        channels = plan.channels or KINDS[asked.device].channels
        skins = plan.skins or [Skin()] * channels
        self.spec = asked
        self.notes = Notes()
        self.core = Bench(build, skins, clock_us(), asked.seed)
        self.emulator = Emulator(self.core, line, clock_us)
        self._clock_us = clock_us
        self._loop = asyncio.get_running_loop()
        self._stack = AsyncExitStack()

    @property
    def port(self) -> str:
        """A name for the controller to open; raises NotHereError."""
        raise NotImplementedError

    async def connect(self) -> Streams:
        """The controller's end of the line as a reader and a writer, closed with the bench at last; raises OSError."""
        self._same_loop()
        reader, writer = await self.opened()
        self._stack.push_async_callback(hang_up, writer)
        return reader, writer

    async def opened(self) -> Streams:
        """The end of the line, for `connect`."""
        raise NotImplementedError

    def touch(self) -> int:
        """Bring the bench up to now; gives the time."""
        self._same_loop()
        return self.emulator.touch()

    def attach(self, name: str, data: bytes, media_type: str = "text/plain") -> None:
        """Keep something with the evidence of this test."""
        self.notes.attachments.append(Attachment(name=name, media_type=media_type, data=data))

    def must_reach(self, layer: str) -> None:
        """Raise OutOfReachError where a fault of this layer has nothing to act on."""

    async def begin(self) -> None:
        """Take what the bench needs of the system; raises InUse and OSError."""
        self._stack.callback(self.emulator.stop)
        self.emulator.start()

    def check_scope(self) -> None:
        """Raise DeafError where the scope knows nothing."""

    async def __aenter__(self) -> Self:
        try:
            await self.begin()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            self.core.faults.clear_all()
        finally:
            await self._stack.aclose()

    def _same_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise NotHereError(
                "the test runs on another event loop than its bench: give asyncio_default_test_loop_scope and"
                " asyncio_default_fixture_loop_scope of pytest-asyncio the same value"
            )


class VirtualStand(Stand):
    """An emulated device in virtual time, at the end of a cable in memory."""

    base: Base = "virtual"

    def __init__(self, asked: Spec, plan: Plan) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimLoop):
            raise NotHereError(
                "the virtual bench needs a test that names its fixtures in its arguments: no virtual time was begun"
            )
        self._cable = Cable(LINES[asked.device].pace)
        super().__init__(asked, plan, _emulated(asked, plan), self._cable, lambda: loop.now_us)

    @property
    def port(self) -> str:
        """There is none."""
        raise NotHereError("in virtual time there is no port: use `await bench.connect()`, or --bench=pty")

    async def opened(self) -> Streams:
        """The end of the cable."""
        return plugged(self._cable)


class PtyStand(Stand):
    """An emulated device behind a pseudo terminal, on the clock of this machine."""

    base: Base = "emulator"

    def __init__(self, asked: Spec, plan: Plan, link: Path) -> None:
        super().__init__(asked, plan, _emulated(asked, plan), Pty(link), boottime_us)
        self._link = link

    @property
    def port(self) -> str:
        """The link to the terminal."""
        return str(self._link)

    async def opened(self) -> Streams:
        """Open the terminal as a controller does."""
        return await opened(self.port, LINES[self.spec.device])


class PortStand(Stand):
    """A real device. Who calls `connect` talks through a relay, which tapes the line and can spoil it."""

    base: Base = "host"

    def __init__(self, asked: Spec, plan: Plan) -> None:
        self._cable = Cable(AT_ONCE)
        super().__init__(asked, plan, beyond(KINDS[asked.device]), self._cable, boottime_us)
        self._samples = Samples(self.core.scope, len(self.core.bodies), boottime_us)
        self._scope: CsvScope | AdcScope | None = None
        self._is_relayed = False

    @property
    def port(self) -> str:
        """The port itself, unless the bench relays it."""
        if self._is_relayed:
            raise NotHereError("the bench has this port open for `connect`: a port is opened by one program at a time")
        return self.spec.url

    async def opened(self) -> Streams:
        """The end of a relay; the first call opens the port."""
        if not self._is_relayed:
            reader, writer = await opened(self.spec.url, LINES[self.spec.device])
            self._stack.push_async_callback(hang_up, writer)
            self._is_relayed = True
            assert isinstance(self.core.device, Beyond)  # noqa: S101 - so it was built
            self.core.device.send = writer.write
            task = self._loop.create_task(self._relay(reader, self.core.device))
            self._stack.callback(task.cancel)
        return plugged(self._cable)

    def must_reach(self, layer: str) -> None:
        """Nothing but a relayed line, and the controller's process where the bench was given one."""
        if layer == "host":
            return
        if layer != "wire":
            raise OutOfReachError(
                f"a {layer} fault is out of the bench's reach on a real device; run it with --bench=virtual or pty"
            )
        if not self._is_relayed:
            raise OutOfReachError(
                "a wire fault is out of the bench's reach where the controller opens the port by itself;"
                " it needs `await bench.connect()`"
            )

    async def begin(self) -> None:
        """Claim the port, and listen to the instrument."""
        is_serial = self.spec.kind == "serial"
        path = Path(self.spec.url) if is_serial else Path("/") / self.spec.url.replace("/", "_")
        self._stack.callback(Claim(path).end)
        # It is only looked at: to open a port and close it again restarts some devices.
        if is_serial and not (path.is_char_device() and os.access(path, os.R_OK | os.W_OK)):
            raise OSError(f"{path}: no serial port that can be read and written")
        match self.spec.scope:
            case "csv":
                csv = CsvScope(self._samples, Path(self.spec.scope_url))
                self._stack.callback(csv.close)
                csv.begin()
                self._scope = csv
            case "adc":
                self._scope = await AdcScope.open(self._samples, self.spec.scope_url)
                self._stack.push_async_callback(self._scope.close)
            case _:
                pass
        self._stack.callback(self.emulator.stop)
        self.emulator.start()

    def check_scope(self) -> None:
        """Take in what the instrument has sent."""
        if self._scope:
            self._scope.fetch()
            self._samples.check()

    async def _relay(self, reader: asyncio.StreamReader, device: Beyond) -> None:
        try:
            while data := await reader.read(4096):
                device.hear(data)
                self.emulator.touch()
        except OSError:
            pass
        self._cable.pull()


def _emulated(asked: Spec, plan: Plan) -> Build:
    kind: Kind = KINDS[asked.device]
    serial = kind.serial if plan.serial is None else plan.serial
    channels = plan.channels or kind.channels
    boot = Random(asked.seed).getrandbits(32)  # noqa: S311 - repeatable, no secret
    return kind.plan(Asked(serial, channels, plan.clinical, read_all(kind.switches, plan.switches), boot))
