"""Permission is written before it is used: what the serial tape shows is held against the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from house import PATIENCE_S, House, held, now_us, steady, until
from wiretape import Frame, complaints, energising

from controller.client import Client
from controller.contract.answers import AnswerMessage
from tests.golden.native.layout import ARM, DRIVE, FEED, PROBE, envelope, frame, train

UP = {"channel": 1, "delta_ua": 1_000}


def highest_ua(sent: Iterable[Frame]) -> int:
    return max((train["ua"] for one in sent for train in one.fields.get("trains", [])), default=0)


async def under_way(client: Client, verb: str, body: dict[str, Any] | None = None) -> asyncio.Task[AnswerMessage]:
    """Ask, and see that the wish waits: while it does, no other that leads upwards is heard."""
    while True:
        asked = asyncio.create_task(client.ask("dev1", verb, body, timeout_s=PATIENCE_S))
        await asyncio.wait([asked], timeout=0.2)
        if not asked.done():
            break
        # A plateau begins with a tick, and a tick that came late, as on a busy machine, forbids raising for a while.
        assert (await asked).code in {"LIM.STEP", "SYS.OVERLOAD"}
    second = await client.ask("dev1", verb, body)
    assert (second.status, second.code) == ("rejected", "SES.PHASE_CHANGED")
    return asked


@pytest.mark.rule("G28")
@pytest.mark.hazard("H19")
@pytest.mark.hazard("H39")
async def test_no_test_pulse_before_its_permit_is_durable(house: House):
    bed = house.beds["dev1"]
    house.start()
    async with house.client() as client:
        await house.opened(client)
        with held(house.folder / "journal.sqlite"):
            asked = await under_way(client, "impedance.check")
            await asyncio.sleep(1)
            assert energising(await bed.tape()) == []
            assert not asked.done()
            freed_us = now_us()
        answer = await asked
        assert (answer.status, answer.code) == ("succeeded", "OK")
        sent = energising(await bed.tape())
        assert [one.kind for one in sent] == [PROBE] * 3
        assert all(one.at_us >= freed_us for one in sent)
        assert complaints(sent, house.journal()) == []


@pytest.mark.rule("G28")
@pytest.mark.hazard("H19")
@pytest.mark.hazard("H39")
async def test_no_arming_before_its_permit_is_durable_and_none_after_it_was_given_up(house: House):
    bed = house.beds["dev1"]
    house.start()
    async with house.client() as client:
        await house.prepared(client)
        checked = len(await bed.tape())
        with held(house.folder / "journal.sqlite"):
            asked = await under_way(client, "session.arm")
            await until(house.charged)
            answer = await asked
            assert (answer.status, answer.code) == ("failed", "SYS.AUDIT_UNWRITABLE")
            assert energising((await bed.tape())[checked:]) == []
        # The permit that nobody waits for any more gets into the journal now; it must not be used.
        await until(lambda: len(house.permits()) == 2)
        await asyncio.sleep(0.5)
        assert energising((await bed.tape())[checked:]) == []
        await house.must(client, "dev1", "session.arm")
        armed = [one for one in energising(await bed.tape()) if one.kind == ARM]
        assert [one.fields["permit"] for one in armed] == [house.permits()[2]["id"]]
        await client.stop("dev1")
        await until(lambda: [row["charged_nc"] for row in house.charged()] == [0])


@pytest.mark.rule("G28")
@pytest.mark.rule("G18")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
async def test_every_energising_frame_of_a_session_has_an_older_permit(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        code = ""
        while code != "OK":
            with held(house.folder / "journal.sqlite"):
                rising = await under_way(client, "session.adjust", UP)
                assert highest_ua(energising(await bed.tape())) == 20_000
            code = (await rising).code
            assert code in {"OK", "SYS.OVERLOAD"}
        await house.flowing(peak_ua=21_000)
        await house.must(client, "dev1", "session.adjust", {"channel": 1, "delta_ua": -3_000})
        await house.must(client, "dev1", "session.pause")
        paused_us = now_us()
        await house.resumed(client)
        await house.flowing(peak_ua=18_000, since_us=paused_us)
        await client.stop("dev1")
        await until(lambda: house.charged()[0]["evidence"])
    sent, journal = energising(await bed.tape()), house.journal()
    assert complaints(sent, journal) == []
    assert {one.kind for one in sent} == {PROBE, ARM, DRIVE, FEED}
    assert [one.kind for one in sent].count(ARM) == 2
    probing, arming, *_, rise = (row for row in journal if row["kind"] == "permit")
    assert {one.fields["permit"] for one in sent if one.kind == PROBE} == {probing["body"]["permit"]["id"]}
    assert {one.fields["permit"] for one in sent if one.kind != PROBE} == {arming["body"]["permit"]["id"]}
    # Above what was reserved at first nothing flows before the larger reservation is durable.
    first_above = next(one for one in sent if highest_ua([one]) > 20_000)
    assert first_above.at_us > rise["mono_ms"] * 1000
    assert rise["body"]["permit"]["reserve"][0]["nc"] > arming["body"]["permit"]["reserve"][0]["nc"]


# The check itself, shown to bite

PERMITTED: dict[str, Any] = {
    "id": 7,
    "ends_mono_ms": 61_000,
    "envelopes": [envelope(1, max_ua=30_000, max_width_us=300)],
}
PROBING = {"id": 5, "ends_mono_ms": 11_000, "envelopes": [envelope(1, max_ua=1_000, max_width_us=300)]}
JOURNAL = [
    {"kind": "permit", "mono_ms": 1_000, "body": {"permit": PROBING}},
    {"kind": "open", "mono_ms": 1_100, "body": {}},
    {"kind": "permit", "mono_ms": 2_000, "body": {"permit": PERMITTED}},
]


def tape(*sent: tuple[int, bytes]) -> list[dict[str, Any]]:
    return [{"at_us": at_us, "direction": "to_device", "hex": data.hex()} for at_us, data in sent]


def probe(grant: int = 6, **other: int) -> bytes:
    return frame(PROBE, 1, **({"permit": 5, "grant": grant, "channel": 1, "ua": 1_000, "width_us": 300} | other))


def arm(permit: int = 7, lifetime_ms: int = 58_500, **other: int) -> bytes:
    return frame(ARM, 2, permit=permit, lifetime_ms=lifetime_ms, envelopes=[PERMITTED["envelopes"][0] | other])


def drive(grant: int = 8, permit: int = 7, **other: int) -> bytes:
    return frame(DRIVE, 3, permit=permit, grant=grant, trains=[train(**({"channel": 1} | other))])


def feed(grant: int = 9, permit: int = 7) -> bytes:
    return frame(FEED, 4, permit=permit, grant=grant)


SOUND = ((1_500_000, probe()), (2_100_000, arm()), (2_200_000, drive()), (2_300_000, feed()))
PLANTED = {
    "a permit that nobody wrote down": ((2_400_000, drive(10, 9)), ["4 DRIVE: nobody wrote down its permit"]),
    "a frame older than its permit": ((1_999_999, feed(10)), ["4 FEED: it is older than its permit"]),
    "a frame after its permit's end": ((61_000_001, feed(10)), ["4 FEED: its permit has ended"]),
    "too much current": ((2_400_000, drive(10, ua=30_100)), ["4 DRIVE: its ua lies outside its permit"]),
    "too wide": ((2_400_000, drive(10, width_us=301)), ["4 DRIVE: its width_us lies outside its permit"]),
    "too fast": ((2_400_000, drive(10, period_us=24_990)), ["4 DRIVE: its period_us lies outside its permit"]),
    "another channel": ((2_400_000, drive(10, channel=2)), ["4 DRIVE: channel 2 is not in its permit"]),
    "therapy under the permit of a probe": (
        (2_400_000, drive(10, 5)),
        ["4 DRIVE: its ua lies outside its permit"],
    ),
    "too strong a probe": ((2_400_000, probe(10, ua=1_100)), ["4 PROBE: its ua lies outside its permit"]),
    "an envelope above the permit": ((2_400_000, arm(max_ua=30_001)), ["4 ARM: its ua lies outside its permit"]),
    "a charge above the permit": (
        (2_400_000, arm(max_charge_nc=1_000_000_001)),
        ["4 ARM: its charge_nc lies outside its permit"],
    ),
    "a life longer than the permit": ((2_400_000, arm(lifetime_ms=58_801)), ["4 ARM: it lasts longer than its permit"]),
    "a grant that does not rise": ((2_400_000, drive(9)), ["4 DRIVE: its grant does not rise"]),
    "the same bytes again": (
        (2_400_000, feed()),
        ["4 FEED: its grant does not rise", "4 FEED: its bytes were sent before"],
    ),
}


@pytest.mark.rule("G28")
def test_the_check_accepts_what_is_sound():
    assert complaints(energising(tape(*SOUND)), JOURNAL) == []


@pytest.mark.rule("G28")
@pytest.mark.parametrize("what", PLANTED)
def test_the_check_finds_what_is_planted(what: str):
    planted, said = PLANTED[what]
    assert complaints(energising(tape(*SOUND, planted)), JOURNAL) == said


@pytest.mark.rule("G28")
def test_a_frame_is_read_whatever_the_pieces_and_a_damaged_one_is_none():
    data = drive()
    cut = [(1, data[:5]), (2, data[5:] + b"\0\0" + feed()[:-3] + b"\0"), (3, b"junk\0" + feed())]
    assert [(one.at_us, one.kind) for one in energising(tape(*cut))] == [(2, DRIVE), (3, FEED)]
