"""The JSON form of the heart's words, both ways, made from their types: nothing is guessed, nothing is converted.

A record (dataclass or NamedTuple) is an object of its fields (`named`, for people) or an array of them (compact, for
programs). Where a type is one of several records, the value is a pair: the record's name and the record. A tuple is an
array, a mapping an array of pairs, an enum its value. Numbers are integers: a float has no form.
"""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import NoReturn, Protocol, Union, cast, get_args, get_origin, get_type_hints


class WordError(ValueError):
    """A value or a text is not the word that it should be."""


class Form(Protocol):
    """How values of one type are written as, and read from, what json knows; both raise WordError."""

    @property
    def exact(self) -> type | None:
        """The one type that json writes as it is: a record of such values is checked by a single comparison."""

    def write(self, value: object) -> object:
        """Give the value as json knows it."""

    def read(self, data: object) -> object:
        """Give the value back."""


def form(kind: object, *, named: bool) -> Form:
    """Give the form of a type. Raises TypeError for a type that has none: float, Any."""
    if isinstance(kind, type) and (kind in (int, str, bool) or issubclass(kind, Enum)):
        return Scalar(kind)
    if isinstance(kind, type) and is_record(kind):
        return Record(kind, named=named)
    if get_origin(kind) is tuple:
        return Sequence(get_args(kind), named=named)
    if get_origin(kind) is Mapping:
        return Table(*get_args(kind), named=named)
    if get_origin(kind) in (Union, UnionType):
        return Choice(get_args(kind), named=named)
    raise TypeError(f"{kind!r} has no JSON form")


def is_record(kind: type) -> bool:
    """Tell a dataclass or a NamedTuple from other types."""
    return is_dataclass(kind) or hasattr(kind, "_fields")


def wrong(value: object, expected: str) -> NoReturn:
    """Raise WordError."""
    raise WordError(f"{reprlib.repr(value)} is not {expected}")


class Scalar:
    """Form of int, str, bool or an enum; bool is no int here, in neither direction."""

    def __init__(self, kind: type) -> None:
        self.exact = kind
        self._kind = kind
        self._plain = next(base for base in (bool, int, str) if issubclass(kind, base))

    def write(self, value: object) -> object:
        """Give the value itself."""
        return value if type(value) is self._kind else wrong(value, self._kind.__name__)

    def read(self, data: object) -> object:
        """Make the value; data must have the type that json gives it."""
        if type(data) is not self._plain:
            wrong(data, self._kind.__name__)
        try:
            return self._kind(data)
        except ValueError:
            wrong(data, self._kind.__name__)


class Sequence:
    """Form of tuple[X, ...], or of a tuple with one type for each place."""

    exact = None

    def __init__(self, kinds: tuple[object, ...], *, named: bool) -> None:
        self._is_endless = kinds[-1] is Ellipsis
        self._parts = [form(kind, named=named) for kind in kinds if kind is not Ellipsis]

    def write(self, value: object) -> object:
        """Give a list."""
        if type(value) is not tuple:
            wrong(value, "a tuple")
        return [part.write(item) for part, item in zip(self._parts_for(value), value, strict=True)]

    def read(self, data: object) -> object:
        """Make a tuple."""
        if type(data) is not list:
            wrong(data, "an array")
        return tuple([part.read(item) for part, item in zip(self._parts_for(data), data, strict=True)])

    def _parts_for(self, items: tuple[object, ...] | list[object]) -> list[Form]:
        if self._is_endless:
            return self._parts * len(items)
        return self._parts if len(items) == len(self._parts) else wrong(items, f"a sequence of {len(self._parts)}")


class Table:
    """Form of a mapping: pairs in the order of its keys."""

    exact = None

    def __init__(self, key: object, value: object, *, named: bool) -> None:
        self._pairs = form(tuple[tuple[key, value], ...], named=named)  # type: ignore[valid-type]

    def write(self, value: object) -> object:
        """Give a list of pairs."""
        return self._pairs.write(tuple(value.items())) if isinstance(value, Mapping) else wrong(value, "a mapping")

    def read(self, data: object) -> object:
        """Make a mapping; no key stands twice."""
        return unique(cast("list[tuple[str, object]]", list(cast("tuple[object, ...]", self._pairs.read(data)))))


