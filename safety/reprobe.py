"""An electrode that its own pulses cannot show is measured while the output rests (G29; safety reference 2.3).

A test pulse on each such channel in each off-phase, inside the session's permit; until it is answered nothing else is
sent.
"""

from safety.effects import Probe
from safety.messages import Probed
from safety.permits import probe_train
from safety.rules.skin import g29_found, unseen_channels
from safety.rules.views import Skin
from safety.state import Reading, Session, Station
from safety.turn import FLOWING, Turn, sure
from safety.waveform import pulse_i2t, pulse_nc

AGAIN_MS = 30_000
"""How often a long rest is used: twice as often as it must be (engineering default)."""


def is_waiting(session: Session) -> bool:
    """Tell whether a test pulse is on its way."""
    return any(reading.asked for reading in session.readings)


def due(station: Station, session: Session, now_ms: int) -> int:
    """Give the channel whose electrode is to be measured in this rest; 0 for none."""
    caps = sure(station.device).caps
    if not caps.reprobe or station.beat.picture.trains:
        return 0
    seen = {reading.channel: now_ms - reading.seen_ms for reading in session.readings}
    rested = {s.plan.channel: c.rest_ms for s, c in zip(session.settings, session.channels, strict=True)}
    for number in unseen_channels(session, caps):
        if seen.get(number, 0) > min(rested[number], AGAIN_MS):
            return number
    return 0


def ask(turn: Turn, session: Session, number: int) -> None:
    """Give the test pulse, and count as given what the device needs for it."""
    pulses = sure(turn.station.device).caps.probe_pulses
    train, grant = probe_train(session, number), turn.grant(sure(session.permit).id)
    turn.effects.append(Probe(grant, train))
    channels = []
    for setting, channel in zip(session.settings, session.channels, strict=True):
        nc, i2t, on_ms = channel.spent
        mine = setting.plan.channel == number
        spent = (nc + pulses * pulse_nc(train), i2t + pulses * pulse_i2t(train), on_ms) if mine else channel.spent
        channels.append(channel._replace(spent=spent))
    readings = tuple(asked(reading, number, grant.seq) for reading in session.readings)
    beat = turn.station.beat._replace(sent_ms=turn.now.mono_ms, unanswered=grant.seq)
    session = session._replace(channels=tuple(channels), readings=readings)
    turn.station = turn.station._replace(session=session, beat=beat)


def asked(reading: Reading, number: int, grant: int) -> Reading:
    """Remember which test pulse is on its way; the one before it is given up."""
    return reading._replace(asked=grant if reading.channel == number else 0)


def answered(turn: Turn, event: Probed) -> bool:
    """Take in the answer to such a test pulse, and judge it; False: it is none."""
    station = turn.station
    if station.phase not in FLOWING or not event.grant:
        return False
    session, caps = sure(station.session), sure(station.device).caps
    reading = next((r for r in session.readings if (r.channel, r.asked) == (event.channel, event.grant)), None)
    if reading is None:
        return False
    now_ms = turn.now.mono_ms
    pairs = zip(session.settings, session.channels, strict=True)
    setting, channel = next((s, c) for s, c in pairs if s.plan.channel == event.channel)
    found = g29_found(Skin(setting, reading, session.limits, caps, session.rx, now_ms, channel.contact), event)
    seen = reading._replace(asked=0, seen_ms=now_ms)
    readings = tuple(seen if each is reading else each for each in session.readings)
    turn.station = station._replace(
        session=session._replace(readings=readings), beat=station.beat._replace(unanswered=0, heard_ms=now_ms)
    )
    if found is not None:
        turn.judge((found,))
    return True


def from_now(session: Session, now_ms: int) -> Session:
    """Count the electrodes as seen when a session begins to run: the check is as young as the gate asks for."""
    return session._replace(readings=tuple(each._replace(seen_ms=now_ms, asked=0) for each in session.readings))
