"""M rules: while a session is on. Which of them are asked at which event, in this order.

Each says at most one reason, the worst it sees; a quiet rule returns None. They stand in tick.py and people.py (every
tick), heard.py (every channel of every word of the device) and line.py (the word as a whole).
"""

from safety.rules.heard import m01, m07, m08, m09, m10, m11, m12, m13, m14, m16, m17, m22, m27
from safety.rules.line import m04_stopped, m23_button, m27_still, m28, m30
from safety.rules.people import m05, m06, m36, m37
from safety.rules.skin import g29_overdue
from safety.rules.tick import m02, m03, m04, m15, m18, m19, m20, m21, m25, m31, m32, m34, m35

TICK = (m25, m04, m03, m02, m34, m32, m18, m20, m35, m21, m19, m15, m31, g29_overdue, m05, m06, m37, m36)
TICK_CALIBRATING = tuple(judge for judge in TICK if judge not in {m20, m35, m36})
"""A calibration has no rhythm of its own: its bursts are bounded by the button (rules/trial.py)."""
TICK_ARMED = (m25, m04, m34, m32, m21, m05)
TICK_PAUSED = (m04, m34, m21)
TICK_PREPARED = (m04,)
HEARD = (m01, m16, m08, m27, m07, m11, m17, m09, m10, m13, m14, m22, m12)
WORD = (m30, m23_button, m04_stopped, m28)
WORD_STILL = (m30, m28)
WORD_UNGRANTED = (m27_still,)
