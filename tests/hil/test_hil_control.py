"""The back door: every verb over a real unix socket, and that no line of bytes upsets it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.bench import Bench
from hil.body import SETTINGS
from hil.control import LONGEST_LINE, Control, ControlError, served
from hil.devices.native import native
from hil.devices.native_words import Identity
from hil.emulate import Emulator
from hil.faults import FAULTS
from hil.verbs import VERBS, answer
from hil.wire import InUse, NullModem
from tests.hil.host import (
    ARM,
    ASK,
    DRIVE,
    EVENT,
    HELLO,
    IDENTITY,
    NAK,
    PLAIN,
    START_US,
    STATUS,
    arm_payload,
    decoded,
    drive_payload,
    frame,
)

pytestmark = pytest.mark.hazard("H35")


class Rig:
    """An emulator on a null modem whose clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.got = bytearray()
        self.line = NullModem(self.got.extend)
        bench = Bench(native(Identity()), [PLAIN, PLAIN], START_US)
        self.emulator = Emulator(bench, self.line, lambda: self.now_us)

    def ask(self, kind: int, payload: bytes = b"") -> dict[str, Any]:
        """One frame over the line; gives its answer and drops events."""
        self.got.clear()
        self.line.send(frame(kind, 1, payload))
        (found,) = [one for one in decoded(bytes(self.got)) if one["type"] != EVENT]
        return found

    def run(self) -> None:
        """20 mA, 300 us, 50 Hz on channel 1."""
        self.ask(ARM, arm_payload(7, 60_000, (1, 50_000, 500, 8_000, 10**9)))
        self.ask(DRIVE, drive_payload(7, 1, (1, 20_000, 300, 0, 20_000)))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    rig.emulator.start()
    yield rig
    rig.emulator.stop()


@pytest.fixture
async def control(rig: Rig, tmp_path: Path) -> AsyncIterator[Control]:
    async with served(rig.emulator, tmp_path / "ctl"), await Control.open(tmp_path / "ctl") as control:
        yield control


# --- verbs ------------------------------------------------------------------------------------------------------------


async def test_ping(rig: Rig, control: Control):
    rig.now_us += 5
    assert await control.do("ping") == {
        "model": "native-bench",
        "serial": "EMU-0001",
        "state": "STOPPED",
        "now_us": START_US + 5,
        "line": True,
    }


async def test_device(rig: Rig, control: Control):
    rig.run()
    rig.now_us += 30_000
    inside = await control.do("device")
    assert inside["state"] == "RUNNING"
    assert inside["faults"] == []
    assert inside["picture"] == [{"channel": 1, "ua": 20_000, "width_us": 300, "gap_us": 0, "period_us": 20_000}]
    assert inside["channels"][0]["pulses"] == 2
    assert (inside["permit"], inside["grant"], inside["fed_ago_ms"]) == (7, 1, 30)
    assert (inside["is_live"], inside["relay_closed"]) == (True, True)
    # Looking takes nothing away from the host.
    assert rig.ask(ASK)["channels"][0]["flags"] == 8
    rig.now_us += 1_000_000
    inside = await control.do("device")
    assert (inside["state"], inside["faults"], inside["picture"]) == ("STOPPED", ["DEAD_MAN"], [])


async def test_scope_and_pulses(rig: Rig, control: Control):
    rig.run()
    rig.now_us += 45_000
    total = {
        "channel": 1,
        "pulses": 3,
        "charge_nc": 36_000.0,
        "net_nc": 0.0,
        "max_ua": 20_000,
        "density": pytest.approx(0.1386, abs=1e-4),
        "last_us": START_US + 40_000,
        "dropped": 0,
    }
    assert (await control.do("scope", channel=1))["channels"] == [total]
    both = (await control.do("scope"))["channels"]
    assert [one["pulses"] for one in both] == [3, 0]
    assert both[1]["last_us"] is None
    found = await control.do("pulses", channel=1, since_us=START_US + 1, limit=1)
    assert found == {
        "pulses": [
            {"at_us": START_US + 20_000, "first_ua": 20_000, "second_ua": 20_000, "charge_nc": 12_000.0, "net_nc": 0.0}
        ],
        "more": True,
        "dropped": 0,
    }
    assert not (await control.do("pulses"))["more"]
    await control.do("reset_scope")
    assert (await control.do("scope"))["channels"][0]["pulses"] == 0


