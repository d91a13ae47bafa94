"""The journal: durable before anyone is told, in order, and bounded."""

import asyncio
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from controller.chain import (
    JournalError,
    JournalInUseError,
    Verification,
    verify,
)
from controller.entries import body_json
from controller.facts import BootFacts
from controller.journal import CAPACITY, STOP_RESERVE, Journal, JournalFullError
from controller.words import WordError
from safety.effects import Entry
from safety.limits import canonical
from safety.messages import EntryKind, Now
from tests.controller.logbook import (
    CHILD,
    POLICY,
    Bench,
    Until,
    at,
    child,
    clearing,
    closing,
    held,
    latch,
    latch_of,
    lines_of,
    opening,
    permit,
    settling,
    wish,
)

DAY_MS = 86_400_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "journal.db")
    yield made
    await made.journal.close()


# What is written


@pytest.mark.rule("X2")
@pytest.mark.hazard("H29")
async def test_a_row_holds_the_entry_the_policy_and_its_place_in_the_chain(bench: Bench, until: Until) -> None:
    bench.append(opening(7), ms=11)
    bench.append(latch(8), "dev2", ms=12)
    await until(lambda: bench.done == [7, 8])
    digest = hashlib.sha256(canonical().encode()).hexdigest()
    genesis = f'{{"instance":"ward3","limits_digest":"{digest}","schema":1}}'
    wall = 1_700_000_000_000
    assert bench.rows() == [
        (1, "", 0, 0, wall, POLICY, "genesis", genesis),
        (2, "dev1", 7, 11, wall + 11, POLICY, "open", body_json(opening(7))),
        (3, "dev2", 8, 12, wall + 12, POLICY, "latch", body_json(latch(8))),
    ]


@pytest.mark.rule("X2")
@pytest.mark.hazard("H29")
async def test_rows_of_two_policies_tell_by_which_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for policy, entry in (("p1", wish(1)), ("p2", wish(2))):
        journal = Journal.open(path, "ward3", policy, at(0), print)
        journal.append("dev1", entry, at(0))
        await journal.close()
    assert verify(path)[::2] == (3, None)
    with sqlite3.connect(path) as reader:
        rows = reader.execute("SELECT policy, kind FROM journal ORDER BY seq").fetchall()
    reader.close()
    assert rows == [("p1", "genesis"), ("p1", "wish"), ("p2", "wish")]


async def test_the_hash_is_taken_over_the_row_and_the_hash_before(bench: Bench, until: Until) -> None:
    bench.append(opening(7))
    await until(lambda: bench.done)
    with sqlite3.connect(bench.path) as reader:
        chain = reader.execute("SELECT prev, hash FROM journal ORDER BY seq").fetchall()
    reader.close()
    prev, hashes = "0" * 64, []
    for seq, device, entry, mono, wall, policy, kind, body in bench.rows():
        head = json.dumps([seq, device, entry, mono, wall, policy, kind, prev], separators=(",", ":"))
        hashes.append((prev, prev := hashlib.sha256(f"{head}\n{body}".encode()).hexdigest()))
    assert chain == hashes
    assert verify(bench.path) == Verification(2, prev, None, "")


