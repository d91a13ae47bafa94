"""How a service ends: with zero output and settled accounts when it is told to, in words when it cannot begin."""

from __future__ import annotations

import asyncio
import signal

import pytest
from house import DEAD_MAN_US, House, now_us, steady, until


@pytest.mark.rule("X6")
@pytest.mark.rule("L08")
@pytest.mark.hazard("H11")
@pytest.mark.hazard("H31")
async def test_a_service_that_is_told_to_end_stops_settles_and_leaves_no_crash_behind(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    service = house.start()
    async with house.client() as client:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        house.kill(signal.SIGTERM)
        ended_us = now_us() + DEAD_MAN_US
        await until(lambda: service.poll() is not None)
        assert service.returncode == 0
        stopped = await house.shows(client, "dev1", "idle")
        assert [latch.rule for latch in stopped.latches] == ["STOP"]
    (charged,) = house.charged()
    delivered_nc = await bed.delivered_nc()
    assert charged["evidence"] == "readback"
    assert delivered_nc <= charged["charged_nc"] <= 1.05 * delivered_nc
    closing = [row["body"] for row in house.journal() if row["kind"] == "close"]
    assert [(body["session"], body["outcome"]) for body in closing] == [(charged["session"], "stopped")]

    house.start()
    async with house.client() as client:
        await house.ready(client)
        back = client.summary("dev1")
        assert back is not None
        assert (back.session_id, [latch.rule for latch in back.latches]) == (None, ["STOP"])
        assert back.boot_id != stopped.boot_id
        await asyncio.sleep(0.5)
        assert await bed.therapy_after(ended_us) == []
        assert house.charged() == [charged]


@pytest.mark.rule("M29")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H19")
async def test_a_service_whose_device_does_not_confirm_ends_all_the_same_and_the_session_counts_in_full(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    service = house.start()
    async with house.client() as client:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        await bed.do("fault.inject", fault="dead_line")
        silent_us = now_us() + DEAD_MAN_US
        house.kill(signal.SIGTERM)
        await until(lambda: service.poll() is not None)
        assert service.returncode == 0
    await bed.do("fault.clear")
    house.start()
    async with house.client() as client:
        await house.ready(client)
        back = client.summary("dev1")
        assert back is not None
        assert {latch.rule for latch in back.latches} >= {"X6", "M29"}
    (charged,) = house.charged()
    assert (charged["charged_nc"], charged["evidence"]) == (charged["reserved_nc"], "reservation")
    assert await bed.therapy_after(silent_us) == []


@pytest.mark.rule("X6")
@pytest.mark.hazard("H31")
async def test_an_idle_service_that_is_told_to_end_leaves_nothing_behind(house: House):
    for number in (signal.SIGTERM, signal.SIGINT):
        service = house.start()
        async with house.client() as client:
            await house.ready(client)
            summary = client.summary("dev1")
            assert summary is not None
            assert summary.latches == []
        house.kill(number)
        await until(lambda: service.poll() is not None)  # noqa: B023 - waited for within the round
        assert service.returncode == 0
    assert house.charged() == []
    assert [row["kind"] for row in house.journal() if row["kind"] in {"latch", "open"}] == []


WRONG = {
    "prot": (
        "[broker]",
        "[broker]\nprot = 1",
        "broker.prot is unknown: expected one of host, port, username, password, tls",
    ),
    "port": ("port = {port}", 'port = "often"', 'broker.port = "often": expected a whole number from 1 to 65535'),
    "id": ('id = "ward3"', "", "site.id is missing: expected 1 to 32 of a-z, 0-9 and -"),
}


@pytest.mark.hazard("H29")
async def test_an_invalid_configuration_is_told_by_file_key_value_and_what_was_expected(house: House):
    services = {}
    for name, (found, put, _) in WRONG.items():
        config = house.configure(name=f"{name}.toml")
        text = config.read_text(encoding="utf-8").replace(found.format(port=house.port), put, 1)
        config.write_text(text, encoding="utf-8")
        services[name] = house.serve(f"{name}.toml", f"{name}.log")
    await until(lambda: all(service.poll() is not None for service in services.values()))
    for name, service in services.items():
        lines = (house.folder / f"{name}.log").read_text(encoding="utf-8").splitlines()
        assert (service.returncode, lines) == (2, [f"{house.folder / name}.toml: {WRONG[name][2]}"])
