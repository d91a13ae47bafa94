"""`keys broker`: what it makes lets in whom it should, is read by nobody else, and never takes another's place."""

from __future__ import annotations

import ssl
import stat
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from typer.testing import CliRunner

from controller import cli_keys_broker
from controller.broker import Address, BrokerError, Connection, tls_context
from controller.broker_files import Authority, access_list, password, password_line, service_login
from controller.cli import app
from controller.client import Client
from controller.contract.topics import Topics
from controller.identity import Principal, Role
from controller.outbox import Outgoing
from safety.state import Phase
from tests.conftest import HOST, Mosquitto, free_port
from tests.controller.peer import until

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))

from house import House, steady

ROOT = Path(__file__).parents[2]
CONF = ROOT / "deploy" / "mosquitto.conf"
TLS_OF_CLIENTS = ("require_certificate true", "use_identity_as_username true")
NOW = datetime(2026, 11, 28, tzinfo=UTC)
TOPICS = Topics("ward3")
DEVICE = '[[device]]\nid = "dev1"\ndriver = "native"\nport = "absent"\nprofile = "bench"\n'
START = ("session.arm", "session.start")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A site's files; neither a broker nor a device is there yet."""
    home = House(tmp_path, HOST, free_port())
    home.configure(more=DEVICE)
    yield home
    await home.close()


def made(house: House, *words: str) -> Path:
    """Let the command make everything."""
    result = CliRunner().invoke(
        app, ["keys", "broker", f"{house.folder}/site", "--config", f"{house.folder}/config.toml", *words]
    )
    assert (result.exit_code, result.stderr) == (0, "")
    return house.folder / "site"


class Shipped(Mosquitto):
    """Mosquitto with the configuration that ships, run where its files are.

    Two lines differ: the port, and the account, which is the test's own and not the container's.
    """

    def __init__(self, folder: Path, *uncommented: str) -> None:
        super().__init__(folder)
        text = CONF.read_text(encoding="utf-8")
        for old, new in [
            ("listener 8883", f"listener {self.port} {HOST}"),
            *((f"#{line}", line) for line in uncommented),
        ]:
            assert text.count(f"{old}\n") == 1
            text = text.replace(f"{old}\n", f"{new}\n")
        self._config = folder / "shipped.conf"
        self._config.write_text(f"{text}user root\n", encoding="utf-8")


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shipped]:
    def start(site: Path, *uncommented: str) -> Shipped:
        monkeypatch.chdir(site / "broker")
        server = Shipped(site / "broker", *uncommented)
        server.start()
        return server

    return start


def address(server: Mosquitto, site: Path, name: str, word: str | None = None) -> Address:
    """How somebody logs in; without another one, with the password that was made."""
    own = site / "logins" / name
    word = word or (own / "password").read_text(encoding="ascii").strip()
    return Address(host=HOST, port=server.port, username=name, password=word, tls=tls_context(own / "ca.crt"))


# Files


def test_it_makes_what_each_needs_and_nobody_else_may_read_any_of_it(house: House) -> None:
    site = made(house)
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    names = {"stimsvc-ward3", *cli_keys_broker.read_principals(house.folder / "principals.toml")}
    assert files == {
        "ca.crt",
        "ca.key",
        *(f"broker/{name}" for name in ("acl", "passwords", "ca.crt", "broker.crt", "broker.key")),
        *(f"logins/{name}/{file}" for name in names for file in ("password", "ca.crt", "client.crt", "client.key")),
    }
    modes = {stat.S_IMODE(path.stat().st_mode) for path in site.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (site, *site.rglob("*")) if path.is_dir()} == {0o700}


def test_it_overwrites_nothing(house: House) -> None:
    site = made(house)
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    result = CliRunner().invoke(app, ["keys", "broker", str(site), "--config", f"{house.folder}/config.toml"])
    assert (result.exit_code, result.stderr) == (1, f"{site} is there already; nothing is overwritten\n")
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_it_needs_a_directory_to_make_its_own_in(house: House) -> None:
    site = house.folder / "none" / "site"
    result = CliRunner().invoke(app, ["keys", "broker", str(site), "--config", f"{house.folder}/config.toml"])
    begun = site.with_name(".site.begun")
    assert (result.exit_code, result.stderr) == (1, f"{site}: cannot be made: {begun}: No such file or directory\n")


