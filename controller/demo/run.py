"""`stimwarden demo`: the way in, and how it ends."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from controller import clock
from controller.broker import BrokerError
from controller.client import NoAnswerError
from controller.devices.base import DeviceError
from controller.link import LinkError
from controller.store.tables import LedgerError

from .bedside import SessionError
from .kinds import KINDS, Kind
from .once import trial
from .play import play
from .processes import ChildError, end_on_signals, family
from .report import html
from .show import Show, tell
from .verdict import Trial
from .witness import WitnessError

REPORT = Path("demo-report.html")
PREFIX = "stimwarden-demo-"
FAILURES = (
    BrokerError,
    ChildError,
    DeviceError,
    EOFError,
    LedgerError,
    LinkError,
    NoAnswerError,
    OSError,
    SessionError,
    WitnessError,
)
"""What can go wrong while a demo runs, each with words for people."""


def main(once: bool, report: Path | None, device: str) -> int:
    """Run the demo, with a verdict and a report (`once`) or to play with; gives the exit code."""
    kind = KINDS[device]
    console = Console()
    status = 1
    try:
        status = prove(console, report or REPORT, kind) if once else asyncio.run(show_on(console, kind))
    except* (KeyboardInterrupt, asyncio.CancelledError):
        status = 130 if once else 0
        console.print("Ended.")
    except* FAILURES as group:
        for error in leaves(group):
            console.print(f"The demo failed: {error}", markup=False, highlight=False)
    return status


def prove(console: Console, report: Path, kind: Kind) -> int:
    """Show what the interlock does, print it, write it down; 0 only if every claim holds. Raises FAILURES."""
    if not report.parent.is_dir():
        raise NotADirectoryError(f"{report.parent} is no folder that could hold the report.")
    shown = asyncio.run(show_once(console, kind))
    tell(console, shown)
    report.write_text(html(shown, clock.now().wall_ms), encoding="utf-8")
    console.print(f"The report: {report}", markup=False, highlight=False)
    return 0 if shown.holds else 1


async def show_once(console: Console, kind: Kind) -> Trial:
    """Play the sessions that are measured."""
    end_on_signals()
    show = Show(console)
    with TemporaryDirectory(prefix=PREFIX) as folder, show.live():
        async with family() as children:
            return await trial(children, Path(folder), show, kind)


async def show_on(console: Console, kind: Kind) -> int:
    """Let people play, until Ctrl-C."""
    end_on_signals()
    with TemporaryDirectory(prefix=PREFIX) as folder:
        async with family() as children:
            await play(children, Path(folder), console, kind)
    return 0


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Give the exceptions in a group of groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
