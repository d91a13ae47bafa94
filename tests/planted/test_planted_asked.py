"""Stories in virtual time of what is asked, by whom and when; of what a session gives, and what a second life finds."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.planted.telling import PERIOD_US, TICK_US, changed, codes, played, post, rows, sent, told
from tests.virtual.nurse import TOPICS, Said, Ward, prescribed


async def armed(ward: Ward) -> None:
    await ward.turned_on()
    ward.house.target.prescribe(prescribed())
    await ward.prepared()
    await ward.must("impedance.check", {})
    await ward.must("session.arm")


async def answered(ward: Ward, payload: bytes) -> Said:
    command_id = json.loads(payload)["command_id"]
    await ward.until(lambda: ward.final(command_id))
    answer = ward.final(command_id)
    assert answer is not None
    return answer


@pytest.mark.hazard("H25")
@pytest.mark.parametrize(("late_s", "lasts_ms"), [(3.2, 60_000), (1.2, 1_000)])
def test_a_start_that_was_held_up_starts_nothing(late_s: float, lasts_ms: int):
    async def story(ward: Ward) -> None:
        await armed(ward)
        hear, held = ward.house.hear, list[tuple[str, bytes]]()
        ward.house.hear = lambda *said, **_: held.append(said)  # type: ignore[method-assign,assignment,arg-type]
        ward.send("session.start")
        ward.house.hear = hear  # type: ignore[method-assign]
        ((topic, payload),) = held
        issued = json.loads(payload)["issued_at"]
        # Times are texts: a minute more, or a second.
        expires = issued.replace("T11:06", "T11:07") if lasts_ms > 5_000 else issued[:-5] + "9.999Z"[-5:]
        assert expires > issued
        await asyncio.sleep(late_s)
        hear(topic, changed(payload, expires_at=expires))
        assert (await answered(ward, payload))["code"] == "CMD.EXPIRED"
        await asyncio.sleep(1)
        assert ward.pulses() == []

    told(story)


@pytest.mark.hazard("H08", "H25")
def test_a_start_that_the_broker_had_kept_starts_nothing():
    async def story(ward: Ward) -> None:
        await armed(ward)
        ((_, payload),) = post(ward, "session.start", retained=True)
        assert (await answered(ward, payload))["code"] == "CMD.RETAINED"
        await asyncio.sleep(1)
        assert ward.pulses() == []

    told(story)


@pytest.mark.hazard("H28")
def test_a_rise_over_the_top_of_the_window_is_refused_and_one_to_the_top_is_given():
    async def story(ward: Ward) -> None:
        answer = await ward.ask("session.adjust", {"channel": 1, "delta_ua": 500})
        assert (answer["status"], answer["rule"]) == ("rejected", "G08")
        await asyncio.sleep(1)
        assert ward.pulses()[-1].first_ua == 30_000

    played(story, rx=prescribed(modality="tens", on_ms=58_000, off_ms=0).replace("ua = 20000", "ua = 30000"))


@pytest.mark.hazard("H10")
def test_a_stop_is_obeyed_whoever_it_comes_from():
    async def story(ward: Ward) -> None:
        asked_us = ward.house.loop.now_us
        ward.house.hear(TOPICS.command("dev1", "stranger", "session.stop"), b"{}")
        await asyncio.sleep(1)
        assert codes(ward, "session.stopped") == ["SES.STOPPED"]
        assert ward.pulses()[-1].at_us <= asked_us + PERIOD_US

    played(story)


@pytest.mark.hazard("H18", "H19")
def test_a_short_session_ends_by_itself_and_is_charged_what_it_gave():
    async def story(ward: Ward) -> None:
        await ward.until(lambda: codes(ward, "session.closed"))
        await asyncio.sleep(1)
        assert codes(ward, "session.completed") == ["OK"]
        pulses = ward.pulses()
        assert 7_500_000 <= pulses[-1].at_us - pulses[0].at_us <= 8_000_000
        ((charged_nc, evidence),) = rows(ward, "SELECT charged_nc, evidence FROM reservations")
        delivered_nc = ward.bench.scope.charge_nc(1)
        assert delivered_nc <= charged_nc <= 1.05 * delivered_nc
        assert evidence == "readback"

    played(story, therapy_ms=8_000, on_ms=6_000)


@pytest.mark.hazard("H08")
def test_current_comes_by_its_ramp():
    async def story(ward: Ward) -> None:
        await armed(ward)
        await ward.must("session.start")
        began_us = ward.house.loop.now_us
        await asyncio.sleep(1.5)
        for pulse in ward.bench.scope.pulses(1, began_us):
            risen_us = min(pulse.at_us - began_us + TICK_US, 1_000_000)
            assert pulse.first_ua <= 20_000 * risen_us // 1_000_000 + 500
        assert ward.pulses()[-1].first_ua == 20_000

    told(story)


@pytest.mark.hazard("H11", "H25")
def test_a_controller_that_stood_still_for_a_quarter_of_a_second_pauses():
    async def story(ward: Ward) -> None:
        ward.house.stall(260)
        await asyncio.sleep(1)
        assert codes(ward, "session.paused") + codes(ward, "session.stopped") == ["SYS.OVERLOAD"]

    played(story)


@pytest.mark.hazard("H27")
def test_a_clock_that_was_set_pauses():
    async def story(ward: Ward) -> None:
        ward.house.jump(60_000)
        await asyncio.sleep(1)
        assert codes(ward, "session.paused") == ["SYS.CLOCK"]

    played(story)


@pytest.mark.hazard("H31", "H39")
def test_a_latch_and_what_was_given_outlive_the_controller():
    async def story(ward: Ward) -> None:
        await ward.must("session.stop")
        await ward.until(lambda: codes(ward, "session.closed"))
        await asyncio.sleep(1)
        stood = [latch["rule"] for latch in ward.summary["latches"]]
        kinds = rows(ward, "SELECT kind, count(*) FROM journal GROUP BY kind ORDER BY kind", "journal")
        assert [kind for kind, _ in kinds] == [
            "attest",
            "close",
            "genesis",
            "latch",
            "open",
            "permit",
            "settle",
            "wish",
        ]
        ward.house.kill()
        await ward.turned_on()
        assert [latch["rule"] for latch in ward.summary["latches"]] == stood == ["STOP"]
        answer = await ward.ask("session.prepare", {"prescription_id": "rx-1@1", "patient_ref": "p-1"})
        assert answer["status"] == "rejected"

    played(story)


@pytest.mark.hazard("H32", "H25")
def test_what_was_begun_and_not_answered_is_answered_by_the_next_life():
    async def story(ward: Ward) -> None:
        # The ledger never comes back to this rise.
        ward.house.disk_us = lambda whose: (60_000_000, 0) if whose == "ledger" else (0, 0)
        ((topic, payload),) = post(ward, "session.adjust", {"channel": 1, "delta_ua": 500})
        await asyncio.sleep(0.2)
        ward.house.kill()
        ward.house.disk_us = lambda _: (0, 0)
        await asyncio.sleep(3)
        await ward.turned_on()
        ward.house.hear(topic, payload)
        assert (await answered(ward, payload))["code"] == "SYS.RESTARTED"
        assert sent(ward)["DRIVE"] > 0

    played(story)
