"""Who watches over the service from outside: its manager (systemd), and whoever asks it over HTTP."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import structlog

from . import clock
from .http import HttpThread, Probe
from .notify import FEEDS, Watchdog, manager, watchdog_ms
from .settings import HttpTable
from .station import Actor

log = structlog.get_logger()

STALLED_MS = 2_000
"""A station whose last whole tick is older stands still, eighty ticks late (engineering default)."""
ROUND_MS = 250
"""How often the rounds of ticks are looked at where the manager has no watchdog (engineering default)."""


@contextmanager
def overseen(
    http: HttpTable | None, actors: Mapping[str, Actor], is_broker_up: Callable[[], bool]
) -> Iterator[Callable[[], None]]:
    """Let others see how the service is while it runs; gives what to call when it begins to end.

    The manager hears that the service is ready once every station has ticked. A port that cannot be had is logged and
    keeps no service from running: nothing of the treatment hangs on it.
    """
    with ExitStack() as stack:
        systemd, limit_ms = manager(), watchdog_ms()
        words = ["READY=1"]
        if systemd is not None:
            stack.callback(systemd.close)

        def feed() -> None:
            if systemd is not None:
                systemd.say("\n".join([*words, *(["WATCHDOG=1"] if limit_ms else [])]))
                words.clear()

        def ending() -> None:
            if systemd is not None:
                systemd.say("STOPPING=1")

        watchdog = Watchdog(actors, feed, limit_ms // FEEDS or ROUND_MS)
        for actor in actors.values():
            actor.on_tick = watchdog.ticked
        if http is not None:
            probe = Probe(lambda: stalled(watchdog), lambda: ready(actors, watchdog, is_up=is_broker_up()))
            try:
                server = HttpThread(http.host, http.port, probe)
            except OSError as error:
                log.error("http.unavailable", port=http.port, error=str(error))
            else:
                stack.callback(server.close)
                log.info("http.ready", port=server.port)
        yield ending


def stalled(watchdog: Watchdog) -> list[str]:
    """Name the stations that tick no more."""
    now_ms = clock.now().mono_ms
    return [device for device, at_ms in list(watchdog.ticked_ms.items()) if now_ms - at_ms > STALLED_MS]


def ready(actors: Mapping[str, Actor], watchdog: Watchdog, *, is_up: bool) -> dict[str, object]:
    """Say how everything is that a session needs; under `ready`, whether all of it is well."""
    still = stalled(watchdog)
    devices = {name: "stalled" if name in still else actor.station.phase.value for name, actor in actors.items()}
    health = [actor.health for actor in actors.values()]
    found = {
        "broker": is_up,
        "clock": all(each.clock_synced for each in health),
        "ledger": all(each.ledger for each in health),
        "journal": all(each.audit for each in health),
    }
    are_here = not {"stalled", "offline"} & set(devices.values())
    return {"ready": are_here and all(found.values()), **found, "devices": devices}
