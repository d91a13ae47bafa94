"""The case as data: hazards, rules, limits, tests and pages brought together, and the gates that find its gaps."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

from safety.limits import CLASS_CAPS, HARD, Limits, Modality, spec_text
from safety.rules.hazards import HAZARDS, Hazard
from safety.rules.registry import RULES, Rule
from safety.verdict import Severity
from tests.safety_case.code import Code, shipped
from tests.safety_case.collect import BOUND, ROOT, Evidence
from tests.safety_case.page import Page

STOP = "STOP"
"""A person's own stop: a reason that is no rule."""


class Bound(NamedTuple):
    """One limit: whose it is, which way it binds, shipped defaults, hard figures, and where they come from."""

    name: str
    rule: str
    source: str
    sense: str
    default: dict[Modality, int]
    hard: dict[Modality, int]
    classes: tuple[tuple[str, int], ...]


class Case(NamedTuple):
    """Everything that the safety case is made of."""

    hazards: tuple[Hazard, ...]
    rules: tuple[Rule, ...]
    limits: tuple[Bound, ...]
    tests: tuple[Evidence, ...]
    pages: dict[str, Page]
    code: Code
    codes: dict[str, str]

    def tests_of(self, id_: str) -> tuple[Evidence, ...]:
        return tuple(test for test in self.tests if id_ in test.ids)

    def rules_of(self, hazard: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if hazard in rule.hazards.split())

    def limits_of(self, rule: str) -> tuple[Bound, ...]:
        """The limits that the rule's functions read, and those that name the rule as theirs."""
        read = self.code.limits.get(rule, frozenset())
        return tuple(limit for limit in self.limits if limit.rule == rule or limit.name in read)

    def severities_of(self, rule: str) -> tuple[Severity, ...]:
        return tuple(sorted({each for said in self.code.said if said.rule == rule for each in said.severities}))

    def codes_of(self, rule: str) -> tuple[str, ...]:
        return tuple(sorted({each for said in self.code.said if said.rule == rule for each in said.codes}))


def bounds() -> Iterator[Bound]:
    policy = tomllib.loads((ROOT / "controller" / "policy.toml").read_text(encoding="utf-8"))
    for spec in fields(Limits):
        rule, _, source = spec.metadata["source"].partition("; ")
        yield Bound(
            spec.name,
            rule,
            source,
            spec_text(spec.name),
            {modality: policy[modality][spec.name] for modality in Modality},
            {modality: getattr(HARD[modality], spec.name) for modality in Modality},
            tuple((f"{m} {c}", caps[spec.name]) for (m, c), caps in CLASS_CAPS.items() if spec.name in caps),
        )


def assemble(tests: list[Evidence], pages: dict[str, Page]) -> Case:
    """Bring the shipped case together."""
    wire = tomllib.loads((ROOT / "controller" / "contract" / "codes.toml").read_text(encoding="utf-8"))
    return Case(HAZARDS, RULES, tuple(bounds()), tuple(tests), pages, shipped(), wire["codes"])


# The gates: each gives its complaints


def hazards_without_a_rule(case: Case) -> list[str]:
    return [f"{hazard.id}: no rule stands against it" for hazard in case.hazards if not case.rules_of(hazard.id)]


def hazards_without_a_test(case: Case) -> list[str]:
    """A hazard needs evidence of its own, or of a rule that stands against it."""
    return [
        f"{hazard.id}: no test is evidence for it"
        for hazard in case.hazards
        if not any(case.tests_of(id_) for id_ in (hazard.id, *(rule.id for rule in case.rules_of(hazard.id))))
    ]


def rules_without_a_hazard(case: Case) -> list[str]:
    known = {hazard.id for hazard in case.hazards}
    return [
        f"{rule.id}: names {rule.hazards or 'no hazard'}"
        for rule in case.rules
        if not rule.hazards or not set(rule.hazards.split()) <= known
    ]


def rules_without_a_test(case: Case) -> list[str]:
    return [f"{rule.id}: no test is marked with it" for rule in case.rules if not case.tests_of(rule.id)]


def rules_without_a_page(case: Case) -> list[str]:
    registered = [rule.id for rule in case.rules]
    return [f"{id_}: has no page" for id_ in registered if id_ not in case.pages] + [
        f"{id_}: has a page and is no rule" for id_ in case.pages if id_ not in registered
    ]


def examples_of_one_side(case: Case) -> list[str]:
    """A rule that speaks by itself is shown speaking and silent; of the others there is an example at least."""
    complaints = []
    for page in case.pages.values():
        outcomes = [example.outcome() for example in page.examples]
        structural = page.id.startswith("X") or not case.severities_of(page.id)
        if not outcomes or not (structural or {outcome is None for outcome in outcomes} == {True, False}):
            complaints.append(f"{page.id}: its examples do not show both sides")
    return complaints


def unmarked_tests(case: Case) -> list[str]:
    known = {rule.id for rule in case.rules} | {hazard.id for hazard in case.hazards}
    bound = tuple(f"{folder}/" for folder in BOUND)
    return [
        f"{test.path}::{test.name}: names neither a rule nor a hazard"
        for test in case.tests
        if not test.ids and test.path.startswith(bound)
    ] + [
        f"{test.path}::{test.name}: {id_} is neither a rule nor a hazard"
        for test in case.tests
        for id_ in test.ids
        if id_ not in known
    ]


def limits_without_a_source(case: Case) -> list[str]:
    return [f"{limit.name}: says no source" for limit in case.limits if not limit.source.strip()]


def limits_without_a_rule(case: Case) -> list[str]:
    registered = {rule.id for rule in case.rules}
    return [f"{limit.name}: belongs to no rule" for limit in case.limits if limit.rule not in registered] + [
        f"{limit.name}: nothing reads it" for limit in case.limits if limit.name not in case.code.read
    ]


def strangers(case: Case) -> list[str]:
    """Ids that the code gives as a reason, or bears as a function's name, and that are no registered rule."""
    known = {rule.id for rule in case.rules} | {STOP}
    return sorted(
        {f"{said.function} reports {said.rule}" for said in case.code.said if said.rule not in known}
    ) + sorted(f"a function bears the name of {rule}" for rule in case.code.limits if rule not in known)


GATES = (
    hazards_without_a_rule,
    hazards_without_a_test,
    rules_without_a_hazard,
    rules_without_a_test,
    rules_without_a_page,
    examples_of_one_side,
    unmarked_tests,
    limits_without_a_source,
    limits_without_a_rule,
    strangers,
)
