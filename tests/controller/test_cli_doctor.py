"""`doctor`: each thing that can be wrong is made wrong in earnest, and found."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner

from controller import cli_doctor, clock
from controller.broker import Address
from controller.cli import app
from controller.journal import Journal
from controller.settings import DeviceTable, load
from controller.store.tables import open_database
from safety.messages import DeviceState, DeviceUp, Identity, Now, Status

sys.path.insert(0, str(Path(__file__).parents[1] / "safety"))

from rig import CAPS

ACL = Path(__file__).parents[2] / "deploy" / "acl"
SETTINGS = """
[site]
id = "bench"
principals = "principals.toml"
[broker]
host = "{host}"
port = {port}
{login}
[storage]
journal = "journal.db"
ledger = "ledger.db"
[[device]]
id = "stim-1"
driver = "native"
port = "stim-1"
profile = "bench"
"""
SECRET = "s3cret"  # noqa: S105 - of a test
LOGIN = 'username = "stimsvc-bench"\npassword = "s3cret"'
PRINCIPALS = '[[principal]]\nname = "console"\nrole = "physio"\ndevices = ["*"]\n'
WHO = "emulator native-bench EMU-0001, firmware 1.0.0, 2 channels, dead man 500 ms"


class Broker(Protocol):
    """A broker of the fixtures."""

    host: str
    port: int

    def kill(self) -> None: ...


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site's directory; nothing comes from the environment."""
    for name in [name for name in os.environ if name.startswith("STIMWARDEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "principals.toml").write_text(PRINCIPALS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def bed(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An emulated stimulator on the site's port."""
    command = [sys.executable, "-m", "hil.cli", "emulate", "--link", str(folder / "stim-1"), "--until-eof"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"ready ")
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


@pytest.fixture
def strict(folder: Path, mosquitto_with: Callable[[str], Broker]) -> Broker:
    """Mosquitto with the access list that ships, and a password for the service."""
    program = shutil.which("mosquitto_passwd")
    assert program is not None
    passwords = folder / "passwords"
    subprocess.run([program, "-b", "-c", str(passwords), "stimsvc-bench", "s3cret"], check=True, capture_output=True)
    return mosquitto_with(f"allow_anonymous false\npassword_file {passwords}\nacl_file {ACL}")


def configure(folder: Path, broker: Broker, login: str = LOGIN) -> None:
    text = SETTINGS.format(host=broker.host, port=broker.port, login=login)
    (folder / "stimwarden.toml").write_text(text, encoding="utf-8")
    (folder / "stimwarden.toml").chmod(0o600)


def examine() -> tuple[int, dict[str, str]]:
    """Exit status, and what was found: by thing, its mark, text and advice."""
    result = CliRunner().invoke(app, ["doctor"])
    assert result.stderr == ""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", result.stdout)
    text = re.sub(r"\d+ MB", "MANY MB", re.sub(r"policy [0-9a-f]{12}", "policy DIGEST", text))
    text = re.sub(r"takes \d+\.\d ms", "takes SOME ms", text)
    text = re.sub(r"doctor-[0-9a-f]{8}", "doctor-WORD", text.replace("\n      -> ", " -> "))
    found = {}
    for line in text.splitlines():
        mark, rest = line.split(maxsplit=1)
        what, _, words = rest.partition(": ")
        found[what] = f"{mark} {words}"
    return result.exit_code, found


SOUND = {
    "settings": "ok stimwarden.toml is sound; principals: 1, devices: 1, policy DIGEST",
    "clock": "ok it says TIME",
    "access list": "ok the broker refuses to publish for us as somebody else",
    "retain flag": "ok the broker passes it on as published",
    "delay": "ok an echo takes SOME ms",
    "files": "ok stimwarden.toml is the service's alone",
    "disk at .": "ok can be written; MANY MB are free",
    "journal": "ok there is none yet; the service will make journal.db",
    "ledger": "ok there is none yet; the service will make ledger.db",
    "device stim-1": f"ok {WHO}",
}


def sound(broker: Broker) -> dict[str, str]:
    return SOUND | {"broker": f"ok {broker.host}:{broker.port} speaks MQTT 5 and takes the login stimsvc-bench"}


# The whole


@pytest.mark.server("mosquitto")
def test_a_site_that_is_sound(folder: Path, strict: Broker, bed: object) -> None:
    configure(folder, strict)
    assert examine() == (0, sound(strict))
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".db") == []


@pytest.mark.server("mosquitto")
def test_a_site_that_has_been_in_use(folder: Path, strict: Broker, bed: object) -> None:
    configure(folder, strict)
    write_journal(folder, clock.now())
    open_database(folder / "ledger.db", may_create=True)
    status, found = examine()
    assert status == 0
    assert (found["journal"], found["ledger"]) == (
        "ok 1 entries, every one as it was written",
        "ok opens and is whole",
    )


# The broker


def test_a_broker_that_lets_everybody_publish_everything(folder: Path, broker: Broker, bed: object) -> None:
    configure(folder, broker, "")
    status, found = examine()
    assert status == 1
    assert {name: words for name, words in found.items() if SOUND.get(name) != words} == {
        "broker": f"ok {broker.host}:{broker.port} speaks MQTT 5 and takes the login (none)",
        "login": "WARN the broker takes us without a name -> "
        "Give the service a login of its own: topics name their senders only if the broker knows them.",
        "access list": "FAIL the broker let us publish as somebody else, to "
        "stim/v1/bench/stim-1/cmd/doctor-WORD/service.status -> "
        "Put an access list in force such as deploy/acl: without one anybody can command under any name.",
        "retain flag": "FAIL the broker drops the flag, so a stored command looks like a fresh one -> "
        "Use a broker that serves MQTT 5's retain-as-published.",
    }


@pytest.mark.server("mosquitto")
@pytest.mark.hazard("H24")
def test_the_access_list_is_what_makes_the_difference(folder: Path, mosquitto: Broker, bed: object) -> None:
    configure(folder, mosquitto)
    status, found = examine()
    assert status == 1
    assert found["access list"].startswith("FAIL the broker let us publish as somebody else, to stim/v1/bench/")
    assert found["retain flag"] == SOUND["retain flag"]


@pytest.mark.server("mosquitto")
@pytest.mark.hazard("H24")
def test_a_list_that_lets_the_service_speak_for_another_site_is_seen(
    folder: Path, mosquitto_with: Callable[[str], Broker], bed: object
) -> None:
    acl = ACL.read_text(encoding="utf-8").replace(
        "user stimsvc-bench\n", "user stimsvc-bench\ntopic readwrite stim/v1/+/+/state/#\n"
    )
    (folder / "acl").write_text(acl, encoding="ascii")
    program = shutil.which("mosquitto_passwd")
    assert program is not None
    subprocess.run([program, "-b", "-c", "passwords", "stimsvc-bench", "s3cret"], check=True, capture_output=True)
    extra = f"allow_anonymous false\npassword_file {folder / 'passwords'}\nacl_file {folder / 'acl'}"
    configure(folder, mosquitto_with(extra))
    status, found = examine()
    assert status == 1
    assert found["access list"].startswith(
        "FAIL the broker let us publish as somebody else, to stim/v1/doctor-WORD/stim-1/state/summary -> "
    )


@pytest.mark.server("mosquitto")
def test_a_list_that_lets_nothing_back_cannot_be_judged(
    folder: Path, mosquitto_with: Callable[[str], Broker], bed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_doctor, "ECHO_S", 0.5)
    (folder / "acl").write_text("topic write nothing/#\n", encoding="ascii")
    configure(folder, mosquitto_with(f"allow_anonymous true\nacl_file {folder / 'acl'}"))
    status, found = examine()
    assert status == 0
    assert found["access list"] == (
        "WARN cannot be judged: what is allowed does not come back either -> "
        "Let the service's login read and write stim/v1/bench/stim-1/ack/stimsvc-bench/#, or trust the list unseen."
    )
    assert found["retain flag"] == "WARN cannot be judged: what is allowed does not come back"


@pytest.mark.server("mosquitto")
def test_a_broker_that_holds_messages_back_is_slow(
    folder: Path, mosquitto_with: Callable[[str], Broker], bed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_doctor, "SLOW_S", 0.0)
    configure(folder, mosquitto_with("allow_anonymous true"))
    _, found = examine()
    assert found["delay"] == (
        "WARN an echo takes SOME ms -> Set `set_tcp_nodelay true` in mosquitto; another broker, or a nearer one."
    )


@pytest.mark.server("mosquitto")
def test_nothing_stays_behind_in_the_broker(folder: Path, mosquitto: Broker, bed: object) -> None:
    configure(folder, mosquitto)
    examine()
    program = shutil.which("mosquitto_sub")
    if program is None:
        pytest.skip("mosquitto_sub is not installed")
    command = [program, "-h", mosquitto.host, "-p", str(mosquitto.port), "-t", "#", "-W", "1", "-v"]
    heard = subprocess.run(command, capture_output=True, text=True, check=False)
    assert heard.stdout == ""


@pytest.mark.server("mosquitto")
def test_a_wrong_password(folder: Path, strict: Broker, bed: object) -> None:
    configure(folder, strict, LOGIN.replace("s3cret", "other"))
    status, found = examine()
    assert status == 1
    assert found["broker"].startswith(f"FAIL {strict.host}:{strict.port}: ")
    assert "authori" in found["broker"]
    assert "other" not in str(found)
    assert "access list" not in found
    assert found["device stim-1"] == SOUND["device stim-1"]


def test_no_broker(folder: Path, broker: Broker, bed: object) -> None:
    configure(folder, broker)
    broker.kill()
    status, found = examine()
    assert status == 1
    assert found["broker"] == (
        f"FAIL {broker.host}:{broker.port}: [Errno 111] Connection refused -> "
        "See that it runs there, speaks MQTT 5, and knows this login; [broker] says how it is reached."
    )


def test_an_authority_that_is_not_there(folder: Path, broker: Broker, bed: object) -> None:
    configure(folder, broker, LOGIN + '\n[broker.tls]\nca_file = "ca.pem"')
    status, found = examine()
    assert status == 1
    assert found["broker"].startswith("FAIL a file of [broker.tls] cannot be used: ")


@pytest.mark.parametrize(
    ("address", "marks"),
    [
        (Address(host="127.0.0.1", port=1, username="svc", password=SECRET), []),
        (Address(host="::1", port=1, username="svc", password=SECRET), []),
        (Address(host="broker", port=1, username="svc", password=SECRET), ["WARN"]),
        (Address(host="broker", port=1, username="svc"), []),
        (Address(host="broker", port=1), ["WARN"]),
        (Address(host="127.0.0.1", port=1, username="svc/x"), ["FAIL"]),
        (Address(host="127.0.0.1", port=1, username="+"), ["FAIL"]),
    ],
)
def test_a_login_is_judged(address: Address, marks: list[str]) -> None:
    assert [finding.mark for finding in cli_doctor.of_login(address)] == marks


@pytest.mark.parametrize(("fastest_s", "mark"), [(0.0, "ok"), (0.019, "ok"), (0.02, "WARN"), (3.0, "WARN")])
def test_a_delay_is_judged(fastest_s: float, mark: str) -> None:
    assert cli_doctor.of_delay(fastest_s).mark == mark


# Files with secrets


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_password_that_others_may_read(folder: Path, mode: int) -> None:
    text = SETTINGS.format(host="127.0.0.1", port=1, login=LOGIN)
    config = folder / "stimwarden.toml"
    config.write_text(text, encoding="utf-8")
    config.chmod(mode)
    (finding,) = cli_doctor.of_files(config, load(config))
    assert str(finding) == (
        f"FAIL  files: {config} holds a secret, and others may read it (mode {mode:04o})\n"
        f"      -> Give it to the service's account, and: chmod 0600 {config}"
    )


def test_a_password_of_the_environment_is_in_no_file_and_a_key_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, key = folder / "stimwarden.toml", folder / "client.key"
    text = SETTINGS.format(host="127.0.0.1", port=1, login='username = "stimsvc-bench"\n[broker.tls]')
    config.write_text(text, encoding="utf-8")
    monkeypatch.setenv("STIMWARDEN_BROKER__PASSWORD", SECRET)
    monkeypatch.setenv("STIMWARDEN_BROKER__TLS", f'{{"cert_file": "{key}", "key_file": "{key}"}}')
    key.write_text("", encoding="ascii")
    key.chmod(0o600)
    assert [str(finding) for finding in cli_doctor.of_files(config, load(config))] == [
        f"ok    files: {key} is the service's alone"
    ]
    key.chmod(0o644)
    assert [finding.mark for finding in cli_doctor.of_files(config, load(config))] == ["FAIL"]


# The clock and the disk


def write_journal(folder: Path, now: Now) -> None:
    async def write() -> None:
        await Journal.open(folder / "journal.db", "bench", "p1", now, lambda _: None).close()

    asyncio.run(write())


@pytest.mark.hazard("H27")
@pytest.mark.parametrize(("ahead_ms", "mark"), [(0, "ok"), (60_000, "FAIL")])
def test_a_clock_that_was_set_back(folder: Path, ahead_ms: int, mark: str) -> None:
    now = clock.now()
    write_journal(folder, now._replace(wall_ms=now.wall_ms + ahead_ms))
    assert cli_doctor.of_clock(folder / "journal.db", bench=True).mark == mark


@pytest.mark.parametrize(("wall_ms", "mark"), [(1_767_225_600_000, "ok"), (1_767_225_599_999, "FAIL"), (0, "FAIL")])
def test_a_clock_that_was_never_set(folder: Path, monkeypatch: pytest.MonkeyPatch, wall_ms: int, mark: str) -> None:
    monkeypatch.setattr(clock, "now", lambda: Now(mono_ms=1, wall_ms=wall_ms))
    assert cli_doctor.of_clock(folder / "journal.db", bench=True).mark == mark


@pytest.mark.hazard("H27")
@pytest.mark.parametrize(
    ("bench", "kept", "mark"), [(True, False, "ok"), (False, True, "ok"), (False, False, "FAIL")]
)  # fmt: skip
def test_where_patients_are_something_must_keep_the_clock_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bench: bool, kept: bool, mark: str
) -> None:
    monkeypatch.setattr(clock, "is_disciplined", lambda: kept)
    assert cli_doctor.of_clock(folder / "journal.db", bench=bench).mark == mark


