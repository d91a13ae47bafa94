"""The times that must nest, per kind of device: tick < keep-alive < grant < pause <= dead man < claim < presence.

All engineering defaults except the dead men, which are the devices' own (native protocol; ScienceMode 4 and 2
documents).
"""

from dataclasses import dataclass


class NestingError(ValueError):
    """Two times do not nest: a device could be paused, or stop itself, in ordinary operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of one device profile, in ms.

    A session holds patient and device for `hold_margin_ms` beyond its permit, and gives both up `hold_early_ms` before
    the ledger does: a frame that was judged in time may land a dead man later, and be obeyed for another (ADR 0009).
    """

    tick_ms: int = 50
    keep_alive_ms: int
    ack_ms: int
    init_ack_ms: int = 500
    grant_ms: int
    silence_hold_ms: int = 300
    silence_pause_ms: int
    silence_stop_ms: int = 1_000
    dead_man_ms: int
    claim_ms: int = 5_000
    presence_ms: int = 300_000
    hold_margin_ms: int = 60_000
    hold_early_ms: int = 5_000

    def __post_init__(self) -> None:
        chain = ("tick_ms", "keep_alive_ms", "grant_ms", "silence_pause_ms", "dead_man_ms", "claim_ms", "presence_ms")
        for index, longer in enumerate(chain[1:]):
            shorter = chain[index]
            low, high = getattr(self, shorter), getattr(self, longer)
            if not (low < high or (low == high and longer == "dead_man_ms")):
                raise NestingError(f"{shorter} = {low} ms does not lie below {longer} = {high} ms")
        if not self.ack_ms <= self.keep_alive_ms:
            raise NestingError(f"ack_ms = {self.ack_ms} ms is longer than keep_alive_ms = {self.keep_alive_ms} ms")
        if self.hold_early_ms < 2 * self.dead_man_ms:
            raise NestingError(f"hold_early_ms = {self.hold_early_ms} ms is shorter than two dead men")
        if not self.silence_hold_ms < self.silence_pause_ms < self.silence_stop_ms:
            raise NestingError("the steps of M04 do not rise: hold < pause < stop")


NATIVE = Times(keep_alive_ms=100, ack_ms=50, grant_ms=200, silence_pause_ms=500, dead_man_ms=500)
SCIENCEMODE4 = Times(keep_alive_ms=200, ack_ms=100, grant_ms=400, silence_pause_ms=700, dead_man_ms=2_000)
SCIENCEMODE2 = Times(keep_alive_ms=200, ack_ms=100, grant_ms=400, silence_pause_ms=700, dead_man_ms=1_200)
