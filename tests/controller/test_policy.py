"""The policy: the shipped one is the reference's default column, and a wrong one is told line by line."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path

import pytest

from controller.devices import DRIVERS
from controller.policy import MODELS, TIMES, Policy, PolicyError
from controller.settings import SHIPPED_POLICY, DeviceTable
from safety.limits import HARD, Limits, Modality, canonical
from safety.messages import Config
from safety.times import NATIVE

sys.path.insert(0, str(Path(__file__).parents[1] / "safety"))

from rig import SHIPPED_NMES, SHIPPED_TENS

TEXT = SHIPPED_POLICY.read_text(encoding="utf-8")
NAMES = [spec.name for spec in fields(Limits)]
NMES, TENS = TEXT.partition("[tens]")[0], "[tens]" + TEXT.partition("[tens]")[2]


def device(profile: str) -> DeviceTable:
    return DeviceTable.model_validate({"id": "dev1", "driver": "native", "port": "p", "profile": profile})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def read(path: Path, text: str) -> Policy:
    path.write_text(text, encoding="utf-8")
    return Policy.read(path)


def complaint(path: Path, text: str) -> list[str]:
    with pytest.raises(PolicyError) as raised:
        read(path, text)
    return str(raised.value).replace(str(path), "FILE").splitlines()


def test_the_shipped_policy_is_the_reference_default_column() -> None:
    policy = Policy.read(SHIPPED_POLICY)
    assert {modality: asdict(limits) for modality, limits in policy.limits.items()} == {
        Modality.NMES: SHIPPED_NMES,
        Modality.TENS: SHIPPED_TENS,
    }


def test_what_is_general_is_the_tighter_of_both() -> None:
    general = asdict(Policy.read(SHIPPED_POLICY).general)
    differing = {name: general[name] for name in NAMES if SHIPPED_NMES[name] != SHIPPED_TENS[name]}
    assert differing == {
        "period_min_us": 12_500,
        "session_nc": 800_000_000,
        "session_i2t": 100_000_000_000_000_000,
        "session_on_ms": 610_000,
        "therapy_ms": 1_800_000,
        "treatments_day": 2,
        "day_nc": 1_600_000_000,
        "week_nc": 5_600_000_000,
        "week_on_ms": 4_270_000,
        "treatments_week": 5,
    }
    assert {name: general[name] for name in NAMES if name not in differing} == {
        name: SHIPPED_NMES[name] for name in NAMES if name not in differing
    }


def test_general_takes_from_either_side(path: Path) -> None:
    text = NMES.replace("claim_ms = 5_000", "claim_ms = 4_000") + TENS.replace("ramp_ms = 1_000", "ramp_ms = 2_000")
    general = read(path, text).general
    assert (general.claim_ms, general.ramp_ms) == (4_000, 2_000)


def test_the_digest_is_of_what_is_said_not_of_how(path: Path) -> None:
    shipped = Policy.read(SHIPPED_POLICY).digest
    assert read(path, "# a comment\n" + TENS + "\n\n" + NMES.replace("80_000", "80000")).digest == shipped
    assert read(path, TEXT.replace("claim_ms = 5_000", "claim_ms = 4_999", 1)).digest != shipped


def test_the_hard_limits_have_a_digest_of_their_own() -> None:
    assert Policy.read(SHIPPED_POLICY).hard_digest == sha256(canonical().encode()).hexdigest()


@pytest.mark.parametrize(("profile", "emulator"), [("bench", True), ("clinical", False)])
@pytest.mark.rule("X2")
@pytest.mark.hazard("H35")
def test_a_device_gets_its_configuration(profile: str, emulator: bool) -> None:
    policy = Policy.read(SHIPPED_POLICY)
    assert policy.config(device(profile)) == Config(
        device="dev1",
        policy=policy.digest,
        limits=policy.limits,
        general=policy.general,
        times=NATIVE,
        models=("stimwarden-native", "native-bench"),
        emulator=emulator,
    )


def test_every_driver_has_models_and_times() -> None:
    assert MODELS.keys() == TIMES.keys() == DRIVERS.keys()


@pytest.mark.hazard("H29")
@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("name", NAMES)
def test_no_limit_can_pass_its_ceiling_by_one(path: Path, modality: Modality, name: str) -> None:
    hard = getattr(HARD[modality], name)
    lower_is_safe = next(spec for spec in fields(Limits) if spec.name == name).metadata["sense"] is min
    table = asdict(HARD[modality])
    other = next(each for each in Modality if each is not modality)

    def text(value: int) -> str:
        mine = "".join(f"{key} = {value if key == name else number}\n" for key, number in table.items())
        theirs = "".join(f"{key} = {number}\n" for key, number in asdict(HARD[other]).items())
        return f"[{modality}]\n{mine}[{other}]\n{theirs}"

    beyond = hard + 1 if lower_is_safe else hard - 1
    bound = "at most" if lower_is_safe else "at least"
    assert getattr(read(path, text(hard)).limits[modality], name) == hard
    assert complaint(path, text(beyond)) == [
        f"FILE: {modality}.{name} = {beyond}: expected {bound} {hard}, the hard limit"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_limit_is_guessed(path: Path, name: str) -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith(f"{name} = ")]
    assert complaint(path, "\n".join(lines)) == [
        f"FILE: {modality}.{name} is missing: expected a value: a missing limit is never guessed"
        for modality in Modality
    ]


MISTAKES = [
    (
        TEXT.replace("amplitude_ua = 80_000", "amplitude_ua = 80_000.0", 1),
        ["FILE: nmes.amplitude_ua = 80000.0: expected a whole number, not negative"],
    ),
    (
        TEXT.replace("amplitude_ua = 80_000", "amplitude_ua = true", 1),
        ["FILE: nmes.amplitude_ua = true: expected a whole number, not negative"],
    ),
    (
        TEXT.replace("amplitude_ua = 80_000", 'amplitude_ua = "80 mA"', 1),
        ['FILE: nmes.amplitude_ua = "80 mA": expected a whole number, not negative'],
    ),
    (
        TEXT.replace("amplitude_ua = 80_000", "amplitude_ua = -1", 1),
        ["FILE: nmes.amplitude_ua = -1: expected a whole number, not negative"],
    ),
    (
        TEXT.replace("amplitude_ua", "amplitude_ma", 1),
        [
            "FILE: nmes.amplitude_ua is missing: expected a value: a missing limit is never guessed",
            "FILE: nmes.amplitude_ma is unknown: expected a name of the limits table",
        ],
    ),
    (
        NMES.replace("ramp_ms = 1_000", "ramp_ms = 499") + TENS.replace("width_us = 400", "width_us = 501"),
        [
            "FILE: nmes.ramp_ms = 499: expected at least 500, the hard limit",
            "FILE: tens.width_us = 501: expected at most 500, the hard limit",
        ],
    ),
    (NMES, ["FILE: tens is missing: expected a table of all limits"]),
    (
        "gait = 1\nfes = 2\n" + TEXT,
        ["FILE: fes is unknown: expected one of nmes, tens", "FILE: gait is unknown: expected one of nmes, tens"],
    ),
    ("nmes = 5\n" + TENS, ["FILE: nmes = 5: expected a table of all limits"]),
    ("[nmes", ["FILE: is not TOML: Expected ']' at the end of a table declaration (at end of document)"]),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said[0].removeprefix("FILE: ")[:50] for _, said in MISTAKES])
def test_a_mistake_is_named_with_file_key_value_and_what_was_expected(path: Path, text: str, said: list[str]) -> None:
    assert complaint(path, text) == said


def test_no_file(path: Path) -> None:
    with pytest.raises(PolicyError) as raised:
        Policy.read(path)
    assert str(raised.value) == f"{path}: cannot be read: No such file or directory"
