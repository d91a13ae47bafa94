"""Why no report is made, in a code for programs and a text for people."""

from __future__ import annotations

from typing import Literal, TypeAlias

Code: TypeAlias = Literal[
    "tree_unknown",  # no commit can be told
    "tree_not_clean",  # something is not committed
    "tree_changed",  # something changed while the tests ran
    "report_exists",  # the folder of the report is not empty
    "key_needed",  # evidence is signed
    "key_bad",  # others may read the key, or it is none
    "baseline_bad",  # the baseline is not what was signed, or is no evidence
    "file_bad",  # a file that was given cannot be read
    "no_evidence",  # pytest left no evidence behind
]


class Refused(Exception):  # noqa: N818 - the name a user reads in a message needs no suffix
    """A run or a report that is refused."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