async def test_a_commit_is_synced_before_it_returns(bench: Bench) -> None:
    connection = bench.journal._file._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_only_a_file_that_was_not_there_is_new(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal.db")
    assert bench.journal.is_new
    await bench.journal.close()
    assert not bench.open().is_new
    await bench.journal.close()
    assert [kind for *_, kind, _ in bench.rows()] == ["genesis"]


# Order, and who is told when


async def test_nothing_is_done_before_it_is_durable_and_all_that_waits_goes_in_one_commit(
    bench: Bench, until: Until
) -> None:
    statements: list[str] = []
    bench.journal._file._connection.set_trace_callback(statements.append)
    holder = held(bench.path)
    for number in range(1, 21):
        bench.append(wish(number), f"dev{number % 3}", ms=1000 + number)
    await until(lambda: bench.errors)
    bench.append(closing(21), ms=2000)
    assert (bench.done, bench.journal.unsynced_since_ms()) == ([], 1001)
    assert verify(bench.path).rows == 1
    holder.close()
    await until(lambda: len(bench.done) == 21)
    assert bench.done == list(range(1, 22))
    assert [row[2] for row in bench.rows()] == list(range(22))
    assert (statements.count("COMMIT"), bench.journal.unsynced_since_ms()) == (1, None)
    assert [str(error) for error in bench.errors] == ["database is locked"]


def has(things: Sequence[object], count: int) -> bool:
    return len(things) == count


async def test_a_new_row_of_failures_is_told_again(bench: Bench, until: Until) -> None:
    for failures in (1, 2):
        holder = held(bench.path)
        bench.append(wish(failures))
        await until(partial(has, bench.errors, failures))
        assert bench.done == list(range(1, failures))
        holder.close()
        await until(partial(has, bench.done, failures))


async def test_an_answer_that_waits_counts_as_unsynced(bench: Bench, until: Until) -> None:
    holder = held(bench.path)
    bench.journal.remember("p", "c-1", "d", None, at(33))
    assert bench.journal.unsynced_since_ms() == 33
    holder.close()
    await until(lambda: bench.journal.unsynced_since_ms() is None)


async def test_a_callback_that_fails_takes_no_other_with_it(bench: Bench, until: Until) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(repr(context["exception"])))
    holder = held(bench.path)
    bench.journal.append("dev1", wish(1), at(1), lambda: bench.errors.remove(Exception()))
    bench.append(wish(2))
    holder.close()
    await until(lambda: bench.done == [2])
    assert complaints == ["ValueError('list.remove(x): x not in list')"]


async def test_close_writes_what_waits_and_takes_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal.db")
    for number in range(1, 101):
        bench.append(wish(number))
    await bench.journal.close()
    assert [row[2] for row in bench.rows()] == list(range(101))
    assert bench.errors == []
    with pytest.raises(JournalError, match="closed"):
        bench.append(wish(101))


async def test_close_does_not_wait_for_a_disk_that_never_comes_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal.db")
    holder = held(bench.path)
    bench.append(wish(1))
    bench.append(latch(2))
    await bench.journal.close()
    holder.close()
    assert [str(error) for error in bench.errors] == ["database is locked", "2 items were never written"]
    assert (bench.done, verify(bench.path).rows) == ([], 1)


async def test_a_file_that_was_taken_away_is_no_journal(tmp_path: Path, until: Until) -> None:
    bench = Bench(tmp_path / "journal.db")
    bench.path.rename(tmp_path / "moved.db")
    bench.append(wish(1))
    await until(lambda: bench.errors)
    bench.path.touch()
    await bench.journal.close()
    assert isinstance(bench.errors[0], FileNotFoundError)
    assert [str(error) for error in bench.errors[1:]] == ["1 items were never written"]
    assert bench.done == []


async def test_a_file_in_the_place_of_the_journal_is_not_written_to(tmp_path: Path, until: Until) -> None:
    bench = Bench(tmp_path / "journal.db")
    other = Bench(tmp_path / "other.db")
    await other.journal.close()
    other.path.replace(bench.path)
    bench.append(wish(1))
    await until(lambda: bench.errors)
    await bench.journal.close()
    assert str(bench.errors[0]) == f"{bench.path} is not the file that was opened"
    assert bench.done == []


# Bounds


async def test_a_flood_of_wishes_leaves_room_for_a_stop(bench: Bench, until: Until) -> None:
    holder = held(bench.path)
    ordinary = CAPACITY - STOP_RESERVE
    for number in range(1, ordinary + 1):
        bench.append(wish(number))
    for refused in (wish(9_999), opening(9_999), permit(9_999, "s-1", 9_999), clearing(9_999, 1)):
        with pytest.raises(JournalFullError):
            bench.append(refused)
    with pytest.raises(JournalFullError):
        bench.journal.remember("p", "c-1", "d", None, at(1))
    for number in range(ordinary + 1, CAPACITY + 1):
        bench.append((latch, settling, closing)[number % 3](number))
    for refused in (latch(9_999), settling(9_999), closing(9_999)):
        with pytest.raises(JournalFullError):
            bench.append(refused)
    assert bench.journal.facts("dev1").next_id == CAPACITY + 1
    assert bench.journal.recall("p", "c-1") is None
    holder.close()
    await until(lambda: len(bench.done) == CAPACITY)
    assert bench.done == list(range(1, CAPACITY + 1))
    assert verify(bench.path).rows == CAPACITY + 1


