"""The settings: what is read, where it came from, and what a person is told who wrote something wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.identity import Role
from controller.settings import SHIPPED_POLICY, Settings, SettingsError, load, origins

SITE = '[site]\nid = "ward3"\nprincipals = "principals.toml"\n'
STORAGE = '[storage]\njournal = "journal.db"\nledger = "data/ledger.db"\n'
DEVICE = '[[device]]\nid = "dev1"\ndriver = "native"\nport = "/dev/ttyUSB0"\nprofile = "clinical"\n'
SECOND = '[[device]]\nid = "dev2"\ndriver = "native"\nport = "links/dev2"\nprofile = "bench"\n'
WHOLE = SITE + STORAGE + DEVICE


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STIMWARDEN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "stimwarden.toml"


def read(config: Path, text: str) -> Settings:
    config.write_text(text, encoding="utf-8")
    return load(config)


def complaint(config: Path, text: str) -> list[str]:
    """What is said of a file, a line each, the file's own path written as FILE."""
    with pytest.raises(SettingsError) as raised:
        read(config, text)
    return str(raised.value).replace(str(config), "FILE").splitlines()


def test_the_least_that_has_to_be_said(config: Path) -> None:
    settings = read(config, WHOLE)
    folder = config.parent
    assert settings.model_dump() == {
        "site": {"id": "ward3", "instance": None, "principals": folder / "principals.toml"},
        "broker": {"host": "127.0.0.1", "port": 1883, "username": None, "password": None, "tls": None},
        "storage": {
            "journal": folder / "journal.db",
            "ledger": folder / "data/ledger.db",
            "recordings": folder / "recordings",
        },
        "http": {"host": "127.0.0.1", "port": 9464},
        "identity": {"proof": "signed", "key_file": None, "tiers": dict.fromkeys(Role)},
        "policy": {"file": SHIPPED_POLICY},
        "device": (
            {"id": "dev1", "driver": "native", "port": "/dev/ttyUSB0", "profile": "clinical", "stop_button": None},
        ),
    }


def test_everything_that_can_be_said(config: Path) -> None:
    tls = '[broker.tls]\nca_file = "ca.pem"\ncert_file = "/etc/c.pem"\nkey_file = "k.pem"\n'
    broker = f'[broker]\nhost = "broker.example"\nport = 8883\nusername = "svc"\npassword = "s3cret"\n{tls}'
    storage = STORAGE + 'recordings = "/var/rec"\n'
    settings = read(config, SITE + broker + storage + '[policy]\nfile = "policy.toml"\n' + DEVICE + SECOND)
    folder = config.parent
    assert settings.broker.password is not None
    assert settings.broker.password.get_secret_value() == "s3cret"
    assert settings.broker.tls is not None
    assert settings.broker.tls.model_dump() == {
        "ca_file": folder / "ca.pem",
        "cert_file": Path("/etc/c.pem"),
        "key_file": folder / "k.pem",
    }
    assert settings.storage.recordings == Path("/var/rec")
    assert settings.policy.file == folder / "policy.toml"
    assert [device.port for device in settings.device] == ["/dev/ttyUSB0", str(folder / "links/dev2")]


def test_a_tcp_port_is_no_path(config: Path) -> None:
    assert read(config, WHOLE.replace("/dev/ttyUSB0", "tcp://10.0.0.7:4001")).device[0].port == "tcp://10.0.0.7:4001"


def test_no_tls_may_be_said_aloud(config: Path) -> None:
    assert read(config, WHOLE + "[broker]\ntls = false\n").broker.tls is None


def test_the_settings_never_show_their_secret(config: Path) -> None:
    settings = read(config, WHOLE + '[broker]\nusername = "svc"\npassword = "s3cret"\n')
    assert "s3cret" not in repr(settings) + str(settings) + str(origins(settings))