async def test_body(rig: Rig, control: Control):
    (before,) = (await control.do("body.get", channel=2))["bodies"]
    assert set(before["set"]) == set(SETTINGS)
    assert before["now"] == before["set"]
    (changed,) = (await control.do("body.set", channel=2, area_cm2=9, resistor_ohm=500.0))["bodies"]
    assert changed["set"] == before["set"] | {"area_cm2": 9.0, "resistor_ohm": 500.0}
    async with control.injected("peel", end=0.5, over_ms=0):
        one, two = (await control.do("body.get"))["bodies"]
        assert (one["set"]["contact"], one["now"]["contact"]) == (1.0, 0.5)
        assert two["now"]["area_cm2"] == 9.0
    both = (await control.do("body.set", resistor_ohm=None, contact=0.8))["bodies"]
    assert [one["set"]["contact"] for one in both] == [0.8, 0.8]
    assert rig.emulator.bench.bodies[1].skin.resistor_ohm is None


async def test_fault_list_is_the_table(control: Control):
    listed = await control.do("fault.list")
    others = {"blind_skin_check", "module_error", "wrong_answer", "channel_error"}
    assert [row["fault"] for row in listed["faults"]] == [
        name for name, entry in FAULTS.items() if entry.layer != "host" and name not in others
    ]
    peel = listed["faults"][0]
    assert (peel["layer"], peel["hazards"]) == ("body", ["H04", "H05"])
    assert peel["settings"]["end"] == {
        "default": 0.2,
        "expected": "a number from 0 to 1",
        "text": "contact fraction at the end",
    }
    assert listed["standing"] == []


async def test_faults_by_token(rig: Rig, control: Control):
    rig.run()
    first = (await control.do("fault.inject", fault="snap_off", channel=1))["token"]
    second = (await control.do("fault.inject", fault="supply", mv=9_000, at_us=START_US + 50_000))["token"]
    rig.now_us += 20_000
    standing = (await control.do("fault.list"))["standing"]
    assert [(one["token"], one["fault"], one["is_active"]) for one in standing] == [
        (first, "snap_off", True),
        (second, "supply", False),
    ]
    assert standing[1]["settings"] == {"mv": 9_000}
    assert [(one["type"], one.get("kind")) for one in decoded(bytes(rig.got))][-1] == (EVENT, 5)
    rig.now_us += 30_000
    assert (await control.do("device"))["faults"] == ["SUPPLY"]
    await control.do("fault.clear", token=first)
    await control.do("fault.clear")
    assert (await control.do("fault.list"))["standing"] == []


async def test_a_fault_as_a_context_ends_with_it_even_when_it_breaks(rig: Rig, control: Control):
    async def breaking() -> None:
        async with control.injected("silent_stop"):
            assert rig.emulator.bench.device.model.stop_answer.value == "silent"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaking()
    assert rig.emulator.bench.device.model.stop_answer.value == "obeyed"
    async with control.injected("silent_stop", for_ms=1):
        rig.now_us += 2_000
        assert (await control.do("fault.list"))["standing"] == []


async def test_the_button(rig: Rig, control: Control):
    rig.run()
    rig.got.clear()
    await control.do("button.press")
    assert [event["kind"] for event in decoded(bytes(rig.got))] == [1]
    assert (await control.do("device"))["state"] == "STOPPED"
    assert rig.ask(ARM, arm_payload(8, 60_000, (1, 1, 1, 8_000, 1)))["type"] == NAK
    rig.got.clear()
    await control.do("button.release")
    assert [event["kind"] for event in decoded(bytes(rig.got))] == [2]


async def test_the_line(rig: Rig, control: Control):
    await control.do("line.pull")
    assert not (await control.do("ping"))["line"]
    with pytest.raises(OSError, match="pulled"):
        rig.line.send(b"x")
    await control.do("line.put")
    assert rig.ask(HELLO)["type"] == IDENTITY


async def test_the_tape(rig: Rig, control: Control):
    rig.now_us += 1_000
    rig.ask(ASK)
    asked = await control.do("tape", since_us=START_US + 1, limit=1)
    assert asked["tape"] == [{"at_us": START_US + 1_000, "direction": "to_device", "hex": frame(ASK, 1).hex()}]
    assert asked["more"]
    whole = (await control.do("tape"))["tape"]
    assert [row["direction"] for row in whole] == ["to_host", "to_device", "to_host"]
    assert decoded(bytes.fromhex(whole[-1]["hex"]))[0]["type"] == STATUS


async def test_a_native_device_has_no_switches(control: Control):
    assert await control.do("switch.get") == {"switches": {}}
    with pytest.raises(ControlError, match="bad_setting: x=1: expected a key out of none"):
        await control.do("switch.set", x=1)


