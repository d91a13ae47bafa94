"""What a virtual service finds of its site: settings that are there are kept, others are written for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.settings import load
from controller.virtual import configured
from hil.target import Person, Seat, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    seats = (Seat("dev1", "native", "bed1"), Seat("dev2", "sciencemode4", "bed2"))
    return Site("ward3", tmp_path, seats, (Person("physio-1", "physio"),))


def test_a_site_without_settings_gets_those_of_its_seats_and_people(site: Site):
    path = configured(site)
    assert path == site.folder / "config.toml"
    settings = load(path)
    assert settings.site.id == "ward3"
    assert [(device.id, device.driver, device.profile) for device in settings.device] == [
        ("dev1", "native", "bench"), ("dev2", "sciencemode4", "bench"),
    ]  # fmt: skip
    assert 'name = "physio-1"\nrole = "physio"' in (site.folder / "principals.toml").read_text(encoding="utf-8")


def test_a_site_with_settings_keeps_them_to_the_byte(site: Site):
    path = configured(site)
    own = path.read_bytes().replace(b'"bench"', b'"clinical"').replace(b'"broker"', b'"signed"')
    path.write_bytes(own)
    people = site.folder / "principals.toml"
    people.write_text("# ours", encoding="utf-8")
    assert configured(site._replace(people=())) == path
    assert (path.read_bytes(), people.read_text(encoding="utf-8")) == (own, "# ours")
    assert {device.profile for device in load(path).device} == {"clinical"}
