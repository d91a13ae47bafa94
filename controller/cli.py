"""`stimwarden`: the commands, and how each ends. 0: fine; 1: it did not work; 2: wrong usage or configuration."""

# ruff: noqa: PLC0415 - a command opens the rooms that it needs, so that --help answers at once

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

CONFIG = Path("stimwarden.toml")

ConfigFile = Annotated[Path, typer.Option("--config", metavar="FILE", help="The service's settings.")]
SiteConfig = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings that name the site.")]
Verb = Annotated[str, typer.Argument(metavar="VERB", help="What is asked, such as device.claim.")]
Principal = Annotated[str, typer.Option("--as", metavar="PRINCIPAL", help="Who you are: your login at the broker.")]
Device = Annotated[str | None, typer.Option(help="Which device; not needed where the settings name only one.")]
Host = Annotated[str | None, typer.Option(help="The broker's host.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The broker's port.")]
Site = Annotated[str | None, typer.Option(help="The site in every topic.")]
Stimulator = Literal["native", "sciencemode4", "sciencemode2"]
"""The kinds of `controller.demo.kinds`, which is not opened to say what they are."""
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Its first line is your password; without it: $STIMWARDEN_PASSWORD.")
]


class PlainErrors(TyperGroup):
    """Commands whose errors are lines: no boxes, no tracebacks."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:  # noqa: ANN401 - the library's own signature
        """Run a command and exit with its status."""
        try:
            status = super().main(*args, **(extra | {"standalone_mode": False}))
        except Exception as error:  # noqa: BLE001 - whatever it is, a person reads it
            from controller.cli_errors import told

            status = told(error)
        sys.exit(status)


def group(**more: Any) -> typer.Typer:  # noqa: ANN401 - handed on
    """Make a group of commands."""
    return typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, **more)


app = group(name="stimwarden", cls=PlainErrors, pretty_exceptions_enable=False)
config_app = group(help="The settings in force.")
rx_app = group(help="Prescriptions, each version for good.")
keys_app = group(help="Keys that messages are signed with.")
principals_app = group(help="Who may ask for what.")
ledger_app = group(help="What patients were given, and what people enter beside the service.")
audit_app = group(help="The journal.")
device_app = group(help="One stimulator.")
for name, commands in (
    ("config", config_app),
    ("rx", rx_app),
    ("keys", keys_app),
    ("principals", principals_app),
    ("ledger", ledger_app),
    ("audit", audit_app),
    ("device", device_app),
):
    app.add_typer(commands, name=name)


ServiceKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="The service's public key: what it has not signed counts for nothing.")
]
KeyFile = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Your key file: what you send is signed.")]


@app.callback()
def stimwarden() -> None:
    """Safety-interlocked control of neuromuscular stimulators. Research software, not a medical device."""


@app.command()
def serve(config: ConfigFile = CONFIG) -> int:
    """Run the service until SIGTERM or SIGINT."""
    from controller.app import serve as run
    from controller.settings import load

    return asyncio.run(run(load(config)))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Two patients, a verdict, no playing.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the report goes.")] = None,
    device: Annotated[Stimulator, typer.Option(help="The kind of stimulator that is emulated.")] = "native",
) -> int:
    """Show a whole session on emulated stimulators: a broker, the service, and current that is measured."""
    from controller.demo.run import main as run

    return run(once, report, device)


@app.command()
def send(
    verb: Verb,
    principal: Principal,
    device: Device = None,
    body: Annotated[str, typer.Option(metavar="JSON", help="The verb's own fields.")] = "{}",
    config: SiteConfig = None,
    host: Host = None,
    port: Port = None,
    site: Site = None,
    password_file: PasswordFile = None,
    key: KeyFile = None,
    service_key: ServiceKey = None,
    keep: Annotated[bool, typer.Option("--keep", help="With device.claim: keep it until Ctrl-C.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Do nothing: say what would become of it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as it came.")] = False,
) -> int:
    """Send one command and print its answer; 1 where it was not obeyed, or would not be."""
    from controller.cli_send import Wanted, reach, send_one

    where = reach(config, host, port, site, principal, password_file, key, service_key)
    return asyncio.run(send_one(where, Wanted(verb, device, body, keep=keep, explain=explain, as_json=json)))


@app.command()
def watch(
    principal: Principal,
    config: SiteConfig = None,
    host: Host = None,
    port: Port = None,
    site: Site = None,
    password_file: PasswordFile = None,
    service_key: ServiceKey = None,
) -> int:
    """Show every device of a site, live, until Ctrl-C."""
    from controller.cli_send import reach
    from controller.cli_watch import watch_site

    where = reach(config, host, port, site, principal, password_file, service_key=service_key)
    return asyncio.run(watch_site(where))


@app.command()
def doctor(config: ConfigFile = CONFIG) -> int:
    """Find out what is wrong with settings, clock, broker, access list, disk, journal, ledger, ports and devices."""
    from controller.cli_doctor import examine

    return asyncio.run(examine(config))


@app.command()
def asyncapi(
    schemas: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a JSON Schema for each message.")] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the reference page, in HTML.")] = None,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with an older document.")] = None,
) -> int:
    """Print the contract of the wire as AsyncAPI; 1 where an older one promised what this one breaks."""
    from controller.cli_asyncapi import judge, publish

    if against is not None:
        return judge(against)
    publish(schemas, page)
    return 0


@config_app.command("show")
def config_show(
    config: ConfigFile = CONFIG,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
) -> None:
    """Print every setting in force; secrets are hidden."""
    from controller.settings import load, origins

    rows = origins(load(config))
    width = max(len(f"{row.key} = {row.value}") for row in rows)
    for row in rows:
        line = f"{row.key} = {row.value}"
        print(f"{line:{width}}  {row.origin}" if origin else line)


@rx_app.command("import")
def rx_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A prescription in TOML.")],
    config: ConfigFile = CONFIG,
) -> None:
    """Store a prescription as a version that never changes."""
    from controller.cli_rx import import_file

    import_file(file, config)


@rx_app.command("list")
def rx_list(config: ConfigFile = CONFIG) -> None:
    """List every version of every prescription."""
    from controller.cli_rx import list_all

    list_all(config)


@rx_app.command("show")
def rx_show(
    rx: Annotated[str, typer.Argument(metavar="RX", help="id@version")],
    config: ConfigFile = CONFIG,
) -> None:
    """Print a prescription in the units that people use."""
    from controller.cli_rx import show

    show(rx, config)


@keys_app.command("broker")
def keys_broker(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory.")],
    host: Annotated[list[str] | None, typer.Option(help="A name of the broker; may be repeated.")] = None,
    config: ConfigFile = CONFIG,
) -> None:
    """Make passwords, an access list and certificates for the site's broker and everybody who logs in there."""
    from controller.cli_keys_broker import make

    make(folder, host or (), config)


