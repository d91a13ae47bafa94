"""The principals file while the service runs: read again when it changes, and kept as it was when it is wrong."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from controller.tomlfile import FileError, Problem, shown

from .principals import Principal, read_principals
from .proof import Proof
from .roles import Tier


class Register(Mapping[str, Principal]):
    """Who may ask now, by name. Raises FileError where the file is wrong from the beginning."""

    def __init__(self, path: Path, proof: Proof) -> None:
        self._path = path
        self._proof = proof
        self._mark = _mark_of(path)
        self._known = checked(path, proof)

    def __getitem__(self, name: str) -> Principal:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def refresh(self, anyway: bool = False) -> bool:
        """Read the file again if it was written (`anyway`: also if not); tells whether it says something else now.

        Raises FileError, once for each change, where it is wrong: what was known before then stays in force.
        """
        mark = _mark_of(self._path)
        if mark == self._mark and not anyway:
            return False
        self._mark = mark
        before, self._known = self._known, checked(self._path, self._proof)
        return anyway or self._known != before


def checked(path: Path, proof: Proof) -> dict[str, Principal]:
    """Read a principals file whose people can prove who they are as well as their site asks. Raises FileError."""
    principals = read_principals(path)
    lacking = [Problem(str(path), *each) for p in principals.values() if (each := _lacking(p, proof.needed(p)))]
    if lacking:
        raise FileError(lacking)
    return principals


def _lacking(principal: Principal, needed: Tier) -> tuple[str, str, str] | None:
    """Say that a principal has no key with which it could ask; that its keys have run out is told when it asks."""
    best = max((key.alg.tier for key in principal.keys.values()), default=Tier.T1)
    if principal.revoked or needed <= Tier.T1_NONCE or best >= needed:
        return None
    expected = (
        f'{needed.word}, made by `stimwarden keys new`; or on a bench [identity] proof = "broker" in the settings'
    )
    return f"name = {shown(principal.name)}", f"has no key that a {principal.role.value} needs", expected


def _mark_of(path: Path) -> tuple[int, int, int] | None:
    """Give what changes whenever a file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
