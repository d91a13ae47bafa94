"""What is known of a command that came before."""

from typing import NamedTuple


class Seen(NamedTuple):
    """A command that came before: the digest of its message, and its latest answer (None while there is none)."""

    digest: str
    answer: bytes | None
