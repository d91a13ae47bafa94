"""Nonces for clients without a clock: each is the newest word that one principal was given for one state of a device.

It stands for `expect` and for the times of a command: whoever can name it has seen that state a moment ago. It is kept
retained, changes whenever the state does, once it was used, and after 30 s; the one before is then worth nothing.
"""

from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import NamedTuple

from safety.messages import Expect, Now
from safety.state import Station

from .principals import Principal
from .roles import Role

LASTS_MS = 30_000
"""How long a nonce may be used (MQTT API, section 3)."""


class Challenge(NamedTuple):
    """A nonce, since when it holds, and what its reader has seen."""

    nonce: str
    since_ms: int
    seen: Expect


class Challenges:
    """The nonces in force; `draw` gives eight characters that nobody can guess."""

    def __init__(self, principals: Mapping[str, Principal], draw: Callable[[], str]) -> None:
        self._principals = principals
        self._draw = draw
        self._given: dict[tuple[str, str], Challenge] = {}

    def seen_by(self, device: str, principal: str, nonce: str, now: Now) -> Expect | None:
        """Tell what a principal that can name this nonce has seen; None where it is not the one in force."""
        given = self._given.get((device, principal))
        if given is None or not compare_digest(given.nonce.encode(), nonce.encode()):
            return None
        return given.seen if now.mono_ms - given.since_ms < LASTS_MS else None

    def spend(self, device: str, principal: str) -> None:
        """Let a nonce hold no longer."""
        self._given.pop((device, principal), None)

    def renewed(self, station: Station, now: Now) -> list[tuple[str, str, Challenge]]:
        """Give a new nonce to everybody whose last one is not of the present state, was used, or ran out.

        Gives device, principal and challenge.
        """
        device, session, new = station.config.device, station.session, []
        seen = Expect(
            boot_id=station.boot_id, session_id=session.id if session else "", state_version=station.tally.version
        )
        for name, principal in self._principals.items():
            if principal.role is not Role.AUTOMATION or not principal.may_use(device):
                continue
            given = self._given.get((device, name))
            if given is None or given.seen != seen or now.mono_ms - given.since_ms >= LASTS_MS:
                self._given[device, name] = challenge = Challenge(written(self._draw()), now.mono_ms, seen)
                new.append((device, name, challenge))
        return new


def written(word: str) -> str:
    """Write a nonce so that it can be copied by hand: `7F3C-91D0`."""
    return f"{word[:4]}-{word[4:]}".upper()
