"""Key files: made once, read by their owner alone, and never shown."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from controller.identity.jws import detached, holds, sign
from controller.identity.keys import Alg, Key, Secret, Span
from controller.tomlfile import FileError
from tests.controller.signed import secret

TOPIC = "stim/v1/ward3/dev1/event/x"


@pytest.mark.parametrize("alg", Alg)
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_a_key_comes_back_as_it_was_written_and_is_its_owners_alone(tmp_path: Path, alg: Alg, mask: int) -> None:
    path, made = tmp_path / "a.jwk", secret("a", alg)
    before = os.umask(mask)
    try:
        made.write(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read = Secret.read(path)
    assert (read.kid, read.alg, read.key.print) == ("a", alg, made.key.print)
    assert holds(detached(TOPIC, b"{}", sign(read, TOPIC, b"{}")), made.key)


def test_a_key_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jwk"
    secret("a").write(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        secret("b").write(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644, 0o601, 0o620])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.jwk"
    secret("a").write(path)
    path.chmod(mode)
    with pytest.raises(FileError) as refused:
        Secret.read(path)
    assert str(refused.value) == (
        f"{path}: is open to others (mode {mode:04o}): expected mode 0600, as `chmod 600 a.jwk` gives it"
    ).replace(f"{path}: is", f"{path} is")


ED = secret("a").jwk.as_dict(private=True) | {"kid": "a", "alg": "Ed25519"}
HS = secret("a", Alg.HS256).jwk.as_dict(private=True) | {"kid": "a", "alg": "HS256"}
OTHERS = secret("b").jwk.as_dict(private=True)


def without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "7", "null", "\0",
        *(json.dumps(without(ED, name)) for name in ("kty", "crv", "x", "d", "kid", "alg")),
        *(json.dumps(without(HS, name)) for name in ("kty", "k", "kid", "alg")),
        json.dumps(ED | {"alg": "EdDSA"}),
        json.dumps(ED | {"alg": "none"}),
        json.dumps(ED | {"alg": "HS256"}),
        json.dumps(ED | {"x": OTHERS["x"]}),
        json.dumps(ED | {"d": "AAAA"}),
        json.dumps(ED | {"crv": "Ed448"}),
        json.dumps(ED | {"d": 7}),
        json.dumps(HS | {"k": "c2hvcnQ"}),
        json.dumps(HS | {"alg": "Ed25519"}),
        json.dumps(HS | {"alg": "HS512"}),
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.jwk"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(FileError) as refused:
        Secret.read(path)
    expected = 'a key that `stimwarden keys new` made: a JSON Web Key with "kid" and "alg"'
    assert str(refused.value) == f"{path} cannot be used: expected {expected}"
    assert refused.value.__cause__ is None


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jwk"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(FileError, match="cannot be used"):
        Secret.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a\.jwk: cannot be read: No such file or directory"):
        Secret.read(tmp_path / "a.jwk")


@pytest.mark.parametrize("alg", Alg)
def test_no_word_of_a_key_tells_its_secret(alg: Alg) -> None:
    made = secret("a", alg)
    hidden = made.jwk.as_dict(private=True)["d" if alg is Alg.ED25519 else "k"]
    for word in (repr(made), str(made), repr(made.key), str(made.key), made.key.print):
        assert str(hidden) not in word


def test_a_shared_key_has_no_public_half() -> None:
    with pytest.raises(ValueError, match="all of it is secret"):
        secret("a", Alg.HS256).public  # noqa: B018 - a property that raises


@pytest.mark.parametrize("text", ["", "AAAA", "x" * 43 + "!", "x" * 44, str(ED["d"]) + "A", "é"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Ed25519 public key"):
        Key.public("a", text)


def test_a_span_holds_from_its_first_ms_to_before_its_last() -> None:
    assert [Span(5, 7).holds(at) for at in (4, 5, 6, 7)] == [False, True, True, False]
    assert [Span(None, 7).holds(at) for at in (0, 6, 7)] == [True, True, False]
    assert [Span(5, None).holds(at) for at in (4, 5, 10**15)] == [False, True, True]
