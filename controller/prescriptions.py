"""Prescriptions: the TOML file that a clinician writes, the JSON that is stored, the templates that the demo uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from safety.limits import HARD, LimitError, Modality, Sensation, meet, spec_text
from safety.montage import Montage, Region, Side
from safety.prescription import Calibration, Plan, Prescription, PrescriptionError, Programme

from .contract.envelope import EPOCH
from .contract.topics import ID
from .tomlfile import FileError, Place, Problem, faults_of, key_text, read_toml, shown
from .words import WordError, dumps, form, loads

DEMO = Path(__file__).with_name("demo")
DEMO_CALIBRATED_MS = 3_600_000
DEMO_VALID_MS = 7 * 86_400_000
"""The patient of a demo was calibrated an hour ago, and the prescription is good for a week."""

FORM = form(Prescription, named=True)

RENAMED: dict[str, Place] = {
    "channels": ("channel",), "at_wall_ms": ("at",), "spacing_mm": ("montage", "spacing_mm"),
}  # fmt: skip
"""Names of the heart's types that a file has under another, or elsewhere."""

ID_WORDS = "1 to 32 of a-z, 0-9 and -"
WHOLE_WORDS = "a whole number"
REGION_WORDS = f"one of {', '.join(Region)}"
SIDE_WORDS = f"one of {', '.join(Side)}, the patient's own"
THRESHOLD_WORDS = "a whole number; left out where the patient felt or showed nothing"


class PrescriptionFileError(FileError):
    """A prescription's file cannot be used; one line for each problem."""


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment


Id = Annotated[str, Field(pattern=f"^{ID}$")]


class Part(BaseModel):
    """A table of the file: strict types, and no key that is not named here. Ranges are judged by the heart's types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CalibrationPart(Part):
    """[channel.calibration]: thresholds found on this patient.

    Pair, area and width say with what they were found; left out, with those of the channel.
    """

    at: Annotated[datetime, AfterValidator(_zoned)] = Field(
        description="a date and time with its zone, without quotes, such as 2026-11-20T09:30:00Z"
    )
    pair: Id | None = Field(default=None, description=ID_WORDS)
    area_mm2: int | None = Field(default=None, description=WHOLE_WORDS)
    width_us: int | None = Field(default=None, description=WHOLE_WORDS)
    sensory_ua: int | None = Field(default=None, description=THRESHOLD_WORDS)
    motor_ua: int | None = Field(default=None, description=THRESHOLD_WORDS)
    maximal_ua: int | None = Field(default=None, description=THRESHOLD_WORDS)


class MontagePart(Part):
    """[channel.montage]: where the two pads sit."""

    region_a: Annotated[Region, Field(strict=False)] = Field(description=REGION_WORDS)
    side_a: Annotated[Side, Field(strict=False)] = Field(description=SIDE_WORDS)
    region_b: Annotated[Region, Field(strict=False)] = Field(description=REGION_WORDS)
    side_b: Annotated[Side, Field(strict=False)] = Field(description=SIDE_WORDS)
    spacing_mm: int = Field(description=WHOLE_WORDS)


class ChannelPart(Part):
    """[[channel]]: one body site, one pair of pads, one pulse train."""

    channel: int = Field(description=WHOLE_WORDS)
    site: Id = Field(description=ID_WORDS)
    pair: Id = Field(description=ID_WORDS)
    ua: int = Field(description=WHOLE_WORDS)
    max_ua: int = Field(description=WHOLE_WORDS)
    width_us: int = Field(description=WHOLE_WORDS)
    gap_us: int = Field(description=WHOLE_WORDS)
    period_us: int = Field(description=WHOLE_WORDS)
    area_mm2: int = Field(description=WHOLE_WORDS)
    delay_ms: int = Field(default=0, description=WHOLE_WORDS)
    small_pad_reason: str = Field(default="", max_length=60, description="at most 60 characters: why a small pad")
    montage: MontagePart | None = Field(default=None, description="a table that says where the two pads sit")
    calibration: CalibrationPart | None = Field(default=None, description="a table with at, and the thresholds found")


class ProgrammePart(Part):
    """[programme]: the shape of the therapy."""

    modality: Literal["nmes", "tens"] = Field(description='"nmes" or "tens"')
    ramp_up_ms: int = Field(description=WHOLE_WORDS)
    on_ms: int = Field(description=WHOLE_WORDS)
    ramp_down_ms: int = Field(description=WHOLE_WORDS)
    off_ms: int = Field(description=WHOLE_WORDS)
    therapy_ms: int = Field(description=WHOLE_WORDS)
    warm_up_ms: int = Field(default=0, description=WHOLE_WORDS)
    cool_down_ms: int = Field(default=0, description=WHOLE_WORDS)


class Sheet(Part):
    """The whole file."""

    id: Id = Field(description=ID_WORDS)
    version: int = Field(description=WHOLE_WORDS)
    patient: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="1 to 64 of letters, digits, dot, - and _, never a name",
    )
    sensation: Literal["S0", "S1", "S2"] = Field(description='"S0", "S1" or "S2"')
    valid_until: date = Field(description="the last day, in UTC, without quotes, such as 2026-12-31")
    programme: ProgrammePart = Field(description="a table with the shape of the therapy")
    channel: Annotated[tuple[ChannelPart, ...], Field(strict=False)] = Field(description="[[channel]] tables")
    limits: dict[str, int] = Field(default_factory=dict, description="a table of limits, whole numbers")


class MisfitError(ValueError):
    """A value that has the right form contradicts another, or lies outside its range."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place


