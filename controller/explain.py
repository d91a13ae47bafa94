"""What would become of a wish, and why: every rule that would be asked, with its figures.

The very step and the very admission are run on what is now, and what they ask for is read, never done: nothing in this
file can reach a device, the journal or a reservation. Where a rule has nothing against the wish, its figures are got
by asking it once more under a limit that nothing satisfies: it then says what it measured.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, Protocol, cast

from safety.admit import weighed
from safety.effects import Answer, Commit, PermitRequest, Tell
from safety.limits import SENSE, Limits
from safety.machine import explained
from safety.messages import Asked, Command, Now, Prepare
from safety.prescription import Dose
from safety.rules.ledger import Past
from safety.rules.registry import RULES
from safety.rules.views import Gate, Lane, Skin
from safety.state import Station
from safety.verdict import Asking, Reason, Severity

from .contract import codes
from .contract.answers import AnswerMessage, Explanation, ReasonSaid, RuleSaid
from .contract.envelope import utc_text
from .identity.ceilings import NONE, Ceilings, binds
from .store.dose import Foreseen
from .store.tables import LedgerError

TEXTS = {rule.id: rule.text for rule in RULES}
NOTHING, EVERYTHING = 0, 10**15
"""The bounds that no figure satisfies: an upper and a lower one."""
UNREADABLE = Reason("", Severity.REFUSE, "DOSE.LEDGER_UNAVAILABLE")
FAR = 10**9
"""More than anybody may ask: uA, ohm, ms."""


class Books(Protocol):
    """What is on record, only read."""

    async def complete(self, wish: Prepare, now_wall_ms: int) -> Prepare:
        """Give a wish to prepare what it names. Raises LedgerError."""

    async def foresee(self, device: str, request: PermitRequest, now_wall_ms: int) -> Foreseen:
        """Give what the ledger would judge a reservation by. Raises LedgerError."""


class Figure(NamedTuple):
    """What a rule measured, and the limit where it is known."""

    asked: int
    allowed: int | None
    unit: str


async def explain(
    station: Station, command: Command, now: Now, books: Books, ceilings: Ceilings = NONE
) -> AnswerMessage:
    """Answer what would become of a command on this station now, by somebody with these limits of their own."""
    if isinstance(command.wish, Prepare):
        try:
            command = replace(command, wish=await books.complete(command.wish, now.wall_ms))
        except LedgerError:
            return told(station, command, now, (UNREADABLE,), ())
    done, asked = explained(station, Asked(command), now)
    own = binds(ceilings, station, command)
    reasons: list[Reason] = [own] if own else []
    for effect in done.effects:
        if isinstance(effect, Tell) and isinstance(effect.message, Answer) and effect.message.command == command:
            reasons += effect.message.reasons
        elif isinstance(effect, Commit) and isinstance(effect.entry.body, PermitRequest):
            found, more = await admitted(station, effect.entry.body, now, books)
            reasons += found
            asked += more
    return told(station, command, now, tuple(reasons), asked)


async def admitted(
    station: Station, request: PermitRequest, now: Now, books: Books
) -> tuple[list[Reason], tuple[Asking, ...]]:
    """Judge a reservation as the ledger would."""
    if request.probe:
        return [], ()
    try:
        seen = await books.foresee(station.config.device, request, now.wall_ms)
    except LedgerError:
        return [UNREADABLE], ()
    asked = weighed(seen.history, seen.request, now.wall_ms)
    return [*seen.held, *(asking.found for asking in asked if asking.found)], asked


def told(
    station: Station, command: Command, now: Now, reasons: tuple[Reason, ...], asked: tuple[Asking, ...]
) -> AnswerMessage:
    """Say the verdict, then every rule: those that speak against the wish, then those that were asked and do not."""
    code = reasons[0].code if reasons else "OK"
    verdict = f"It would be refused. {codes.text(code, reason=reasons[0])}" if reasons else "It would be obeyed."
    said = [ReasonSaid.of(reason) for reason in reasons]
    rules = [spoken(reason) for reason in reasons]
    rules += [silent(asking) for asking in asked if asking.found is None]
    binding = said[0] if said else None
    return AnswerMessage(
        command_id=command.id,
        status="succeeded",
        code="OK",
        text=f"This was a question; nothing was done. {verdict}",
        rule=binding.rule or None if binding else None,
        limit=binding.limit if binding else None,
        requested=binding.requested if binding else None,
        unit=binding.unit or None if binding else None,
        reasons=said,
        explained=Explanation(verb=command.verb.value, obeyed=not reasons, code=code, rules=rules),
        boot_id=station.boot_id,
        at=utc_text(now.wall_ms),
    )


def spoken(reason: Reason) -> RuleSaid:
    """Say a rule that is against the wish."""
    figure = Figure(reason.asked, reason.allowed, reason.unit) if reason.unit else None
    return said(reason.rule, reason.channel, figure, reason.code)


def silent(asking: Asking) -> RuleSaid:
    """Say a rule that has nothing against the wish."""
    channel = 0
    if isinstance(asking.view, Lane):
        channel = asking.view.plan.channel
    elif isinstance(asking.view, Skin):
        channel = asking.view.setting.plan.channel
    elif isinstance(asking.view, Past):
        channel = asking.view.channel.channel
    return said(rule_of(asking), channel, figure_of(asking), None)


def said(rule: str, channel: int, figure: Figure | None, code: str | None) -> RuleSaid:
    """Put a rule into the wire's words; the margin is what is left to the limit, negative where it is passed."""
    margin = None
    if figure and figure.allowed is not None:
        margin = abs(figure.allowed - figure.asked) * (1 if code is None else -1)
    return RuleSaid(
        rule=rule,
        text=TEXTS.get(rule, "") if rule else codes.text(code or ""),
        passed=code is None,
        code=code,
        channel=channel,
        requested=figure.asked if figure else None,
        limit=figure.allowed if figure else None,
        unit=figure.unit if figure else "",
        margin=margin,
    )


