"""`stimwarden-hil`: the bench as a program of its own."""

from pathlib import Path
from typing import Annotated

import typer

from hil import cli_tape
from hil.simulate import cli as simulation

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def bench() -> None:
    """An emulated stimulator on an emulated body, with a scope on the electrodes and a fault for every hazard."""


@app.command()
def faults(
    device: Annotated[
        str | None, typer.Option(help="Only what this device can have: native, sciencemode2, sciencemode4.")
    ] = None,
) -> None:
    """Print the table of faults."""
    from hil import fault_list, start  # noqa: PLC0415 - --help answers before the rooms are opened
    from hil.settings import BadSetting  # noqa: PLC0415

    try:
        fault_list.show(None if device is None else start.kind(device))
    except BadSetting as bad:
        raise typer.BadParameter(str(bad)) from bad


@app.command()
def switches(
    device: Annotated[str, typer.Option(help="Which device: native, sciencemode2, sciencemode4.")] = "native",
) -> None:
    """Print what the documents of a device leave open: the keys of `emulate --set`."""
    from hil import start  # noqa: PLC0415 - --help answers before the rooms are opened
    from hil.settings import BadSetting  # noqa: PLC0415

    try:
        start.print_switches(start.kind(device))
    except BadSetting as bad:
        raise typer.BadParameter(str(bad)) from bad


@app.command()
def emulate(
    link: Annotated[Path, typer.Option(help="Symbolic link to make: the serial port of the device.")],
    control: Annotated[Path | None, typer.Option(help="Unix socket to make: the back door.")] = None,
    device: Annotated[str, typer.Option(help="Which device: native, sciencemode2, sciencemode4.")] = "native",
    channels: Annotated[int | None, typer.Option(help="How many, 1 to 8; as the device has them unless told.")] = None,
    serial: Annotated[str | None, typer.Option(help="Serial number or device id, ASCII; the device's own.")] = None,
    clinical: Annotated[bool, typer.Option("--clinical", help="Hide that this is an emulator.")] = False,
    body: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Setting of all bodies, or of one: 1.contact=0.8")
    ] = None,
    switch: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A switch of the device: see `switches`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of faults that act by chance.")] = 0,
    until_eof: Annotated[bool, typer.Option("--until-eof", help="End when standard input ends.")] = False,
) -> None:
    """Serve an emulated stimulator until SIGTERM or SIGINT; prints one line: ready, and a JSON object."""
    from hil import start  # noqa: PLC0415 - --help answers before the rooms are opened
    from hil.devices.device import Asked  # noqa: PLC0415
    from hil.settings import BadSetting  # noqa: PLC0415
    from hil.wire import InUse  # noqa: PLC0415

    try:
        kind = start.kind(device)
        count = kind.channels if channels is None else channels
        name = kind.serial if serial is None else serial
        build = kind.plan(Asked(name, count, clinical, start.switches(kind, switch or [])))
        bodies = start.skins(body or [], count)
    except BadSetting as bad:
        raise typer.BadParameter(str(bad)) from bad
    try:
        start.run(build, bodies, link, control, seed=seed, until_eof=until_eof)
    except (InUse, OSError) as error:
        typer.echo(f"stimwarden-hil: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def run(
    suite: Annotated[Path, typer.Argument(help="Folder or file of tests; hazards.json in it says what is required.")],
    report: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make the report in; it must be empty.")],
    pytest_args: Annotated[list[str] | None, typer.Argument(metavar="[-- PYTEST ARGS]", help="For pytest.")] = None,
    bench: Annotated[
        str, typer.Option(help="virtual, pty, the path of a serial port, or tcp://HOST:PORT.")
    ] = "virtual",
    device: Annotated[str, typer.Option(help="Which device: native, sciencemode2, sciencemode4.")] = "native",
    seed: Annotated[int, typer.Option(help="Seed of whatever happens by chance.")] = 0,
    scope: Annotated[str | None, typer.Option(help="On a real port: none, csv:FILE or adc:PORT.")] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Any tree will do, and no key; the report is no evidence.")
    ] = False,
    key: Annotated[Path | None, typer.Option(help="The private key to sign with; see `key`.")] = None,
    baseline: Annotated[Path | None, typer.Option(metavar="DIR", help="A signed report to compare with.")] = None,
    requirements: Annotated[Path | None, typer.Option(help="What is required; SUITE/hazards.json unless told.")] = None,
    kills: Annotated[Path | None, typer.Option(help="What became of mutants of the controller.")] = None,
) -> None:
    """Run a suite on a bench and report: 0 if it passed, 1 if not, 3 and a code where no report is made."""
    from rich.console import Console  # noqa: PLC0415 - --help answers before the rooms are opened

    from hil.report.make import Order, make  # noqa: PLC0415
    from hil.report.play import Asked  # noqa: PLC0415
    from hil.report.refused import Refused  # noqa: PLC0415

    asked = Asked(suite, bench, device, seed, scope, pytest_args or ())
    try:
        made = make(Order(asked, report, dev, key, baseline, requirements, kills), Console(stderr=True))
    except Refused as refused:
        typer.echo(f"stimwarden-hil: {refused}", err=True)
        raise typer.Exit(3) from refused
    typer.echo(made.verdict.words)
    typer.echo(f"{report / 'report.html'}{'' if key else ', not signed'}{', no evidence' if dev else ''}")
    if made.no_pdf:
        typer.echo(f"no report.pdf: {made.no_pdf}")
    raise typer.Exit(0 if made.verdict.passed else 1)


@app.command()
def key(file: Annotated[Path, typer.Argument(help="The private key to make; FILE.pub is its public half.")]) -> None:
    """Make a key that signs reports."""
    from hil.report.manifest import make_key  # noqa: PLC0415 - --help answers before the rooms are opened

    try:
        public = make_key(file)
    except OSError as error:
        typer.echo(f"stimwarden-hil: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{file}\n{public}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The report.")],
    public_key: Annotated[Path | None, typer.Option(help="The key it has to be signed with (PEM).")] = None,
) -> None:
    """Check signature and digests of a report: 0 if it is whole, 1 if not, with the first file at fault."""
    from hil.report import manifest  # noqa: PLC0415 - --help answers before the rooms are opened
    from hil.report.refused import Refused  # noqa: PLC0415

    try:
        found = manifest.verify(folder, manifest.public_key(public_key) if public_key else None)
    except Refused as refused:
        typer.echo(f"stimwarden-hil: {refused}", err=True)
        raise typer.Exit(3) from refused
    except manifest.Fault as fault:
        typer.echo(f"stimwarden-hil: {fault}", err=True)
        raise typer.Exit(1) from fault
    typer.echo(f"whole: {len(found.files)} files, {'made with --dev: no evidence' if found.is_dev else 'evidence'}")
    if public_key is None:
        typer.echo(f"signed with {found.public_key}; whose key this is was not checked: give --public-key")


cli_tape.add_to(app)
app.command()(simulation.simulate)


def main() -> None:
    """Run the program."""
    app()


if __name__ == "__main__":
    main()
