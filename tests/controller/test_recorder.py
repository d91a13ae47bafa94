"""The flight recorder: every word comes back, what is missing is counted, and nothing disturbs the station."""

import asyncio
import hashlib
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import recorder as module
from controller.recorder import (
    BATCH,
    CAPACITY,
    LINE,
    SCHEMA,
    Begin,
    End,
    Gap,
    Line,
    Moment,
    Recorder,
    Recording,
    line_of,
    read_tape,
)
from controller.words import WordError, form, loads
from safety.effects import Drive, Effect, Feed, Grant, Silence
from safety.limits import Modality, Sensation
from safety.messages import WELL, DeviceDown, DeviceState, Event, Heard, Now, PatientStop, Sample, Status, Tick
from safety.prescription import Calibration, Plan, Prescription, Programme
from safety.waveform import OFF, Picture, Train

Until = Callable[[Callable[[], object]], Awaitable[None]]

TENS = Programme(modality=Modality.TENS, ramp_up_ms=1000, on_ms=1, ramp_down_ms=500, off_ms=0, therapy_ms=1_800_000)
PLAN = Plan(channel=1, site="calf-l", pair="a", ua=1, max_ua=2, width_us=200, gap_us=0, period_us=10_000, area_mm2=2500)
CALIBRATED = Calibration(
    at_wall_ms=1, pair="a", area_mm2=2_500, width_us=300, sensory_ua=None, motor_ua=15_000, maximal_ua=38_000
)
PRESCRIPTIONS = [
    Prescription(
        id="rx-1",
        version=3,
        patient="p-1",
        sensation=Sensation.S1,
        channels=channels,
        programme=TENS,
        limits=limits,
        valid_until_wall_ms=2**50,
        digest="ab",
    )
    for channels in [
        (PLAN,),
        (
            PLAN,
            Plan(
                **{**{n: getattr(PLAN, n) for n in PLAN.__dataclass_fields__}, "channel": 2, "calibration": CALIBRATED}
            ),
        ),
    ]
    for limits in [(), (("amplitude_ua", 30_000), ("ramp_ms", 2_000))]
]
# What refuses to exist incoherent cannot be drawn field by field.
st.register_type_strategy(Prescription, st.sampled_from(PRESCRIPTIONS))
st.register_type_strategy(Calibration, st.just(CALIBRATED))

STATUS = Status(1, 2, 3, DeviceState.RUNNING, 0, False, 0, 12_000, 3, 4)
SAMPLE = Sample(1, 30_000, 200, 0, 10_000, 29_900, 1_200, 17, 204_000, 0, True, False, False, False)
TRAIN = Train(1, 30_000, 200, 0, 10_000)


def at(ms: int) -> Now:
    return Now(mono_ms=ms, wall_ms=1_700_000_000_000 + ms)


def tick(number: int) -> Moment:
    return Moment(at(number), Tick(Picture((TRAIN,)), number, WELL), (Feed(Grant(9, number, number + 200)),))


# Every word


def test_a_moment_has_one_line() -> None:
    heard = Moment(at(5), Heard(4, STATUS, (SAMPLE,)), ())
    stop = Moment(at(6), PatientStop(), (Silence(cut=False), Drive(Grant(1, 2, 3), OFF)))
    now = 1_700_000_000_000
    assert line_of(tick(7)).decode() == (
        f'["Moment",[[7,{now + 7}],["Tick",[[[[1,30000,200,0,10000]]],7,[true,true,true]]],[["Feed",[[9,7,207]]]]]]\n'
    )
    assert line_of(heard).decode() == (
        f'["Moment",[[5,{now + 5}],["Heard",[4,[1,2,3,"running",0,false,0,12000,3,4],'
        "[[1,30000,200,0,10000,29900,1200,17,204000,0,true,false,false,false,null,null]]]],[]]]\n"
    )
    assert line_of(stop).decode() == (
        f'["Moment",[[6,{now + 6}],["PatientStop",[]],[["Silence",[false]],["Drive",[[1,2,3],[[]]]]]]]\n'
    )


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_comes_back(kind: type[Event], data: st.DataObject) -> None:
    moment = Moment(at(1), data.draw(st.from_type(kind)), ())
    assert LINE.read(loads(line_of(moment).decode())) == moment


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@pytest.mark.parametrize("kind", get_args(Effect), ids=lambda kind: kind.__name__)
def test_every_effect_comes_back(kind: type[Effect], data: st.DataObject) -> None:
    moment = Moment(at(1), PatientStop(), (data.draw(st.from_type(kind)), Silence(cut=True)))
    assert LINE.read(loads(line_of(moment).decode())) == moment


