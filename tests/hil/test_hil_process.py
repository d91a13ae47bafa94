"""`stimwarden-hil` as a user meets it: a process with a port, a back door and one line of output."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import tty
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hil.clock import boottime_us
from hil.control import Control
from hil.devices.sciencemode4_switches import SWITCHES
from hil.faults import FAULTS
from tests.hil.host import (
    ARM,
    ARMED,
    ASK,
    CUT,
    CUT_OFF,
    DEAD_MAN,
    DRIVE,
    EVENT,
    FEED,
    HELLO,
    PROBE,
    RUNNING,
    STATUS,
    STOP,
    STOPPED,
    arm_payload,
    decoded,
    drive_payload,
    frame,
)
from tests.hil.process import COMMAND, ROOT, SECONDS, Process, Start, said, starting

pytestmark = pytest.mark.hazard("H35")


class Port:
    """The serial port as a host opens it."""

    def __init__(self, link: Path) -> None:
        self._fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd)
        termios.tcflush(self._fd, termios.TCIOFLUSH)
        self._seq = 0
        self.events: list[dict[str, Any]] = []
        os.write(self._fd, b"\x00")

    def ask(self, kind: int, payload: bytes = b"") -> dict[str, Any]:
        """Send a frame and wait for its answer; events are kept."""
        self._seq = (self._seq + 1) % 256
        os.write(self._fd, frame(kind, self._seq, payload))
        while True:
            one = self.hear()
            if one["type"] != EVENT and one["seq"] == self._seq:
                return one

    def hear(self) -> dict[str, Any]:
        """Wait for one frame."""
        held = b""
        while not held.endswith(b"\x00"):
            ready, _, _ = select.select([self._fd], [], [], SECONDS)
            assert ready, "the device is silent"
            held += os.read(self._fd, 1)
        (one,) = decoded(held)
        if one["type"] == EVENT:
            self.events.append(one)
        return one

    def run(self) -> None:
        """ARM, and 20 mA, 300 us at 100 Hz on channel 1."""
        assert self.ask(ARM, arm_payload(7, 60_000, (1, 50_000, 500, 8_000, 10**9)))["state"] == ARMED
        assert self.ask(DRIVE, drive_payload(7, 1, (1, 20_000, 300, 0, 10_000)))["state"] == RUNNING

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def start(tmp_path: Path):
    """Start emulators that do not outlive the test."""
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
async def bench(start: Start) -> AsyncIterator[tuple[Process, Control]]:
    process = start("--channels", "2", "--seed", "1")
    async with await Control.open(process.ctl) as control:
        yield process, control


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_ready_line_and_a_clean_end(start: Start, tmp_path: Path, how: signal.Signals):
    process = start("--serial", "BENCH-7")
    assert process.ready == {
        "link": str(process.link),
        "control": str(process.ctl),
        "pid": process.popen.pid,
        "serial": "BENCH-7",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ctl", "tty"]
    assert process.end(how) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


async def test_a_session_on_the_wire(bench: tuple[Process, Control]):
    """Section 6 of the specification, seen from both ends."""
    process, control = bench
    port = Port(process.link)
    assert port.ask(HELLO)["serial"] == "EMU-0001"
    probed = port.ask(PROBE, struct.pack("<IIBIH", 6, 1, 1, 1_000, 300))
    assert 1_500 < probed["ohm"] < 1_565
    began_us = boottime_us()
    port.run()
    for grant in range(2, 12):
        await asyncio.sleep(0.02)
        port.ask(FEED, struct.pack("<II", 7, grant))
    stopped = port.ask(STOP)
    ended_us = boottime_us()
    assert stopped["state"] == STOPPED

    pulses = (await control.do("pulses", channel=1, since_us=began_us, limit=10_000))["pulses"]
    assert stopped["channels"][0]["pulses"] == len(pulses) > 0
    assert stopped["channels"][0]["charge_nc"] == 12_000 * len(pulses)
    assert all(began_us <= pulse["at_us"] <= ended_us for pulse in pulses)
    gaps = {later["at_us"] - earlier["at_us"] for earlier, later in pairwise(pulses)}
    assert gaps <= {10_000}
    assert {pulse["first_ua"] for pulse in pulses} == {20_000}
    (total,) = (await control.do("scope", channel=1))["channels"]
    assert total["charge_nc"] == 600 + 12_000 * len(pulses)
    port.close()


@pytest.mark.hazard("H11")
async def test_a_host_that_is_gone_leaves_no_current(bench: tuple[Process, Control]):
    process, control = bench
    port = Port(process.link)
    port.run()
    port.close()
    async with asyncio.timeout(SECONDS):
        while (await control.do("device"))["state"] != "STOPPED":  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    inside = await control.do("device")
    assert inside["faults"] == ["DEAD_MAN"]
    pulses = (await control.do("pulses", channel=1, limit=10_000))["pulses"]
    # 100 Hz for exactly 500 ms from the last frame, however late this process looks: fed by the DRIVE.
    assert len(pulses) == 50
    assert pulses[-1]["at_us"] - pulses[0]["at_us"] == 490_000
    # A new host finds it stopped.
    port = Port(process.link)
    assert port.ask(ASK)["faults"] == DEAD_MAN
    port.close()


@pytest.mark.hazard("H10")
async def test_cut_beats_a_stuck_output(bench: tuple[Process, Control]):
    process, control = bench
    port = Port(process.link)
    async with control.injected("stuck_output"):
        port.run()
        assert port.ask(STOP)["state"] == STOPPED
        inside = await control.do("device")
        assert (inside["state"], inside["is_live"], inside["relay_closed"]) == ("STOPPED", True, True)
        before = (await control.do("scope", channel=1))["channels"][0]["pulses"]
        await asyncio.sleep(0.7)
        after = (await control.do("scope", channel=1))["channels"][0]["pulses"]
        assert after - before >= 50
        assert port.ask(CUT)["state"] == CUT_OFF
        last = (await control.do("scope", channel=1))["channels"][0]["last_us"]
        await asyncio.sleep(0.1)
        assert (await control.do("scope", channel=1))["channels"][0]["last_us"] == last
        assert not (await control.do("device"))["relay_closed"]
    port.close()


async def test_the_button_is_told_at_once(bench: tuple[Process, Control]):
    process, control = bench
    port = Port(process.link)
    port.run()
    await control.do("button.press")
    while port.hear()["type"] != EVENT or port.events[-1]["kind"] != 1:
        pass
    assert port.ask(ASK)["state"] == STOPPED
    await control.do("button.release")
    assert port.hear()["kind"] == 2
    port.close()


async def test_pulling_the_line_and_putting_it_back(bench: tuple[Process, Control]):
    process, control = bench
    port = Port(process.link)
    port.run()
    assert port.ask(ASK)["type"] == STATUS
    await control.do("line.pull")
    assert not os.path.lexists(process.link)  # noqa: ASYNC240 - a test may wait
    with pytest.raises(OSError, match="Input/output error"):
        port.ask(ASK)
    port.close()
    await control.do("line.put")
    port = Port(process.link)
    # The device itself lost nothing: it runs until its dead man.
    assert port.ask(ASK)["permit"] == 7
    assert (await control.do("ping"))["line"]
    port.close()


async def test_the_tape_of_a_process(bench: tuple[Process, Control]):
    process, control = bench
    port = Port(process.link)
    since_us = (await control.do("ping"))["now_us"]
    answer = port.ask(ASK)
    tape = (await control.do("tape", since_us=since_us))["tape"]
    heard = b"".join(bytes.fromhex(row["hex"]) for row in tape if row["direction"] == "to_host")
    assert answer in decoded(heard)
    said = b"".join(bytes.fromhex(row["hex"]) for row in tape if row["direction"] == "to_device")
    assert said.endswith(frame(ASK, 1))
    port.close()


def test_options_reach_the_device(start: Start):
    process = start(
        "--clinical", "--channels", "3", "--serial", "X", "--body", "lead_off=true", "--body", "2.lead_off=false"
    )
    port = Port(process.link)
    identity = port.ask(HELLO)
    assert (identity["flags"], identity["serial"]) == (126, "X")
    probes = [struct.pack("<IIBIH", 6, channel, channel, 1_000, 300) for channel in (1, 2, 3)]
    assert [port.ask(PROBE, probe)["flags"] for probe in probes] == [13, 8, 13]
    port.close()


def test_the_boot_number_differs_from_start_to_start_even_with_one_seed(start: Start, tmp_path: Path):
    boots = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        port = Port(start("--seed", "1", folder=folder).link)
        boots.append(port.ask(HELLO)["boot"])
        port.close()
    assert boots[0] != boots[1]


def test_a_second_emulator_on_the_same_link_refuses(start: Start, tmp_path: Path):
    first = start()
    second = subprocess.run(
        [*COMMAND, "emulate", "--link", str(first.link)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=ROOT,
    )
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"stimwarden-hil: {first.link}: another emulator serves it\n"
    third = subprocess.run(
        [*COMMAND, "emulate", "--link", str(tmp_path / "other"), "--control", str(first.ctl)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=ROOT,
    )
    assert (third.returncode, third.stdout) == (1, "")
    assert third.stderr == f"stimwarden-hil: {first.ctl}: another emulator serves it\n"
    # The refused ones took nothing with them.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ctl", "tty"]
    port = Port(first.link)
    assert port.ask(HELLO)["serial"] == "EMU-0001"
    port.close()


def test_after_a_kill_the_same_paths_can_be_served_again(start: Start, tmp_path: Path):
    first = start()
    first.end(signal.SIGKILL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ctl", "tty"]
    second = start()
    port = Port(second.link)
    assert port.ask(HELLO)["serial"] == "EMU-0001"
    port.close()
    assert second.end() == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_it_ends_with_its_standard_input_when_told_so(start: Start, tmp_path: Path):
    process = start("--until-eof", stdin=subprocess.PIPE)
    assert process.popen.stdin is not None
    process.popen.stdin.write("anything\n")
    process.popen.stdin.flush()
    assert Port(process.link).ask(HELLO)["serial"] == "EMU-0001"
    process.popen.stdin.close()
    assert process.popen.wait(SECONDS) == 0
    assert list(tmp_path.iterdir()) == []


def test_until_eof_still_ends_by_signal(start: Start):
    process = start("--until-eof", stdin=subprocess.PIPE)
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(SECONDS) == 0


def test_without_it_the_end_of_standard_input_means_nothing(start: Start):
    process = start()
    port = Port(process.link)
    assert port.ask(HELLO)["serial"] == "EMU-0001"
    assert process.popen.poll() is None
    port.close()


def test_an_emulator_dies_with_a_parent_that_is_killed(tmp_path: Path):
    """The parent is killed without a chance to clean up; the pipe closes; nothing is left."""
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "time.sleep(1000)\n"
    )
    options = ["emulate", "--link", str(tmp_path / "tty"), "--until-eof"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *COMMAND, *options], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b"ready ")
        parent.kill()
        # The emulator holds the other end of this pipe: end of file is its end.
        assert parent.stdout.read() == b""
    assert list(tmp_path.iterdir()) == []


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--body", "contact=2"], "contact=2: expected a number from 0 to 1"),
        (["--body", "1.contact=-0.1"], "contact=-0.1: expected a number from 0 to 1"),
        (["--body", "contact"], "body='contact': expected KEY=VALUE or CHANNEL.KEY=VALUE"),
        (["--body", "3.contact=1"], "body='3.contact=1': expected a channel from 1 to 2 before the point"),
        (["--body", "x.contact=1"], "body='x.contact=1': expected a channel from 1 to 2 before the point"),
        (["--body", "contact=wet"], "contact='wet': expected a number from 0 to 1"),
        (["--body", "contact=none"], "contact=None: expected a number from 0 to 1"),
        (["--body", "skin=1"], "skin=1: expected a key out of area_cm2, contact"),
        (["--serial", "seventeen letters"], "serial='seventeen letters': expected 1 to 16 printable ASCII characters"),
        (["--serial", ""], "serial='': expected 1 to 16 printable ASCII characters"),
        (["--serial", "café"], "serial='café': expected 1 to 16 printable ASCII characters"),
        (["--device", "p24"], "device='p24': expected native, sciencemode4"),
        (["--device", "sciencemode4", "--channels", "2"], "channels=2: expected 8, as many as a P24 has"),
        (["--device", "sciencemode4", "--serial", "SHORT"], "serial='SHORT': expected 10 printable ASCII characters"),
        (["--device", "sciencemode4", "--clinical"], "ScienceMode 4 has no emulator flag"),
        (["--device", "sciencemode4", "--set", "ramp=up"], "ramp='up': expected one of below, reach"),
        (["--device", "sciencemode4", "--set", "hv_ms=-1"], "hv_ms=-1: expected a whole number from 0 to 2000"),
        (["--device", "sciencemode4", "--set", "x=1"], "x=1: expected a key out of status_after_dead_man"),
        (["--set", "x=1"], "x=1: expected a key out of none"),
        (["--set", "x"], "set='x': expected KEY=VALUE"),
        (["--channels", "9"], "channels=9: expected a whole number from 1 to 8"),
        (["--channels", "0"], "channels=0: expected a whole number from 1 to 8"),
        (["--volume", "11"], "No such option: --volume"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: list[str], text: str):
    code, out, errors = said("emulate", "--link", str(tmp_path / "tty"), *arguments)
    assert (code, out) == (2, "")
    assert text in errors
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_needed():
    code, _, errors = said("emulate")
    assert code == 2
    assert "--link" in errors


def test_a_folder_that_is_not_there(tmp_path: Path):
    code, out, errors = said("emulate", "--link", str(tmp_path / "no" / "tty"))
    assert (code, out) == (1, "")
    assert errors.startswith("stimwarden-hil:")
    assert "No such file or directory" in errors


def test_the_table_of_faults_names_every_fault_and_setting():
    code, out, errors = said("faults")
    assert (code, errors) == (0, "")
    for name, entry in FAULTS.items():
        assert f"{name} ({entry.layer})" in out
        for key in entry.settings:
            assert f"{key}=" in out


def test_the_table_of_switches_names_every_switch():
    code, out, errors = said("switches", "--device", "sciencemode4")
    assert (code, errors) == (0, "")
    for key in SWITCHES:
        assert f"{key}=" in out
    assert said("switches")[0] == 0
    assert said("switches", "--device", "p24")[0] == 2


def test_help_opens_no_room():
    program = (
        "import sys, runpy\ntry:\n runpy.run_module('hil.cli', run_name='__main__')\nfinally:\n print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=ROOT,
    )
    assert "emulate" in done.stdout
    opened = done.stdout.splitlines()[-1].split()
    expected = ["hil", "hil.cli_tape", "hil.simulate", "hil.simulate.cli"]
    assert [name for name in opened if name.startswith("hil")] == expected
    assert "asyncio" not in opened
