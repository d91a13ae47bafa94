"""Puts this directory on the import path, so that the tests beside it can say `from rig import Rig`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
