"""The service's settings: a TOML file, and the environment over it. Safety limits never come from the environment.

`STIMWARDEN_BROKER__PORT=8883` sets `port` of `[broker]`; a table or the list of devices can be given whole, as JSON.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from .contract.topics import ID
from .identity.roles import NEEDS, TIERS, Role
from .tomlfile import HIDDEN, FileError, Place, Problem, expected_at, faults_of, key_text, read_toml, shown

PREFIX = "STIMWARDEN_"
DELIMITER = "__"
SHIPPED_POLICY = Path(__file__).with_name("policy.toml")
DEFAULT = "default"

ID_WORDS = "1 to 32 of a-z, 0-9 and -"
DEVICES_WORDS = "at least one [[device]] table with id, driver, port and profile"
PORT_WORDS = "a path, or tcp://host:port"


class SettingsError(FileError):
    """The settings cannot be used; one line for each problem, and never a secret."""


def _named(path: Path) -> Path:
    if path == Path():
        raise ValueError("no name")
    return path


def _off_is_none(value: object) -> object:
    if value is None or value is True:
        raise ValueError("neither off nor a table")
    return None if value is False else value


def _device_port(port: str) -> str:
    if "://" in port:
        url = urlsplit(port)
        if url.scheme != "tcp" or not url.hostname or not url.port or url.path:
            raise ValueError("no tcp address")
    return port


Id = Annotated[str, Field(pattern=f"^{ID}$")]
Text = Annotated[str, Field(min_length=1)]
File = Annotated[Path, Field(strict=False), AfterValidator(_named)]
TierWord = Literal["T1", "T1+nonce", "T2", "T3"]
TIER_WORDS = f"one of {', '.join(TIERS)}"


class Table(BaseModel):
    """A table of the file: strict types, and no key that is not named here."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Site(Table):
    """[site]: who we are, and who may ask; two services of one site name themselves apart by `instance`."""

    id: Id = Field(description=ID_WORDS)
    instance: Id | None = Field(default=None, description=ID_WORDS)
    principals: File = Field(description="the path of a file of [[principal]] tables")


class Tls(Table):
    """[broker.tls]: whom to trust (without `ca_file`: the system's authorities), and who we are if the broker asks."""

    ca_file: File | None = Field(default=None, description="the path of a PEM file")
    cert_file: File | None = Field(default=None, description="the path of a PEM file")
    key_file: File | None = Field(default=None, description="the path of a PEM file")


class BrokerTable(Table):
    """[broker]: where it is, and how to log in."""

    host: str = Field(default="127.0.0.1", pattern=r"^[A-Za-z0-9._:-]+$", description="a host name or an address")
    port: int = Field(default=1883, ge=1, le=65535, description="a whole number from 1 to 65535")
    username: Text | None = Field(default=None, description="a text that is not empty")
    password: SecretStr | None = Field(default=None, min_length=1, description="a text that is not empty")
    tls: Annotated[Tls | None, BeforeValidator(_off_is_none)] = Field(
        default=None, description="false, or a table of ca_file, cert_file and key_file"
    )


def _beside_journal(data: dict[str, Any]) -> Path:
    journal: Path = data["journal"]
    return journal.with_name("recordings")


class Storage(Table):
    """[storage]: what was decided, what was charged, and a directory for the flight recorder (default: beside them)."""

    journal: File = Field(description="the path of a file")
    ledger: File = Field(description="the path of a file")
    recordings: File = Field(default_factory=_beside_journal, description="the path of a directory")


class HttpTable(Table):
    """[http]: where /healthz, /readyz and /metrics are; `http = false` for nowhere."""

    host: str = Field(default="127.0.0.1", pattern=r"^[0-9a-fA-F.:]+$", description="an address of this host")
    port: int = Field(default=9464, ge=0, le=65535, description="a whole number from 1 to 65535, or 0 for a free one")


class TiersTable(Table):
    """[identity.tiers]: how well each role must be proved at this site, at least what the contract asks."""

    handset: TierWord | None = Field(default=None, description=TIER_WORDS)
    automation: TierWord | None = Field(default=None, description=TIER_WORDS)
    physio: TierWord | None = Field(default=None, description=TIER_WORDS)
    prescriber: TierWord | None = Field(default=None, description=TIER_WORDS)
    biomed: TierWord | None = Field(default=None, description=TIER_WORDS)
    auditor: TierWord | None = Field(default=None, description=TIER_WORDS)


class IdentityTable(Table):
    """[identity]: how a sender is proved. `broker`, its word alone, is for a bench of emulators.

    `key_file` is what the service signs with; it is made at the first start, beside the journal if it is not named.
    """

    proof: Literal["signed", "broker"] = Field(default="signed", description='"signed" or "broker"')
    key_file: File | None = Field(default=None, description="the path of a file")
    tiers: TiersTable = Field(default=TiersTable(), description="a table of roles and tiers")


