"""What the control socket understands: one function a verb, each a dictionary in and out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from hil import body
from hil.devices.device import Button, NotThisDevice
from hil.emulate import Emulator
from hil.faults import FAULTS
from hil.host import NoHost
from hil.process_host import ProcessHost
from hil.settings import CHANNEL, BadSetting, Setting, read, read_all

Answer: TypeAlias = dict[str, Any]
Act: TypeAlias = Callable[[Emulator, dict[str, Any]], Answer]


class Verb(NamedTuple):
    """A verb's settings, and what it does with them; None: it reads its own."""

    settings: Mapping[str, Setting] | None
    act: Act


VERBS: dict[str, Verb] = {}

SINCE_US = Setting(int, 0, "from this time of the boot clock on", 0)
LIMIT = Setting(int, 1_000, "at most so many, the oldest first", 1, 10_000)


def answer(emulator: Emulator, line: bytes) -> Answer:
    """The answer to one line; whatever is wrong with it becomes an answer, too."""
    request: object = None
    try:
        request = json.loads(line)
        found = _do(emulator, request)
    except BadSetting as bad:
        code = "unknown_verb" if bad.key == "do" else "bad_setting"
        return _identified(request) | {"ok": False, "code": code, "text": str(bad)}
    except NotThisDevice as bad:
        return _identified(request) | {"ok": False, "code": "not_this_device", "text": str(bad)}
    except NoHost as bad:
        return _identified(request) | {"ok": False, "code": "no_host", "text": str(bad)}
    except (ValueError, RecursionError) as bad:
        return _identified(request) | {"ok": False, "code": "bad_json", "text": f"not a line of JSON: {bad}"}
    return _identified(request) | {"ok": True} | found


def _do(emulator: Emulator, request: object) -> Answer:
    if not isinstance(request, dict):
        raise BadSetting("request", request, "an object")
    do = request.get("do")
    given = {key: value for key, value in request.items() if key not in {"id", "do"}}
    verb = VERBS.get(do) if isinstance(do, str) else None
    if verb is None:
        raise BadSetting("do", do, f"one of {', '.join(VERBS)}")
    emulator.touch()
    try:
        return verb.act(emulator, given if verb.settings is None else read_all(verb.settings, given))
    finally:
        emulator.touch()


def _identified(request: object) -> Answer:
    asked = request.get("id") if isinstance(request, dict) else None
    return {"id": asked if isinstance(asked, int | str) else None}


def _verb(name: str, settings: Mapping[str, Setting] | None) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        VERBS[name] = Verb(settings, act)
        return act

    return enter


