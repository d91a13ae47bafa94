"""Shared fixtures: real MQTT brokers on free loopback ports, and waiting for what comes about in its own time.

`broker` is the embedded one, `mosquitto` the real one, `any_broker` each in turn; they have `host` and `port`, may be
killed and started again on the same port, and belong to one test. A test that needs a server of the machine is
marked `server(name)`: it is skipped where the server is absent, and fails there when STIMWARDEN_REQUIRE (a comma list)
names it. `until` waits for something to come about.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

import iotcore
import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]  # the tests of the plugin run suites of their own

sys.path.insert(0, str(Path(__file__).with_name("safety")))  # for `from rig import Rig`, in whatever order tests run

settings.register_profile("house", deadline=None)  # how long an example takes is the machine's business, not a test's
settings.load_profile("house")

HOST = "127.0.0.1"
PATIENCE_S = 30.0

SERVERS = {
    "mosquitto": ("mosquitto", "/usr/sbin"),
    "postgresql": ("postgres", "/usr/lib/postgresql/*/bin"),
    "chromium": ("chromium", "/usr/bin"),
    "spin": ("spin", "/usr/bin"),
    "gcc": ("gcc", "/usr/bin"),
    "systemd": ("systemd-analyze", "/usr/bin"),
    "asyncapi": ("node_modules/@asyncapi/parser/package.json", "/usr/local/lib/asyncapi-parser"),
}


def server_path(name: str) -> str | None:
    """The program of a server, where it is installed; Debian keeps some of them off the ordinary path."""
    program, folder = SERVERS[name]
    hits = sorted(Path("/").glob(f"{folder[1:]}/{program}"))
    return shutil.which(program) or (str(hits[-1]) if hits else None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = {name.strip() for name in os.environ.get("STIMWARDEN_REQUIRE", "").split(",") if name.strip()}
    if required - SERVERS.keys():
        pytest.fail(f"STIMWARDEN_REQUIRE names {sorted(required - SERVERS.keys())}: expected some of {sorted(SERVERS)}")
    for marker in item.iter_markers("server"):
        name = marker.args[0]
        if server_path(name) is None:
            verdict = pytest.fail if name in required else pytest.skip
            verdict(f"{name} is not installed on this machine")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Server(Protocol):
    """A broker that a test may take away and bring back."""

    host: str
    port: int

    def start(self) -> None: ...
    def kill(self) -> None: ...


class Embedded:
    """The broker of the demo: MQTT 5, bound to loopback, in a process of its own."""

    CONFIG = """
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 200
dynamic_filters = true
"""

    def __init__(self, folder: Path) -> None:
        self.host, self.port = HOST, free_port()
        config = folder / "iotcore.toml"
        config.write_text(self.CONFIG.format(host=self.host, port=self.port), encoding="ascii")
        self._broker = iotcore.Broker(config_path=str(config))

    def start(self) -> None:
        self._broker.start(timeout=PATIENCE_S)

    def kill(self) -> None:
        self._broker.stop()


class Mosquitto:
    """The real broker; `extra` are lines of its configuration (access list, passwords).

    Started by root it keeps that account, or it could not read the test's files.
    """

    CONFIG = "listener {port} {host}\nset_tcp_nodelay true\npersistence false\nuser root\n{extra}\n"

    def __init__(self, folder: Path, extra: str = "allow_anonymous true") -> None:
        self.host, self.port = HOST, free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(self.CONFIG.format(port=self.port, host=self.host, extra=extra), encoding="ascii")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = server_path("mosquitto")
        assert program is not None, "mark the test server('mosquitto')"
        self._process = subprocess.Popen([program, "-c", self._config], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"mosquitto ended with code {self._process.returncode}"
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        pytest.fail("mosquitto does not listen")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Embedded]:
    server = Embedded(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def mosquitto_with(tmp_path: Path) -> Iterator[Callable[[str], Mosquitto]]:
    """Start mosquitto with further lines of configuration."""
    started: list[Mosquitto] = []

    def start(extra: str) -> Mosquitto:
        started.append(Mosquitto(tmp_path, extra))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def mosquitto(mosquitto_with: Callable[[str], Mosquitto]) -> Mosquitto:
    return mosquitto_with("allow_anonymous true")


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.server("mosquitto"))])
def any_broker(request: pytest.FixtureRequest) -> Server:
    """Each kind of broker in turn."""
    server: Server = request.getfixturevalue("broker" if request.param == "embedded" else "mosquitto")
    return server


Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait until something has come about; how long that takes is no matter, that it never does is."""

    async def wait(happened: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not happened():  # noqa: ASYNC110 - whatever is waited for has no event to wait on
                await asyncio.sleep(0.01)

    return wait
