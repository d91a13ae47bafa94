"""Draws a clinic from a seed: its beds, its patients, and what goes well and wrong there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random

from hil.faults import FAULTS
from hil.simulate.bedside import bench
from hil.simulate.papers import Papers
from hil.simulate.plan import Act, Of, Rx, Schedule, Seat

KINDS = ("native", "native", "sciencemode4", "sciencemode2")
"""Kinds of device, as often as they are drawn: what measures most has most to tell."""
OPEN_MS = 900_000
"""How long a clinic is open. Engineering default."""
CANNOT = {"memory_pressure": "a controller in memory has no memory of its own"}
"""Faults of the table that nothing here can have, and why."""
AROUND_MS = 20_000
"""What a visit takes besides its therapy."""
LASTING = {
    "peel": (6_000, 9_000), "dry_out": (6_000, 9_000), "bridge": (6_000, 9_000), "motion": (3_000, 9_000),
    "half_open": (500, 6_000), "ignored_stop": (1_000, 9_000), "silent_stop": (1_000, 9_000),
    "clock_jump": (500, 9_000), "drifted_clock": (2_000, 9_000),
    "broker_loss": (500, 12_000),
}  # fmt: skip
"""How long faults last that need their time; all others 50 ms to 5 s."""


@cache
def possible(kind: str) -> tuple[str, ...]:
    """The faults that a kind of device can have."""
    device = bench(kind, 0).device
    return tuple(name for name, entry in FAULTS.items() if entry.fits(device) and name not in CANNOT)


def params(fault: str, dice: Random) -> Of:
    """What a fault is like: its own figures, drawn anew where they have room."""
    whole: Mapping[str, Of] = {
        "peel": {"end": dice.choice([0.1, 0.3, 0.5]), "over_ms": dice.randrange(500, 6_000)},
        "dry_out": {"dryness": dice.choice([2.0, 5.0, 9.0]), "over_ms": dice.randrange(1_000, 6_000)},
        "bridge": {"scale": dice.choice([0.2, 0.5]), "over_ms": dice.randrange(100, 6_000)},
        "motion": {"depth": dice.choice([0.05, 0.1, 0.5])},
        "intermittent": {"open_ms": dice.randrange(20, 300), "every_ms": dice.randrange(400, 2_000)},
        "device_reset": {"power_cycle": dice.random() < 0.5},
        "hung_firmware": {"output": dice.random() < 0.5},
        "half_open": {"direction": dice.choice(["to_host", "to_host", "to_device"])},
        "drop": {"chance": dice.choice([0.02, 0.1, 0.5, 1.0])},
        "corrupt": {"chance": dice.choice([0.02, 0.1, 0.5, 1.0]), "bit": dice.randrange(8)},
        "duplicate": {"chance": dice.choice([0.1, 1.0])},
        "reorder": {"chance": dice.choice([0.1, 0.5]), "late_ms": dice.randrange(5, 400)},
        "delay": {"delay_ms": dice.randrange(5, 900), "jitter_ms": dice.choice([0, 50])},
        "slow_answers": {"delay_ms": dice.randrange(5, 900)},
        "flood": {"content": dice.choice(["noise", "frames"]), "rate": 2_000},
        "late_tick": {"ms": dice.choice([60, 120, 220, 300, 900, 3_000])},
        "clock_jump": {"ms": dice.choice([-3_600_000, -4_000, 2_500, 6_000, 3_600_000])},
        "broker_flood": {"rate": 200},
        "drifted_clock": {"ppm": dice.choice([-50_000, 50_000])},
        "over_delivery": {"gain": 1.3},
        "dac_gain": {"gain": dice.choice([1.05, 1.3, 1.6])},
        "wrong_id": {"model": "other"},
    }
    return whole.get(fault, {})


class Draft:
    """A clinic that is being drawn."""

    def __init__(self, dice: Random, number: int, tighter: Mapping[str, Sequence[int]]) -> None:
        self.dice = dice
        self.acts: list[Act] = []
        self.papers = Papers(dice, number, tighter)
        self._turn = dict.fromkeys(("fault", "wrong", "past", "omit"), 0)
        self._number = number

    def next(self, of: str, names: Sequence[str]) -> str:
        """The next name in a row that goes on from clinic to clinic, so that each comes up as often as any other."""
        self._turn[of] += 1
        return names[(self._number * {"fault": 11, "wrong": 9, "past": 2, "omit": 2}[of] + self._turn[of]) % len(names)]

    def act(self, at_ms: int, device: str, kind: str, /, **of: object) -> None:
        """Put an act into the schedule."""
        self.acts.append(Act(at_ms, device, kind, of))

    def fault(self, at_ms: int, seat: Seat, longest_ms: int) -> None:
        """The next fault of the table that this kind of device can have."""
        fault = self.next("fault", possible(seat.kind))
        low, high = LASTING.get(fault, (50, 5_000))
        for_ms = self.dice.randrange(low, max(low + 1, min(high, longest_ms)))
        self.act(at_ms, seat.device, "fault", fault=fault, for_ms=for_ms, **params(fault, self.dice))
        if fault in {"wrong_id", "failed_self_test"}:
            # A device tells who it is, and is tested, when its line comes up.
            self.act(at_ms + 10, seat.device, "pull", for_ms=20)
            self.act(at_ms + for_ms + 100, seat.device, "pull", for_ms=20)
        if fault in {"ignored_stop", "silent_stop", "stuck_output"}:
            self.act(at_ms + 30, seat.device, "ask", wish="stop")

    def visit(self, at_ms: int, device: str, rx: Rx, /, **of: object) -> int:
        """A visit; gives when the bed is free again."""
        self.act(at_ms, device, "visit", rx=rx.name, **of)
        return at_ms + rx.therapy_ms + AROUND_MS


def draw(seed: int, number: int, tighter: Mapping[str, Sequence[int]], open_ms: int = OPEN_MS) -> Schedule:
    """Draw the clinic of a number out of a run's seed."""
    dice = Random(f"{seed}/{number}")  # noqa: S311 - repeatable, no secrets
    beds = 2 if dice.random() < 0.2 else 1
    seats = tuple(Seat(f"bed-{index + 1}", dice.choice(KINDS)) for index in range(beds))
    draft = Draft(dice, number, tighter)
    for seat in seats:
        at_ms = dice.randrange(1_000, 4_000)
        while at_ms < open_ms - 60_000:
            (slot,) = dice.choices(list(SLOTS), list(SLOTS.values()))
            for _ in range(dice.choice([0, 1, 1, 2])):
                wrong = draft.next("wrong", draft.papers.wrongs)
                rx, of = draft.papers.wrong(seat.kind, wrong)
                draft.act(at_ms, seat.device, "visit", rx=rx.name, **of)
                if slot not in UNDISTURBED:
                    draft.fault(at_ms + dice.randrange(2_000), seat, 1_500)
                at_ms += 3_000
            at_ms = slot(draft, seat, at_ms)
    acts = tuple(sorted((act for act in draft.acts if act.at_ms < open_ms), key=lambda act: act.at_ms))
    return Schedule(seed * 100_000 + number, open_ms, seats, tuple(draft.papers.written), acts)