def read_prescription(path: Path) -> Prescription:
    """Read a prescription's file. Raises PrescriptionFileError."""
    try:
        data = read_toml(path)
        return prescription_of(Sheet.model_validate(data))
    except FileError as error:
        raise PrescriptionFileError([error]) from None
    except ValidationError as error:
        faults = faults_of(error, Sheet)
        problems = [Problem(str(path), key_text(fault.place), fault.found, fault.expected) for fault in faults]
        raise PrescriptionFileError(problems) from None
    except MisfitError as error:
        found = value_at(data, error.place)
        value = "" if found is None else f" = {shown(found)}"
        raise PrescriptionFileError([f"{path}: {key_text(error.place)}{value}: {error}"]) from None


def value_at(data: Any, place: Place) -> Any:  # noqa: ANN401 - what TOML gives
    """Find a value in a file's tables; None where it stands for several, or for none."""
    for name in place:
        found = (isinstance(data, dict) and name in data) or (isinstance(data, list) and isinstance(name, int))
        if not found:
            return None
        data = data[name]
    return None if isinstance(data, dict | list) else data


def prescription_of(sheet: Sheet) -> Prescription:
    """Make a prescription of a sheet. Raises MisfitError."""
    with placed("programme"):
        programme = Programme(**sheet.programme.model_dump() | {"modality": Modality(sheet.programme.modality)})
    hard = HARD[programme.modality]
    for name, value in sheet.limits.items():
        with placed("limits"):
            if getattr(meet(hard, {name: value}), name) != value:
                raise LimitError(name, value, f"{spec_text(name)} {getattr(hard, name)}, the hard limit")
    with placed():
        return stamped(
            Prescription(
                id=sheet.id,
                version=sheet.version,
                patient=sheet.patient,
                sensation=Sensation(sheet.sensation),
                channels=tuple(plan_of(number, part) for number, part in enumerate(sheet.channel)),
                programme=programme,
                limits=tuple(sorted(sheet.limits.items())),
                valid_until_wall_ms=wall_ms(datetime.combine(sheet.valid_until, time.max, UTC)),
                digest="none yet",
            )
        )


def plan_of(number: int, part: ChannelPart) -> Plan:
    """Make one channel of a prescription. Raises MisfitError."""
    calibration, montage = None, part.montage and Montage(**part.montage.model_dump())
    if part.calibration is not None:
        with placed("channel", number, "calibration"):
            said = part.calibration.model_dump(exclude={"at"}, exclude_none=True)
            found = {"sensory_ua": None, "motor_ua": None, "maximal_ua": None} | with_these_pads(part) | said
            calibration = Calibration(at_wall_ms=wall_ms(part.calibration.at), **found)
    with placed("channel", number):
        return Plan(**part.model_dump() | {"calibration": calibration, "montage": montage})


def with_these_pads(part: ChannelPart) -> dict[str, Any]:
    """Give what a calibration was found with, unless it says otherwise."""
    return {"pair": part.pair, "area_mm2": part.area_mm2, "width_us": part.width_us}


@contextmanager
def placed(*place: str | int) -> Iterator[None]:
    """Say where in the file it was that the heart's types refused a value."""
    try:
        yield
    except PrescriptionError as error:
        text = str(error).removeprefix(f"{error.name}: ")
        if error.name == "calibration":
            raise MisfitError(place, text) from None
        _, is_range, bounds = text.partition(" is not a whole number")
        where = (*place, *RENAMED.get(error.name, (error.name,)))
        raise MisfitError(where, f"expected a whole number{bounds}" if is_range else text) from None
    except LimitError as error:
        raise MisfitError((*place, error.name), f"expected {error.expected}") from None


def wall_ms(moment: datetime) -> int:
    """Give a moment in ms since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


# The stored form


def stamped(rx: Prescription) -> Prescription:
    """Give a prescription the fingerprint of its content: SHA-256 over its canonical JSON without the fingerprint."""
    content = cast("dict[str, object]", FORM.write(rx))
    del content["digest"]
    return replace(rx, digest=sha256(dumps(content).encode()).hexdigest())


def to_json(rx: Prescription) -> str:
    """Write a prescription as canonical JSON."""
    return dumps(FORM.write(rx))


def from_json(text: str) -> Prescription:
    """Read a prescription back. Raises WordError where it is not as it was written."""
    rx = FORM.read(loads(text))
    if not isinstance(rx, Prescription) or stamped(rx) != rx:
        raise WordError("the prescription's content does not give its digest")
    return rx


# The demo


def templates() -> tuple[str, ...]:
    """Name the prescriptions that ship with the demo."""
    return tuple(sorted(path.stem for path in DEMO.glob("*.toml")))


def instantiate(template: str, patient: str, now_wall_ms: int) -> Prescription:
    """Make a demo's prescription for a patient of now: calibrated an hour ago, good for a week."""
    rx = read_prescription(DEMO / f"{template}.toml")
    at_wall_ms = now_wall_ms - DEMO_CALIBRATED_MS
    channels = tuple(
        replace(plan, calibration=plan.calibration and replace(plan.calibration, at_wall_ms=at_wall_ms))
        for plan in rx.channels
    )
    return stamped(replace(rx, patient=patient, channels=channels, valid_until_wall_ms=now_wall_ms + DEMO_VALID_MS))
