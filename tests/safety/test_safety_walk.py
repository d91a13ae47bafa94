"""Random clinics: a seeded walk over wishes and mishaps, every step judged by `clinic.Clinic`."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from clinic import NMES, TENS, Clinic
from rig import (
    WELL,
    Adjust,
    ArmSession,
    Check,
    Claim,
    Pause,
    Phase,
    Picture,
    Prepare,
    Release,
    Resume,
    Start,
    Stop,
    only,
    plan,
)

from safety import machine
from safety.effects import Silence
from safety.messages import (
    Asked,
    Booted,
    Committed,
    Denied,
    DeviceDown,
    DeviceState,
    Flaw,
    Garbled,
    Heard,
    PatientStop,
    Probed,
    Tick,
)
from safety.verdict import Reason, Severity


class Walk:
    """One clinic and its dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - a walk that can be repeated, no secret
        self.clinic = Clinic()
        self.clinic.up()

    def go(self, actions: int) -> Counter[object]:
        """Walk; gives what was seen on the way."""
        clinic = self.clinic
        for _ in range(actions):
            before = clinic.station.latches
            running = clinic.phase is Phase.RUNNING
            self.mishap() if self.dice.random() < (0.4 if running else 0.15) else self.onwards()
            self.mend()
            clinic.tick(
                self.dice.randrange(1, 60 if clinic.phase is Phase.RUNNING else 6), renew=self.dice.random() < 0.95
            )
            if {x.id for x in before} - {x.id for x in clinic.station.latches}:
                clinic.seen["cleared"] += 1
        return clinic.seen

    def onwards(self) -> None:
        """Do what a clinician would do next."""
        clinic, dice = self.clinic, self.dice
        clinic.wish(Claim())
        if clinic.station.device is None and dice.random() < 0.5:
            clinic.up()
        elif clinic.station.latches and clinic.phase is not Phase.RUNNING:
            roles = ("physio", "prescriber", "biomed", "biomed", "auditor")
            clinic.give_clear(dice.choice(clinic.station.latches), dice.choice(roles))
        elif clinic.phase is Phase.IDLE:
            chosen = dice.choice((NMES, TENS, TENS))
            clinic.wish(Prepare(chosen, chosen.ref, chosen.patient))
            if clinic.phase is Phase.PREPARED and clinic.station.waiting is None and dice.random() < 0.9:
                clinic.try_stop()
        elif clinic.phase is Phase.PREPARED:
            clinic.wish(Check(()))
            clinic.wish(ArmSession())
        elif clinic.phase is Phase.ARMED:
            clinic.wish(Start())
        elif clinic.phase is Phase.PAUSED:
            clinic.wish(Check(()))
            clinic.wish(Resume())
        elif clinic.phase is Phase.RUNNING:
            clinic.wish(Adjust(dice.choice((1, 3)), dice.choice((-1_500, 500, 1_000, 1_000))))

    def mishap(self) -> None:
        """Let something happen."""
        clinic, dice = self.clinic, self.dice
        name = dice.choice(
            ("pause", "pause", "stop", "patient", "unplug", "noise", "open", "skin", "supply", "late", "silent", "held",
             "denied", "deaf", "reset", "stale", "crash", "greedy", "greedy", "release", "unknown")
        )  # fmt: skip
        clinic.seen[name] += 1
        getattr(self, name)()

    def mend(self) -> None:
        """After a while things are well again."""
        clinic = self.clinic
        clinic.tick(self.dice.randrange(1, 4))
        clinic.device.ignores_stop = False
        clinic.answering = clinic.committing = True
        clinic.device.changes.clear()
        clinic.device.sample_changes.clear()
        clinic.device.ohm.clear()

    def pause(self) -> None:
        self.clinic.wish(Pause())

    def stop(self) -> None:
        self.clinic.must(Stop(), role="nobody")

    def patient(self) -> None:
        self.clinic.give(PatientStop())

    def unplug(self) -> None:
        self.clinic.give(DeviceDown("unplugged"))
        self.clinic.device.obey(Silence(cut=False))

    def noise(self) -> None:
        flaw = self.dice.choice(list(Flaw))
        self.clinic.give(Garbled(flaw, self.dice.choice((0, self.clinic.grant)), "noise"))

    def open(self) -> None:
        self.clinic.device.sample_changes[self.dice.choice((1, 3))] = only(open=True, measured_ua=0)

    def skin(self) -> None:
        self.clinic.device.ohm[self.dice.choice((1, 3))] = self.dice.choice((50, 900, 1_700, 2_400, 5_000, 9_000))

    def supply(self) -> None:
        self.clinic.device.changes["supply_mv"] = self.dice.choice((9_000, 10_500, 13_500))

    def late(self) -> None:
        self.clinic.tick(ms=self.dice.choice((120, 220, 400)))

    def silent(self) -> None:
        self.clinic.answering = False
        self.clinic.tick(self.dice.randrange(1, 16))

    def held(self) -> None:
        """The journal keeps an answer and gives it later, when it may be too late."""
        self.clinic.committing = False
        self.onwards()
        self.clinic.tick(self.dice.randrange(1, 4))
        clinic = self.clinic
        if self.dice.random() < 0.5:
            clinic.give(Heard(0, clinic.device.status(clinic.mono_ms)._replace(state=DeviceState.ARMED), ()))
        if clinic.held:
            clinic.give(Committed(clinic.held[-1]))

    def denied(self) -> None:
        self.clinic.committing = False
        self.onwards()
        if self.clinic.held:
            self.clinic.give(Denied(self.clinic.held[-1], (Reason("L03", Severity.REFUSE, "DOSE.DAY"),)))

    def deaf(self) -> None:
        """The device ignores a stop for a while."""
        self.clinic.device.ignores_stop = True
        self.dice.choice((self.stop, self.pause, self.patient))()
        self.clinic.tick(self.dice.randrange(1, 14))
        self.clinic.device.ignores_stop = False
        if self.clinic.phase is not Phase.RUNNING:
            self.clinic.device.obey(Silence(cut=True))

    def reset(self) -> None:
        self.clinic.device.changes.update(boot=self.dice.randrange(8, 100), permit=0, state=DeviceState.STOPPED)
        self.clinic.device.trains = {}
        self.clinic.hear()

    def stale(self) -> None:
        wish = self.dice.choice((Start(), Resume(), ArmSession(), Adjust(1, 1_000)))
        command = self.clinic.command(wish, issued_wall_ms=self.clinic.wall_ms - 3_001)
        before = self.clinic.station
        self.clinic.give(Asked(command))
        assert self.clinic.answer(command.id).status == "rejected"
        assert self.clinic.station == before

    def crash(self) -> None:
        """I9: the service is killed and comes back: stopped, latched, the device stopped by its dead man."""
        clinic = self.clinic
        station, session = clinic.station, clinic.station.session
        clinic.device.obey(Silence(cut=False))
        clinic.station = machine.fresh(clinic.config)
        clinic.armed, clinic.open_frame, clinic.delivered_before = False, None, dict(clinic.device.total_nc)
        clinic.give(Booted("b1", session.id if session else "", 0, station.latches, station.tally.next_id))
        assert clinic.phase is Phase.OFFLINE
        assert [x.rule for x in clinic.station.latches[len(station.latches) :]] == (["X6"] if session else [])
        clinic.up()

    def greedy(self) -> None:
        """The programme wants more than it may: another height, another shape, a channel twice."""
        clinic, dice = self.clinic, self.dice
        trains = list(clinic.wanted().trains) or [plan().train(20_000)]
        train = dice.choice(trains)
        train = dice.choice(
            (
                train._replace(ua=train.ua + dice.choice((101, 1_000, 60_000))),
                train._replace(width_us=train.width_us + 1),
                train._replace(period_us=train.period_us - 10),
                train._replace(channel=2),
            )
        )
        clinic.mono_ms, clinic.wall_ms = clinic.mono_ms + 50, clinic.wall_ms + 50
        clinic.device.advance(50)
        clinic.give(Tick(Picture(tuple(dice.choice(([train], [*trains, train], [train, *trains])))), 0, WELL))

    def release(self) -> None:
        self.clinic.wish(Release())

    def unknown(self) -> None:
        """Words that nobody waits for: current never rises by them."""
        clinic = self.clinic
        trains = dict(clinic.device.trains)
        status = clinic.device.status(clinic.mono_ms)
        for event in (
            Committed(self.dice.randrange(1, 10_000)),
            Probed(self.dice.randrange(0, 10_000), self.dice.randrange(0, 9), 1_500, False, False),
            Heard(self.dice.randrange(0, max(1, clinic.grant)), status, ()),
        ):
            clinic.give(event)
        assert clinic.device.trains in ({}, trains)


@pytest.mark.rule("X5")
@pytest.mark.rule("X6")
@pytest.mark.rule("X10")
@pytest.mark.hazard("H26")
@pytest.mark.hazard("H31")
@pytest.mark.hazard("H40")
@pytest.mark.parametrize("seed", range(3))
def test_no_step_of_a_random_clinic_breaks_an_invariant(seed: int) -> None:
    seen = Walk(seed).go(300)
    reached = {phase for phase in Phase if seen[phase]}
    assert reached == set(Phase) - {Phase.CALIBRATING}
    assert seen["flows"] * 10 >= seen["steps"] * 3
    assert min(seen["readback"], seen["reservation"], seen["closed"], seen["cleared"]) > 2