Alg = Annotated[Literal["Ed25519", "HS256"], typer.Option(help="Ed25519: only you can sign; HS256: a shared secret.")]


@keys_app.command("new")
def keys_new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the key goes; nobody else may read it.")],
    alg: Alg = "Ed25519",
    kid: Annotated[str | None, typer.Option(help="The key's name; without it, the file's.")] = None,
) -> None:
    """Make a key, and print what the principals file has to say of it."""
    from controller.cli_keys import new

    new(file, alg, kid)


@keys_app.command("show")
def keys_show(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A key file; without it, the service's own.")
    ] = None,
    config: ConfigFile = CONFIG,
) -> None:
    """Print the public half of a key, by which others know what it has signed."""
    from controller.cli_keys import show

    show(file, config)


@keys_app.command("list")
def keys_list(config: ConfigFile = CONFIG) -> None:
    """List the keys of everybody who may ask, and how each is now."""
    from controller.cli_keys import list_all

    list_all(config)


PrincipalName = Annotated[str, typer.Argument(metavar="NAME", help="The login at the broker.")]


@principals_app.command("list")
def principals_list(config: ConfigFile = CONFIG) -> None:
    """List everybody who may ask, and how each is now."""
    from controller.cli_principals import list_all

    list_all(config)


@principals_app.command("add")
def principals_add(
    name: PrincipalName,
    role: Annotated[str, typer.Option(help="handset, automation, physio, prescriber, biomed or auditor")],
    device: Annotated[list[str], typer.Option(help="A device it may use, or * for every one; may be repeated.")],
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its Ed25519 key: the public half is kept.")] = None,
    config: ConfigFile = CONFIG,
) -> None:
    """Add somebody to the principals file."""
    from controller.cli_principals import Newcomer, add

    add(Newcomer(name, role, tuple(device), key), config)


