"""The service as a process: what keeps it from starting, and what does not keep it from keeping devices safe."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller import app
from controller.app import Outlet, address_of, checked_address
from controller.logs import WAITING, LineWriter
from controller.outbox import Outgoing
from controller.settings import SHIPPED_POLICY, load
from controller.tomlfile import FileError
from tests.conftest import HOST, Embedded, free_port
from tests.controller.peer import until

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))

from house import House

DEVICE = '[[device]]\nid = "dev1"\ndriver = "native"\nport = "absent"\nprofile = "bench"\n'
SERVE = [sys.executable, "-m", "controller.cli", "serve", "--config"]
NONE = "[Errno 2] No such file or directory"
PATIENCE_S = 40.0


# What keeps it from starting


@pytest.fixture
def site(tmp_path: Path) -> Iterator[House]:
    """Settings for a device that is not there and a broker that is not there."""
    house = House(tmp_path, HOST, free_port())
    house.configure(more=DEVICE)
    yield house
    asyncio.run(house.close())


def started(house: House, said: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """A service in its own folder."""
    service = subprocess.Popen([*SERVE, "config.toml"], cwd=house.folder, stdout=subprocess.PIPE, stderr=said)
    house.processes.append(service)
    return service


def refused(house: House) -> tuple[int, str]:
    """Status and last line of a service that cannot start; nothing it says may be a trace."""
    service = started(house)
    printed, said = service.communicate(timeout=PATIENCE_S)
    assert (printed, b"Traceback" in said) == (b"", False)
    return service.returncode, said.decode().splitlines()[-1]


def changed(house: House, found: str, put: str) -> None:
    """Change the settings."""
    config = house.folder / "config.toml"
    text = config.read_text(encoding="utf-8")
    assert found in text
    config.write_text(text.replace(found, put), encoding="utf-8")


def once(house: House) -> None:
    """Let a service run once, so that there are files."""
    ended(running(house))


def running(house: House) -> subprocess.Popen[bytes]:
    """A service that has started, and looks for its device."""
    service = started(house)
    assert service.stderr is not None
    while b'"device.absent"' not in (line := service.stderr.readline()):
        assert line
    return service


def ended(service: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """Tell a service to end; it ends well."""
    service.send_signal(number)
    service.communicate(timeout=PATIENCE_S)
    assert service.returncode == 0


def policy_past_its_limit(house: House) -> None:
    text = SHIPPED_POLICY.read_text(encoding="utf-8").replace("amplitude_ua = 80_000", "amplitude_ua = 100_001", 1)
    (house.folder / "policy.toml").write_text(text, encoding="utf-8")
    changed(house, "[storage]", '[policy]\nfile = "policy.toml"\n[storage]')


def policy_absent(house: House) -> None:
    changed(house, "[storage]", '[policy]\nfile = "policy.toml"\n[storage]')


def principals_wrong(house: House) -> None:
    table = '[[principal]]\nname = "Ward Sister"\nrole = "physio"\ndevices = ["*"]\n'
    (house.folder / "principals.toml").write_text(table, encoding="utf-8")


def tls_absent(house: House) -> None:
    changed(house, "[storage]", '[broker.tls]\nca_file = "ca.pem"\n[storage]')


def folder_absent(house: House) -> None:
    changed(house, 'ledger = "', 'ledger = "nowhere/')


def ledger_lost(house: House) -> None:
    once(house)
    (house.folder / "ledger-journal.sqlite").unlink()


def ledger_damaged(house: House) -> None:
    once(house)
    for end in ("-wal", "-shm"):
        (house.folder / f"ledger-journal.sqlite{end}").unlink(missing_ok=True)
    (house.folder / "ledger-journal.sqlite").write_bytes(b"no database at all" * 100)


def journal_changed(house: House) -> None:
    once(house)
    with closing(sqlite3.connect(house.folder / "journal.sqlite")) as writer, writer:
        writer.execute("UPDATE journal SET body = replace(body, 'ward3', 'ward4')")


def journal_of_another(house: House) -> None:
    once(house)
    changed(house, 'id = "ward3"', 'id = "ward4"')


REFUSED: dict[str, tuple[Callable[[House], None], int, str]] = {
    "unknown key": (
        lambda house: changed(house, "[storage]", "[storage]\ncopies = 2"),
        2,
        "config.toml: storage.copies is unknown: expected one of journal, ledger, recordings",
    ),
    "policy past a hard limit": (
        policy_past_its_limit,
        2,
        "policy.toml: nmes.amplitude_ua = 100001: expected at most 100000, the hard limit",
    ),
    "policy absent": (policy_absent, 2, "policy.toml: cannot be read: No such file or directory"),
    "principals wrong": (
        principals_wrong,
        2,
        'principals.toml: [[principal]] 1: name = "Ward Sister": expected 1 to 32 of a-z, 0-9 and -',
    ),
    "tls absent": (
        tls_absent,
        2,
        'settings: broker.tls = {"ca_file": "ca.pem"}: expected PEM files that fit; ' + NONE,
    ),
    "folder absent": (
        folder_absent,
        1,
        "nowhere/ledger-journal.sqlite: unable to open database file",
    ),
    "ledger lost": (ledger_lost, 1, "ledger-journal.sqlite: (sqlite3.OperationalError) unable to open database file"),
    "ledger damaged": (ledger_damaged, 1, "ledger-journal.sqlite: (sqlite3.DatabaseError) file is not a database"),
    "journal changed": (journal_changed, 1, "row 1: its content does not give its hash"),
    "journal of another": (journal_of_another, 1, "journal.sqlite is the journal of ward3, not of ward4"),
}


@pytest.mark.hazard("H29")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_ends_it_with_one_clear_line(site: House, case: str) -> None:
    spoil, status, line = REFUSED[case]
    spoil(site)
    assert refused(site) == (status, line)


@pytest.mark.rule("X12")
@pytest.mark.hazard("H40")
async def test_a_core_that_lacks_a_rule_does_not_start(site: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(site.folder.iterdir())
    monkeypatch.setattr(app, "gaps", lambda: ("nobody asks M19", "M80 is asked and not registered"))
    with pytest.raises(app.IncompleteError, match=r"^nobody asks M19; M80 is asked and not registered$"):
        await app.keep(load(site.folder / "config.toml"))
    assert sorted(site.folder.iterdir()) == before


@pytest.mark.hazard("H29")
def test_a_journal_belongs_to_one_service(site: House) -> None:
    service = running(site)
    assert refused(site) == (1, "journal.sqlite belongs to another process")
    ended(service, signal.SIGINT)


def test_a_ledger_is_made_only_where_nothing_was_journalled(site: House) -> None:
    once(site)
    assert (site.folder / "ledger-journal.sqlite").exists()
    ledger_lost(site)
    assert not (site.folder / "ledger-journal.sqlite").exists()
    refused(site)
    assert not (site.folder / "ledger-journal.sqlite").exists()


def test_files_of_tls_are_used(site: House) -> None:
    assert address_of(load(site.folder / "config.toml")).tls is None
    changed(site, "[storage]", 'username = "svc"\npassword = "secret"\n[broker.tls]\n[storage]')
    address = checked_address(load(site.folder / "config.toml"))
    assert (address.host, address.port, address.username, address.password) == (HOST, site.port, "svc", "secret")
    assert address.tls is not None
    (site.folder / "ca.pem").write_text("no certificate", encoding="ascii")
    changed(site, "[broker.tls]", '[broker.tls]\nca_file = "ca.pem"')
    with pytest.raises(FileError, match=r"broker\.tls = .*ca\.pem.*expected PEM files"):
        checked_address(load(site.folder / "config.toml"))


def test_the_outlet_hands_everything_on() -> None:
    got: list[Outgoing] = []
    outlet = Outlet()
    outlet.publish = got.append
    item = Outgoing("b", b"2", qos=0, retain=True, correlation=b"c", signature="s")
    outlet(item)
    assert got == [item]


# What does not


@pytest.fixture
async def house(broker: Embedded, tmp_path: Path) -> AsyncIterator[House]:
    """A broker and a bed; the service is not started."""
    home = House(tmp_path, broker.host, broker.port)
    home.add_bed()
    home.configure()
    yield home
    await home.close()


@pytest.mark.hazard("H11")
async def test_without_a_broker_it_keeps_its_devices_stopped_and_keeps_trying(house: House, broker: Embedded) -> None:
    broker.kill()
    bed = house.beds["dev1"]
    service = house.start()
    async with asyncio.timeout(PATIENCE_S):
        while (await bed.do("device"))["frames"] < 10:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.1)
    assert ((await bed.do("device"))["state"], service.poll()) == ("STOPPED", None)
    assert house.logged("service.ready") == 0
    broker.start()
    async with house.client() as client:
        await house.ready(client)
        assert (await client.ask("dev1", "device.claim")).status == "succeeded"
    broker.kill()
    house.kill(signal.SIGTERM)
    await until(lambda: service.poll() is not None)
    assert service.returncode == 0
    assert (await bed.do("device"))["state"] == "STOPPED"


async def test_it_says_what_it_does(house: House) -> None:
    service = house.start()
    async with house.client() as client:
        await house.ready(client)
    house.kill(signal.SIGTERM)
    await until(lambda: service.poll() is not None)
    events = [line["event"] for line in house.log()]
    assert events[0] == "service.starting"
    assert [event for event in events if event.startswith(("service", "device"))] == [
        "service.starting", "service.ready", "device.stopping",
    ]  # fmt: skip
    assert {line["boot_id"] for line in house.log() if "boot_id" in line} == {house.log()[0]["boot_id"]}


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads, and that is full."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4_096)
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, 0)
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_log_that_nobody_reads_holds_nothing_up(
    house: House, full_pipe: tuple[int, int], is_gone: bool
) -> None:
    reader, writer = full_pipe
    if is_gone:
        os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
    service = started(house, writer)
    async with house.client() as client:
        await until(lambda: (summary := client.summary("dev1")) is not None and summary.phase == "idle")
        for _ in range(20):
            assert (await client.ask("dev1", "session.start")).status == "rejected"
        assert (await client.ask("dev1", "device.claim")).status == "succeeded"
    service.send_signal(signal.SIGTERM)
    await until(lambda: service.poll() is not None)
    assert service.returncode == 0


# The writer of the log


def test_lines_are_written_in_order_and_all_of_them_before_it_is_closed() -> None:
    reader, end = os.pipe()
    writer = LineWriter(end)
    for number in range(500):
        writer.info(f"{number} \u00b5 \ud800")
    writer.close()
    os.close(end)
    with os.fdopen(reader, encoding="utf-8") as lines:
        assert list(lines) == [f"{number} \u00b5 \\ud800\n" for number in range(500)]


def test_what_finds_no_place_is_lost_and_nobody_waits_for_it(full_pipe: tuple[int, int]) -> None:
    reader, end = full_pipe
    writer = LineWriter(end)
    for number in range(WAITING + 100):
        writer.error(f"line {number}")
    writer.close()
    os.set_blocking(reader, False)
    got = b""
    while b"line 1000\n" not in got:
        try:
            got += os.read(reader, 65_536)
        except BlockingIOError:
            continue
    assert got.strip(b"x").startswith(b"line 0\nline 1\n")