async def test_what_cannot_be_written_fails_at_once_and_holds_up_nothing(bench: Bench, until: Until) -> None:
    spoilt: list[tuple[str, Entry, Now]] = [
        ("dev1", wish(-1), at(1)),
        ("dev1", wish(2**63), at(1)),
        ("dev1", wish(True), at(1)),
        ("dev1", wish(1), Now(1.5, 1)),  # type: ignore[arg-type]
        ("dev1", wish(1), Now(1, -1)),
        ("dev\udc80", wish(1), at(1)),
        ("dev1", Entry(1, EntryKind.OPEN, latch_of(1)), at(1)),
    ]
    for device, entry, now in spoilt:
        with pytest.raises(ValueError, match=r"out of range|surrogates|is not"):
            bench.journal.append(device, entry, now)
    with pytest.raises(ValueError, match="surrogates"):
        bench.journal.remember("p", "c-1", "d", "\ud800", at(1))
    bench.append(wish(1, detail="a \ud800 reason"))
    await until(lambda: bench.done == [1])
    assert (bench.errors, verify(bench.path).rows, bench.journal.recall("p", "c-1")) == ([], 2, None)


# One process


async def test_a_second_service_is_refused(bench: Bench) -> None:
    with pytest.raises(JournalInUseError):
        Journal.open(bench.path, "ward3", POLICY, at(0), bench.errors.append)


WRITE_FOREVER = """
    opening = Opening(session="s-1", rx="r@1", rx_digest="d", patient="p", principal="q", policy="p1")
    journal.append("dev1", Entry(1, EntryKind.OPEN, opening), Now(1, 1), lambda: print(1, flush=True))
    for number in range(2, 20_000):
        body = WishRecord(session="s-1", command="c", principal="p", verb=Verb.STOP, detail="")
        entry = Entry(number, EntryKind.WISH, body)
        journal.append("dev1", entry, Now(number, number), lambda number=number: print(number, flush=True))
        await asyncio.sleep(0.0005)
"""


async def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    process = await child(path, "print('open', flush=True); await asyncio.sleep(60)")
    assert await lines_of(process, 1) == ["open"]
    with pytest.raises(JournalInUseError):
        Bench(path)
    process.kill()
    await process.wait()
    bench = Bench(path)
    await bench.journal.close()
    assert not bench.journal.is_new


@pytest.mark.parametrize("seen", [1, 40, 200])
async def test_what_was_told_to_be_done_survives_a_kill(tmp_path: Path, seen: int) -> None:
    path = tmp_path / "journal.db"
    process = await child(path, WRITE_FOREVER)
    told = await lines_of(process, seen)
    process.kill()
    assert process.stdout is not None
    # A last line may be cut by the kill.
    told += (await process.stdout.read()).decode().split("\n")[:-1]
    await process.wait()
    sound = verify(path)
    bench = Bench(path)
    await bench.journal.close()
    assert told == [str(number) for number in range(1, len(told) + 1)]
    assert (sound.first_bad_seq, sound.rows > len(told)) == (None, True)
    assert bench.journal.facts("dev1") == BootFacts("s-1", 0, (), sound.rows)


FULL_DISK = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    done, errors = [], []
    journal._on_error = errors.append
    def wish(number):
        body = WishRecord(session="s", command="c" * 500, principal="p", verb=Verb.STOP, detail="")
        journal.append("dev1", Entry(number, EntryKind.WISH, body), Now(number, number), lambda: done.append(number))
    async def until(happened):
        async with asyncio.timeout(30):
            while not happened():
                await asyncio.sleep(0.01)
    wish(1)
    await until(lambda: done)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    for number in range(2, 50):
        wish(number)
    await until(lambda: errors)
    held = list(done), journal.unsynced_since_ms()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await until(lambda: len(done) == 49)
    print(held == ([1], 2), done == list(range(1, 50)), len(errors), type(errors[0]).__name__, flush=True)
    await journal.close()
