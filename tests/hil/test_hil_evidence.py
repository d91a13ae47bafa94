"""What a run leaves behind is read back as it was written, and what cannot be true is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from hil.evidence import (
    Attachment,
    Bench,
    Channel,
    Chunk,
    Entry,
    Environment,
    Injection,
    Journal,
    Measurement,
    Message,
    Run,
    Step,
    Test,
)
from hil.scope import Trace

pytestmark = pytest.mark.hazard("H35")

WHOLE = Test(
    id="test_stop.py::test_stop[1]",
    text="A stop ends the current.",
    hazards=("H15",),
    rules=("M06", "X3"),
    outcome="failed",
    took_ms=12,
    failure="assert 1 == 0",
    first_cause="the port was busy",
    reproduce="pytest test_stop.py::test_stop[1] --bench=virtual",
    injections=(Injection(fault="peel", settings={"channel": 1, "to": 0.25, "fast": True, "side": None}, at_us=5),),
    measurements=(Measurement(name="stop latency", value=99, unit="ms", limit="at_most", high=100),),
    channels=(
        Channel(
            number=1,
            pulses=(Trace(10, 20_000, 19_999, 12.5, -0.5),),
            commanded=(Step(3, 20_000), Step(30, 0)),
            limit_ua=30_000,
            dropped=2,
        ),
    ),
    serial=(Chunk(at_us=3, direction="to_device", data=b"\x00\xff", words="stop"),),
    mqtt=(Message(at_us=1, direction="sent", topic="stim/1/cmd", payload="{}"),),
    journal=Journal(chain="whole", text="2 rows", entries=(Entry(number=7, at_us=4, text="stopped"),)),
    attachments=(Attachment(name="core.bin", media_type="application/octet-stream", data=b"\x80"),),
)
ENVIRONMENT = Environment(
    commit="a" * 40, is_clean=True, versions={"pytest": "9"}, platform="Linux", limits="ab", clock="emulator"
)
RUN = Run(
    suite="suite",
    began_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    took_ms=9,
    seed=4,
    is_dev=False,
    environment=ENVIRONMENT,
    bench=Bench(kind="pty", url="pty", device="native", scope="emulator"),
    deselected=1,
    tests=(WHOLE, Test(id="test_stop.py::test_other", outcome="passed")),
)


def test_a_run_is_read_back_as_it_was_written():
    assert Run.model_validate_json(RUN.model_dump_json()) == RUN


def test_bytes_and_pulses_are_short_in_the_file():
    test = json.loads(RUN.model_dump_json())["tests"][0]
    assert test["serial"][0]["data"] == "00ff"
    assert test["attachments"][0]["data"] == "gA=="
    assert test["channels"][0]["pulses"] == [[10, 20_000, 19_999, 12.5, -0.5]]
    assert test["channels"][0]["commanded"] == [[3, 20_000], [30, 0]]


def test_the_schema_names_what_a_run_has():
    schema = Run.model_json_schema()
    assert set(schema["required"]) == {"suite", "began_at", "seed", "is_dev", "environment", "bench", "tests"}
    assert schema["additionalProperties"] is False
    assert {"Test", "Injection", "Measurement", "Channel", "Chunk", "Journal"} <= set(schema["$defs"])


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ((), "version", 2),
        ((), "format", "something else"),
        ((), "seed", "4"),
        ((), "surprise", 1),
        ((), "began_at", "2026-01-02T03:04:05"),
        (("environment",), "clock", "sundial"),
        (("bench",), "scope", "eyes"),
        (("tests", 0), "outcome", "perhaps"),
        (("tests", 0), "took_ms", -1),
        (("tests", 0, "channels", 0), "number", 0),
        (("tests", 0, "measurements", 0), "value", "NaN"),
        (("tests", 0, "serial", 0), "data", "0g"),
        (("tests", 1), "id", "test_stop.py::test_stop[1]"),
    ],
)
def test_what_is_no_run_is_refused(where: tuple[str | int, ...], key: str, value: object):
    document = json.loads(RUN.model_dump_json())
    place = document
    for step in where:
        place = place[step]
    place[key] = value
    with pytest.raises(ValidationError):
        Run.model_validate_json(json.dumps(document))


@pytest.mark.parametrize(
    ("limit", "low", "high", "value", "passed"),
    [
        ("none", None, None, 5, True),
        ("at_most", None, 5, 5, True),
        ("at_most", None, 5, 5.5, False),
        ("at_least", 5, None, 5, True),
        ("at_least", 5, None, 4.5, False),
        ("within", 4, 6, 4, True),
        ("within", 4, 6, 6.5, False),
        ("exactly", 5, 5, 5, True),
        ("exactly", 5, 5, 6, False),
    ],
)
def test_a_measurement_says_of_its_limit_what_is_true(limit, low, high, value, passed: bool):
    ends = {"limit": limit, "low": low, "high": high}
    assert Measurement(name="a", value=value, unit="ms", passed=passed, **ends).passed is passed
    with pytest.raises(ValidationError, match="passed cannot be"):
        Measurement(name="a", value=value, unit="ms", passed=not passed, **ends)


@pytest.mark.parametrize(
    ("limit", "low", "high"),
    [("none", 1, None), ("none", None, 1), ("at_most", 1, 9), ("at_least", None, 9), ("within", 1, None)],
)
def test_a_limit_has_the_ends_that_it_needs_and_no_other(limit, low, high):
    with pytest.raises(ValidationError, match="does not go with"):
        Measurement(name="a", value=5, unit="ms", limit=limit, low=low, high=high)


def test_exactly_is_one_value():
    with pytest.raises(ValidationError, match="exactly"):
        Measurement(name="a", value=5, unit="ms", limit="exactly", low=4, high=6)
