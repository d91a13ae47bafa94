"""The commands beside a service that runs: a real broker, an emulated stimulator and the service, each a process."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import Embedded

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))

from house import House, therapy

PROGRAM = str(Path(sys.executable).with_name("stimwarden"))
PATIENCE_S = 40.0
WRONG_PHASE = (
    "Nothing was done. The device is not in a phase in which this can be done. "
    "Look at its phase and take the steps in order."
)
RX = '{"prescription_id": "rx-1@1", "patient_ref": "p-1"}'


@pytest.fixture
def house(broker: Broker, tmp_path: Path) -> Iterator[House]:
    """One bed and its settings; the service is not started."""
    yield from open_house(broker, tmp_path)


@pytest.fixture
def served(house: House) -> House:
    """The service runs, and its device is idle."""
    return serve(house)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that several tests may ask, since none of them leaves anything behind."""
    folder = tmp_path_factory.mktemp("shared")
    broker = Embedded(folder)
    broker.start()
    for home in open_house(broker, folder):
        yield serve(home)
    broker.kill()


def open_house(broker: Broker, folder: Path) -> Iterator[House]:
    home = House(folder, broker.host, broker.port)
    home.add_bed()
    home.configure()
    yield home
    asyncio.run(home.close())


def serve(house: House) -> House:
    house.prescribe(therapy())
    house.start()
    deadline = time.monotonic() + PATIENCE_S
    # Only then is somebody there to answer; a question before that waits in vain for as long as `send` waits.
    while not any(line.get("event") == "service.ready" for line in house.log()):
        assert time.monotonic() < deadline, house.log()
        time.sleep(0.1)
    while "  dev1.phase = idle" not in send(house, "service.status")[1]:
        assert time.monotonic() < deadline, house.log()
    return house


def run(house: House, *words: str, **environment: str) -> tuple[int, list[str], list[str]]:
    """Status, what was printed, what was said to be wrong."""
    ran = subprocess.run(
        [PROGRAM, *words, "--config", "config.toml"],
        cwd=house.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=os.environ | environment,
    )  # fmt: skip
    return ran.returncode, ran.stdout.splitlines(), ran.stderr.splitlines()


def send(house: House, verb: str, *words: str) -> tuple[int, list[str], list[str]]:
    return run(house, "send", verb, "--as", "physio-1", *words)


# send


def test_a_command_is_obeyed(shared: House) -> None:
    assert send(shared, "device.claim") == (0, ["succeeded OK: Done.", "  expires_in_ms = 5000"], [])


def test_a_command_is_refused_with_its_reasons(shared: House) -> None:
    assert send(shared, "session.arm") == (
        1,
        [
            f"rejected SES.STATE: {WRONG_PHASE}",
        ],
        [],
    )


def test_every_reason_and_every_fault_of_form_is_told(shared: House) -> None:
    send(shared, "device.claim")
    status, printed, said = send(shared, "session.prepare", "--body", '{"prescription_id": "RX", "patient": "p-1"}')
    assert (status, said, printed[0].split(":")[0]) == (1, [], "rejected CMD.SCHEMA")
    assert [line.split(":")[0].strip() for line in printed[1:]] == [
        "body.prescription_id",
        "body.patient_ref",
        "body.patient",
    ]


def test_a_command_can_be_explained_and_is_not_done(shared: House) -> None:
    send(shared, "device.claim")
    status, printed, said = send(shared, "session.prepare", "--body", RX, "--explain")
    assert (status, said) == (0, [])
    assert printed[0] == "succeeded OK: This was a question; nothing was done. It would be obeyed."
    assert printed[1].split() == ["rule", "channel", "asked", "or", "measured", "limit", "left", "what", "it", "guards"]
    rows = {line.split()[0]: line.split()[1:8] for line in printed[2:] if line[:1] in "GML"}
    assert rows["G09"] == ["1", "300", "us", "400", "us", "100", "us"]
    assert "  dev1.phase = idle" in send(shared, "service.status")[1]


def test_an_explained_refusal_shows_what_binds_first_and_ends_with_1(shared: House) -> None:
    send(shared, "device.release")
    status, printed, _ = send(shared, "session.prepare", "--body", RX, "--explain")
    verdict = "succeeded OK: This was a question; nothing was done. It would be refused. "
    assert (status, printed[0][: len(verdict)]) == (1, verdict)
    assert printed[2].split()[:2] == ["-", "SES.CLAIM_EXPIRED:"]


def test_an_answer_can_be_had_as_it_came(shared: House) -> None:
    status, printed, said = send(shared, "device.claim", "--json")
    answer = json.loads("\n".join(printed))
    assert (status, said) == (0, [])
    assert {key: answer[key] for key in ("schema", "status", "code", "details")} == {
        "schema": "stim.answer/1",
        "status": "succeeded",
        "code": "OK",
        "details": {"expires_in_ms": 5000},
    }


def test_a_stop_without_a_device_goes_to_all(shared: House) -> None:
    status, printed, said = send(shared, "stop")
    assert (status, printed[0], said) == (0, "succeeded OK: Done.", [])


def test_who_asks_matters(shared: House) -> None:
    status, printed, _ = run(shared, "send", "device.claim", "--as", "auditor-1")
    assert (status, printed[0].split(":")[0]) == (1, "rejected AUTH.ROLE")


