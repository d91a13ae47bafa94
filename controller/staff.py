"""The people of a site as this service knows them: what they send, and how a stranger reads what is said to them.

A simulation asks for it beside the factory of `virtual.py`; it has shapes for both, of which nothing is known here.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from safety.attestation import ITEMS
from safety.rules.registry import RULES

from .client import must_expect
from .contract.answers import FINAL
from .contract.envelope import utc_text
from .contract.topics import Topics

VERBS: Final = {
    "claim": "device.claim", "renew": "device.renew", "release": "device.release", "prepare": "session.prepare",
    "attest": "session.attest", "check": "impedance.check", "arm": "session.arm", "start": "session.start",
    "adjust": "session.adjust", "pause": "session.pause", "resume": "session.resume", "stop": "session.stop",
    "clear": "latch.clear", "present": "presence.confirm", "rate": "session.rate", "look": "session.skin_check",
    "report": "adverse.report", "status": "service.status", "begin": "calibration.begin", "step": "calibration.step",
    "mark": "calibration.mark", "end": "calibration.end",
}  # fmt: skip
STAGES: Final = {
    "offline": "away", "idle": "idle", "prepared": "open", "calibrating": "calibrating", "armed": "armed",
    "running": "running", "paused": "paused", "uncertain": "doubt",
}  # fmt: skip
WIDE: Final = {"session", "device"}
"""What a latch holds that keeps its device at zero, whoever lies there."""
TIGHTER: Final = {
    "treatments_day": (0,), "power_uw_cm2": (10,), "pulse_energy_uj": (10,), "direct_ua": (1,), "rms_ua": (500,),
    "density_ua_cm2": (10,), "phase_charge_nc": (500,), "session_on_ms": (3_000,), "check_high_ohm": (400,),
    "check_spread_ppm": (0,), "channels_at_once": (0,), "pulse_share_ppm": (100,), "headroom_ppm": (10_000,),
    "mu_hold_ppm": (990_000,), "mu_pause_ppm": (980_000,), "pulls_set": (1,), "pulls_session": (1,), "poor_ohm": (500,),
    "ratio_ppm": (1_000_001,), "fall_ppm": (1_000,), "jump_ppm": (1_000,), "drift_ppm": (100,), "contact_ua_cm2": (50,),
    "clip_hold": (0,), "area_mm2": (60_000,), "spacing_mm": (300,), "ramp_ms": (5_000,), "week_nc": (1_000,),
    "day_nc": (1_000,), "treatments_week": (0,), "first_share_ppm": (1_000,), "rest_ratio_ppm": (9_000_000,),
    "attest_age_ms": (0,), "calibration_ms": (1_000,), "twin_ppm": (1_000_001,), "therapy_ms": (5_000,),
    "arm_to_start_ms": (0,), "check_age_ms": (0,), "rise_ua": (100,), "width_us": (60,), "period_min_us": (900_000,),
    "amplitude_ua": (9_000,), "claim_ms": (1_000,), "week_on_ms": (1_000,), "treatments_week_short": (0,),
}  # fmt: skip
"""Limits that a prescription may draw closer, so that rules have something to say in a session of a minute."""
BEYOND: Final = {
    "L07": "it counts, and refuses nothing",
    "L08": "it counts, and refuses nothing",
    "L09": "two references of one person are told by another program",
    "L13": "corrections are entered by another program",
    "M02": "it guards against a defect of the service itself",
    "M03": "it guards against a defect of the service itself",
    "M20": "it guards against a defect of the service itself",
    "M22": "no device here feels the skin's temperature",
    "M34": "there is no second controller that could take patient or device",
    **dict.fromkeys(
        ("X1", "X2", "X4", "X5", "X7", "X8", "X9", "X10", "X11", "X12"), "it is structure, and gives no reason"
    ),
    "X3": "it is structure: what it refuses is told by codes without a rule",
}
"""Rules that no clinic in memory can reach, and why."""
CLEARS: Final = {"ack_qualified": "prescriber", "maintenance": "biomed"}
"""Who clears a latch that its operator may not clear."""


class Order(NamedTuple):
    """A command, its topic and its id."""

    id: str
    topic: str
    payload: bytes


class Answer(NamedTuple):
    """What became of a command."""

    id: str
    is_final: bool
    is_done: bool
    seen_old: bool
    code: str
    rules: tuple[str, ...]


class Told(NamedTuple):
    """An event."""

    device: str
    kind: str
    session: str
    rules: tuple[str, ...]


class Latch(NamedTuple):
    """A latch that stands, and the role of who may clear it."""

    id: str
    rule: str
    who: str
    stops: bool


class Shown(NamedTuple):
    """A device's summary."""

    device: str
    stage: str
    session: str
    latches: tuple[Latch, ...]
    set_ua: dict[int, int]
    caps_ua: dict[int, int]
    expect: dict[str, object]


class Charge(NamedTuple):
    """What the ledger counts for a channel of a session."""

    session: str
    channel: int
    counted_nc: int


