"""safety/rules/views.py: what each kind of rule may look at, and nothing more."""

from __future__ import annotations

import pytest

from safety.rules import views

pytestmark = pytest.mark.hazard("H40")


@pytest.mark.parametrize(
    ("view", "names"),
    [
        (views.Gate, ("station", "command", "session", "now", "channel", "rise_ua")),
        (views.Lane, ("rx", "plan", "train", "limits", "caps", "wall_ms")),
        (views.Skin, ("setting", "reading", "limits", "caps", "rx", "now_ms", "contact")),
        (views.Watch, ("station", "session", "limits", "wanted", "now_ms", "wall_ms", "late_ms", "unsynced_ms")),
        (
            views.Look,
            (
                *("setting", "train", "low_ua", "sample", "before", "after", "limits", "caps", "settled"),
                *("sensation", "holds"),
            ),
        ),
        (views.Word, ("caps", "before", "after")),
        (views.Noise, ("flaw", "times", "energising")),
    ],
)
def test_a_view_shows_these_things(view: type, names: tuple[str, ...]):
    assert view._fields == names
    assert view(*range(len(names))) == tuple(range(len(names)))
    with pytest.raises(TypeError):
        view(*range(len(names) - 1))