def test_what_cannot_be_made_whole_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        cli_keys_broker.write(tmp_path / "site", {"a": b"1", "a/b": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_the_services_own_name_is_no_principals(house: House) -> None:
    with (house.folder / "principals.toml").open("a", encoding="utf-8") as file:
        file.write('[[principal]]\nname = "stimsvc-ward3"\nrole = "auditor"\ndevices = ["*"]\n')
    result = CliRunner().invoke(
        app, ["keys", "broker", f"{house.folder}/site", "--config", f"{house.folder}/config.toml"]
    )
    assert result.exit_code == 1
    assert "stimsvc-ward3 is the service's own login" in result.stderr


def test_a_login_is_a_name_for_a_topic_however_long_the_sites_is() -> None:
    assert service_login("ward3") == "stimsvc-ward3"
    assert len(service_login("w" * 32)) == 32


def test_passwords_differ_and_so_do_their_lines() -> None:
    words = {password() for _ in range(100)}
    assert len(words) == 100
    assert min(map(len, words)) == 24
    assert password_line("a", "x") != password_line("a", "x")


# The access list


def test_everybody_writes_under_its_own_name_and_reads_of_its_own_devices() -> None:
    principals = (
        Principal("console", Role.PHYSIO, frozenset({"*"})),
        Principal("plc7", Role.AUTOMATION, frozenset({"dev2", "dev1"})),
    )
    lines = access_list(TOPICS, principals, "stimsvc-ward3").splitlines()
    assert [line for line in lines if line.startswith("pattern")] == [
        "pattern write stim/v1/ward3/_all/cmd/%u/session.stop",
        "pattern write stim/v1/ward3/_all/cmd/%u/stop",
        "pattern read stim/v1/ward3/+/ack/%u/#",
        "pattern read stim/v1/ward3/+/state/challenge/%u/#",
    ]
    plc7 = lines[lines.index("user plc7") :]
    assert plc7[1:] == [
        "topic read stim/v1/ward3/_service/+/state",
        *(
            line
            for device in ("dev1", "dev2")
            for line in (
                f"topic write stim/v1/ward3/{device}/cmd/plc7/+",
                f"topic read stim/v1/ward3/{device}/state/summary",
                f"topic read stim/v1/ward3/{device}/state/capabilities",
                f"topic read stim/v1/ward3/{device}/event/+",
                f"topic read stim/v1/ward3/{device}/tele/+",
            )
        ),
    ]
    console = lines[lines.index("user console") : lines.index("user plc7")]
    assert "topic write stim/v1/ward3/+/cmd/console/+" in console
    writes = [line for line in lines if "write" in line and "/cmd/" in line]
    assert all("%u" in line or "/console/" in line or "/plc7/" in line for line in writes)


# Certificates


def verifies(certificate: bytes, authority: bytes, host: str, at: datetime = NOW) -> bool:
    """Whether a client that trusts the authority would talk to this broker."""
    store = Store([x509.load_pem_x509_certificate(authority)])
    verifier = PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(host))
    try:
        verifier.verify(x509.load_pem_x509_certificate(certificate), [])
    except VerificationError:
        return False
    return True


def test_the_brokers_certificate_is_for_its_names_and_its_time() -> None:
    authority, other = Authority("ward3", NOW), Authority("ward3", NOW)
    broker = authority.server(["broker.example", "10.0.0.1"])
    trusted = authority.own.certificate
    assert verifies(broker.certificate, trusted, "broker.example")
    assert not verifies(broker.certificate, trusted, "other.example")
    assert not verifies(broker.certificate, other.own.certificate, "broker.example")
    assert not verifies(broker.certificate, trusted, "broker.example", NOW + timedelta(days=731))
    assert not verifies(authority.client("console").certificate, trusted, "console")


def test_the_key_belongs_to_the_certificate(tmp_path: Path) -> None:
    signed = Authority("ward3", NOW).client("console")
    (tmp_path / "c").write_bytes(signed.certificate)
    (tmp_path / "k").write_bytes(signed.key)
    ssl.create_default_context().load_cert_chain(tmp_path / "c", tmp_path / "k")


# With a real broker


@pytest.mark.server("mosquitto")
@pytest.mark.hazard("H24")
async def test_the_shipped_configuration_serves_a_session_over_tls(
    house: House, shipped: Callable[..., Shipped], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = made(house)
    server = shipped(site)
    house.add_bed()
    house.port = server.port
    house.configure()
    service = site / "logins" / "stimsvc-ward3"
    monkeypatch.setenv("STIMWARDEN_BROKER__USERNAME", "stimsvc-ward3")
    monkeypatch.setenv("STIMWARDEN_BROKER__PASSWORD", (service / "password").read_text(encoding="ascii").strip())
    monkeypatch.setenv("STIMWARDEN_BROKER__TLS", f'{{"ca_file": "{service}/ca.crt"}}')
    own = address(server, site, "physio-1")
    try:
        house.prescribe(steady())
        house.start()
        async with Client(
            HOST,
            server.port,
            site="ward3",
            principal="physio-1",
            username=own.username,
            password=own.password,
            tls=own.tls,
        ) as client:
            await house.prepared(client)
            for verb in START:
                await house.must(client, "dev1", verb)
            await house.shows(client, "dev1", Phase.RUNNING.value)
            assert (await client.ask("dev1", "session.stop")).status == "succeeded"
            await house.shows(client, "dev1", Phase.IDLE.value)
    finally:
        server.kill()


@pytest.mark.server("mosquitto")
@pytest.mark.hazard("H24")
async def test_nobody_gets_in_with_another_password_or_writes_under_another_name(
    house: House, shipped: Callable[..., Shipped]
) -> None:
    site = made(house)
    server = shipped(site)
    heard: list[str] = []
    allowed = TOPICS.command("dev1", "physio-1", "stop")
    forbidden = [
        TOPICS.command("dev1", "bedside", "stop"),
        TOPICS.command("dev1", "physio-1", "stop/x"),
        TOPICS.summary("dev1"),
        TOPICS.ack("dev1", "physio-1", "x"),
        TOPICS.service("ward3"),
    ]
    try:
        with pytest.raises(BrokerError):
            await Connection(address(server, site, "physio-1", "guessed"), "a", lambda _: None).__aenter__()
        ears = Connection(address(server, site, "stimsvc-ward3"), "b", lambda arrival: heard.append(arrival.topic))
        async with ears, Connection(address(server, site, "physio-1"), "c", lambda _: None) as mouth:
            await ears.subscribe(["stim/#"], commands=True)
            for topic in [*forbidden, allowed]:
                await mouth.publish(Outgoing(topic, b"{}"))
            await until(lambda: heard)
        assert heard == [allowed]
    finally:
        server.kill()


@pytest.mark.server("mosquitto")
@pytest.mark.hazard("H24")
async def test_nobody_reads_what_is_for_another(house: House, shipped: Callable[..., Shipped]) -> None:
    site = made(house)
    server = shipped(site)
    heard: list[str] = []
    theirs = [TOPICS.ack("dev1", "physio-2", "x"), TOPICS.summary("dev1").replace("summary", "challenge/physio-2")]
    own = [topic.replace("physio-2", "physio-1") for topic in theirs]
    try:
        ears = Connection(address(server, site, "physio-1"), "a", lambda arrival: heard.append(arrival.topic))
        async with ears, Connection(address(server, site, "stimsvc-ward3"), "b", lambda _: None) as mouth:
            await ears.subscribe(["stim/#"], commands=False)
            for topic in [*theirs, *own]:
                await mouth.publish(Outgoing(topic, b"{}"))
            await until(lambda: len(heard) >= len(own))
        assert heard == own
    finally:
        server.kill()


@pytest.mark.server("mosquitto")
@pytest.mark.hazard("H24")
async def test_a_certificate_can_stand_for_the_password(house: House, shipped: Callable[..., Shipped]) -> None:
    site = made(house)
    server = shipped(site, *TLS_OF_CLIENTS)
    own, heard = site / "logins" / "physio-1", list[str]()
    tls = tls_context(own / "ca.crt", own / "client.crt", own / "client.key")
    topic = TOPICS.command("dev1", "physio-1", "stop")
    service = site / "logins" / "stimsvc-ward3"
    theirs = tls_context(service / "ca.crt", service / "client.crt", service / "client.key")
    try:
        async with (
            Connection(
                Address(host=HOST, port=server.port, tls=theirs), "a", lambda each: heard.append(each.topic)
            ) as ears,
            Connection(Address(host=HOST, port=server.port, tls=tls), "b", lambda _: None) as mouth,
        ):
            await ears.subscribe(TOPICS.command_filters(["dev1"]), commands=True)
            await mouth.publish(Outgoing(TOPICS.command("dev1", "bedside", "stop"), b"{}"))
            await mouth.publish(Outgoing(topic, b"{}"))
            await until(lambda: heard)
        assert heard == [topic]
        with pytest.raises(BrokerError):
            await Connection(address(server, site, "physio-1"), "c", lambda _: None).__aenter__()
    finally:
        server.kill()
