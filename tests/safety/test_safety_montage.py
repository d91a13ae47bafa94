"""safety/montage.py: where a pair of pads may sit: every pair there is, against a second list made by hand."""

from __future__ import annotations

from itertools import product

import pytest

from safety.montage import ARM, FOOT, LEG, Montage, Region, Side, crosses, is_denied, is_listed

pytestmark = [pytest.mark.rule("G06"), pytest.mark.hazard("H01"), pytest.mark.hazard("H03")]

LIMBS = (
    {"shoulder", "upper-arm", "forearm", "hand"},
    {"buttock", "thigh", "knee", "lower-leg", "foot", "foot-sole"},
)
SPACING_MM = 40
PLACES = tuple(product(Region, Side))
PAIRS = tuple(Montage(*a, *b, SPACING_MM) for a, b in product(PLACES, PLACES))


def pads(a: str, b: str, spacing_mm: int = SPACING_MM) -> Montage:
    """Make a montage of two words, such as `left thigh`."""
    sides, regions = zip(*(place.split() for place in (a, b)), strict=True)
    return Montage(Region(regions[0]), Side(sides[0]), Region(regions[1]), Side(sides[1]), spacing_mm)


def mirrored(pair: Montage) -> Montage:
    """The same two pads, the plugs changed over."""
    return Montage(pair.region_b, pair.side_b, pair.region_a, pair.side_a, pair.spacing_mm)


def ordinary(pair: Montage) -> bool:
    """Tell by the words of the safety reference whether a pair is listed: one limb of one side, or the low back."""
    regions = {pair.region_a.value, pair.region_b.value}
    if regions == {"lower-back"}:
        return True
    one_side = pair.side_a == pair.side_b and pair.side_a != "middle"
    return one_side and any(regions <= limb for limb in LIMBS)


def test_the_words_for_regions_and_sides_are_these() -> None:
    regions = (
        "head eye mouth neck chest upper-back abdomen lower-back genital shoulder upper-arm forearm hand buttock thigh "
        "knee lower-leg foot foot-sole"
    )
    assert {each.name: each.value for each in Region} == {
        word.upper().replace("-", "_"): word for word in regions.split()
    }
    assert {each.name: each.value for each in Side} == {"LEFT": "left", "RIGHT": "right", "MIDDLE": "middle"}


def test_exactly_the_pairs_of_one_limb_or_the_small_of_the_back_are_listed() -> None:
    assert len(PAIRS) == 57 * 57
    assert [pair for pair in PAIRS if is_listed(pair)] == [pair for pair in PAIRS if ordinary(pair)]
    assert sum(map(is_listed, PAIRS)) == 9 + 2 * (16 + 36)


def test_the_limbs_share_no_region() -> None:
    assert ({region.value for region in ARM}, {region.value for region in LEG}) == LIMBS
    assert {region.value for region in FOOT} == {"foot", "foot-sole"}


@pytest.mark.parametrize("region", ["head", "eye", "mouth", "neck", "genital", "chest", "upper-back"])
def test_no_pair_with_a_pad_at_a_forbidden_place_gets_past_the_deny_rules(region: str) -> None:
    here = [pair for pair in PAIRS if region in pair.regions]
    assert len(here) == 57 * 57 - 54 * 54
    assert all(is_denied(pair) for pair in here)


def test_no_pair_from_one_side_to_the_other_gets_past_the_deny_rules() -> None:
    across = [pair for pair in PAIRS if {pair.side_a, pair.side_b} == {Side.LEFT, Side.RIGHT}]
    assert len(across) == 2 * 19 * 19
    assert all(is_denied(pair) for pair in across)


def test_no_pair_from_an_arm_to_anything_else_gets_past_the_deny_rules() -> None:
    mixed = [pair for pair in PAIRS if (pair.region_a in ARM) != (pair.region_b in ARM)]
    assert len(mixed) == 2 * 12 * 45
    assert all(is_denied(pair) for pair in mixed)


def test_the_deny_rules_leave_the_list_whole_but_for_the_two_sides_of_the_back() -> None:
    both = [pair for pair in PAIRS if is_listed(pair) and is_denied(pair)]
    assert both == [pads("left lower-back", "right lower-back"), pads("right lower-back", "left lower-back")]


def test_the_order_of_the_pads_says_nothing() -> None:
    for pair in PAIRS:
        assert (is_denied(mirrored(pair)), is_listed(mirrored(pair))) == (is_denied(pair), is_listed(pair))


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (pads("left thigh", "left thigh"), (False, True)),
        (pads("left thigh", "left knee"), (False, True)),
        (pads("left thigh", "right thigh"), (True, False)),
        (pads("right lower-leg", "right foot-sole"), (False, True)),
        (pads("left foot-sole", "right foot-sole"), (True, False)),
        (pads("left forearm", "right forearm"), (True, False)),
        (pads("left forearm", "left thigh"), (True, False)),
        (pads("left shoulder", "left hand"), (False, True)),
        (pads("left chest", "left upper-back"), (True, False)),
        (pads("left neck", "right neck"), (True, False)),
        (pads("middle thigh", "middle thigh"), (False, False)),
        (pads("left abdomen", "left abdomen"), (False, False)),
        (pads("middle lower-back", "middle lower-back"), (False, True)),
        (pads("left lower-back", "left buttock"), (False, False)),
    ],
)
def test_pairs_that_a_clinic_might_ask_for(pair: Montage, expected: tuple[bool, bool]) -> None:
    assert (is_denied(pair), is_listed(pair)) == expected


@pytest.mark.rule("G22")
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("left forearm", "right forearm", True),
        ("left shoulder", "right hand", True),
        ("left forearm", "left forearm", False),
        ("left forearm", "left hand", False),
        ("left forearm", "left thigh", True),
        ("right hand", "middle lower-back", True),
        ("left lower-leg", "right lower-leg", False),
        ("left thigh", "left lower-leg", False),
        ("left thigh", "middle lower-back", False),
    ],
)
def test_two_pairs_cross_where_an_arm_goes_with_anything_but_itself(one: str, other: str, expected: bool) -> None:
    pair, second = pads(one, one), pads(other, other)
    assert crosses(pair, second) is expected
    assert crosses(second, pair) is expected
