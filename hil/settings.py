"""Settings by name from outside: one description and one error for the command line and the control socket."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = int | float | bool | str | None

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class BadSetting(ValueError):  # noqa: N818 - the name a user reads in a message needs no suffix
    """A setting that cannot be used: which one, what it was, and what was expected."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        super().__init__(f"{key}={value!r}: expected {expected}")
        self.key = key
        self.value = value
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Setting:
    """What one setting may be; null is allowed where the default is null."""

    kind: type[int | float | bool | str]
    default: Value
    text: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The allowed values in words."""
        words = f"one of {', '.join(self.choices)}" if self.choices else _KINDS[self.kind]
        if math.isfinite(self.low) and math.isfinite(self.high):
            words += f" from {self.low:g} to {self.high:g}"
        elif math.isfinite(self.low):
            words += f" of at least {self.low:g}"
        return words + (" or null" if self.default is None else "")

    def read(self, key: str, value: object) -> Value:
        """The value in its own type; raises BadSetting."""
        if value is None and self.default is None:
            return None
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not (type(value) is self.kind or (is_whole and self.kind is float)):
            raise BadSetting(key, value, self.expected)
        if isinstance(value, str):
            if self.choices and value not in self.choices:
                raise BadSetting(key, value, self.expected)
            return value
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise BadSetting(key, value, self.expected)
        return self.kind(value)

    def row(self) -> dict[str, Value]:
        """The setting in words that JSON has."""
        return {"default": self.default, "expected": self.expected, "text": self.text}


CHANNEL = Setting(int, None, "channel, null for all of them", 1, 8)


def read(settings: Mapping[str, Setting], given: Mapping[str, object]) -> dict[str, Value]:
    """The settings that were given, checked; raises BadSetting."""
    for key in given:
        if key not in settings:
            raise BadSetting(key, given[key], f"a key out of {', '.join(settings) or 'none'}")
    return {key: settings[key].read(key, value) for key, value in given.items()}


def read_all(settings: Mapping[str, Setting], given: Mapping[str, object]) -> dict[str, Value]:
    """The settings that were given, checked, and the defaults of the others; raises BadSetting."""
    return {key: setting.default for key, setting in settings.items()} | read(settings, given)
