"""Pages of the rules about skin, electrodes and voltage before current flows: G20, G21, G29."""

from rig import ArmSession, Rig

from tests.safety_case.bedside import Sensation, first, opened, plan, rig_of, rx
from tests.safety_case.page import Outcome, Page, example


def measured(ohm: int = 1_500, wait_ms: int = 0, area_mm2: int = 2_500, rule: str = "G20") -> Outcome:
    """Arm after a check that measured this."""
    rig = Rig()
    rig.device.ohm[1] = ohm
    rig.prepared(rx(plan(area_mm2=area_mm2)))
    if wait_ms:
        rig.tick(wait_ms // 50 + 1)
    return first(rig.ask(ArmSession()).reasons, rule)


def room(ohm: int, ua: int) -> Outcome:
    """Arm at this current after a check that measured this, on a device of 60 V."""
    rig = rig_of(compliance_mv=60_000)
    rig.device.ohm[1] = ohm
    rig.prepared(rx(plan(ua=ua)))
    return first(rig.ask(ArmSession()).reasons, "G21")


def blind(ua: int, flag_ua: int) -> Outcome:
    """A patient with reduced sensation on a device that judges the electrode only from a current on."""
    rig = rig_of(numeric_impedance=False, electrode_flag_from_ua=flag_ua)
    return opened("G29", rx(plan(ua=ua), sensation=Sensation.S1), rig)


PAGES = (
    Page(
        "G20",
        guards="Before any therapy three pulses below sensation tell whether skin, pad and lead are as they should "
        "be: not open, not bridged, "
        "not dry, and of the area that was entered.",
        check="three readings, young enough; highest <= upper limit x 25 cm2 / area; lowest >= lower limit; spread of "
        "highest over lowest <= limit",
        examples=(
            example("25 cm2, {ohm}", measured, ohm=3_000),
            example("25 cm2, {ohm}", measured, ohm=3_001),
            example("{area_mm2}, {ohm}", measured, area_mm2=5_000, ohm=1_501),
            example("25 cm2, {ohm}", measured, ohm=299),
            example("Measured {wait_ms} ago", measured, wait_ms=120_000),
        ),
    ),
    Page(
        "G21",
        guards="A device that already works at its highest voltage gives less than it shows; when the pad is then "
        "pressed on, the current jumps "
        "up. Room is kept for that. The voltage is also a limiter that no software defect can pass.",
        check="set-point x highest measured impedance <= share x the device's voltage",
        examples=(
            example("A device of 60 V, {ohm}, {ua}", room, ohm=2_400, ua=20_000),
            example("A device of 60 V, {ohm}, {ua}", room, ohm=2_401, ua=20_000),
        ),
    ),
    Page(
        "G29",
        guards="Some devices notice a lost electrode only above a certain current, and the therapy of neuropathy "
        "often lies below it. Nobody with "
        "reduced or absent sensation is treated blindly.",
        check="the device measures impedance by itself, or the set-point lies at or above the current from which it "
        "can tell; otherwise class S1 and "
        "S2 are refused. Where it measures nothing while it stimulates, S2 is refused whatever the current, and S1 "
        "gets half of its density",
        examples=(
            example("Class S1, the device can tell from {flag_ua}: {ua}", blind, ua=15_000, flag_ua=15_000),
            example("Class S1, the device can tell from {flag_ua}: {ua}", blind, ua=12_000, flag_ua=15_000),
        ),
    ),
)
