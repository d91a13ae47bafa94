"""The safety case has no gap and is what the code says; each gate is shown to bite on a planted one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.report.matrix import Requirements
from safety.limits import Modality
from safety.messages import Verb
from safety.rules.hazards import Hazard
from safety.rules.registry import Rule
from safety.state import Phase
from safety.verdict import Reason, Severity
from tests.safety_case import case as gates
from tests.safety_case import render, states
from tests.safety_case.__main__ import FOLDER, stale
from tests.safety_case.case import GATES, Bound, Case, assemble
from tests.safety_case.code import Said, read
from tests.safety_case.collect import Evidence, collect
from tests.safety_case.figures import human, named
from tests.safety_case.page import Page, example
from tests.safety_case.prose import PAGES
from tests.safety_case.render import shown


@pytest.fixture(scope="module")
def case() -> Case:
    return assemble(collect("tests"), PAGES)


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.__name__)
def test_the_case_has_no_gap(gate, case: Case):
    assert gate(case) == []


@pytest.mark.hazard("H40")
def test_a_hazard_without_a_rule_is_seen(case: Case):
    alone = case._replace(hazards=(*case.hazards, Hazard("H51", "Lightning", "weather", "burn", 4)))
    for gate, complaint in (
        (gates.hazards_without_a_rule, "H51: no rule stands against it"),
        (gates.hazards_without_a_test, "H51: no test is evidence for it"),
    ):
        assert gate(alone) == [*gate(case), complaint]


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("hazards", ["", "H99", "H08 H99"])
def test_a_rule_without_a_hazard_is_seen(hazards: str, case: Case):
    alone = case._replace(rules=(*case.rules, Rule("G30", hazards, "", "Something.")))
    assert gates.rules_without_a_hazard(alone) == [f"G30: names {hazards or 'no hazard'}"]


@pytest.mark.hazard("H40")
def test_a_rule_without_a_test_or_a_page_is_seen(case: Case):
    alone = case._replace(rules=(*case.rules, Rule("G30", "H08", "", "Something.")))
    assert gates.rules_without_a_test(alone) == [*gates.rules_without_a_test(case), "G30: no test is marked with it"]
    assert gates.rules_without_a_page(alone) == [*gates.rules_without_a_page(case), "G30: has no page"]
    orphan = case._replace(pages=case.pages | {"G30": Page("G30", "", "", ())})
    assert gates.rules_without_a_page(orphan)[-1] == "G30: has a page and is no rule"


@pytest.mark.hazard("H40")
def test_a_rule_whose_tests_lose_their_marks_is_seen(case: Case):
    blind = case._replace(tests=tuple(test for test in case.tests if "M10" not in test.ids))
    assert "M10: no test is marked with it" in gates.rules_without_a_test(blind)


SPEAKS = example("too much", lambda: Reason("G08", Severity.REFUSE, "LIM.CURRENT"))
QUIET = example("little", lambda: None)
TELLS = example("a sum", lambda: "12 mC")


@pytest.mark.hazard("H40")
@pytest.mark.parametrize(
    ("id_", "examples", "is_seen"),
    [
        ("G08", (), True), ("G08", (SPEAKS,), True), ("G08", (QUIET,), True), ("G08", (QUIET, SPEAKS), False),
        ("L08", (), True), ("L08", (TELLS,), False), ("X6", (SPEAKS,), False),
    ],
)  # fmt: skip
def test_a_page_that_shows_one_side_only_is_seen(id_: str, examples: tuple, is_seen: bool, case: Case):
    page = Page(id_, "", "", examples)
    complaints = [f"{id_}: its examples do not show both sides"] if is_seen else []
    assert gates.examples_of_one_side(case._replace(pages={id_: page})) == complaints


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("folder", ["safety", "scenarios", "hazards", "hil"])
def test_a_test_that_names_nothing_is_seen(folder: str, case: Case):
    silent = Evidence(f"tests/{folder}/test_new.py", "test_new", ())
    elsewhere = Evidence("tests/controller/test_new.py", "test_new", ())
    assert gates.unmarked_tests(case._replace(tests=(silent, elsewhere))) == [
        f"tests/{folder}/test_new.py::test_new: names neither a rule nor a hazard"
    ]


@pytest.mark.hazard("H40")
def test_a_test_that_names_what_is_not_there_is_seen(case: Case):
    wrong = Evidence("tests/controller/test_new.py", "test_new", ("G08", "G80"))
    assert gates.unmarked_tests(case._replace(tests=(wrong,))) == [
        "tests/controller/test_new.py::test_new: G80 is neither a rule nor a hazard"
    ]


def limit(**changes: object) -> Bound:
    figures = dict.fromkeys(Modality, 1)
    values = {"name": "amplitude_ua", "rule": "G08", "source": "a book", "sense": "at most"}
    return Bound(**({**values, "default": figures, "hard": figures, "classes": ()} | changes))


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("source", ["", " "])
def test_a_limit_without_a_source_is_seen(source: str, case: Case):
    planted = case._replace(limits=(limit(), limit(source=source)))
    assert gates.limits_without_a_source(planted) == ["amplitude_ua: says no source"]


@pytest.mark.hazard("H40")
def test_a_limit_that_no_rule_owns_or_reads_is_seen(case: Case):
    planted = case._replace(limits=(limit(), limit(rule="G80"), limit(name="idle_ua")))
    assert gates.limits_without_a_rule(planted) == ["amplitude_ua: belongs to no rule", "idle_ua: nothing reads it"]


@pytest.mark.hazard("H40")
def test_a_rule_that_is_not_registered_and_speaks_is_seen(case: Case):
    heard = Said("G80", "g80", frozenset({Severity.REFUSE}), frozenset({"LIM.CURRENT"}))
    own = Said("STOP", "stop", frozenset({Severity.STOP}), frozenset({"SES.STOPPED"}))
    planted = case._replace(code=case.code._replace(said=(*case.code.said, heard, own)))
    assert set(gates.strangers(planted)) - set(gates.strangers(case)) == {"g80 reports G80"}
    planted = case._replace(code=case.code._replace(said=(), limits={"M80": frozenset()}))
    assert gates.strangers(planted) == ["a function bears the name of M80"]


# What the gates look at


PLANTED = """
HOLD, STOP = Severity.HOLD, Severity.STOP

