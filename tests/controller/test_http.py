"""Over HTTP: how the service is, from a thread that only reads; on its own here, and in a service that runs."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest

from controller import metrics
from controller.api.document import document
from controller.contract.bodies import VERBS
from controller.http import AT_ONCE, HttpThread, Probe
from safety.effects import Answer, Event
from safety.messages import Claim, Command, Expect, Sample
from safety.verdict import Reason, Severity
from tests.conftest import HOST, Embedded
from tests.controller.peer import until

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))

from house import House

GIVEN = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


class State:
    """What the probe of these tests says."""

    def __init__(self) -> None:
        self.stalled: list[str] = []
        self.ready = True


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def server(state: State) -> Iterator[HttpThread]:
    thread = HttpThread(HOST, 0, Probe(lambda: state.stalled, lambda: {"ready": state.ready, "devices": {}}))
    yield thread
    thread.close()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with closing(error):
            return error.code, error.read().decode()


# The server


def test_it_says_whether_the_safety_loop_goes_round(server: HttpThread, state: State) -> None:
    assert get(server.port, "/healthz") == (200, "ok\n")
    state.stalled = ["dev1", "dev2"]
    assert get(server.port, "/healthz") == (503, "the safety loop stands still: dev1, dev2\n")


def test_it_says_whether_everything_is_there(server: HttpThread, state: State) -> None:
    assert get(server.port, "/readyz") == (200, '{"ready":true,"devices":{}}')
    state.ready = False
    assert get(server.port, "/readyz") == (503, '{"ready":false,"devices":{}}')


def test_anything_else_is_not_there(server: HttpThread) -> None:
    assert get(server.port, "/")[0] == 404
    connection = http.client.HTTPConnection(HOST, server.port, timeout=30)
    connection.request("POST", "/healthz", body=b"x")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_head_without_end_is_refused(server: HttpThread) -> None:
    with socket.create_connection((HOST, server.port), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_more_connections_than_are_served_are_turned_away(server: HttpThread) -> None:
    idle = [socket.create_connection((HOST, server.port), timeout=30) for _ in range(AT_ONCE)]
    assert get(server.port, "/healthz")[0] == 503
    for client in idle:
        client.close()
    while get(server.port, "/healthz")[0] != 200:
        pass


def test_a_port_that_is_taken_is_told_at_once(server: HttpThread) -> None:
    with pytest.raises(OSError, match="in use"):
        HttpThread(HOST, server.port, Probe(list, dict))


def test_after_its_end_nobody_listens(state: State) -> None:
    thread = HttpThread(HOST, 0, Probe(list, dict))
    thread.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, thread.port), timeout=30)


def test_the_program_gives_others_their_turn_and_leaves_what_is_loaded_alone() -> None:
    script = (
        "import gc, sys; from controller.host import keep_turns_short; keep_turns_short();"
        "print(gc.get_freeze_count() > 10_000, sys.getswitchinterval())"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "True 0.001\n"


# What is counted


def counts(text: str) -> dict[tuple[str, str], float]:
    """Every sample of a page of metrics, by name and labels."""
    found = {}
    for line in text.splitlines():
        if match := GIVEN.match(line):
            found[match[1], match[2] or ""] = float(match[3])
    return found


def grown(before: str, after: str) -> dict[tuple[str, str], float]:
    """By how much the counts grew, without buckets and times."""
    old = counts(before)
    return {
        key: value - old.get(key, 0.0)
        for key, value in counts(after).items()
        if value != old.get(key, 0.0) and not key[0].endswith(("_bucket", "_created"))
    }


def page() -> str:
    return metrics.text().decode()


COMMAND = Command(
    id="c", principal="dr", role="physio", issued_wall_ms=0, expires_wall_ms=0, retained=False, expect=Expect(),
    wish=Claim(),
)  # fmt: skip
G08, M18 = Reason("G08", Severity.REFUSE, "LIM.CURRENT"), Reason("M18", Severity.STOP, "DOSE.SESSION")


def test_final_answers_are_counted_and_the_rules_against_them() -> None:
    before = page()
    metrics.answered(Answer(command=COMMAND, status="accepted", code="OK"))
    metrics.answered(Answer(command=COMMAND, status="succeeded", code="OK"))
    metrics.answered(Answer(command=COMMAND, status="rejected", code="LIM.CURRENT", reasons=(G08, M18)))
    metrics.answered(Answer(command=COMMAND, status="failed", code="SYS.INTERNAL", reasons=(G08,)))
    metrics.refused("CMD.SCHEMA")
    assert grown(before, page()) == {
        ("stim_commands_total", 'code="OK",verb="device.claim"'): 1.0,
        ("stim_commands_total", 'code="LIM.CURRENT",verb="device.claim"'): 1.0,
        ("stim_commands_total", 'code="SYS.INTERNAL",verb="device.claim"'): 1.0,
        ("stim_commands_total", 'code="CMD.SCHEMA",verb="none"'): 1.0,
        ("stim_rule_trips_total", 'rule="G08"'): 1.0,
        ("stim_rule_trips_total", 'rule="M18"'): 1.0,
    }


def test_what_the_rules_do_to_the_output_is_counted_once() -> None:
    before = page()
    for kind in ("fault.latched", "session.stopped"):
        metrics.happened(Event(kind=kind, rule="M18", code="DOSE.SESSION", priority="medium", reasons=(M18,)))
    metrics.happened(Event(kind="stop.confirmed", code="OK", priority="none", details=(("waited_ms", 250),)))
    assert grown(before, page()) == {
        ("stim_rule_trips_total", 'rule="M18"'): 1.0,
        ("stim_stop_confirmed_seconds_count", ""): 1.0,
        ("stim_stop_confirmed_seconds_sum", ""): 0.25,
    }


def sample(channel: int, charge_nc: int) -> Sample:
    return Sample(
        channel=channel, ua=0, width_us=0, gap_us=0, period_us=0, measured_ua=0, ohm=0, pulses=0, charge_nc=charge_nc,
        clipped=0, fresh=True, open=False, short=False, clip=False,
    )  # fmt: skip


def test_charge_is_added_up_across_armings() -> None:
    before = page()
    for first, second in ((1_000, 0), (4_000, 500), (200, 500), (200, 700)):
        metrics.delivered("bed-of-a-test", [sample(1, first), sample(2, second)])
    (grew,) = grown(before, page()).items()
    assert grew[0] == ("stim_delivered_charge_coulombs_total", 'device="bed-of-a-test"')
    assert round(grew[1] * 1e9) == 4_000 + 200 + 700


def test_labels_name_no_patient_and_no_person() -> None:
    names = {name for family in metrics.REGISTRY.collect() for each in family.samples for name in each.labels}
    assert names <= {"verb", "code", "rule", "device", "le"}


# In a service


@pytest.fixture
async def house(broker: Embedded, tmp_path: Path) -> AsyncIterator[House]:
    home = House(tmp_path, broker.host, broker.port)
    home.add_bed()
    home.configure(http="{ port = 0 }")
    yield home
    await home.close()


def port_of(house: House) -> int:
    (line,) = [line for line in house.log() if line["event"] == "http.ready"]
    port: int = line["port"]
    return port


async def test_a_service_tells_how_it_is_and_what_it_did(house: House) -> None:
    house.start()
    async with house.client() as client:
        await house.ready(client)
        port = port_of(house)
        assert get(port, "/healthz") == (200, "ok\n")
        await until(lambda: get(port, "/readyz")[0] == 200)
        assert json.loads(get(port, "/readyz")[1]) == {
            "ready": True, "broker": True, "clock": True, "ledger": True, "journal": True, "devices": {"dev1": "idle"},
        }  # fmt: skip
        assert (await client.ask("dev1", "device.claim")).code == "OK"
        assert (await client.ask("dev1", "session.start")).status == "rejected"
        assert (await client.ask("dev1", "session.pause", {"colour": 1})).code == "CMD.SCHEMA"
        assert (await client.ask("dev1", "stop")).status == "succeeded"

        def counted() -> dict[tuple[str, str], float]:
            return counts(get(port, "/metrics")[1])

        await until(lambda: counted().get(("stim_commands_total", 'code="OK",verb="session.stop"')) == 1.0)
        found = counted()
        assert found["stim_commands_total", 'code="OK",verb="device.claim"'] == 1.0
        assert found["stim_commands_total", 'code="CMD.SCHEMA",verb="none"'] == 1.0
        assert found["stim_stop_latency_seconds_count", ""] >= 1.0
        assert found["stim_loop_lateness_seconds_count", ""] > 0
        assert found["stim_serial_rtt_seconds_count", ""] > 0
        said = {value for _, labels in found for value in re.findall(r'(?:verb|code)="([^"]*)"', labels)}
        assert said <= {*VERBS, metrics.NO_VERB, *document()["x-codes"]}


async def test_a_port_that_is_taken_keeps_no_service_from_working(house: House) -> None:
    with socket.create_server((HOST, 0)) as other:
        house.configure(http=f"{{ port = {other.getsockname()[1]} }}")
        house.start()
        async with house.client() as client:
            await house.ready(client)
        assert house.logged("http.unavailable") == 1
        assert house.logged("http.ready") == 0