class PolicyTable(Table):
    """[policy]: the site's own limits; the shipped ones where no file is named."""

    file: File = Field(default=SHIPPED_POLICY, description="the path of a policy file")


class DeviceTable(Table):
    """[[device]]: one stimulator. `bench` expects an emulator on the port, `clinical` expects that there is none.

    `stop_button` is a button at the bedside, besides the one on the stimulator.
    """

    id: Id = Field(description=ID_WORDS)
    driver: Literal["native", "sciencemode4", "sciencemode2"] = Field(
        description='"native", "sciencemode4" or "sciencemode2"'
    )
    port: Annotated[Text, AfterValidator(_device_port)] = Field(description=PORT_WORDS)
    profile: Literal["clinical", "bench"] = Field(description='"clinical" or "bench"')
    stop_button: File | None = Field(default=None, description="the path of a Linux input device")


class Settings(BaseSettings):
    """All settings, paths made absolute or relative to where the program runs. Made by `load`."""

    model_config = SettingsConfigDict(
        strict=True, extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter=DELIMITER
    )

    site: Site = Field(description="a table with id and principals")
    broker: BrokerTable = Field(default=BrokerTable(), description="a table")
    storage: Storage = Field(description="a table with journal and ledger")
    identity: IdentityTable = Field(default=IdentityTable(), description="a table of proof, key_file and tiers")
    policy: PolicyTable = Field(default=PolicyTable(), description="a table with file")
    device: Annotated[tuple[DeviceTable, ...], Field(strict=False)] = Field(description=DEVICES_WORDS)
    http: Annotated[HttpTable | None, BeforeValidator(_off_is_none)] = Field(
        default=HttpTable(), description="false, or a table of host and port"
    )
    _rows: "tuple[Row, ...]" = PrivateAttr(())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, and nothing else speak."""
        return env_settings, init_settings


class Row(NamedTuple):
    """One setting in force: key, value (secrets hidden), and `default`, `file FILE` or `environment NAME`."""

    key: str
    value: str
    origin: str


def load(path: Path) -> Settings:
    """Read the settings. Relative paths in them start at the file's directory. Raises SettingsError."""
    sources = Sources(path)
    try:
        settings = Settings(**sources.tables)
    except ValidationError as error:
        raise SettingsError([*sources.unknown, *sources.problems_of(error)]) from None
    settings = _settled(settings, path.parent)
    problems = [*sources.unknown, *(sources.problem(*clash) for clash in _clashes(settings))]
    if problems:
        raise SettingsError(problems)
    settings._rows = tuple(sources.row(place, value) for place, value in _leaves(settings, ()))  # noqa: SLF001 - our own
    return settings


def origins(settings: Settings) -> tuple[Row, ...]:
    """List every setting in force and where it came from."""
    return settings._rows  # noqa: SLF001 - set by load