def g08(lane):
    if lane.limits.on_ms < lane.programme.off_ms or lane.limits.nothing:
        return Reason("G08", REFUSE, "LIM.CURRENT", 0, lane.plan.rms_ua)
    return helper(lane)

def helper(lane):
    return lane.station.config.general.claim_ms

def m28(word):
    severity = STOP if word.bad else HOLD
    code = "DEV.SUPPLY" if word.bad else "DEV.LOST"
    return Reason("M28", severity, code, 0, "ms", "A.b")

def m28_more(word):
    return Reason(name, STOP, "DEV.RESET") or Reason("", STOP, "DEV.RESET") or m02(word.limits.area_min)

def m02(w):
    return w.limits.ramp_ms
"""


def test_the_code_is_read():
    code = read([PLANTED])
    assert code.said == (
        Said("G08", "g08", frozenset({Severity.REFUSE}), frozenset({"LIM.CURRENT"})),
        Said("M28", "m28", frozenset({Severity.STOP, Severity.HOLD}), frozenset({"DEV.SUPPLY", "DEV.LOST"})),
    )
    assert code.limits == {
        "G08": frozenset({"on_ms", "claim_ms"}), "M28": frozenset(), "M02": frozenset({"ramp_ms"}),
    }  # fmt: skip
    assert code.read == {"on_ms", "claim_ms", "ramp_ms"}


def test_marks_are_collected_and_one_unmarked_case_unmarks_its_function(tmp_path: Path):
    (tmp_path / "test_planted.py").write_text(
        "import pytest\n"
        "def test_silent():\n    pass\n"
        "@pytest.mark.rule('G08')\n@pytest.mark.hazard('H08')\n"
        "@pytest.mark.parametrize('a', [1, pytest.param(2, marks=pytest.mark.rule('G09'))])\n"
        "def test_marked(a):\n    pass\n"
        "@pytest.mark.parametrize('a', [1, pytest.param(2, marks=pytest.mark.rule('G09'))])\n"
        "def test_half(a):\n    raise AssertionError('it is collected, not run')\n",
        encoding="utf-8",
    )
    assert collect("--rootdir", str(tmp_path), str(tmp_path)) == [
        Evidence("test_planted.py", "test_silent", ()),
        Evidence("test_planted.py", "test_marked", ("G08", "G09", "H08")),
        Evidence("test_planted.py", "test_half", ()),
    ]


def test_a_collection_that_fails_is_no_empty_one(tmp_path: Path):
    (tmp_path / "test_broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="nothing_of_that_name"):
        collect("--rootdir", str(tmp_path), str(tmp_path))


# What people read


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (80_000, "uA", "80 mA"), (30_100, "uA", "30.1 mA"), (500, "uA", "0.5 mA"), (1_000_000, "uA", "1,000 mA"),
        (0, "nC", "0 nC"), (999, "nC", "999 nC"), (15_030, "nC", "15.03 uC"), (12_171_600, "nC", "12.1716 mC"),
        (800_000_000, "nC", "800 mC"), (1_600_000_000, "nC", "1.6 C"), (100_000_000_000_000_000, "uA^2 us", "0.1 A2 s"),
        (999, "us", "999 us"), (12_490, "us", "12.49 ms"), (950_000, "ppm", "95 %"), (1_500_000, "ppm", "150 %"),
        (0, "ms", "0 ms"), (999, "ms", "999 ms"), (1_001, "ms", "1.001 s"), (60_000, "ms", "1 min"),
        (90_000, "ms", "90 s"), (3_600_000, "ms", "1 h"), (172_800_000, "ms", "48 h"), (604_800_000, "ms", "7 d"),
        (4_001, "ohm", "4,001 ohm"), (10_799, "mV", "10.799 V"), (3, "pulses", "3 pulses"), (12, "", "12"),
    ],
)  # fmt: skip
def test_figures_are_exact_and_in_the_units_of_a_clinic(value: int, unit: str, text: str):
    assert human(value, unit) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amplitude_ua", 80_000, "80 mA"), ("density_ua_cm2", 1_000, "1 mA/cm2"), ("rise_ua_per_s", 1_000, "1 mA/s"),
        ("power_uw_cm2", 50_000, "50 mW/cm2"), ("pulse_energy_uj", 5_000, "5 mJ"), ("clip_hold", 3, "3"),
        ("period_min_us", 12_500, "12.5 ms (80 Hz)"), ("period_us", 8_334, "8.334 ms (119.99 Hz)"),
        ("ohm", 99, "99 ohm"), ("area_mm2", 2_500, "25 cm2"), ("session_i2t", 500_000_000_000_000_000, "0.5 A2 s"),
    ],
)  # fmt: skip
def test_the_end_of_a_name_is_its_unit(name: str, value: int, text: str):
    assert named(name, value) == text


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (None, "nothing"),
        ("12 mC charged", "12 mC charged"),
        (
            Reason("G08", Severity.REFUSE, "LIM.CURRENT", 1, 80_100, 80_000, "uA"),
            "**refused** `LIM.CURRENT`: found 80.1 mA, limit 80 mA",
        ),
        (Reason("M27", Severity.LOCK, "DEV.LOST", 1, 20, 20, "uA"), "**zero, locked** `DEV.LOST`"),
        (Reason("G27", Severity.REFUSE, "FLT.LATCHED", 0, 42, 0, "latch"), "**refused** `FLT.LATCHED`"),
        (
            Reason("G04", Severity.REFUSE, "RX.EXPIRED", 0, 10**12 + 1_000, 10**12, "ms"),
            "**refused** `RX.EXPIRED`: 1 s past",
        ),
    ],
)
def test_an_outcome_in_words(outcome, text: str):
    assert shown(outcome) == text


def test_an_example_shows_the_figures_that_it_was_run_with():
    ran = example(
        "{ua} for {width_us} on {side}", lambda **figures: str(figures["ua"]), ua=30_100, width_us=300, side="left"
    )
    assert (ran.situation, ran.outcome()) == ("30.1 mA for 300 us on left", "30100")


@pytest.mark.rule("X3")
def test_every_wish_and_every_phase_is_drawn():
    assert set(states.WISHES) == set(Verb)
    assert {phase for edge in states.reached() for phase in edge} == set(Phase)


# What is committed


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"a.md": "1", "b/c.md": "2"}, []),
        ({"a.md": "1"}, ["b/c.md"]),
        ({"a.md": "1", "b/c.md": "2 "}, ["b/c.md"]),
        ({"a.md": "1", "b/c.md": "2", "b/d.md": ""}, ["b/d.md"]),
    ],
)
def test_a_stale_file_is_seen(there: dict[str, str], found: list[str], tmp_path: Path):
    for name, text in there.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert stale({"a.md": "1", "b/c.md": "2"}, tmp_path) == found


def test_a_changed_limit_changes_what_people_read(case: Case):
    twelve = dict.fromkeys(Modality, 12_000)
    changed = case._replace(
        limits=tuple(each._replace(default=twelve) if each.name == "rms_ua" else each for each in case.limits)
    )
    rules = {rule.id: rule for rule in case.rules}
    assert render.rule_page(changed, rules["G13"]) == render.rule_page(case, rules["G13"])
    assert "| `rms_ua` | at most | 20 mA | 50 mA |" in render.rule_page(case, rules["G12"])
    assert "| `rms_ua` | at most | 12 mA | 50 mA |" in render.rule_page(changed, rules["G12"])
    assert "`rms_ua` 12 mA, at most 50 mA" in render.index(changed)
    assert "| 12 mA | 50 mA |" in render.limits(changed)


@pytest.mark.hazard("H40")
def test_the_report_of_the_bench_asks_for_every_hazard_and_rule(case: Case):
    asked = Requirements.model_validate_json(render.requirements(case))
    assert {hazard.id: set(hazard.rules) for hazard in asked.hazards} == {
        hazard.id: {rule.id for rule in case.rules if hazard.id in rule.hazards.split()} for hazard in case.hazards
    }
    assert {rule.id for rule in asked.rules} == {rule.id for rule in case.rules}
    assert all(each.text for each in (*asked.hazards, *asked.rules))


def test_the_committed_documents_are_what_the_code_says(case: Case):
    assert stale(render.documents(case), FOLDER) == [], "`make safety-case` writes them anew"
