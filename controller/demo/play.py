"""`demo` without an end: a scripted session on one stimulator, and another one to play with."""

import asyncio
import json
import secrets
import sys
from pathlib import Path

from rich.console import Console

from controller import clock
from controller.inputs import DOWN, KEY, RECORD
from controller.prescriptions import instantiate

from .bedside import CALM, Bedside, SessionError
from .kinds import Kind
from .processes import Family
from .site import Site, opened

SCRIPTED, FREE = "stim-1", "stim-2"
BACK_DOOR = """\
import socket, sys

with socket.socket(socket.AF_UNIX) as line:
    line.connect(sys.argv[1] + ".control")
    line.sendall(sys.argv[2].encode() + b"\\n")
    print(line.makefile().readline(), end="")
"""
"""A program for the demo's folder: asks an emulated stimulator for one thing."""
BUTTON = f"""\
import os, struct, sys

line = os.open(sys.argv[1] + ".button", os.O_RDWR | os.O_NONBLOCK)
os.write(line, struct.pack({RECORD.format!r}, 0, 0, {KEY}, 0, {DOWN}))
"""
"""Another one: the patient presses the stop at the bedside."""


async def play(family: Family, folder: Path, console: Console, kind: Kind) -> None:
    """Run until cancelled. Raises ChildError and what the set-up raises."""
    now_ms, scripted, guest = clock.now().wall_ms, f"p-{secrets.token_hex(4)}", f"p-{secrets.token_hex(4)}"
    ours = instantiate(kind.patients[0], scripted, now_ms)
    theirs = [instantiate(name, guest, now_ms) for name in sorted({kind.patients[1], kind.guest})]
    console.print(f"Starting a broker, two emulated stimulators ({kind.name}) and the service.")
    site = await opened(family, folder, kind, (SCRIPTED, FREE), (), ("physio-1", "physio-2"), (ours, *theirs))
    (folder / "bench.py").write_text(BACK_DOOR, encoding="utf-8")
    (folder / "press.py").write_text(BUTTON, encoding="utf-8")
    for line in guide(site, kind, guest):
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    async def scripted_session() -> None:
        def say(words: str) -> None:
            console.print(f"{SCRIPTED}: {words}", markup=False, highlight=False)

        try:
            async with site.client("physio-1") as client:
                bed = site.beds[SCRIPTED]
                await Bedside(client, SCRIPTED, say, bed.tries_stop, measures_skin=kind.measures_skin).treat(ours)
        except SessionError as error:
            # Whoever plays may have stopped or claimed it: that is what the demo is there for.
            say(str(error))
        say("the scripted session is over; the demo goes on until Ctrl-C")
        await asyncio.Event().wait()

    await family.while_alive(scripted_session())


def guide(site: Site, kind: Kind, patient: str) -> list[str]:
    """Say what to type next."""
    common = f"--as physio-2 --device {FREE} --key {site.key_file('physio-2').name} --config {site.config.name}"
    body = json.dumps({"prescription_id": f"{kind.guest}@1", "patient_ref": patient})
    vouched = json.dumps({"answers": CALM})
    pressed = [f"python bench.py {FREE} '{json.dumps({'do': verb})}'" for verb in ("button.press", "button.release")]
    if not kind.has_button:
        pressed = [f"python press.py {FREE}"]
    steps = ["impedance.check", "session.arm", "session.start"][0 if kind.measures_skin else 1 :]
    fault = {"do": "fault.inject", "fault": "snap_off", "channel": 1, "for_ms": 1_000}
    return [
        "",
        f"{SCRIPTED} plays a session by itself, {FREE} is yours. In two other terminals:",
        "",
        f"  cd {site.folder} && PATH={Path(sys.executable).parent}:$PATH",
        "",
        "In the first of them, take the stimulator and keep it:",
        "",
        f"  stimwarden send device.claim {common} --keep",
        "",
        "In the second, treat a patient:",
        "",
        f"  stimwarden send session.prepare {common} --body '{body}'",
        f"  stimwarden send session.attest {common} --body '{vouched}'",
        *(f"  {line}" for line in pressed),
        *(f"  stimwarden send {verb} {common}" for verb in steps),
        f"  stimwarden watch --as physio-2 --config {site.config.name}",
        "",
        "While current flows, let an electrode fall off for a second, or press the patient's stop button:",
        "",
        f"  python bench.py {FREE} '{json.dumps(fault)}'",
        f"  {pressed[0]}",
        "",
        "See what reached the body, every fault there is, and every prescription:",
        "",
        f"  python bench.py {FREE} '{json.dumps({'do': 'scope'})}'",
        "  stimwarden-hil faults",
        f"  stimwarden rx list --config {site.config.name}",
        "",
        "Ctrl-C here ends all of it.",
        "",
    ]