class Sources:
    """The file and the environment, and which of them a value came from. Raises SettingsError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        problems = list(_misnamed(os.environ))
        if problems:
            raise SettingsError(problems)
        try:
            data = read_toml(path)
        except FileError as error:
            raise SettingsError([error]) from None
        self._environment: Mapping[str, Any] = EnvSettingsSource(Settings)()
        self.tables = {name: value for name, value in data.items() if name in Settings.model_fields}
        self.unknown = [
            self.problem((name,), "is unknown", expected_at(Settings, (name,)))
            for name in data
            if name not in self.tables
        ]

    def problems_of(self, error: ValidationError) -> Iterator[Problem]:
        """Say everything that is wrong with the form."""
        for fault in faults_of(error, Settings):
            yield self.problem(fault.place, fault.found, fault.expected)

    def problem(self, place: Place, found: str, expected: str) -> Problem:
        """Say one thing that is wrong, secrets hidden."""
        name = self._environment_name(place)
        if found.startswith("= ") and _may_hold_secret(place, found):
            found = f"= {HIDDEN}"
        return Problem(f"environment {name}" if name else str(self._path), key_text(place), found, expected)

    def row(self, place: Place, value: object) -> Row:
        """Say where a value in force came from."""
        if name := self._environment_name(place):
            origin = f"environment {name}"
        else:
            origin = f"file {self._path}" if _has(self.tables, place) else DEFAULT
        return Row(key_text(place), _in_force(place, value), origin)

    def _environment_name(self, place: Place) -> str:
        """Give the variable that a value came from: its own, or that of a table around it or a part of it."""
        if not _has(self._environment, place):
            return ""
        by_name = {name.upper(): name for name in os.environ}
        names = [(PREFIX + DELIMITER.join(map(str, place[:length]))).upper() for length in range(len(place), 0, -1)]
        parts = (name for name in sorted(by_name) if name.startswith(names[0] + DELIMITER))
        return by_name[next(name for name in (*names, *parts) if name in by_name)]


def _in_force(place: Place, value: object) -> str:
    if value is None:
        return "false" if place[-1] == "tls" else "not set"
    return HIDDEN if isinstance(value, SecretStr) else shown(value)


def _misnamed(environment: Mapping[str, str]) -> Iterator[Problem]:
    for name, value in environment.items():
        if not name.upper().startswith(PREFIX):
            continue
        table, delimiter, _ = name.upper().removeprefix(PREFIX).lower().partition(DELIMITER)
        variable = f"environment {name}"
        if table == "policy":
            yield Problem(variable, "", "is refused", "[policy] in the file: limits never come from the environment")
        elif table == "identity":
            yield Problem(variable, "", "is refused", "[identity] in the file: whom to believe is written down there")
        elif delimiter and table not in Settings.model_fields:
            yield Problem(variable, "", "is unknown", f"one of the tables {', '.join(Settings.model_fields)}")
        elif not delimiter and table in Settings.model_fields and not _is_json(value):
            yield Problem(variable, "", f"= {HIDDEN}", "JSON")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _has(tables: Any, place: Place) -> bool:  # noqa: ANN401 - what TOML or JSON gives
    for name in place:
        try:
            tables = tables[name]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _may_hold_secret(place: Place, found: str) -> bool:
    """Tell whether a wrong value could hold a password: a whole table of the broker, an address with a login in it."""
    return place[0] == "broker" and (place in {("broker",), ("broker", "password"), ("broker", "tls")} or "@" in found)


def _clashes(settings: Settings) -> Iterator[tuple[Place, str, str]]:
    """Find what is wrong with values that are right each by itself."""
    if not settings.device:
        yield ("device",), "= []", DEVICES_WORDS
    for number, device in enumerate(settings.device):
        for before, other in enumerate(settings.device[:number]):
            whose = f"; [[device]] {before + 1} has this one"
            if other.id == device.id:
                yield ("device", number, "id"), f"= {shown(device.id)}", f"an id of its own{whose}"
            if _line(other.port) == _line(device.port):
                yield ("device", number, "port"), f"= {shown(device.port)}", f"a port of its own{whose}"
    yield from _unproven(settings)
    storage, broker = settings.storage, settings.broker
    if storage.ledger == storage.journal:
        yield ("storage", "ledger"), f"= {shown(storage.ledger)}", "a file of its own; it is the journal's"
    if broker.password and not broker.username:
        yield ("broker", "username"), "is missing", "a text, since there is a password"
    if broker.tls and (broker.tls.cert_file is None) != (broker.tls.key_file is None):
        lacking = "key_file" if broker.tls.cert_file else "cert_file"
        yield ("broker", "tls", lacking), "is missing", "the path of a PEM file: certificate and key go together"


def _unproven(settings: Settings) -> Iterator[tuple[Place, str, str]]:
    """Find where senders would be proved less well than they must be."""
    for number, device in enumerate(settings.device):
        if settings.identity.proof == "broker" and device.profile != "bench":
            expected = f'"signed", since [[device]] {number + 1} is no bench'
            yield ("identity", "proof"), '= "broker"', expected
    for name, word in settings.identity.tiers:
        if word is not None and TIERS[word] < NEEDS[Role(name)]:
            yield ("identity", "tiers", name), f"= {shown(word)}", f"{NEEDS[Role(name)].word} or more"


def _line(port: str) -> str:
    """Name the line behind a port: two links to one serial port are one line."""
    return port.lower() if "://" in port else os.path.realpath(port)


T = TypeVar("T", bound=BaseModel)


def _settled(form: T, base: Path) -> T:
    """Let relative paths start at a directory."""
    settled: dict[str, object] = {}
    for name, value in form:
        if isinstance(value, Path):
            settled[name] = base / value
        elif isinstance(value, BaseModel):
            settled[name] = _settled(value, base)
        elif isinstance(value, tuple):
            settled[name] = tuple(_settled(each, base) for each in value)
        elif name == "port" and isinstance(value, str) and "://" not in value:
            settled[name] = str(base / value)
    return form.model_copy(update=settled)


def _leaves(form: BaseModel, place: Place) -> Iterator[tuple[Place, object]]:
    for name, value in form:
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*place, name))
        elif isinstance(value, tuple):
            for number, each in enumerate(value):
                yield from _leaves(each, (*place, name, number))
        else:
            yield (*place, name), value
