"""The people around a session: presence, ratings and looks at the skin, and reports that something went wrong.

What is confirmed here only ever keeps a permitted session going. A report, pain of 7 and more, and skin that does not
look well end it, and lock its sites for that patient (M24) until a clinician has looked.
"""

from collections.abc import Callable
from typing import Final

from safety.messages import Adverse, Command, Present, Rate, Rated, Report, SkinCheck, Verb
from safety.permits import record
from safety.state import Phase
from safety.turn import Turn, sure, wished
from safety.verdict import Reason, Severity

PAIN_SCORE = 7
"""From here on a pain rating counts as a report (M24; safety reference 7.2)."""


def confirm(turn: Turn, command: Command) -> None:
    """Take note of presence, a rating, or a look at the skin; what is not well ends the session."""
    session, now_ms = sure(turn.station.session), turn.now.mono_ms
    care, detail = session.care, ""
    match command.wish:
        case Present():
            care = care._replace(present_ms=now_ms)
        case Rate(Rated.EFFORT, score):
            care, detail = care._replace(effort_ms=now_ms), f"effort={score}"
        case Rate(Rated.PAIN, score) if score < PAIN_SCORE:
            detail = f"pain={score}"
        case Rate(_, score):
            adverse(turn, command, f"pain={score}")
            return
        case SkinCheck(ok=True):
            care = care._replace(skin_ms=now_ms)
        case _:
            adverse(turn, command, Adverse.SKIN.value)
            return
    turn.station = turn.station._replace(session=session._replace(care=care))
    record(turn, command, session.id, detail)
    turn.answer(command, "succeeded")


def report(turn: Turn, command: Command) -> None:
    """Believe whoever reports that something went wrong. Like a stop it needs no claim, and no rule is asked."""
    adverse(turn, command, wished(command, Report).kind.value)


def adverse(turn: Turn, command: Command, what: str) -> None:
    """Stop, and lock each site of the session for this patient (M24)."""
    session = sure(turn.station.session)
    reasons = tuple(Reason("M24", Severity.LOCK, "SES.ADVERSE", s.plan.channel) for s in session.settings)
    if turn.station.phase is Phase.UNCERTAIN:
        turn.latch(reasons)
    else:
        turn.stop(reasons, by=command.principal)
    record(turn, command, session.id, what)
    turn.answer(command, "succeeded")


HEED: Final[dict[Verb, Callable[[Turn, Command], None]]] = dict.fromkeys((Verb.PRESENT, Verb.RATE, Verb.SKIN), confirm)
