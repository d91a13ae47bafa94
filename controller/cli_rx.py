"""`stimwarden rx`: prescriptions on their way in, and as people read them."""

from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from safety.montage import Montage
from safety.prescription import Plan, Prescription

from . import clock
from .cli_errors import FailureError
from .contract.codes import quantity
from .contract.envelope import utc_text
from .prescriptions import read_prescription
from .settings import load
from .store.clinic import Clinic


def clinic_of(config: Path) -> Clinic:
    """Open the site's prescriptions; before the service's first start their database is made."""
    storage = load(config).storage
    # A journal without its ledger means a lost ledger: an empty one in its place would forget every dose.
    return Clinic(storage.ledger, may_create=not storage.journal.exists())


def import_file(file: Path, config: Path) -> None:
    """Store a file's prescription."""
    rx = read_prescription(file)
    is_new = clinic_of(config).add(rx, clock.now().wall_ms)
    print(f"{rx.ref} {'is stored' if is_new else 'was stored before, the same'}; digest {rx.digest}")


def list_all(config: Path) -> None:
    """Print every version."""
    table = Table("prescription", "patient", "class", "therapy", "valid until", "imported", box=None, pad_edge=False)
    for rx, imported_wall_ms in clinic_of(config).list():
        therapy = f"{rx.programme.modality.value}, {span(rx.programme.therapy_ms)}"
        until, imported = (utc_text(wall_ms)[:16] for wall_ms in (rx.valid_until_wall_ms, imported_wall_ms))
        table.add_row(rx.ref, rx.patient, rx.sensation.value, therapy, until, imported)
    Console().print(table)


def show(ref: str, config: Path) -> None:
    """Print one version."""
    rx = clinic_of(config).get(ref)
    if rx is None:
        raise FailureError(f"there is no prescription {ref}; `stimwarden rx list` lists those that there are")
    Console().print(render(rx))


def render(rx: Prescription) -> Group:
    """Lay a prescription out, one column a channel."""
    programme = rx.programme
    parts = (
        ("warm-up", programme.warm_up_ms),
        ("ramp up", programme.ramp_up_ms),
        ("on", programme.on_ms),
        ("ramp down", programme.ramp_down_ms),
        ("off", programme.off_ms),
        ("cool-down", programme.cool_down_ms),
    )
    lines = (
        f"{rx.ref} for {rx.patient}, sensation {rx.sensation.value}",
        f"valid until {utc_text(rx.valid_until_wall_ms)}",
        f"{programme.modality.value.upper()} for {span(programme.therapy_ms)}: "
        + ", ".join(f"{span(length_ms)} {part}" for part, length_ms in parts if length_ms),
        "limits of its own: " + ("; ".join(f"{name} = {value}" for name, value in rx.limits) or "none"),
        f"digest {rx.digest}",
    )
    table = Table("channel", *(str(plan.channel) for plan in rx.channels))
    for label, *values in zip(LABELS, *(figures(plan) for plan in rx.channels), strict=True):
        table.add_row(label, *values)
    return Group(*(Text(line) for line in lines), table)


LABELS = (
    "site",
    "pads",
    "current",
    "window up to",
    "pulse",
    "rate",
    "smaller pad",
    "pads at",
    "delay",
    "calibrated",
    "thresholds",
)


def figures(plan: Plan) -> tuple[str, ...]:
    """Say a channel's figures in the units that people use, in the order of LABELS."""
    found = plan.calibration
    thresholds = "none"
    if found is not None:
        named = (("sensory", found.sensory_ua), ("motor", found.motor_ua), ("maximal", found.maximal_ua))
        thresholds = ", ".join(f"{name} {'-' if ua is None else quantity(ua, 'uA')}" for name, ua in named)
    return (
        plan.site,
        plan.pair,
        quantity(plan.ua, "uA"),
        quantity(plan.max_ua, "uA"),
        f"2 x {plan.width_us} us, gap {plan.gap_us} us",
        hertz(plan.period_us),
        f"{plan.area_mm2 // 100}.{plan.area_mm2 % 100:02d} cm2"
        + (f" ({plan.small_pad_reason})" if plan.small_pad_reason else ""),
        places(plan.montage),
        span(plan.delay_ms),
        "no" if found is None else utc_text(found.at_wall_ms)[:16],
        thresholds,
    )


def places(montage: Montage | None) -> str:
    """Say where a pair of pads sits."""
    if montage is None:
        return "not said"
    a, b = f"{montage.side_a} {montage.region_a}", f"{montage.side_b} {montage.region_b}"
    return f"{a if a == b else f'{a} and {b}'}, {montage.spacing_mm} mm apart"


def hertz(period_us: int) -> str:
    """Say a period as a rate, to a hundredth of a hertz."""
    hundredths = (100_000_000 + period_us // 2) // period_us
    return f"{hundredths // 100}.{hundredths % 100:02d}".rstrip("0").rstrip(".") + " Hz"


def span(ms: int) -> str:
    """Say a length of time: whole minutes as such, else seconds."""
    minutes, rest_ms = divmod(ms, 60_000)
    return f"{minutes} min" if minutes and not rest_ms else quantity(ms, "ms")
