"""Finds what a simulation is to be run on: `module:factory`, and the module's `staff` beside it."""

from __future__ import annotations

from importlib import import_module

from hil.simulate.staff import Hire
from hil.target import Make


class BadTarget(ValueError):  # noqa: N818 - the name a user reads in a message needs no suffix
    """A target that cannot be had; the text says why."""


def found(target: str) -> tuple[Make, Hire]:
    """The factory of a target, and what gives the people who work with it; raises BadTarget."""
    module_name, _, factory = target.partition(":")
    if not module_name or not factory:
        raise BadTarget(f"{target!r}: expected module:factory")
    try:
        module = import_module(module_name)
        return getattr(module, factory), module.staff
    except (ImportError, AttributeError) as error:
        raise BadTarget(f"{target!r}: {error}") from error
