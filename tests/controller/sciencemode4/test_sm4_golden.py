"""The golden cases of safety reference 7.3b on a P24: what it cannot measure has a substitute, or refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import (
    ArmSession,
    Check,
    Claim,
    IdealDevice,
    Phase,
    Prepare,
    Rig,
    Start,
    config,
)
from test_safety_golden import ATTENDED_MS, CALF, CALF_12, NEUROPATHY_S1, QUADRICEPS

from controller.devices import sciencemode4_facts as facts
from controller.policy import MODELS
from safety.effects import Probe, Settlement
from safety.impedance import NO_CURRENT_OHM
from safety.messages import PatientStop, Sample, Status
from safety.prescription import Prescription
from safety.times import SCIENCEMODE4
from safety.verdict import Reason, Severity
from safety.waveform import Picture

CONFIG = replace(config(), times=SCIENCEMODE4, models=MODELS["sciencemode4"])


class P24(IdealDevice):
    """An ideal device that says no more than a P24 can."""

    faults: frozenset[int] = frozenset()

    def status(self, uptime_ms: int) -> Status:
        del uptime_ms
        return facts.status_of(self.state)

    def samples(self) -> tuple[Sample, ...]:
        return tuple(
            Sample(number, 0, 0, 0, 0, 0, NO_CURRENT_OHM, 0, 0, 0, number in self.trains, number in self.faults,
                   short=False, clip=False)
            for number in range(1, facts.CAPABILITIES.channels + 1)
        )  # fmt: skip


class Bedside(Rig):
    """A rig on it: its steps of current, and a stop that is pressed at the bedside."""

    def wanted(self) -> Picture:
        return facts.rounded(super().wanted())

    def try_stop(self) -> None:
        self.give(PatientStop())


def claimed(prescription: Prescription, **caps: object) -> Bedside:
    device = P24(caps=replace(facts.CAPABILITIES, **caps))
    device.identity = replace(device.identity, model=facts.MODEL)
    device.ohm = {plan.channel: 1_600 * 2_500 // plan.area_mm2 for plan in prescription.channels}
    rig = Bedside(CONFIG, device)
    rig.up()
    rig.must(Claim())
    return rig


def bedside(prescription: Prescription) -> Bedside:
    rig = claimed(prescription)
    rig.must(Prepare(prescription, prescription.ref, "p-1"))
    rig.must(Check(()))
    return rig


def played(rig: Rig, prescription: Prescription) -> None:
    rig.must(ArmSession())
    rig.must(Start())
    for tick in range(1, prescription.programme.therapy_ms // 100 + 2):
        if tick * 100 % ATTENDED_MS == 0:
            rig.attend()
        rig.tick(ms=100)
        if rig.station.session is None:
            return


@pytest.mark.rule("X7")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize("prescription", [QUADRICEPS, NEUROPATHY_S1, CALF], ids=["quadriceps", "TENS", "calf"])
def test_the_golden_cases_run_to_their_end_and_are_charged_by_what_was_applied(prescription: Prescription) -> None:
    rig = bedside(prescription)
    played(rig, prescription)
    assert (rig.phase, rig.latched(), rig.events("session.held")) == (Phase.IDLE, [], [])
    (settled,) = rig.notes("settle")
    assert isinstance(settled, Settlement)
    assert (settled.evidence, settled.completed) == ("applied", True)
    (charged,) = settled.charged
    assert rig.device.total_nc[1] <= charged[1].nc <= rig.device.total_nc[1] * 103 // 100


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
def test_a_current_that_the_electrode_flag_cannot_judge_is_refused_where_nothing_is_measured_between_trains() -> None:
    rig = claimed(CALF_12, reprobe=False)
    answer = rig.ask(Prepare(CALF_12, CALF_12.ref, "p-1"))
    assert answer.reasons == (Reason("G29", Severity.REFUSE, "IMP.BLIND", 1, 12_000, 15_000, "uA"),)


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
@pytest.mark.hazard("H49")
def test_and_is_accepted_where_each_rest_has_its_test_pulse() -> None:
    rig = bedside(CALF_12)
    checks = sum(isinstance(effect, Probe) for effect in rig.log)
    played(rig, CALF_12)
    assert (rig.phase, rig.latched()) == (Phase.IDLE, [])
    pulses = sum(isinstance(effect, Probe) for effect in rig.log) - checks
    assert pulses >= CALF_12.programme.cycles - 1


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
def test_an_electrode_flag_stops_at_once() -> None:
    rig = bedside(CALF)
    rig.must(ArmSession())
    rig.must(Start())
    while not rig.device.trains or rig.phase is not Phase.RUNNING:
        rig.tick()
    rig.tick(40)
    assert isinstance(rig.device, P24)
    rig.device.faults = frozenset({1})
    rig.tick(4)
    (stopped,) = rig.events("session.stopped")
    assert (stopped.reasons[0].rule, stopped.reasons[0].code) == ("M07", "IMP.OPEN")
    assert rig.device.trains == {}
