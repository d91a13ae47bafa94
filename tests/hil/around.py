"""A controller's surroundings that only keep what they were told."""

from __future__ import annotations

from collections.abc import Mapping

from hil.host import Disk, Host


class NotedHost:
    """Keeps each call, in order."""

    def __init__(self, **lacks: str) -> None:
        self.lacks: Mapping[str, str] = lacks
        self.told: list[tuple[str, object]] = []

    def stall(self, ms: int) -> None:
        self.told.append(("stall", ms))

    def jump(self, ms: int) -> None:
        self.told.append(("jump", ms))

    def disk(self, state: Disk) -> None:
        self.told.append(("disk", state))

    def press(self, left: int | None) -> None:
        self.told.append(("press", left))

    def broker(self, away: bool) -> None:
        self.told.append(("broker", away))

    def flood(self, rate: int) -> None:
        self.told.append(("flood", rate))


def noted(**lacks: str) -> tuple[NotedHost, Host]:
    """The same host twice: as this file knows it, and as the bench does."""
    host = NotedHost(**lacks)
    return host, host
