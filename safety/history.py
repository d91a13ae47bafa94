"""What the ledger knows of a patient: the words of the second door, `admit`."""

from dataclasses import dataclass
from typing import NamedTuple

from safety.limits import Modality
from safety.prescription import Dose


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One channel of one session in the ledger: reserved when it was permitted, charged when it was settled.

    `charged` is None while the session is open, also after a crash: the reservation then counts as delivered (L07).
    `on_time_ms` is the time on the plateau that the programme plans. `ua` is the set-point at the end (the highest
    that was permitted, while nobody has said), `ohm` the median of the skin's check (0: not measured), `played_ms` how
    far the programme came; `completed` tells that it was played to its end.
    """

    session: str
    rx: str
    site: str
    pair: str
    modality: Modality
    opened_wall_ms: int
    closed_wall_ms: int | None
    on_time_ms: int
    reserved: Dose
    charged: Dose | None
    ua: int
    ohm: int
    completed: bool
    played_ms: int


class AdverseLock(NamedTuple):
    """A site where harm was reported, since when, and whether a clinician has released it."""

    site: str
    since_wall_ms: int
    released: bool


class PadUse(NamedTuple):
    """A pad by its barcode: sessions for which it was armed, and when it expires (None: nobody has said)."""

    barcode: str
    uses: int
    expires_wall_ms: int | None


class Correction(NamedTuple):
    """An entry that corrects what was counted at a place and time: its dose is added, and may be negative.

    `signed_by` are the people who stand for it.
    """

    site: str
    pair: str
    modality: Modality
    at_wall_ms: int
    dose: Dose
    signed_by: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All records of one patient that can matter (the last 7 days at least), and the sites under a montage lock.

    `earlier` counts, per site and modality, the sessions that are older than the records; `older` are the last five of
    them on each site, pair and modality, which no total counts any more. `pads` are those that the request names.
    `whole` is False where the patient is known under another name too, or a part of the ledger cannot be read.
    """

    patient: str
    records: tuple[Record, ...]
    locked_sites: tuple[str, ...]
    earlier: tuple[tuple[str, Modality, int], ...] = ()
    older: tuple[Record, ...] = ()
    adverse: tuple[AdverseLock, ...] = ()
    pads: tuple[PadUse, ...] = ()
    corrections: tuple[Correction, ...] = ()
    whole: bool = True