@pytest.mark.parametrize(
    ("low", "scarce", "mark"), [(0, 0, "ok"), (2**62, 0, "WARN"), (2**62, 2**62, "FAIL")]
)  # fmt: skip
def test_a_disk_that_fills(folder: Path, monkeypatch: pytest.MonkeyPatch, low: int, scarce: int, mark: str) -> None:
    monkeypatch.setattr(cli_doctor, "LOW", low)
    monkeypatch.setattr(cli_doctor, "SCARCE", scarce)
    assert cli_doctor.of_folder(folder).mark == mark
    assert list(folder.glob("tmp*")) == []


def test_a_folder_that_cannot_be_written() -> None:
    assert cli_doctor.of_folder(Path("/proc/self")).mark == "FAIL"
    assert str(cli_doctor.of_folder(Path("absent"))) == (
        "FAIL  disk at absent: cannot be written: No such file or directory\n"
        "      -> Let the service's account write there."
    )


def test_the_recordings_may_still_have_to_be_made(folder: Path) -> None:
    assert cli_doctor.nearest(folder / "a" / "b") == folder


# The journal and the ledger


def test_a_journal_that_was_changed(folder: Path) -> None:
    write_journal(folder, clock.now())
    with closing(sqlite3.connect(folder / "journal.db")) as database, database:
        database.execute("UPDATE journal SET wall_ms = 0")
    assert str(cli_doctor.of_journal(folder / "journal.db")) == (
        "FAIL  journal: broken at entry 1: its content does not give its hash\n"
        "      -> Keep the file as evidence. The service does not start on it."
    )


