"""A tape plays the device to a controller: to the byte, at its times, and up to the first byte that differs."""

from __future__ import annotations

import json
import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.replay import Departure, Player
from hil.tape import Chunk
from hil.tape_file import write
from tests.hil.process import SECONDS, Running, said
from tests.hil.sessions import SESSIONS, golden, taped

pytestmark = pytest.mark.hazard("H35")

NOW_US = 70_000
CHUNKS = [
    Chunk(1_000, "to_host", b"boot"),
    Chunk(1_500, "to_device", b"hello"),
    Chunk(1_520, "to_host", b"id"),
    Chunk(1_900, "to_host", b"event"),
    Chunk(2_000, "to_device", b"stop"),
    Chunk(2_010, "to_host", b"done"),
]


def played(player: Player, us: int, start_us: int = NOW_US) -> list[tuple[int, bytes]]:
    """What the device says within a time, with microseconds after the beginning."""
    found = []
    while (due_us := player.next_deadline_us()) is not None and due_us <= start_us + us:
        found.append((due_us - NOW_US, player.advance(due_us)))
    return found


# --- the device's side ------------------------------------------------------------------------------------------------


def test_it_keeps_its_distance_from_what_came_before():
    player = Player(CHUNKS, NOW_US)
    assert played(player, 0) == [(0, b"boot")]
    # It waits for the host, however long that takes.
    assert (player.next_deadline_us(), player.advance(NOW_US + 10**9)) == (None, b"")
    heard_us = NOW_US + 10_000
    assert player.receive(b"hel", heard_us - 50) == b""
    assert player.next_deadline_us() is None
    assert player.receive(b"lo", heard_us) == b""
    assert played(player, 1_000, heard_us) == [(10_020, b"id"), (10_400, b"event")]
    assert not player.is_played
    assert player.receive(b"stop", heard_us + 7_000) == b""
    assert played(player, 1_000, heard_us + 7_000) == [(17_010, b"done")]
    assert player.is_played
    assert player.standing == {"heard": 9, "expected": 9, "played": 6, "chunks": 6}


def test_a_host_that_is_ahead_of_the_tape_is_heard_in_its_turn():
    player = Player(CHUNKS, NOW_US)
    assert player.receive(b"hellostop", NOW_US) == b"boot"
    assert played(player, 10_000) == [(20, b"id"), (400, b"event"), (410, b"done")]
    assert player.is_played


def test_time_that_is_told_late():
    player = Player(CHUNKS, NOW_US)
    player.receive(b"hellostop", NOW_US)
    assert player.advance(NOW_US + 10_000) == b"ideventdone"


@pytest.mark.parametrize("kind", SESSIONS)
@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_a_session_is_played_to_the_byte_whatever_the_host_s_pieces(kind: str, sizes: list[int]):
    chunks = taped(kind).chunks
    player, now_us, got, size = Player(chunks, NOW_US), NOW_US, b"", cycle(sizes)
    for chunk in chunks:
        rest = chunk.data if chunk.direction == "to_device" else b""
        while rest:
            now_us = NOW_US + chunk.at_us
            piece = rest[: next(size)]
            got += player.receive(piece, now_us)
            rest = rest[len(piece) :]
        while (due_us := player.next_deadline_us()) is not None:
            now_us = due_us
            got += player.advance(now_us)
    assert got == b"".join(chunk.data for chunk in chunks if chunk.direction == "to_host")
    assert player.is_played
    assert player.departure is None
    assert now_us - NOW_US == chunks[-1].at_us


# --- what differs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "departure"),
    [
        ([b"hullo"], Departure(1, 500, b"ellostop", b"ullo")),
        ([b"hello", b"sTop"], Departure(6, 1_000, b"top", b"Top")),
        ([b"hellostopp"], Departure(9, 1_010, b"", b"p")),
        ([b"hellostop", b"again"], Departure(9, 1_010, b"", b"again")),
    ],
)
def test_the_first_byte_that_differs(said: list[bytes], departure: Departure):
    player = Player(CHUNKS, NOW_US)
    told: list[Departure | None] = []
    player.told = lambda: told.append(player.departure)
    for data in said:
        player.receive(data, NOW_US)
    assert player.departure == departure
    assert told == [departure]
    # After that nobody knows what the device would say.
    assert player.next_deadline_us() is None
    assert player.receive(b"hello", NOW_US + 10_000) == b""
    assert player.departure == departure


def test_a_difference_in_words():
    assert Departure(9, 1_234_567, b"\x0a\x0b", b"\x0c").text == "byte 9 at 1234.567 ms: expected 0a0b, got 0c"
    assert Departure(9, 0, b"", b"\x0c").text == "byte 9 at 0.000 ms: expected nothing more, got 0c"


