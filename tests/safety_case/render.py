"""The documents: the one table, a page for each rule, the limits, the hazards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from safety.limits import Modality
from safety.rules.registry import LOCK_SCOPE, Rule
from safety.verdict import MAY_CLEAR, Reason, Scope, Severity, clear_class
from tests.safety_case.case import Bound, Case
from tests.safety_case.collect import Evidence
from tests.safety_case.figures import human, named
from tests.safety_case.page import Outcome, Page
from tests.safety_case.states import CLEARED
from tests.safety_case.states import page as states

MADE = "Made by `make safety-case` from the code and its tests; do not edit."

DOES: Final = {
    Severity.COUNT: "It counts.",
    Severity.REFUSE: "The whole wish is refused with every reason; the output stays as it is.",
    Severity.HOLD: "Wishes that raise are refused; a permitted programme runs on.",
    Severity.PAUSE: "All channels go to zero at once.",
    Severity.STOP: "All channels go to zero at once, and the session is over.",
    Severity.LOCK: "All channels go to zero at once, the session is over, and a lock stands.",
}
WORD: Final = {
    Severity.COUNT: "counts",
    Severity.REFUSE: "refused",
    Severity.HOLD: "holds",
    Severity.PAUSE: "zero, paused",
    Severity.STOP: "zero, stopped",
    Severity.LOCK: "zero, locked",
}
FAMILY: Final = {
    "G": "gate: asked before current flows, and at every wish that raises it",
    "M": "monitor: asked while a session is on",
    "L": "ledger: asked across sessions, when a dose is reserved",
    "X": "structure: how the core is built",
}


def documents(case: Case) -> dict[str, str]:
    """Every file of docs/safety-case by its path there."""
    return {
        "README.md": index(case),
        "limits.md": limits(case),
        "hazards.md": hazards(case),
        "hazards.json": requirements(case),
        "states.md": states(),
        **{f"rules/{rule.id}.md": rule_page(case, rule) for rule in case.rules if rule.id in case.pages},
    }


def requirements(case: Case) -> str:
    """What the bench's report asks for: every hazard with its rules, and the words of both."""
    document = {
        "format": "stimwarden-hil requirements",
        "version": 1,
        "hazards": [
            {"id": hazard.id, "text": hazard.situation, "rules": [rule.id for rule in case.rules_of(hazard.id)]}
            for hazard in case.hazards
        ],
        "rules": [{"id": rule.id, "text": rule.text} for rule in case.rules],
    }
    return json.dumps(document, indent=1) + "\n"


def text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


# The one table


def index(case: Case) -> str:
    return text(
        "# Safety case",
        "",
        f"{MADE}",
        "",
        f"{len(case.hazards)} hazards, {len(case.rules)} rules against them, {len(case.limits)} limits, and the tests "
        f"that are evidence. A clinician reads",
        "the page of a rule; an engineer follows a row from left to right. What the software is not is said in the "
        "[README](../../README.md#what-it-is-not):",
        "no conformity with any standard is claimed, and most limits are engineering defaults that no clinician has "
        "signed off.",
        "",
        "- [Hazards](hazards.md): situation, cause, harm, severity, and the evidence for each",
        "- [Limits](limits.md): shipped default, hard ceiling, sensation classes, source",
        "- [Phases and stops](states.md): what may be asked when, what ends a session, what removes a latch",
        "- [The proof](../proof/proof.md): what was tried on the shipped core, and what it found",
        "",
        "## Rules",
        "",
        *rule_list(case),
        "## Hazard, rule, limit, test",
        "",
        "A limit reads: shipped default (muscles / pain, where they differ), then the hard figure that nothing can "
        "pass. Tests are named by their files; the",
        "page of the rule names each.",
        "",
        "| hazard | S | rule | limit: default, hard | source | tests |",
        "|---|---|---|---|---|---|",
        *(row(case, hazard.id, rule) for hazard in case.hazards for rule in case.rules_of(hazard.id)),
    )


def rule_list(case: Case) -> Iterator[str]:
    for letter, family in FAMILY.items():
        yield (
            f"**{letter}**, {family}: "
            + ", ".join(f"[{rule.id}](rules/{rule.id}.md)" for rule in case.rules if rule.id[0] == letter)
            + "."
        )
        yield ""