def test_a_file_that_is_no_journal(folder: Path) -> None:
    (folder / "journal.db").mkdir()
    assert cli_doctor.of_journal(folder / "journal.db").mark == "FAIL"


def test_a_ledger_that_was_lost(folder: Path) -> None:
    assert str(cli_doctor.of_ledger(folder / "ledger.db", may_be_new=False)) == (
        "FAIL  ledger: "
        f"{folder / 'ledger.db'}: (sqlite3.OperationalError) unable to open database file\n"
        "      -> Bring it back from a copy: without it nobody knows what patients were given."
    )
    assert not (folder / "ledger.db").exists()


def test_a_ledger_that_is_damaged(folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"no database" * 500)
    assert cli_doctor.of_ledger(folder / "ledger.db", may_be_new=True).mark == "FAIL"


# The devices


def device(**changes: str) -> DeviceTable:
    table = {"id": "stim-1", "driver": "native", "port": "stim-1", "profile": "bench"} | changes
    return DeviceTable.model_validate(table)


def of_device(**changes: str) -> cli_doctor.Finding:
    return asyncio.run(cli_doctor.of_device(device(**changes)))


def test_a_device_that_is_there(bed: object) -> None:
    assert str(of_device()) == f"ok    device stim-1: {WHO}"


@pytest.mark.hazard("H35")
def test_an_emulator_in_a_clinic(bed: object) -> None:
    assert str(of_device(profile="clinical")) == (
        f"FAIL  device stim-1: {WHO}\n      -> Profile clinical forbids it: bench is for emulators, and only they."
    )