@principals_app.command("revoke")
def principals_revoke(
    name: PrincipalName,
    kid: Annotated[str | None, typer.Option(help="Only this key of theirs.")] = None,
    config: ConfigFile = CONFIG,
) -> None:
    """Let somebody ask for nothing any more; what they run is paused at once."""
    from controller.cli_principals import revoke

    revoke(name, kid, config)


@principals_app.command("check")
def principals_check(config: ConfigFile = CONFIG) -> None:
    """Say what is wrong with the principals file."""
    from controller.cli_principals import check

    check(config)


Patient = Annotated[str, typer.Argument(metavar="PATIENT", help="The patient's reference.")]
Whole = Annotated[int, typer.Option(help="A whole number, added to what was counted; negative takes away.")]


@ledger_app.command("show")
def ledger_show(patient: Patient, config: ConfigFile = CONFIG) -> None:
    """Print what counts for a patient now, and what holds them."""
    from controller.cli_ledger import show

    show(patient, config)


@ledger_app.command("correct")
def ledger_correct(
    patient: Patient,
    site: Annotated[str, typer.Option(help="The body site.")],
    pair: Annotated[str, typer.Option(help="The pair of pads.")],
    modality: Annotated[str, typer.Option(help="nmes or tens")],
    at: Annotated[datetime, typer.Option(help="When it was given, in UTC.")],
    by: Annotated[list[str], typer.Option(help="Who signs it; twice where it lowers the last seven days.")],
    why: Annotated[str, typer.Option(help="Why, in words.")],
    nc: Whole = 0,
    i2t: Whole = 0,
    on_ms: Whole = 0,
    config: ConfigFile = CONFIG,
) -> None:
    """Append a correction of what was counted; nothing is ever changed or taken out."""
    from controller.cli_ledger import Wrong, correct
    from safety.prescription import Dose

    wrong = Wrong(site, pair, modality, at, Dose(nc=nc, i2t=i2t, on_ms=on_ms), tuple(by), why)
    correct(patient, wrong, config)


@ledger_app.command("merge")
def ledger_merge(
    patient: Patient,
    same_as: Annotated[str, typer.Argument(metavar="OTHER", help="Another reference of the same person.")],
    config: ConfigFile = CONFIG,
) -> None:
    """Keep that two references are one person; neither is treated until that is resolved."""
    from controller.cli_ledger import merge

    merge(patient, same_as, config)


@ledger_app.command("pad")
def ledger_pad(
    barcode: Annotated[str, typer.Argument(metavar="BARCODE", help="What the pad's barcode says.")],
    expires: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The last day on which it may be used.")],
    config: ConfigFile = CONFIG,
) -> None:
    """Register a pad with its date; its uses are counted by themselves."""
    from controller.cli_ledger import register

    register(barcode, expires.date(), config)


@audit_app.command("verify")
def audit_verify(
    config: ConfigFile = CONFIG,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help="A journal that no settings name.")] = None,
) -> int:
    """Check the journal's chain from its beginning; 1 where an entry was changed, taken out or put in."""
    from controller.chain import verify
    from controller.settings import load

    path = journal or load(config).storage.journal
    found = verify(path)
    if found.first_bad_seq is None:
        print(f"{path}: {found.rows} entries, every one as it was written; head {found.head_hash}")
        return 0
    print(f"{path}: broken at entry {found.first_bad_seq}: {found.why}; the {found.rows} before it are as written")
    return 1


@device_app.command("selftest")
def device_selftest(
    config: ConfigFile = CONFIG,
    device: Device = None,
) -> int:
    """Let a stimulator test itself, with its output off; the service must not have it open."""
    from controller.cli_device import selftest

    return asyncio.run(selftest(config, device))


def main() -> None:
    """Run the program."""
    app()


if __name__ == "__main__":
    main()
