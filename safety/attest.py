"""A person vouches for a patient: the answers are kept, and what they forbid takes effect at once."""

from dataclasses import replace

from safety.attestation import Attestation, class_of
from safety.effects import AttestationRecord
from safety.limits import CLASS_CAPS, meet
from safety.messages import Attest, Command, EntryKind
from safety.prescription import Prescription
from safety.rules import papers
from safety.rules.views import Gate
from safety.state import Session
from safety.turn import Turn


def treated_as(rx: Prescription, attestation: Attestation | None) -> Prescription:
    """Give the prescription in the class of sensation by which this patient is judged today; never a laxer one."""
    return replace(rx, sensation=class_of(rx, attestation))


def vouched(turn: Turn, session: Session, attestation: Attestation) -> Session:
    """Put an attestation into a session: its limits can only tighten by it."""
    rx = treated_as(session.rx, attestation)
    site = turn.station.config.limits[rx.programme.modality]
    limits = meet(site, CLASS_CAPS[rx.programme.modality, rx.sensation], dict(rx.limits))
    return session._replace(rx=rx, limits=limits, papers=session.papers._replace(attestation=attestation))


def attest(turn: Turn, command: Command) -> None:
    """Keep the answers; an absolute contraindication locks the patient and ends the session."""
    session, wish = turn.station.session, command.wish
    if session is None or not isinstance(wish, Attest):
        raise TypeError(wish)
    attestation = Attestation(at_wall_ms=turn.now.wall_ms, by=command.principal, answers=wish.answers)
    session = vouched(turn, session, attestation)
    turn.station = turn.station._replace(session=session)
    turn.note(
        EntryKind.ATTEST,
        AttestationRecord(session=session.id, patient=session.rx.patient, attestation=attestation),
    )
    gate = Gate(turn.station, command, session, turn.now, 0, 0)
    found = tuple(reason for reason in (papers.g05(gate),) if reason is not None)
    turn.answer(command, "succeeded", found[0].code if found else "OK", found, sensation=session.rx.sensation.value)
    locked = papers.g05_absolute(gate)
    if locked is not None:
        turn.stop((locked,))
