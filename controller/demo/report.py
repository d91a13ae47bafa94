"""The report of a demo: one HTML file that needs nothing else, to be read by a clinician on a screen or on paper."""

import platform
from collections.abc import Iterable, Iterator
from fractions import Fraction
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template

from controller.contract.envelope import utc_text

from .planned import Stretch
from .plot import svg
from .recording import GONE, Measured, Recording
from .verdict import Accident, Check, Dose, Trial, counted, milliampere, millicoulomb

TEMPLATE = Path(__file__).with_name("report.html")
NONE = "\u2013"


def html(trial: Trial, at_wall_ms: int) -> str:
    """Write the report of a trial that ended at a time (UTC, in ms)."""
    clean, guarded, bare = trial.clean, trial.guarded, trial.bare
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        at=f"{utc_text(at_wall_ms)[:16].replace('T', ' ')} UTC",
        verdict=escape(verdict(trial)),
        mood="" if trial.holds else " failed",
        clean_site=site(clean.recording),
        clean_ua=milliampere(clean.recording.plan.ua),
        clean_plot=svg("A clean session", clean.recording),
        guarded_site=site(guarded.recording),
        guarded_ua=milliampere(guarded.recording.plan.ua),
        guarded_words=escape(aftermath(guarded.recording, trial.accident)),
        guarded_plot=svg("With the interlock", guarded.recording, trial.accident, guarded.end.rule),
        bare_words=escape(aftermath(bare.recording, trial.bare_accident)),
        bare_plot=svg("Without the interlock", bare.recording, trial.bare_accident),
        checks="\n".join(map(check_row, trial.checks)),
        story=html_rows(story(trial)),
        clean_phases=html_rows(phase_rows(clean.recording)),
        accident_phases=html_rows(accident_rows(guarded.recording, bare.recording)),
        dose=html_rows(dose_rows(trial.dose)),
        versions=escape(f"stimwarden {version('stimwarden')}, Python {platform.python_version()}, {platform.system()}"),
    )


def verdict(trial: Trial) -> str:
    """Say in a sentence how the trial ended."""
    failed = [check for check in trial.checks if not check.holds]
    if failed:
        return f"Failed: {len(failed)} of {len(trial.checks)} claims do not hold."
    return "Passed: the interlock stopped the current, and it stayed at zero when the pad was pressed on again."


def site(recording: Recording) -> str:
    """Name the place on the body."""
    return escape(recording.plan.site.replace("-", " "))


def aftermath(recording: Recording, accident: Accident) -> str:
    """Say what flowed after the electrode had come off."""
    late = recording.after(accident.off_us)
    if not late:
        return "no current from the moment the electrode came off, also not after it was back."
    wait_ms = (late[0].at_us - accident.on_us) // 1000
    amount = f"{counted(len(late))}, {millicoulomb(sum(pulse.pc for pulse in late))} in all"
    return f"{milliampere(late[0].peak_ua)} flow {wait_ms} ms after the electrode is back ({amount})."


def story(trial: Trial) -> Iterator[tuple[str, str, str]]:
    """Tell the accident with and without the interlock, in seconds since each programme began."""
    recording, accident, end = trial.guarded.recording, trial.accident, trial.guarded.end
    start_us = recording.start_us or accident.off_us
    calm, bare = aftermath(recording, accident), aftermath(trial.bare.recording, trial.bare_accident)
    told = [
        (start_us, "The programme starts from zero.", "The same."),
        (accident.off_us, "The electrode comes off in the second contraction.", "The same."),
        (accident.on_us, f"It is pressed on again: {calm}", f"It is pressed on again: {bare}"),
        (recording.end_us, f"Watched until here: {stayed(recording, accident)}.", "The programme ran to its end."),
    ]
    if recording.stop_us is not None:
        by = f"Rule {end.rule} stops" if end.rule else "The service stops"
        told.append((recording.stop_us, f"{by} the output. {end.words}", "Nobody looks."))
    for moment_us, guarded, unguarded in sorted(told):
        yield f"{(moment_us - start_us) / 1_000_000:.2f} s", guarded, unguarded


def stayed(recording: Recording, accident: Accident) -> str:
    """Count the pulses after an electrode had come off."""
    late = recording.after(accident.off_us)
    return f"{counted(len(late))} above 2 mA" if late else "not one pulse above 2 mA"


def phase_rows(recording: Recording) -> Iterator[tuple[str, ...]]:
    """Give the phases of a session, cell by cell."""
    for planned, measured in recording.rows():
        lasting = f"{(planned.end_ms - planned.begin_ms) / 1000:.1f} s" if planned.end_ms > planned.begin_ms else NONE
        told, seen, pulses, charge = cells(measured)
        yield (*place(planned), lasting, told, seen, pulses, microcoulomb(planned.pc), charge)


def accident_rows(guarded: Recording, bare: Recording) -> Iterator[tuple[str, ...]]:
    """Give the phases of the accident, with and without the interlock side by side, cell by cell."""
    for (planned, measured), (_, unguarded) in zip(guarded.rows(), bare.rows(), strict=True):
        told, seen, _, charge = cells(measured)
        bare_told, bare_seen, _, bare_charge = cells(unguarded)
        yield (*place(planned), microcoulomb(planned.pc), told, seen, charge, bare_told, bare_seen, bare_charge)


def place(planned: Stretch) -> tuple[str, str]:
    """Name a phase."""
    return "" if planned.phase == GONE else str(planned.cycle), planned.phase


def cells(measured: Measured | None) -> tuple[str, str, str, str]:
    """Write what was commanded and measured in a phase; nothing of a phase that never came."""
    if measured is None:
        return NONE, NONE, NONE, NONE
    told, seen = milliampere(measured.commanded_ua), milliampere(measured.measured_ua)
    return told, seen, str(measured.pulses), microcoulomb(measured.pc)


def dose_rows(dose: Dose) -> Iterator[tuple[str, str, str]]:
    """Give the charge of a session thrice, each against the one before."""
    planned_pc, delivered_pc, ledger_pc = dose
    yield "planned", millicoulomb(planned_pc), "the prescription's shape at its set-point, integrated exactly"
    share = f"{delivered_pc / planned_pc:.1%} of what was planned; at least 95 % is expected"
    yield "delivered", millicoulomb(delivered_pc), share
    if ledger_pc is None:
        yield "in the ledger", NONE, "nothing was booked"
    else:
        share = f"{ledger_pc / max(delivered_pc, 1):.1%} of what was delivered; from 100 % to 105 % is expected"
        yield "in the ledger", millicoulomb(ledger_pc), share


def check_row(check: Check) -> str:
    """Write a claim and whether it holds; never by colour alone."""
    mark = "<td>holds</td>" if check.holds else '<td class="bad">fails</td>'
    return f"<tr>{mark}<td>{escape(check.claim)}</td><td>{escape(check.words)}</td></tr>"


def html_rows(rows: Iterable[tuple[str, ...]]) -> str:
    """Write rows of a table."""
    return "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)


def microcoulomb(pc: int | Fraction) -> str:
    """Write a small charge for people: 345.6 \u00b5C."""
    return f"{round(pc) / 1_000_000:.1f} \u00b5C"
