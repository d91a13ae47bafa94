"""Fuzz one target, guided by coverage of `hil/`, until something is found or the time is up.

    python -m tests.fuzz.run sciencemode4-receiver [-max_total_time=SECONDS ...] [CORPUS]

needs `atheris`, which installs on Linux only and is no dependency of anything here.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hil"]):
    from tests.fuzz.sciencemode4 import TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
