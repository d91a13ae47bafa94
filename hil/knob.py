"""A value that faults cover and uncover again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Knob(Generic[T]):
    """A value with layers: the newest counts; lifting any of them, in any order, restores what stands beneath."""

    __slots__ = ("_layers", "value")

    def __init__(self, value: T) -> None:
        self.value = value
        self._layers = [[value]]

    @contextmanager
    def covered(self, value: T) -> Iterator[None]:
        """Cover the value while the context lasts."""
        # A list of one: two layers of equal value stay two layers.
        layer = [value]
        self._layers.append(layer)
        self.value = value
        try:
            yield
        finally:
            self._layers = [other for other in self._layers if other is not layer]
            self.value = self._layers[-1][0]
