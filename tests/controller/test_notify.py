"""The service manager hears that the safety loop goes round, over a real socket, and hears nothing once it does not."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import clock, oversight
from controller import station as module
from controller.notify import Notifier, Watchdog, manager, watchdog_ms
from controller.oversight import overseen
from safety.messages import Tick
from tests.conftest import server_path
from tests.controller.peer import until
from tests.controller.ward import Ward

UNIT = Path(__file__).parents[2] / "deploy" / "stimwarden.service"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What the manager listens on; the environment names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def heard(listener: socket.socket) -> list[str]:
    """All that was said since it was last asked."""
    words = []
    while True:
        try:
            words.append(listener.recv(4096).decode())
        except BlockingIOError:
            return words


# Words


def test_a_word_arrives_as_one_datagram(systemd: socket.socket) -> None:
    notifier = manager()
    assert notifier is not None
    notifier.say("READY=1\nWATCHDOG=1")
    assert heard(systemd) == ["READY=1\nWATCHDOG=1"]
    notifier.close()


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0stimwarden-{os.getpid()}")
        notifier = Notifier(f"@stimwarden-{os.getpid()}")
        notifier.say("READY=1")
        assert listener.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1"])
def test_without_a_manager_nothing_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert manager() is None


def test_a_manager_that_is_gone_or_does_not_read_holds_nobody_up(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = manager()
    assert notifier is not None
    for _ in range(10_000):
        notifier.say("WATCHDOG=1")
    assert 0 < len(heard(systemd)) < 10_000
    (tmp_path / "notify").unlink()
    notifier.say("WATCHDOG=1")
    notifier.close()


@pytest.mark.parametrize(
    ("time_us", "for_pid", "expected"),
    [("10000000", "", 10_000), ("10000000", "us", 10_000), ("10000000", "1", 0), ("", "", 0), ("soon", "", 0)],
)
def test_the_time_of_the_watchdog_is_read(
    time_us: str, for_pid: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", time_us)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if for_pid == "us" else for_pid)
    assert watchdog_ms() == expected


# The watchdog


def test_it_is_fed_when_every_station_has_ticked() -> None:
    fed: list[int] = []
    watchdog = Watchdog(["dev1", "dev2"], lambda: fed.append(1), every_ms=0)
    watchdog.ticked("dev1")
    watchdog.ticked("dev1")
    assert fed == []
    watchdog.ticked("dev2")
    assert fed == [1]
    watchdog.ticked("dev2")
    assert fed == [1]
    watchdog.ticked("dev1")
    assert fed == [1, 1]


def test_a_station_that_ticks_no_more_starves_it_whatever_the_others_do() -> None:
    fed: list[int] = []
    watchdog = Watchdog(["dev1", "dev2"], lambda: fed.append(1), every_ms=0)
    for _ in range(1_000):
        watchdog.ticked("dev2")
    assert fed == []


def test_it_is_not_fed_at_every_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []
    began, moment = clock.now(), [0]
    monkeypatch.setattr(clock, "now", lambda: began._replace(mono_ms=began.mono_ms + moment[0]))
    watchdog = Watchdog(["dev1"], lambda: fed.append(moment[0]), every_ms=100)
    for moment[0] in range(0, 400, 25):
        watchdog.ticked("dev1")
    assert fed == [0, 100, 200, 300]


# Stations


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


@pytest.mark.hazard("H11")
async def test_a_station_whose_ticks_fail_feeds_nobody(
    ward: Ward, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    step, failed = module.machine.step, [0]

    def planted(station: object, event: object, now: object) -> object:
        if isinstance(event, Tick):
            failed[0] += 1
            raise PlantedError
        return step(station, event, now)  # type: ignore[arg-type]

    await ward.open()
    with overseen(None, {"dev1": ward.actor}, lambda: True) as leaving:
        words: list[str] = []
        await until(lambda: words.extend(heard(systemd)) or len(words) > 2)
        assert words[0] == "READY=1\nWATCHDOG=1"
        assert set(words[1:]) == {"WATCHDOG=1"}
        with monkeypatch.context() as patch:
            patch.setattr(module.machine, "step", planted)
            await until(lambda: failed[0])
            heard(systemd)
            before = failed[0]
            await until(lambda: failed[0] > before + 5)
            assert heard(systemd) == []
        await until(lambda: heard(systemd))
        leaving()
        assert heard(systemd)[-1] == "STOPPING=1"
    await ward.close()


class PlantedError(Exception):
    """What the tests plant."""


async def test_who_stands_still_is_named(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    await ward.open()
    watchdog = Watchdog(["dev1", "dev2"], lambda: None, every_ms=0)
    watchdog.ticked_ms["dev2"] -= oversight.STALLED_MS + 1
    assert oversight.stalled(watchdog) == ["dev2"]
    said = oversight.ready({"dev1": ward.actor, "dev2": ward.actor}, watchdog, is_up=True)
    assert said["devices"] == {"dev1": "idle", "dev2": "stalled"}
    assert (said["ready"], said["broker"]) == (False, True)
    watchdog.ticked("dev2")
    assert oversight.ready({"dev1": ward.actor}, watchdog, is_up=True)["ready"] is True
    assert oversight.ready({"dev1": ward.actor}, watchdog, is_up=False)["ready"] is False
    ward.actor.health = ward.actor.health._replace(ledger=False)
    said = oversight.ready({"dev1": ward.actor}, watchdog, is_up=True)
    assert (said["ready"], said["ledger"], said["journal"]) == (False, False, True)
    await ward.close()


# The unit


def verified(text: str, tmp_path: Path) -> tuple[int, str]:
    """What systemd says of a unit; the program stands in a place of its own, so another one stands in for it."""
    unit = tmp_path / "stimwarden.service"
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    program = server_path("systemd")
    assert program is not None
    found = subprocess.run([program, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    return found.returncode, found.stderr


@pytest.mark.server("systemd")
def test_the_unit_is_sound_and_a_planted_fault_is_seen(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert verified(text, tmp_path) == (0, "")
    _, said = verified(text.replace("WatchdogSec=10", "WatchdogSecs=10"), tmp_path)
    assert "WatchdogSecs" in said


def test_the_unit_has_what_the_code_relies_on() -> None:
    keys = dict(line.split("=", 1) for line in UNIT.read_text(encoding="utf-8").splitlines() if "=" in line[:24])
    assert (keys["Type"], keys["NotifyAccess"], keys["Restart"]) == ("notify", "main", "on-failure")
    # An orderly end feeds nobody while the ledger settles: it must be over before the watchdog's time is.
    from controller.app import DRAIN_S  # noqa: PLC0415
    from controller.broker import GOODBYE_S  # noqa: PLC0415

    assert float(keys["WatchdogSec"]) > DRAIN_S + module.SETTLE_S + GOODBYE_S
