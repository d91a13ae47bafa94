"""The quotients that the walk takes, each stated in prose beside what it is made of."""

from __future__ import annotations

from typing import Final

from tests.proof.slices import blind, device, dose, gate, papers, skin, times, trial, wishes
from tests.proof.walk import Slice

SLICES: Final[tuple[Slice, ...]] = (
    *wishes.SLICES, *gate.SLICES, *papers.SLICES, *device.SLICES, *dose.SLICES, *times.SLICES, *trial.SLICES,
    *skin.SLICES, *blind.SLICES,
)  # fmt: skip