def test_no_device() -> None:
    found = of_device()
    assert (found.mark, found.text.split(":")[0]) == ("FAIL", "LINK.ABSENT")


def test_a_port_that_somebody_has(folder: Path, bed: object) -> None:
    holder = os.open(folder / "stim-1", os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        found = of_device()
    finally:
        os.close(holder)
    assert (found.mark, found.todo) == ("WARN", "If it is this service that has it open, all is well.")


def test_something_else_on_the_port(folder: Path) -> None:
    master, slave = os.openpty()
    (folder / "stim-1").symlink_to(os.ttyname(slave))
    try:
        found = of_device()
    finally:
        os.close(master)
        os.close(slave)
    assert (found.mark, found.text.split(":")[0]) == ("FAIL", "DEV.SILENT")
    assert found.todo == "See that the right kind of device is on this port."


IDENTITY = Identity(model="stimwarden-native", serial="S1", firmware="2.0", protocol=1, emulator=False, boot=1)
STATUS = Status(1, 0, 0, DeviceState.STOPPED, 0, False, 0, 12_000, 0, 0)


@pytest.mark.parametrize(
    ("identity", "profile", "mark"),
    [
        (IDENTITY, "clinical", "ok"),
        (IDENTITY, "bench", "FAIL"),
        (replace(IDENTITY, emulator=True), "bench", "ok"),
        (replace(IDENTITY, emulator=True), "clinical", "FAIL"),
        (replace(IDENTITY, model="other"), "clinical", "FAIL"),
    ],
)
def test_an_identity_is_judged_by_the_settings(identity: Identity, profile: str, mark: str) -> None:
    assert cli_doctor.of_identity(device(profile=profile), DeviceUp(identity, CAPS, STATUS)).mark == mark