class Staff:
    """Speaks and reads the MQTT contract of a site."""

    rules = tuple(rule.id for rule in RULES)
    completed = "session.completed"
    tighter = TIGHTER
    beyond = BEYOND

    def __init__(self, site: str) -> None:
        self._topics = Topics(site)

    def prescription(self, rx: Mapping[str, Any], wall_us: int) -> str:
        """Write a prescription's file."""
        now = datetime.fromtimestamp(wall_us // 1_000_000, UTC)
        until = (now + timedelta(days=rx["valid_days"])).date()
        lines = [
            f'id = "{rx["name"]}"',
            "version = 1",
            f'patient = "{rx["patient"]}"',
            f'sensation = "{rx["sensation"]}"',
        ]
        lines += [f"valid_until = {until}", "[programme]", f'modality = "{rx["modality"]}"']
        lines += [f"{key} = {rx[key]}" for key in ("ramp_up_ms", "on_ms", "ramp_down_ms", "off_ms", "therapy_ms")]
        for pad in rx["pads"]:
            lines += channel(pad, now - timedelta(days=rx["calibrated_days"], hours=1))
        if rx["limits"]:
            lines += ["[limits]", *(f"{name} = {value}" for name, value in rx["limits"])]
        return "\n".join(lines) + "\n"

    def order(
        self, who: str, device: str, wish: str, number: int, wall_us: int, seen: Shown | None, of: Mapping[str, Any]
    ) -> Order:
        """Give the command."""
        verb, body = VERBS[wish], body_of(wish, of)
        command_id = f"0198c2a4-0000-7000-8000-{number:012x}"
        expect = seen.expect if seen is not None and must_expect(verb, body) else {}
        envelope = {
            "schema": "stim.command/1", "command_id": command_id, "verb": verb, "site": self._topics.site,
            "device": device, "issuer": who, "issued_at": utc_text(wall_us // 1_000),
            "expires_at": utc_text(wall_us // 1_000 + 5_000), "expect": expect, "body": body,
        }  # fmt: skip
        return Order(command_id, self._topics.command(device, who, verb), json.dumps(envelope).encode())

    def answer(self, topic: str, payload: bytes) -> Answer | None:
        """Read an answer."""
        match self._topics.levels(topic):
            case (_, "ack", _, command_id):
                said = json.loads(payload)
                rules = tuple(reason["rule"] for reason in said["reasons"])
                is_done, code = said["status"] == "succeeded", said["code"]
                return Answer(command_id, said["status"] in FINAL, is_done, code == "CMD.PRECONDITION", code, rules)
        return None

    def told(self, topic: str, payload: bytes) -> Told | None:
        """Read an event."""
        match self._topics.levels(topic):
            case (device, "event", kind):
                said = json.loads(payload)
                rules = tuple(reason["rule"] for reason in said["reasons"])
                return Told(device, kind, str(said["details"].get("session_id", "")), rules)
        return None

    def shown(self, topic: str, payload: bytes) -> Shown | None:
        """Read a summary."""
        match self._topics.levels(topic):
            case (device, "state", "summary"):
                said = json.loads(payload)
                latches = tuple(
                    Latch(each["latch_id"], each["rule"], CLEARS.get(each["clear"], "physio"), each["scope"] in WIDE)
                    for each in said["latches"]
                )
                session, channels = said["session_id"] or "", said["channels"]
                expect = {"boot_id": said["boot_id"], "session_id": session, "state_version": said["state_version"]}
                set_ua = {each["channel"]: each["setpoint_ua"] for each in channels}
                caps_ua = {each["channel"]: each["max_ua"] for each in channels}
                return Shown(device, STAGES[said["phase"]], session, latches, set_ua, caps_ua, expect)
        return None

    def charges(self, folder: Path) -> Sequence[Charge]:
        """Read the ledger."""
        query = "SELECT session, channel, coalesce(charged_nc, reserved_nc) FROM reservations"
        return [Charge(*row) for row in rows(folder / "ledger.sqlite", query)]

    def permitted(self, folder: Path) -> frozenset[str]:
        """Read which permits are in the journal, and reserved in the ledger."""
        query = (
            "SELECT json_extract(body, '$.session') FROM journal "
            "WHERE kind = 'permit' AND json_extract(body, '$.probe') = 0"
        )
        in_journal = {session for (session,) in rows(folder / "journal.sqlite", query)}
        return frozenset(in_journal & {charge.session for charge in self.charges(folder)})


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Read from a database of the service, beside it; what is not there yet is empty."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def body_of(wish: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """Give the body of a command."""
    match wish:
        case "prepare":
            pads = {"pads": of["barcodes"]} if of.get("barcodes") else {}
            onward = {"continues": True} if of.get("continues") else {}
            return {"prescription_id": of["rx"], "patient_ref": of["patient"], **pads, **onward}
        case "attest":
            said = of.get("answer", "no")
            return {"answers": {item.id: "no" for item in ITEMS} | {ITEMS[0].id: said}}
        case "clear":
            return {"latch_id": of["latch"], "reason": "looked at, and it is well"}
        case "check":
            return {}
        case "look":
            return {"ok": of.get("ok", True)}
    return dict(of)


def channel(pad: Mapping[str, Any], calibrated: datetime) -> list[str]:
    """Write a channel of a prescription."""
    keys = ("channel", "ua", "max_ua", "width_us", "gap_us", "period_us", "area_mm2", "delay_ms")
    lines = ["[[channel]]", *(f"{key} = {pad[key]}" for key in keys)]
    lines += [f'site = "{pad["site"]}"', f'pair = "{pad["pair"]}"', "[channel.montage]"]
    lines += [f'{key} = "{pad[key]}"' for key in ("region_a", "side_a", "region_b", "side_b")]
    lines += [f"spacing_mm = {pad['spacing_mm']}"]
    found = [f"{key} = {pad[key]}" for key in ("sensory_ua", "motor_ua", "maximal_ua") if pad[key]]
    if found:
        lines += [
            "[channel.calibration]",
            f"at = {calibrated.isoformat(timespec='seconds').replace('+00:00', 'Z')}",
            *found,
        ]
    return lines