class Choice:
    """Form of a union: null, plain values, and records, which carry their name where there is more than one."""

    exact = None

    def __init__(self, kinds: tuple[type, ...], *, named: bool) -> None:
        self._optional = NoneType in kinds
        self._expected = " or ".join(kind.__name__ for kind in kinds)
        forms = {kind: form(kind, named=named) for kind in kinds if kind is not NoneType}
        self._plain = {kind: forms[kind] for kind in forms if not is_record(kind)}
        self._records = {kind: forms[kind] for kind in forms if is_record(kind)}
        self._by_name = {kind.__name__: forms[kind] for kind in self._records}

    def write(self, value: object) -> object:
        """Give null, the plain value, the record, or the pair of its name and the record."""
        kind = type(value)
        if value is None and self._optional:
            return None
        if kind in self._plain:
            return self._plain[kind].write(value)
        if kind not in self._records:
            wrong(value, self._expected)
        data = self._records[kind].write(value)
        return [kind.__name__, data] if len(self._records) > 1 else data

    def read(self, data: object) -> object:
        """Make the value of the one type that is meant."""
        if data is None and self._optional:
            return None
        if type(data) in self._plain:
            return self._plain[type(data)].read(data)
        match data, list(self._by_name.values()):
            case _, [only]:
                return only.read(data)
            case [str(name), inner], _ if name in self._by_name:
                return self._by_name[name].read(inner)
        wrong(data, self._expected)


class Record:
    """Form of a dataclass or NamedTuple; it is read through its constructor, so that its own checks hold."""

    exact = None

    def __init__(self, kind: type, *, named: bool) -> None:
        self._kind = kind
        self._named = named
        hints = get_type_hints(kind)
        names = getattr(kind, "_fields", None) or [spec.name for spec in fields(kind)]
        self._parts = {name: form(hints[name], named=named) for name in names}
        self._exact = tuple(part.exact for part in self._parts.values())

    def write(self, value: object) -> object:
        """Give an object or an array of the fields."""
        if type(value) is not self._kind:
            wrong(value, self._kind.__name__)
        found: tuple[object, ...] | list[object]
        found = value if isinstance(value, tuple) else [getattr(value, name) for name in self._parts]
        if tuple(map(type, found)) != self._exact:
            forms = zip(self._parts.values(), self._exact, found, strict=True)
            # What is plain and of its type stands for itself; a call for each would be most of the time.
            found = [item if type(item) is exact else part.write(item) for part, exact, item in forms]
        return dict(zip(self._parts, found, strict=True)) if self._named else found

    def read(self, data: object) -> object:
        """Make the record; every field is there, and no other."""
        items = zip(self._parts.items(), self._items(data), strict=True)
        try:
            return self._kind(**{name: part.read(item) for (name, part), item in items})
        except ValueError as error:
            raise WordError(f"{self._kind.__name__}: {error}") from error

    def _items(self, data: object) -> list[object]:
        if self._named and isinstance(data, dict) and data.keys() == self._parts.keys():
            return [data[name] for name in self._parts]
        if not self._named and isinstance(data, list) and len(data) == len(self._parts):
            return data
        wrong(data, f"{self._kind.__name__} with {', '.join(self._parts)}")


dumps = json.JSONEncoder(ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
"""Write canonical JSON: ASCII, keys sorted, no spaces."""


def loads(text: str) -> object:
    """Read JSON without floats, NaN or keys given twice. Raises WordError."""
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise WordError(f"no JSON: {error}") from error


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object; a key given twice could be read in two ways."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else wrong([name for name, _ in pairs], "an object with unique keys")


def no_float(text: str) -> NoReturn:
    """Refuse a number that is no integer."""
    wrong(text, "an integer")


DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_float=no_float, parse_constant=no_float)