@_verb("ping", {})
def ping(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """Who is there, and what time it is."""
    bench = emulator.bench
    return bench.device.badge() | {"now_us": bench.now_us, "line": emulator.line.is_up}


@_verb("device", {})
def device(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """The device's inside: what it knows and believes."""
    return emulator.bench.device.inside(emulator.bench.own_us)


@_verb("switch.get", {})
def switch_get(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """The choices that the device's documents leave open, and how they are made now."""
    unit = emulator.bench.device
    rows = {key: setting.row() | {"value": unit.switches[key]} for key, setting in unit.switchable.items()}
    return {"switches": rows}


@_verb("switch.set", None)
def switch_set(emulator: Emulator, given: dict[str, Any]) -> Answer:
    """Choose otherwise."""
    unit = emulator.bench.device
    unit.switches.update(read(unit.switchable, given))
    return switch_get(emulator, {})


@_verb("scope", {"channel": CHANNEL})
def scope(emulator: Emulator, asked: dict[str, Any]) -> Answer:
    """Totals of the current that reached the body."""
    witness = emulator.bench.scope
    channels = [index + 1 for index in emulator.bench.channels(asked["channel"])]
    rows = [{"channel": one} | witness.total(one)._asdict() | {"dropped": witness.dropped(one)} for one in channels]
    return {"channels": rows}


@_verb("pulses", {"channel": replace(CHANNEL, default=1), "since_us": SINCE_US, "limit": LIMIT})
def pulses(emulator: Emulator, asked: dict[str, Any]) -> Answer:
    """The single pulses that reached the body."""
    emulator.bench.channels(asked["channel"])
    found = emulator.bench.scope.pulses(asked["channel"], asked["since_us"])
    rows = [trace._asdict() for trace in found[: asked["limit"]]]
    return {"pulses": rows, "more": len(found) > len(rows), "dropped": emulator.bench.scope.dropped(asked["channel"])}


@_verb("reset_scope", {})
def reset_scope(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """Forget the pulses and the totals."""
    emulator.bench.scope.reset()
    return {}


def _bodies(emulator: Emulator, channel: int | None) -> Answer:
    bench = emulator.bench
    rows = [
        {
            "channel": index + 1,
            "set": asdict(bench.bodies[index].skin),
            "now": asdict(bench.bodies[index].at(bench.now_us)),
        }
        for index in bench.channels(channel)
    ]
    return {"bodies": rows}


@_verb("body.get", {"channel": CHANNEL})
def body_get(emulator: Emulator, asked: dict[str, Any]) -> Answer:
    """The bodies as they were set up, and as faults make them now."""
    return _bodies(emulator, asked["channel"])


@_verb("body.set", None)
def body_set(emulator: Emulator, given: dict[str, Any]) -> Answer:
    """Change settings of one body or all."""
    asked = read({"channel": CHANNEL} | body.SETTINGS, given)
    channel: Any = asked.pop("channel", None)
    changes: dict[str, Any] = asked
    for index in emulator.bench.channels(channel):
        emulator.bench.bodies[index].skin = replace(emulator.bench.bodies[index].skin, **changes)
    return _bodies(emulator, channel)


@_verb("fault.list", {})
def fault_list(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """The faults that this bench can have, and those that wait or act."""
    table = [
        {
            "fault": entry.id,
            "layer": entry.layer,
            "text": entry.text,
            "hazards": entry.hazards,
            "correct": entry.correct,
            "settings": {key: setting.row() for key, setting in entry.settings.items()},
        }
        for entry in emulator.bench.faults.possible()
    ]
    standing = [
        {"token": one.token, "fault": one.fault, "at_us": one.at_us, "is_active": one.is_active, "settings": one.params}
        for one in emulator.bench.faults.standing()
    ]
    return {"faults": table, "standing": standing}


@_verb("fault.inject", None)
def fault_inject(emulator: Emulator, given: dict[str, Any]) -> Answer:
    """Inject a fault, now or at a time, for a while or until it is cleared."""
    fault = given.pop("fault", None)
    if not isinstance(fault, str):
        raise BadSetting("fault", fault, f"one of {', '.join(FAULTS)}")
    return {"token": emulator.bench.faults.inject(fault, **given)}


@_verb("fault.clear", {"token": Setting(str, "all", "the token, or all")})
def fault_clear(emulator: Emulator, asked: dict[str, Any]) -> Answer:
    """Restore what a fault changed."""
    if asked["token"] == "all":  # noqa: S105 - no secret
        emulator.bench.faults.clear_all()
    else:
        emulator.bench.faults.clear(asked["token"])
    return {}


HOST = {
    "pid": Setting(int, None, "number of the controller's process; null: none", 2),
    "folder": Setting(str, None, "where it keeps its files: the mount point of a small file system of its own"),
}


@_verb("host.set", HOST)
def host_set(emulator: Emulator, asked: dict[str, Any]) -> Answer:
    """Name the controller's process, for faults that act on it; its faults so far are cleared."""
    bench = emulator.bench
    for one in bench.faults.standing():
        if FAULTS[one.fault].layer == "host":
            bench.faults.clear(one.token)
    if isinstance(bench.host, ProcessHost):
        bench.host.close()
    bench.host = None
    pid, folder = asked["pid"], asked["folder"]
    host = bench.host = ProcessHost(pid, folder=folder and Path(folder)) if pid else None
    return {"pid": pid, "lacks": dict(host.lacks) if host else {}}


def _button(emulator: Emulator) -> Button:
    unit = emulator.bench.device
    if unit.button is None:
        raise NotThisDevice(unit.kind, "button", [name for name in VERBS if not name.startswith("button")])
    return unit.button


@_verb("button.press", {})
def button_press(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """The patient presses the stop button and holds it."""
    _button(emulator).press(emulator.bench.own_us)
    return {}


@_verb("button.release", {})
def button_release(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """The patient lets the button go."""
    _button(emulator).release()
    return {}


@_verb("line.pull", {})
def line_pull(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """Pull the plug."""
    emulator.line.pull()
    return {}


@_verb("line.put", {})
def line_put(emulator: Emulator, _: dict[str, Any]) -> Answer:
    """Put the plug back."""
    emulator.line.put()
    return {}


@_verb("tape", {"since_us": SINCE_US, "limit": LIMIT})
def tape(emulator: Emulator, asked: dict[str, Any]) -> Answer:
    """The bytes on the line."""
    found = emulator.bench.tape.since(asked["since_us"])
    rows = [
        {"at_us": at_us, "direction": direction, "hex": data.hex()}
        for at_us, direction, data in found[: asked["limit"]]
    ]
    return {"tape": rows, "more": len(found) > len(rows), "dropped": emulator.bench.tape.dropped}
