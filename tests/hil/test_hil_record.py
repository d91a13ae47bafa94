"""What passes between a device and its controller is on the tape: all of it, in order, from the first byte on."""

from __future__ import annotations

import asyncio
import os
import signal
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil.port import LINES, hang_up, opened
from hil.record import Relay, line_of
from hil.settings import BadSetting
from hil.tape import Chunk
from hil.tape_diff import differences
from hil.tape_file import Head, SerialTape, read
from hil.wire import NullModem
from tests.conftest import Until
from tests.hil.host import ASK, EVENT, HELLO, STATUS, STOP, decoded, frame
from tests.hil.process import SECONDS, Running, Start, said, starting
from tests.hil.sessions import golden, taped
from tests.hil.test_hil_replay import Port

pytestmark = pytest.mark.hazard("H35")


class Device:
    """The device's end of a pseudo terminal."""

    def __init__(self) -> None:
        self.fd, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = Path(os.ttyname(self._slave))

    def hang_up(self) -> None:
        if self.fd >= 0:
            os.close(self._slave)
            os.close(self.fd)
            self.fd = -1


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.hang_up()


# --- a port -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "first"), [(True, b"boot"), (False, b"")])
async def test_what_a_device_said_before_the_port_was_open_is_kept_for_a_tape(
    device: Device, first: bytes, *, keep: bool
):
    os.write(device.fd, b"boot")
    reader, writer = await opened(str(device.path), LINES["native"], keep=keep)
    os.write(device.fd, b"id")
    assert await reader.readexactly(len(first) + 2) == first + b"id"
    await hang_up(writer)


@pytest.mark.parametrize("kind", LINES)
def test_the_line_is_that_of_the_kind_or_of_another_rate(kind: str):
    assert line_of(kind, None) == LINES[kind]
    assert line_of(kind, 9_600) == LINES[kind]._replace(baud=9_600)
    assert line_of(None, None) == LINES["native"]
    with pytest.raises(BadSetting, match="baud=12345: expected a rate that the system knows"):
        line_of(kind, 12_345)


# --- the relay --------------------------------------------------------------------------------------------------------


async def test_each_chunk_is_passed_on_and_written_down_with_its_time(device: Device, until: Until):
    got, notes = bytearray(), list[Chunk]()
    line = NullModem(got.extend)
    now_us = iter([500, 510, 540, 600])
    os.write(device.fd, b"boot")
    reader, writer = await opened(str(device.path), LINES["native"], keep=True)
    relay = asyncio.create_task(Relay(writer, line, notes.append, lambda: next(now_us)).run(reader))
    line.put()
    await until(lambda: got == b"boot")
    line.send(b"\x00hello")
    assert os.read(device.fd, 100) == b"\x00hello"
    os.write(device.fd, b"id")
    await until(lambda: got == b"bootid")
    assert notes == [Chunk(10, "to_host", b"boot"), Chunk(40, "to_device", b"\x00hello"), Chunk(100, "to_host", b"id")]
    # It ends with the device.
    device.hang_up()
    await relay
    await hang_up(writer)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start


Record = Callable[..., Running]


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    running: list[Running] = []

    def begin(port: Path, *options: str) -> Running:
        paths = ("--port", str(port), "--link", str(tmp_path / "relay"), "--tape", str(tmp_path / "tape"))
        running.append(Running("record", *paths, *options))
        return running[-1]

    yield begin
    for process in running:
        process.kill()


def test_a_session_through_the_relay_is_on_the_tape_and_can_be_played(start: Start, record: Record, tmp_path: Path):
    emulator = start("--seed", "5")
    process = record(emulator.link, "--device", "native", "--seed", "5")
    assert process.ready["origin"] == "emulated"
    port = Port(tmp_path / "relay")
    heard = b""
    for seq, kind in enumerate([HELLO, ASK, STOP]):
        port.write(frame(kind, seq))
        answered = False
        while not answered:
            heard += port.read(1)
            said_last = decoded(heard)[-1] if heard.endswith(b"\x00") else {"type": EVENT}
            answered = said_last["type"] != EVENT and said_last["seq"] == seq
    assert process.end() == (0, "", "")
    port.close()
    tape = read(tmp_path / "tape")
    assert tape.head == Head(device="native", baud=115_200, seed=5, origin="emulated")
    sides = {
        side: b"".join(chunk.data for chunk in tape.chunks if chunk.direction == side)
        for side in ("to_device", "to_host")
    }
    # The word of its start is there, though it was said before the relay began.
    assert decoded(sides["to_host"])[0]["type"] == EVENT
    assert sides == {
        "to_device": b"".join(frame(kind, seq) for seq, kind in enumerate([HELLO, ASK, STOP])),
        "to_host": heard,
    }
    assert [one["type"] for one in decoded(heard)][-2:] == [STATUS, STATUS]

    # What was recorded is played to the same controller again.
    replay = Running("replay", str(tmp_path / "tape"), "--link", str(tmp_path / "again"))
    port = Port(tmp_path / "again")
    port.write(sides["to_device"])
    assert port.read(len(heard)) == heard
    assert replay.end()[0] == 0
    replay.kill()
    port.close()


def test_a_replay_is_recorded_as_the_tape_that_it_plays(record: Record, tmp_path: Path):
    replay = Running("replay", str(golden("sciencemode2")), "--link", str(tmp_path / "tty"))
    process = record(tmp_path / "tty", "--device", "sciencemode2")
    port = Port(tmp_path / "relay")
    for chunk in taped("sciencemode2").chunks:
        if chunk.direction == "to_device":
            port.write(chunk.data)
        else:
            assert port.read(len(chunk.data)) == chunk.data
    assert replay.end()[0] == 0
    # The device is gone: so is the recorder.
    assert process.popen.wait(SECONDS) == 0
    tape = read(tmp_path / "tape")
    assert tape.head.baud == 460_800
    assert differences(SerialTape(tape.head, taped("sciencemode2").chunks), tape, 60_000_000) == []
    replay.kill()
    port.close()


def test_a_recorder_that_is_killed_leaves_what_it_has_seen(start: Start, record: Record, tmp_path: Path):
    process = record(start().link)
    port = Port(tmp_path / "relay")
    port.write(frame(ASK, 1))
    # The word of the start and the answer.
    heard = b""
    while heard.count(b"\x00") < 2:
        heard += port.read(1)
    process.end(signal.SIGKILL)
    port.close()
    tape = read(tmp_path / "tape")
    assert b"".join(chunk.data for chunk in tape.chunks if chunk.direction == "to_host") == heard
    assert (tape.head.device, tape.head.baud, tape.head.seed) == (None, 115_200, None)


def test_what_cannot_be_recorded(tmp_path: Path, device: Device):
    paths = ["--link", str(tmp_path / "relay"), "--tape", str(tmp_path / "tape")]
    code, out, errors = said("record", "--port", str(tmp_path / "nowhere"), *paths)
    assert (code, out, "No such file" in errors) == (1, "", True)
    code, _, errors = said("record", "--port", str(device.path), "--baud", "12345", *paths)
    assert (code, "expected a rate that the system knows" in errors) == (2, True)
    assert said("record", "--port", str(device.path), "--device", "p24", *paths)[0] == 2
    (tmp_path / "tape").touch()
    code, _, errors = said("record", "--port", str(device.path), *paths)
    assert (code, "File exists" in errors) == (1, True)
    assert not os.path.lexists(tmp_path / "relay")
