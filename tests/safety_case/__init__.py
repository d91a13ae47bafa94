"""The safety case, made from the code's own register, the markers of the tests and examples that are run.

`python -m tests.safety_case` writes docs/safety-case/. Nothing there is written by hand: prose lies in `prose/`, every
figure comes from the shipped code.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "safety"))  # the examples run on the rig of the safety tests
