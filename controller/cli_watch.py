"""`stimwarden watch`: every device of a site on one page, from what its service says.

It shows and never commands. Numbers are for display; what a silent service last said is marked as stale.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import clock
from .cli_send import Where, interrupted
from .client import Client, Doubt, Said
from .contract.answers import (
    AlarmSaid,
    CapabilitiesMessage,
    EventMessage,
    ServiceMessage,
    SummaryMessage,
    TelemetryMessage,
)
from .contract.codes import quantity

STALE_MS = 2_000
"""From when on silence is said (users' page: within 2 s)."""
FRAMES_PER_S = 4
EVENTS = 6
MARKS = {"high": "***", "medium": "**", "low": "*", "none": ""}
COLOURS = {"high": "bold red", "medium": "yellow", "low": "cyan", "none": ""}
"""Signs and colours of alarm priorities (after IEC 60601-1-8, from memory); never a colour without its sign."""


@dataclass
class Device:
    """What was last heard of a device, and when (boot clock, ms)."""

    summary: SummaryMessage | None = None
    capabilities: CapabilitiesMessage | None = None
    channels: dict[int, TelemetryMessage] = field(default_factory=dict)
    heard_ms: int = 0

    @property
    def in_session(self) -> bool:
        """Tell whether there is a session, and with it telemetry; an idle device has nothing to say for hours."""
        return self.summary is not None and self.summary.session_id is not None


class Board:
    """Everything that was heard, and the page that shows it."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._devices: dict[str, Device] = {}
        self._services: dict[str, ServiceMessage] = {}
        self._events: deque[EventMessage] = deque(maxlen=EVENTS)

    def hear(self, said: Said, now_ms: int) -> None:
        """Take a statement in."""
        if isinstance(said.message, ServiceMessage):
            self._services[said.message.instance] = said.message
            return
        device = self._devices.setdefault(said.device, Device())
        device.heard_ms = now_ms
        match said.message:
            case Doubt():
                # Somebody else spoke for the service: from then on nobody knows how the device is.
                device.summary = None
            case SummaryMessage() as summary:
                device.summary = summary
                if summary.session_id is None:
                    device.channels.clear()
            case CapabilitiesMessage() as capabilities:
                device.capabilities = capabilities
            case TelemetryMessage() as sample:
                device.channels[sample.channel] = sample
            case EventMessage() as event:
                self._events.append(event)

    def page(self, now_ms: int) -> RenderableType:
        """Lay it all out."""
        parts: list[RenderableType] = [Text(f"site {self._site}: {self._service_words()}"), self._table(now_ms)]
        parts += [alarm_line(name, alarm) for name, alarm in self._alarms()]
        parts += [event_line(event) for event in self._events]
        return Group(*parts)

    def _service_words(self) -> str:
        said = [f"service {name} is {service.state}" for name, service in sorted(self._services.items())]
        return ", ".join(said) or "no service was heard of"

    def _is_served(self) -> bool:
        return any(service.state in {"online", "draining"} for service in self._services.values())

    def _table(self, now_ms: int) -> Table:
        table = Table("device", "phase", "rx", "claimed", "played", "ch", "set", "flows", "ohm", "news", box=None)
        for name, device in sorted(self._devices.items()):
            age_ms = now_ms - device.heard_ms
            is_stale = not self._is_served() or (device.in_session and age_ms > STALE_MS)
            first: list[str | Text] = [name, *state_cells(device.summary)]
            news = stale_words(device, age_ms) if is_stale else Text(f"{age_ms // 1000} s ago")
            for cells in channel_cells(device, is_stale=is_stale) or [("", "", "", "")]:
                table.add_row(*first, *cells, news)
                first, news = [""] * len(first), Text()
        return table

    def _alarms(self) -> Iterator[tuple[str, AlarmSaid]]:
        order = list(MARKS)
        standing = [
            (name, alarm)
            for name, device in sorted(self._devices.items())
            if device.summary is not None
            for alarm in device.summary.alarms
        ]
        yield from sorted(standing, key=lambda pair: order.index(pair[1].priority))


def state_cells(summary: SummaryMessage | None) -> tuple[str, str, str, str]:
    """Say phase, session, claim and time of a device."""
    if summary is None:
        return "unknown", "", "", ""
    rx = summary.prescription_id or ""
    played = f"{summary.played_ms // 1000} of {summary.therapy_ms // 1000} s" if summary.session_id else ""
    return summary.phase, rx, summary.claimed_by or "", played


def stale_words(device: Device, age_ms: int) -> Text:
    """Say that nobody knows how a device is, and after how long it stops by itself."""
    dead_man = f", dead man {device.capabilities.dead_man_ms} ms" if device.capabilities else ""
    return Text(f"*** stale: nothing for {age_ms // 1000} s{dead_man}", style=COLOURS["high"])


def channel_cells(device: Device, *, is_stale: bool) -> list[tuple[str, str, str, str]]:
    """Say number, set-point, current and skin of each channel of the session; what is stale is not shown to flow."""
    said = device.summary.channels if device.summary else []
    rows = []
    for channel in said:
        sample = device.channels.get(channel.channel)
        ohm = sample.ohm if sample and sample.ohm is not None else channel.ohm
        delivered_ua = None if sample is None or is_stale else sample.delivered_ua
        delivered = "?" if delivered_ua is None else quantity(delivered_ua, "uA")
        setpoint = quantity(channel.setpoint_ua, "uA")
        rows.append((str(channel.channel), setpoint, delivered, "" if ohm is None else str(ohm)))
    return rows


def alarm_line(device: str, alarm: AlarmSaid) -> Text:
    """Say an alarm that stands."""
    rule = f" {alarm.rule}" if alarm.rule else ""
    text = f"{MARKS[alarm.priority]} {device}{rule} {alarm.code}: {alarm.text} (since {alarm.since[11:19]})"
    return Text(text, style=COLOURS[alarm.priority])


def event_line(event: EventMessage) -> Text:
    """Say something that happened."""
    parts = [event.at[11:19], event.device, event.kind, event.rule, None if event.code == "OK" else event.code]
    line = " ".join(part for part in (MARKS[event.priority], *parts) if part)
    return Text(line, style=COLOURS[event.priority])


async def watch_site(where: Where) -> int:
    """Show a site until Ctrl-C. Raises FailureError where the broker is lost: a page that is dead must not stay."""
    board, ended = Board(where.site), interrupted()
    async with where.client(telemetry=True) as client:
        hearing = asyncio.create_task(listen(client, board))
        with Live(board.page(clock.now().mono_ms), auto_refresh=False) as live:
            while not ended.is_set() and not hearing.done():
                await asyncio.wait([hearing], timeout=1 / FRAMES_PER_S)
                live.update(board.page(clock.now().mono_ms), refresh=True)
        if hearing.done():
            await hearing
        hearing.cancel()
    return 0


async def listen(client: Client, board: Board) -> None:
    """Take in all that is said, until the broker is lost."""
    async for said in client.events():
        board.hear(said, clock.now().mono_ms)