async def test_every_verb_is_known_to_this_file():
    assert set(VERBS) == {
        "ping",
        "device",
        "switch.get",
        "switch.set",
        "scope",
        "pulses",
        "reset_scope",
        "body.get",
        "body.set",
        "fault.list",
        "fault.inject",
        "fault.clear",
        "host.set",
        "button.press",
        "button.release",
        "line.pull",
        "line.put",
        "tape",
    }


# --- what is wrong becomes an answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (b"", "bad_json", "not a line of JSON"),
        (b"{", "bad_json", "not a line of JSON"),
        (b"\xff\xfe", "bad_json", "not a line of JSON"),
        (b"[" * 60_000, "bad_json", "not a line of JSON"),
        (b"1" * 60_000, "bad_json", "not a line of JSON"),
        (b"[]", "bad_setting", "expected an object"),
        (b"null", "bad_setting", "expected an object"),
        (b"{}", "unknown_verb", "do=None: expected one of ping"),
        (b'{"do": ["ping"]}', "unknown_verb", "expected one of"),
        (b'{"do": "pong"}', "unknown_verb", "do='pong': expected one of ping, device"),
        (b'{"do": "ping", "x": 1}', "bad_setting", "x=1: expected a key out of none"),
        (b'{"do": "scope", "channel": 3}', "bad_setting", "channel=3: expected a channel from 1 to 2"),
        (b'{"do": "scope", "channel": "1"}', "bad_setting", "expected a whole number from 1 to 8 or null"),
        (b'{"do": "pulses", "channel": 0}', "bad_setting", "channel=0"),
        (b'{"do": "pulses", "channel": null}', "bad_setting", "channel=None"),
        (b'{"do": "pulses", "limit": 1e3}', "bad_setting", "limit=1000.0"),
        (b'{"do": "pulses", "since_us": -1}', "bad_setting", "since_us=-1"),
        (b'{"do": "body.set", "contact": NaN}', "bad_setting", "contact=nan: expected a number from 0 to 1"),
        (b'{"do": "body.set", "contact": 1e999}', "bad_setting", "contact=inf"),
        (b'{"do": "body.set", "skin": 1}', "bad_setting", "expected a key out of channel, area_cm2"),
        (b'{"do": "body.set", "channel": 5, "contact": 0.5}', "bad_setting", "channel=5"),
        (b'{"do": "fault.inject"}', "bad_setting", "fault=None: expected one of peel"),
        (b'{"do": "fault.inject", "fault": 1}', "bad_setting", "fault=1: expected one of peel"),
        (b'{"do": "fault.inject", "fault": "peal"}', "bad_setting", "fault='peal': expected one of peel"),
        (b'{"do": "fault.inject", "fault": "peel", "end": 2}', "bad_setting", "end=2: expected a number from 0 to 1"),
        (b'{"do": "fault.clear", "token": "f9"}', "bad_setting", "token='f9': expected all or one of none"),
        (
            b'{"do": "fault.inject", "fault": "channel_error"}',
            "not_this_device",
            "fault='channel_error': a native device has none; it has peel, ",
        ),
    ],
)
async def test_a_bad_line_gets_a_code_and_a_text(rig: Rig, line: bytes, code: str, text: str):
    said = answer(rig.emulator, line)
    assert (said["ok"], said["code"], said["id"]) == (False, code, None)
    assert text in said["text"]
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize(
    ("given_id", "echoed"), [(1, 1), ("a", "a"), (None, None), ([1], None), ({}, None), (1.5, None)]
)
async def test_the_id_comes_back(rig: Rig, given_id: object, echoed: object):
    for do in ("ping", "pong"):
        assert answer(rig.emulator, json.dumps({"id": given_id, "do": do}).encode())["id"] == echoed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["channel", "fault", "token", "since_us", "limit", "contact", "end", "at_us", "for_ms", "over_ms", "bench"]
REQUESTS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4)
VERB_NAMES = st.sampled_from([name for name in VERBS if not name.startswith("line")])


@given(st.lists(st.tuples(VERB_NAMES, REQUESTS, st.sampled_from([*FAULTS, None])), max_size=4), st.binary(max_size=60))
async def test_no_line_ever_raises(requests: list[tuple[str, dict[str, Any], str | None]], junk: bytes):
    rig = Rig()
    rig.emulator.start()
    assert answer(rig.emulator, junk)["ok"] is False
    for do, settings, fault in requests:
        said = answer(rig.emulator, json.dumps({**settings, "fault": fault, "do": do} if fault else settings).encode())
        assert said["ok"] or said["code"] in {"bad_setting", "unknown_verb", "not_this_device", "no_host"}
    rig.emulator.bench.faults.clear_all()
    assert answer(rig.emulator, b'{"do": "ping"}')["ok"]
    rig.emulator.stop()


