"""Prescriptions: the file, what is said of a wrong one, the stored form, and the three of the demo."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from controller.prescriptions import (
    DEMO,
    PrescriptionFileError,
    from_json,
    instantiate,
    read_prescription,
    stamped,
    templates,
    to_json,
)
from controller.words import WordError
from safety.admit import admit
from safety.effects import PermitRequest
from safety.history import History
from safety.limits import Modality, Sensation
from safety.montage import Montage, Region, Side
from safety.prescription import Calibration, Plan, Prescription, Programme
from safety.state import Phase

sys.path.insert(0, str(Path(__file__).parents[1] / "safety"))

from rig import WALL_MS, Rig

HEAD = 'id = "rx-77"\nversion = 3\npatient = "p-8c1d"\nsensation = "S1"\nvalid_until = 2026-12-31\n'
PROGRAMME = """[programme]
modality = "nmes"
ramp_up_ms = 1_000
on_ms = 2_000
ramp_down_ms = 1_000
off_ms = 6_000
therapy_ms = 900_000
"""
CHANNEL = """[[channel]]
channel = 1
site = "left-calf"
pair = "a"
ua = 20_000
max_ua = 30_000
width_us = 300
gap_us = 100
period_us = 25_000
area_mm2 = 2_500
"""
CALIBRATION = """[channel.calibration]
at = 2026-11-20T09:30:00+01:00
motor_ua = 15_000
maximal_ua = 38_000
"""
MONTAGE = """[channel.montage]
region_a = "thigh"
side_a = "left"
region_b = "lower-leg"
side_b = "left"
spacing_mm = 40
"""
WHOLE = HEAD + PROGRAMME + CHANNEL + CALIBRATION
SECOND = CHANNEL.replace("channel = 1", "channel = 2").replace("left", "right") + "delay_ms = 5_000\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rx.toml"


def read(path: Path, text: str) -> Prescription:
    path.write_text(text, encoding="utf-8")
    return read_prescription(path)


def complaint(path: Path, text: str) -> list[str]:
    with pytest.raises(PrescriptionFileError) as raised:
        read(path, text)
    return str(raised.value).replace(str(path), "FILE").splitlines()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def test_a_file_becomes_a_prescription(path: Path) -> None:
    rx = read(
        path, WHOLE.replace(CALIBRATION, CALIBRATION + SECOND) + "[limits]\nwidth_us = 300\namplitude_ua = 25_000\n"
    )
    assert rx == Prescription(
        id="rx-77",
        version=3,
        patient="p-8c1d",
        sensation=Sensation.S1,
        channels=(
            Plan(
                channel=1,
                site="left-calf",
                pair="a",
                ua=20_000,
                max_ua=30_000,
                width_us=300,
                gap_us=100,
                period_us=25_000,
                area_mm2=2_500,
                calibration=Calibration(
                    at_wall_ms=ms("2026-11-20T08:30:00Z"),
                    pair="a",
                    area_mm2=2_500,
                    width_us=300,
                    sensory_ua=None,
                    motor_ua=15_000,
                    maximal_ua=38_000,
                ),
            ),
            Plan(
                channel=2,
                site="right-calf",
                pair="a",
                ua=20_000,
                max_ua=30_000,
                width_us=300,
                gap_us=100,
                period_us=25_000,
                area_mm2=2_500,
                delay_ms=5_000,
            ),
        ),
        programme=Programme(
            modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=900_000
        ),
        limits=(("amplitude_ua", 25_000), ("width_us", 300)),
        valid_until_wall_ms=ms("2027-01-01T00:00:00Z") - 1,
        digest=rx.digest,
    )
    assert rx.ref == "rx-77@3"


@pytest.mark.rule("G06")
def test_where_the_pads_sit_may_be_said(path: Path) -> None:
    plan = read(path, WHOLE + MONTAGE).channels[0]
    assert plan.montage == Montage(Region.THIGH, Side.LEFT, Region.LOWER_LEG, Side.LEFT, 40)
    assert read(path, WHOLE).channels[0].montage is None
    assert replace(plan, montage=None) == read(path, WHOLE).channels[0]


@pytest.mark.rule("G07")
def test_the_reason_for_a_small_pad_may_be_said(path: Path) -> None:
    small = WHOLE.replace("area_mm2 = 2_500", 'area_mm2 = 900\nsmall_pad_reason = "a child\'s hand"')
    assert read(path, small).channels[0].small_pad_reason == "a child's hand"
    assert read(path, WHOLE).channels[0].small_pad_reason == ""


def test_warm_up_and_cool_down_may_be_said(path: Path) -> None:
    rx = read(path, WHOLE.replace("therapy_ms", "warm_up_ms = 60_000\ncool_down_ms = 30_000\ntherapy_ms"))
    assert (rx.programme.warm_up_ms, rx.programme.cool_down_ms) == (60_000, 30_000)


WHOLE_NUMBER = "expected a whole number"
THRESHOLD = "expected a whole number; left out where the patient felt or showed nothing"
LAST_DAY = "expected the last day, in UTC, without quotes, such as 2026-12-31"
MOMENT = "expected a date and time with its zone, without quotes, such as 2026-11-20T09:30:00Z"
KEYS = "id, version, patient, sensation, valid_until, programme, channel, limits"
PROGRAMME_KEYS = "modality, ramp_up_ms, on_ms, ramp_down_ms, off_ms, therapy_ms, warm_up_ms, cool_down_ms"
MISTAKES: list[tuple[str, list[str]]] = [
    (
        "",
        [
            "FILE: id is missing: expected 1 to 32 of a-z, 0-9 and -",
            f"FILE: version is missing: {WHOLE_NUMBER}",
            "FILE: patient is missing: expected 1 to 64 of letters, digits, dot, - and _, never a name",
            'FILE: sensation is missing: expected "S0", "S1" or "S2"',
            f"FILE: valid_until is missing: {LAST_DAY}",
            "FILE: programme is missing: expected a table with the shape of the therapy",
            "FILE: channel is missing: expected [[channel]] tables",
        ],
    ),
    (WHOLE.replace('"rx-77"', '"rx@77"'), ['FILE: id = "rx@77": expected 1 to 32 of a-z, 0-9 and -']),
    (WHOLE.replace("version = 3", "version = 0"), [f"FILE: version = 0: {WHOLE_NUMBER} from 1 to 1000000"]),
    (WHOLE.replace("version = 3", 'version = "3"'), [f'FILE: version = "3": {WHOLE_NUMBER}']),
    (
        WHOLE.replace('"p-8c1d"', '"Ann Smith"'),
        ['FILE: patient = "Ann Smith": expected 1 to 64 of letters, digits, dot, - and _, never a name'],
    ),
    (WHOLE.replace('"S1"', '"S3"'), ['FILE: sensation = "S3": expected "S0", "S1" or "S2"']),
    (
        WHOLE.replace("2026-12-31", '"2026-12-31"'),
        [f'FILE: valid_until = "2026-12-31": {LAST_DAY}'],
    ),
    (
        WHOLE.replace("2026-12-31", "2026-12-31T00:00:00Z"),
        [f"FILE: valid_until = 2026-12-31T00:00:00+00:00: {LAST_DAY}"],
    ),
    (
        "notes = 1\n" + WHOLE,
        [f"FILE: notes is unknown: expected one of {KEYS}"],
    ),
    (WHOLE.replace('"nmes"', '"gait"'), ['FILE: programme.modality = "gait": expected "nmes" or "tens"']),
    (WHOLE.replace("on_ms = 2_000", "on_ms = 2.5"), [f"FILE: programme.on_ms = 2.5: {WHOLE_NUMBER}"]),
    (WHOLE.replace("on_ms = 2_000", "on_s = 2"), [
        f"FILE: programme.on_ms is missing: {WHOLE_NUMBER}",
        f"FILE: programme.on_s is unknown: expected one of {PROGRAMME_KEYS}",
    ]),
    (WHOLE.replace("on_ms = 2_000", "on_ms = 0"), [f"FILE: programme.on_ms = 0: {WHOLE_NUMBER} from 1 to 900000"]),
    (
        WHOLE.replace("therapy_ms = 900_000", "therapy_ms = 999"),
        [f"FILE: programme.therapy_ms = 999: {WHOLE_NUMBER} from 1000 to 86400000"],
    ),
    (
        WHOLE.replace("off_ms = 6_000", "off_ms = 0"),
        ["FILE: programme.off_ms = 0: a muscle programme needs rest; only tens may be continuous"],
    ),
    (
        WHOLE.replace("off_ms", "warm_up_ms = 500_000\ncool_down_ms = 500_000\noff_ms"),
        ["FILE: programme.cool_down_ms = 500000: warm-up and cool-down are longer than the therapy"],
    ),
    (HEAD + "channel = []\n" + PROGRAMME, ["FILE: channel: at least one channel, ascending, each once"]),
    (WHOLE + CHANNEL, ["FILE: channel: at least one channel, ascending, each once"]),
    (
        WHOLE + SECOND.replace("delay_ms = 5_000", "delay_ms = 10_000"),
        ["FILE: delay_ms: a channel's delay is shorter than the cycle"],
    ),
    (WHOLE.replace("area_mm2 = 2_500\n", ""), [f"FILE: [[channel]] 1: area_mm2 is missing: {WHOLE_NUMBER}"]),
    (
        WHOLE.replace("ua = 20_000", "ua = 30_001"),
        [f"FILE: [[channel]] 1: ua = 30001: {WHOLE_NUMBER} from 1 to 30000"],
    ),
    (
        WHOLE.replace("channel = 1", "channel = 9"),
        [f"FILE: [[channel]] 1: channel = 9: {WHOLE_NUMBER} from 1 to 8"],
    ),
    (
        WHOLE + SECOND.replace("width_us = 300", "width_us = 0"),
        [f"FILE: [[channel]] 2: width_us = 0: {WHOLE_NUMBER} from 1 to 10000"],
    ),
    (
        WHOLE.replace("period_us = 25_000", "period_us = 700"),
        ["FILE: [[channel]] 1: period_us = 700: the pulse does not fit into its period"],
    ),
    (
        WHOLE.replace('"left-calf"', '"left calf"'),
        ['FILE: [[channel]] 1: site = "left calf": expected 1 to 32 of a-z, 0-9 and -'],
    ),
    (WHOLE.replace('"a"', '""'), ['FILE: [[channel]] 1: pair = "": expected 1 to 32 of a-z, 0-9 and -']),
    (
        WHOLE.replace("+01:00", ""),
        [f"FILE: [[channel]] 1: calibration.at = 2026-11-20T09:30:00: {MOMENT}"],
    ),
    (
        WHOLE.replace("motor_ua = 15_000", "motor_ua = 38_001"),
        ["FILE: [[channel]] 1: calibration: the order is sensory <= motor <= maximal tolerated"],
    ),
    (
        WHOLE.replace("motor_ua = 15_000", "motor_ua = 0"),
        ["FILE: [[channel]] 1: calibration: 0 is not a whole number from 1 to 200000"],
    ),
    (
        WHOLE.replace("motor_ua = 15_000", 'motor_ua = "none"'),
        [f'FILE: [[channel]] 1: calibration.motor_ua = "none": {THRESHOLD}'],
    ),
    (
        WHOLE.replace("at = 2026-11-20T09:30:00+01:00", "at = 1969-12-31T00:00:00Z"),
        [
            f"FILE: [[channel]] 1: calibration.at = 1969-12-31T00:00:00+00:00: {WHOLE_NUMBER} from 0 to {2**53}",
        ],
    ),
    (WHOLE + "[limits]\namplitude_ma = 20\n", ["FILE: limits.amplitude_ma = 20: expected a name of the limits table"]),
    (
        WHOLE + "[limits]\namplitude_ua = 100_001\n",
        ["FILE: limits.amplitude_ua = 100001: expected at most 100000, the hard limit"],
    ),
    (WHOLE + "[limits]\nramp_ms = 499\n", ["FILE: limits.ramp_ms = 499: expected at least 500, the hard limit"]),
    (WHOLE + "[limits]\nramp_ms = -1\n", ["FILE: limits.ramp_ms = -1: expected a whole number, not negative"]),
    (
        WHOLE + "[limits]\nramp_ms = 500.0\n",
        ["FILE: limits.ramp_ms = 500.0: expected a table of limits, whole numbers"],
    ),
    (
        WHOLE + MONTAGE.replace('"thigh"', '"tail"'),
        [f'FILE: [[channel]] 1: montage.region_a = "tail": expected one of {", ".join(Region)}'],
    ),
    (
        WHOLE + MONTAGE.replace('side_b = "left"', 'side_b = "far"'),
        ['FILE: [[channel]] 1: montage.side_b = "far": expected one of left, right, middle, the patient\'s own'],
    ),
    (
        WHOLE + MONTAGE.replace("spacing_mm = 40\n", ""),
        [f"FILE: [[channel]] 1: montage.spacing_mm is missing: {WHOLE_NUMBER}"],
    ),
    (
        WHOLE + MONTAGE.replace("40", "2_001"),
        [f"FILE: [[channel]] 1: montage.spacing_mm = 2001: {WHOLE_NUMBER} from 0 to 2000"],
    ),
    (
        WHOLE.replace("area_mm2", f'small_pad_reason = "{"x" * 61}"\narea_mm2'),
        [f'FILE: [[channel]] 1: small_pad_reason = "{"x" * 61}": expected at most 60 characters: why a small pad'],
    ),
    ("id =", ["FILE: is not TOML: Invalid value (at end of document)"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    MISTAKES,
    ids=[f"{n} {said[0].removeprefix('FILE: ')[:44]}" for n, (_, said) in enumerate(MISTAKES)],
)
def test_a_mistake_is_named_with_file_key_value_and_what_was_expected(path: Path, text: str, said: list[str]) -> None:
    assert complaint(path, text) == said


def test_no_file(path: Path) -> None:
    with pytest.raises(PrescriptionFileError) as raised:
        read_prescription(path)
    assert str(raised.value) == f"{path}: cannot be read: No such file or directory"


# The stored form


def test_the_digest_is_that_of_the_content(path: Path) -> None:
    rx = read(path, WHOLE)
    content = json.loads(to_json(rx))
    assert content.pop("digest") == rx.digest
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert sha256(text.encode()).hexdigest() == rx.digest


def test_how_a_file_is_written_does_not_change_its_digest(path: Path) -> None:
    rx = read(path, WHOLE)
    same = WHOLE.replace("20_000", "20000").replace("2026-11-20T09:30:00+01:00", "2026-11-20T08:30:00Z")
    assert read(path, "# a note\n" + same) == rx


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 3", "version = 4"),
        ("p-8c1d", "p-8c1e"),
        ("S1", "S2"),
        ("2026-12-31", "2026-12-30"),
        ("off_ms = 6_000", "off_ms = 6_001"),
        ("max_ua = 30_000", "max_ua = 30_001"),
        ("maximal_ua = 38_000", "maximal_ua = 38_001"),
        (CALIBRATION, ""),
    ],
)
def test_another_content_has_another_digest(path: Path, old: str, new: str) -> None:
    assert read(path, WHOLE).digest != read(path, WHOLE.replace(old, new, 1)).digest


def test_the_stored_form_reads_back(path: Path) -> None:
    rx = read(path, WHOLE + SECOND + "[limits]\namplitude_ua = 25_000\n")
    assert from_json(to_json(rx)) == rx


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"max_ua":30000', '"max_ua":30001'),
        ('"sensation":"S1"', '"sensation":"S0"'),
        ('"patient":"p-8c1d"', '"patient":"p-8c1e"'),
    ],
)
def test_a_stored_form_that_was_changed_is_refused(path: Path, old: str, new: str) -> None:
    text = to_json(read(path, WHOLE))
    assert old in text
    with pytest.raises(WordError, match="the prescription's content does not give its digest"):
        from_json(text.replace(old, new))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"id":"x"}'])
def test_what_is_no_stored_form_is_refused(text: str) -> None:
    with pytest.raises(WordError):
        from_json(text)


def test_a_stamp_does_not_depend_on_an_earlier_one(path: Path) -> None:
    rx = read(path, WHOLE)
    assert stamped(replace(rx, digest="something")) == rx


# The demo

HOUR_MS = 3_600_000


def test_three_ship_with_the_demo() -> None:
    assert templates() == ("calf", "neuropathy-tens", "quadriceps", "shin")


@pytest.mark.parametrize("template", templates())
def test_a_template_is_of_no_use_as_it_is(template: str) -> None:
    """A file that ships must treat nobody: it has expired, and its calibration too, whoever imports it."""
    rx = read_prescription(DEMO / f"{template}.toml")
    assert rx.patient == "placeholder"
    assert rx.valid_until_wall_ms == ms("2000-01-02T00:00:00Z") - 1
    assert [plan.calibration and plan.calibration.at_wall_ms for plan in rx.channels] == [ms("2000-01-01T00:00:00Z")]


@pytest.mark.parametrize("template", templates())
def test_an_instance_is_the_template_for_a_patient_of_now(template: str) -> None:
    plain, rx = read_prescription(DEMO / f"{template}.toml"), instantiate(template, "p-1", WALL_MS)
    calibrations = [plan.calibration for plan in rx.channels]
    assert [found and found.at_wall_ms for found in calibrations] == [WALL_MS - HOUR_MS] * len(rx.channels)
    assert (rx.patient, rx.valid_until_wall_ms) == ("p-1", WALL_MS + 7 * 24 * HOUR_MS)
    back = replace(
        rx,
        patient=plain.patient,
        valid_until_wall_ms=plain.valid_until_wall_ms,
        channels=tuple(
            replace(plan, calibration=old.calibration) for plan, old in zip(rx.channels, plain.channels, strict=True)
        ),
    )
    assert stamped(back) == plain
    assert from_json(to_json(rx)) == rx


@pytest.mark.parametrize(("template", "least_ua"), [("quadriceps", 20_000), ("calf", 20_000)])
def test_the_muscle_programmes_are_those_of_the_demo(template: str, least_ua: int) -> None:
    rx = instantiate(template, "p-1", WALL_MS)
    (plan,) = rx.channels
    assert rx.programme == Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=18_000
    )
    assert (plan.width_us, plan.period_us, plan.area_mm2) == (300, 25_000, 2_500)
    assert plan.ua >= least_ua
    assert plan.montage is not None
    assert plan.montage.region_a is plan.montage.region_b


def test_the_classes_are_those_of_the_demo() -> None:
    found = {name: instantiate(name, "p-1", WALL_MS) for name in templates()}
    assert {name: (rx.sensation, rx.programme.modality) for name, rx in found.items()} == {
        "quadriceps": (Sensation.S0, Modality.NMES),
        "calf": (Sensation.S1, Modality.NMES),
        "neuropathy-tens": (Sensation.S1, Modality.TENS),
        "shin": (Sensation.S0, Modality.NMES),
    }
    assert found["calf"].channels[0].calibration == Calibration(
        at_wall_ms=WALL_MS - HOUR_MS,
        pair="a",
        area_mm2=2_500,
        width_us=300,
        sensory_ua=10_000,
        motor_ua=15_000,
        maximal_ua=38_000,
    )


@pytest.mark.parametrize("template", templates())
def test_the_gate_and_the_ledger_let_each_of_them_run(template: str) -> None:
    rx = instantiate(template, "p-1", WALL_MS)
    rig = Rig().running(rx, ticks=40)
    assert rig.phase is Phase.RUNNING
    assert [train.ua for train in rig.station.beat.picture.trains] == [plan.ua for plan in rx.channels]
    requests = [note for note in rig.notes("permit") if isinstance(note, PermitRequest) and not note.probe]
    history = History(patient="p-1", records=(), locked_sites=())
    assert [admit(history, request, WALL_MS) for request in requests] == [()]


@pytest.mark.parametrize("template", ["quadriceps", "calf", "shin"])
def test_a_short_session_ends_by_itself(template: str) -> None:
    rig = Rig().running(instantiate(template, "p-1", WALL_MS), ticks=18_000 // 50 + 20)
    assert rig.phase is Phase.IDLE
    assert [event.kind for event in rig.said if getattr(event, "kind", "") == "fault.latched"] == []
    assert rig.device.total_nc[1] > 0


def test_dates_are_utc(path: Path) -> None:
    rx = read(path, WHOLE)
    assert datetime.fromtimestamp(rx.valid_until_wall_ms / 1000, UTC).isoformat() == "2026-12-31T23:59:59.999000+00:00"
