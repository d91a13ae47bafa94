"""What the service says: signed by its own key, and what a client makes of anything else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from controller import client as module
from controller.broker import Address, Connection
from controller.client import STALE_MS, Client, Doubt, NoAnswerError, Said
from controller.contract.answers import SummaryMessage
from controller.contract.envelope import Arrival, utc_ms, utc_text
from controller.identity.jws import sign
from controller.identity.keys import Key, Secret
from controller.identity.statement import Signing, is_said_by, own_secret
from controller.outbox import Outgoing
from controller.tomlfile import FileError
from safety.messages import Now
from tests.conftest import Server, Until
from tests.controller.desk import Desk
from tests.controller.signed import OTHER, secret
from tests.controller.wire import NOW, TOPICS

OWN = secret("ward3")
SUMMARY = TOPICS.summary("dev1")


def heard(topic: str, payload: bytes, signature: str | None) -> Arrival:
    return Arrival(topic, payload, False, None, None, signature)


# Signing


def test_what_is_said_is_signed_and_telemetry_is_not() -> None:
    said: list[Outgoing] = []
    signing = Signing(said.append, OWN)
    signing(Outgoing("a", b"1"))
    signing(Outgoing("b", b"2", retain=True, correlation=b"c"))
    signing(Outgoing("c", b"3", qos=0))
    assert said == [
        Outgoing("a", b"1", 1, False, None, sign(OWN, "a", b"1")),
        Outgoing("b", b"2", 1, True, b"c", sign(OWN, "b", b"2")),
        Outgoing("c", b"3", 0, False, None, None),
    ]


def test_a_statement_is_its_services_only_as_it_was_published() -> None:
    signature = sign(OWN, SUMMARY, b"{}")
    assert is_said_by(OWN.key, heard(SUMMARY, b"{}", signature))
    assert [
        is_said_by(OWN.key, heard(SUMMARY, b"{}", None)),
        is_said_by(OWN.key, heard(SUMMARY, b"{}", "")),
        is_said_by(OWN.key, heard(SUMMARY, b"[]", signature)),
        is_said_by(OWN.key, heard(TOPICS.summary("dev2"), b"{}", signature)),
        is_said_by(OWN.key, heard(SUMMARY, b"{}", sign(OTHER, SUMMARY, b"{}"))),
        is_said_by(OTHER.key, heard(SUMMARY, b"{}", signature)),
    ] == [False] * 6


def test_the_services_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "service.jwk"
    first, again = own_secret(path, "ward3", b"a" * 32), own_secret(path, "ward3", b"b" * 32)
    assert (first.kid, first.key.print, stat.S_IMODE(path.stat().st_mode)) == ("ward3", again.key.print, 0o600)
    path.chmod(0o644)
    with pytest.raises(FileError, match="open to others"):
        own_secret(path, "ward3", b"a" * 32)


# What a client believes


def client(service_key: Key | None = OWN.key) -> Client:
    return Client("127.0.0.1", 1, site="ward3", principal="clinician-1", service_key=service_key)


def summary(as_of_ms: int = NOW.wall_ms, version: int = 1) -> SummaryMessage:
    return SummaryMessage(
        site="ward3", device="dev1", phase="armed", state_version=version, session_id="s-1", prescription_id=None,
        claimed_by=None, armed=True, played_ms=0, therapy_ms=0, channels=[], limits={}, latches=[], alarms=[],
        boot_id="b-4", as_of=utc_text(as_of_ms),
    )  # fmt: skip


def state(of: SummaryMessage, by: Secret | None = OWN, topic: str = SUMMARY) -> Arrival:
    payload = of.to_bytes()
    return heard(topic, payload, sign(by, topic, payload) if by else None)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[Now]:
    """The client's clock, which a test may set."""
    times = [NOW]
    monkeypatch.setattr(module.clock, "now", lambda: times[-1])
    return times


def test_a_signed_state_is_believed_and_any_other_makes_it_unknown() -> None:
    for wrong in (state(summary(version=2), None), state(summary(version=2), OTHER)):
        ears = client()
        ears._hear(state(summary()))
        assert ears.summary("dev1") == summary()
        ears._hear(wrong)
        assert (ears.summary("dev1"), ears.unbelieved) == (None, 1)
        ears._hear(state(summary(version=3)))
        assert ears.summary("dev1") == summary(version=3)


