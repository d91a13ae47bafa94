"""What the demo shows on a terminal: bars and figures while it runs, tables when it is over."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from controller import clock
from safety.prescription import Prescription

from .kinds import Kind
from .recording import BEFORE, Recording, next_phase
from .report import dose_rows, phase_rows, story, verdict
from .told import Told
from .verdict import Trial, milliampere
from .witness import Witness

LOOK_S = 0.2
FRESH_US = 300_000
"""A pulse that is older no longer counts as current that flows."""


class Show:
    """One line for each session that is played, and above them what happens."""

    def __init__(self, console: Console) -> None:
        self._begun_ms = clock.now().mono_ms
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(20, style="grey23", complete_style="grey58", finished_style="grey58"),
            TextColumn("{task.fields[phase]:14}"),
            TextColumn("commanded {task.fields[told]:>7}, delivered [bright_blue]{task.fields[seen]:>7}"),
            console=console,
        )

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the lines on the screen while the context lasts."""
        with self._progress:
            yield

    def say(self, words: str) -> None:
        """Tell what happens, with the seconds since the demo began."""
        elapsed_s = (clock.now().mono_ms - self._begun_ms) / 1000
        self._progress.console.print(f"{elapsed_s:5.1f} s  {words}", markup=False, highlight=False)

    @asynccontextmanager
    async def following(self, sessions: Iterable[tuple[str, Kind, Path, Prescription]]) -> AsyncIterator[None]:
        """Keep a line for each session up to date: its name, kind of stimulator, that one's back door, prescription."""
        tasks = [asyncio.create_task(self._follow(*session)) for session in sessions]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            # A stimulator that is gone is told elsewhere.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, name: str, kind: Kind, control: Path, rx: Prescription) -> None:
        plan = rx.channels[0]
        told, read_us, mark = Told(kind.reads(), plan.channel), 0, BEFORE
        task = self._progress.add_task(name, total=rx.programme.therapy_ms, phase="", told="", seen="")
        async with await Witness.open(control) as witness:
            while True:
                now_us, known = await witness.now_us(), len(told.commands)
                tape = await witness.tape(read_us)
                told.take(tape)
                read_us = max([read_us, *(at_us + 1 for at_us, _ in tape)])
                for command in told.commands[known:]:
                    mark = next_phase(mark, command.ua, plan.ua)
                begun_us = next((command.at_us for command in told.commands if command.ua), 0)
                ua = told.commands[-1].ua or 0 if told.commands else 0
                pulses = await witness.pulses(plan.channel, now_us - FRESH_US)
                self._progress.update(
                    task,
                    completed=(now_us - begun_us) // 1000 if begun_us else 0,
                    phase=mark[1] if begun_us else "",
                    told=milliampere(ua),
                    seen=milliampere(pulses[-1].peak_ua if pulses else 0),
                )
                await asyncio.sleep(LOOK_S)


def tell(console: Console, trial: Trial) -> None:
    """Print what a trial has shown."""
    console.print()
    for title, session in (
        ("A clean session", trial.clean),
        ("An electrode comes off, with the interlock", trial.guarded),
        ("An electrode comes off, without it", trial.bare),
    ):
        console.print(phases(title, session.recording))
        console.print()
    console.print("[bold]The accident in seconds, with the interlock[/]")
    for seconds, words, _ in story(trial):
        say(console, f"{seconds:>7}  {words}")
    console.print("\n[bold]Dose of the clean session[/]")
    for name, charge, words in dose_rows(trial.dose):
        say(console, f"{name:13}  {charge}  {words}")
    console.print("\n[bold]What was claimed[/]")
    for check in trial.checks:
        say(console, f"{'holds' if check.holds else 'FAILS'}  {check.claim} {check.words}")
    console.print(f"\n{verdict(trial)}", style="bold" if trial.holds else "bold red", highlight=False)


def phases(title: str, recording: Recording) -> Table:
    """Make a table of phases that fits 80 columns."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_edge=False, pad_edge=False
    )
    for name in ("cycle", "phase", "commanded", "measured", "pulses", "planned", "charge"):
        table.add_column(name, justify="left" if name in {"cycle", "phase"} else "right", no_wrap=True)
    for cycle, phase, _, *figures in phase_rows(recording):
        table.add_row(cycle, phase, *figures)
    return table


def say(console: Console, words: str) -> None:
    """Print words as they are."""
    console.print(words, markup=False, highlight=False)
