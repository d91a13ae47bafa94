"""A person vouches for a patient: the answers are kept, and what they forbid takes effect at once."""

from dataclasses import replace

from safety.attestation import Attestation, class_of
from safety.effects import AttestationRecord
from safety.limits import CLASS_CAPS, UNMEASURED_CAPS, Limits, meet
from safety.messages import Attest, Command, EntryKind
from safety.prescription import Prescription
from safety.rules import papers
from safety.rules.views import Gate
from safety.state import Session
from safety.turn import Turn, sure, wished


def treated_as(rx: Prescription, attestation: Attestation | None) -> Prescription:
    """Give the prescription in the class of sensation by which this patient is judged today; never a laxer one."""
    return replace(rx, sensation=class_of(rx, attestation))


def limits_of(turn: Turn, rx: Prescription) -> Limits:
    """Lay site, class, device and prescription over one another: a session's snapshot."""
    modality, caps = rx.programme.modality, sure(turn.station.device).caps
    layers = [CLASS_CAPS[modality, rx.sensation], dict(rx.limits)]
    if not caps.numeric_impedance:
        layers.append(UNMEASURED_CAPS[rx.sensation])
    return meet(turn.station.config.limits[modality], *layers)


def vouched(turn: Turn, session: Session, attestation: Attestation) -> Session:
    """Put an attestation into a session: its limits can only tighten by it."""
    known = session.papers.attestation
    # What the session was opened with, or was said in it before, has made its class stricter already: it counts once.
    counted = known is not None and known.says("fragile_skin") == "yes"
    rx = session.rx if counted else treated_as(session.rx, attestation)
    papers = session.papers._replace(attestation=attestation)
    return session._replace(rx=rx, limits=limits_of(turn, rx), papers=papers)


def attest(turn: Turn, command: Command) -> None:
    """Keep the answers; an absolute contraindication locks the patient and ends the session."""
    session, wish = sure(turn.station.session), wished(command, Attest)
    attestation = Attestation(at_wall_ms=turn.now.wall_ms, by=command.principal, answers=wish.answers)
    session = vouched(turn, session, attestation)
    turn.station = turn.station._replace(session=session)
    turn.note(
        EntryKind.ATTEST,
        AttestationRecord(session=session.id, patient=session.rx.patient, attestation=attestation),
    )
    gate = Gate(turn.station, command, session, turn.now, 0, 0)
    found = tuple(turn.ask((papers.g05,), gate))
    turn.answer(command, "succeeded", found[0].code if found else "OK", found, sensation=session.rx.sensation.value)
    locked = papers.g05_absolute(gate)
    if locked is not None:
        turn.stop((locked,))
