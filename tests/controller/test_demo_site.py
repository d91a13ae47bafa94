"""The files of a demo's site: the service reads them, and the commands that people are told to type are real ones."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from controller.cli import app
from controller.demo.kinds import KINDS, Kind
from controller.demo.play import BACK_DOOR, BUTTON, FREE, guide
from controller.demo.site import HOST, Site, free_port, made, write_files
from controller.identity import Role, read_principals
from controller.inputs import StopButton
from controller.settings import load
from safety.messages import PatientStop


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def site(tmp_path: Path, kind: Kind) -> Site:
    beds = {name: made(tmp_path, name, kind) for name in ("stim-1", "stim-2", "stim-3")}
    found = Site(tmp_path, free_port(), beds)
    write_files(found, kind, ("stim-1", "stim-2"), ("physio-1", "physio-2"))
    return found


def test_the_service_reads_the_settings(site: Site, kind: Kind) -> None:
    settings = load(site.config)
    assert (settings.broker.host, settings.broker.port) == ("127.0.0.1", site.port)
    assert [(each.id, each.driver, each.port, each.profile, each.stop_button) for each in settings.device] == [
        (name, kind.name, str(site.beds[name].port), "bench", site.beds[name].button) for name in ("stim-1", "stim-2")
    ]
    assert settings.storage.ledger == site.ledger
    principals = read_principals(settings.site.principals)
    assert {name: principal.role for name, principal in principals.items()} == {
        "physio-1": Role.PHYSIO, "physio-2": Role.PHYSIO,
    }  # fmt: skip


def test_the_broker_listens_on_loopback_alone_with_mqtt_5(site: Site, kind: Kind) -> None:
    config = tomllib.loads((site.folder / "broker.toml").read_text(encoding="utf-8"))
    assert [server["listen"] for server in config["v5"].values()] == [f"127.0.0.1:{site.port}"]
    assert {name for name in config if name.startswith(("v", "ws"))} == {"v5"}


def test_a_free_port_is_free() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, free_port()))


def test_every_command_that_people_are_told_exists(site: Site, kind: Kind) -> None:
    lines = [line.strip() for line in guide(site, kind, "p-1") if line.strip().startswith("stimwarden ")]
    words = [shlex.split(line)[1:] for line in lines]
    assert [each[:2] for each in words] == [
        ["send", "device.claim"], ["send", "session.prepare"], ["send", "session.attest"],
        *([["send", "impedance.check"]] if kind.measures_skin else []), ["send", "session.arm"],
        ["send", "session.start"], ["watch", "--as"], ["rx", "list"],
    ]  # fmt: skip
    for each in words:
        command, rest = get_command(app), each
        while rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} - options == set()


def test_the_folder_they_are_told_holds_the_settings_they_are_told(site: Site, kind: Kind) -> None:
    lines = guide(site, kind, "p-1")
    assert any(line.strip().startswith(f"cd {site.folder} ") for line in lines)
    assert {word for line in lines for word in line.split() if word.endswith(".toml")} == {site.config.name}


def test_the_back_door_asks_an_emulated_stimulator_for_one_thing(site: Site, kind: Kind) -> None:
    (site.folder / "bench.py").write_text(BACK_DOOR, encoding="utf-8")
    command = next(line.strip() for line in guide(site, kind, "p-1") if "snap_off" in line)
    program, *arguments = shlex.split(command)
    assert (program, arguments[:2]) == ("python", ["bench.py", FREE])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site.beds[FREE].control))
        listener.listen()
        listener.settimeout(30)
        asking = subprocess.Popen([sys.executable, *arguments], cwd=site.folder, stdout=subprocess.PIPE, text=True)
        line, _ = listener.accept()
        with line, line.makefile("rw") as stream:
            asked = stream.readline()
            stream.write('{"ok": true}\n')
            stream.flush()
        told, _ = asking.communicate(timeout=30)
    assert asked == '{"do": "fault.inject", "fault": "snap_off", "channel": 1, "for_ms": 1000}\n'
    assert told == '{"ok": true}\n'


async def test_a_patient_without_a_button_on_the_device_presses_the_one_at_the_bedside(tmp_path: Path) -> None:
    bed = made(tmp_path, "stim-1", KINDS["sciencemode4"])
    assert bed.button is not None
    presses: list[PatientStop] = []
    heard = asyncio.Event()

    def post(press: PatientStop) -> None:
        presses.append(press)
        heard.set()

    listening = asyncio.create_task(StopButton(bed.button, post).run())
    reader = os.open(bed.button, os.O_RDWR | os.O_NONBLOCK)  # what is pressed before somebody listens is kept
    try:
        await bed.tries_stop()
        await asyncio.wait_for(heard.wait(), 30)
        (tmp_path / "press.py").write_text(BUTTON, encoding="utf-8")
        heard.clear()
        pressing = await asyncio.create_subprocess_exec(sys.executable, "press.py", "stim-1", cwd=tmp_path)
        assert await pressing.wait() == 0
        await asyncio.wait_for(heard.wait(), 30)
    finally:
        os.close(reader)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    assert presses == [PatientStop(), PatientStop()]


def test_a_device_with_a_button_of_its_own_has_none_beside_it(tmp_path: Path) -> None:
    assert made(tmp_path, "stim-1", KINDS["native"]).button is None