# What may happen at a bed, one after the other


def plain(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session, with small wishes on the way."""
    dice, rx = draft.dice, draft.papers.legal(seat.kind)
    end_ms = draft.visit(at_ms, seat.device, rx, skins=draft.papers.skins(seat.kind))
    for _ in range(dice.randrange(4)):
        pad = dice.choice(rx.pads)
        delta_ua = dice.choice([-2_000, -500, 500, 1_000, 1_000])
        draft.act(
            dice.randrange(at_ms + 5_000, end_ms),
            seat.device,
            "ask",
            wish="adjust",
            channel=pad.channel,
            delta_ua=delta_ua,
        )
    return end_ms - AROUND_MS // 2


def at_the_cap(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session whose operator raises until it is refused."""
    rx = draft.papers.legal(seat.kind, modality="tens")
    end_ms = draft.visit(at_ms, seat.device, rx)
    left_ua = rx.pads[0].max_ua - rx.pads[0].ua
    for step, delta_ua in enumerate([min(1_000, left_ua + 1), 1_000, left_ua % 1_000 + 1, 1_000, 500, 1, 1_000]):
        draft.act(at_ms + 6_000 + step * 1_300, seat.device, "ask", wish="adjust", channel=1, delta_ua=delta_ua)
    return end_ms


def faulted(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session with faults on line, device, body and host."""
    dice, rx = draft.dice, draft.papers.legal(seat.kind)
    end_ms = draft.visit(at_ms, seat.device, rx, ponder_ms=dice.choice([0, 500, 4_000]))
    for _ in range(dice.choice([1, 1, 2, 4])):
        draft.fault(dice.randrange(at_ms, end_ms - 5_000), seat, 9_000)
    return end_ms


def crash(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session in which the controller is killed, and perhaps once more while it comes back."""
    dice, rx = draft.dice, draft.papers.legal(seat.kind)
    end_ms = draft.visit(at_ms, seat.device, rx)
    if dice.random() < 0.4:
        draft.act(
            at_ms,
            "",
            "slow disk",
            before_ms=dice.choice([20, 200, 700]),
            after_ms=dice.choice([0, 30, 300]),
            for_ms=30_000,
        )
    kill_ms = at_ms + dice.choice([dice.randrange(0, 3_000), dice.randrange(3_000, rx.therapy_ms)])
    in_flight, down_ms = dice.choice(["lands", "torn", "lost"]), dice.choice([10, 300, 1_000, 4_000])
    draft.act(kill_ms, "", "kill", in_flight=in_flight, down_ms=down_ms)
    if dice.random() < 0.3:
        draft.act(kill_ms + down_ms + dice.randrange(1_500), "", "kill", in_flight=in_flight, down_ms=100)
    return end_ms


def slow_disk(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session on a disk that takes its time."""
    dice, rx = draft.dice, draft.papers.legal(seat.kind)
    end_ms = draft.visit(at_ms, seat.device, rx)
    before_ms = dice.choice([100, 400, 800, 1_500])
    draft.act(
        dice.randrange(at_ms, end_ms),
        "",
        "slow disk",
        before_ms=before_ms,
        after_ms=dice.choice([0, 100]),
        for_ms=8_000,
    )
    draft.act(at_ms + 15_000, seat.device, "ask", wish="adjust", channel=1, delta_ua=-500)
    return end_ms


def people(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session that people interrupt: a pause, a stop, the patient's button, a report of harm, a pulled line."""
    dice, rx = draft.dice, draft.papers.legal(seat.kind)
    end_ms = draft.visit(at_ms, seat.device, rx)
    when_ms = dice.randrange(at_ms + 4_000, end_ms - 8_000)
    match dice.randrange(6):
        case 0:
            draft.act(when_ms, seat.device, "rest", for_ms=dice.choice([50, 2_000, 5_000]))
        case 1:
            draft.act(when_ms, seat.device, "ask", wish="stop")
        case 2:
            draft.act(when_ms, seat.device, "button", for_ms=dice.choice([30, 500, 3_000]))
        case 3:
            draft.act(when_ms, seat.device, "ask", wish="report", kind=dice.choice(["burning", "pain", "skin"]))
            at_ms = when_ms + 6_000
            return draft.visit(at_ms, seat.device, draft.papers.again(rx), patient=rx.patient)
        case 4:
            draft.act(when_ms, seat.device, "ask", wish="rate", what="pain", score=8)
        case 5:
            draft.act(when_ms, seat.device, "pull", for_ms=dice.choice([5, 500, 3_000]))
    return end_ms


def mischief(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session beside integrators who are impatient, or whose programs are broken."""
    dice, rx = draft.dice, draft.papers.legal(seat.kind)
    end_ms = draft.visit(at_ms, seat.device, rx)
    for _ in range(dice.randrange(3, 12)):
        what = dice.choice(["out of turn", "duplicate", "replay", "late", "retained", "malformed", "stranger"])
        wish = dice.choice(["claim", "check", "arm", "start", "resume", "pause", "adjust", "status"])
        more: Of = (
            {"channel": dice.choice([1, 1, 7]), "delta_ua": dice.choice([1_000, 50_000])} if wish == "adjust" else {}
        )
        if what == "late":
            more["late_ms"] = dice.choice([500, 4_000, 9_000])
        draft.act(dice.randrange(at_ms, end_ms), seat.device, "mischief", what=what, wish=wish, **more)
    return end_ms


def omitted(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A session in which a duty is omitted."""
    omit = draft.next("omit", ("claim", "present", "rate", "look", "attest", "button", "check", "start"))
    limits = {
        "present": (("presence_ms", 15_000),),
        "rate": (("effort_hold_ms", 10_000), ("effort_pause_ms", 20_000)),
        "look": (("skin_check_ms", 15_000),),
    }
    sensation = "S1" if omit in {"present", "look"} else "S0"
    rx = draft.papers.legal(
        seat.kind, modality="nmes", sensation=sensation, limits=limits.get(omit, ()), therapy_ms=45_000
    )
    return draft.visit(at_ms, seat.device, rx, omit=omit)


def returns(draft: Draft, seat: Seat, at_ms: int) -> int:
    """A patient who comes back: what was given before counts."""
    past = draft.next("past", draft.papers.pasts)
    for rx, of in draft.papers.past(seat.kind, past):
        at_ms = draft.visit(at_ms, seat.device, rx, **of)
    return at_ms


def calibrated(draft: Draft, seat: Seat, at_ms: int) -> int:
    """Thresholds are looked for."""
    draft.act(
        at_ms,
        seat.device,
        "visit",
        rx=draft.papers.legal(seat.kind, modality="nmes").name,
        calibrate=draft.dice.choice(["held", "let go"]),
    )
    return at_ms + 60_000


def night(draft: Draft, _: Seat, at_ms: int) -> int:
    """The controller is ended in order, and comes back hours later."""
    draft.act(at_ms, "", "restart", hours=draft.dice.choice([1, 12, 50]))
    return at_ms + 2_000


def shut(draft: Draft, seat: Seat, at_ms: int) -> int:
    """The controller is ended in order while a session may run."""
    rx = draft.papers.legal(seat.kind)
    draft.visit(at_ms, seat.device, rx)
    draft.act(at_ms + draft.dice.randrange(1_000, rx.therapy_ms), "", "restart", hours=0)
    return at_ms + rx.therapy_ms


Slot = Callable[[Draft, Seat, int], int]
SLOTS: Mapping[Slot, int] = {
    plain: 30, at_the_cap: 6, faulted: 30, crash: 8, slow_disk: 3, people: 8, mischief: 6, omitted: 8, returns: 8,
    calibrated: 3, night: 2, shut: 1,
}  # fmt: skip
"""How often each comes up. Engineering default."""
UNDISTURBED = frozenset({plain, at_the_cap, returns})
"""Slots before which nothing is broken, so that what they see is plain."""
