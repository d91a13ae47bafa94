"""The JSON form of journal entries: each kind of entry has one kind of body, written by the names of its fields."""

from typing import cast

from safety.effects import (
    AttestationRecord,
    Body,
    CalibrationRecord,
    Clearing,
    Closing,
    Entry,
    Opening,
    PermitRequest,
    Settlement,
    WishRecord,
)
from safety.messages import EntryKind, Latch

from .words import WordError, dumps, form, loads

FORMS = {
    EntryKind.OPEN: form(Opening, named=True),
    EntryKind.PERMIT: form(PermitRequest, named=True),
    EntryKind.LATCH: form(Latch, named=True),
    EntryKind.CLEAR: form(Clearing, named=True),
    EntryKind.SETTLE: form(Settlement, named=True),
    EntryKind.CLOSE: form(Closing, named=True),
    EntryKind.WISH: form(WishRecord, named=True),
    EntryKind.CALIBRATION: form(CalibrationRecord, named=True),
    EntryKind.ATTEST: form(AttestationRecord, named=True),
}


def body_json(entry: Entry) -> str:
    """Write an entry's body as canonical JSON. Raises WordError for a body of another kind or a field of wrong type."""
    return dumps(FORMS[entry.kind].write(entry.body))


def read_entry(number: int, kind: str, body: str) -> Entry:
    """Read an entry back. Raises WordError for anything that body_json does not write."""
    try:
        known = EntryKind(kind)
    except ValueError as error:
        raise WordError(str(error)) from error
    return Entry(number, known, cast("Body", FORMS[known].read(loads(body))))
