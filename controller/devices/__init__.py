"""Drivers, one for each kind of stimulator, by the name that the settings use."""

from collections.abc import Mapping

from .base import OpenDriver
from .native import open_native

DRIVERS: Mapping[str, OpenDriver] = {"native": open_native}