def test_the_words_of_the_heart_all_have_a_form() -> None:
    assert len(get_args(Event)) == 12
    assert len(get_args(Effect)) == 9
    for kind in (*get_args(Event), *get_args(Effect)):
        form(kind, named=True)


# A tape


class Bench:
    """A recorder with what it complained of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: list[Exception] = []
        self.recorder = Recorder(folder, self.errors.append)

    def lines(self, name: str) -> list[Line]:
        return list(read_tape(self.folder / name))

    def digest(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    def hold(self) -> threading.Event:
        """Let nothing be written until the event is set."""
        free = threading.Event()
        self.recorder._worker._pool.submit(free.wait)
        return free


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "tapes")


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 1000])
async def test_a_tape_holds_every_moment_in_order(bench: Bench, count: int) -> None:
    tape = bench.recorder.begin("dev1", "s-1")
    for number in range(count):
        tape.write(*tick(number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    done = await tape.close()
    assert bench.lines("s-1.ndjson") == [Begin(SCHEMA, "dev1", "s-1"), *map(tick, range(count)), End(count, 0)]
    assert done == Recording("s-1.ndjson", bench.digest("s-1.ndjson"), count, 0)
    assert bench.errors == []


async def test_sessions_have_tapes_of_their_own(bench: Bench) -> None:
    tapes = [bench.recorder.begin(f"dev{number}", f"s-{number}") for number in range(3)]
    for number in range(300):
        tapes[number % 3].write(*tick(number))
    await asyncio.gather(*(tape.close() for tape in tapes))
    for number in range(3):
        assert bench.lines(f"s-{number}.ndjson")[1:-1] == [tick(n) for n in range(number, 300, 3)]


async def test_a_full_batch_is_on_its_way_before_the_session_ends(bench: Bench, until: Until) -> None:
    tape = bench.recorder.begin("dev1", "s-1")
    for number in range(BATCH):
        tape.write(*tick(number))
    await until(lambda: (bench.folder / "s-1.ndjson").exists() and len(bench.lines("s-1.ndjson")) == BATCH + 1)
    await tape.close()


@pytest.mark.parametrize("session", ["../../etc/passwd", "/", "..", "a b", "s\x00", "µ"])
async def test_no_name_of_a_session_leads_out_of_the_directory(bench: Bench, session: str) -> None:
    tape = bench.recorder.begin("dev1", session)
    done = await tape.close()
    assert [found.name for found in bench.folder.iterdir()] == [done.name]
    assert bench.lines(done.name)[0] == Begin(SCHEMA, "dev1", session)


# What is missing


async def test_what_does_not_fit_is_dropped_and_its_place_is_marked(bench: Bench) -> None:
    tape = bench.recorder.begin("dev1", "s-1")
    free = bench.hold()
    for number in range(BATCH):
        tape.write(*tick(number))
    # The first batch is now with the worker, which is held; the rest has to wait.
    await asyncio.sleep(0)
    for number in range(BATCH, BATCH + CAPACITY + 5):
        tape.write(*tick(number))
    free.set()
    assert tape._flushing is not None
    await tape._flushing
    await tape._flush()
    tape.write(*tick(9_999))
    done = await tape.close()
    kept = BATCH + CAPACITY
    assert bench.lines("s-1.ndjson")[1:] == [*map(tick, range(kept)), Gap(5), tick(9_999), End(kept + 1, 5)]
    assert done == Recording("s-1.ndjson", bench.digest("s-1.ndjson"), kept + 1, 5)
    assert bench.errors == []


async def test_a_tape_ends_at_its_largest_size(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    line = len(line_of(tick(100)))
    monkeypatch.setattr(module, "LARGEST_BYTES", 3 * line)
    tape = bench.recorder.begin("dev1", "s-1")
    for number in range(100, 110):
        tape.write(*tick(number))
    done = await tape.close()
    assert bench.lines("s-1.ndjson")[1:] == [*map(tick, range(100, 103)), Gap(7), End(3, 7)]
    assert (done.moments, done.dropped) == (3, 7)


async def test_a_word_without_a_form_is_counted_and_told_once(bench: Bench) -> None:
    spoilt: Any = Tick(OFF, 1.5, WELL)  # type: ignore[arg-type]
    tape = bench.recorder.begin("dev1", "s-1")
    tape.write(*tick(1))
    for _ in range(3):
        tape.write(at(2), spoilt, ())
    tape.write(at(3), PatientStop(), ("no effect",))  # type: ignore[arg-type]
    tape.write(*tick(4))
    done = await tape.close()
    assert bench.lines("s-1.ndjson")[1:] == [tick(1), Gap(4), tick(4), End(2, 4)]
    assert (done.moments, done.dropped) == (2, 4)
    assert [type(error) for error in bench.errors] == [WordError]


async def test_a_directory_that_cannot_be_made_costs_the_tape_and_nothing_else() -> None:
    # Nobody, not even root, can make a directory there.
    bench = Bench(Path("/proc/tapes"))
    tapes = [bench.recorder.begin("dev1", f"s-{number}") for number in range(2)]
    for number in range(3 * BATCH):
        tapes[0].write(*tick(number))
        await asyncio.sleep(0)
    empty = hashlib.sha256(b"").hexdigest()
    assert await tapes[0].close() == Recording("s-0.ndjson", empty, 0, 3 * BATCH)
    assert await tapes[1].close() == Recording("s-1.ndjson", empty, 0, 0)
    assert [type(error) for error in bench.errors] == [FileNotFoundError] * 2


async def test_a_tape_that_is_there_is_never_written_over(bench: Bench) -> None:
    for _ in range(2):
        tape = bench.recorder.begin("dev1", "s-1")
        tape.write(at(1), DeviceDown("unplugged"), ())
        done = await tape.close()
    assert done == Recording("s-1.ndjson", hashlib.sha256(b"").hexdigest(), 0, 1)
    assert bench.lines("s-1.ndjson")[1:] == [Moment(at(1), DeviceDown("unplugged"), ()), End(1, 0)]
    assert [type(error) for error in bench.errors] == [FileExistsError]


async def test_a_tape_that_is_closed_records_no_more_and_raises_nothing(bench: Bench) -> None:
    tape = bench.recorder.begin("dev1", "s-1")
    done = await tape.close()
    for number in range(2 * BATCH):
        tape.write(*tick(number))
        await asyncio.sleep(0)
    assert tape._flushing is not None
    await tape._flushing
    assert bench.digest("s-1.ndjson") == done.digest


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from controller.recorder import Recorder
from safety.messages import DeviceDown, Now

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, room, comes_back = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    errors = []
    tape = Recorder(folder, errors.append).begin("dev1", "s-1")
    def write(numbers):
        for number in numbers:
            tape.write(Now(number, number), DeviceDown("x" * 50), ())
    write(range(10))
    await tape._flush()
    limit((folder / "s-1.ndjson").stat().st_size + room)
    for numbers in (range(10, 30), (), range(30, 35)):
        write(numbers)
        await tape._flush()
    if comes_back:
        limit(resource.RLIM_INFINITY)
    write(range(35, 40))
    done = await tape.close()
    print(done.digest, done.moments, done.dropped, *map(repr, errors))

asyncio.run(main())
"""
DOWN = [Moment(Now(number, number), DeviceDown("x" * 50), ()) for number in range(40)]