def test_a_site_without_a_service_is_told(shared: House) -> None:
    status, printed, said = send(shared, "device.claim", "--site", "ward4")
    assert (status, printed, len(said)) == (1, [], 1)
    assert said[0].startswith("no answer to device.claim within 10 s. At site ward4 device dev1 was never heard of;")


def test_a_claim_is_kept_until_it_is_let_go(served: House) -> None:
    """The steps of a session take longer than a claim lasts: one terminal keeps it, another one uses it."""
    keeper = subprocess.Popen(
        [PROGRAM, "send", "device.claim", "--keep", "--as", "physio-1", "--config", "config.toml"],
        cwd=served.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert keeper.stdout is not None
        heard = [keeper.stdout.readline().rstrip() for _ in range(3)]
        assert heard == [
            "succeeded OK: Done.",
            "  expires_in_ms = 5000",
            "dev1 is kept until Ctrl-C; what runs pauses when it is let go",
        ]
        time.sleep(6)
        assert [send(served, verb, "--body", body)[0] for verb, body in (
            ("session.prepare", RX), ("impedance.check", "{}"), ("session.attest", '{"answers": {"pregnancy": "no"}}'),
        )] == [0, 0, 0]  # fmt: skip
    finally:
        keeper.send_signal(signal.SIGINT)
        _, said = keeper.communicate(timeout=PATIENCE_S)
    assert (keeper.returncode, said) == (0, "")
    assert "  dev1.claimed_by = " in send(served, "service.status")[1]


# serve


def test_a_second_service_on_one_journal_ends_in_words(shared: House) -> None:
    status, printed, said = run(shared, "serve")
    assert (status, printed) == (1, [])
    assert said[-1] == "journal.sqlite belongs to another process"


def test_a_service_ends_with_0_on_sigterm(served: House) -> None:
    assert served.service is not None
    served.service.terminate()
    assert served.service.wait(PATIENCE_S) == 0


# watch


class Broker(Protocol):
    """The broker of the fixture."""

    host: str
    port: int

    def kill(self) -> None: ...


class Screen:
    """A terminal of 160 columns with `stimwarden watch` in it."""

    def __init__(self, house: House) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [PROGRAM, "watch", "--as", "physio-1", "--config", "config.toml"],
            cwd=house.folder, stdin=slave, stdout=slave, stderr=slave,
            env=os.environ | {"COLUMNS": "160", "LINES": "40", "TERM": "xterm"},
        )  # fmt: skip
        os.close(slave)
        os.set_blocking(self._master, False)
        self.text = ""

    def shows(self, *wanted: str) -> None:
        """Read on until all of it has been on the screen since the last call."""
        seen, deadline = "", time.monotonic() + PATIENCE_S
        while not all(each in seen for each in wanted):
            assert time.monotonic() < deadline, f"{wanted} not in {seen[-4000:]!r}"
            with suppress(BlockingIOError):
                seen += os.read(self._master, 65_536).decode(errors="replace")
            time.sleep(0.02)
        self.text += seen

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def screen(served: House) -> Iterator[Screen]:
    shown = Screen(served)
    yield shown
    shown.close()


def test_the_page_follows_what_happens_and_ends_with_ctrl_c(served: House, screen: Screen) -> None:
    screen.shows("site ward3: service ward3 is online", "dev1", "idle")
    send(served, "device.claim")
    screen.shows("physio-1")
    send(served, "session.prepare", "--body", RX)
    screen.shows("prepared", "rx-1@1", "20 mA")
    send(served, "stop")
    screen.shows("** dev1", "FLT.LATCHED")
    screen.process.send_signal(signal.SIGINT)
    assert screen.process.wait(PATIENCE_S) == 0


@pytest.mark.hazard("H48")
def test_a_service_that_hangs_is_stale_on_the_page(served: House, screen: Screen) -> None:
    send(served, "device.claim")
    send(served, "session.prepare", "--body", RX)
    screen.shows("prepared", "0 s ago")
    served.kill(signal.SIGSTOP)
    screen.shows("*** stale: nothing for ", "dead man 500 ms")
    served.kill(signal.SIGCONT)


def test_a_broker_that_goes_away_ends_the_page(served: House, screen: Screen, broker: Broker) -> None:
    screen.shows("idle")
    broker.kill()
    screen.shows(f"broker {broker.host}:{broker.port}: ")
    assert screen.process.wait(PATIENCE_S) == 1


# device selftest


def test_a_device_tests_itself(house: House) -> None:
    assert run(house, "device", "selftest") == (
        0,
        [
            "dev1: emulator native-bench EMU-0001, firmware 1.0.0, 2 channels, dead man 500 ms",
            "dev1: the self-test passed",
        ],
        [],
    )


def test_a_device_that_the_service_has_is_left_alone(shared: House) -> None:
    status, printed, said = run(shared, "device", "selftest")
    assert (status, printed, len(said)) == (1, [], 1)
    assert said[0].startswith(f"LINK.BUSY: {shared.beds['dev1'].link}: another program has it open")


def test_a_device_that_does_not_answer(house: House) -> None:
    house.beds["dev1"].process.send_signal(signal.SIGSTOP)
    status, printed, said = run(house, "device", "selftest")
    house.beds["dev1"].process.send_signal(signal.SIGCONT)
    assert (status, printed) == (1, [])
    assert said == ["DEV.SILENT: HELLO had no answer; check the cable, the power and the kind of device"]