ONE_OF_ALL = "expected one of site, broker, storage, identity, policy, device, http"
MISTAKES: list[tuple[str, list[str]]] = [
    (
        "",
        [
            "FILE: site is missing: expected a table with id and principals",
            "FILE: storage is missing: expected a table with journal and ledger",
            "FILE: device is missing: expected at least one [[device]] table with id, driver, port and profile",
        ],
    ),
    (WHOLE.replace('id = "ward3"\n', ""), ["FILE: site.id is missing: expected 1 to 32 of a-z, 0-9 and -"]),
    (WHOLE.replace('"ward3"', '"Ward 3"'), ['FILE: site.id = "Ward 3": expected 1 to 32 of a-z, 0-9 and -']),
    (WHOLE.replace('"ward3"', '"ward/3"'), ['FILE: site.id = "ward/3": expected 1 to 32 of a-z, 0-9 and -']),
    (WHOLE.replace('"ward3"', "3"), ["FILE: site.id = 3: expected 1 to 32 of a-z, 0-9 and -"]),
    (
        WHOLE.replace('"ward3"', f'"{"w" * 33}"'),
        [f'FILE: site.id = "{"w" * 33}": expected 1 to 32 of a-z, 0-9 and -'],
    ),
    (
        WHOLE.replace('"ward3"', f'"{"w" * 200}"'),
        [f'FILE: site.id = "{"w" * 79}...: expected 1 to 32 of a-z, 0-9 and -'],
    ),
    (
        WHOLE.replace('"principals.toml"', '""'),
        ['FILE: site.principals = "": expected the path of a file of [[principal]] tables'],
    ),
    (WHOLE + "[site.more]\n", ["FILE: site.more is unknown: expected one of id, instance, principals"]),
    ("amplitude_ua = 9\n" + WHOLE, [f"FILE: amplitude_ua is unknown: {ONE_OF_ALL}"]),
    ('_env_file = "x"\n' + WHOLE, [f"FILE: _env_file is unknown: {ONE_OF_ALL}"]),
    (WHOLE + "[limits]\namplitude_ua = 9\n", [f"FILE: limits is unknown: {ONE_OF_ALL}"]),
    (
        "[broker]\nport = 0\n" + WHOLE,
        ["FILE: broker.port = 0: expected a whole number from 1 to 65535"],
    ),
    (
        "[broker]\nport = 65536\n" + WHOLE,
        ["FILE: broker.port = 65536: expected a whole number from 1 to 65535"],
    ),
    (
        '[broker]\nport = "1883"\n' + WHOLE,
        ['FILE: broker.port = "1883": expected a whole number from 1 to 65535'],
    ),
    (
        "[broker]\nport = 1883.0\n" + WHOLE,
        ["FILE: broker.port = 1883.0: expected a whole number from 1 to 65535"],
    ),
    (
        "[broker]\nport = true\n" + WHOLE,
        ["FILE: broker.port = true: expected a whole number from 1 to 65535"],
    ),
    (
        '[broker]\nhost = "mqtt://localhost"\n' + WHOLE,
        ['FILE: broker.host = "mqtt://localhost": expected a host name or an address'],
    ),
    (
        "[broker]\ntls = true\n" + WHOLE,
        ["FILE: broker.tls = ***: expected false, or a table of ca_file, cert_file and key_file"],
    ),
    (
        '[broker.tls]\nca = "x"\n' + WHOLE,
        ["FILE: broker.tls.ca is unknown: expected one of ca_file, cert_file, key_file"],
    ),
    (
        '[broker.tls]\ncert_file = "x"\n' + WHOLE,
        ["FILE: broker.tls.key_file is missing: expected the path of a PEM file: certificate and key go together"],
    ),
    (
        '[broker.tls]\nkey_file = "x"\n' + WHOLE,
        ["FILE: broker.tls.cert_file is missing: expected the path of a PEM file: certificate and key go together"],
    ),
    ("http = true\n" + WHOLE, ["FILE: http = true: expected false, or a table of host and port"]),
    ('[http]\nhost = "localhost"\n' + WHOLE, ['FILE: http.host = "localhost": expected an address of this host']),
    (
        WHOLE.replace('journal = "journal.db"', "journal = 7"),
        ["FILE: storage.journal = 7: expected the path of a file"],
    ),
    (
        SITE + '[storage]\nledger = "l.db"\n' + DEVICE,
        ["FILE: storage.journal is missing: expected the path of a file"],
    ),
    (
        SITE + '[storage]\njournal = "one.db"\nledger = "./one.db"\n' + DEVICE,
        ['FILE: storage.ledger = "FOLDER/one.db": expected a file of its own; it is the journal\'s'],
    ),
    ('[policy]\nfile = ""\n' + WHOLE, ['FILE: policy.file = "": expected the path of a policy file']),
    ("policy = 5\n" + WHOLE, ["FILE: policy = 5: expected a table with file"]),
    (
        "device = []\n" + SITE + STORAGE,
        ["FILE: device = []: expected at least one [[device]] table with id, driver, port and profile"],
    ),
    (
        WHOLE.replace("[[device]]", "[device]"),
        [
            (
                'FILE: device = {"id": "dev1", "driver": "native", "port": "/dev/ttyUSB0", "profile": "clinical"...: '
                "expected at least one [[device]] table with id, driver, port and profile"
            )
        ],
    ),
    (
        WHOLE.replace('"native"', '"rehastim"'),
        ['FILE: [[device]] 1: driver = "rehastim": expected "native", "sciencemode4" or "sciencemode2"'],
    ),
    (
        WHOLE.replace('"clinical"', '"Clinical"'),
        ['FILE: [[device]] 1: profile = "Clinical": expected "clinical" or "bench"'],
    ),
    (
        WHOLE.replace("/dev/ttyUSB0", "udp://10.0.0.7:1"),
        ['FILE: [[device]] 1: port = "udp://10.0.0.7:1": expected a path, or tcp://host:port'],
    ),
    (
        WHOLE.replace("/dev/ttyUSB0", "tcp://10.0.0.7"),
        ['FILE: [[device]] 1: port = "tcp://10.0.0.7": expected a path, or tcp://host:port'],
    ),
    (
        WHOLE.replace("/dev/ttyUSB0", "tcp://10.0.0.7:99999"),
        ['FILE: [[device]] 1: port = "tcp://10.0.0.7:99999": expected a path, or tcp://host:port'],
    ),
    (WHOLE.replace("/dev/ttyUSB0", ""), ['FILE: [[device]] 1: port = "": expected a path, or tcp://host:port']),
    (
        WHOLE + SECOND.replace("dev2", "dev1", 1),
        ['FILE: [[device]] 2: id = "dev1": expected an id of its own; [[device]] 1 has this one'],
    ),
    (
        WHOLE + SECOND.replace("links/dev2", "/dev/../dev/ttyUSB0"),
        ['FILE: [[device]] 2: port = "/dev/../dev/ttyUSB0": expected a port of its own; [[device]] 1 has this one'],
    ),
    (
        WHOLE + SECOND.replace('"bench"', '"bench"\nbaud = 9600'),
        ["FILE: [[device]] 2: baud is unknown: expected one of id, driver, port, profile, stop_button"],
    ),
    (
        "x = 1\n" + WHOLE.replace('"ward3"', '""').replace('"native"', '""'),
        [
            f"FILE: x is unknown: {ONE_OF_ALL}",
            'FILE: site.id = "": expected 1 to 32 of a-z, 0-9 and -',
            'FILE: [[device]] 1: driver = "": expected "native", "sciencemode4" or "sciencemode2"',
        ],
    ),
    ("[site\n", ["FILE: is not TOML: Expected ']' at the end of a table declaration (at line 1, column 6)"]),
    ("[site]\n[site]\n", ["FILE: is not TOML: Cannot declare ('site',) twice (at line 2, column 6)"]),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said[0].removeprefix("FILE: ")[:50] for _, said in MISTAKES])
