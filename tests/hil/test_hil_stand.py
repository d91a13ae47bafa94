"""The benches that a suite can run on: what may be asked for, the relay of a real port, what is taken is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from hil import simtime
from hil.devices.native_words import Fitted
from hil.emulate import Emulator
from hil.measure import ms
from hil.probe import Faults, ScopeProbe, WireProbe
from hil.samples import DeafError
from hil.settings import BadSetting
from hil.stand import NotHereError, OutOfReachError, Plan, PortStand, PtyStand, Spec, Stand, VirtualStand, spec
from hil.wire import InUse
from tests.conftest import Until
from tests.hil.far import Talk, descriptors, on_tcp, on_terminal
from tests.hil.host import PLAIN, frame

pytestmark = pytest.mark.hazard("H35")

VIRTUAL = spec("virtual", "native", 0, None)
Far = Callable[[Path], AbstractAsyncContextManager[tuple[str, Emulator]]]


@pytest.fixture(params=["serial", "tcp"])
def far(request: pytest.FixtureRequest) -> Far:
    """Each kind of real port in turn."""
    return on_terminal if request.param == "serial" else lambda _: on_tcp()


@pytest.mark.parametrize(
    ("url", "scope", "expected"),
    [
        ("virtual", None, Spec("virtual", "virtual", "native", 3, "emulator", "")),
        ("pty", "emulator", Spec("pty", "pty", "native", 3, "emulator", "")),
        ("pty", "none", Spec("pty", "pty", "native", 3, "none", "")),
        ("/dev/ttyUSB0", None, Spec("serial", "/dev/ttyUSB0", "native", 3, "none", "")),
        ("/dev/ttyUSB0", "csv:a:b.csv", Spec("serial", "/dev/ttyUSB0", "native", 3, "csv", "a:b.csv")),
        ("tcp://h:1", "adc:/dev/ttyACM0", Spec("tcp", "tcp://h:1", "native", 3, "adc", "/dev/ttyACM0")),
        ("tcp://[::1]:23", "adc:tcp://h:2", Spec("tcp", "tcp://[::1]:23", "native", 3, "adc", "tcp://h:2")),
    ],
)
def test_a_bench_that_may_be_asked_for(url: str, scope: str | None, expected: Spec):
    assert spec(url, "native", 3, scope) == expected


@pytest.mark.parametrize(
    ("url", "device", "scope", "key", "words"),
    [
        ("usb", "native", None, "bench", "virtual, pty, the path of a port, or tcp://HOST:PORT"),
        ("ttyUSB0", "native", None, "bench", "virtual, pty"),
        ("tcp://h", "native", None, "bench", "virtual, pty"),
        ("tcp://h:", "native", None, "bench", "virtual, pty"),
        ("pty", "toaster", None, "bench-device", "native, sciencemode4, sciencemode2"),
        ("/dev/x", "native", "emulator", "bench-scope", "none, csv:FILE or adc:PORT"),
        ("/dev/x", "native", "csv:", "bench-scope", "none, csv:FILE or adc:PORT"),
        ("/dev/x", "native", "adc", "bench-scope", "none, csv:FILE or adc:PORT"),
        ("/dev/x", "native", "none:1", "bench-scope", "none, csv:FILE or adc:PORT"),
        ("pty", "native", "csv:x", "bench-scope", "emulator or none"),
        ("virtual", "native", "adc:/dev/x", "bench-scope", "emulator or none"),
    ],
)
def test_a_bench_that_there_is_not(url: str, device: str, scope: str | None, key: str, words: str):
    with pytest.raises(BadSetting) as bad:
        spec(url, device, 0, scope)
    assert bad.value.key == key
    assert words in bad.value.expected


@pytest.mark.parametrize(
    ("url", "scope", "words"),
    [
        ("virtual", None, []),
        ("pty", "none", ["--bench-scope", "none"]),
        ("/dev/x", "none", []),
        ("/dev/x", "csv:f.csv", ["--bench-scope", "csv:f.csv"]),
    ],
)
def test_the_words_that_ask_for_it_again(url: str, scope: str | None, words: list[str]):
    asked = spec(url, "sciencemode4", 9, scope)
    assert asked.options == ["--bench", url, "--bench-device", "sciencemode4", "--bench-seed", "9", *words]


def test_the_same_talk_on_a_virtual_bench_takes_the_time_of_its_bits():
    async def main() -> list[tuple[int, int]]:
        async with VirtualStand(VIRTUAL, Plan(skins=[PLAIN], channels=1)) as stand:
            talk = Talk(await stand.connect())
            await talk.run()
            await asyncio.sleep(0.1)
            await talk.stop()
            await talk.close()
            assert stand.base == "virtual"
            with pytest.raises(NotHereError, match=r"in virtual time there is no port: use `await bench.connect\(\)`"):
                _ = stand.port
            stand.touch()
            return [(trace.at_us, trace.first_ua) for trace in stand.core.scope.pulses(1)]

    first, again = simtime.run(main()), simtime.run(main())
    assert first == again
    assert [at_us - first[0][0] for at_us, _ in first] == list(range(0, 120_000, 20_000))
    assert {ua for _, ua in first} == {20_000}


async def test_a_virtual_bench_needs_virtual_time():
    with pytest.raises(NotHereError, match="no virtual time was begun"):
        VirtualStand(VIRTUAL, Plan())


async def test_a_pty_bench_is_a_port_and_a_pair_of_streams(tmp_path: Path):
    async with PtyStand(spec("pty", "native", 0, None), Plan(skins=[PLAIN], channels=1), tmp_path / "tty") as stand:
        assert (stand.base, stand.port) == ("emulator", str(tmp_path / "tty"))
        talk = Talk(await stand.connect())
        await talk.run()
        await talk.stop()
        await talk.close()
        assert stand.core.scope.pulses(1)[0].first_ua == 20_000
        with pytest.raises(InUse):
            PtyStand(stand.spec, Plan(), tmp_path / "tty")
    assert not (tmp_path / "tty").exists()


def test_a_device_is_as_it_was_planned():
    async def main() -> None:
        async with VirtualStand(VIRTUAL, Plan(channels=3, clinical=True)) as stand:
            assert len(stand.core.bodies) == 3
            assert stand.core.knob("claims").value.flags & Fitted.EMULATOR == 0
        plan = Plan(serial="EMU4-00042", switches={"dead_man_ms": 300})
        async with VirtualStand(spec("virtual", "sciencemode4", 0, None), plan) as stand:
            assert stand.core.device.badge()["serial"] == "EMU4-00042"
            assert stand.core.device.switches["dead_man_ms"] == 300
            assert stand.core.device.switches["hv_ms"] == stand.core.device.switchable["hv_ms"].default
        with pytest.raises(BadSetting, match="dead_man_ms"):
            VirtualStand(stand.spec, Plan(switches={"dead_man_ms": "long"}))

    simtime.run(main())


def test_a_bench_on_another_loop_than_its_test_says_so():
    made: list[Stand] = []

    async def begin() -> None:
        made.append(await VirtualStand(VIRTUAL, Plan()).__aenter__())

    async def use() -> None:
        with pytest.raises(NotHereError, match="asyncio_default_fixture_loop_scope"):
            made[0].touch()
        with pytest.raises(NotHereError, match="asyncio_default_fixture_loop_scope"):
            await made[0].connect()

    simtime.run(begin())
    simtime.run(use())


async def test_a_real_port_is_relayed_and_taped(far: Far, tmp_path: Path):
    async with far(tmp_path) as (url, device), PortStand(spec(url, "native", 0, None), Plan(channels=2)) as stand:
        assert (stand.base, stand.port) == ("host", url)
        talk = Talk(await stand.connect())
        await talk.run()
        await talk.stop()
        device.touch()
        assert device.bench.scope.pulses(1)[0].first_ua == 20_000
        ways = [chunk.direction for chunk in WireProbe(stand).chunks()]
        assert ways.count("to_device") == 4
        assert ways.count("to_host") >= 4
        with pytest.raises(NotHereError, match="the bench has this port open for `connect`"):
            _ = stand.port
        await talk.close()
        again = Talk(await stand.connect())
        await again.stop()
        await again.close()


@pytest.mark.hazard("H16")
async def test_wire_faults_act_on_a_relayed_line(far: Far, tmp_path: Path):
    async with far(tmp_path) as (url, device), PortStand(spec(url, "native", 0, None), Plan(channels=2)) as stand:
        talk = Talk(await stand.connect())
        await talk.run()
        with Faults(stand).drop(direction="to_device", nth=1) as fault:
            talk.writer.write(frame(5, 99))
            await talk.ask(7)
        # The STOP never came to the device, and what was behind it did.
        assert device.bench.device.badge()["state"] == "RUNNING"
        assert [(one.fault, one.at_us) for one in stand.notes.injections] == [("drop", fault.at_us)]
        await talk.stop()
        await talk.close()


@pytest.mark.parametrize("fault", ["peel", "over_delivery", "slow_answers"])
async def test_no_fault_reaches_into_a_real_device(fault: str, tmp_path: Path):
    async with on_terminal(tmp_path) as (url, _), PortStand(spec(url, "native", 0, None), Plan()) as stand:
        _, writer = await stand.connect()
        with (
            pytest.raises(OutOfReachError, match=r"fault is out of the bench's reach on a real device; run it with"),
            getattr(Faults(stand), fault)(),
        ):
            pass
        assert stand.core.faults.standing() == []
        writer.close()


async def test_a_line_that_is_not_relayed_cannot_be_spoilt(tmp_path: Path):
    async with on_terminal(tmp_path) as (url, _), PortStand(spec(url, "native", 0, None), Plan()) as stand:
        with pytest.raises(OutOfReachError, match=r"where the controller opens the port by itself"):  # noqa: SIM117
            with Faults(stand).dead_line():
                pass
        with pytest.raises(OutOfReachError, match=r"where the controller opens the port by itself"):
            WireProbe(stand).pull()
        assert stand.port == url


@pytest.mark.hazard("H13")
async def test_a_plug_that_is_pulled_from_a_relay_is_the_end_for_the_host(tmp_path: Path):
    async with on_terminal(tmp_path) as (url, _), PortStand(spec(url, "native", 0, None), Plan()) as stand:
        reader, _ = await stand.connect()
        wire = WireProbe(stand)
        wire.pull()
        assert not wire.is_up
        while await reader.read(100):
            pass
        wire.put()
        talk = Talk(await stand.connect())
        await talk.stop()
        await talk.close()


async def test_a_real_device_that_goes_away_is_the_end_for_the_host(far: Far, tmp_path: Path):
    async with far(tmp_path) as (url, device), PortStand(spec(url, "native", 0, None), Plan()) as stand:
        reader, _ = await stand.connect()
        device.line.pull()
        while await reader.read(100):
            pass


async def test_one_port_serves_one_bench(far: Far, tmp_path: Path):
    async with far(tmp_path) as (url, _):
        asked = spec(url, "native", 0, None)
        async with PortStand(asked, Plan()):
            with pytest.raises(InUse, match="another emulator serves it"):
                await PortStand(asked, Plan()).__aenter__()
        async with PortStand(asked, Plan()):
            pass


async def test_a_port_that_is_none_is_refused_and_nothing_stays_taken(tmp_path: Path):
    for name in ("none", "file"):
        path = tmp_path / name
        asked = spec(str(path), "native", 0, None)
        for _ in range(2):
            with pytest.raises(OSError, match=f"{name}: no serial port that can be read and written"):
                await PortStand(asked, Plan()).__aenter__()
        (tmp_path / "file").touch()


async def test_an_instrument_that_is_not_there_is_an_error_and_nothing_stays_taken(tmp_path: Path):
    async with on_terminal(tmp_path) as (url, _):
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await PortStand(spec(url, "native", 0, f"csv:{tmp_path}/none.csv"), Plan()).__aenter__()
            with pytest.raises(FileNotFoundError):
                await PortStand(spec(url, "native", 0, f"adc:{tmp_path}/none"), Plan()).__aenter__()


async def test_the_scope_of_a_real_port_is_the_instrument(tmp_path: Path):
    table = tmp_path / "scope.csv"
    table.touch()
    async with on_terminal(tmp_path) as (url, _):
        asked = spec(url, "native", 0, f"csv:{table}")
        async with PortStand(asked, Plan(channels=2)) as stand:
            scope = ScopeProbe(stand)
            with pytest.raises(DeafError):
                scope.pulses(1)
            table.write_text(
                "".join(
                    f"{at},1,{ua}\n"
                    for at, ua in [(0, 0), (100, 9_000), (300, 0), (5_100, 9_000), (5_300, 0), (9_000, 0)]
                )
            )
            first, last = scope.pulses(1)
            assert scope.span(first, last) == (5_000, "instrument")
            assert scope.span(first, last).us / ms.holds == 5
            assert scope.total(1).max_ua == 9_000
    before = descriptors()
    async with on_terminal(tmp_path) as (url, _), PortStand(spec(url, "native", 0, f"csv:{table}"), Plan()):
        pass
    assert descriptors() == before


async def test_the_scope_of_a_real_port_may_be_a_serial_adc(tmp_path: Path, until: Until):
    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"# begin\n0,2,0\n100,2,9000\n300,2,0\n9000,2,0\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(tell, "127.0.0.1", 0) as server, on_terminal(tmp_path) as (url, _):
        adc = f"adc:tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with PortStand(spec(url, "native", 0, adc), Plan(channels=2)) as stand:
            await until(lambda: stand.core.scope.pulses(2))
            assert [trace.first_ua for trace in ScopeProbe(stand).pulses(2)] == [9_000]
