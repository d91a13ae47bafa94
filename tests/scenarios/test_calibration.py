"""A calibration over MQTT on the emulated device: the scope sees the button, the caps, and what a crash leaves."""

from __future__ import annotations

import asyncio

import pytest
from house import DEAD_MAN_US, House, now_us, until
from papers import therapy

from controller.client import Client
from controller.contract.answers import AnswerMessage

pytestmark = [pytest.mark.rule("G19"), pytest.mark.timeout(120)]

CAP_UA = 3_000
HELD_US = 1_000_000
"""A second without a renewal is zero; the device's own dead man is what a late tick is bounded by."""


def bounded() -> str:
    """A prescription whose own limit ends every ascent at 3 mA, and which has no thresholds yet."""
    text = therapy().replace("\nua = 20000", "\nua = 2000").replace("max_ua = 30000", f"max_ua = {CAP_UA}")
    head, _, _ = text.partition("[channel.calibration]")
    return head + f"[limits]\namplitude_ua = {CAP_UA}\n"


class Button:
    """A hand on the button of one device."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def step(self, delta_ua: int) -> AnswerMessage:
        """Press or hold once."""
        return await self.client.ask("dev1", "calibration.step", {"delta_ua": delta_ua})

    async def held(self, delta_ua: int = 0) -> None:
        """Press or hold until it is granted, letting the button go for as long as a burst asks for."""
        while (answer := await self.step(delta_ua)).status != "succeeded":
            assert answer.code in {"CAL.HELD", "LIM.STEP", "SYS.OVERLOAD", "CMD.PRECONDITION"}, answer
            await asyncio.sleep(1.2)

    @property
    def setpoint_ua(self) -> int:
        """What the button stands for."""
        summary = self.client.summary("dev1")
        assert summary is not None
        return summary.channels[0].setpoint_ua

    async def find(self, threshold: str, ua: int) -> AnswerMessage:
        """Ascend to a current and say that the threshold stands there."""
        if ua > self.setpoint_ua:
            await self.held(ua - self.setpoint_ua)
        while True:
            await self.held()
            await asyncio.sleep(0.2)
            answer = await self.client.ask("dev1", "calibration.mark", {"threshold": threshold})
            if answer.code != "CAL.NOT_GIVEN":
                return answer


async def calibrating(house: House, client: Client) -> Button:
    """Bring dev1 to CALIBRATING."""
    await house.prepared(client, rx="rx-2@1")
    await house.must(client, "dev1", "calibration.begin", {"channel": 1})
    return Button(client)


@pytest.mark.rule("G08")
@pytest.mark.rule("L03")
@pytest.mark.hazard("H45")
async def test_thresholds_are_found_kept_booked_and_bind_the_next_session(house: House):
    house.prescribe(bounded().replace("rx-1", "rx-2"))
    house.prescribe(therapy("rx-3").partition("[channel.calibration]")[0])
    house.start()
    async with house.client() as client:
        button = await calibrating(house, client)
        for threshold, ua in (("sensory", 1_000), ("motor", 2_000), ("maximal", CAP_UA)):
            for repeat in (1, 2):
                answer = await button.find(threshold, ua)
                assert (answer.status, answer.details["repeats"]) == ("succeeded", repeat), answer
        assert (await button.step(500)).status == "rejected"
        ended = await house.must(client, "dev1", "calibration.end")
        assert ended.details == {"sensory_ua": 1_000, "motor_ua": 2_000, "maximal_ua": CAP_UA}
        pulses = await house.beds["dev1"].pulses()
        assert CAP_UA - 100 <= max(pulse["first_ua"] for pulse in pulses) <= CAP_UA
        await house.must(client, "dev1", "session.stop")
        await house.ready(client)
        delivered_nc = await house.beds["dev1"].delivered_nc()
        await until(lambda: house.charged()[0]["charged_nc"] is not None)
        (row,) = house.charged()
        # The three test pulses of the check are no dose.
        assert row["charged_nc"] >= delivered_nc - 3 * 2 * 300 > 0
        assert (row["on_time_ms"], row["evidence"]) == (0, "readback")

        await house.cleared(client)
        stronger = {"prescription_id": "rx-3@1", "patient_ref": "p-1"}
        answer = await client.ask("dev1", "session.prepare", stronger)
        assert (answer.code, answer.rule, answer.requested, answer.limit) == ("LIM.TOLERANCE", "G08", 20_000, CAP_UA)


@pytest.mark.hazard("H33")
async def test_a_button_that_is_not_held_is_zero_within_a_second(house: House):
    house.prescribe(bounded().replace("rx-1", "rx-2"))
    house.start()
    async with house.client() as client:
        button = await calibrating(house, client)
        while button.setpoint_ua < CAP_UA:
            await button.held(1_000)
        assert (await button.step(1_000)).status == "rejected"
        await button.held()
        let_go_us = now_us()
        await asyncio.sleep(2)
        after = await house.beds["dev1"].therapy_after(let_go_us + HELD_US + DEAD_MAN_US)
        assert after == []
        summary = client.summary("dev1")
        assert summary is not None
        assert (summary.phase, summary.latches) == ("calibrating", [])


@pytest.mark.rule("X6")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H11")
async def test_a_service_that_is_killed_in_a_calibration_leaves_zero_and_a_whole_reservation(house: House):
    house.prescribe(bounded().replace("rx-1", "rx-2"))
    house.start()
    async with house.client() as client:
        button = await calibrating(house, client)
        while button.setpoint_ua < CAP_UA:
            await button.held(1_000)
        while not await house.beds["dev1"].therapy_after(now_us() - 200_000):
            await button.held()
        house.kill()
    killed_us = now_us()
    await asyncio.sleep(1)
    assert await house.beds["dev1"].therapy_after(killed_us + DEAD_MAN_US) == []
    house.start()
    async with house.client() as client:
        await house.ready(client)
        summary = client.summary("dev1")
        assert summary is not None
        assert (summary.session_id, [latch.rule for latch in summary.latches]) == (None, ["X6"])
    (row,) = house.charged()
    assert row["charged_nc"] == row["reserved_nc"] > sum(p["charge_nc"] for p in await house.beds["dev1"].pulses())
