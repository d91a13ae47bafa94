"""Faults of the device itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from hil.devices.device import Twist
from hil.fault_table import fault, together
from hil.knob import Knob
from hil.settings import CHANNEL, Setting
from hil.way import later

if TYPE_CHECKING:
    from hil.bench import Bench

GAIN = Setting(float, 1.3, "current delivered over current meant", 0.0, 10.0)


def _covered(bench: Bench, channel: int | None, knobs: list[Knob[float]], value: float) -> AbstractContextManager[None]:
    return together(*(knobs[index].covered(value) for index in bench.channels(channel)))


@fault(
    "device",
    "H14",
    "none can see it: the readback is upstream. Device limits and the rail bound it; only the scope tells",
    channel=CHANNEL,
    gain=GAIN,
)
def over_delivery(bench: Bench, *, channel: int | None, gain: float) -> Iterator[None]:
    """More current reaches the body than the sense resistor sees."""
    with _covered(bench, channel, bench.stage.over_delivery, gain):
        yield


@fault("device", "H14", "STOP within two pulses and lock the device (M01)", channel=CHANNEL, gain=GAIN)
def dac_gain(bench: Bench, *, channel: int | None, gain: float) -> Iterator[None]:
    """The output stage gives another current than it was told; the readback sees it."""
    with _covered(bench, channel, bench.stage.dac_gain, gain):
        yield


@fault(
    "device",
    "H14 H08",
    "STOP within two pulses and lock the device where it reads back what it gives (M01); else the rail bounds it",
    channel=CHANNEL,
    ua=Setting(int, 40_000, "the current that it gives instead", 0, 150_000),
)
def stuck_dac(bench: Bench, *, channel: int | None, ua: int) -> Iterator[None]:
    """Every phase has this current, whatever the output stage was told; the readback sees it."""
    with together(*(bench.stage.stuck_ua[index].covered(ua) for index in bench.channels(channel))):
        yield


@fault("device", "H10 H12", "escalate to CUT, lock the device, high alarm within 500 ms (M29)")
def stuck_output(bench: Bench) -> Iterator[None]:
    """The output stage keeps its picture whatever STOP, dead man or firmware say; only the open relay ends it."""
    bench.stage.stick()
    try:
        yield
    finally:
        bench.stage.unstick(bench.own_us)


@fault("device", "H10", "repeat STOP, then CUT; lock the device (M29)", needs="stop_answer")
def ignored_stop(bench: Bench) -> Iterator[None]:
    """STOP is answered, but the device goes on running; the dead man still works."""
    with bench.knob("stop_answer").covered("ignored"):
        yield


@fault("device", "H10", "repeat STOP, then CUT; lock the device (M29)", needs="stop_answer")
def silent_stop(bench: Bench) -> Iterator[None]:
    """STOP is neither answered nor obeyed; the dead man still works."""
    with bench.knob("stop_answer").covered("silent"):
        yield


@fault(
    "device",
    "H13 H50",
    "STOP; no re-arming by itself (M30, G23)",
    power_cycle=Setting(bool, False, "the power was gone, too: this closes a relay that CUT has opened"),
)
def device_reset(bench: Bench, *, power_cycle: bool) -> Iterator[None]:
    """The device starts anew once: another boot number, uptime from zero, output off."""
    bench.device.reset(bench.own_us, power=power_cycle)
    yield


@fault(
    "device",
    "H12 H11",
    "pause on old telemetry, STOP, CUT (M04, M29); the dead man ends the output",
    needs="hung",
    output=Setting(bool, True, "its pulses go on"),
)
def hung_firmware(bench: Bench, *, output: bool) -> Iterator[None]:
    """The firmware answers nothing and its pulses go on, or not; dead man, CUT and patient stop still work."""
    if not output:
        bench.stage.end(bench.own_us)
    with bench.knob("hung").covered(True):
        yield


@fault(
    "device", "H12 H11", "STOP, then CUT, on old telemetry (M04, M29); nothing else ends the output", needs="dead_man"
)
def lost_dead_man(bench: Bench) -> Iterator[None]:
    """The device's own time-out never comes: its pulses go on without a host."""
    with bench.knob("dead_man").covered(False):
        yield


@fault(
    "device",
    "H04 H06",
    "none can see it: where the device measures nothing, its own check is the only one; only the scope tells",
    needs="skin_check",
)
def blind_skin_check(bench: Bench) -> Iterator[None]:
    """The device finds every electrode good and pushes its pulses at it, a lead that is off included."""
    with bench.knob("skin_check").covered(False):
        yield


@fault("device", "H12", "STOP; no re-arming by itself (M30)", needs="module_failed")
def module_error(bench: Bench) -> Iterator[None]:
    """The stimulation module fails: the device stops by itself and says so, and again when it is to start."""
    with bench.knob("module_failed").covered(True):
        bench.device.sense(bench.own_us)
        yield