@pytest.mark.parametrize(
    ("room", "comes_back", "rest", "moments"),
    [
        (5, True, [Gap(25), *DOWN[35:], End(15, 25)], 15),
        (50, True, [Gap(20), Gap(5), *DOWN[35:], End(15, 25)], 15),
        (5, False, [], 10),
        (50, False, [Gap(20), Gap(10), End(10, 30)], 10),
    ],
)
def test_a_full_disk_costs_some_moments_and_the_tape_says_which(
    tmp_path: Path, room: int, comes_back: bool, rest: list[Line], moments: int
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, str(room), str(comes_back)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    bench = Bench(tmp_path)
    told = f"{bench.digest('s-1.ndjson')} {moments} {40 - moments} OSError(27, 'File too large')\n"
    assert (run.stdout, run.stderr) == (told, "")
    assert bench.lines("s-1.ndjson") == [Begin(SCHEMA, "dev1", "s-1"), *DOWN[:10], *rest]


# Reading


async def test_a_line_that_was_cut_by_a_crash_is_refused_after_all_before_it(bench: Bench) -> None:
    tape = bench.recorder.begin("dev1", "s-1")
    for number in range(3):
        tape.write(*tick(number))
    await tape.close()
    path = bench.folder / "s-1.ndjson"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:3]) + whole[3][:-10])
    reading = read_tape(path)
    assert [next(reading) for _ in range(3)] == [Begin(SCHEMA, "dev1", "s-1"), tick(0), tick(1)]
    with pytest.raises(WordError):
        next(reading)


@pytest.mark.parametrize("line", ["{}", "[]", '["Moment",[]]', '["Gap",[1.0]]', '["Other",[1]]', '["Gap",[1],2]'])
def test_a_line_that_no_recorder_wrote_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.ndjson").write_text(line + "\n", encoding="ascii")
    with pytest.raises(WordError):
        list(read_tape(tmp_path / "x.ndjson"))
