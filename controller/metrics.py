"""What the service counts, for Prometheus. Labels are verbs, codes, rules and devices: never a patient, never a person.

Where something happens it is counted here; who reads it is http.py. A count costs a microsecond or two and waits for
nobody: each value has a lock of its own, which is held for an addition.
"""

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from safety.effects import Answer, Event
from safety.messages import Sample
from safety.verdict import Reason

from .contract.answers import FINAL

REGISTRY = CollectorRegistry()
NO_VERB = "none"
"""The verb of a message that was no command."""
SHORT_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Buckets from a tenth of a millisecond to a second: a tick is 25 ms, the dead man of a device 500 ms or more."""

COMMANDS = Counter(
    "stim_commands", "Commands that were answered for good, by verb and code.", ("verb", "code"), registry=REGISTRY
)
TRIPS = Counter(
    "stim_rule_trips", "How often a rule refused a command, held, paused or stopped.", ("rule",), registry=REGISTRY
)
LATENESS = Histogram(
    "stim_loop_lateness_seconds", "How late a tick of the safety loop came.", buckets=SHORT_S, registry=REGISTRY
)
STOP_LATENCY = Histogram(
    "stim_stop_latency_seconds",
    "From a stop's arrival until it was handed to the lines of its devices.",
    buckets=SHORT_S,
    registry=REGISTRY,
)
STOP_CONFIRMED = Histogram(
    "stim_stop_confirmed_seconds",
    "From a stop until the device said that it stopped.",
    buckets=SHORT_S,
    registry=REGISTRY,
)
SERIAL_RTT = Histogram(
    "stim_serial_rtt_seconds", "From a frame until the device answered it.", buckets=SHORT_S, registry=REGISTRY
)
CHARGE = Counter(
    "stim_delivered_charge_coulombs", "Charge that devices said they delivered.", ("device",), registry=REGISTRY
)
NANO = 1e-9
_counted_nc: defaultdict[tuple[str, int], int] = defaultdict(int)
"""What each channel had counted when it was last heard: devices begin again at each arming."""


def answered(answer: Answer) -> None:
    """Count a command's final answer, and the rules against it."""
    if answer.status not in FINAL:
        return
    COMMANDS.labels(answer.command.verb.value, answer.code).inc()
    if answer.status == "rejected":
        _tripped(answer.reasons)


def refused(code: str) -> None:
    """Count a message that was no command."""
    COMMANDS.labels(NO_VERB, code).inc()


def happened(event: Event) -> None:
    """Count what the rules did to the output, and how long a stop took to be confirmed."""
    if event.kind in {"fault.latched", "session.held"}:
        _tripped(event.reasons)
    elif event.kind == "stop.confirmed":
        STOP_CONFIRMED.observe(int(dict(event.details)["waited_ms"]) / 1000)


def _tripped(reasons: Iterable[Reason]) -> None:
    for reason in reasons:
        if reason.rule:
            TRIPS.labels(reason.rule).inc()


def delivered(device: str, samples: Iterable[Sample]) -> None:
    """Count what the channels of a device have delivered since they were last heard."""
    for sample in samples:
        before = _counted_nc[device, sample.channel]
        _counted_nc[device, sample.channel] = sample.charge_nc
        CHARGE.labels(device).inc((sample.charge_nc - (before if sample.charge_nc >= before else 0)) * NANO)


def text() -> bytes:
    """Write everything in the format of Prometheus."""
    return generate_latest(REGISTRY)
