"""`stimwarden asyncapi`: the contract of the wire, for programs and for people."""

import json
from pathlib import Path

from .api.compare import complaints
from .api.document import document
from .api.page import html
from .api.schemas import all_schemas
from .cli_errors import FailureError


def written(value: object) -> str:
    """Write JSON as it is kept: one value a line, so that a change can be read."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def publish(schemas: Path | None, page: Path | None) -> None:
    """Write a JSON Schema for each message into a directory, and the page into a file; without both, print all."""
    if schemas is None and page is None:
        print(written(document()), end="")
    if schemas is not None:
        schemas.mkdir(parents=True, exist_ok=True)
        for name, schema in all_schemas().items():
            (schemas / f"{name}.json").write_text(written(schema), encoding="utf-8")
    if page is not None:
        page.write_text(html(document()), encoding="utf-8")


def judge(released: Path) -> int:
    """Print what was released and is otherwise now; 1 where there is any."""
    try:
        found = complaints(json.loads(released.read_text(encoding="utf-8")), document(), {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FailureError(f"{released}: is no document of this wire") from error
    for line in found:
        print(line)
    return 1 if found else 0
