"""One service to a name: what each says to the other, case by case."""

from __future__ import annotations

import json

import pytest

from controller.contract.answers import ServiceMessage, ServiceState
from controller.contract.envelope import Arrival
from controller.contract.topics import Topics
from controller.outbox import Outgoing
from controller.presence import Presence


def presence() -> Presence:
    return Presence(Topics("ward3"), "svc", "b-5")


def heard(state: ServiceState, boot_id: str, *, stored: bool = False) -> Arrival:
    said = ServiceMessage(instance="svc", state=state, will=False, boot_id=boot_id, at=None)
    return Arrival("stim/v1/ward3/_service/svc/state", said.to_bytes(), stored, None, None)


def state_of(said: Outgoing | None) -> tuple[str, bool] | None:
    return (json.loads(said.payload)["state"], said.retain) if said else None


@pytest.mark.parametrize(
    ("state", "boot_id", "reply", "rival"),
    [
        ("starting", "b-4", None, "b-4"),
        ("starting", "b-6", ("starting", False), ""),
        ("online", "b-4", None, "b-4"),
        ("online", "b-6", None, "b-6"),
        ("draining", "b-6", None, "b-6"),
        ("offline", "b-4", None, ""),
        ("starting", "b-5", None, ""),
        ("online", "b-5", None, ""),
    ],
)
def test_a_newcomer_gives_way(state: ServiceState, boot_id: str, reply: tuple[str, bool] | None, rival: str) -> None:
    newcomer = presence()
    assert (state_of(newcomer.hear(heard(state, boot_id))), newcomer.rival) == (reply, rival)


@pytest.mark.parametrize(
    ("state", "boot_id", "reply", "rival"),
    [
        ("starting", "b-4", ("online", True), ""),
        ("starting", "b-6", ("online", True), ""),
        ("offline", "b-4", ("online", True), ""),
        ("online", "b-4", None, "b-4"),
        ("draining", "b-6", None, "b-6"),
        ("offline", "b-5", None, ""),
        ("online", "b-5", None, ""),
    ],
)
def test_a_settled_service_stays(state: ServiceState, boot_id: str, reply: tuple[str, bool] | None, rival: str) -> None:
    settled = presence()
    assert state_of(settled.settle()) == ("online", True)
    assert (state_of(settled.hear(heard(state, boot_id))), settled.rival) == (reply, rival)


def test_it_repeats_what_it_said_last() -> None:
    settled = presence()
    settled.settle()
    assert state_of(settled.say("draining")) == ("draining", True)
    assert state_of(settled.hear(heard("starting", "b-6"))) == ("draining", True)


@pytest.mark.parametrize("state", ["starting", "online", "draining", "offline"])
def test_what_the_broker_had_stored_says_nothing(state: ServiceState) -> None:
    newcomer = presence()
    assert (newcomer.hear(heard(state, "b-4", stored=True)), newcomer.rival) == (None, "")


def test_junk_says_nothing() -> None:
    newcomer = presence()
    assert newcomer.hear(heard("online", "b-4")._replace(payload=b"junk")) is None
    assert newcomer.rival == ""


def test_a_will_is_retained_and_names_no_time() -> None:
    will = presence().will()
    assert (will.topic, will.qos, will.retain) == ("stim/v1/ward3/_service/svc/state", 1, True)
    assert json.loads(will.payload) == {
        "schema": "stim.service/1",
        "instance": "svc",
        "state": "offline",
        "will": True,
        "boot_id": "b-5",
        "at": None,
    }
