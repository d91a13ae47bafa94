"""Faults in force: injected by name or as a context, restored by token or at the end of the context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.devices.device import NotThisDevice
from hil.fault_table import Entry
from hil.faults import FAULTS
from hil.host import NoHost, lack
from hil.settings import BadSetting, Setting, Value, read_all

if TYPE_CHECKING:
    from hil.bench import Bench

WHEN = {
    "at_us": Setting(int, None, "when, on the boot clock; null: now", 0),
    "for_ms": Setting(int, None, "how long; null: until it is cleared", 1),
}


@dataclass(slots=True)
class Injection:
    """One fault, waiting for its time or in force."""

    token: str
    fault: str
    params: dict[str, Value]
    at_us: int
    is_active: bool = False
    undo: ExitStack = field(default_factory=ExitStack)


class Injections:
    """The faults of one bench."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._standing: dict[str, Injection] = {}
        self._count = 0

    def inject(self, fault: str, **params: object) -> str:
        """Inject a fault now, or at `at_us`; gives the token that clears it.

        Raises BadSetting, NotThisDevice and NoHost.
        """
        if fault not in FAULTS:
            raise BadSetting("fault", fault, f"one of {', '.join(FAULTS)}")
        if not FAULTS[fault].fits(self._bench.device):
            raise NotThisDevice(self._bench.device.kind, f"fault={fault!r}", [entry.id for entry in self.possible()])
        if why := self._lack(FAULTS[fault]):
            raise NoHost(f"fault={fault!r}: {why}")
        settings = FAULTS[fault].settings
        values = read_all(settings | WHEN, params)
        at_us, for_ms = values.pop("at_us"), values.pop("for_ms")
        for key in ("channel", "other"):
            self._bench.channels(channel if isinstance(channel := values.get(key), int) else None)
        now_us = self._bench.now_us
        start_us = at_us if isinstance(at_us, int) else now_us
        self._count += 1
        injection = Injection(f"f{self._count}", fault, values, max(start_us, now_us))
        self._standing[injection.token] = injection
        if isinstance(for_ms, int):
            self._bench.at(injection.at_us + for_ms * 1000, lambda: self._drop(injection.token))
        if start_us > now_us:
            self._bench.at(start_us, lambda: self._activate(injection))
        else:
            self._activate(injection)
        return injection.token

    def clear(self, token: str) -> None:
        """Restore what a fault changed, or call off one that waits; raises BadSetting for an unknown token."""
        if token not in self._standing:
            raise BadSetting("token", token, f"all or one of {', '.join(self._standing) or 'none'}")
        self._drop(token)

    def clear_all(self) -> None:
        """Restore everything, the newest fault first."""
        for token in reversed(list(self._standing)):
            self._drop(token)

    @contextmanager
    def injected(self, fault: str, **params: object) -> Iterator[str]:
        """A fault for as long as the context lasts."""
        token = self.inject(fault, **params)
        try:
            yield token
        finally:
            self._drop(token)

    def standing(self) -> list[Injection]:
        """The faults that wait or act, oldest first."""
        return list(self._standing.values())

    def possible(self) -> list[Entry]:
        """The faults that can be injected here."""
        return [entry for entry in FAULTS.values() if entry.fits(self._bench.device) and not self._lack(entry)]

    def _lack(self, entry: Entry) -> str | None:
        return lack(self._bench.host, entry.needs) if entry.layer == "host" and entry.needs else None

    def _activate(self, injection: Injection) -> None:
        if injection.token in self._standing:
            injection.undo.enter_context(FAULTS[injection.fault].act(self._bench, **injection.params))
            injection.is_active = True

    def _drop(self, token: str) -> None:
        if injection := self._standing.pop(token, None):
            injection.undo.close()
