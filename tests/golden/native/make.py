"""Make the golden frames of the native protocol from its specification alone.

Written from docs/native-protocol.md with struct, zlib and the third-party `cobs` package; it imports neither codec of
the repository, so that one misreading cannot hide in a codec and in its own test data. Run it to rewrite
`frames.json` and `malformed.json` beside this file, or with a directory to write them there.

frames.json, one object a row:
    name, direction (`host`: sent by the host, `device`: sent by the device), fields, hex (whole frame, delimiter
    included). `fields` holds `type`, `seq` and the payload's fields; the counts n and m follow from the lists
    `envelopes`, `trains` and `channels_status`, reserved bytes are zero and not listed.

malformed.json, section `to_device`: send the frames of `before` to a device that has just booted, press its patient
stop if `pressed`, then send `hex`. Expected, each an equality:
    answers   what comes back apart from EVENT frames: type, seq, and for a NAK its refused_type and code
    errors, frames   by how much the STATUS counters rise through `hex` (not through `before`)
    state, faults    of the device afterwards, as ASK tells them
    `min_channels` is there when the device must have more than one channel for the row to mean what it says.

malformed.json, section `to_host`: `hex` arrives at the host, which reports each item of `reports`: `damaged` (counted)
or `unknown` (a reason to stop).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accepted import frames
from malformed import malformed


def listed(rows: Iterable[dict[str, Any]]) -> str:
    """A JSON array with one row a line."""
    return "[\n" + ",\n".join(json.dumps(one) for one in rows) + "\n]"


def files() -> dict[str, str]:
    """The text of each file that this generator owns."""
    lists = ",\n".join(f'"{name}": {listed(rows)}' for name, rows in malformed().items())
    return {"frames.json": listed(frames()) + "\n", "malformed.json": "{" + lists + "}\n"}


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for file, text in files().items():
        (target / file).write_text(text, encoding="ascii")
