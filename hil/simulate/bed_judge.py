"""Judges one bed: every pulse that reached the body against what was published and done."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hil.bench import Bench
from hil.scope import Trace
from hil.simulate.bounds import BEYOND_CAP, BEYOND_COUNT, BEYOND_STOP, DEAD_MAN_US, LASTS_US, STOP_US, bound_us
from hil.simulate.plan import Act, Of, Rx, Seat
from hil.simulate.staff import Shown, Staff, Told

if TYPE_CHECKING:
    from hil.simulate.judge import Judge

PROBE_UA = 2_000
"""A test pulse is at most this (safety reference 2.3)."""
CHECK_US = 30_000_000
"""Test pulses come at most so long after the electrodes were to be measured."""
LATER_US = 1_000_000
"""How long a set-point that was lowered may still be on its way to the device. Engineering default."""
OVER = 1.05
"""A plain session is charged at most so much more than it was given, and a few pulses (issue of the simulation)."""
SLACK_PULSES = 4
"""Pulses for each contraction that the ledger may count beyond: a train counts one more, a stop is on its way."""
FLIGHT_US = 20_000
"""What a controller had handed over when it died has landed after so long."""
NEVER_US = 1 << 62
DRIVING = frozenset({"running", "calibrating"})
BEGUN = frozenset({*DRIVING, "armed", "paused"})


class Finished(NamedTuple):
    """A plain session that came to its end: what it was given by channel. That it is settled takes a moment."""

    session: str
    rx: Rx
    given_nc: dict[int, float]


class BedJudge:
    """What is known of a bed, from outside."""

    def __init__(self, judge: Judge, seat: Seat, bench: Bench, staff: Staff, folder: Path) -> None:
        self._judge = judge
        self._device, self._kind = seat
        self._bench = bench
        self._staff = staff
        self._folder = folder
        self._shown: Shown | None = None
        self._is_alive = False
        self._drained_us = 0
        self._quiet_us: int | None = 0
        self._checked_us = -CHECK_US
        self._faults: Counter[str] = Counter()
        self._since: dict[str, tuple[int, Mapping[str, object]]] = {}
        self._touched: Counter[str] = Counter()
        self._fault_us = -LASTS_US
        self._set: deque[tuple[int, Mapping[int, int]]] = deque(maxlen=100)
        self._rx: Rx | None = None
        self._finished: Finished | None = None
        self._is_plain = False
        self._running_us = 0
        self._base_nc: dict[int, float] = {}
        self._session = ""
        self._is_completed = self._ran = False
        self._owes_latch = ""
        self._died_us = -LASTS_US
        self._must_us = NEVER_US

    # What is done

    def visited(self, rx: Rx, of: Of) -> None:
        """A session is going to be opened; `is_plain` as long as nothing speaks against its completion."""
        self._rx = rx
        self._is_plain = not rx.wrong and not of.get("omit") and not of.get("calibrate") and not self._is_unsound()
        self._is_completed = self._ran = False

    def disturbed(self, act: Act) -> None:
        """Something is asked that the ordinary way of a session does not hold."""
        if act.of.get("wish") != "adjust":
            self._is_plain = False

    def asked(self, wish: str) -> None:
        """An order was brought to the controller."""
        if wish == "check":
            self._checked_us = self._judge.now_us
        if wish == "stop":
            self._is_plain = False
            self._ends(self._judge.now_us + STOP_US)

    def pressed(self) -> None:
        """The patient's button is down."""
        if self._shown is not None and self._shown.stage in BEGUN:
            self._is_plain = False
        self._ends(self._judge.now_us + STOP_US)

    def injected(self, fault: str, of: Mapping[str, object]) -> None:
        """A fault is in force."""
        self._drain()
        self._faults[fault] += 1
        self._touched[fault] += 1
        self._since[fault] = (self._judge.now_us, of)
        self._is_plain = False

    def cleared(self, fault: str) -> None:
        """It is not any more."""
        self._drain()
        self._faults[fault] -= 1
        self._faults = +self._faults
        self._is_plain = False
        self._fault_us = self._judge.now_us

    def ending(self) -> None:
        """The controller is told to end."""
        self._is_plain = False
        self._ends(self._judge.now_us + STOP_US)

    def born(self) -> None:
        """A controller was started: since the last one died, nobody has said anything to the device."""
        self._drain()
        self._is_alive = True
        after_us = self._died_us + FLIGHT_US
        ghosts = [chunk for chunk in self._bench.tape.since(after_us) if chunk.direction == "to_device" and chunk.data]
        if self._died_us > 0 and ghosts:
            self._found("one life drives a device", f"{len(ghosts)} chunks of a life that is over", ghosts[0].at_us)

    def died(self) -> None:
        """There is none: a crash point."""
        self._drain()
        self._is_alive = self._is_plain = False
        self._died_us = self._judge.now_us
        if self._shown is not None and self._shown.stage in BEGUN:
            self._owes_latch = "a crash in a session"
        self._leave()
        self._weigh()

    # What is published

    def shows(self, shown: Shown) -> None:
        """The device is shown as it is now."""
        self._drain()
        was, self._shown = self._shown, shown
        is_driving = shown.stage in DRIVING and not any(latch.stops for latch in shown.latches)
        was_driving = self._quiet_us is None
        if shown.session not in {"", self._session}:
            self._weigh()
            self._session = ""
        if shown.stage in {"armed", "calibrating"} and shown.session != self._session:
            self._opens(shown)
        if shown.latches:
            self._owes_latch = ""
        elif self._owes_latch and shown.stage != "away":
            self._found("what stops is latched", self._owes_latch)
            self._owes_latch = ""
        if is_driving and not was_driving:
            self._quiet_us, self._running_us, self._ran = None, self._judge.now_us, True
        elif was_driving and not is_driving:
            self._leave()
        if shown.set_ua:
            self._set.append((self._judge.now_us, shown.set_ua))
            self._caps(shown)
        if not shown.session and was is not None and was.session:
            self._close()

    def told(self, told: Told) -> None:
        """Something happened."""
        if told.kind == self._staff.completed:
            self._is_completed = True
        if told.kind in {"session.paused", "session.stopped"} and told.rules:
            if self._shown is None or not self._shown.latches:
                self._owes_latch = f"{told.kind} by {told.rules[0]}"
            if self._is_plain:
                self._judge.tally["nuisance"] += 1
                self._judge.notes.append(f"{self._judge.now_us} us {self._device}: {told.kind} by {told.rules[0]}")

    def end(self) -> None:
        """The clinic is closed."""
        self._drain()
        self._weigh()
        self._settled()

    # The judgement

    def _found(self, invariant: str, text: str, at_us: int | None = None) -> None:
        self._judge.found(self._device, invariant, f"{text}; faults: {', '.join(self._touched) or 'none'}", at_us)

    def _is_unsound(self) -> bool:
        return bool(self._faults) or self._judge.now_us - self._fault_us < LASTS_US

    def _ends(self, from_us: int) -> None:
        if self._quiet_us is None:
            self._must_us = min(self._must_us, from_us)

    def _leave(self) -> None:
        now_us = self._judge.now_us
        if self._running_us:
            self._judge.tally["running ms"] += (now_us - self._running_us) // 1000
            if self._is_plain:
                self._judge.tally["plain ms"] += (now_us - self._running_us) // 1000
            self._running_us = 0
        if self._quiet_us is None:
            self._quiet_us = min(now_us + STOP_US, self._must_us)
        self._must_us = NEVER_US

    def _opens(self, shown: Shown) -> None:
        """Current may flow from now on: the permission to it would survive a crash."""
        self._session, self._touched = shown.session, Counter(self._faults)
        self._settled()
        self._set.clear()
        self._base_nc = {index + 1: self._bench.scope.charge_nc(index + 1) for index in self._bench.channels(None)}
        if shown.session not in self._staff.permitted(self._folder):
            self._found("permit before current", f"{shown.session} is {shown.stage} without a durable permit")

    def _caps(self, shown: Shown) -> None:
        """No set-point above its cap: the prescription's, and what the controller itself says."""
        pads = {pad.channel: pad.max_ua for pad in self._rx.pads} if self._rx else {}
        for channel, ua in shown.set_ua.items():
            cap_ua = min(shown.caps_ua[channel], pads.get(channel, 0))
            if ua > cap_ua:
                self._found("never above the cap", f"channel {channel} is set to {ua} uA, its cap is {cap_ua} uA")

    def _close(self) -> None:
        """A session is over."""
        tally = self._judge.tally
        self._weigh()
        if self._ran:
            tally["sessions"] += 1
            if self._is_plain and self._is_completed and self._rx is not None:
                self._finished = Finished(self._session, self._rx, self._given_nc())
            if self._is_plain:
                tally["plain sessions"] += 1
                tally["plain sessions completed"] += self._is_completed
                if not self._is_completed:
                    self._judge.notes.append(f"{self._judge.now_us} us {self._device}: not completed")
        self._ran = False

    def _weigh(self) -> None:
        """Compare what a session was given with what the ledger counts."""
        if not self._session or self._touched.keys() & BEYOND_COUNT.keys():
            return
        counted = self._counted_nc(self._session)
        for channel, given_nc in self._given_nc().items():
            counted_nc = counted.get(channel, 0)
            if given_nc > counted_nc:
                text = f"{self._session}, channel {channel}: {given_nc:.0f} nC given, {counted_nc} nC counted"
                self._found("given is counted", text)

    def _settled(self) -> None:
        """Compare what a plain session that is long over was given with what it was charged."""
        if self._finished is None:
            return
        (session, rx, given), self._finished = self._finished, None
        counted = self._counted_nc(session)
        for pad in rx.pads:
            given_nc, counted_nc = given[pad.channel], counted.get(pad.channel, 0)
            cycles = 1 + rx.therapy_ms // (rx.ramp_up_ms + rx.on_ms + rx.ramp_down_ms + rx.off_ms)
            most_nc = OVER * given_nc + SLACK_PULSES * cycles * 2 * pad.max_ua * pad.width_us / 1000
            if counted_nc > most_nc:
                text = f"{session}, channel {pad.channel}: {given_nc:.0f} nC given, {counted_nc} nC counted"
                self._found("not counted twice", f"{text}, at most {most_nc:.0f}")

    def _given_nc(self) -> dict[int, float]:
        return {n: self._bench.scope.charge_nc(n) - base_nc for n, base_nc in self._base_nc.items()}

    def _counted_nc(self, session: str) -> dict[int, int]:
        return {c.channel: c.counted_nc for c in self._staff.charges(self._folder) if c.session == session}

    def _drain(self) -> None:
        """Judge the pulses since the last time by what has been known since."""
        since_us, self._drained_us = self._drained_us, self._judge.now_us
        for index in self._bench.channels(None):
            for pulse in self._bench.scope.pulses(index + 1, since_us):
                if pulse.at_us < self._drained_us:
                    self._see(index + 1, pulse)

    def _see(self, channel: int, pulse: Trace) -> None:
        ua = max(pulse.first_ua, pulse.second_ua)
        self._judge.tally["pulses"] += 1
        if self._quiet_us is None:
            self._see_granted(channel, ua, pulse.at_us)
        elif ua <= PROBE_UA:
            if pulse.at_us > max(self._checked_us + CHECK_US, self._quiet_us) and not self._is_fed(pulse.at_us):
                self._found("no probe unasked", f"{ua} uA on channel {channel}", pulse.at_us)
        elif pulse.at_us > self._quiet_us and not self._is_fed(pulse.at_us):
            late_ms = (pulse.at_us - self._quiet_us) / 1000
            self._found(
                "no current without a grant", f"{ua} uA on channel {channel}, {late_ms:.3f} ms late", pulse.at_us
            )

    def _see_granted(self, channel: int, ua: int, at_us: int) -> None:
        shown = self._shown
        if at_us > self._must_us and not self._is_fed(at_us):
            self._found("zero after a stop", f"{ua} uA on channel {channel}", at_us)
        if shown is not None and shown.stage == "running" and not self._touched.keys() & BEYOND_CAP.keys():
            most_ua = max([shown.set_ua.get(channel, 0), *self._recently(channel, at_us)])
            if ua > most_ua:
                self._found("never above the set-point", f"{ua} uA on channel {channel}, set to {most_ua} uA", at_us)
        if len(self._faults) == 1:
            (fault,) = self._faults
            since_us, of = self._since[fault]
            allowed_us = bound_us(fault, self._kind, of)
            if allowed_us is not None and at_us - since_us > allowed_us:
                late_ms = (at_us - since_us) / 1000
                self._found("zero after a fault", f"{ua} uA on channel {channel}, {fault} for {late_ms:.0f} ms", at_us)

    def _recently(self, channel: int, at_us: int) -> list[int]:
        """The set-points that a frame on its way may still have: of the whole session, where the line is not sound."""
        return [
            set_ua.get(channel, 0)
            for (_, set_ua), (until_us, _) in pairwise(self._set)
            if at_us - until_us < LATER_US or self._touched
        ]

    def _is_fed(self, at_us: int) -> bool:
        """Tell whether a device whose controller is gone, or whose line or itself is not sound, may still go on."""
        dead_us = DEAD_MAN_US[self._kind]
        left_us = [chunk.at_us for chunk in self._bench.tape.since(at_us - dead_us) if chunk.direction == "to_device"]
        if left_us and left_us[0] <= self._died_us + FLIGHT_US and at_us <= self._died_us + FLIGHT_US + dead_us:
            return True
        if self._is_alive and not self._is_unsound():
            return False
        longest_us = [BEYOND_STOP.get(fault, 2 * dead_us) for fault in self._faults]
        if None in longest_us:
            return True
        since_us = min(NEVER_US if self._quiet_us is None else self._quiet_us, self._must_us)
        return at_us <= max(since_us, self._fault_us) + max(filter(None, longest_us), default=2 * dead_us)
