"""The papers of a house: who may ask, and what is prescribed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

STEADY = (20_000, 25_000)
"""Current and distance of pulses on the plateau of `steady`."""
PRINCIPALS = """
[[principal]]
name = "physio-1"
role = "physio"
devices = ["*"]
[[principal]]
name = "physio-2"
role = "physio"
devices = ["*"]
[[principal]]
name = "physio-3"
role = "physio"
devices = ["dev2"]
[[principal]]
name = "prescriber-1"
role = "prescriber"
devices = ["*"]
[[principal]]
name = "biomed-1"
role = "biomed"
devices = ["*"]
[[principal]]
name = "handset-1"
role = "handset"
devices = ["dev1"]
[[principal]]
name = "auditor-1"
role = "auditor"
devices = ["*"]
"""

THERAPY = """
id = "{id}"
version = 1
patient = "{patient}"
sensation = "S0"
valid_until = {valid}
[programme]
modality = "{modality}"
ramp_up_ms = 1000
on_ms = {on_ms}
ramp_down_ms = 1000
off_ms = {off_ms}
therapy_ms = {therapy_ms}
"""
CHANNEL = """
[[channel]]
channel = {channel}
site = "{site}"
pair = "pair-{channel}"
ua = 20000
max_ua = 30000
width_us = 300
gap_us = 100
period_us = 25000
area_mm2 = 2500
delay_ms = {delay_ms}
[channel.montage]
region_a = "thigh"
side_a = "{side}"
region_b = "thigh"
side_b = "{side}"
spacing_mm = 80
[channel.calibration]
at = {at}
sensory_ua = 8000
motor_ua = 15000
maximal_ua = 60000
"""


def therapy(
    name: str = "rx-1",
    patient: str = "p-1",
    *,
    modality: str = "nmes",
    on_ms: int = 2_000,
    off_ms: int = 6_000,
    therapy_ms: int = 60_000,
    channels: int = 1,
    delay_ms: int = 0,
) -> str:
    """Write a prescription: 20 mA, 300 us, 40 Hz; one site a channel, each `delay_ms` later than the one before."""
    now = datetime.now(UTC).replace(microsecond=0)
    valid = (now + timedelta(days=7)).date()
    head = THERAPY.format(
        id=name, patient=patient, modality=modality, on_ms=on_ms, off_ms=off_ms, therapy_ms=therapy_ms, valid=valid
    )
    at = (now - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    return head + "".join(
        CHANNEL.format(
            channel=n, site=f"site-{n}", delay_ms=(n - 1) * delay_ms, at=at, side="left" if n % 2 else "right"
        )
        for n in range(1, channels + 1)
    )


def steady(name: str = "rx-1", patient: str = "p-1", *, therapy_ms: int = 60_000, channels: int = 1) -> str:
    """Write a prescription without rests: after the first ramp the scope sees a pulse each 25 ms until the end."""
    return therapy(
        name, patient, modality="tens", on_ms=therapy_ms - 2_000, off_ms=0, therapy_ms=therapy_ms, channels=channels
    )
