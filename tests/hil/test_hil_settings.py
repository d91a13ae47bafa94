"""Settings from outside, and the layers that faults put over values."""

from __future__ import annotations

import math
from contextlib import ExitStack
from itertools import permutations

import pytest

from hil.body import SETTINGS, Skin
from hil.knob import Knob
from hil.settings import CHANNEL, BadSetting, Setting, Value, read, read_all

pytestmark = pytest.mark.hazard("H35")

SHARE = Setting(float, 0.5, "a share", 0.0, 1.0)
COUNT = Setting(int, 3, "a count", 1)
SWITCH = Setting(bool, False, "a switch")
WORD = Setting(str, "a", "a word", choices=("a", "b"))
MAYBE = Setting(float, None, "perhaps", 0.1, 10.0)


@pytest.mark.parametrize(
    ("setting", "given", "value"),
    [
        (SHARE, 0.0, 0.0),
        (SHARE, 1, 1.0),
        (COUNT, 1, 1),
        (COUNT, 10**30, 10**30),
        (SWITCH, True, True),
        (WORD, "b", "b"),
        (MAYBE, None, None),
        (MAYBE, 10, 10.0),
        (CHANNEL, None, None),
        (CHANNEL, 8, 8),
    ],
)
def test_good_values(setting: Setting, given: object, value: Value):
    found = setting.read("key", given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "given", "expected"),
    [
        (SHARE, -0.001, "a number from 0 to 1"),
        (SHARE, 1.001, "a number from 0 to 1"),
        (SHARE, math.nan, "a number from 0 to 1"),
        (SHARE, math.inf, "a number from 0 to 1"),
        (SHARE, 10**400, "a number from 0 to 1"),
        (SHARE, "0.5", "a number from 0 to 1"),
        (SHARE, True, "a number from 0 to 1"),
        (SHARE, None, "a number from 0 to 1"),
        (SHARE, [], "a number from 0 to 1"),
        (COUNT, 0, "a whole number of at least 1"),
        (COUNT, 2.0, "a whole number of at least 1"),
        (COUNT, True, "a whole number of at least 1"),
        (SWITCH, 1, "true or false"),
        (WORD, "c", "one of a, b"),
        (WORD, 1, "one of a, b"),
        (MAYBE, 0.0, "a number from 0.1 to 10 or null"),
        (CHANNEL, 9, "a whole number from 1 to 8 or null"),
    ],
)
def test_bad_values_say_which_what_and_what_was_expected(setting: Setting, given: object, expected: str):
    with pytest.raises(BadSetting) as caught:
        setting.read("key", given)
    assert (caught.value.key, caught.value.value, caught.value.expected) == ("key", given, expected)
    assert str(caught.value) == f"key={given!r}: expected {expected}"


def test_reading_many():
    settings = {"share": SHARE, "count": COUNT}
    assert read(settings, {"count": 7}) == {"count": 7}
    assert read_all(settings, {"count": 7}) == {"share": 0.5, "count": 7}
    with pytest.raises(BadSetting, match="shared=1: expected a key out of share, count"):
        read(settings, {"shared": 1})
    with pytest.raises(BadSetting, match="expected a key out of none"):
        read({}, {"shared": 1})


def test_a_body_has_a_setting_for_each_of_its_quantities_with_the_same_default():
    assert {key: setting.default for key, setting in SETTINGS.items()} == {
        key: getattr(Skin(), key) for key in Skin.__dataclass_fields__
    }
    for key, setting in SETTINGS.items():
        assert setting.read(key, setting.default) == setting.default
        assert setting.text


def test_a_knob_is_covered_while_the_context_lasts():
    knob = Knob(1)
    with knob.covered(2):
        assert knob.value == 2
        with knob.covered(3):
            assert knob.value == 3
        assert knob.value == 2
    assert knob.value == 1


def test_a_knob_is_restored_when_the_context_breaks():
    knob = Knob(1)
    with pytest.raises(ZeroDivisionError), knob.covered(2):
        raise ZeroDivisionError
    assert knob.value == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_layers_are_lifted_in_any_order(order: tuple[int, ...]):
    knob = Knob("base")
    layers = {0: "low", 1: "high", 2: "high"}
    stacks = [ExitStack() for _ in layers]
    for index, value in layers.items():
        stacks[index].enter_context(knob.covered(value))
    for index in order:
        stacks[index].close()
        del layers[index]
        assert knob.value == (layers[max(layers)] if layers else "base")
