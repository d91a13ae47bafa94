"""Drivers, one for each kind of stimulator, by the name that the settings use."""

from collections.abc import Mapping

from .base import OpenDriver
from .native import open_native
from .sciencemode2 import open_sciencemode2
from .sciencemode4 import open_sciencemode4

DRIVERS: Mapping[str, OpenDriver] = {
    "native": open_native,
    "sciencemode4": open_sciencemode4,
    "sciencemode2": open_sciencemode2,
}
