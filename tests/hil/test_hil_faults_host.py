"""Faults of the controller's process act through the host that a harness gives, and are refused without one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hil.emulate import Emulator
from hil.faults import FAULTS
from hil.host import Host as Surroundings
from hil.host import NoHost
from hil.start import _serve
from hil.verbs import answer
from hil.wire import NullModem
from tests.conftest import Until
from tests.hil.around import NotedHost, noted
from tests.hil.host import Host, answers_normally

pytestmark = pytest.mark.hazard("H35")

HOST = [name for name, entry in FAULTS.items() if entry.layer == "host"]
METHODS = {name for name in vars(Surroundings) if not name.startswith("_") and name != "lacks"}


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def around(host: Host) -> NotedHost:
    around, host.bench.host = noted()
    return around


def test_each_method_of_a_host_has_a_fault():
    assert {FAULTS[name].needs for name in HOST} == METHODS


@pytest.mark.parametrize("fault", HOST)
def test_without_a_host_it_is_refused(host: Host, fault: str):
    with pytest.raises(NoHost) as caught:
        host.bench.faults.inject(fault)
    assert str(caught.value) == (f"fault='{fault}': it acts on the controller's process, and this bench was given none")
    assert host.bench.faults.standing() == []
    assert fault not in [entry.id for entry in host.bench.faults.possible()]


@pytest.mark.parametrize("fault", HOST)
def test_what_a_host_cannot_do_is_refused_with_its_reason(host: Host, fault: str):
    lacks = {str(FAULTS[fault].needs): "not on this machine"}
    around, host.bench.host = noted(**lacks)
    with pytest.raises(NoHost) as caught:
        host.bench.faults.inject(fault, at_us=host.now_us + 1_000)
    assert str(caught.value) == f"fault='{fault}': not on this machine"
    assert around.told == []
    left = [entry.id for entry in host.bench.faults.possible()]
    assert [name for name in HOST if name in left] == [name for name in HOST if FAULTS[name].needs not in lacks]


@pytest.mark.parametrize(
    ("fault", "settings", "told"),
    [
        pytest.param("late_tick", {}, [("stall", 300), ("stall", 0)], marks=pytest.mark.hazard("H11")),
        pytest.param("late_tick", {"ms": 30_000}, [("stall", 30_000), ("stall", 0)], marks=pytest.mark.hazard("H11")),
        pytest.param("clock_jump", {}, [("jump", 3_600_000), ("jump", -3_600_000)], marks=pytest.mark.hazard("H27")),
        pytest.param("clock_jump", {"ms": -5_000}, [("jump", -5_000), ("jump", 5_000)]),
        pytest.param("disk_full", {}, [("disk", "full"), ("disk", "ok")], marks=pytest.mark.hazard("H39")),
        pytest.param("read_only_disk", {}, [("disk", "read_only"), ("disk", "ok")], marks=pytest.mark.hazard("H39")),
        pytest.param("memory_pressure", {}, [("press", 1_048_576), ("press", None)], marks=pytest.mark.hazard("H31")),
        pytest.param("broker_loss", {}, [("broker", True), ("broker", False)], marks=pytest.mark.hazard("H32")),
        pytest.param("broker_flood", {"rate": 50}, [("flood", 50), ("flood", 0)], marks=pytest.mark.hazard("H33")),
    ],
)
def test_it_acts_through_the_host_and_is_restored(
    host: Host, around: NotedHost, fault: str, settings: dict[str, Any], told: list[tuple[str, object]]
):
    with host.bench.faults.injected(fault, **settings):
        assert around.told == told[:1]
        host.wait(50_000)
    assert around.told == told
    answers_normally(host)


@pytest.mark.parametrize("fault", HOST)
def test_it_is_restored_when_its_context_breaks(host: Host, around: NotedHost, fault: str):
    def breaking() -> None:
        with host.bench.faults.injected(fault):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaking()
    assert len(around.told) == 2
    assert host.bench.faults.standing() == []


def test_a_late_tick_comes_again_and_again_until_it_ends(host: Host, around: NotedHost):
    start_us = host.now_us
    host.bench.faults.inject("late_tick", ms=5, every_ms=20, at_us=start_us + 10_000, for_ms=50)
    when = []
    while host.now_us < start_us + 200_000:
        host.wait(1_000)
        when += [(host.now_us - start_us) // 1_000] * (len(around.told) - len(when))
    assert around.told == [("stall", 5)] * 3 + [("stall", 0)]
    assert when == [10, 30, 50, 60]
    answers_normally(host)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_faults_of_the_disk_the_one_that_is_left_stands(host: Host, around: NotedHost, order: tuple[int, int]):
    tokens = [host.bench.faults.inject("disk_full"), host.bench.faults.inject("read_only_disk")]
    host.bench.faults.clear(tokens[order[0]])
    assert around.told[-1] == ("disk", "read_only" if order[0] == 0 else "full")
    host.bench.faults.clear(tokens[order[1]])
    assert around.told[-1] == ("disk", "ok")


def test_it_ends_where_it_began_even_if_the_bench_gets_another_host(host: Host, around: NotedHost):
    with host.bench.faults.injected("broker_loss"):
        other, host.bench.host = noted()
    assert (around.told, other.told) == ([("broker", True), ("broker", False)], [])


async def test_at_the_back_door_it_has_a_code_of_its_own(host: Host):
    emulator = Emulator(host.bench, NullModem(lambda _: None), lambda: host.now_us)
    emulator.start()
    said = answer(emulator, json.dumps({"id": 4, "do": "fault.inject", "fault": "disk_full"}).encode())
    assert (said["id"], said["ok"], said["code"]) == (4, False, "no_host")
    around, host.bench.host = noted()
    assert answer(emulator, b'{"do": "fault.inject", "fault": "disk_full"}')["ok"]
    listed = answer(emulator, b'{"do": "fault.list"}')
    assert [row["fault"] for row in listed["faults"] if row["layer"] == "host"] == HOST
    assert answer(emulator, b'{"do": "host.set"}') == {"id": None, "ok": True, "pid": None, "lacks": {}}
    assert around.told == [("disk", "full"), ("disk", "ok")]
    assert answer(emulator, b'{"do": "fault.list"}')["standing"] == []
    assert host.bench.host is None
    emulator.stop()


async def test_a_bench_that_is_told_to_end_lets_the_host_go(
    host: Host, around: NotedHost, tmp_path: Path, capsys: pytest.CaptureFixture[str], until: Until
):
    serving = asyncio.create_task(_serve(host.bench, tmp_path / "tty", None, until_eof=False))
    await until(lambda: capsys.readouterr().out.startswith("ready"))
    host.bench.faults.inject("late_tick", ms=86_400_000)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving
    assert around.told == [("stall", 86_400_000), ("stall", 0)]
    assert host.bench.faults.standing() == []
