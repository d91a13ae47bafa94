"""What the demo claims, check by check, in whole numbers; charges in pC."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .planned import stretches
from .recording import Recording

STOPPING_RULES = frozenset({"M07", "M11"})
"""The rules that may answer an electrode that comes off: open circuit, and a jump of the impedance."""
HOST_RULES = frozenset({"M04", "M25"})
"""The rules that end a session because this machine, or the line, did not keep time."""
FULL_PERCENT = 95
"""Share of the prescribed current above which it counts as back at full amplitude."""


class End(NamedTuple):
    """How a session ended: `completed`, or `stopped` or `paused` by a rule, with the reason in words."""

    outcome: str
    rule: str
    words: str


class Dose(NamedTuple):
    """A session's absolute charge: as planned, as the scope measured it, as the ledger has it (None: it has not)."""

    planned_pc: int
    delivered_pc: int
    ledger_pc: int | None


class Check(NamedTuple):
    """One claim, whether it holds, and the figures that say so."""

    claim: str
    holds: bool
    words: str


class Accident(NamedTuple):
    """When the electrode came off and when it was pressed on again, on the boot clock."""

    off_us: int
    on_us: int


class Session(NamedTuple):
    """One session: what was measured, and how it ended."""

    recording: Recording
    end: End


@dataclass(frozen=True)
class Trial:
    """All that one run of the demo has shown."""

    clean: Session
    guarded: Session
    accident: Accident
    bare: Session
    bare_accident: Accident
    ledger_pc: int | None

    @cached_property
    def dose(self) -> Dose:
        """The charge of the clean session, thrice."""
        recording = self.clean.recording
        planned_pc = sum(stretch.pc for stretch in stretches(recording.plan, recording.programme))
        return Dose(round(planned_pc), recording.delivered_pc, self.ledger_pc)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """What is claimed, in the order in which it is told."""
        return (
            completed(self.clean.end),
            dose_agrees(self.dose),
            stopped(self.guarded.end),
            stayed_at_zero(self.guarded.recording, self.accident),
            returned(self.bare.recording, self.bare_accident),
        )

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(check.holds for check in self.checks)


def completed(end: End) -> Check:
    """The clean session ran to its end; where the machine was too slow for that, say so."""
    claim = "The clean session ran to its end."
    if end.outcome == "completed":
        return Check(claim, True, "It played its whole time and closed by itself.")
    if end.rule in HOST_RULES:
        host = (
            f"This machine did not keep time: rule {end.rule} ended the session, as it must. Try when less else runs."
        )
        return Check(claim, False, f"{host} {end.words}")
    return Check(claim, False, f"It was {end.outcome} by {end.rule or 'nobody that is known'}. {end.words}".strip())


def dose_agrees(dose: Dose) -> Check:
    """0.95 planned <= delivered <= ledger <= 1.05 delivered."""
    claim = "Planned, delivered and booked charge agree."
    planned_pc, delivered_pc, ledger_pc = dose
    if ledger_pc is None:
        return Check(claim, False, "The ledger has charged nothing.")
    words = (
        f"Planned {millicoulomb(planned_pc)}, delivered {millicoulomb(delivered_pc)}, "
        f"in the ledger {millicoulomb(ledger_pc)}."
    )
    for fails, why in (
        (100 * delivered_pc < 95 * planned_pc, "Less than 95 % of the plan was delivered."),
        (ledger_pc < delivered_pc, "The ledger has less than was delivered."),
        (100 * ledger_pc > 105 * delivered_pc, "The ledger has more than 105 % of what was delivered."),
    ):
        if fails:
            return Check(claim, False, f"{words} {why}")
    return Check(claim, True, words)


def stopped(end: End) -> Check:
    """The interlock ended the session, and by a rule that looks at the electrode."""
    claim = "The interlock stopped the session when the electrode came off."
    if end.rule in STOPPING_RULES:
        return Check(claim, True, f"Rule {end.rule} did. {end.words}")
    return Check(claim, False, f"It was {end.outcome} by {end.rule or 'no rule'}. {end.words}".strip())


def stayed_at_zero(recording: Recording, accident: Accident) -> Check:
    """No therapy pulse reached the body from the moment the electrode came off, also not after it was back."""
    claim = "No current flowed any more, also not when the electrode was pressed on again."
    watched_s = (recording.end_us - accident.on_us) / 1_000_000
    late = recording.after(accident.off_us)
    words = f"{counted(len(late))} above 2 mA; the scope watched for {watched_s:.1f} s after the electrode was back."
    if recording.end_us <= accident.on_us:
        return Check(claim, False, "The scope was not watched until the electrode was back.")
    return Check(claim, not late, words)


def returned(recording: Recording, accident: Accident) -> Check:
    """Without the interlock the same script gives current again: the zero above is not the bench's doing."""
    claim = "The same script without the interlock gave current again."
    back = recording.after(accident.on_us)
    if not back:
        return Check(
            claim, False, "No pulse above 2 mA came, so the comparison shows nothing. Was the machine too busy?"
        )
    highest_ua = max(pulse.peak_ua for pulse in back)
    words = f"{counted(len(back))} of up to {milliampere(highest_ua)} after the electrode was pressed on."
    return Check(claim, highest_ua * 100 >= recording.plan.ua * FULL_PERCENT, words)


def counted(pulses: int) -> str:
    """Write a number of pulses."""
    return "1 pulse" if pulses == 1 else f"{pulses} pulses"


def milliampere(ua: int) -> str:
    """Write a current for people: 20.0 mA."""
    return f"{ua / 1000:.1f} mA"


def millicoulomb(pc: int) -> str:
    """Write a charge for people: 2.880 mC."""
    return f"{pc / 1_000_000_000:.3f} mC"
