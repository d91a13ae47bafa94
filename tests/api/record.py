"""The examples of statements in the document, recorded from a session in virtual time: `python -m tests.api.record`.

They are kept in controller/api/examples.json, by message, each with its name. Which of a session's many statements are
shown is decided here; that those kept still are what the models and the texts say is tested.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from controller.contract.answers import ChallengeMessage, ServiceMessage
from controller.identity.challenge import LASTS_MS
from controller.presence import Presence
from hil.world import Published
from tests.virtual.nurse import TOPICS, Ward, in_virtual_time, prescribed

KEPT = Path(__file__).parents[2] / "controller" / "api" / "examples.json"
Said = dict[str, Any]
WANTED: dict[str, Sequence[tuple[str, str, Callable[[Said], object]]]] = {
    "answer": (
        ("a claim that was granted", "ack", lambda said: "expires_in_ms" in said["details"]),
        ("an adjustment above the limit", "ack", lambda said: said["code"] == "LIM.STEP"),
        ("a message that is no command", "ack", lambda said: said["code"] == "CMD.SCHEMA"),
        ("what would become of a rise", "ack", lambda said: said["explained"]),
    ),
    "event": (
        ("a session starts", "event", lambda said: said["kind"] == "session.started"),
        ("the patient presses the stop", "event", lambda said: said["kind"] == "session.stopped"),
        ("what keeps the output at zero", "event", lambda said: said["kind"] == "fault.latched"),
    ),
    "summary": (
        ("nobody is treated", "state/summary", lambda said: said["phase"] == "idle"),
        ("current flows", "state/summary", lambda said: said["phase"] == "running"),
        ("stopped and latched", "state/summary", lambda said: said["phase"] == "idle" and said["latches"]),
    ),
    "capabilities": (("an emulated stimulator", "state/capabilities", lambda _: True),),
    "telemetry": (("a channel on its plateau", "tele", lambda said: said["delivered_ua"] == 20_000),),
}


async def played(folder: Path) -> list[Published]:
    """Play a session in which what integrators ask about happens; gives all that was said."""
    ward = Ward(folder, kind="native")
    await ward.turned_on()
    ward.house.target.prescribe(prescribed(therapy_ms=60_000))
    await ward.prepared()
    await ward.must("impedance.check", {})
    await ward.must("session.arm")
    await ward.ask("service.explain", {"verb": "session.adjust", "body": {"channel": 1, "delta_ua": 1_000}})
    await ward.must("session.start")
    await asyncio.sleep(2)
    await ward.ask("session.adjust", {"channel": 1, "delta_ua": 2_000})
    await ward.ask("session.adjust", {"channel": 1, "delta_ma": 1})
    button = ward.bench.device.button
    assert button is not None
    button.press(ward.house.loop.now_us)
    ward.house.beds["bed1"].emulator.touch()
    await ward.reaches("idle")
    await ward.house.end()
    return list(ward.house.published)


def services(boot_id: str, at: str) -> list[Said]:
    """What a service says of itself, and what the broker says once it is gone."""
    online = ServiceMessage(instance="ward3", state="online", will=False, boot_id=boot_id, at=at)
    will = Presence(TOPICS, "ward3", boot_id).will()
    return [
        {"name": "it is there", "payload": json.loads(online.to_bytes())},
        {"name": "its last will", "payload": json.loads(will.payload)},
    ]


def challenges(boot_id: str, at: str) -> list[Said]:
    """What a machine without a clock is given."""
    given = ChallengeMessage(
        device="dev1", principal="plc7", nonce="7F3C-91D0", session_id="", state_version=6, expires_in_ms=LASTS_MS,
        boot_id=boot_id, at=at,
    )  # fmt: skip
    return [{"name": "a machine may start", "payload": json.loads(given.to_bytes())}]


def chosen(published: Sequence[Published]) -> dict[str, list[Said]]:
    """The examples, by message."""
    said = [(item.topic, json.loads(item.payload)) for item in published]
    found: dict[str, list[Said]] = {
        message: [
            {"name": name, "payload": next(each for topic, each in said if f"/dev1/{branch}" in topic and fits(each))}
            for name, branch, fits in wanted
        ]
        for message, wanted in WANTED.items()
    }
    first = found["summary"][0]["payload"]
    run, at = first["boot_id"], first["as_of"]
    return found | {"challenge": challenges(run, at), "service": services(run, at)}


def main() -> None:
    """Write them anew."""
    with TemporaryDirectory() as folder:
        found = chosen(in_virtual_time(played(Path(folder))))
    KEPT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
