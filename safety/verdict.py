"""What a rule says: a reason. A verdict is a tuple of reasons, worst first; an empty one allows."""

from collections.abc import Callable, Iterable
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple, TypeAlias, TypeVar


class Severity(IntEnum):
    """How hard a rule acts; the highest of all active reasons wins."""

    COUNT = 0
    """An accounting rule: it raises a counter and refuses nothing by itself."""
    REFUSE = 1
    """The whole command is refused; the output stays as it is."""
    HOLD = 2
    """Wishes that raise are refused; a permitted programme runs on."""
    PAUSE = 3
    """Zero on all channels, latched; an operator's acknowledgement and a resume from zero bring it back."""
    STOP = 4
    """Zero, the session is over."""
    LOCK = 5
    """Zero, the session is over, and a qualified person must release the lock."""


class Scope(StrEnum):
    """What a latch holds fast."""

    SESSION = "session"
    DEVICE = "device"
    MONTAGE = "montage"
    PATIENT = "patient"


class Clear(StrEnum):
    """What removes a latch, weakest first."""

    AUTO = "auto"
    """Two seconds inside the inner threshold."""
    ACK_OPERATOR = "ack_operator"
    """Somebody who may operate the device acknowledges."""
    NEW_SESSION = "new_session"
    """An operator acknowledges; then a new session with its own gate, impedance check and zero start."""
    ACK_QUALIFIED = "ack_qualified"
    """A qualified clinician, with a reason in words."""
    MAINTENANCE = "maintenance"
    """A biomedical engineer, after the device was looked at."""


class Reason(NamedTuple):
    """Why something was refused or stopped.

    `rule` is the id of the safety reference, `code` the stable word on the wire; `channel` is 0 where the rule is
    about the whole device;
    `asked` and `allowed` are in `unit`.
    """

    rule: str
    severity: Severity
    code: str
    channel: int = 0
    asked: int = 0
    allowed: int = 0
    unit: str = ""


View = TypeVar("View")
Judge: TypeAlias = Callable[[View], Reason | None]
"""A rule: it looks at one picture of the situation, and says nothing or why not."""


class Asking(NamedTuple):
    """A rule that was asked, what it looked at, and what it found (None: nothing against it)."""

    judge: Callable[..., Reason | None]
    view: object
    found: Reason | None


def put_to(judges: Iterable[Judge[View]], view: View) -> list[Asking]:
    """Ask each of these rules."""
    return [Asking(judge, view, judge(view)) for judge in judges]


def found_by(asked: Iterable[Asking]) -> list[Reason]:
    """Give what was found, in the order of asking."""
    return [asking.found for asking in asked if asking.found is not None]


def worst_first(reasons: list[Reason]) -> tuple[Reason, ...]:
    """Order reasons by severity, worst first; equals keep the order of the rule table."""
    return tuple(sorted(reasons, key=lambda reason: -reason.severity))


def clear_class(severity: Severity, scope: Scope) -> Clear:
    """Give the clear class of a latch raised with this severity on this scope (safety reference 7.5)."""
    if severity is Severity.LOCK:
        return Clear.MAINTENANCE if scope is Scope.DEVICE else Clear.ACK_QUALIFIED
    if severity is Severity.STOP:
        return Clear.NEW_SESSION
    return Clear.ACK_OPERATOR if severity is Severity.PAUSE else Clear.AUTO


MAY_CLEAR: Final[dict[Clear, frozenset[str]]] = {
    Clear.AUTO: frozenset(),
    Clear.ACK_OPERATOR: frozenset({"physio", "prescriber", "biomed"}),
    Clear.NEW_SESSION: frozenset({"physio", "prescriber", "biomed"}),
    Clear.ACK_QUALIFIED: frozenset({"prescriber"}),
    Clear.MAINTENANCE: frozenset({"biomed"}),
}
"""Which roles may remove a latch of a class (engineering default; the site's clinicians sign it off)."""
