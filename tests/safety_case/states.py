"""The page of phases and stops, drawn from the phase table and from what the shipped core does in each phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rig import (
    VOUCHED,
    Adjust,
    ArmSession,
    Check,
    Claim,
    ClearLatch,
    Pause,
    Prepare,
    Release,
    Renew,
    Resume,
    Rig,
    Start,
    Stop,
    rx,
    standing,
)

from safety.effects import Silence
from safety.messages import (
    Adverse,
    Attest,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    DeviceDown,
    Present,
    Rate,
    Rated,
    Report,
    SkinCheck,
    Threshold,
    Verb,
)
from safety.rules.registry import LOCK_SCOPE
from safety.state import Phase
from safety.verdict import MAY_CLEAR, Clear, Scope, Severity, clear_class
from safety.wishes import ALLOWED

WISHES: Final[dict[Verb, object]] = {
    Verb.CLAIM: Claim(),
    Verb.RENEW: Renew(),
    Verb.RELEASE: Release(),
    Verb.PREPARE: Prepare(rx(), rx().ref, rx().patient),
    Verb.CHECK: Check(()),
    Verb.CAL_BEGIN: CalibrationBegin(1),
    Verb.CAL_STEP: CalibrationStep(1_000),
    Verb.CAL_MARK: CalibrationMark(Threshold.SENSORY, absent=True),
    Verb.CAL_END: CalibrationEnd(),
    Verb.ARM: ArmSession(),
    Verb.START: Start(),
    Verb.ADJUST: Adjust(1, 1_000),
    Verb.PAUSE: Pause(),
    Verb.RESUME: Resume(),
    Verb.STOP: Stop(),
    Verb.ATTEST: Attest(VOUCHED.answers),
    Verb.PRESENT: Present(),
    Verb.RATE: Rate(Rated.EFFORT, 3),
    Verb.SKIN: SkinCheck(ok=True),
    Verb.REPORT: Report(Adverse.BURNING),
    Verb.CLEAR: ClearLatch(999, "looked at it"),
}
"""One wish of each verb."""


def paused(rig: Rig) -> None:
    rig.device.changes["supply_mv"] = 10_000
    rig.hear()


def stopped(rig: Rig) -> None:
    rig.device.changes["presses"] = 1
    rig.hear()


def played(rig: Rig) -> None:
    while rig.phase is Phase.RUNNING:
        rig.tick()


def confirmed(rig: Rig) -> None:
    rig.device.ignores_stop = False
    rig.tick(20)


CAUSES: Final[dict[str, Callable[[Rig], object]]] = {
    "a rule pauses": paused,
    "a rule stops": stopped,
    "the device is lost": lambda rig: rig.give(DeviceDown("unplugged")),
    "the therapy is played": played,
    "the stop is confirmed": confirmed,
    "a device comes": lambda rig: rig.up(),
}
"""What leads from one phase to another without a wish."""
FITS: Final = {
    "the therapy is played": {Phase.RUNNING},
    "the stop is confirmed": {Phase.UNCERTAIN},
    "a device comes": {Phase.OFFLINE},
}


def at(phase: Phase) -> Rig:
    """A rig in this phase whose console holds the claim; what a resume asks for has been measured."""
    rig = standing(phase)
    if phase is not Phase.OFFLINE:
        rig.must(Claim())
    if phase is Phase.PAUSED:
        rig.must(Check(()))
    return rig


def reached() -> dict[tuple[Phase, Phase], list[str]]:
    """Every change of phase that one wish or one cause brings about, as the shipped core does it."""
    edges: dict[tuple[Phase, Phase], list[str]] = {}
    for phase in Phase:
        for label, lead in steps(phase):
            rig = at(phase)
            lead(rig)
            if rig.phase is not phase:
                edges.setdefault((phase, rig.phase), []).append(label)
    return edges


def steps(phase: Phase) -> Iterator[tuple[str, Callable[[Rig], object]]]:
    for verb in Verb:
        if verb in ALLOWED[phase]:
            yield verb.value, lambda rig, verb=verb: rig.ask(WISHES[verb])
    for label, cause in CAUSES.items():
        if phase in FITS.get(label, set(Phase) - {Phase.OFFLINE}):
            yield label, cause


def phases() -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.OFFLINE}"]
    for (before, after), labels in reached().items():
        lines.append(f"    {before} --> {after}: {'<br>'.join(labels)}")
    return "\n".join(lines)


def table() -> Iterator[str]:
    yield "| wish | " + " | ".join(Phase) + " |"
    yield "|---" * (len(Phase) + 1) + "|"
    for verb in Verb:
        yield f"| `{verb}` | " + " | ".join("yes" if verb in ALLOWED[phase] else "" for phase in Phase) + " |"


def insisting() -> str:
    """What the core does, and when, while a device does not obey a stop."""
    rig = Rig().plateau()
    rig.device.ignores_stop = True
    begun_ms = rig.mono_ms
    rig.ask(Stop())
    moments = ["the stop is said"]
    times = [0]
    while rig.mono_ms - begun_ms < 1_000:
        mark, told = len(rig.log), len(rig.said)
        rig.tick()
        for effect in rig.log[mark:]:
            if isinstance(effect, Silence):
                times.append(rig.mono_ms - begun_ms)
                moments.append("the output stage is cut" if effect.cut else "the stop is said again")
        for message in rig.said[told:]:
            if getattr(message, "kind", "") == "alarm.raised":
                times.append(rig.mono_ms - begun_ms)
                moments.append(f"alarm, priority {message.priority}; {message.reasons[0].rule} locks the device")
    lines = ["stateDiagram-v2", "    direction LR", "    [*] --> s0: STOP"]
    shown = [(time, moment) for time, moment in zip(times, moments, strict=True)]
    for index, (_, moment) in enumerate(shown):
        lines.append(f"    s{index}: {moment}")
        if index + 1 < len(shown):
            lines.append(f"    s{index} --> s{index + 1}: {shown[index + 1][0]} ms, not confirmed")
        lines.append(f"    s{index} --> confirmed: the device says it is stopped")
    return "\n".join(lines)


def ladder() -> Iterator[str]:
    """Actions, what a latch of each is removed by, and who may do that."""
    yield "| action | latch on | removed by | who may |"
    yield "|---|---|---|---|"
    scopes = {Severity.LOCK: tuple(Scope)}
    for severity in (Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK):
        for scope in scopes.get(severity, (Scope.SESSION,)):
            clear = clear_class(severity, scope)
            who = ", ".join(sorted(MAY_CLEAR[clear])) or "nobody: by itself"
            rules = ", ".join(rule for rule, locked in LOCK_SCOPE.items() if locked is scope)
            held = f"{scope} ({rules})" if severity is Severity.LOCK and rules else scope
            yield f"| {severity.name} | {held if severity is not Severity.HOLD else 'nothing'} | {CLEARED[clear]} | "
            f"{who} |"


CLEARED: Final[dict[Clear, str]] = {
    Clear.AUTO: "two seconds inside the limit",
    Clear.ACK_OPERATOR: "an operator's acknowledgement; then a resume from zero with a fresh impedance check",
    Clear.NEW_SESSION: "an operator's acknowledgement; then a new session, its own impedance check, zero",
    Clear.ACK_QUALIFIED: "a qualified clinician, with a reason in words",
    Clear.MAINTENANCE: "a biomedical engineer, after the device was looked at",
}
"""What removes a latch of each class, in words."""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Phases and stops",
            "",
            "Drawn from the phase table of the code and from what the shipped core does",
            "when each wish, or each cause, comes in each phase.",
            "",
            "## Phases",
            "",
            "```mermaid",
            phases(),
            "```",
            "",
            "Current flows in `running` alone, and in `calibrating` while the button is held. A wish that is not",
            "drawn leads nowhere else. Every start of the service begins at `offline`.",
            "",
            "## Which wish is heard where",
            "",
            *table(),
            "",
            "All else is refused with `SES.STATE`, and nothing changes ([X3](rules/X3.md)). Heard means judged: the",
            "rules of the gate still speak.",
            "",
            "## A stop that the device does not obey",
            "",
            "```mermaid",
            insisting(),
            "```",
            "",
            "The rule is [M29](rules/M29.md).",
            "",
            "## What removes a latch",
            "",
            *ladder(),
            "",
            "Removing a latch never brings current back by itself ([X5](rules/X5.md)).",
            "",
        ]
    )
