"""The commands that need no service: how they are called, what they print, and how they end."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller import clock
from controller.cli import app
from controller.contract.bodies import VERBS
from controller.identity import Role
from controller.journal import Journal
from controller.prescriptions import read_prescription
from safety.effects import Entry, Opening
from safety.messages import EntryKind

SETTINGS = """
[site]
id = "ward3"
principals = "principals.toml"
[broker]
username = "svc"
password = "s3cret"
[storage]
journal = "journal.db"
ledger = "ledger.db"
[[device]]
id = "dev1"
driver = "native"
port = "dev1"
profile = "bench"
"""
RX = """
id = "calf"
version = 1
patient = "p-1"
sensation = "S1"
valid_until = 2026-12-31
[programme]
modality = "nmes"
ramp_up_ms = 1_500
on_ms = 5_000
ramp_down_ms = 500
off_ms = 15_000
therapy_ms = 900_000
warm_up_ms = 60_000
[[channel]]
channel = 1
site = "left-calf"
pair = "a"
ua = 20_500
max_ua = 30_000
width_us = 300
gap_us = 100
period_us = 28_500
area_mm2 = 2_550
[channel.calibration]
at = 2026-11-20T09:30:00Z
motor_ua = 15_000
maximal_ua = 38_000
[channel.montage]
region_a = "thigh"
side_a = "left"
region_b = "lower-leg"
side_b = "left"
spacing_mm = 40
[[channel]]
channel = 2
site = "right-calf"
pair = "b"
ua = 20_000
max_ua = 30_000
width_us = 300
gap_us = 0
period_us = 25_000
area_mm2 = 900
small_pad_reason = "a child's hand"
delay_ms = 5_000
[limits]
amplitude_ua = 30_000
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own, with sound settings in it; nothing comes from the environment."""
    for name in [name for name in os.environ if name.startswith("STIMWARDEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stimwarden.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "calf.toml").write_text(RX, encoding="utf-8")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def outcome(*words: str) -> tuple[int, list[str], list[str]]:
    """Status, what was printed, what was said to be wrong."""
    result = run(*words)
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def program(*words: str) -> tuple[int, list[str], list[str]]:
    """The same of a process of its own: the service logs to the descriptor of standard error."""
    command = [str(Path(sys.executable).with_name("stimwarden")), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout.splitlines(), ran.stderr.splitlines()


# How it is called

USAGE = [
    (["fly"], ["No such command 'fly'.", "`stimwarden --help` says what there is."]),
    (["serve", "--fly"], ["No such option: --fly.", "`stimwarden serve --help` says what there is."]),
    (["serve", "--config"], ["Option '--config' requires an argument.", "`stimwarden --help` says what there is."]),
    (["config", "fly"], ["No such command 'fly'.", "`stimwarden config --help` says what there is."]),
    (["rx", "import"], ["Missing argument 'FILE'.", "`stimwarden rx import --help` says what there is."]),
    (["send"], ["Missing argument 'VERB'.", "`stimwarden send --help` says what there is."]),
    (
        ["send", "stop", "--as", "a", "--service-key", "x", "--site", "s"],
        ["--service-key x: expected what `stimwarden keys show` prints at the service"],
    ),
    (["send", "stop"], ["Missing option '--as'.", "`stimwarden send --help` says what there is."]),
    (["watch"], ["Missing option '--as'.", "`stimwarden watch --help` says what there is."]),
    (
        ["send", "stop", "--as", "me", "--port", "0"],
        [
            "Invalid value for '--port': Input should be greater than or equal to 1.",
            "`stimwarden send --help` says what there is.",
        ],
    ),
    (["send", "stop", "--as", "Me"], ["--as Me: expected 1 to 32 of a-z, 0-9 and -"]),
    (["send", "stop", "--as", "me", "--site", "Ward"], ["--site Ward: expected 1 to 32 of a-z, 0-9 and -"]),
    (["send", "device.claim", "--as", "me", "--device", "D"], ["--device D: expected 1 to 32 of a-z, 0-9 and -"]),
    (
        ["send", "device.claim", "--as", "me", "--site", "ward3"],
        ["which device? give --device"],
    ),
    (["send", "device.renew", "--as", "me", "--keep"], ["--keep goes with device.claim only"]),
    (
        ["send", "session.arm", "--as", "me", "--body", "{"],
        [
            "--body: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ],
    ),
    (["send", "session.arm", "--as", "me", "--body", "[1]"], ["--body [1]: expected a JSON object"]),
    (
        ["send", "session.fly", "--as", "me"],
        [f"session.fly: no such verb; there are {', '.join(VERBS)}"],
    ),
    (
        ["send", "stop", "--as", "me", "--password-file", "absent"],
        ["absent: cannot be read: No such file or directory"],
    ),
    (["device", "selftest", "--device", "dev9"], ["--device dev9: no such device; the settings name dev1"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_a_wrong_call_is_told_in_plain_lines_and_ends_with_2(words: list[str], said: list[str]) -> None:
    assert outcome(*words) == (2, [], said)


def test_without_settings_a_site_must_be_named(folder: Path) -> None:
    (folder / "stimwarden.toml").unlink()
    assert outcome("send", "stop", "--as", "me") == (
        2,
        [],
        ["no site: give --site, or --config FILE; there is no stimwarden.toml here"],
    )


def test_of_several_devices_one_must_be_named(folder: Path) -> None:
    second = SETTINGS + '[[device]]\nid = "dev2"\ndriver = "native"\nport = "dev2"\nprofile = "bench"\n'
    (folder / "stimwarden.toml").write_text(second, encoding="utf-8")
    assert outcome("send", "device.claim", "--as", "me") == (
        2, [], ["which device? give --device; the settings name dev1, dev2"]
    )  # fmt: skip
    assert outcome("device", "selftest") == (2, [], ["which device? the settings name dev1, dev2"])


@pytest.mark.parametrize("words", [["--help"], ["rx", "--help"], ["send", "--help"], ["demo", "--help"]])
def test_help_is_no_mistake(words: list[str]) -> None:
    status, printed, said = outcome(*words)
    assert (status, said, printed[0].split()[:2]) == (0, [], ["Usage:", "stimwarden"])


@pytest.mark.parametrize("words", [[], ["rx"], ["config"]])
def test_a_group_without_a_command_shows_what_there_is(words: list[str]) -> None:
    status, printed, said = outcome(*words)
    assert (status, printed) == (2, [])
    assert said == run(*words, "--help").stdout.rstrip("\n").splitlines()


def test_the_command_line_opens_no_room_before_it_must() -> None:
    script = (
        "import sys, controller.cli;"
        "rooms = {'pydantic', 'sqlalchemy', 'aiomqtt', 'rich.table', 'serialx', 'structlog'};"
        "print(sorted(rooms & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_it_is_a_program() -> None:
    status, printed, said = program("config", "show")
    assert (status, printed[0], said) == (0, 'site.id = "ward3"', [])


def test_a_reader_that_has_enough_is_no_mistake() -> None:
    command = [Path(sys.executable).with_name("stimwarden"), "config", "show"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.close()
        assert ran.stderr.read() == b""


def test_a_mistake_of_ours_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: Path) -> None:
        raise KeyError("x")

    monkeypatch.setattr("controller.settings.load", broken)
    status, printed, said = outcome("config", "show")
    assert (status, printed, len(said)) == (1, [], 1)
    assert said[0].startswith("stimwarden itself is wrong, please tell its makers: KeyError: 'x' (")
    assert said[0].endswith(")")


# Settings

WITH_SETTINGS = [
    ["serve"],
    ["doctor"],
    ["config", "show"],
    ["rx", "import", "calf.toml"],
    ["rx", "list"],
    ["rx", "show", "calf@1"],
    ["ledger", "show", "p-1"],
    ["ledger", "merge", "p-1", "p-2"],
    ["ledger", "pad", "x", "--expires", "2027-01-31"],
    ["audit", "verify"],
    ["device", "selftest"],
    ["send", "stop", "--as", "me"],
    ["watch", "--as", "me"],
]


@pytest.mark.parametrize("words", WITH_SETTINGS, ids=" ".join)
def test_wrong_settings_end_every_command_alike(folder: Path, words: list[str]) -> None:
    (folder / "wrong.toml").write_text(SETTINGS.replace('"ward3"', "3").replace('"bench"', '"real"'), encoding="utf-8")
    assert outcome(*words, "--config", "wrong.toml") == (
        2,
        [],
        [
            "wrong.toml: site.id = 3: expected 1 to 32 of a-z, 0-9 and -",
            'wrong.toml: [[device]] 1: profile = "real": expected "clinical" or "bench"',
        ],
    )


@pytest.mark.parametrize("words", WITH_SETTINGS, ids=" ".join)
def test_no_settings_end_every_command_alike(words: list[str]) -> None:
    assert outcome(*words, "--config", "absent.toml") == (
        2,
        [],
        ["absent.toml: cannot be read: No such file or directory"],
    )


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_wrong_policy_is_a_wrong_configuration(folder: Path, command: str) -> None:
    (folder / "stimwarden.toml").write_text(SETTINGS + '[policy]\nfile = "policy.toml"\n', encoding="utf-8")
    (folder / "policy.toml").write_text("[nmes]\n", encoding="utf-8")
    status, printed, said = program(command)
    assert (status, printed, said[-1]) == (2, [], "policy.toml: tens is missing: expected a table of all limits")


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_wrong_principals_are_a_wrong_configuration(folder: Path, command: str) -> None:
    (folder / "principals.toml").write_text('[[principal]]\nname = "A"\n', encoding="utf-8")
    status, printed, said = program(command)
    assert (status, printed) == (2, [])
    assert said[0] == 'principals.toml: [[principal]] 1: name = "A": expected 1 to 32 of a-z, 0-9 and -'


def test_the_settings_in_force() -> None:
    assert outcome("config", "show") == (
        0,
        [
            'site.id = "ward3"',
            "site.instance = not set",
            'site.principals = "principals.toml"',
            'broker.host = "127.0.0.1"',
            "broker.port = 1883",
            'broker.username = "svc"',
            "broker.password = ***",
            "broker.tls = false",
            'storage.journal = "journal.db"',
            'storage.ledger = "ledger.db"',
            'storage.recordings = "recordings"',
            'identity.proof = "signed"',
            "identity.key_file = not set",
            *(f"identity.tiers.{role} = not set" for role in Role),
            f'policy.file = "{Path(sys.modules["controller"].__path__[0]) / "policy.toml"}"',
            '[[device]] 1: id = "dev1"',
            '[[device]] 1: driver = "native"',
            '[[device]] 1: port = "dev1"',
            '[[device]] 1: profile = "bench"',
            "[[device]] 1: stop_button = not set",
            'http.host = "127.0.0.1"',
            "http.port = 9464",
        ],
        [],
    )


def test_the_settings_in_force_and_where_they_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_BROKER__PORT", "8883")
    status, printed, said = outcome("config", "show", "--origin")
    assert (status, said) == (0, [])
    rows = [line.split("  ") for line in printed]
    assert {row[0]: row[-1].strip() for row in rows if row[0].startswith(("site", "broker"))} == {
        'site.id = "ward3"': "file stimwarden.toml",
        "site.instance = not set": "default",
        'site.principals = "principals.toml"': "file stimwarden.toml",
        'broker.host = "127.0.0.1"': "default",
        "broker.port = 8883": "environment STIMWARDEN_BROKER__PORT",
        'broker.username = "svc"': "file stimwarden.toml",
        "broker.password = ***": "file stimwarden.toml",
        "broker.tls = false": "default",
    }
    assert len({line.index(row[-1].strip()) for line, row in zip(printed, rows, strict=True)}) == 1


# Prescriptions


def digest() -> str:
    return read_prescription(Path("calf.toml")).digest


def test_a_prescription_is_imported_once() -> None:
    assert outcome("rx", "import", "calf.toml") == (0, [f"calf@1 is stored; digest {digest()}"], [])
    assert outcome("rx", "import", "calf.toml") == (0, [f"calf@1 was stored before, the same; digest {digest()}"], [])


def test_a_version_with_other_content_is_refused(folder: Path) -> None:
    run("rx", "import", "calf.toml")
    (folder / "calf.toml").write_text(RX.replace("20_500", "21_000"), encoding="utf-8")
    assert outcome("rx", "import", "calf.toml") == (
        1,
        [],
        ["calf@1 exists with other content: give the changed one a version of its own"],
    )


def test_a_wrong_prescription_is_told_line_by_line(folder: Path) -> None:
    (folder / "calf.toml").write_text(RX.replace("on_ms = 5_000", "on_s = 5", 1).replace('"a"', '""'), encoding="utf-8")
    keys = "modality, ramp_up_ms, on_ms, ramp_down_ms, off_ms, therapy_ms, warm_up_ms, cool_down_ms"
    assert outcome("rx", "import", "calf.toml") == (
        2,
        [],
        [
            "calf.toml: programme.on_ms is missing: expected a whole number",
            f"calf.toml: programme.on_s is unknown: expected one of {keys}",
            'calf.toml: [[channel]] 1: pair = "": expected 1 to 32 of a-z, 0-9 and -',
        ],
    )
    assert not (folder / "ledger.db").exists()


def test_a_lost_ledger_is_not_replaced(folder: Path) -> None:
    (folder / "journal.db").touch()
    status, printed, said = outcome("rx", "import", "calf.toml")
    assert (status, printed, said) == (1, [], ["ledger.db: (sqlite3.OperationalError) unable to open database file"])
    assert not (folder / "ledger.db").exists()


def test_prescriptions_are_listed(folder: Path) -> None:
    assert outcome("rx", "list")[1] == ["prescription  patient  class  therapy  valid until  imported"]
    run("rx", "import", "calf.toml")
    (folder / "calf.toml").write_text(RX.replace("version = 1", "version = 2").replace("900_000", "91_000"))
    run("rx", "import", "calf.toml")
    status, printed, said = outcome("rx", "list")
    assert (status, said) == (0, [])
    assert [line.split()[:-1] for line in printed[1:]] == [
        ["calf@1", "p-1", "S1", "nmes,", "15", "min", "2026-12-31T23:59"],
        ["calf@2", "p-1", "S1", "nmes,", "91", "s", "2026-12-31T23:59"],
    ]


def test_a_prescription_is_shown_in_the_units_of_people() -> None:
    run("rx", "import", "calf.toml")
    status, printed, said = outcome("rx", "show", "calf@1")
    assert (status, said) == (0, [])
    assert printed[:5] == [
        "calf@1 for p-1, sensation S1",
        "valid until 2026-12-31T23:59:59.999Z",
        "NMES for 15 min: 1 min warm-up, 1.5 s ramp up, 5 s on, 0.5 s ramp down, 15 s off",
        "limits of its own: amplitude_ua = 30000",
        f"digest {digest()}",
    ]
    cells = [tuple(cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")) for line in printed[5:]]
    assert [row for row in cells if len(row) == 3] == [
        ("channel", "1", "2"),
        ("site", "left-calf", "right-calf"),
        ("pads", "a", "b"),
        ("current", "20.5 mA", "20 mA"),
        ("window up to", "30 mA", "30 mA"),
        ("pulse", "2 x 300 us, gap 100 us", "2 x 300 us, gap 0 us"),
        ("rate", "35.09 Hz", "40 Hz"),
        ("smaller pad", "25.50 cm2", "9.00 cm2 (a child's hand)"),
        ("pads at", "left thigh and left lower-leg, 40 mm apart", "not said"),
        ("delay", "0 s", "5 s"),
        ("calibrated", "2026-11-20T09:30", "no"),
        ("thresholds", "sensory -, motor 15 mA, maximal 38 mA", "none"),
    ]


def test_a_prescription_that_is_not_there() -> None:
    run("rx", "import", "calf.toml")
    assert outcome("rx", "show", "calf@2") == (
        1,
        [],
        ["there is no prescription calf@2; `stimwarden rx list` lists those that there are"],
    )


# The journal


def write_journal(path: Path, entries: int) -> None:
    """A journal as the service leaves it."""

    async def write() -> None:
        journal = Journal.open(path, "ward3", "p1", clock.now(), lambda _: None)
        for number in range(1, entries + 1):
            body = Opening(
                session=f"s-{number}", rx="calf@1", rx_digest="d", patient="p-1", principal="me", policy="p1"
            )
            journal.append("dev1", Entry(number, EntryKind.OPEN, body), clock.now())
        await journal.close()

    asyncio.run(write())


def test_a_sound_journal(folder: Path) -> None:
    write_journal(folder / "journal.db", 3)
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        (head,) = database.execute("SELECT hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    assert outcome("audit", "verify") == (0, [f"journal.db: 4 entries, every one as it was written; head {head}"], [])
    assert outcome("audit", "verify", "--journal", "journal.db", "--config", "absent.toml")[0] == 0


@pytest.mark.hazard("H39")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE journal SET body = replace(body, 'p-1', 'p-2') WHERE seq = 3",
            "broken at entry 3: its content does not give its hash; the 2 before it are as written",
        ),
        (
            "DELETE FROM journal WHERE seq = 2",
            "broken at entry 2: the row is missing; row 3 comes next; the 1 before it are as written",
        ),
    ],
)
def test_a_journal_that_was_changed(folder: Path, change: str, said: str) -> None:
    write_journal(folder / "journal.db", 3)
    with closing(sqlite3.connect(folder / "journal.db")) as database, database:
        database.execute(change)
    assert outcome("audit", "verify") == (1, [f"journal.db: {said}"], [])


def test_no_journal() -> None:
    assert outcome("audit", "verify") == (1, [], ["journal.db: unable to open database file"])


# Devices and brokers that are not there


def test_a_self_test_needs_a_device() -> None:
    status, printed, said = outcome("device", "selftest")
    assert (status, printed, len(said)) == (1, [], 1)
    assert said[0].startswith("LINK.ABSENT: dev1: it cannot be opened")


@pytest.mark.parametrize("words", [["send", "device.claim"], ["send", "stop"], ["watch"]])
def test_no_broker(words: list[str]) -> None:
    status, printed, said = outcome(*words, "--as", "me", "--port", "1")
    assert (status, printed) == (1, [])
    assert said == ["broker 127.0.0.1:1: [Errno 111] Connection refused"]