# --- the socket -------------------------------------------------------------------------------------------------------


async def test_the_socket_is_private_and_goes_with_the_bench(rig: Rig, tmp_path: Path):
    path = tmp_path / "ctl"
    async with served(rig.emulator, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not os.path.lexists(path)  # noqa: ASYNC240 - a test may wait


async def test_lines_may_come_in_pieces_and_together(rig: Rig, tmp_path: Path):
    async with served(rig.emulator, tmp_path / "ctl"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "ctl")
        for piece in (
            b'{"id": 1, "do"',
            b': "ping"}\n{"id": 2, "do": "ping"}\n',
            b"rubbish\n",
            b'{"id": 3, "do": "ping"}\n',
        ):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        said = [json.loads(await reader.readline()) for _ in range(4)]
        assert [(one["id"], one["ok"]) for one in said] == [(1, True), (2, True), (None, False), (3, True)]
        writer.close()
        await writer.wait_closed()


async def test_a_line_without_end_is_refused_and_the_client_dropped(rig: Rig, tmp_path: Path):
    async with served(rig.emulator, tmp_path / "ctl"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "ctl")
        writer.write(b"x" * (LONGEST_LINE + 1))
        said = json.loads(await reader.readline())
        assert (said["ok"], said["code"]) == (False, "too_long")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        async with await Control.open(tmp_path / "ctl") as control:
            assert (await control.do("ping"))["line"]


async def test_a_client_that_does_not_read_holds_nobody_up(rig: Rig, tmp_path: Path):
    async with served(rig.emulator, tmp_path / "ctl"):
        _, deaf = await asyncio.open_unix_connection(tmp_path / "ctl")
        deaf.write(b'{"do": "fault.list"}\n' * 2_000)
        async with await Control.open(tmp_path / "ctl") as control:
            for _ in range(10):
                assert (await control.do("ping"))["line"]
        deaf.transport.abort()


async def test_many_clients_at_once(rig: Rig, tmp_path: Path):
    async with served(rig.emulator, tmp_path / "ctl"):
        clients = [await Control.open(tmp_path / "ctl") for _ in range(5)]
        said = await asyncio.gather(*(client.do("scope", channel=1 + n % 2) for n, client in enumerate(clients * 20)))
        assert [one["channels"][0]["channel"] for one in said] == [1 + n % 2 for n in range(100)]
        for client in clients:
            await client.close()


async def test_an_answer_whose_caller_was_cancelled_is_passed_over(control: Control):
    task = asyncio.create_task(control.do("fault.list"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await control.do("ping"))["model"] == "native-bench"


async def test_errors_reach_the_client(control: Control):
    with pytest.raises(ControlError, match="unknown_verb: do='pong'") as caught:
        await control.do("pong")
    assert caught.value.code == "unknown_verb"


async def test_a_bench_that_is_gone_is_told(rig: Rig, tmp_path: Path):
    async with served(rig.emulator, tmp_path / "ctl"):
        control = await Control.open(tmp_path / "ctl")
        await control.do("ping")
    with pytest.raises((EOFError, OSError)):
        await control.do("ping")
    with pytest.raises(FileNotFoundError):
        await Control.open(tmp_path / "ctl")


async def test_the_path_is_claimed(rig: Rig, tmp_path: Path):
    path = tmp_path / "ctl"
    async with served(rig.emulator, path):
        with pytest.raises(InUse, match="another emulator serves it"):
            async with served(rig.emulator, path):
                pass
        assert path.is_socket()


async def test_only_a_dead_socket_is_replaced(rig: Rig, tmp_path: Path):
    path = tmp_path / "ctl"
    path.write_text("precious")
    with pytest.raises(InUse, match="is not a dead socket"):
        async with served(rig.emulator, path):
            pass
    assert path.read_text() == "precious"
    path.unlink()
    stranger = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
    with pytest.raises(InUse, match="is not a dead socket"):
        async with served(rig.emulator, path):
            pass
    assert path.is_socket()
    stranger.close()
    await stranger.wait_closed()
    # Closed, but its name is still there, as after a kill.
    assert path.is_socket()
    async with served(rig.emulator, path), await Control.open(path) as control:
        assert (await control.do("ping"))["line"]
