"""The topic tree of the wire contract, built and read in one place.

```
{prefix}/v1/{site}/{device}/cmd/{principal}/{verb}       wishes
{prefix}/v1/{site}/{device}/ack/{principal}/{command_id} answers
{prefix}/v1/{site}/{device}/state|tele|event/...         what is said of a device
{prefix}/v1/{site}/_service/{instance}/state             what is said of a service
{prefix}/v1/{site}/_all/cmd/{principal}/stop             everybody's stop
```
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

ID = r"[a-z0-9-]{1,32}"
"""What names a site, a device, a principal or an instance. The broker stamps the publisher's user name into a topic
level, so a name must hold neither a separator nor a wildcard."""

ALL = "_all"
"""The device level that means every device of the site; only a stop may say it."""

STOPS = frozenset({"session.stop", "stop"})
"""The verbs that nothing may delay or refuse."""

NO_ID = "unknown"
"""The last level of an answer to a command whose id could not be read."""

_ID = re.compile(ID)
_REPLY = re.compile(r"[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){0,3}")


def is_id(word: str) -> bool:
    """Tell whether `word` may name a site, a device, a principal or an instance."""
    return _ID.fullmatch(word) is not None


class CommandTopic(NamedTuple):
    """Where a command was sent. The levels are as they came: only their number and places are certain."""

    device: str
    principal: str
    verb: str


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one site. Raises ValueError where `site` or `prefix` is not an id."""

    site: str
    prefix: str = "stim"

    def __post_init__(self) -> None:
        for name, word in (("site", self.site), ("prefix", self.prefix)):
            if not is_id(word):
                raise ValueError(f"{name} = {word!r}: expected 1 to 32 of a-z, 0-9 and -")

    def _under(self, *levels: str) -> str:
        return "/".join((self.prefix, "v1", self.site, *levels))

    def command(self, device: str, principal: str, verb: str) -> str:
        """Give the topic on which `principal` asks `device` for `verb`."""
        return self._under(device, "cmd", principal, verb)

    def ack(self, device: str, principal: str, command_id: str) -> str:
        """Give the topic of the answer to a command; an empty id stands for one that could not be read."""
        return self._under(device, "ack", principal, command_id or NO_ID)

    def ack_text(self, device: str, principal: str) -> str:
        """Give the topic of the answers to commands in plain text."""
        return self._under(device, "ack", principal, "text")

    def summary(self, device: str) -> str:
        """Give the retained topic that says how a device is."""
        return self._under(device, "state", "summary")

    def capabilities(self, device: str) -> str:
        """Give the retained topic that says what a device can do."""
        return self._under(device, "state", "capabilities")

    def challenge(self, device: str, principal: str) -> str:
        """Give the retained topic of the nonce that a principal may use on a device."""
        return self._under(device, "state", "challenge", principal)

    def challenge_text(self, device: str, principal: str) -> str:
        """Give the same for a reader of no JSON: the nonce and nothing else."""
        return self._under(device, "state", "challenge", principal, "text")

    def telemetry(self, device: str, channel: int) -> str:
        """Give the topic of what a channel delivers."""
        return self._under(device, "tele", str(channel))

    def event(self, device: str, kind: str) -> str:
        """Give the topic of an event of this kind."""
        return self._under(device, "event", kind)

    def service(self, instance: str) -> str:
        """Give the retained topic, also that of the last will, that says whether a service is there."""
        return self._under("_service", instance, "state")

    def command_filters(self, devices: Iterable[str]) -> tuple[str, ...]:
        """Give the filters for everything asked of these devices, stops among it."""
        return tuple(self._under(device, "cmd", "#") for device in (*devices, ALL))

    def stop_filters(self, devices: Iterable[str]) -> tuple[str, ...]:
        """Give the filters for the stops of these devices and of the site, and for nothing else."""
        return tuple(self.command(device, "+", verb) for device in (*devices, ALL) for verb in sorted(STOPS))

    def all_of(self, branch: str) -> str:
        """Give the filter for one branch (`state`, `tele`, `event`, `ack/{principal}`) of every device."""
        return self._under("+", branch, "#")

    def levels(self, topic: str) -> tuple[str, ...]:
        """Give the levels below the site; none where the topic is not of this site."""
        site = self._under("")
        return tuple(topic.removeprefix(site).split("/")) if topic.startswith(site) else ()

    def read_command(self, topic: str) -> CommandTopic | None:
        """Take a command's topic apart; None where it is none of this site."""
        match self.levels(topic):
            case (device, "cmd", principal, verb):
                return CommandTopic(device, principal, verb)
        return None

    def may_reply(self, topic: str, device: str, principal: str) -> bool:
        """Tell whether a response topic lies where only its asker reads; elsewhere, anyone could make us publish."""
        own = self._under(device, "ack", principal, "")
        return topic.startswith(own) and _REPLY.fullmatch(topic.removeprefix(own)) is not None


def is_stop(topic: str) -> bool:
    """Tell by its last level whether a topic asks for a stop."""
    return topic.rpartition("/")[2] in STOPS