def row(case: Case, hazard: str, rule: Rule) -> str:
    entry = next(each for each in case.hazards if each.id == hazard)
    mine = case.limits_of(rule.id)
    figures = "<br>".join(f"`{limit.name}` {default(limit)}, {limit.sense} {hard(limit)}" for limit in mine)
    sources = "<br>".join(dict.fromkeys(limit.source for limit in mine))
    files = dict.fromkeys(test.path for test in case.tests_of(rule.id))
    tests = "<br>".join(f"[{short(path)}](../../{path})" for path in files)
    return (
        f"| [{hazard}](hazards.md#{hazard.lower()}) {entry.situation} | {entry.severity} | "
        f"[{rule.id}](rules/{rule.id}.md) {rule.text} | {figures} | {sources} | {tests} |"
    )


def short(path: str) -> str:
    return PurePosixPath(path).stem.removeprefix("test_")


def default(limit: Bound) -> str:
    return both(limit, limit.default)


def hard(limit: Bound) -> str:
    return both(limit, limit.hard)


def both(limit: Bound, figures: dict[Modality, int]) -> str:
    """A figure, or one for muscles and one for pain where they differ."""
    nmes, tens = (named(limit.name, figures[modality]) for modality in (Modality.NMES, Modality.TENS))
    return nmes if nmes == tens else f"{nmes} / {tens}"


# A page for each rule


def rule_page(case: Case, rule: Rule) -> str:
    page = case.pages[rule.id]
    return text(
        f"# {rule.id}: {rule.text.removesuffix('.')}",
        "",
        f"Kind: {FAMILY[rule.id[0]]}. {MADE}",
        "",
        "## What it guards",
        "",
        page.guards,
        "",
        *(f"- {hazard_line(case, hazard)}" for hazard in rule.hazards.split()),
        "",
        "## The check",
        "",
        page.check,
        "",
        *notes(page, rule),
        *limit_table(case, rule),
        "## Examples",
        "",
        "Each was put to the shipped code, under the shipped policy, when this page was made.",
        "",
        "| situation | what the rule says |",
        "|---|---|",
        *(f"| {example.situation} | {shown(example.outcome())} |" for example in page.examples),
        "",
        "## When it speaks",
        "",
        *speaks(case, rule),
        "",
        "## What clears it",
        "",
        *clears(case, rule),
        "",
        "## Tests",
        "",
        *evidence(case.tests_of(rule.id), "../../.."),
    )


def hazard_line(case: Case, hazard: str) -> str:
    entry = next(each for each in case.hazards if each.id == hazard)
    return f"[{entry.id}](../hazards.md#{entry.id.lower()}) {entry.situation}: {entry.harm} (severity {entry.severity})"


def notes(page: Page, rule: Rule) -> Iterator[str]:
    if page.note:
        yield from (page.note, "")
    if rule.needs:
        yield f"It needs a measurement: {rule.needs}. On a device that cannot make it the rule is inactive, and that is"
        yield "said ([X7](X7.md)); where it can and the reading does not come, that counts as the worst."
        yield ""


def limit_table(case: Case, rule: Rule) -> Iterator[str]:
    mine = case.limits_of(rule.id)
    if not mine:
        return
    yield from ("| limit | | shipped default | hard | source |", "|---|---|---|---|---|")
    for limit in mine:
        yield f"| `{limit.name}` | {limit.sense} | {default(limit)}{by_class(limit)} | {hard(limit)} | {limit.source} |"
    yield ""


def by_class(limit: Bound) -> str:
    """The ceilings of the sensation classes, one line for each kind of therapy unless they are the same."""
    lines = {
        modality: ", ".join(
            f"{who.split()[1]} {named(limit.name, value)}" for who, value in limit.classes if who.split()[0] == modality
        )
        for modality in Modality
    }
    if not any(lines.values()):
        return ""
    if len(set(lines.values())) == 1:
        return f"<br>class {lines[Modality.NMES]}"
    return "".join(f"<br>{modality}, class {line}" for modality, line in lines.items())


