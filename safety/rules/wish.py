"""G rules of the wish itself: its form, its age, and what its sender knew."""

from safety.messages import Adjust, Check, ClearLatch, Prepare, Rate, Verb
from safety.rules.views import Gate
from safety.units import is_whole
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE


def g01(g: Gate) -> Reason | None:
    """Every number of the wish is whole and in a range that makes sense; every channel belongs to the session."""
    wish = g.command.wish
    channels: tuple[int, ...] = ()
    if isinstance(wish, Adjust):
        if not is_whole(wish.delta_ua, -200_000, 200_000) or wish.delta_ua == 0:
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 200_000, "uA")
        channels = (wish.channel,)
    elif isinstance(wish, Check):
        channels = wish.channels
    elif isinstance(wish, Prepare):
        channels = tuple(channel for channel, _ in wish.pads)
        barcodes = [barcode for _, each in wish.pads for barcode in each]
        if len(set(channels)) < len(channels) or len(set(barcodes)) < len(barcodes) or not all(barcodes):
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 0, "pads")
        longest_ms = g.session.rx.programme.latest_ms if g.session else 0
        if not is_whole(wish.played_ms, 0, longest_ms):
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, wish.played_ms, longest_ms, "ms")
    elif isinstance(wish, ClearLatch) and not wish.reason.strip():
        return Reason("G01", REFUSE, "CMD.SCHEMA")
    known = {setting.plan.channel for setting in g.session.settings} if g.session else set()
    for channel in channels:
        if type(channel) is not int or channel not in known:
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 0, "channel")
    return None


def g01_rating(g: Gate) -> Reason | None:
    """A rating is a whole number from 0 to 10."""
    if not isinstance(g.command.wish, Rate) or is_whole(g.command.wish.score, 0, 10):
        return None
    return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 10, "of 10")


MUST_EXPECT = frozenset({Verb.ARM, Verb.START, Verb.RESUME, Verb.CAL_BEGIN})


def g02(g: Gate) -> Reason | None:
    """The wish is young, not retained, and its sender saw the state that we are in.

    Where current would flow it must say what it saw.
    """
    command, limits, station = g.command, g.station.config.general, g.station
    age_ms = g.now.wall_ms - command.issued_wall_ms
    if command.retained:
        return Reason("G02", REFUSE, "CMD.RETAINED")
    if age_ms < -limits.clock_skew_ms:
        return Reason("G02", REFUSE, "CMD.CLOCK_SKEW", 0, -age_ms, limits.clock_skew_ms, "ms")
    if age_ms > limits.command_age_ms:
        return Reason("G02", REFUSE, "CMD.EXPIRED", 0, age_ms, limits.command_age_ms, "ms")
    if g.now.wall_ms > command.expires_wall_ms:
        return Reason("G02", REFUSE, "CMD.EXPIRED", 0, g.now.wall_ms - command.expires_wall_ms, 0, "ms")
    seen, session_id = command.expect, station.session.id if station.session else ""
    if (command.verb in MUST_EXPECT or g.rise_ua > 0) and None in (seen.boot_id, seen.session_id, seen.state_version):
        return Reason("G02", REFUSE, "CMD.PRECONDITION")
    if seen.boot_id not in (None, station.boot_id) or seen.session_id not in (None, session_id):
        return Reason("G02", REFUSE, "CMD.PRECONDITION")
    version = station.tally.version
    if seen.state_version is not None and seen.state_version != version:
        return Reason("G02", REFUSE, "CMD.PRECONDITION", 0, seen.state_version, version, "state version")
    return None
