"""What the ledger knows of a patient: the words of the second door, `admit`."""

from dataclasses import dataclass

from safety.limits import Modality
from safety.prescription import Dose


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One channel of one session in the ledger: reserved when it was permitted, charged when it was settled.

    `charged` is None while the session is open, also after a crash: the reservation then counts as delivered (L07).
    `on_time_ms` is the
    time with current that the programme plans, by which short programmes are known.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All records of one patient that can matter (the last 7 days at least), and the sites under a montage lock.

    `earlier` counts, per site and modality, the sessions that are older than the records.
    """

    patient: str
    records: tuple[Record, ...]
    locked_sites: tuple[str, ...]
    earlier: tuple[tuple[str, Modality, int], ...] = ()
