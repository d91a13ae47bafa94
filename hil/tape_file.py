"""Tapes as files: a JSON object a line, the head first, then what went over the line, in order and to the byte.

    {"format":"stimwarden-tape","version":1,"kind":"serial","device":"native","baud":115200,"seed":0,"origin":"emulated"}
    {"at_us":0,"direction":"to_host","hex":"03ab00"}

Times are microseconds, from any zero: only their distances count. What `kind` a tape is decides what its lines are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from hil.tape import Chunk, Direction

FORMAT = "stimwarden-tape"
VERSION = 1


class BadTape(Exception):  # noqa: N818 - the name a user reads in a message needs no suffix
    """A file that is no tape, or a broken one: a code for programs, the line, a text for people.

    `no_tape`: not this format; `version`, `kind`: of one that is not known here; `head`, `chunk`: a line that is none;
    `order`: a time before the one above; `cut`: the last line has no end.
    """

    def __init__(self, path: Path, line: int, code: str, text: str) -> None:
        super().__init__(f"{path}:{line}: {code}: {text}")
        self.code = code
        self.line = line


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Head(_Strict):
    """The first line of a serial tape; what is not known is null. `seed` is that of the bench."""

    format: Literal["stimwarden-tape"] = "stimwarden-tape"
    version: Literal[1] = 1
    kind: Literal["serial"] = "serial"
    device: str | None
    baud: PositiveInt | None
    seed: NonNegativeInt | None
    origin: Literal["emulated", "real"]


class _Row(_Strict):
    at_us: NonNegativeInt
    direction: Direction
    hex: str = Field(pattern="^([0-9a-f]{2})+$")


class SerialTape(NamedTuple):
    """A serial tape as a whole."""

    head: Head
    chunks: list[Chunk]


class Writer:
    """Writes a tape line by line: what has happened is in the file, whatever happens next."""

    def __init__(self, path: Path, head: Head) -> None:
        """Make the file; raises FileExistsError: a record is never written over."""
        self._file = path.open("x", encoding="ascii", buffering=1)
        self._file.write(head.model_dump_json() + "\n")

    def note(self, chunk: Chunk) -> None:
        """Write one chunk."""
        row = _Row(at_us=chunk.at_us, direction=chunk.direction, hex=chunk.data.hex())
        self._file.write(row.model_dump_json() + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write(path: Path, head: Head, chunks: Iterable[Chunk]) -> None:
    """Write a whole tape."""
    with Writer(path, head) as writer:
        for chunk in chunks:
            writer.note(chunk)


def kind_of(path: Path) -> str:
    """What kind of tape a file holds; raises BadTape and OSError."""
    return _kind(path, next(_lines(path), ""))


def read(path: Path) -> SerialTape:
    """A serial tape; raises BadTape and OSError."""
    lines = _lines(path)
    first = next(lines, "")
    if (kind := _kind(path, first)) != "serial":
        raise BadTape(path, 1, "kind", f"kind={kind!r}: expected 'serial'")
    try:
        head = Head.model_validate_json(first)
    except ValidationError as bad:
        _refuse(path, 1, "head", bad)
    chunks: list[Chunk] = []
    for number, line in enumerate(lines, 2):
        try:
            row = _Row.model_validate_json(line)
        except ValidationError as bad:
            _refuse(path, number, "chunk", bad)
        if chunks and row.at_us < chunks[-1].at_us:
            raise BadTape(path, number, "order", f"at_us={row.at_us}: expected at least {chunks[-1].at_us}")
        chunks.append(Chunk(row.at_us, row.direction, bytes.fromhex(row.hex)))
    return SerialTape(head, chunks)


def _kind(path: Path, first: str) -> str:
    try:
        head = json.loads(first)
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadTape(path, 1, "no_tape", f"expected a JSON object with format={FORMAT!r}")
    if head.get("version") != VERSION:
        raise BadTape(path, 1, "version", f"version={head.get('version')!r}: expected {VERSION}")
    return str(head.get("kind"))


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; a byte that is no ASCII is in no tape, and makes its line none."""
    with path.open(encoding="ascii", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                raise BadTape(path, number, "cut", "expected an end of line")
            yield line[:-1]


def _refuse(path: Path, number: int, code: str, bad: ValidationError) -> NoReturn:
    first = bad.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    raise BadTape(path, number, code, f"{where}: {first['msg']}" if where else first["msg"]) from bad
