"""Situations for the examples: the shipped core on the rig of its tests, asked what one rule says.

The rules of the gate are asked through a wish, those of the monitor through `step` with the other monitor rules
switched off, those of the ledger through `admit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from parts import IdealDevice, config, record
from rig import CAPS, WALL_MS, Claim, Modality, Prepare, Programme, Rig, Sensation, Train, plan, rx

from safety.admit import admit
from safety.effects import Answer, ChannelRequest, Permit, PermitRequest
from safety.history import History, Record
from safety.prescription import Calibration, Dose, Plan, Prescription
from safety.rules import monitor
from safety.verdict import Reason
from safety.waveform import Picture

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SHAPE = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=5_000, ramp_down_ms=1_000, off_ms=15_000, therapy_ms=900_000
)
"""NMES: 5 s of plateau, 15 s of rest, 15 min."""
STREAM = Programme(
    modality=Modality.TENS, ramp_up_ms=2_000, on_ms=1_798_000, ramp_down_ms=0, off_ms=0, therapy_ms=1_800_000
)
"""TENS: half an hour without a pause."""


def calibrated(**found: int | None) -> Calibration:
    """Thresholds found a second ago."""
    values = {"sensory_ua": 8_000, "motor_ua": 15_000, "maximal_ua": 60_000} | found
    return replace(plan().calibration, at_wall_ms=WALL_MS - 1_000, **values)


def first(reasons: tuple[Reason, ...], rule: str) -> Reason | None:
    return next((reason for reason in reasons if reason.rule == rule), None)


def rig_of(**caps: object) -> Rig:
    """A rig whose device has other abilities than the ideal one."""
    return Rig(device=IdealDevice(caps=replace(CAPS, **caps)))


def opened(rule: str, prescription: Prescription, rig: Rig | None = None) -> Reason | None:
    """What the rule says when a session is to be opened with this prescription."""
    rig = rig or Rig()
    rig.up()
    rig.must(Claim())
    return first(rig.ask(Prepare(prescription, prescription.ref, prescription.patient)).reasons, rule)


def channel(rule: str, *, tens: bool = False, sensation: Sensation = Sensation.S0, **changes: object) -> Reason | None:
    """What the rule says when one channel is prescribed so."""
    changes.setdefault("max_ua", changes.get("ua", 30_000))
    return opened(rule, rx(plan(**changes), programme=STREAM if tens else SHAPE, sensation=sensation))


def shaped(rule: str, **changes: object) -> Reason | None:
    """What the rule says when a programme has this shape."""
    return opened(rule, rx(programme=replace(SHAPE, **changes)))


def said(rig: Rig, rule: str, mark: int) -> Reason | None:
    """The first reason of this rule in any answer or event since the mark."""
    return next((reason for message in rig.said[mark:] for reason in message.reasons if reason.rule == rule), None)


@contextmanager
def asking_only(keep: Callable[[str], bool]) -> Iterator[None]:
    """Leave in the monitor's lists only the rules whose functions have such names."""
    lists = {name: value for name, value in vars(monitor).items() if name.isupper() and isinstance(value, tuple)}
    try:
        for name, value in lists.items():
            setattr(monitor, name, tuple(each for each in value if keep(each.__name__)))
        yield
    finally:
        for name, value in lists.items():
            setattr(monitor, name, value)


def alone(rule: str) -> AbstractContextManager[None]:
    """Switch off every monitor rule but this one."""
    return asking_only(lambda name: name.startswith(rule.lower()))


def without(rule: str) -> AbstractContextManager[None]:
    """Take one rule out of the monitor's lists."""
    return asking_only(lambda name: not rule or not name.startswith(rule.lower()))


def watched(rule: str, cause: Callable[[Rig], object], rig: Rig | None = None) -> Reason | None:
    """What this rule alone says on the plateau of a session when the cause comes about."""
    rig = rig or Rig().plateau()
    mark = len(rig.said)
    with alone(rule):
        cause(rig)
    return said(rig, rule, mark)


def bent(rule: str, ticks: int = 4, **sample: object) -> Reason | None:
    """What the rule says when the device reads channel 1 back so."""
    return watched(rule, lambda rig: (rig.device.sample_changes.update({1: sample}), rig.tick(ticks)))


def loaded(rule: str, ohm: int, ticks: int = 6) -> Reason | None:
    """What the rule says when the impedance under a running plateau (1,500 ohm before) becomes this."""
    return watched(rule, lambda rig: (rig.device.ohm.update({1: ohm}), rig.tick(ticks)))


def says(rule: str, **status: object) -> Reason | None:
    """What the rule says when the device says this of itself."""
    return watched(rule, lambda rig: (rig.device.changes.update(status), setattr(rig, "answering", False), rig.hear()))


def remembers(rule: str, **changes: object) -> Reason | None:
    """What the rule says at the next tick when the core remembers this of channel 1."""

    def cause(rig: Rig) -> None:
        session = rig.station.session
        channels = (session.channels[0]._replace(**changes),)
        rig.station = rig.station._replace(session=session._replace(channels=channels))
        rig.tick()

    return watched(rule, cause)


def proposed(rule: str, ua: int) -> Reason | None:
    """What the rule says when the programme would like this current on the plateau of 20 mA."""
    picture = Picture((Train(1, ua, 300, 100, 25_000),))
    return watched(rule, lambda rig: (setattr(rig, "wanted", lambda: picture), rig.tick()))


def asking(modality: Modality = Modality.NMES, **changes: object) -> PermitRequest:
    """A session that asks the ledger: half a coulomb on the left quadriceps."""
    values: dict[str, object] = {
        "permit": Permit(1, "s-now", "d1", (), (), 0),
        "session": "s-now",
        "patient": "p-1",
        "rx": "rx-9@1",
        "rx_digest": "d1",
        "modality": modality,
        "on_time_ms": 600_000,
        "probe": False,
        "limits": config().limits[modality],
        "channels": (
            ChannelRequest(channel=1, site="left-quadriceps", pair="a", reserve=Dose(nc=500_000_000, on_ms=600_000)),
        ),
    }
    return PermitRequest(**(values | changes))


def admitted(rule: str, *records: Record, request: PermitRequest | None = None, **known: object) -> Reason | None:
    """What the ledger's rule says with these sessions behind the patient."""
    history = History(**({"patient": "p-1", "records": records, "locked_sites": ()} | known))
    return first(admit(history, request or asking(), WALL_MS), rule)


def past(ago_ms: int, nc: int = 100_000_000, on_ms: int = 150_000, **changes: object) -> Record:
    """A session of another prescription that ended so long ago."""
    dose = Dose(nc=nc, i2t=0, on_ms=on_ms)
    return record(
        ago_ms, **({"session": f"s-{ago_ms}", "rx": f"rx-{ago_ms}@1", "reserved": dose, "charged": dose} | changes)
    )


__all__ = [
    "CAPS",
    "DAY_MS",
    "HOUR_MS",
    "SHAPE",
    "STREAM",
    "WALL_MS",
    "Answer",
    "Modality",
    "Plan",
    "Rig",
    "Sensation",
    "admitted",
    "asking",
    "bent",
    "calibrated",
    "channel",
    "first",
    "loaded",
    "opened",
    "past",
    "plan",
    "proposed",
    "remembers",
    "rig_of",
    "rx",
    "said",
    "says",
    "shaped",
    "watched",
    "without",
]