def test_a_copy_of_an_older_state_makes_it_unknown() -> None:
    ears = client()
    ears._hear(state(summary(NOW.wall_ms, 2)))
    ears._hear(state(summary(NOW.wall_ms - 1, 1)))
    assert (ears.summary("dev1"), ears.unbelieved) == (None, 1)


def test_a_state_that_nobody_says_anew_becomes_unknown(now: list[Now]) -> None:
    ears = client()
    ears._hear(state(summary()))
    for age_ms, known in ((STALE_MS, True), (STALE_MS + 1, False)):
        now.append(Now(0, NOW.wall_ms + age_ms))
        assert (ears.summary("dev1") is not None) is known


def test_without_a_key_everything_is_believed_as_before(now: list[Now]) -> None:
    ears = client(None)
    ears._hear(state(summary(), None))
    now.append(Now(0, NOW.wall_ms + 10 * STALE_MS))
    assert (ears.summary("dev1"), ears.unbelieved) == (summary(), 0)


async def test_a_reader_hears_the_doubt() -> None:
    ears = client()
    ears._hear(state(summary()))
    said = ears.events()
    assert await anext(said) == Said("dev1", summary())
    ears._hear(state(summary(), None))
    assert await anext(said) == Said("dev1", Doubt(topic=SUMMARY))


def event(kind: str, at_ms: int, by: Secret | None = OWN) -> Arrival:
    topic = TOPICS.event("dev1", kind)
    payload = (
        b'{"schema":"stim.event/1","event_seq":1,"site":"ward3","device":"dev1","kind":"%s","priority":"none",'
        b'"rule":null,"code":"OK","text":"","reasons":[],"details":{},"boot_id":"b-4","at":"%s"}'
    ) % (kind.encode(), utc_text(at_ms).encode())
    return heard(topic, payload, sign(by, topic, payload) if by else None)


@pytest.mark.parametrize(
    ("message", "is_believed"),
    [
        (event("session.stopped", NOW.wall_ms), True),
        (event("session.stopped", NOW.wall_ms - STALE_MS), True),
        (event("session.stopped", NOW.wall_ms - STALE_MS - 1), False),
        (event("session.stopped", NOW.wall_ms, OTHER), False),
        (event("session.stopped", NOW.wall_ms, None), False),
    ],
)
async def test_an_event_is_heard_where_it_is_signed_and_young(message: Arrival, *, is_believed: bool) -> None:
    ears = client()
    said = ears.events()
    ears._hear(message)
    ears._hear(state(summary()))
    first = await anext(said)
    assert isinstance(first.message, SummaryMessage) is not is_believed
    assert ears.unbelieved == (not is_believed)


# Over a broker


class SignedDesk(Desk):
    """A service that signs."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.broker.publish = Signing(self.broker.publish, OWN)  # type: ignore[method-assign]


async def test_a_signed_answer_is_taken_and_an_unsigned_one_is_no_answer(
    any_broker: Server, now: list[Now], until: Until
) -> None:
    address = Address(host=any_broker.host, port=any_broker.port)

    def pinned() -> Client:
        return Client(any_broker.host, any_broker.port, site="ward3", principal="clinician-1", service_key=OWN.key)

    async with SignedDesk(address).open() as desk, pinned() as ears:
        assert (await ears.ask("dev1", "session.pause")).status == "succeeded"
        shown = desk.show("dev1", 77)
        await until(lambda: ears.summary("dev1") == shown)
        assert utc_ms(shown.as_of) <= NOW.wall_ms + STALE_MS
    async with Desk(address).open(), pinned() as ears:
        with pytest.raises(NoAnswerError, match="1 statements were not signed by the service that is known"):
            await ears.ask("dev1", "session.pause", timeout_s=0.5)


async def test_nobody_can_say_that_a_device_is_at_rest(any_broker: Server, until: Until) -> None:
    address = Address(host=any_broker.host, port=any_broker.port)
    forged = summary().model_copy(update={"phase": "idle", "armed": False, "state_version": 99})
    async with (
        SignedDesk(address).open() as desk,
        Client(any_broker.host, any_broker.port, site="ward3", principal="visitor", service_key=OWN.key) as ears,
        Connection(address, "forger", lambda _: None) as forger,
    ):
        desk.show("dev1", 77)
        await until(lambda: ears.summary("dev1") is not None)
        await forger.publish(Outgoing(SUMMARY, forged.to_bytes(), 1, retain=True))
        await until(lambda: ears.unbelieved > 0)
        assert ears.summary("dev1") is None
