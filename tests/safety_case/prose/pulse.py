"""Pages of the rules about one pulse train: G08 to G16."""

from tests.safety_case.bedside import Sensation, calibrated, channel
from tests.safety_case.page import Page, example

S1 = {"sensation": Sensation.S1, "calibration": calibrated(motor_ua=15_000, maximal_ua=38_000)}

PAGES = (
    Page(
        "G08",
        guards="Current is what the patient feels and what a muscle pulls with. No set-point, at the start or later, "
        "lies above "
        "what this patient was found to tolerate, whatever prescription and site would allow.",
        check="I <= min(device, site, window of the prescription, cap of the sensation class, calibration). "
        "Calibration gives: S0 the maximal tolerated current MTT; S1 the lesser of 0.8 x MTT and 2 x motor threshold "
        "MT; "
        "S2 1.2 x MT, and 0.8 x MTT where there is one. TENS: at most 0.9 x MTT. NMES in S1 or S2 without a motor "
        "threshold: "
        "nothing may flow; where the cap lies below MT there is no therapeutic window, and nothing flows either.",
        examples=(
            example("Class S1, MT 15 mA, MTT 38 mA: {ua}", lambda ua: channel("G08", ua=ua, **S1), ua=30_000),
            example("The same patient: {ua}", lambda ua: channel("G08", ua=ua, **S1), ua=30_100),
            example(
                "Class S0, no calibration: {ua}",
                lambda ua: channel("G08", ua=ua, calibration=None, area_mm2=10_000),
                ua=60_100,
            ),
            example(
                "Class S2, MT 31 mA: {ua}",
                lambda ua: channel(
                    "G08", ua=ua, sensation=Sensation.S2, area_mm2=10_000, calibration=calibrated(motor_ua=31_000)
                ),
                ua=20_000,
            ),
        ),
        note="A calibration that is too old, or dated in the future, allows nothing more and still binds downwards.",
    ),
    Page(
        "G09",
        guards="Wide pulses carry more charge and recruit pain fibres; very narrow ones tempt people to raise the "
        "current instead.",
        check="shortest <= width of one phase <= longest",
        examples=(
            example("One phase of {width_us}", lambda width_us: channel("G09", width_us=width_us), width_us=400),
            example("One phase of {width_us}", lambda width_us: channel("G09", width_us=width_us), width_us=401),
            example("One phase of {width_us}", lambda width_us: channel("G09", width_us=width_us), width_us=49),
        ),
    ),
    Page(
        "G10",
        guards="A high rate tires a muscle within seconds and raises the average current under the pads.",
        check="shortest <= period <= longest; the rate is one over the period",
        examples=(
            example(
                "NMES, a pulse every {period_us}",
                lambda period_us: channel("G10", period_us=period_us),
                period_us=12_500,
            ),
            example(
                "NMES, a pulse every {period_us}",
                lambda period_us: channel("G10", period_us=period_us),
                period_us=12_490,
            ),
            example(
                "TENS, a pulse every {period_us}",
                lambda period_us: channel("G10", tens=True, period_us=period_us),
                period_us=12_490,
            ),
        ),
    ),
    Page(
        "G11",
        guards="The charge of one phase is what hurts and what chemistry at the skin depends on. On ordinary pads it "
        "is one of the "
        "two figures that bind first.",
        check="Q = I x w, rounded up to a whole nanocoulomb; Q <= limit",
        examples=(
            example(
                "Class S1: {ua} for {width_us}",
                lambda ua, width_us: channel("G11", ua=ua, width_us=width_us, **S1),
                ua=50_000,
                width_us=300,
            ),
            example(
                "Class S1: {ua} for {width_us}",
                lambda ua, width_us: channel("G11", ua=ua, width_us=width_us, **S1),
                ua=50_100,
                width_us=300,
            ),
        ),
    ),
    Page(
        "G12",
        guards="Root-mean-square current is what heats tissue. It is judged on the running train; the rests between "
        "contractions "
        "are not allowed to hide it.",
        check="2 x I^2 x w <= limit^2 x period, compared as squares, so that no root is rounded",
        examples=(
            example(
                "{ua}, {width_us}, every {period_us}",
                lambda **train: channel("G12", area_mm2=10_000, **train),
                ua=100_000,
                width_us=400,
                period_us=20_000,
            ),
            example(
                "{ua}, {width_us}, every {period_us}",
                lambda **train: channel("G12", area_mm2=10_000, **train),
                ua=100_100,
                width_us=400,
                period_us=20_000,
            ),
        ),
    ),
    Page(
        "G13",
        guards="The same current through a smaller pad burns. Twice the default is the value at which standards ask "
        "for attention; the "
        "default keeps that distance because no impedance reading can see the first fifth of a pad peel off.",
        check="r.m.s. current over the smaller pad's area <= limit of the class",
        examples=(
            example(
                "Class S0, {area_mm2}: {ua}, {width_us}, every {period_us}",
                lambda **train: channel("G13", calibration=calibrated(maximal_ua=100_000), **train),
                area_mm2=2_500,
                ua=80_000,
                width_us=300,
                period_us=20_000,
            ),
            example(
                "Class S2, {area_mm2}: {ua}, {width_us}, every {period_us}",
                lambda **train: channel("G13", sensation=Sensation.S2, **train),
                area_mm2=2_500,
                ua=40_000,
                width_us=300,
                period_us=20_000,
            ),
        ),
    ),
    Page(
        "G14",
        guards="Power under a pad warms the skin, most of all where nobody feels the warmth.",
        check="500 ohm x (r.m.s. current)^2 over the smaller pad's area <= limit",
        examples=(
            example(
                "{area_mm2}: {ua}, {width_us}, every {period_us}",
                lambda **train: channel("G14", **train),
                area_mm2=600,
                ua=60_000,
                width_us=300,
                period_us=25_000,
            ),
            example(
                "{area_mm2}: {ua}, {width_us}, every {period_us}",
                lambda **train: channel("G14", **train),
                area_mm2=600,
                ua=100_000,
                width_us=400,
                period_us=12_500,
            ),
        ),
    ),
    Page(
        "G15",
        guards="No single pulse carries an energy that could hurt by itself. The limit lies far inside what the "
        "standard allows.",
        check="500 ohm x 2 x I^2 x w <= limit",
        examples=(
            example("{ua} for {width_us}", lambda **train: channel("G15", **train), ua=100_000, width_us=400),
            example("{ua} for {width_us}", lambda **train: channel("G15", **train), ua=120_000, width_us=400),
        ),
    ),
    Page(
        "G16",
        guards="Direct current turns the skin under one pad acid and under the other alkaline. Both phases of every "
        "pulse carry the same "
        "charge by design; what remains is how well the device keeps to it.",
        check="mismatch of the device <= limit, and mismatch x I x w / period <= limit",
        examples=(
            example(
                "A device within 1 %: {ua}, {width_us}, every {period_us}",
                lambda **train: channel("G16", **train),
                ua=80_000,
                width_us=300,
                period_us=20_000,
            ),
            example(
                "A device within 1 %: {ua}, {width_us}, every {period_us}",
                lambda **train: channel("G16", **train),
                ua=160_000,
                width_us=400,
                period_us=12_500,
            ),
        ),
    ),
)
