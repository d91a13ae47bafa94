"""Only what is known to hold no patient's data is logged."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from controller.logs import KEYS, only_known

SHELL = Path(__file__).parents[2] / "controller"


def keys_logged(text: str) -> set[str]:
    """The keyword arguments of every call of `log.<level>` in a source text."""
    return {
        keyword.arg
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
        for keyword in node.keywords
        if keyword.arg is not None
    }


def test_what_is_listed_passes():
    line = {"event": "x", "device": "dev1", "code": "IMP.OPEN"}
    assert only_known(None, "", dict(line)) == line


def test_what_is_not_listed_is_named_and_not_told():
    said = only_known(None, "", {"event": "x", "patient": "p-1", "amplitude": 3})
    assert said == {"event": "x", "held_back": ["amplitude", "patient"]}


def test_every_key_that_the_shell_logs_is_listed():
    logged = {key for path in SHELL.rglob("*.py") for key in keys_logged(path.read_text(encoding="utf-8"))}
    assert logged - KEYS == set()
    assert "device" in logged


def test_the_search_bites():
    assert keys_logged("log.info('x', patient=p)\nother.info('y', name=1)") == {"patient"}


def test_a_line_is_one_json_object_on_standard_error():
    code = "import structlog; from controller import logs; logs.configure()"
    code += "; structlog.get_logger().info('a', why='b', rx=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b""
    said = json.loads(done.stderr)
    assert (said["event"], said["level"], said["why"], said["held_back"]) == ("a", "info", "b", ["rx"])
