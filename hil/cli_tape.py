"""`stimwarden-hil record`, `replay` and `diff`: what went over a serial line, written down, played, compared."""

# ruff: noqa: PLC0415 - a command opens the rooms that it needs, so that --help answers at once

from pathlib import Path
from typing import Annotated

import typer

Link = Annotated[Path, typer.Option(help="Symbolic link to make: the serial port for the controller.")]
UntilEof = Annotated[bool, typer.Option("--until-eof", help="End when standard input ends.")]
TapeFile = Annotated[Path, typer.Argument(metavar="TAPE", help="A tape.")]


def add_to(app: typer.Typer) -> None:
    """Give the program these commands."""
    for command in (record, replay, diff):
        app.command()(command)


def record(
    port: Annotated[Path, typer.Option(help="Where the device is: /dev/ttyUSB0, or the link of an emulator.")],
    link: Link,
    tape: Annotated[Path, typer.Option(help="The file to make.")],
    device: Annotated[
        str | None, typer.Option(help="Which kind: native, sciencemode2, sciencemode4; it sets the line's rate.")
    ] = None,
    baud: Annotated[
        int | None, typer.Option(min=1, help="Another rate than the kind's; 115200 without a kind.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The emulator's seed, for the tape's head.")] = None,
    until_eof: UntilEof = False,
) -> None:
    """Relay between a device and a controller, and write down what passes, until SIGTERM, SIGINT or the device's end.

    Start it before the device speaks and before the controller opens the link: then nothing is missing on the tape.
    Prints one line when the link is there: ready, and a JSON object.
    """
    from hil import record as recorder
    from hil import start
    from hil.settings import BadSetting
    from hil.wire import InUse

    try:
        kind = device and start.kind(device).name
        line = recorder.line_of(kind, baud)
        recorder.run(port, link, tape, line, device=kind, seed=seed, eof=until_eof)
    except BadSetting as bad:
        raise typer.BadParameter(str(bad)) from bad
    except (InUse, OSError) as error:
        typer.echo(f"stimwarden-hil: {error}", err=True)
        raise typer.Exit(1) from error


def replay(
    tape: TapeFile,
    link: Annotated[
        Path | None, typer.Option(help="Symbolic link to make: the serial port for the controller.")
    ] = None,
    until_eof: UntilEof = False,
) -> None:
    """Play a tape again. A serial tape: the device's side, to a controller, until SIGTERM, SIGINT, or a difference.

    A tape of a simulation: the whole clinic, on the target that it names; every line has to be the same.

    Prints ready when the link is there and played when all was said, each with a JSON object. Ends with 0 if all was
    played, with 1 and the first byte that differs if not, with 2 if the file is no tape.
    """
    from hil import replay as player
    from hil.tape_file import BadTape, kind_of
    from hil.wire import InUse

    try:
        if (kind := kind_of(tape)) == "simulation":
            _replay_simulation(tape)
            return
        if link is None:
            raise typer.BadParameter(f"a {kind} tape is played at a --link")
        wrong = player.run(tape, link, until_eof=until_eof)
    except BadTape as bad:
        typer.echo(f"stimwarden-hil: {bad}", err=True)
        raise typer.Exit(2) from bad
    except (InUse, OSError) as error:
        typer.echo(f"stimwarden-hil: {error}", err=True)
        raise typer.Exit(1) from error
    if wrong:
        typer.echo(f"stimwarden-hil: {wrong}", err=True)
        raise typer.Exit(1)


def _replay_simulation(tape: Path) -> None:
    from hil.simulate import tape as simulated
    from hil.simulate.target import BadTarget

    try:
        played = simulated.again(tape)
    except BadTarget as bad:
        typer.echo(f"stimwarden-hil: {bad}", err=True)
        raise typer.Exit(2) from bad
    if played.differs_at:
        typer.echo(f"stimwarden-hil: line {played.differs_at} of {played.lines} is another now", err=True)
        raise typer.Exit(1)
    typer.echo(f"the same to the byte: {played.lines} lines, {played.violations} violations")


def diff(
    one: Annotated[Path, typer.Argument(metavar="A", help="A tape.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    tolerance_ms: Annotated[float, typer.Option(min=0, help="Times may differ by so much.")] = 0.0,
    limit: Annotated[int, typer.Option(min=1, help="Print at most so many differences.")] = 50,
) -> None:
    """Compare two tapes: bytes exactly, frame by frame where the kind of device is known; times from their beginnings.

    Ends with 0 if they agree, with 1 if not, with 2 if one is no tape.
    """
    from hil.tape_diff import differences
    from hil.tape_file import BadTape, read

    try:
        left, right = read(one), read(other)
    except BadTape as bad:
        typer.echo(f"stimwarden-hil: {bad}", err=True)
        raise typer.Exit(2) from bad
    except OSError as error:
        typer.echo(f"stimwarden-hil: {error}", err=True)
        raise typer.Exit(2) from error
    found = differences(left, right, round(tolerance_ms * 1000))
    if not found:
        return
    typer.echo(f"first difference: {found[0].direction} byte {found[0].offset} at {found[0].at_us / 1000:.3f} ms")
    for parted in found[:limit]:
        typer.echo(parted.text)
    if len(found) > limit:
        typer.echo(f"and {len(found) - limit} more")
    raise typer.Exit(1)
