"""The page of `watch`: what it shows of what was said, and what it does not pretend to know."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from controller.cli_watch import STALE_MS, Board
from controller.client import Doubt, Said
from controller.contract.answers import (
    AlarmSaid,
    CapabilitiesMessage,
    ChannelSaid,
    EventMessage,
    ServiceMessage,
    SummaryMessage,
    TelemetryMessage,
)

AT = "2026-11-22T14:50:00.123Z"
CAPABILITIES = CapabilitiesMessage(
    site="ward3", device="dev1", model="m", serial="s", firmware="1", emulator=True, channels=2, max_ua=1, step_ua=1,
    width_us=(1, 2), period_us=(1, 2), compliance_mv=1, dead_man_ms=500, numeric_impedance=True, readback=True,
    patient_stop=True, verbs=[], boot_id="b", as_of=AT,
)  # fmt: skip


def summary(device: str = "dev1", *, session: bool = True, alarms: list[AlarmSaid] | None = None) -> Said:
    channels = [
        ChannelSaid(channel=1, setpoint_ua=20_500, max_ua=30_000, ohm=1_500, spent_nc=0, on_ms=0),
        ChannelSaid(channel=2, setpoint_ua=18_000, max_ua=30_000, ohm=None, spent_nc=0, on_ms=0),
    ]
    message = SummaryMessage(
        site="ward3", device=device, phase="running" if session else "idle", state_version=1,
        session_id="s-1" if session else None, prescription_id="rx-1@1" if session else None,
        claimed_by="physio-1" if session else None, armed=session, played_ms=61_000 if session else 0,
        therapy_ms=900_000 if session else 0, channels=channels if session else [], limits={}, latches=[],
        alarms=alarms or [], boot_id="b", as_of=AT,
    )  # fmt: skip
    return Said(device, message)


def telemetry(channel: int, delivered_ua: int | None, ohm: int | None = None) -> Said:
    message = TelemetryMessage(
        channel=channel, sample=1, commanded_ua=0, delivered_ua=delivered_ua, charge_nc=0, ohm=ohm, boot_id="b", at=AT
    )
    return Said("dev1", message)


def service(state: str = "online") -> Said:
    message = ServiceMessage.model_validate(
        {"instance": "ward3", "state": state, "will": False, "boot_id": "b", "at": AT}
    )
    return Said("_service", message)


def alarm(priority: str, rule: str, code: str) -> AlarmSaid:
    fields = {
        "kind": "fault.latched",
        "priority": priority,
        "rule": rule,
        "code": code,
        "text": "Do this.",
        "since": AT,
    }
    return AlarmSaid.model_validate(fields)


def event(kind: str, priority: str = "none", rule: str | None = None, code: str = "OK") -> Said:
    fields = {
        "event_seq": 1, "site": "ward3", "device": "dev1", "kind": kind, "priority": priority, "rule": rule,
        "code": code, "text": "", "reasons": [], "details": {}, "boot_id": "b", "at": AT,
    }  # fmt: skip
    return Said("dev1", EventMessage.model_validate(fields))


def board(*said: Said) -> Board:
    """A board that heard all of it at 10 s."""
    heard = Board("ward3")
    for each in said:
        heard.hear(each, 10_000)
    return heard


def page(heard: Board, now_ms: int = 10_000) -> list[str]:
    """The page as text, each run of spaces shortened."""
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(heard.page(now_ms))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


HEADINGS = "device phase rx claimed played ch set flows ohm news"


def test_nothing_was_heard_yet() -> None:
    assert page(board()) == ["site ward3: no service was heard of", HEADINGS]


def test_a_session_on_two_channels() -> None:
    heard = board(service(), summary(), telemetry(1, 20_400, 1_480), telemetry(2, 0))
    assert page(heard, 11_000) == [
        "site ward3: service ward3 is online",
        HEADINGS,
        "dev1 running rx-1@1 physio-1 61 of 900 s 1 20.5 mA 20.4 mA 1480 1 s ago",
        "2 18 mA 0 mA",
    ]


def test_an_idle_device() -> None:
    assert page(board(service(), summary(session=False)))[2:] == ["dev1 idle 0 s ago"]


def test_a_device_that_said_only_what_it_can() -> None:
    assert page(board(service(), Said("dev1", CAPABILITIES)))[2:] == ["dev1 unknown 0 s ago"]


def test_devices_stand_in_order() -> None:
    heard = board(service(), summary("dev2", session=False), summary("dev1", session=False))
    assert [line.split()[0] for line in page(heard)[2:]] == ["dev1", "dev2"]


def test_a_current_that_is_not_measured_is_not_known() -> None:
    assert page(board(service(), summary(), telemetry(1, None)))[2:] == [
        "dev1 running rx-1@1 physio-1 61 of 900 s 1 20.5 mA ? 1500 0 s ago",
        "2 18 mA ?",
    ]


@pytest.mark.hazard("H48")
@pytest.mark.parametrize(("silent_ms", "flows", "news"), [
    (STALE_MS, "20.4 mA", "2 s ago"),
    (STALE_MS + 1, "?", "*** stale: nothing for 2 s, dead man 500 ms"),
])  # fmt: skip
def test_a_session_that_falls_silent_is_stale(silent_ms: int, flows: str, news: str) -> None:
    heard = board(service(), Said("dev1", CAPABILITIES), summary(), telemetry(1, 20_400, 1_480))
    assert page(heard, 10_000 + silent_ms)[2] == (
        f"dev1 running rx-1@1 physio-1 61 of 900 s 1 20.5 mA {flows} 1480 {news}"
    )


def test_an_idle_device_may_be_silent_for_long() -> None:
    assert page(board(service(), summary(session=False)), 100_000)[2:] == ["dev1 idle 90 s ago"]


@pytest.mark.hazard("H48")
@pytest.mark.parametrize("states", [["offline"], ["online", "offline"], ["starting"], []])
def test_without_its_service_nothing_is_known(states: list[str]) -> None:
    heard = board(summary(), telemetry(1, 20_400), *(service(state) for state in states))
    assert page(heard)[2].endswith("1 20.5 mA ? 1500 *** stale: nothing for 0 s")


def test_a_service_that_drains_still_serves() -> None:
    assert page(board(service("draining"), summary(session=False)))[::2] == [
        "site ward3: service ward3 is draining",
        "dev1 idle 0 s ago",
    ]


def test_news_make_a_session_fresh_again() -> None:
    heard = board(service(), summary())
    heard.hear(telemetry(2, 5_000), 15_000)
    assert page(heard, 15_000)[2].endswith("0 s ago")


def test_a_session_that_ended_leaves_no_current_behind() -> None:
    heard = board(service(), summary(), telemetry(1, 20_400), summary(session=False), summary())
    assert page(heard)[2] == "dev1 running rx-1@1 physio-1 61 of 900 s 1 20.5 mA ? 1500 0 s ago"


def test_alarms_carry_signs_and_the_worst_stands_first() -> None:
    alarms = [
        alarm("low", "M12", "IMP.DRIFT"),
        alarm("high", "M01", "DEV.SUPPLY"),
        alarm("medium", "M07", "X"),
    ]
    heard = board(service(), summary(session=False, alarms=alarms), summary("dev0", session=False, alarms=[alarms[1]]))
    assert page(heard)[4:] == [
        "*** dev0 M01 DEV.SUPPLY: Do this. (since 14:50:00)",
        "*** dev1 M01 DEV.SUPPLY: Do this. (since 14:50:00)",
        "** dev1 M07 X: Do this. (since 14:50:00)",
        "* dev1 M12 IMP.DRIFT: Do this. (since 14:50:00)",
    ]


def test_the_latest_events_are_told() -> None:
    said = [event(f"session.{number}") for number in range(9)]
    heard = board(service(), *said, event("fault.latched", "medium", "M07", "IMP.OPEN"))
    assert page(heard)[-6:] == [
        *(f"14:50:00 dev1 session.{number}" for number in range(4, 9)),
        "** 14:50:00 dev1 fault.latched M07 IMP.OPEN",
    ]


def test_a_device_of_which_a_stranger_spoke_is_unknown() -> None:
    doubt = Said("dev1", Doubt(topic="stim/v1/ward3/dev1/state/summary"))
    assert page(board(service(), summary(session=False), doubt))[2:] == ["dev1 unknown 0 s ago"]
