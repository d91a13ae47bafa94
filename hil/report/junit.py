"""JUnit XML with the rules and hazards of a test as its properties."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hil.evidence import Run, Test
from hil.report.verdict import count

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: Run) -> bytes:
    """The run as a document of one suite; times in seconds."""
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_legal(run.suite),
        tests=str(len(run.tests)),
        failures=str(count(run, "failed")),
        errors=str(count(run, "error")),
        skipped=str(count(run, "skipped")),
        time=f"{run.took_ms / 1000:.3f}",
        timestamp=run.began_at.isoformat(),
    )
    facts = {
        "commit": run.environment.commit or "unknown",
        "evidence": "no, made with --dev" if run.is_dev else "yes",
        "bench": f"{run.bench.kind} {run.bench.device}",
        "scope": run.bench.scope,
        "seed": str(run.seed),
    }
    _properties(suite, list(facts.items()))
    for test in run.tests:
        suite.append(_case(test))
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _case(test: Test) -> ET.Element:
    function, bracket, case_id = test.id.partition("[")
    path, _, name = function.rpartition("::")
    case = ET.Element(
        "testcase", classname=_legal(path), name=_legal(name + bracket + case_id), time=f"{test.took_ms / 1000:.3f}"
    )
    figures = [(f"measured.{each.name}", f"{each.value:g} {each.unit}".strip()) for each in test.measurements]
    marks = [("rule", rule) for rule in test.rules] + [("hazard", hazard) for hazard in test.hazards]
    faults = [("fault", each.fault) for each in test.injections]
    _properties(case, marks + faults + figures)
    text = test.failure or test.first_cause
    tag = {"failed": "failure", "error": "error", "skipped": "skipped"}.get(test.outcome)
    if tag:
        lines = text.strip().splitlines()
        ET.SubElement(case, tag, message=_legal(lines[-1] if lines else "")).text = _legal(text)
    if test.reproduce:
        ET.SubElement(case, "system-out").text = _legal(test.reproduce)
    return case


def _properties(parent: ET.Element, pairs: list[tuple[str, str]]) -> None:
    if pairs:
        properties = ET.SubElement(parent, "properties")
        for name, value in pairs:
            ET.SubElement(properties, "property", name=_legal(name), value=_legal(value))


def _legal(text: str) -> str:
    """XML has no way to say most control characters: they are spelled out."""
    return _ILLEGAL.sub(lambda found: f"#x{ord(found[0]):02X}", text)
