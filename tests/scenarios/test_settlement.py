"""What a patient was given is charged, never too low, hardly too high; and what was charged binds the next session."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from house import STEADY, House, held, now_us, steady, therapy, until

from controller.settings import SHIPPED_POLICY


def tightened(folder: Path, **limits: int) -> str:
    """Write a policy with tighter limits for muscle programmes, and name it in the settings."""
    head, nmes, rest = SHIPPED_POLICY.read_text(encoding="utf-8").partition("[nmes]\n")
    for name, value in limits.items():
        rest = re.sub(rf"^{name} = .*$", f"{name} = {value}", rest, count=1, flags=re.MULTILINE)
    (folder / "policy.toml").write_text(head + nmes + rest, encoding="utf-8")
    return '[policy]\nfile = "policy.toml"\n'


@pytest.mark.rule("L02")
@pytest.mark.rule("L01")
@pytest.mark.rule("L08")
@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.hazard("H19")
@pytest.mark.hazard("H21")
async def test_what_was_given_is_charged_and_binds_the_next_session(house: House):
    bed = house.beds["dev1"]
    house.configure(more=tightened(house.folder, treatments_day=1, session_nc=10_000_000))
    house.prescribe(therapy("rx-2", "p-1", on_ms=1_000, off_ms=3_000, therapy_ms=6_500))
    house.prescribe(therapy("rx-3", "p-1", on_ms=1_000, off_ms=3_000, therapy_ms=6_500))
    house.prescribe(therapy("rx-4", "p-2", on_ms=10_000, off_ms=30_000, therapy_ms=120_000))
    house.prescribe(steady("rx-5", "p-2"))
    house.start()
    async with house.client() as client:
        # Paused and resumed, then played to its end.
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        await house.must(client, "dev1", "session.pause")
        await asyncio.sleep(0.5)
        await house.resumed(client)
        await until(lambda: house.charged()[0]["evidence"])
        (paused,) = house.charged()
        delivered_nc = await bed.delivered_nc()
        assert paused["evidence"] == "readback"
        assert delivered_nc <= paused["charged_nc"] <= 1.05 * delivered_nc
        assert paused["charged_nc"] < paused["reserved_nc"]
        assert [row["body"]["outcome"] for row in house.journal() if row["kind"] == "close"] == ["completed"]

        # Another programme for the same muscle, at once: the rest and the day's count say no, each with its figures.
        await house.prepared(client, rx="rx-3@1")
        refused = await client.ask("dev1", "session.arm")
        assert (refused.status, refused.code) == ("rejected", refused.reasons[0].code)
        assert {(one.rule, one.code, one.limit) for one in refused.reasons} == {
            ("L01", "DOSE.DAY", 1),
            ("L02", "FAT.REST", 172_800_000),
        }
        assert len(house.charged()) == 1
        await client.stop("dev1")
        await house.ready(client)
        await house.cleared(client)

        # A session that could not stay inside its cap is refused before anything is measured.
        asked = await client.ask("dev1", "session.prepare", {"prescription_id": "rx-4@1", "patient_ref": "p-2"})
        assert (asked.status, asked.code, asked.rule, asked.limit, asked.unit) == (
            "rejected", "DOSE.SESSION", "G28", 9_500_000, "nC",
        )  # fmt: skip

        # Stopped in the middle.
        await bed.do("reset_scope")
        await house.running(client, rx="rx-5@1", patient="p-2")
        await house.flowing(peak_ua=20_000)
        await client.stop("dev1")
        await until(lambda: house.charged()[1]["evidence"])
        stopped, delivered_nc = house.charged()[1], await bed.delivered_nc()
        assert stopped["evidence"] == "readback"
        assert delivered_nc <= stopped["charged_nc"] <= 1.05 * delivered_nc


@contextmanager
def removed(ledger: Path) -> Iterator[None]:
    """Take the file away, and bring it back."""
    away = ledger.with_suffix(".away")
    ledger.rename(away)
    yield
    away.rename(ledger)


@contextmanager
def replaced(ledger: Path) -> Iterator[None]:
    """Put something else in the file's place."""
    with removed(ledger):
        ledger.write_bytes(b"this is no database, and never was one" * 100)
        yield
        ledger.unlink()


LOSSES = {"locked": held, "removed": removed, "replaced": replaced}


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
@pytest.mark.hazard("H39")
async def test_without_the_ledger_nothing_begins_and_what_runs_goes_on(house: House):
    bed, ledger = house.beds["dev1"], house.folder / "ledger-journal.sqlite"
    house.add_bed("dev2")
    house.configure()
    house.prescribe(steady("rx-2", "p-1"))
    house.prescribe(steady("rx-3", "p-2"))
    house.start()
    async with house.client() as client:
        await house.running(client, "dev1", rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        begun_us = now_us()
        await house.prepared(client, "dev2", rx="rx-3@1", patient="p-2")
        for name, loss in LOSSES.items():
            with loss(ledger):
                refused = await client.ask("dev2", "session.arm")
                assert (name, refused.status, refused.code) == (name, "rejected", "DOSE.LEDGER_UNAVAILABLE")
        assert await bed.rhythm(begun_us) == {STEADY}
        with removed(ledger):
            # What was given is known, and charged as soon as there is a ledger to charge it in.
            assert (await client.stop("dev1")).status == "succeeded"
            await until(lambda: (s := client.summary("dev1")) is not None and s.phase == "idle")
            await house.cleared(client)
            asked = await client.ask("dev1", "session.prepare", {"prescription_id": "rx-2@1", "patient_ref": "p-1"})
            assert (asked.status, asked.code) == ("rejected", "DOSE.LEDGER_UNAVAILABLE")
        await until(lambda: house.charged()[0]["evidence"] == "readback")
        await house.must(client, "dev2", "session.arm")
        assert await house.beds["dev2"].therapy_after(0) == []
