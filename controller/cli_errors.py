"""What an error says to the person at the terminal, and with what status the program ends."""

# ruff: noqa: PLC0415 - only a command that failed opens every room, to know whose error it is

import sys
import traceback
from typing import cast

import typer

ClickException = typer.BadParameter.__mro__[2]
"""What the command line's library raises for a wrong command line; it has no name that may be imported."""


class FailureError(Exception):
    """A command did not work, for the reason in its text."""


class MisuseError(Exception):
    """A command was called in a way that cannot work."""


def told(error: Exception) -> int:
    """Print an error in a line or two, and give the status: 1 did not work, 2 wrong usage or configuration."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has enough. Python would complain once more when it flushes the rest.
        sys.stdout = None
        return 1
    text, status = words(error)
    print(text, file=sys.stderr)
    return status


def words(error: Exception) -> tuple[str, int]:
    """Say an error in words, and how bad it is."""
    if isinstance(error, ClickException):
        return usage(error), 2
    if isinstance(error, MisuseError):
        return str(error), 2
    if isinstance(error, (FailureError, OSError)):
        return str(error), 1
    return words_of_rooms(error)


def usage(error: Exception) -> str:
    """Say what is wrong with a command line, and where to look it up; a group without a command is told as its help."""
    wrong = cast("typer.BadParameter", error)
    text = wrong.format_message()
    if type(wrong).__name__ == "NoArgsIsHelpError":
        return text
    program = wrong.ctx.command_path if wrong.ctx else "stimwarden"
    return f"{text.rstrip('.')}.\n`{program} --help` says what there is."


def words_of_rooms(error: Exception) -> tuple[str, int]:
    """Say an error of one of the service's rooms in words; what none of them raises is a mistake of ours."""
    from controller.broker import BrokerError, InstanceTakenError
    from controller.chain import JournalError
    from controller.client import NoAnswerError
    from controller.devices.base import DeviceError
    from controller.link import LinkError
    from controller.store.tables import LedgerError
    from controller.tomlfile import FileError

    if isinstance(error, FileError):
        return str(error), 2
    if isinstance(error, (LinkError, DeviceError)):
        return f"{error.code}: {error}", 1
    if isinstance(error, (BrokerError, InstanceTakenError, JournalError, NoAnswerError)):
        return str(error), 1
    if isinstance(error, LedgerError):
        # The database's library adds lines for programmers.
        return str(error).splitlines()[0], 1
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = f"stimwarden itself is wrong, please tell its makers: {type(error).__name__}: {error}"
    return f"{text} ({place.filename}, line {place.lineno})", 1