def test_a_mistake_is_named_with_file_key_value_and_what_was_expected(config: Path, text: str, said: list[str]) -> None:
    assert complaint(config, text) == [line.replace("FOLDER", str(config.parent)) for line in said]


SECRETS = [
    'broker = "mqtt://svc:hunter2@broker"\n' + WHOLE,
    '[broker]\nhost = "svc:hunter2@broker"\n' + WHOLE,
    '[broker]\nusername = "svc"\npasword = "hunter2"\n' + WHOLE,
    '[broker]\npassword = ["hunter2"]\n' + WHOLE,
    '[broker]\ntls = "hunter2"\n' + WHOLE,
    '[broker]\npassword = "hunter2"\n' + WHOLE,
    '[brokr]\npassword = "hunter2"\n' + WHOLE,
    'password = "hunter2"\n' + WHOLE,
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_mistake_never_tells_a_secret(config: Path, text: str) -> None:
    assert "hunter2" not in "\n".join(complaint(config, text))


def test_a_secret_of_the_wrong_type_is_hidden_and_named(config: Path) -> None:
    assert complaint(config, "[broker]\npassword = 12345\n" + WHOLE) == [
        "FILE: broker.password = ***: expected a text that is not empty"
    ]


def test_a_password_needs_a_name(config: Path) -> None:
    assert complaint(config, '[broker]\npassword = "x"\n' + WHOLE) == [
        "FILE: broker.username is missing: expected a text, since there is a password"
    ]


def test_one_serial_port_by_two_names_is_one_port(config: Path) -> None:
    (config.parent / "by-id").symlink_to("/dev/ttyUSB0")
    assert complaint(config, WHOLE + SECOND.replace("links/dev2", "by-id")) == [
        f'FILE: [[device]] 2: port = "{config.parent / "by-id"}": expected a port of its own; [[device]] 1 has this one'
    ]


def test_one_tcp_address_in_two_spellings_is_one_port(config: Path) -> None:
    both = WHOLE.replace("/dev/ttyUSB0", "tcp://Box:1") + SECOND.replace("links/dev2", "tcp://box:1")
    assert complaint(config, both) == [
        'FILE: [[device]] 2: port = "tcp://box:1": expected a port of its own; [[device]] 1 has this one'
    ]


def test_no_file(config: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(config)
    assert str(raised.value) == f"{config}: cannot be read: No such file or directory"


def test_a_file_that_is_no_text(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError) as raised:
        load(config)
    assert str(raised.value) == f"{config}: cannot be read: it is not UTF-8 text"


# The environment


def test_the_environment_wins_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_SITE__ID", "ward4")
    monkeypatch.setenv("STIMWARDEN_BROKER__PORT", "8883")
    monkeypatch.setenv("STIMWARDEN_BROKER__USERNAME", "svc")
    monkeypatch.setenv("STIMWARDEN_BROKER__PASSWORD", "1234")
    monkeypatch.setenv("STIMWARDEN_BROKER__TLS__CA_FILE", "ca.pem")
    monkeypatch.setenv("STIMWARDEN_STORAGE", '{"journal": "/var/j.db"}')
    settings = read(config, WHOLE + "[broker]\nport = 1\n")
    assert settings.site.id == "ward4"
    assert settings.broker.port == 8883
    assert settings.broker.password is not None
    assert settings.broker.password.get_secret_value() == "1234"
    assert settings.broker.tls is not None
    assert settings.broker.tls.ca_file == config.parent / "ca.pem"
    assert settings.storage.journal == Path("/var/j.db")
    assert settings.storage.recordings == Path("/var/recordings")
    assert settings.storage.ledger == config.parent / "data/ledger.db"


def test_the_environment_can_give_all_devices(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_DEVICE", '[{"id": "a", "driver": "native", "port": "a", "profile": "bench"}]')
    assert [device.id for device in read(config, WHOLE).device] == ["a"]


def test_the_environment_can_take_tls_away(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_BROKER__TLS", "false")
    assert read(config, WHOLE + '[broker.tls]\nca_file = "ca.pem"\n').broker.tls is None


FALSE_OR_TABLE = "expected false, or a table of ca_file, cert_file and key_file"
IN_THE_FILE = "expected [policy] in the file: limits never come from the environment"
ENVIRONMENT = [
    (
        {"STIMWARDEN_BROKER__PORT": "mqtt"},
        [
            'environment STIMWARDEN_BROKER__PORT: broker.port = "mqtt": expected a whole number from 1 to 65535',
        ],
    ),
    (
        {"STIMWARDEN_BROKER__PORT": ""},
        ['environment STIMWARDEN_BROKER__PORT: broker.port = "": expected a whole number from 1 to 65535'],
    ),
    (
        {"STIMWARDEN_BROKER__PASWORD": "hunter2"},
        [
            (
                "environment STIMWARDEN_BROKER__PASWORD: broker.pasword is unknown: "
                "expected one of host, port, username, password, tls"
            )
        ],
    ),
    (
        {"STIMWARDEN_BROKR__PASSWORD": "hunter2"},
        [
            (
                "environment STIMWARDEN_BROKR__PASSWORD is unknown: "
                "expected one of the tables site, broker, storage, identity, policy, device, http"
            )
        ],
    ),
    (
        {"STIMWARDEN_BROKER__TLS": "{hunter2"},
        [f"environment STIMWARDEN_BROKER__TLS: broker.tls = ***: {FALSE_OR_TABLE}"],
    ),
    (
        {"STIMWARDEN_BROKER__TLS__CA_FILE": ""},
        ['environment STIMWARDEN_BROKER__TLS__CA_FILE: broker.tls.ca_file = "": expected the path of a PEM file'],
    ),
    (
        {"STIMWARDEN_BROKER__PORT__X": "5"},
        [
            'environment STIMWARDEN_BROKER__PORT__X: broker.port = {"x": "5"}: expected a whole number from 1 to 65535',
        ],
    ),
    ({"STIMWARDEN_BROKER": "{hunter2"}, ["environment STIMWARDEN_BROKER = ***: expected JSON"]),
    ({"STIMWARDEN_BROKER": '"hunter2"'}, ["environment STIMWARDEN_BROKER: broker = ***: expected a table"]),
    (
        {"STIMWARDEN_POLICY__FILE": "policy.toml"},
        [
            f"environment STIMWARDEN_POLICY__FILE is refused: {IN_THE_FILE}",
        ],
    ),
    (
        {"STIMWARDEN_POLICY": "{}"},
        [
            f"environment STIMWARDEN_POLICY is refused: {IN_THE_FILE}",
        ],
    ),
    (
        {"stimwarden_policy__nmes__amplitude_ua": "1"},
        [
            f"environment stimwarden_policy__nmes__amplitude_ua is refused: {IN_THE_FILE}",
        ],
    ),
    (
        {"STIMWARDEN_DEVICE__0__PORT": "/dev/ttyUSB1"},
        [
            (
                'environment STIMWARDEN_DEVICE__0__PORT: device = {"0": {"port": "/dev/ttyUSB1"}}: '
                "expected at least one [[device]] table with id, driver, port and profile"
            )
        ],
    ),
    (
        {"STIMWARDEN_DEVICE": '[{"id": "A", "driver": "native", "port": "p", "profile": "bench"}]'},
        ['environment STIMWARDEN_DEVICE: [[device]] 1: id = "A": expected 1 to 32 of a-z, 0-9 and -'],
    ),
]


@pytest.mark.parametrize(("variables", "said"), ENVIRONMENT, ids=[" ".join(v) for v, _ in ENVIRONMENT])
def test_a_mistake_in_the_environment_names_the_variable(
    config: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert complaint(config, WHOLE) == said


def test_variables_that_are_no_settings_are_left_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_REQUIRE", "mosquitto")
    monkeypatch.setenv("STIMWARDEN_PASSWORD", "x")
    assert read(config, WHOLE).site.id == "ward3"


def test_the_environment_cannot_stand_in_for_a_broken_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_SITE__ID", "ward4")
    assert complaint(config, WHOLE.replace('id = "ward3"', "idd = 1")) == [
        "FILE: site.idd is unknown: expected one of id, instance, principals"
    ]


# Who is believed

BENCH = SITE + STORAGE + DEVICE.replace("clinical", "bench")


def test_a_bench_may_trust_its_broker_and_says_so(config: Path) -> None:
    assert read(config, BENCH).identity.proof == "signed"
    assert read(config, BENCH + '[identity]\nproof = "broker"\n').identity.proof == "broker"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (WHOLE + '[identity]\nproof = "broker"\n', '"broker": expected "signed", since [[device]] 1 is no bench'),
        (
            BENCH + SECOND.replace("bench", "clinical") + '[identity]\nproof = "broker"\n',
            '"broker": expected "signed", since [[device]] 2 is no bench',
        ),
        (WHOLE + '[identity]\nproof = "none"\n', '"none": expected "signed" or "broker"'),
    ],
)
def test_the_brokers_word_is_not_enough_where_a_patient_may_lie(config: Path, text: str, problem: str) -> None:
    assert complaint(config, text) == [f"FILE: identity.proof = {problem}"]


RAISED = {"handset": "T2", "automation": "T3", "auditor": "T1+nonce", "physio": "T3"}


def test_a_site_may_ask_for_more_and_never_for_less(config: Path) -> None:
    tiers = "".join(f'{role} = "{word}"\n' for role, word in RAISED.items())
    found = read(config, WHOLE + f"[identity.tiers]\n{tiers}").identity.tiers.model_dump(exclude_none=True)
    assert found == RAISED


@pytest.mark.parametrize(
    ("role", "word", "expected"),
    [
        ("automation", "T1", "T1+nonce or more"),
        ("physio", "T2", "T3 or more"),
        ("biomed", "T1", "T3 or more"),
        ("prescriber", "T1+nonce", "T3 or more"),
        ("auditor", "T0", "one of T1, T1+nonce, T2, T3"),
    ],
)
def test_less_than_the_contract_asks_is_refused(config: Path, role: str, word: str, expected: str) -> None:
    assert complaint(config, WHOLE + f'[identity.tiers]\n{role} = "{word}"\n') == [
        f'FILE: identity.tiers.{role} = "{word}": expected {expected}'
    ]


def test_whom_to_believe_never_comes_from_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_IDENTITY__PROOF", "broker")
    with pytest.raises(SettingsError) as raised:
        read(config, BENCH)
    assert str(raised.value) == (
        "environment STIMWARDEN_IDENTITY__PROOF is refused: "
        "expected [identity] in the file: whom to believe is written down there"
    )


# Origins


def test_http_can_be_turned_off(config: Path) -> None:
    assert read(config, "http = false\n" + WHOLE).http is None


def test_every_setting_in_force_says_where_it_came_from(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_BROKER__PASSWORD", "s3cret")
    monkeypatch.setenv("STIMWARDEN_STORAGE", '{"recordings": "/rec"}')
    settings = read(config, WHOLE + '[broker]\nusername = "svc"\n')
    folder, file = config.parent, f"file {config}"
    assert [tuple(row) for row in origins(settings)] == [
        ("site.id", '"ward3"', file),
        ("site.instance", "not set", "default"),
        ("site.principals", f'"{folder}/principals.toml"', file),
        ("broker.host", '"127.0.0.1"', "default"),
        ("broker.port", "1883", "default"),
        ("broker.username", '"svc"', file),
        ("broker.password", "***", "environment STIMWARDEN_BROKER__PASSWORD"),
        ("broker.tls", "false", "default"),
        ("storage.journal", f'"{folder}/journal.db"', file),
        ("storage.ledger", f'"{folder}/data/ledger.db"', file),
        ("storage.recordings", '"/rec"', "environment STIMWARDEN_STORAGE"),
        ("identity.proof", '"signed"', "default"),
        ("identity.key_file", "not set", "default"),
        *((f"identity.tiers.{role}", "not set", "default") for role in Role),
        ("policy.file", f'"{SHIPPED_POLICY}"', "default"),
        ("[[device]] 1: id", '"dev1"', file),
        ("[[device]] 1: driver", '"native"', file),
        ("[[device]] 1: port", '"/dev/ttyUSB0"', file),
        ("[[device]] 1: profile", '"clinical"', file),
        ("[[device]] 1: stop_button", "not set", "default"),
        ("http.host", '"127.0.0.1"', "default"),
        ("http.port", "9464", "default"),
    ]


def test_what_is_not_set_says_so(config: Path) -> None:
    rows = origins(read(config, WHOLE + '[broker.tls]\nca_file = "ca.pem"\n'))
    assert [row for row in rows if row.key.startswith("broker.") and row.key != "broker.host"] == [
        ("broker.port", "1883", "default"),
        ("broker.username", "not set", "default"),
        ("broker.password", "not set", "default"),
        ("broker.tls.ca_file", f'"{config.parent}/ca.pem"', f"file {config}"),
        ("broker.tls.cert_file", "not set", "default"),
        ("broker.tls.key_file", "not set", "default"),
    ]


def test_settings_do_not_change(config: Path) -> None:
    settings = read(config, WHOLE)
    with pytest.raises(ValueError, match="frozen"):
        settings.site.id = "other"
