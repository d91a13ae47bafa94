"""What has changed its meaning between a released document and this one: nothing may, once somebody has built on it.

Of a command, a sender may rely on everything that was accepted; of a statement, a reader may rely on everything that
was said. So commands may get optional fields and wider ranges, statements may get fields and values; whatever else is
different at a place that was released is a complaint.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .forms import LOWER, UPPER, Field, at, fields
from .schemas import Schema

NAMED = ("x-codes", "x-kinds")
"""Tables of the document: a name, and what it means."""


class Complaint(NamedTuple):
    """What is different at a place; where only the text is, `now` is the new one."""

    place: str
    text: str
    now: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" + (f": {self.now!r}" if self.now is not None else "")


def complaints(released: Schema, present: Schema, reworded: Mapping[str, str]) -> list[str]:
    """Say all that was released and is otherwise now, a line each.

    `reworded` are places whose text was put into better words that mean the same, with the new text: people vouch for
    it. A place that is listed there and was not reworded so is a complaint, too.
    """
    found = [*_of_tables(released, present), *_of_operations(released, present)]
    excused = {each.place for each in found if each.now is not None and reworded.get(each.place) == each.now}
    idle = sorted(reworded.keys() - excused)
    return [str(each) for each in found if each.now is None or each.place not in excused] + [
        f"{place}: is listed as reworded, and is not" for place in idle
    ]


def _of_tables(released: Schema, present: Schema) -> Iterator[Complaint]:
    for table in NAMED:
        for name, text in released[table].items():
            yield from _of_text(f"{table}/{name}", text, present[table].get(name))


def _of_text(place: str, before: str, now: str | None) -> Iterator[Complaint]:
    if now is None:
        yield Complaint(place, "was released, and is gone")
    elif now != before:
        yield Complaint(place, f"meant {before!r}, and now says", now)


def _of_operations(released: Schema, present: Schema) -> Iterator[Complaint]:
    for name, before in released["operations"].items():
        now = present["operations"].get(name)
        if now is None:
            yield Complaint(name, "was released, and is gone")
            continue
        yield from _of_text(name, before["summary"], now["summary"])
        for key in ("action", "bindings", "reply"):
            if before.get(key) != now.get(key):
                yield Complaint(name, f"its {key} was {before.get(key)}, and is {now.get(key)}")
        if lost := set(before.get("x-roles", ())) - set(now.get("x-roles", ())):
            yield Complaint(name, f"may not be asked any more by {', '.join(sorted(lost))}")
        if now.get("x-expect") not in {before.get("x-expect"), "never"}:
            yield Complaint(name, f"needed `expect` {before['x-expect']}, and now {now.get('x-expect')}")
        old_topic, topic = at(released, before["channel"])["address"], at(present, now["channel"])["address"]
        if topic != old_topic:
            yield Complaint(name, f"its topic was {old_topic}, and is {topic}")
        yield from _of_forms(name, _form(released, before), _form(present, now), before["action"])


def _form(root: Schema, operation: Schema) -> dict[str, Field]:
    """Give the fields of an operation's message, its user properties in front."""
    message = at(root, at(root, operation["messages"][0]))
    return {f"#{place}": field for place, field in fields(root, at(root, message["headers"]))} | dict(
        fields(root, at(root, message["payload"]))
    )


def _of_forms(name: str, before: Mapping[str, Field], now: Mapping[str, Field], action: str) -> Iterator[Complaint]:
    """Compare two forms of a message, by places; `action` tells a command (receive) from a statement (send)."""
    compare = _of_asked if action == "receive" else _of_said
    for place, field in before.items():
        where = f"{name}/{place}"
        if place not in now:
            yield Complaint(where, "was released, and is gone")
            continue
        yield from (Complaint(where, text) for text in compare(field, now[place]))
        if field.unit != now[place].unit:
            yield Complaint(where, f"was in {field.unit or 'no unit'}, and is in {now[place].unit or 'no unit'}")
        yield from _of_text(where, field.meaning, now[place].meaning)
    if action == "receive":
        for place in now.keys() - before.keys():
            if now[place].required and place.rpartition(".")[0] in {"", *before}:
                yield Complaint(f"{name}/{place}", "is new, and must be given")


def _of_asked(before: Field, now: Field) -> Iterator[str]:
    if lost := before.types - now.types:
        yield f"may not be {' or '.join(sorted(lost))} any more"
    if now.values is not None:
        if before.values is None:
            yield f"might be anything, and may now be {_list(now.values)} only"
        elif lost := before.values - now.values:
            yield f"may not be {_list(lost)} any more"
    for bound, limit in now.bounds.items():
        if _narrows(bound, before.bounds.get(bound), limit):
            yield f"is narrower: {bound} was {before.bounds.get(bound, 'none')}, and is {limit}"
    if now.required and not before.required:
        yield "might be left out, and must now be given"


def _narrows(bound: str, before: object, now: object) -> bool:
    if isinstance(before, int) and isinstance(now, int) and bound in LOWER | UPPER:
        return now > before if bound in LOWER else now < before
    return now != before


def _of_said(before: Field, now: Field) -> Iterator[str]:
    if before.types != now.types:
        yield f"was {' or '.join(sorted(before.types))}, and is {' or '.join(sorted(now.types))}"
    if before.values is not None and (lost := before.values - (now.values or frozenset())):
        yield f"does not say {_list(lost)} any more"
    if before.values is None and now.values is not None:
        yield f"might be anything, and is now {_list(now.values)} only"
    for bound in sorted(before.bounds.keys() | now.bounds.keys()):
        old, new = before.bounds.get(bound, "none"), now.bounds.get(bound, "none")
        if old != new:
            yield f"its {bound} was {old}, and is {new}"
    if before.required and not now.required:
        yield "was always there, and may now be missing"


def _list(values: frozenset[str]) -> str:
    return ", ".join(sorted(values))
