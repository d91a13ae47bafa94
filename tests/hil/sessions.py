"""A short session with each kind of device, in virtual time, and what of it is kept as a tape.

python -m tests.hil.sessions    writes tests/golden/tapes/ anew
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from hil.bench import Bench
from hil.port import LINES
from hil.tape_file import Head, SerialTape, write
from tests.hil import host2, host4
from tests.hil.host import CUT, HELLO, RUN_TRAIN, SELFTEST, START_US, STOP, Host

FOLDER: Final = Path(__file__).parents[1] / "golden" / "tapes"


def native_session() -> Bench:
    """Every request once at least, and what the device says to it."""
    host = Host()
    host.ask(HELLO)
    host.ask(SELFTEST)
    host.probe(1)
    host.run(RUN_TRAIN)
    host.keep(range(2, 8))
    host.status()
    host.ask(STOP)
    host.ask(CUT)
    return host.bench


def sciencemode4_session() -> Bench:
    host = host4.Host4()
    for command, payload in [
        (host4.DEVICE_ID, b""),
        (host4.VERSION, b""),
        (host4.LOW_INIT, b"\x06\x01"),
        (host4.LOW_PULSE, host4.pulse()),
        (host4.LOW_STOP, b""),
        (host4.MID_INIT, b"\x00"),
        (host4.MID_UPDATE, host4.update(host4.pattern(), host4.pattern(2))),
        (host4.CURRENT_DATA, b"\x04"),
        (host4.STATUS, b""),
        (host4.MID_STOP, b""),
    ]:
        host.ask(command, payload)
    return host.bench


def sciencemode2_session() -> Bench:
    host = host2.Host()
    host.run(host2.row(), host2.row(15))
    host.keep(1_000_000)
    host.mode()
    host.result(host2.STOP_LIST)
    host.result(host2.SINGLE, host2.SINGLE_DATA)
    return host.bench


SESSIONS: Final[dict[str, Callable[[], Bench]]] = {
    "native": native_session,
    "sciencemode4": sciencemode4_session,
    "sciencemode2": sciencemode2_session,
}


def taped(kind: str) -> SerialTape:
    """The session played now."""
    chunks = [chunk._replace(at_us=chunk.at_us - START_US) for chunk in SESSIONS[kind]().tape.since()]
    return SerialTape(Head(device=kind, baud=LINES[kind].baud, seed=0, origin="emulated"), chunks)


def golden(kind: str) -> Path:
    """The file that holds it."""
    return FOLDER / f"{kind}.ndjson"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in SESSIONS:
        golden(name).unlink(missing_ok=True)
        write(golden(name), *taped(name))
