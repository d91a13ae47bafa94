"""The principals file: keys, times and limits in it, and how it is read again while the service runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.contract.envelope import utc_ms
from controller.identity import BrokerStamp, Principal, Role, Signatures, read_principals
from controller.identity.ceilings import Ceilings
from controller.identity.keys import Alg, Span
from controller.identity.register import Register
from controller.tomlfile import FileError
from tests.controller.signed import key, secret

ENTRY = '[[principal]]\nname = "a"\nrole = "physio"\ndevices = ["*"]\n'
OWN, SHARED = secret("a-1"), secret("a-2", Alg.HS256)
PUBLIC = f'[[principal.key]]\nkid = "a-1"\nalg = "Ed25519"\npublic = "{OWN.public}"\n'
FILE = '[[principal.key]]\nkid = "a-2"\nalg = "HS256"\nsecret_file = "a-2.jwk"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SHARED.write(tmp_path / "a-2.jwk")
    return tmp_path / "principals.toml"


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def complaint(path: Path, text: str) -> list[str]:
    with pytest.raises(FileError) as refused:
        read_principals(put(path, text))
    return str(refused.value).replace(str(path.parent), "DIR").splitlines()


def test_everything_that_can_be_said_of_a_principal(path: Path) -> None:
    dated = "valid_from = 2026-11-01T00:00:00Z\nvalid_until = 2027-01-01T01:00:00+01:00\n"
    text = (
        f"{ENTRY}{dated}revoked = true\n{PUBLIC}{dated}{FILE}revoked = true\n"
        "[principal.limits]\nmax_ua = 20_000\nmax_width_us = 300\nmax_therapy_ms = 600_000\n"
    )
    span = Span(utc_ms("2026-11-01T00:00:00Z"), utc_ms("2027-01-01T00:00:00Z"))
    assert read_principals(put(path, text)) == {
        "a": Principal(
            "a",
            Role.PHYSIO,
            frozenset({"*"}),
            {"a-1": key(OWN, span=span), "a-2": key(SHARED, revoked=True)},
            Ceilings(20_000, 300, 600_000),
            span,
            revoked=True,
        )
    }


AT = "DIR/principals.toml: [[principal]] 1: "
KEY = f"{AT}[[key]] 1: "
TIME = "expected a date and time with its offset, such as 2027-01-01T00:00:00Z"
ITS_FILE = "expected the path of the key file that an HS256 key shares with its sender"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (ENTRY + "valid_until = 2027-01-01T00:00:00\n", [f"{AT}valid_until = 2027-01-01T00:00:00: {TIME}"]),
        (ENTRY + "valid_from = 2027-01-01\n", [f"{AT}valid_from = 2027-01-01: {TIME}"]),
        (ENTRY + "revoked = 1\n", [f"{AT}revoked = 1: expected true or false"]),
        (
            ENTRY + PUBLIC.replace("Ed25519", "none"),
            [f'{KEY}alg = "none": expected one of HS256, Ed25519'],
        ),
        (
            ENTRY + PUBLIC.replace("a-1", "a/1"),
            [f'{KEY}kid = "a/1": expected 1 to 64 of letters, digits, dot, - and _'],
        ),
        (
            ENTRY + PUBLIC.replace(OWN.public, "AAAA"),
            [f'{KEY}public = "AAAA": expected what `stimwarden keys show` prints of an Ed25519 key'],
        ),
        (
            ENTRY + PUBLIC.replace(f'public = "{OWN.public}"', ""),
            [f"{KEY}public is missing: expected what `stimwarden keys show` prints of an Ed25519 key"],
        ),
        (
            ENTRY + PUBLIC + 'secret_file = "a-2.jwk"\n',
            [f"{KEY}secret_file is set: expected public: nobody but the sender has the secret of an Ed25519 key"],
        ),
        (ENTRY + FILE.replace('secret_file = "a-2.jwk"', ""), [f"{KEY}secret_file is missing: {ITS_FILE}"]),
        (
            ENTRY + FILE + f'public = "{OWN.public}"\n',
            [f"{KEY}public is set: expected secret_file: an HS256 key has no public half"],
        ),
        (
            ENTRY + FILE.replace('"a-2"', '"a-3"'),
            [f'{KEY}secret_file holds the HS256 key "a-2": expected the HS256 key "a-3"'],
        ),
        (ENTRY + FILE.replace("a-2.jwk", "b.jwk"), ["DIR/b.jwk: cannot be read: No such file or directory"]),
        (ENTRY + PUBLIC + PUBLIC, ['DIR/principals.toml: kid = "a-1": expected each name once']),
        (
            ENTRY + PUBLIC + ENTRY.replace('"a"', '"b"') + PUBLIC.replace("a-1", "b-1"),
            ['DIR/principals.toml: kid = "b-1" is a key that stands here twice: expected each key once'],
        ),
        (
            ENTRY + "[principal.limits]\nmax_ua = -1\nmax_ma = 20\n",
            [
                f"{AT}limits.max_ua = -1: expected a whole number of microamperes",
                f"{AT}limits.max_ma is unknown: expected one of max_ua, max_width_us, max_therapy_ms",
            ],
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(path: Path, text: str, problems: list[str]) -> None:
    assert complaint(path, text) == problems


def test_a_shared_key_that_others_can_read_is_refused(path: Path) -> None:
    (path.parent / "a-2.jwk").chmod(0o640)
    assert complaint(path, ENTRY + FILE) == [
        "DIR/a-2.jwk is open to others (mode 0640): expected mode 0600, as `chmod 600 a-2.jwk` gives it"
    ]


# Whether people can prove who they are

LACKS = (
    '{path}: name = "a" has no key that a {role} needs: '
    'expected {tier}, made by `stimwarden keys new`; or on a bench [identity] proof = "broker" in the settings'
)


@pytest.mark.parametrize("role", ["physio", "prescriber", "biomed"])
@pytest.mark.parametrize("keys", ["", FILE])
def test_a_person_without_a_key_of_their_own_is_a_mistake(path: Path, role: str, keys: str) -> None:
    put(path, ENTRY.replace("physio", role) + keys)
    with pytest.raises(FileError) as refused:
        Register(path, Signatures())
    assert str(refused.value) == LACKS.format(path=path, role=role, tier="T3")
    assert set(Register(path, BrokerStamp())) == {"a"}
    assert set(Register(put(path, ENTRY.replace("physio", role) + keys + PUBLIC), Signatures())) == {"a"}


@pytest.mark.parametrize("text", [ENTRY.replace("physio", role) for role in ("handset", "automation", "auditor")])
def test_who_needs_no_key_needs_none(path: Path, text: str) -> None:
    assert set(Register(put(path, text), Signatures())) == {"a"}


def test_who_was_revoked_needs_no_key(path: Path) -> None:
    assert Register(put(path, ENTRY + "revoked = true\n"), Signatures())["a"].revoked


# While the service runs

TWO = ENTRY + PUBLIC + ENTRY.replace('"a"', '"b"').replace("physio", "auditor")


@pytest.fixture
def register(path: Path) -> Register:
    return Register(put(path, TWO), Signatures())


def test_a_file_that_stays_is_not_read_again(path: Path, register: Register) -> None:
    assert (len(register), list(register)) == (2, ["a", "b"])
    assert not register.refresh()
    assert register.refresh(anyway=True)


def test_a_file_that_was_written_anew_and_says_the_same_is_no_change(path: Path, register: Register) -> None:
    put(path, TWO + "\n")
    assert not register.refresh()


def test_another_key_is_a_change(path: Path, register: Register) -> None:
    put(path, TWO.replace(OWN.public, secret("a-9").public))
    assert register.refresh()
    assert register["a"].keys["a-1"].print == secret("a-9").key.print


def test_a_change_counts_from_when_it_is_read(path: Path, register: Register) -> None:
    put(path, TWO.replace("[[principal.key]]", "revoked = true\n[[principal.key]]"))
    assert not register["a"].revoked
    assert register.refresh()
    assert register["a"].revoked
    assert not register.refresh()


@pytest.mark.parametrize("text", ["", "[[principal", ENTRY, TWO.replace("auditor", "doctor")])
def test_a_file_that_has_become_wrong_changes_nothing_and_is_told_once(
    path: Path, register: Register, text: str
) -> None:
    before = dict(register)
    put(path, text)
    with pytest.raises(FileError):
        register.refresh()
    assert dict(register) == before
    assert not register.refresh()
    put(path, ENTRY + PUBLIC)
    assert register.refresh()
    assert set(register) == {"a"}


def test_a_file_that_is_gone_changes_nothing(path: Path, register: Register) -> None:
    path.unlink()
    with pytest.raises(FileError):
        register.refresh()
    assert set(register) == {"a", "b"}
    assert not register.refresh()


def test_a_file_that_is_wrong_from_the_beginning_is_refused(path: Path) -> None:
    with pytest.raises(FileError):
        Register(put(path, ""), Signatures())
