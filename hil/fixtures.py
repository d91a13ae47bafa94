"""What a test on a bench may ask for by name."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hil.account import told
from hil.measure import Sheet
from hil.plugin import ACCOUNT, SESSION, Account
from hil.probe import BodyProbe, Clock, DeviceProbe, Faults, ScopeProbe, WireProbe
from hil.stand import NotHereError, Plan, PortStand, PtyStand, Spec, Stand, VirtualStand


@pytest.fixture
def bench_plan() -> Plan:
    """How the emulated device is to be; replace it by a fixture of the same name."""
    return Plan()


@pytest_asyncio.fixture
async def hil_bench(
    request: pytest.FixtureRequest, bench_plan: Plan, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    """The bench of one test. What cannot be begun, reset or ended is broken for good: its first cause is kept."""
    session = request.config.stash[SESSION]
    account = request.node.stash.setdefault(ACCOUNT, Account())
    if session.broken:
        account.first_cause = session.broken
        pytest.skip(f"the bench is broken: {session.broken}")
    if not inspect.iscoroutinefunction(inspect.unwrap(request.function)):
        pytest.fail("a test on a bench is a coroutine: async def", pytrace=False)
    try:
        async with _stand(session.bench, bench_plan, tmp_path_factory) as stand:
            await _reset(request.config, stand)
            yield stand
            account.told = told(stand)
            await _reset(request.config, stand)
    except NotHereError:
        raise
    except Exception as cause:
        session.broken = f"{request.node.nodeid}: {type(cause).__name__}: {cause}"
        account.first_cause = session.broken
        raise


@pytest.fixture
def bench(hil_bench: Stand) -> Stand:
    """The bench itself: `port`, `connect`, `attach`, `notes`."""
    return hil_bench


@pytest.fixture
def clock(hil_bench: Stand) -> Clock:
    """The bench's clock."""
    return Clock(hil_bench)


@pytest.fixture
def device(hil_bench: Stand) -> DeviceProbe:
    """The emulated device from inside."""
    _must_be_emulated(hil_bench, "device")
    return DeviceProbe(hil_bench)


@pytest.fixture
def body(hil_bench: Stand) -> BodyProbe:
    """The electrodes and the skin."""
    _must_be_emulated(hil_bench, "body")
    return BodyProbe(hil_bench)


@pytest.fixture
def wire(hil_bench: Stand) -> WireProbe:
    """The line."""
    return WireProbe(hil_bench)


@pytest.fixture
def scope(hil_bench: Stand) -> ScopeProbe:
    """The current that reached the body."""
    if hil_bench.spec.scope == "none":
        pytest.skip("protocol evidence only: there is no scope on the delivered current (--bench-scope)")
    return ScopeProbe(hil_bench)


@pytest.fixture
def faults(hil_bench: Stand) -> Faults:
    """Every fault of the table."""
    return Faults(hil_bench)


@pytest.fixture
def measure(hil_bench: Stand, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Sheet]:
    """Measurements with units and limits."""
    sheet = Sheet(clock, hil_bench.notes.measurements.append)
    yield sheet
    request.node.user_properties.extend(
        ("measurement", f"{one.name}={one.value:.12g} {one.unit}".rstrip()) for one in hil_bench.notes.measurements
    )
    if sheet.pending and request.node.stash[ACCOUNT].outcome == "passed":
        names = ", ".join(map(str, sheet.pending))
        pytest.fail(f"begun and never measured: {names}", pytrace=False)


def _stand(spec: Spec, plan: Plan, folders: pytest.TempPathFactory) -> Stand:
    if spec.is_real:
        return PortStand(spec, plan)
    if spec.kind == "virtual":
        return VirtualStand(spec, plan)
    # The folder belongs to this process alone; the name tells a reader of `ps` whose port it is.
    name = os.environ.get("PYTEST_XDIST_WORKER", "tty")
    return PtyStand(spec, plan, Path(folders.mktemp("bench")) / name)


async def _reset(config: pytest.Config, stand: Stand) -> None:
    # An emulated device is made anew for each test.
    if stand.spec.is_real:
        for answer in config.hook.pytest_bench_reset(bench=stand):
            if inspect.isawaitable(answer):
                await answer


def _must_be_emulated(stand: Stand, name: str) -> None:
    if stand.spec.is_real:
        pytest.skip(f"{name}: out of the bench's reach on a real device; run it with --bench=virtual or pty")