"""


@pytest.mark.hazard("H39")
@pytest.mark.rule("M32")
async def test_a_full_disk_holds_everything_back_and_loses_nothing(tmp_path: Path) -> None:
    process = await child(tmp_path / "journal.db", FULL_DISK)
    assert await lines_of(process, 1) == ["True True 1 OperationalError"]
    assert await process.wait() == 0
    assert verify(tmp_path / "journal.db")[2:] == (None, "")
    assert verify(tmp_path / "journal.db").rows == 50


@pytest.mark.parametrize("is_there", [False, True])
def test_a_directory_that_cannot_be_written_gives_no_journal(is_there: bool) -> None:
    async def make() -> None:
        await Bench(path).journal.close()

    # Root may write anywhere: the child gives that up first.
    script = CHILD.format(body="pass").replace("async def", "os.getuid() or os.setuid(65534)\nasync def")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        if is_there:
            asyncio.run(make())
            path.with_name("journal.db.lock").unlink()
        Path(folder).chmod(0o555)
        run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
        Path(folder).chmod(0o755)
    assert run.returncode == 1
    assert "controller.chain.JournalError:" in run.stderr
    assert "Permission denied" in run.stderr


async def test_a_journal_of_another_instance_is_refused(tmp_path: Path) -> None:
    await Bench(tmp_path / "journal.db").journal.close()
    with pytest.raises(JournalError, match="is the journal of ward3, not of ward4"):
        Journal.open(tmp_path / "journal.db", "ward4", POLICY, at(0), print)
    # The refusal has let go of the file.
    await Bench(tmp_path / "journal.db").journal.close()


# Facts

FACTS: list[tuple[list[Entry], BootFacts]] = [
    ([], BootFacts("", 0, (), 1)),
    ([wish(6)], BootFacts("", 0, (), 7)),
    ([opening(3)], BootFacts("s-1", 0, (), 4)),
    ([opening(3), permit(4, "s-1", 4)], BootFacts("s-1", 4, (), 5)),
    ([opening(3), permit(4, "s-1", 4), permit(5, "s-1", 90)], BootFacts("s-1", 90, (), 91)),
    ([opening(3), permit(4, "s-1", 4), settling(5)], BootFacts("s-1", 4, (), 6)),
    ([opening(3), permit(4, "s-1", 4), settling(5), closing(6)], BootFacts("", 0, (), 7)),
    ([opening(3), closing(4), permit(5, "s-1", 5)], BootFacts("", 0, (), 6)),
    ([opening(3), closing(4), opening(5, "s-2")], BootFacts("s-2", 0, (), 6)),
    ([opening(3), permit(4, "s-1", 4), opening(5, "s-2")], BootFacts("s-2", 0, (), 6)),
    ([opening(3), permit(4, "s-1", 4), opening(5, "s-2"), closing(6, "s-2")], BootFacts("s-1", 4, (), 7)),
    ([closing(3)], BootFacts("", 0, (), 4)),
    ([latch(3)], BootFacts("", 0, (latch_of(3),), 4)),
    ([latch(3, 77)], BootFacts("", 0, (latch_of(77),), 78)),
    ([latch(3), latch(4), clearing(5, 3)], BootFacts("", 0, (latch_of(4),), 6)),
    ([latch(3), clearing(4, 3), latch(5)], BootFacts("", 0, (latch_of(5),), 6)),
    ([latch(3), clearing(4, 9)], BootFacts("", 0, (latch_of(3),), 5)),
    ([latch(9), wish(2)], BootFacts("", 0, (latch_of(9),), 10)),
]


@pytest.mark.parametrize(("entries", "facts"), FACTS)
async def test_the_facts_add_up_now_and_after_a_restart(tmp_path: Path, entries: list[Entry], facts: BootFacts) -> None:
    bench = Bench(tmp_path / "journal.db")
    for number, entry in enumerate(entries):
        bench.append(latch(1000 + number), "dev2")
        bench.append(entry)
    now = bench.journal.facts("dev1"), bench.journal.facts("dev2").next_id
    await bench.journal.close()
    bench.open()
    later = bench.journal.facts("dev1"), bench.journal.facts("dev2").next_id
    await bench.journal.close()
    assert now == later == (facts, 1000 + len(entries) if entries else 1)


async def test_an_entry_that_is_not_durable_yet_counts_for_a_station_that_starts_again(bench: Bench) -> None:
    holder = held(bench.path)
    bench.append(opening(3))
    bench.append(latch(4))
    assert bench.journal.facts("dev1") == BootFacts("s-1", 0, (latch_of(4),), 5)
    holder.close()


# Answers


async def test_an_answer_is_known_at_once_and_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal.db")
    bench.journal.remember("p", "c-1", "d1", None, at(1))
    bench.journal.remember("p", "c-2", "d2", None, at(2))
    bench.journal.remember("q", "c-1", "d3", '{"status":"rejected"}', at(3))
    assert bench.journal.recall("p", "c-1") == ("d1", None)
    bench.journal.remember("p", "c-1", "d1", '{"status":"accepted"}', at(4))
    bench.journal.remember("p", "c-1", "d1", '{"status":"succeeded"}', at(5))
    for _ in range(2):
        assert bench.journal.recall("p", "c-1") == ("d1", '{"status":"succeeded"}')
        assert bench.journal.recall("p", "c-2") == ("d2", None)
        assert bench.journal.recall("q", "c-1") == ("d3", '{"status":"rejected"}')
        assert bench.journal.recall("q", "c-2") is None
        assert bench.journal.unanswered() == (("p", "c-2"),)
        await bench.journal.close()
        bench.open()
    bench.journal.remember("p", "c-2", "d2", '{"code":"SYS.RESTARTED"}', at(6))
    assert bench.journal.unanswered() == ()
    await bench.journal.close()


async def test_an_id_is_not_used_twice(bench: Bench) -> None:
    bench.journal.remember("p", "c-1", "d1", None, at(1))
    for digest, answer in (("d2", "{}"), ("d2", None), ("d1", None)):
        with pytest.raises(ValueError, match="c-1"):
            bench.journal.remember("p", "c-1", digest, answer, at(2))
    assert bench.journal.recall("p", "c-1") == ("d1", None)


async def test_answers_are_kept_for_a_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal.db")

    def known() -> list[str]:
        return [name for name in ("old", "late", "edge", "young", "last") if bench.journal.recall("p", name)]

    bench.journal.remember("p", "old", "d", "{}", at(0))
    bench.journal.remember("p", "late", "d", None, at(1))
    bench.journal.remember("p", "edge", "d", "{}", at(2))
    # An answer is kept for a day from its own time on, not from its beginning.
    bench.journal.remember("p", "late", "d", "{}", at(DAY_MS + 1))
    bench.journal.remember("p", "young", "d", "{}", at(DAY_MS + 2))
    assert known() == ["late", "edge", "young"]
    bench.journal.remember("p", "last", "d", "{}", at(DAY_MS + 3))
    for _ in range(2):
        assert known() == ["late", "young", "last"]
        await bench.journal.close()
        bench.open(at(DAY_MS + 3))
    await bench.journal.close()
    reader = sqlite3.connect(bench.path)
    assert reader.execute("SELECT command_id FROM answers ORDER BY wall_ms").fetchall() == [
        ("late",),
        ("young",),
        ("last",),
    ]
    reader.close()
    bench.open(at(2 * DAY_MS + 3))
    assert known() == ["last"]
    await bench.journal.close()


async def test_wrong_bodies_are_refused_by_the_kind(bench: Bench) -> None:
    with pytest.raises(WordError):
        bench.append(Entry(1, EntryKind.LATCH, closing(1).body))
    assert bench.journal.facts("dev1").next_id == 1