@fault(
    "device",
    "H15",
    "STOP and lock the device: net charge (M16)",
    channel=CHANNEL,
    fraction=Setting(float, 0.0, "part of the second phase that is given", 0.0, 1.0),
)
def missing_phase_2(bench: Bench, *, channel: int | None, fraction: float) -> Iterator[None]:
    """The second phase of each pulse is missing or too short."""
    with _covered(bench, channel, bench.stage.second_phase, fraction):
        yield


@fault(
    "device",
    "H16",
    "STOP and lock the device (M27)",
    needs="echo_offset_ua",
    offset_ua=Setting(int, 1_000, "echo minus set current", -100_000, 100_000),
)
def wrong_echo(bench: Bench, *, offset_ua: int) -> Iterator[None]:
    """STATUS tells another set current than the one in force."""
    with bench.knob("echo_offset_ua").covered(offset_ua):
        yield


@fault(
    "device",
    "H50 H13",
    "pause, then STOP; no re-arming by itself (M28)",
    needs="supply_mv",
    mv=Setting(int, 9_000, "supply voltage", 0, 65_535),
)
def supply(bench: Bench, *, mv: int) -> Iterator[None]:
    """The supply voltage leaves its band: a brown-out, where the device has no word for it."""
    try:
        with bench.knob("supply_mv").covered(mv):
            bench.device.sense(bench.own_us)
            yield
    finally:
        bench.device.sense(bench.own_us)


@fault(
    "device",
    "H50 H13",
    "STOP on telemetry that is gone; no re-arming by itself (M04, M29, M30, G23)",
    needs="hung",
)
def brown_out(bench: Bench) -> Iterator[None]:
    """The supply is gone: no pulse, no answer, whatever was stuck; when it is back the device starts anew."""
    bench.stage.end(bench.own_us)
    try:
        with bench.stage.powered.covered(False), bench.knob("hung").covered(True):
            yield
    finally:
        bench.device.reset(bench.own_us, power=True)


@fault(
    "device",
    "H16 H12",
    "none can see a few percent of pulses; the dead man comes at another time than it should, so keep-alives have room",
    ppm=Setting(int, 50_000, "parts per million that it is fast", -500_000, 1_000_000),
)
def drifted_clock(bench: Bench, *, ppm: int) -> Iterator[None]:
    """The device's only clock is fast or slow: periods, widths, dead man, uptime."""
    with bench.clock.drifting(ppm, lambda: bench.now_us):
        yield


@fault(
    "device",
    "H22 H23 H35",
    "refuse the device (G23)",
    needs="claims",
    emulator=Setting(bool, False, "the emulator flag, where the protocol has one"),
    model=Setting(str, None, "another model name, ASCII, cut to fit"),
)
def wrong_id(bench: Bench, *, model: str | None, emulator: bool) -> Iterator[None]:
    """The device says that it is another one: the emulator flag, another model."""
    with bench.knob("claims").covered(bench.device.lie(model=model, emulator=emulator)):
        yield


@fault(
    "device",
    "H12",
    "refuse the device until it passes (G23)",
    needs="self_test",
    result=Setting(int, 1, "bits of SELFTESTED: 1 memory, 2 output stage, 4 relay, 8 measurement", 1, 15),
)
def failed_self_test(bench: Bench, *, result: int) -> Iterator[None]:
    """SELFTEST finds something."""
    with bench.knob("self_test").covered(result):
        yield


@fault(
    "device",
    "H10 H12",
    "an answer later than the ack budget is no answer; pause on old telemetry (M04)",
    delay_ms=Setting(int, 200, "how much later", 0, 60_000),
)
def slow_answers(bench: Bench, *, delay_ms: int) -> Iterator[None]:
    """Everything that the device sends arrives late."""
    with bench.to_host.manipulated(later(delay_ms * 1000)):
        yield


@fault(
    "device",
    "H16",
    "an answer that is not the one awaited is no answer, and counts as damaged (M26)",
    needs="twist",
    number=Setting(int, 1, "added to the packet number", 0, 255),
    command=Setting(int, 0, "added to the command", 0, 1_023),
    result=Setting(int, None, "in place of the true result", 0, 255),
    cut=Setting(int, 0, "bytes missing at the end", 0, 64),
)
def wrong_answer(bench: Bench, *, number: int, command: int, result: int | None, cut: int) -> Iterator[None]:
    """Answers with a sound checksum that belong to another request, tell another result, or are too short."""
    with bench.knob("twist").covered(Twist(number, command, result, cut)):
        yield


@fault(
    "device",
    "H06 H14",
    "zero and STOP on an electrode error, whatever was measured before (M07)",
    needs="channel_errors",
    channel=CHANNEL,
    code=Setting(int, 1, "1 electrode, 2 pulse timeout, 3 low current", 1, 3),
)
def channel_error(bench: Bench, *, channel: int | None, code: int) -> Iterator[None]:
    """The device finds an error at the next pulse of a channel, and stops that channel or all of them."""
    errors = {index + 1: code for index in bench.channels(channel)}
    with bench.knob("channel_errors").covered(bench.knob("channel_errors").value | errors):
        yield
