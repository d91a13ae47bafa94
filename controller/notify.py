"""What systemd hears of the service: that it is ready, that it ends, and that the safety loop still goes round.

The watchdog is fed by the ticks of the safety loop and by nothing else: where a station ticks no more, or its ticks
fail, systemd ends the service after WatchdogSec; the devices' dead men end the output long before.
"""

import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress

from . import clock

FEEDS = 4
"""How often the watchdog is fed within its time: one word may be lost (sd_watchdog_enabled(3) asks for two)."""


class Notifier:
    """Speaks to the service manager that started us, if one did; never waits and never raises."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def say(self, text: str) -> None:
        """Send a word, such as READY=1; what the manager cannot take now is lost."""
        with suppress(OSError):
            self._socket.sendto(text.encode(), self._address)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


def manager() -> Notifier | None:
    """Find the service manager, by the variable that it sets (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    return Notifier(address) if address.startswith(("/", "@")) else None


def watchdog_ms() -> int:
    """Tell after how long without a word the manager ends us; 0: it does not (sd_watchdog_enabled(3))."""
    time_us, for_pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not time_us.isdecimal() or (for_pid and for_pid != str(os.getpid())):
        return 0
    return int(time_us) // 1000


class Watchdog:
    """Feeds the manager's watchdog once every station has ticked since it was last fed, and not too often."""

    def __init__(self, stations: Collection[str], feed: Callable[[], None], every_ms: int) -> None:
        self._stations = frozenset(stations)
        self._feed = feed
        self._every_ms = every_ms
        self._ticked: set[str] = set()
        self._fed_ms = -every_ms
        self.ticked_ms = dict.fromkeys(stations, clock.now().mono_ms)
        """When each station last ticked, on the boot clock."""

    def ticked(self, station: str) -> None:
        """Hear that a station has ticked, and that its step was whole."""
        now_ms = clock.now().mono_ms
        self.ticked_ms[station] = now_ms
        self._ticked.add(station)
        if self._ticked == self._stations and now_ms - self._fed_ms >= self._every_ms:
            self._ticked.clear()
            self._fed_ms = now_ms
            self._feed()
