"""Every kind of device that the bench can play."""

from __future__ import annotations

from hil.devices.device import Kind
from hil.devices.native import NATIVE
from hil.devices.sciencemode2 import SCIENCEMODE2
from hil.devices.sciencemode4 import SCIENCEMODE4

KINDS: dict[str, Kind] = {kind.name: kind for kind in (NATIVE, SCIENCEMODE4, SCIENCEMODE2)}
