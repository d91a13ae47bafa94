"""The table of faults for people: on the screen, for one kind of device or for all, and as a page of the documents.

python -m hil.fault_list > docs/faults.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from hil.bench import Bench
from hil.body import Skin
from hil.devices.device import Asked, Device, Kind
from hil.devices.kinds import KINDS
from hil.fault_table import Entry
from hil.faults import FAULTS

LAYERS = {
    "body": "Electrodes and skin",
    "wire": "The serial line",
    "device": "The device",
    "host": "The controller's process and its surroundings",
}

HEAD = """# The faults of the bench

Made from the table by `make faults-page`; do not edit. `stimwarden-hil faults --device KIND` prints what a kind of
device can have.

A fault is put in by its name, at the back door (`fault.inject`; `at_us` waits for a time, `for_ms` ends it) or as
a context (`bench.faults.injected(...)`). What it changed is restored when it ends. Faults that act by chance follow the
bench's seed, or their own. A fault that a device cannot have is refused by name.

Faults of the host act on the controller's process or on what is around it. `host.set` at the back door names the
process; a harness puts a `hil.host.Host` of its own on the bench; without one they are refused. On a real process

- it stands still by SIGSTOP, and goes on by SIGCONT;
- a full disk is a small file system of its own that is filled (ENOSPC), else none of its files can grow (EFBIG);
- a read-only disk is that file system mounted read-only (EROFS) where no file in it is open for writing, else as above;
- memory pressure limits its address space;
- wall clock and broker are moved only where a harness says how.

Hazards and rules are those of [the safety case](safety-case/README.md).
"""


def usual(kind: Kind) -> Device:
    """A device of a kind as it is unless told otherwise."""
    switches = {key: setting.default for key, setting in kind.switches.items()}
    build = kind.plan(Asked(kind.serial, kind.channels, switches=switches))
    return Bench(build, [Skin()] * kind.channels, 0).device


def rows(kind: Kind | None) -> list[Entry]:
    """The faults that a kind of device can have, or all."""
    device = kind and usual(kind)
    return [entry for entry in FAULTS.values() if device is None or entry.fits(device)]


def show(kind: Kind | None) -> None:
    """Print the table."""
    table = Table(show_lines=True)
    table.add_column("fault, settings", no_wrap=True)
    table.add_column("what it does")
    table.add_column("what a correct controller does")
    for entry in rows(kind):
        settings = [f"  {key}={json.dumps(setting.default)}" for key, setting in entry.settings.items()]
        name = "\n".join([f"{entry.id} ({entry.layer})", *settings])
        table.add_row(name, entry.text, f"{entry.correct} [{', '.join(entry.hazards)}]")
    Console().print(table, markup=False)


def page() -> str:
    """The table as a document."""
    had = {name: [entry.id for entry in rows(kind)] for name, kind in KINDS.items()}
    parts = [HEAD]
    for layer, title in LAYERS.items():
        parts.append(f"## {title}\n")
        for entry in FAULTS.values():
            if entry.layer == layer:
                kinds = [name for name, ids in had.items() if entry.id in ids]
                parts.append("\n".join(_section(entry, kinds)))
    return "\n".join(parts)


def _section(entry: Entry, kinds: list[str]) -> Iterable[str]:
    yield f"### `{entry.id}`\n\n{entry.text}\n"
    yield f"- A correct controller: {entry.correct}."
    yield f"- Hazards: {', '.join(entry.hazards)}"
    if len(kinds) < len(KINDS):
        yield f"- Only: {', '.join(f'`{name}`' for name in kinds)}"
    for key, setting in entry.settings.items():
        yield f"- `{key}`: {setting.text}; {setting.expected}; usually `{json.dumps(setting.default)}`"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
