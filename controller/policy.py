"""The site's policy: a TOML file that sets every limit for each modality, inside the compiled ceilings."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from safety.limits import HARD, LimitError, Limits, Modality, canonical, meet, site_limits
from safety.messages import Config
from safety.times import NATIVE, SCIENCEMODE2, SCIENCEMODE4, Times

from .settings import DeviceTable
from .tomlfile import FileError, Problem, read_toml, shown
from .words import dumps

MODELS: Mapping[str, tuple[str, ...]] = {
    "native": ("stimwarden-native", "native-bench"),
    "sciencemode4": ("p24",),
    "sciencemode2": ("rehastim2",),
}
TIMES: Mapping[str, Times] = {"native": NATIVE, "sciencemode4": SCIENCEMODE4, "sciencemode2": SCIENCEMODE2}
"""Per driver: the models that it may drive, by the name they give, and the times that it keeps."""


class PolicyError(FileError):
    """The policy cannot be used; one line for each problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The site's limits per modality, the tighter of both, and the fingerprint of what the file says."""

    limits: Mapping[Modality, Limits]
    general: Limits
    digest: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a policy. Raises PolicyError where a limit is missing, unknown, no whole number, or past its ceiling."""
        try:
            data = read_toml(path)
        except FileError as error:
            raise PolicyError([error]) from None
        problems = [*_misnamed(path, data), *(each for modality in Modality for each in _faults(path, modality, data))]
        if problems:
            raise PolicyError(problems)
        limits = {modality: site_limits(modality, data[modality]) for modality in Modality}
        general = meet(limits[Modality.NMES], asdict(limits[Modality.TENS]))
        return cls(limits=limits, general=general, digest=sha256(dumps(data).encode()).hexdigest())

    @property
    def hard_digest(self) -> str:
        """Give the fingerprint of the compiled ceilings."""
        return sha256(canonical().encode()).hexdigest()

    def config(self, device: DeviceTable) -> Config:
        """Say what does not change for a device while the service runs."""
        return Config(
            device=device.id,
            policy=self.digest,
            limits=self.limits,
            general=self.general,
            times=TIMES[device.driver],
            models=MODELS[device.driver],
            emulator=device.profile == "bench",
        )


def _misnamed(path: Path, data: Mapping[str, Any]) -> Iterator[Problem]:
    for name in sorted(data.keys() - set(Modality)):
        yield Problem(str(path), name, "is unknown", f"one of {', '.join(Modality)}")


def _faults(path: Path, modality: Modality, data: Mapping[str, Any]) -> Iterator[Problem]:
    """Say all that is wrong with one table: each fault is mended in a copy, to let the next one show."""
    table = data.get(modality)
    if not isinstance(table, dict):
        found = "is missing" if table is None else f"= {shown(table)}"
        yield Problem(str(path), modality, found, "a table of all limits")
        return
    copy, hard = dict(table), asdict(HARD[modality])
    while (error := _first_fault(modality, copy)) is not None:
        found = f"= {shown(error.value)}" if error.name in table else "is missing"
        copy.pop(error.name, None)
        if error.name in hard:
            copy[error.name] = hard[error.name]
        else:
            found = "is unknown"
        yield Problem(str(path), f"{modality}.{error.name}", found, error.expected)


def _first_fault(modality: Modality, table: Mapping[str, Any]) -> LimitError | None:
    try:
        site_limits(modality, table)
    except LimitError as error:
        return error
    return None
