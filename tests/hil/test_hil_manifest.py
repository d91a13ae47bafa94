"""A signed report is whole or the file at fault is named; keys that others may read are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from typer.testing import CliRunner

from hil.cli import app
from hil.report.manifest import MANIFEST, SIGNATURE, Fault, make_key, private_key, public_key, seal, verify
from hil.report.refused import Refused

pytestmark = pytest.mark.hazard("H35")

FILES = {"evidence.json": b'{"tests": []}\n', "report.html": b"<p>passed</p>", "empty.txt": b""}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "bench.key"
    make_key(path)
    return path


@pytest.fixture
def report(tmp_path: Path, key_file: Path) -> Path:
    folder = tmp_path / "report"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    seal(folder, private_key(key_file), is_dev=False)
    return folder


def other_key(tmp_path: Path) -> Path:
    make_key(tmp_path / "other.key")
    return tmp_path / "other.key"


def found(folder: Path, key: Path | None = None) -> str:
    with pytest.raises(Fault) as caught:
        verify(folder, key and public_key(key))
    return str(caught.value)


def test_a_whole_report_holds_by_its_own_key_and_by_the_right_one(report: Path, key_file: Path):
    manifest = verify(report)
    assert (set(manifest.files), manifest.is_dev) == (set(FILES), False)
    assert verify(report, public_key(key_file.with_name("bench.key.pub"))) == manifest


def test_one_flipped_bit_in_any_byte_of_any_file_is_found(report: Path):
    for path in sorted(report.iterdir()):
        data = path.read_bytes()
        for place in range(len(data)):
            for bit in (0x01, 0x20, 0x80):
                path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
                named = MANIFEST if path.name in {MANIFEST, SIGNATURE} else path.name
                with pytest.raises(Fault) as caught:
                    verify(report)
                assert caught.value.name == named, (path.name, place, bit)
        path.write_bytes(data)
    verify(report)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SIGNATURE])
def test_a_byte_more_or_a_missing_file_is_found(name: str, report: Path):
    data = (report / name).read_bytes()
    (report / name).write_bytes(data + b"\n")
    assert name in found(report)
    (report / name).unlink()
    assert found(report) == f"{name}: missing"


def test_an_extra_file_and_an_extra_folder_are_found(report: Path):
    (report / "more.html").touch()
    assert found(report) == "more.html: extra, it is not in the manifest"
    (report / "more.html").unlink()
    (report / "more").mkdir()
    assert found(report) == "more: extra, it is not in the manifest"


def test_a_link_to_the_right_bytes_is_no_file_of_the_report(report: Path, tmp_path: Path):
    (report / "report.html").rename(tmp_path / "elsewhere.html")
    (report / "report.html").symlink_to(tmp_path / "elsewhere.html")
    assert found(report) == "report.html: missing"


def test_of_several_faults_the_first_by_name_is_told(report: Path):
    (report / "report.html").write_bytes(b"")
    (report / "empty.txt").write_bytes(b"1")
    assert found(report) == "empty.txt: is not what was signed"


def test_who_signs_anew_with_a_key_of_his_own_is_found_by_the_right_key(report: Path, key_file: Path, tmp_path: Path):
    (report / "report.html").write_bytes(b"<p>passed, honestly</p>")
    for name in (MANIFEST, SIGNATURE):
        (report / name).unlink()
    seal(report, private_key(other_key(tmp_path)), is_dev=False)
    verify(report)
    assert found(report, key_file.with_name("bench.key.pub")) == f"{MANIFEST}: was signed with another key"


def test_a_report_without_a_key_is_not_signed(tmp_path: Path):
    seal(tmp_path, None, is_dev=True)
    assert found(tmp_path) == f"{SIGNATURE}: missing"
    (tmp_path / SIGNATURE).write_bytes(b"\0" * 64)
    assert found(tmp_path) == f"{MANIFEST}: names no key, the report is not signed"


@pytest.mark.parametrize("name", ["../evidence.json", "a/b", "", ".hidden"])
def test_a_manifest_names_plain_files_only(name: str, report: Path, key_file: Path):
    text = (report / MANIFEST).read_text(encoding="ascii").replace('"empty.txt"', f'"{name}"')
    (report / MANIFEST).write_text(text, encoding="ascii")
    (report / SIGNATURE).write_bytes(private_key(key_file).sign(text.encode("ascii")))
    assert found(report).startswith(f"{MANIFEST}: is no manifest")


# Keys


def test_a_new_key_is_for_its_owner_alone_and_never_replaces_one(tmp_path: Path):
    old = os.umask(0)
    try:
        public = make_key(tmp_path / "bench.key")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "bench.key").stat().st_mode) == 0o600
    assert private_key(tmp_path / "bench.key").public_key() == public_key(public)
    before = (tmp_path / "bench.key").read_bytes()
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "bench.key")
    assert (tmp_path / "bench.key").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_key_that_others_may_use_is_refused(mode: int, tmp_path: Path):
    make_key(tmp_path / "bench.key")
    (tmp_path / "bench.key").chmod(mode)
    with pytest.raises(Refused, match=rf"^key_bad: .*bench\.key: its mode is {mode:04o}, others may use it") as caught:
        private_key(tmp_path / "bench.key")
    assert caught.value.code == "key_bad"


def test_what_is_no_key_is_refused(tmp_path: Path, key_file: Path):
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    other = Ed448PrivateKey.generate()
    files = {
        "text.key": b"no key at all",
        "locked.key": private_key(key_file).private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"word")),
        "ed448.key": other.private_bytes(pem, pkcs8, serialization.NoEncryption()),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "ed448.pub").write_bytes(
        other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for name in (*files, "absent.key"):
        with pytest.raises(Refused, match="key_bad"):
            private_key(tmp_path / name)
    for name in ("text.key", "ed448.pub", "absent.pub"):
        with pytest.raises(Refused, match="key_bad"):
            public_key(tmp_path / name)


# The commands


def said(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return result.exit_code, result.output


def test_key_and_verify_as_commands(report: Path, key_file: Path, tmp_path: Path):
    assert said("key", tmp_path / "new.key") == (0, f"{tmp_path}/new.key\n{tmp_path}/new.key.pub\n")
    code, text = said("key", tmp_path / "new.key")
    assert (code, "exists" in text) == (1, True)
    code, text = said("verify", report)
    assert (code, text.splitlines()[0]) == (0, "whole: 3 files, evidence")
    assert "whose key this is was not checked" in text
    code, text = said("verify", report, "--public-key", key_file.with_name("bench.key.pub"))
    assert (code, text.splitlines()) == (0, ["whole: 3 files, evidence"])
    code, text = said("verify", report, "--public-key", tmp_path / "new.key.pub")
    assert (code, text) == (1, f"stimwarden-hil: {MANIFEST}: was signed with another key\n")
    code, text = said("verify", report, "--public-key", report / "report.html")
    assert (code, text.startswith("stimwarden-hil: key_bad: ")) == (3, True)


def test_a_signed_dev_report_is_said_to_be_no_evidence(tmp_path: Path, key_file: Path):
    seal(tmp_path, private_key(key_file), is_dev=True)
    code, text = said("verify", tmp_path)
    assert (code, text.splitlines()[0]) == (0, "whole: 0 files, made with --dev: no evidence")