def shown(outcome: Outcome) -> str:
    """An outcome in words."""
    if outcome is None:
        return "nothing"
    if not isinstance(outcome, Reason):
        return outcome
    return f"**{WORD[outcome.severity]}** `{outcome.code}`{figures_of(outcome)}"


def figures_of(reason: Reason) -> str:
    """The figures of a reason, where they tell a reader something."""
    if reason.unit in {"", "latch", "channel", "fault bits"} or reason.asked == reason.allowed:
        return ""
    if reason.unit == "ms" and min(reason.asked, reason.allowed) > 10**11:  # two moments, not two spans
        return f": {human(abs(reason.asked - reason.allowed), 'ms')} past"
    if reason.unit == "ms" and not reason.allowed:
        return f": {human(reason.asked, 'ms')}"
    return f": found {human(reason.asked, reason.unit)}, limit {human(reason.allowed, reason.unit)}"


def speaks(case: Case, rule: Rule) -> Iterator[str]:
    severities = case.severities_of(rule.id)
    if not severities:
        yield "It says nothing by itself: it is how the core is built, or counts, and shows in what other rules say."
    for severity in severities:
        yield f"- **{severity.name}** {DOES[severity]}"
    for code in case.codes_of(rule.id):
        yield f"- `{code}` {case.codes[code]}"


def clears(case: Case, rule: Rule) -> Iterator[str]:
    severities = case.severities_of(rule.id)
    if not severities:
        yield "Nothing has to be cleared."
    scope = LOCK_SCOPE.get(rule.id, Scope.SESSION)
    for severity in severities:
        clear = clear_class(severity, scope)
        who = " or ".join(sorted(MAY_CLEAR[clear]))
        if severity in (Severity.COUNT, Severity.REFUSE):
            yield f"- {severity.name}: nothing is latched. Mend the cause and ask again."
        elif who:
            on = f" (on the {scope})" if severity is Severity.LOCK else ""
            yield f"- {severity.name}{on}: {CLEARED[clear]}. Who may: {who}."
        else:
            yield f"- {severity.name}: {CLEARED[clear]}."


def evidence(tests: tuple[Evidence, ...], up: str) -> Iterator[str]:
    """Tests by file."""
    for path in dict.fromkeys(test.path for test in tests):
        yield f"- [{short(path)}]({up}/{path})"
        yield from (f"  - {test.name.removeprefix('test_').replace('_', ' ')}" for test in tests if test.path == path)


# Limits and hazards


def limits(case: Case) -> str:
    return text(
        "# Limits",
        "",
        MADE,
        "",
        "The shipped default is `controller/policy.toml`; a site's own file may tighten it, or loosen it up to the "
        "hard figure, which is compiled in.",
        "Device, prescription, sensation class and calibration only tighten ([X8](rules/X8.md)). Where two figures "
        "stand, the first is for muscles (NMES), the",
        'second for pain (TENS). A source "from memory" was not checked against the text of the standard.',
        "",
        "| limit | rule | | shipped default | hard | source |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{limit.name}` | {rule_link(case, limit.rule)} | {limit.sense} | {default(limit)}{by_class(limit)} | "
            f"{hard(limit)} | {limit.source} |"
            for limit in case.limits
        ),
    )


def rule_link(case: Case, rule: str) -> str:
    return f"[{rule}](rules/{rule}.md)" if rule in case.pages else rule


def hazards(case: Case) -> str:
    lines = [
        "# Hazards",
        "",
        MADE,
        "",
        "Severity is that of the harm if nothing stood in its way: 1 negligible to 5 death.",
        "",
    ]
    for hazard in case.hazards:
        lines += [
            f"## {hazard.id}",
            "",
            f"**{hazard.situation}.** Cause: {hazard.cause}. Harm: {hazard.harm}. Severity {hazard.severity}.",
            "",
            *(f"- {rule_link(case, rule.id)} {rule.text}" for rule in case.rules_of(hazard.id)),
        ]
        mine = case.tests_of(hazard.id)
        if mine:
            lines += ["", "Evidence for the hazard itself:", "", *evidence(mine, "../..")]
        lines.append("")
    return text(*lines).rstrip("\n") + "\n"
