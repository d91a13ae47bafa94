"""What a ward has in writing: prescriptions, settings, answers about contraindications."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.identity.keys import SEED_BYTES, Alg, Secret
from controller.settings import SHIPPED_POLICY
from hil.target import Person, Seat
from safety.attestation import ITEMS

CALM = {item.id: "no" for item in ITEMS}
"""What somebody answers for a patient in whom nothing forbids anything."""
PEOPLE = (
    Person("physio-1", "physio"),
    Person("physio-2", "physio"),
    Person("prescriber-1", "prescriber"),
    Person("biomed-1", "biomed"),
    Person("handset-1", "handset"),
    Person("automation-1", "automation"),
    Person("auditor-1", "auditor"),
)
SECRETS = {p.name: Secret.of(p.name, Alg.ED25519, p.name.encode().ljust(SEED_BYTES, b".")) for p in PEOPLE}
"""Their keys, the same in every run."""
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
UA, PERIOD_US, WIDTH_US = 20_000, 25_000, 300
PULSE_NC = 2 * UA * WIDTH_US / 1_000
"""What one pulse of the plateau of `rx` carries in both phases."""

HEAD = {"id": "rx-1", "version": 1, "patient": "p-1", "sensation": "S0"}
PROGRAMME = {
    "modality": "tens", "ramp_up_ms": 1_000, "on_ms": 58_000, "ramp_down_ms": 1_000, "off_ms": 0, "therapy_ms": 60_000,
}  # fmt: skip
CHANNEL = {
    "ua": UA, "max_ua": 30_000, "width_us": WIDTH_US, "gap_us": 100, "period_us": PERIOD_US, "area_mm2": 2_500,
}  # fmt: skip
THRESHOLDS = {"sensory_ua": 8_000, "motor_ua": 15_000, "maximal_ua": 60_000}
THIGH = ("thigh", "left", "thigh", "left")


def toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)


def lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in table.items())


def rx(
    now_ms: int,
    *,
    days: int = 7,
    head: Mapping[str, Any] = HEAD,
    programme: Mapping[str, Any] = PROGRAMME,
    limits: Mapping[str, int] | None = None,
    channels: Iterable[str] = (),
    **of: Any,  # noqa: ANN401 - any field of the file
) -> str:
    """A prescription: TENS of a minute, 20 mA, 300 us, 40 Hz on a thigh; `of` changes a field by its name.

    `channels` are made by `channel`; none named means one, which `of` changes too. Good for `days` from `now_ms`.
    """
    now = datetime.fromtimestamp(now_ms // 1_000, UTC)
    heads, programmes = ({key: of.pop(key, value) for key, value in table.items()} for table in (head, programme))
    heads["valid_until"] = (now + timedelta(days=days)).date()
    text = lines(heads) + "[programme]\n" + lines(programmes)
    if limits:
        text += "[limits]\n" + lines(limits)
    return text + "".join(list(channels) or [channel(now_ms, **of)])


def channel(
    now_ms: int,
    number: int = 1,
    *,
    montage: tuple[str, str, str, str] | None = THIGH,
    spacing_mm: int = 80,
    thresholds: Mapping[str, int] | None = THRESHOLDS,
    found_ms: int = HOUR_MS,
    **of: Any,  # noqa: ANN401 - any field of the file
) -> str:
    """One channel of it; its thresholds were found `found_ms` ago."""
    plan: dict[str, Any] = {"channel": number, "site": f"site-{number}", "pair": f"pair-{number}"} | CHANNEL | of
    text = "[[channel]]\n" + lines(plan)
    if montage is not None:
        names = dict(zip(("region_a", "side_a", "region_b", "side_b"), montage, strict=True))
        text += "[channel.montage]\n" + lines(names | {"spacing_mm": spacing_mm})
    if thresholds is not None:
        at = datetime.fromtimestamp((now_ms - found_ms) // 1_000, UTC)
        text += "[channel.calibration]\n" + lines({"at": at} | thresholds)
    return text


def nmes(**of: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of the file
    """What makes `rx` muscle stimulation: 2 s in 10 s at the set current, with ramps of a second."""
    return {"modality": "nmes", "on_ms": 2_000, "off_ms": 6_000} | of


def listed(person: Person) -> str:
    """Name somebody in the principals file, with the key that they sign with."""
    key = {"kid": person.name, "alg": "Ed25519", "public": SECRETS[person.name].public}
    who = lines({"name": person.name, "role": person.role})
    return f'[[principal]]\n{who}devices = ["*"]\n[[principal.key]]\n{lines(key)}'


def write_settings(
    folder: Path, seats: Iterable[Seat], *, profile: str, ledger: str, limits: Mapping[str, int | None]
) -> None:
    """Write a site's files; its policy is the shipped one but for these limits, None being left out."""
    people = "".join(map(listed, PEOPLE))
    (folder / "principals.toml").write_text(people, encoding="utf-8")
    devices = "".join(
        "[[device]]\n" + lines({"id": s.device, "driver": s.kind, "port": s.port, "profile": profile}) for s in seats
    )
    tables = {
        "site": {"id": "ward3", "principals": "principals.toml"},
        "storage": {"journal": "journal.sqlite", "ledger": ledger},
        "policy": {"file": "policy.toml"},
    }
    write_policy(folder, limits)
    text = "".join(f"[{name}]\n" + lines(table) for name, table in tables.items())
    (folder / "config.toml").write_text(text + devices, encoding="utf-8")


def write_policy(folder: Path, limits: Mapping[str, int | None]) -> None:
    """Write a site's policy."""
    text = SHIPPED_POLICY.read_text(encoding="utf-8")
    for name, value in limits.items():
        line = "" if value is None else f"{name} = {value}"
        text, count = re.subn(rf"(?m)^{name} = .*$", line, text)
        assert count == 2, name
    (folder / "policy.toml").write_text(text, encoding="utf-8")
