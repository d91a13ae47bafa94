"""Who may ask what, of which device; the principals file; how often a refusal is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.contract.envelope import Arrival
from controller.identity import (
    MAY_ASK,
    BrokerStamp,
    Principal,
    Proven,
    Ration,
    Role,
    Signatures,
    Tier,
    read_principals,
)  # fmt: skip
from controller.identity.principals import PrincipalForm
from controller.tomlfile import FileError
from safety.effects import Event
from safety.messages import Adjust, Now, Pause, Verb

CLAIMS = {"device.claim", "device.renew", "device.release"}


def test_each_role_may_ask_exactly_this() -> None:
    assert {role.value: set(verbs) for role, verbs in MAY_ASK.items()} == {
        "handset": {"session.pause", "session.adjust", "adverse.report"},
        "automation": CLAIMS | {"session.prepare", "session.start", "session.pause"},
        "physio": CLAIMS
        | {
            "session.prepare",
            "presence.confirm",
            "session.rate",
            "session.skin_check",
            "adverse.report",
            "session.attest",
            "impedance.check",
            "calibration.begin",
            "calibration.step",
            "calibration.mark",
            "calibration.end",
            "session.arm",
            "session.start",
            "session.adjust",
            "session.pause",
            "session.resume",
            "session.stop",
            "latch.clear",
        },
        "prescriber": CLAIMS | {"latch.clear"},
        "biomed": CLAIMS | {"latch.clear"},
        "auditor": set(),
    }


@pytest.mark.parametrize("role", Role)
def test_everybody_may_ask_for_the_status(role: Role) -> None:
    assert Principal("a", role, frozenset()).may_ask("service.status", None)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("delta_ua", [-200_000, -1, 1, 200_000])
def test_only_a_physio_may_raise_and_a_handset_only_lower(role: Role, delta_ua: int) -> None:
    allowed = Principal("a", role, frozenset()).may_ask(Verb.ADJUST, Adjust(1, delta_ua))
    assert allowed is (role is Role.PHYSIO or (role is Role.HANDSET and delta_ua < 0))


def test_a_handset_may_pause() -> None:
    assert Principal("a", Role.HANDSET, frozenset()).may_ask(Verb.PAUSE, Pause())


@pytest.mark.parametrize(
    ("devices", "allowed"),
    [({"dev1"}, True), ({"dev2", "dev1"}, True), ({"*"}, True), ({"dev2"}, False), (set(), False)],
)
def test_a_principal_uses_its_own_devices(devices: set[str], *, allowed: bool) -> None:
    assert Principal("a", Role.PHYSIO, frozenset(devices)).may_use("dev1") is allowed


def test_the_brokers_stamp_is_enough_for_everybody_on_a_bench() -> None:
    topic = "stim/v1/ward3/dev1/cmd/a/session.start"
    message = Arrival(topic, b"{}", retained=False, response_topic=None, correlation=None)
    for role in Role:
        principal = Principal("a", role, frozenset())
        assert BrokerStamp().proven(principal, message, 0) == Proven(Tier.T1, "")
        assert BrokerStamp().needed(principal) is Tier.T1


def test_each_role_is_proved_as_well_as_the_contract_asks() -> None:
    needed = {role.value: Signatures().needed(Principal("a", role, frozenset())).word for role in Role}
    assert needed == {
        "handset": "T1", "automation": "T1+nonce", "physio": "T3", "prescriber": "T3", "biomed": "T3", "auditor": "T1",
    }  # fmt: skip


# The file

RIGHT = """
[[principal]]
name = "clinician-1"
role = "physio"
devices = ["dev1", "dev2"]

[[principal]]
name = "visitor"
role = "auditor"
devices = ["*"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "principals.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_is_read(tmp_path: Path) -> None:
    assert read_principals(written(tmp_path, RIGHT)) == {
        "clinician-1": Principal("clinician-1", Role.PHYSIO, frozenset({"dev1", "dev2"})),
        "visitor": Principal("visitor", Role.AUDITOR, frozenset({"*"})),
    }


ENTRY = '[[principal]]\nname = "a"\nrole = "physio"\ndevices = ["dev1"]\n'
NAME, ROLE = (
    "expected 1 to 32 of a-z, 0-9 and -",
    "expected one of handset, automation, physio, prescriber, biomed, auditor",
)
DEVICES = 'expected a list of device ids, or ["*"] for every device'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["principal is missing: expected [[principal]] tables of name, role and devices"]),
        ("principal = []", ["principal = []: expected [[principal]] tables of name, role and devices"]),
        (ENTRY.replace('"a"', '"Ann B"'), [f'[[principal]] 1: name = "Ann B": {NAME}']),
        (ENTRY.replace('"a"', '"console/x"'), [f'[[principal]] 1: name = "console/x": {NAME}']),
        (ENTRY.replace('"a"', "7"), [f"[[principal]] 1: name = 7: {NAME}"]),
        (ENTRY.replace("physio", "doctor"), [f'[[principal]] 1: role = "doctor": {ROLE}']),
        (ENTRY.replace('"physio"', "[]"), [f"[[principal]] 1: role = []: {ROLE}"]),
        (ENTRY.replace('["dev1"]', '"dev1"'), [f'[[principal]] 1: devices = "dev1": {DEVICES}']),
        (ENTRY.replace("dev1", "dev/1"), [f'[[principal]] 1: devices = ["dev/1"]: {DEVICES}']),
        (
            ENTRY + 'kex = "x"',
            [f"[[principal]] 1: kex is unknown: expected one of {', '.join(PrincipalForm.model_fields)}"],
        ),
        (ENTRY + ENTRY, ['name = "a": expected each name once']),
        (
            ENTRY.replace('"a"', '"B"').replace("physio", "doctor"),
            [f'[[principal]] 1: name = "B": {NAME}', f'[[principal]] 1: role = "doctor": {ROLE}'],
        ),
    ],
)
def test_a_wrong_file_names_all_that_is_wrong(tmp_path: Path, text: str, problems: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FileError) as refused:
        read_principals(path)
    assert str(refused.value).splitlines() == [f"{path}: {problem}" for problem in problems]


def test_a_file_that_is_absent_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"principals\.toml"):
        read_principals(tmp_path / "principals.toml")
    with pytest.raises(FileError, match=r"principals\.toml"):
        read_principals(written(tmp_path, "[[principal"))


# Refusals

KNOWN = {"a": None, "b": None}


def test_ten_refusals_a_second_are_answered_and_the_rest_is_counted_once() -> None:
    ration = Ration(KNOWN)
    at = [Now(5_000 + step, 0) for step in range(0, 1_000, 50)]
    assert [ration.allows("a", now) for now in at] == [True] * 10 + [False] * 10
    assert ration.allows("b", at[-1])
    assert ration.allows("a", Now(6_000, 0))
    assert ration.report() == (
        Event(
            kind="command.rejected",
            code="CMD.RATE",
            priority="low",
            details=(("principal", "a"), ("count", 10)),
        ),
    )
    assert ration.report() == ()


def test_strangers_share_one_ration_so_that_nothing_grows() -> None:
    ration = Ration(KNOWN)
    answered = sum(ration.allows(f"stranger-{number}", Now(0, 0)) for number in range(1_000))
    assert answered == Ration.PER_SECOND
    assert [event.details for event in ration.report()] == [(("principal", ""), ("count", 990))]
    assert ration.allows("a", Now(0, 0))