def rule_of(asking: Asking) -> str:
    """Name the rule of a judge: a function is called after its rule, and has a word more where a rule has several."""
    return asking.judge.__name__.partition("_")[0].upper()


def figure_of(asking: Asking) -> Figure | None:
    """Find what a rule that is content has measured and its limit; of several figures that which is nearest its limit.

    The limit is what the rule names when far too much is asked; else the one limit that it compares with as it is.
    """
    if not isinstance(asking.view, Gate | Lane | Skin | Past):
        return None
    found = [figure for name in read_by(asking) if (figure := measured(asking, name)) is not None]
    beyond = asking.judge(exaggerated(asking.view))
    if beyond is not None and beyond.unit:
        alike = [figure for figure in found if figure.unit == beyond.unit]
        return alike[0]._replace(allowed=beyond.allowed) if alike else None
    return min(found, key=lambda f: (f.allowed is None, left_ppm(f)), default=None)


def left_ppm(figure: Figure) -> int:
    """Tell how far a figure lies from its limit, as a share of the limit."""
    allowed = figure.allowed or 1
    return abs(allowed - figure.asked) * 1_000_000 // max(allowed, 1)


def measured(asking: Asking, name: str) -> Figure | None:
    """Ask a rule once more under a limit that nothing satisfies, so that it says what it has measured.

    Whether the rule compares with this limit as it is, or with something made of it, a bound just missed tells.
    """
    upper = SENSE[name] is min
    reason = bounded(asking, name, NOTHING if upper else EVERYTHING)
    if reason is None or not reason.unit:
        return None
    missed = reason.asked - 1 if upper else reason.asked + 1
    close = bounded(asking, name, missed)
    plain = close is not None and (close.asked, close.allowed, close.unit) == (reason.asked, missed, reason.unit)
    real = [getattr(limits, name) for limits in limits_of(asking.view)]
    return Figure(reason.asked, real[0] if plain else None, reason.unit)


def bounded(asking: Asking, name: str, bound: int) -> Reason | None:
    """Ask a rule under another value of one limit."""
    with suppress(ArithmeticError):
        return asking.judge(under(asking.view, lambda limits: replace(limits, **{name: bound})))
    return None


def exaggerated(view: Gate | Lane | Skin | Past) -> object:
    """Give the view of somebody who asks for far too much."""
    if isinstance(view, Lane):
        return view._replace(train=view.train._replace(ua=FAR))
    if isinstance(view, Past):
        channel = replace(view.channel, reserve=Dose(nc=FAR**2, i2t=FAR**3, on_ms=FAR), ua=FAR, ohm=FAR)
        others = tuple(each for each in view.request.channels if each.channel != channel.channel)
        return view._replace(channel=channel, request=replace(view.request, channels=(*others, channel)))
    if isinstance(view, Skin):
        reading = view.reading and view.reading._replace(ohms=tuple(FAR for _ in view.reading.ohms))
        return view._replace(reading=reading)
    if view.session is None:
        return view
    settings = tuple(setting._replace(setpoint_ua=FAR) for setting in view.session.settings)
    return view._replace(session=view.session._replace(settings=settings))


class Reader:
    """Stands for a set of limits, and knows which of them were read."""

    def __init__(self, limits: Limits, names: dict[str, None]) -> None:
        self._limits = limits
        self._names = names

    def __getattr__(self, name: str) -> object:
        """Give a limit."""
        self._names[name] = None
        return getattr(self._limits, name)


def read_by(asking: Asking) -> tuple[str, ...]:
    """Name the limits that a rule looks at."""
    names: dict[str, None] = {}
    asking.judge(under(asking.view, lambda limits: cast("Limits", Reader(limits, names))))
    return tuple(names)


def limits_of(view: object) -> Iterator[Limits]:
    """Give the limits that a view holds."""
    if isinstance(view, Lane | Skin | Past):
        yield view.limits
    elif isinstance(view, Gate):
        if view.session is not None:
            yield view.session.limits
        yield view.station.config.general


def under(view: object, change: Callable[[Limits], Limits]) -> object:
    """Give the same view under other limits."""
    if isinstance(view, Gate):
        config = view.station.config
        station = view.station._replace(config=replace(config, general=change(config.general)))
        session = view.session and view.session._replace(limits=change(view.session.limits))
        return view._replace(station=station, session=session)
    return view._replace(limits=change(view.limits)) if isinstance(view, Lane | Skin | Past) else view
