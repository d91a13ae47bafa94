"""The JSON form of words: exact both ways, and nothing but what was written is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest

from controller.words import WordError, dumps, form, loads


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Rank(IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str
    on: bool
    colour: Colour
    rank: Rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    at: Point
    leaves: tuple[Leaf, ...]
    maybe: Leaf | None
    one_of: Leaf | Point | Empty | None
    pairs: tuple[tuple[str, int | str], ...]


@dataclass(frozen=True, slots=True)
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


LEAF = Leaf(name="a", on=True, colour=Colour.RED, rank=Rank.HIGH)
TREE = Tree(at=Point(1, -2), leaves=(LEAF,), maybe=None, one_of=Point(3, 4), pairs=(("n", 1), ("s", "t")))
COMPACT = '[[1,-2],[["a",true,"red",2]],null,["Point",[3,4]],[["n",1],["s","t"]]]'
NAMED = (
    '{"at":{"x":1,"y":-2},"leaves":[{"colour":"red","name":"a","on":true,"rank":2}],"maybe":null,'
    '"one_of":["Point",{"x":3,"y":4}],"pairs":[["n",1],["s","t"]]}'
)


@pytest.mark.parametrize(("named", "text"), [(False, COMPACT), (True, NAMED)])
def test_a_record_has_one_text(named: bool, text: str) -> None:
    tree = form(Tree, named=named)
    assert dumps(tree.write(TREE)) == text
    assert tree.read(loads(text)) == TREE


ROUND: list[tuple[object, object, str]] = [
    (int, 0, "0"),
    (int, -(10**18), "-1000000000000000000"),
    (int, 2**200, str(2**200)),
    (bool, False, "false"),
    (str, "", '""'),
    (str, "µA \ud800 \n", '"\\u00b5A \\ud800 \\n"'),
    (Colour, Colour.BLUE, '"blue"'),
    (Rank, Rank.LOW, "1"),
    (tuple[int, ...], (), "[]"),
    (tuple[int, ...], (1, 2, 3), "[1,2,3]"),
    (tuple[str, bool], ("a", True), '["a",true]'),
    (int | str, 1, "1"),
    (int | str, "1", '"1"'),
    (int | None, None, "null"),
    (Point | None, None, "null"),
    (Point | None, Point(1, 2), "[1,2]"),
    (Leaf | Empty, Empty(), '["Empty",[]]'),
    (Leaf | Empty, LEAF, '["Leaf",["a",true,"red",2]]'),
    (Mapping[Colour, int], {}, "[]"),
    (Mapping[Colour, int], {Colour.RED: 1, Colour.BLUE: 2}, '[["red",1],["blue",2]]'),
    (Mapping[str, Point], {"a": Point(1, 2)}, '[["a",[1,2]]]'),
    (tuple[Point | Leaf, ...], (Point(1, 2), LEAF), '[["Point",[1,2]],["Leaf",["a",true,"red",2]]]'),
]


@pytest.mark.parametrize(("kind", "value", "text"), ROUND)
def test_every_kind_of_value_goes_there_and_back(kind: object, value: object, text: str) -> None:
    made = form(kind, named=False)
    assert dumps(made.write(value)) == text
    back = made.read(loads(text))
    assert (back, type(back)) == (value, type(value))


UNWRITABLE: list[tuple[object, object]] = [
    (int, True),
    (int, 1.0),
    (int, "1"),
    (int, None),
    (int, Rank.LOW),
    (bool, 1),
    (str, b"a"),
    (str, Colour.RED),
    (Colour, "red"),
    (Rank, 1),
    (tuple[int, ...], [1]),
    (tuple[int, ...], (1, True)),
    (tuple[int, int], (1,)),
    (tuple[int, int], (1, 2, 3)),
    (Mapping[str, int], (("a", 1),)),
    (Mapping[str, int], {"a": "1"}),
    (Mapping[str, int], {1: 1}),
    (int | str, None),
    (int | str, False),
    (Point | None, (1, 2)),
    (Point | Leaf, Empty()),
    (Point, (1, 2)),
    (Point, Point(1, 2.5)),  # type: ignore[arg-type]
    (Point, Point(1, True)),
    (Leaf, Leaf(name="a", on=1, colour=Colour.RED, rank=Rank.LOW)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("kind", "value"), UNWRITABLE)
def test_a_value_of_another_type_is_not_written(kind: object, value: object, named: bool) -> None:
    with pytest.raises(WordError):
        form(kind, named=named).write(value)


UNREADABLE: list[tuple[object, str]] = [
    (int, "true"),
    (int, '"1"'),
    (int, "null"),
    (int, "[1]"),
    (bool, "1"),
    (str, "1"),
    (Colour, '"green"'),
    (Colour, "1"),
    (Rank, "3"),
    (Rank, "true"),
    (tuple[int, ...], '{"0":1}'),
    (tuple[int, ...], '["1"]'),
    (tuple[int, int], "[1]"),
    (tuple[int, int], "[1,2,3]"),
    (Mapping[Colour, int], '{"red":1}'),
    (Mapping[Colour, int], '[["red"]]'),
    (Mapping[Colour, int], '[["red",1],["red",2]]'),
    (int | str, "null"),
    (int | str, "true"),
    (int | None, '"1"'),
    (Point, "[1]"),
    (Point, "[1,2,3]"),
    (Point, "[1,true]"),
    (Point, '{"x":1,"y":2}'),
    (Point | None, "false"),
    (Point | Leaf, "[1,2]"),
    (Point | Leaf, '["Tree",[1,2]]'),
    (Point | Leaf, '["Point",[1,2],3]'),
    (Point | Leaf, '["Point"]'),
    (Even, "[3]"),
]


@pytest.mark.parametrize(("kind", "text"), UNREADABLE)
def test_a_text_of_another_form_is_not_read(kind: object, text: str) -> None:
    with pytest.raises(WordError):
        form(kind, named=False).read(loads(text))


@pytest.mark.parametrize("text", ['{"x":1}', '{"x":1,"y":2,"z":3}', '{"x":1,"Y":2}', "[1,2]", '{"x":1,"y":2.0}', "{}"])
def test_a_named_record_has_all_its_fields_and_no_other(text: str) -> None:
    with pytest.raises(WordError):
        form(Point, named=True).read(loads(text))


def test_reading_keeps_the_rules_of_the_constructor() -> None:
    assert form(Even, named=True).read(loads('{"number":4}')) == Even(4)
    with pytest.raises(WordError, match="Even: 3 is odd"):
        form(Even, named=True).read(loads('{"number":3}'))


@pytest.mark.parametrize(
    "text",
    ["1.0", "1e3", "NaN", "Infinity", "-Infinity", "1e999", '{"a":1,"a":1}', "", "[1", "1 2", "'a'", "[" * 100_000],
)
def test_json_that_could_be_read_in_two_ways_or_none_is_refused(text: str) -> None:
    with pytest.raises(WordError):
        loads(text)


@pytest.mark.parametrize("kind", [float, dict, Any, object, bytes, list[int], int | float, tuple[float, ...]])
def test_a_type_without_a_form_is_refused_when_the_program_starts(kind: object) -> None:
    with pytest.raises(TypeError):
        form(kind, named=False)