@pytest.mark.parametrize("kind", SESSIONS)
def test_any_bit_of_the_host_that_is_turned_is_found_at_its_byte(kind: str):
    chunks = taped(kind).chunks
    sent = b"".join(chunk.data for chunk in chunks if chunk.direction == "to_device")
    for at in range(len(sent)):
        player = Player(chunks, NOW_US)
        player.receive(sent[:at] + bytes((sent[at] ^ 1 << at % 8,)) + sent[at + 1 :], NOW_US)
        assert player.departure is not None
        assert (player.departure.offset, player.departure.expected[0]) == (at, sent[at])


def test_an_empty_tape_expects_nothing():
    player = Player([], NOW_US)
    assert (player.is_played, player.next_deadline_us()) == (True, None)
    player.receive(b"x", NOW_US)
    assert player.departure == Departure(0, 0, b"", b"x")


# --- the command ------------------------------------------------------------------------------------------------------


class Port:
    """A port as a controller opens it."""

    def __init__(self, link: Path) -> None:
        self._fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
        # Not the usual way, which throws away what the device said first.
        tty.setraw(self._fd, termios.TCSANOW)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            ready, _, _ = select.select([self._fd], [], [], SECONDS)
            assert ready, f"only {got!r}"
            got += os.read(self._fd, size - len(got))
        return got

    def close(self) -> None:
        os.close(self._fd)


Play = Callable[[Path], tuple[Running, Port]]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    running: list[tuple[Running, Port]] = []

    def start(tape: Path) -> tuple[Running, Port]:
        process = Running("replay", str(tape), "--link", str(tmp_path / "tty"))
        running.append((process, Port(tmp_path / "tty")))
        return running[-1]

    yield start
    for process, port in running:
        process.kill()
        port.close()


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_controller_meets_the_tape_at_a_port(play: Play, kind: str):
    process, port = play(golden(kind))
    for chunk in taped(kind).chunks:
        if chunk.direction == "to_device":
            port.write(chunk.data)
        else:
            assert port.read(len(chunk.data)) == chunk.data
    assert process.popen.stdout
    word, _, rest = process.popen.stdout.readline().partition(" ")
    assert (word, json.loads(rest)["played"]) == ("played", len(taped(kind).chunks))
    assert process.end() == (0, "", "")


def test_a_difference_ends_it(play: Play):
    process, port = play(golden("sciencemode4"))
    sent = taped("sciencemode4").chunks[0].data
    port.write(sent[:5] + b"\x00")
    assert process.popen.wait(SECONDS) == 1
    assert process.popen.stderr
    text = f"stimwarden-hil: byte 5 at 0.000 ms: expected {sent[5:].hex()}"
    assert process.popen.stderr.read().startswith(text[: len("stimwarden-hil: byte 5 at 0.000 ms: expected ") + 10])


def test_a_tape_that_is_not_played_to_the_end(play: Play):
    process, _ = play(golden("native"))
    code, _, errors = process.end(signal.SIGTERM)
    expected = sum(len(chunk.data) for chunk in taped("native").chunks if chunk.direction == "to_device")
    standing = {"heard": 0, "expected": expected, "played": 1, "chunks": len(taped("native").chunks)}
    assert (code, errors) == (1, f"stimwarden-hil: not played to the end: {json.dumps(standing)}\n")


def test_what_cannot_be_played(tmp_path: Path):
    link = ("--link", str(tmp_path / "tty"))
    head = json.dumps({"format": "stimwarden-tape", "version": 1, "kind": "novel"})
    (tmp_path / "tape").write_text(head + "\n", encoding="ascii")
    code, out, errors = said("replay", str(tmp_path / "tape"), *link)
    assert (code, out) == (2, "")
    assert errors.endswith("tape:1: kind: kind='novel': expected 'serial'")
    code, _, errors = said("replay", str(golden("native")))
    assert (code, "a serial tape is played at a --link" in errors) == (2, True)
    assert said("replay", str(tmp_path / "none"), *link)[0] == 1
    (tmp_path / "bare").write_text(head.replace("novel", "simulation") + "\n", encoding="ascii")
    code, _, errors = said("replay", str(tmp_path / "bare"))
    assert (code, "bare:1: head: expected the head and the schedule of a simulation" in errors) == (2, True)
    write(tmp_path / "empty", *taped("native")._replace(chunks=[]))
    (tmp_path / "tty").write_text("mine", encoding="ascii")
    code, _, errors = said("replay", str(tmp_path / "empty"), *link)
    assert (code, "exists and is not a link to a pseudo terminal" in errors) == (1, True)
