"""`stimwarden keys` and `stimwarden principals`: what they print, what they write, and how they end."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller import clock
from controller.cli import app
from controller.contract.envelope import utc_text
from controller.identity import Role, read_principals
from controller.identity.keys import Alg, Secret
from tests.controller.signed import secret

SETTINGS = """
[site]
id = "ward3"
principals = "principals.toml"
[storage]
journal = "journal.db"
ledger = "ledger.db"
[[device]]
id = "dev1"
driver = "native"
port = "dev1"
profile = "bench"
"""
PRINCIPALS = """
# Who may ask at ward 3.
[[principal]]
name = "console"     # the nurses' own
role = "physio"
devices = ["dev1"]

[[principal.key]]
kid = "console-1"
alg = "Ed25519"
public = "{public}"

[[principal]]
name = "bedside"
role = "handset"
devices = ["*"]
limits = {{ max_ua = 20_000 }}
"""
OWN = secret("console-1")
FAR, PAST, SOON = ("2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2998-01-01T00:00:00Z")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stimwarden.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "principals.toml").write_text(PRINCIPALS.format(public=OWN.public), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def printed(*words: str) -> list[str]:
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def refused(*words: str) -> tuple[int, str]:
    result = run(*words)
    assert result.stdout == ""
    return result.exit_code, result.stderr.strip()


# Keys


def test_a_new_key_is_its_owners_alone_and_its_table_is_printed(folder: Path) -> None:
    lines = printed("keys", "new", "console-2.jwk")
    made = Secret.read(folder / "console-2.jwk")
    assert stat.S_IMODE((folder / "console-2.jwk").stat().st_mode) == 0o600
    assert lines == ["[[principal.key]]", 'kid = "console-2"', 'alg = "Ed25519"', f'public = "{made.public}"']
    assert printed("keys", "show", "console-2.jwk") == [made.public]


def test_a_shared_key_is_named_by_its_file_and_not_shown(folder: Path) -> None:
    lines = printed("keys", "new", "line.jwk", "--alg", "HS256", "--kid", "plc7-1")
    assert lines == ["[[principal.key]]", 'kid = "plc7-1"', 'alg = "HS256"', 'secret_file = "line.jwk"']
    assert Secret.read(folder / "line.jwk").alg is Alg.HS256
    assert refused("keys", "show", "line.jwk") == (
        1, "line.jwk: plc7-1 is an HS256 key: it has no public half, and its secret is not shown",
    )  # fmt: skip


def test_two_new_keys_are_two_keys(folder: Path) -> None:
    printed("keys", "new", "a.jwk")
    printed("keys", "new", "b.jwk")
    assert Secret.read(folder / "a.jwk").key.print != Secret.read(folder / "b.jwk").key.print


def test_a_key_is_never_written_over(folder: Path) -> None:
    printed("keys", "new", "a.jwk")
    before = (folder / "a.jwk").read_bytes()
    assert refused("keys", "new", "a.jwk") == (1, "a.jwk: there is a file already; a key is never written over")
    assert (folder / "a.jwk").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("new", "absent/a.jwk"), 1, "absent/a.jwk: cannot be written: No such file or directory"),
        (("new", "a.jwk", "--kid", "a b"), 2, "--kid a b: expected 1 to 64 of letters, digits, dot, - and _"),
        (("show", "absent.jwk"), 2, "absent.jwk: cannot be read: No such file or directory"),
        (("show",), 1, "service.jwk: there is no key yet; the service makes it at its first start"),
        (
            ("show", "open.jwk"),
            2,
            "open.jwk is open to others (mode 0644): expected mode 0600, as `chmod 600 open.jwk` gives it",
        ),
    ],
)
def test_what_cannot_work_is_said_in_a_line(folder: Path, words: tuple[str, ...], status: int, said: str) -> None:
    OWN.write(folder / "open.jwk")
    (folder / "open.jwk").chmod(0o644)
    assert refused("keys", *words) == (status, said)


def test_the_services_own_key_is_shown_by_its_public_half(folder: Path) -> None:
    OWN.write(folder / "service.jwk")
    assert printed("keys", "show") == [OWN.public]
    secret("elsewhere").write(folder / "own.jwk")
    text = SETTINGS + '[identity]\nkey_file = "own.jwk"\n'
    (folder / "stimwarden.toml").write_text(text, encoding="utf-8")
    assert printed("keys", "show") == [secret("elsewhere").public]


STATES = [
    ("", "valid"),
    ("revoked = true", "revoked"),
    (f"valid_until = {PAST}", "run out"),
    (f"valid_from = {FAR}", "not yet valid"),
    (f"valid_from = {PAST}\nvalid_until = {FAR}", "valid"),
]


@pytest.mark.parametrize(("dated", "state"), STATES)
def test_every_key_is_listed_as_it_is_now(folder: Path, dated: str, state: str) -> None:
    with (folder / "principals.toml").open("r+", encoding="utf-8") as file:
        text = file.read().replace('kid = "console-1"', f'kid = "console-1"\n{dated}')
        file.seek(0)
        file.write(text)
    _, row = printed("keys", "list")
    assert re.split(r"  +", row.strip())[:4] == ["console", "console-1", "Ed25519", state]


# Principals


def test_everybody_is_listed(folder: Path) -> None:
    rows = [re.split(r"  +", line.strip()) for line in printed("principals", "list")]
    assert rows == [
        ["name", "role", "devices", "keys", "state", "from", "until", "limits"],
        ["console", "physio", "dev1", "1", "valid"],
        ["bedside", "handset", "*", "0", "valid", "20000 uA"],
    ]


def test_a_file_that_serves_is_found_good(folder: Path) -> None:
    assert printed("principals", "check") == ["principals.toml: 2 principals, and each can prove who it is"]


def test_a_person_who_could_not_prove_it_is_found(folder: Path) -> None:
    printed("principals", "add", "doctor", "--role", "prescriber", "--device", "*")
    status, said = refused("principals", "check")
    assert (status, said.split(": expected")[0]) == (
        2, 'principals.toml: name = "doctor" has no key that a prescriber needs',
    )  # fmt: skip


def test_somebody_is_added_with_a_key_and_every_comment_stays(folder: Path) -> None:
    printed("keys", "new", "doctor-1.jwk")
    lines = printed(
        "principals", "add", "doctor", "--role", "prescriber", "--device", "dev1", "--device", "dev2",
        "--key", "doctor-1.jwk",
    )  # fmt: skip
    assert lines == ["doctor added to principals.toml. A service that runs reads it within a second."]
    before, after = PRINCIPALS.format(public=OWN.public), (folder / "principals.toml").read_text(encoding="utf-8")
    assert after.startswith(before)
    doctor = read_principals(folder / "principals.toml")["doctor"]
    assert (doctor.role, doctor.devices) == (Role.PRESCRIBER, {"dev1", "dev2"})
    assert [key.print for key in doctor.keys.values()] == [Secret.read(folder / "doctor-1.jwk").key.print]


def test_who_is_revoked_stays_in_the_file(folder: Path) -> None:
    assert printed("principals", "revoke", "console") == [
        "console is revoked in principals.toml. A service that runs reads it within a second."
    ]
    found = read_principals(folder / "principals.toml")
    assert {name: principal.revoked for name, principal in found.items()} == {"console": True, "bedside": False}
    assert "# the nurses' own" in (folder / "principals.toml").read_text(encoding="utf-8")
    _, row = printed("keys", "list")
    assert "revoked" in row


def test_one_key_can_be_revoked_alone(folder: Path) -> None:
    printed("principals", "revoke", "console", "--kid", "console-1")
    console = read_principals(folder / "principals.toml")["console"]
    assert (console.revoked, [key.revoked for key in console.keys.values()]) == (False, [True])


def test_the_file_keeps_its_mode(folder: Path) -> None:
    (folder / "principals.toml").chmod(0o640)
    printed("principals", "revoke", "bedside")
    assert stat.S_IMODE((folder / "principals.toml").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("revoke", "nobody"), 1, "principals.toml: there is no nobody"),
        (("revoke", "console", "--kid", "x"), 1, "principals.toml: console has no key x"),
        (("revoke", "bedside", "--kid", "x"), 1, "principals.toml: bedside has no key x"),
        (
            ("add", "console", "--role", "physio", "--device", "*"),
            2,
            'principals.toml: name = "console": expected each name once',
        ),
        (
            ("add", "A B", "--role", "physio", "--device", "*"),
            2,
            'principals.toml: [[principal]] 3: name = "A B": expected 1 to 32 of a-z, 0-9 and -',
        ),
        (
            ("add", "plc7", "--role", "automation", "--device", "*", "--key", "line.jwk"),
            2,
            "--key line.jwk: name an HS256 key in the file by hand: its path is the site's own",
        ),
        (
            ("add", "other", "--role", "physio", "--device", "*", "--key", "own.jwk"),
            2,
            'principals.toml: kid = "console-1": expected each name once',
        ),
    ],
)
def test_what_cannot_be_done_changes_nothing(folder: Path, words: tuple[str, ...], status: int, said: str) -> None:
    secret("line", Alg.HS256).write(folder / "line.jwk")
    OWN.write(folder / "own.jwk")
    before = (folder / "principals.toml").read_bytes()
    found, text = refused("principals", *words)
    assert (found, text) == (status, said)
    assert (folder / "principals.toml").read_bytes() == before
    assert {each.name for each in folder.iterdir()} == {"stimwarden.toml", "principals.toml", "line.jwk", "own.jwk"}


@pytest.mark.parametrize("command", ["list", "check"])
def test_a_wrong_file_is_told(folder: Path, command: str) -> None:
    (folder / "principals.toml").write_text("", encoding="utf-8")
    assert refused("principals", command) == (
        2, "principals.toml: principal is missing: expected [[principal]] tables of name, role and devices",
    )  # fmt: skip


def test_times_are_listed(folder: Path) -> None:
    text = PRINCIPALS.format(public=OWN.public).replace('role = "physio"', f'role = "physio"\nvalid_until = {FAR}')
    (folder / "principals.toml").write_text(text, encoding="utf-8")
    assert "2999-01-01T00:00:00.000Z" in printed("principals", "list")[1]
    (folder / "principals.toml").write_text(text.replace(FAR, PAST), encoding="utf-8")
    assert "outside its time" in printed("principals", "list")[1]
    assert utc_text(clock.now().wall_ms) < SOON
