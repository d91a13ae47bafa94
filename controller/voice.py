"""How the stations of a site speak: answers to who asked, events with numbers, retained state, telemetry."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

from safety.effects import Answer, Event
from safety.messages import DeviceUp, Heard, Latch, Now
from safety.state import Station
from safety.turn import ENERGISED
from safety.verdict import Clear

from . import metrics
from .contract import codes
from .contract.accept import Asker
from .contract.answers import (
    AlarmSaid,
    AnswerMessage,
    CapabilitiesMessage,
    ChallengeMessage,
    ChannelSaid,
    EventMessage,
    LatchSaid,
    SummaryMessage,
    TelemetryMessage,
    inactive,
)
from .contract.envelope import utc_text
from .contract.topics import Topics
from .identity.challenge import LASTS_MS, Challenges
from .outbox import Outgoing, Publish

TELEMETRY_MS = 100
"""Telemetry at 10 Hz at most (MQTT API)."""
EARLY_MS = 25
"""How much before its time a word may be told, half a tick: else jitter would lose every second one."""


class Open(NamedTuple):
    """A command whose final answer is still owed, and what to do when it is given."""

    asker: Asker
    keep: Callable[[bytes], None]


class Voice:
    """Speaks for every station of a site."""

    def __init__(self, topics: Topics, boot_id: str, publish: Publish, challenges: Challenges | None = None) -> None:
        self._challenges = challenges or Challenges({}, str)
        self._topics = topics
        self._boot_id = boot_id
        self._publish = publish
        self._open: dict[tuple[str, str, str], Open] = {}
        self._events: Counter[str] = Counter()
        self._samples: Counter[tuple[str, int]] = Counter()
        self._telemetry_ms: dict[str, int] = {}

    # Answers

    def expect(self, device: str, asker: Asker, keep: Callable[[bytes], None]) -> None:
        """Know where the answers to a command go, before it is posted; `keep` gets the final one."""
        self._open[device, asker.principal, asker.command_id] = Open(asker, keep)

    def answer(self, device: str, answer: Answer, now: Now) -> None:
        """Send a command's answer."""
        key = (device, answer.command.principal, answer.command.id)
        waiting = self._open.get(key)
        if waiting is None:
            return
        metrics.answered(answer)
        message = AnswerMessage.of(answer, boot_id=self._boot_id, now=now)
        payload = message.to_bytes()
        if message.is_final:
            # An interim answer that was kept would be all that a repeat ever gets, if the service ended meanwhile.
            del self._open[key]
            waiting.keep(payload)
        self.send(waiting.asker, payload)

    def send(self, asker: Asker, payload: bytes) -> None:
        """Send an answer to where its asker listens."""
        own, *others = asker.answer_topics(self._topics) or ("",)
        if not own:
            return
        self._publish(Outgoing(own, payload, correlation=asker.correlation))
        if asker.is_plain:
            others = others or [self._topics.ack_text(asker.device, asker.principal)]
            payload = AnswerMessage.read(payload).plain
        for topic in others:
            self._publish(Outgoing(topic, payload, correlation=asker.correlation))

    # Events and state

    def event(self, device: str, event: Event, now: Now) -> None:
        """Send an event; its number has no gaps within a boot."""
        metrics.happened(event)
        self._events[device] += 1
        message = EventMessage.of(
            event, site=self._topics.site, device=device, event_seq=self._events[device], boot_id=self._boot_id, now=now
        )
        self._publish(Outgoing(self._topics.event(device, event.kind), message.to_bytes()))

    def state(self, station: Station, now: Now) -> None:
        """Show the station as it is now, retained."""
        device, session = station.config.device, station.session
        channels = []
        if session is not None:
            for setting, channel in zip(session.settings, session.channels, strict=True):
                plan, reading = setting.plan, [r for r in session.readings if r.channel == setting.plan.channel]
                channels.append(
                    ChannelSaid(
                        channel=plan.channel,
                        setpoint_ua=setting.setpoint_ua,
                        max_ua=plan.max_ua,
                        ohm=reading[0].ohms[-1] if reading else None,
                        spent_nc=channel.spent[0],
                        on_ms=channel.spent[2],
                    )
                )
        message = SummaryMessage(
            site=self._topics.site,
            device=device,
            phase=station.phase.value,
            state_version=station.tally.version,
            session_id=session.id if session else None,
            prescription_id=session.rx.ref if session else None,
            claimed_by=station.holder.principal if station.holder else None,
            armed=station.phase in ENERGISED,
            played_ms=session.course.played_ms if session else 0,
            therapy_ms=session.rx.programme.therapy_ms if session else 0,
            channels=channels,
            limits=asdict(session.limits) if session else {},
            inactive=inactive(station.device.caps) if station.device else [],
            latches=[LatchSaid.of(latch) for latch in station.latches],
            alarms=[alarm(latch) for latch in station.latches],
            boot_id=self._boot_id,
            as_of=utc_text(now.wall_ms),
        )
        self._publish(Outgoing(self._topics.summary(device), message.to_bytes(), retain=True))
        self.challenge(station, now)

    def challenge(self, station: Station, now: Now) -> None:
        """Show everybody who may need one, retained, the nonce for the station as it is now, where it is a new one."""
        for device, principal, given in self._challenges.renewed(station, now):
            message = ChallengeMessage(
                device=device,
                principal=principal,
                nonce=given.nonce,
                session_id=given.seen.session_id or "",
                state_version=given.seen.state_version or 0,
                expires_in_ms=LASTS_MS,
                boot_id=self._boot_id,
                at=utc_text(now.wall_ms),
            )
            self._publish(Outgoing(self._topics.challenge(device, principal), message.to_bytes(), retain=True))
            self._publish(Outgoing(self._topics.challenge_text(device, principal), given.nonce.encode(), retain=True))

    def device(self, device: str, up: DeviceUp, now: Now) -> None:
        """Show what the device can do, retained."""
        message = CapabilitiesMessage.of(
            up.identity, up.caps, site=self._topics.site, device=device, boot_id=self._boot_id, now=now
        )
        self._publish(Outgoing(self._topics.capabilities(device), message.to_bytes(), retain=True))

    def readback(self, station: Station, heard: Heard, now: Now) -> None:
        """Show what flows, at 10 Hz at most."""
        device, session = station.config.device, station.session
        metrics.delivered(device, heard.samples)
        due_ms = self._telemetry_ms.get(device, 0)
        if session is None or now.mono_ms < due_ms - EARLY_MS:
            return
        in_step = now.mono_ms < due_ms + TELEMETRY_MS
        self._telemetry_ms[device] = (due_ms if in_step else now.mono_ms) + TELEMETRY_MS
        trains = {train.channel: train.ua for train in station.beat.picture.trains}
        mine = {setting.plan.channel for setting in session.settings}
        for sample in heard.samples:
            if sample.channel not in mine:
                continue
            self._samples[device, sample.channel] += 1
            message = TelemetryMessage(
                channel=sample.channel,
                sample=self._samples[device, sample.channel],
                commanded_ua=trains.get(sample.channel, 0),
                delivered_ua=sample.measured_ua if sample.fresh else 0,
                charge_nc=sample.charge_nc,
                ohm=sample.ohm if sample.fresh and not sample.open else None,
                boot_id=self._boot_id,
                at=utc_text(now.wall_ms),
            )
            self._publish(Outgoing(self._topics.telemetry(device, sample.channel), message.to_bytes(), qos=0))


def alarm(latch: Latch) -> AlarmSaid:
    """Say a standing latch as an alarm: high where a qualified person or maintenance must clear it."""
    high = latch.clear in {Clear.ACK_QUALIFIED, Clear.MAINTENANCE}
    return AlarmSaid(
        kind="fault.latched",
        priority="high" if high else "medium",
        rule=latch.rule,
        code="FLT.LATCHED",
        text=codes.text("FLT.LATCHED"),
        since=utc_text(latch.since_wall_ms),
    )
