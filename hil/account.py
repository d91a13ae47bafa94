"""What a bench knows at the end of a test, and what a run of tests adds up to, as evidence."""

from __future__ import annotations

import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from hil.evidence import Bench, Channel, Chunk, Environment, Run, Test
from hil.report.tree import look
from hil.spoken import commanded, words
from hil.stand import Spec, Stand

PACKAGES = ("pytest", "pytest-asyncio", "stimwarden")


def told(stand: Stand) -> dict[str, Any]:
    """The fields of `evidence.Test` that a bench can fill."""
    notes, core = stand.notes, stand.core
    tape = core.tape.since()
    told_ua = commanded(tape, core.device.kind) | notes.commanded
    channels = [
        Channel(
            number=index + 1,
            pulses=tuple(core.scope.pulses(index + 1)),
            commanded=told_ua.get(index + 1, ()),
            limit_ua=notes.limits_ua.get(index + 1),
            dropped=core.scope.dropped(index + 1),
        )
        for index in core.channels(None)
    ]
    return {
        "injections": tuple(notes.injections),
        "measurements": tuple(notes.measurements),
        "channels": tuple(one for one in channels if one.pulses or one.commanded),
        "serial": tuple(
            Chunk(at_us=at_us, direction=way, data=data, words=said)
            for (at_us, way, data), said in zip(tape, words(tape, core.device.kind), strict=True)
        ),
        "mqtt": tuple(notes.messages),
        "journal": notes.journal,
        "attachments": tuple(notes.attachments),
    }


def run_of(
    spec: Spec,
    suite: str,
    root: Path,
    began_at: datetime,
    took_ms: int,
    deselected: int,
    status: int,
    tests: tuple[Test, ...],
) -> Run:
    """The whole run. It counts as a try, not as evidence, unless its tree is known to be committed."""
    clocks: dict[str, Literal["virtual", "emulator"]] = {"virtual": "virtual", "pty": "emulator"}
    tree = look(root)
    return Run(
        suite=suite,
        began_at=began_at,
        took_ms=took_ms,
        seed=spec.seed,
        is_dev=tree.is_clean is not True,
        environment=Environment(
            commit=tree.commit,
            is_clean=tree.is_clean,
            versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            platform=platform.platform(),
            clock=clocks.get(spec.kind, "host"),
        ),
        bench=Bench(kind=spec.kind, url=spec.url, device=spec.device, scope=spec.scope),
        deselected=deselected,
        exit_status=status,
        tests=tests,
    )
