"""Journal entries as text: one text for each entry, and no other text is an entry."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.entries import FORMS, body_json, read_entry
from controller.words import WordError, dumps, loads
from safety.attestation import Attestation
from safety.effects import (
    AttestationRecord,
    Body,
    CalibrationRecord,
    ChannelRequest,
    Clearing,
    Closing,
    Entry,
    Envelope,
    Opening,
    Permit,
    PermitRequest,
    Settlement,
    WishRecord,
)
from safety.limits import HARD, Limits, Modality
from safety.messages import EntryKind, Latch, Verb
from safety.prescription import Calibration, Dose
from safety.verdict import Clear, Scope

LATCH_TEXT = (
    '{"clear":"ack_qualified","id":204,"key":"p-1 calf","rule":"M07","scope":"montage","since_wall_ms":1700000000000}'
)
LATCH = Latch(204, Scope.MONTAGE, "M07", Clear.ACK_QUALIFIED, "p-1 calf", 1_700_000_000_000)
DOSE_TEXT = '{"i2t":310000000000000000,"nc":400000000,"on_ms":120000}'
DOSE = Dose(nc=400_000_000, i2t=310_000_000_000_000_000, on_ms=120_000)
PERMIT = Permit(9, "s-19", "d" * 64, (Envelope(1, 30_000, 300, 28_571, 9_000),), (DOSE,), 5_000)

FOUND = Calibration(
    at_wall_ms=7, pair="a", area_mm2=2_500, width_us=300, sensory_ua=8_000, motor_ua=15_000, maximal_ua=None
)
st.register_type_strategy(
    Calibration,
    st.builds(
        Calibration,
        at_wall_ms=st.integers(0, 2**53),
        pair=st.text(min_size=1),
        area_mm2=st.integers(1, 1_000_000),
        width_us=st.integers(1, 10_000),
        sensory_ua=st.none() | st.integers(1, 10_000),
        motor_ua=st.none() | st.integers(10_000, 20_000),
        maximal_ua=st.none() | st.integers(20_000, 200_000),
    ),
)

BODIES: list[tuple[EntryKind, Body, str]] = [
    (
        EntryKind.OPEN,
        Opening(session="s-19", rx="rx-7@3", rx_digest="ab", patient="p-1", principal="clinician-1", policy="ef"),
        '{"patient":"p-1","policy":"ef","principal":"clinician-1","rx":"rx-7@3","rx_digest":"ab","session":"s-19"}',
    ),
    (
        EntryKind.LATCH,
        LATCH,
        LATCH_TEXT,
    ),
    (
        EntryKind.CLEAR,
        Clearing(latch=LATCH, principal="dr-2", reason="pad replaced: 5 cm²"),
        '{"latch":' + LATCH_TEXT + ',"principal":"dr-2","reason":"pad replaced: 5 cm\\u00b2"}',
    ),
    (
        EntryKind.SETTLE,
        Settlement(
            session="s-19",
            evidence="readback",
            charged=((1, DOSE),),
            completed=True,
            played_ms=900_000,
            ua=((1, 20_000),),
        ),
        '{"charged":[[1,'
        + DOSE_TEXT
        + ']],"completed":true,"evidence":"readback","played_ms":900000,"session":"s-19","ua":[[1,20000]]}',
    ),
    (
        EntryKind.CLOSE,
        Closing(session="s-19", outcome="completed", rule=""),
        '{"outcome":"completed","rule":"","session":"s-19"}',
    ),
    (
        EntryKind.WISH,
        WishRecord(session="s-19", command="c-1", principal="p", verb=Verb.ADJUST, detail="1 -1000"),
        '{"command":"c-1","detail":"1 -1000","principal":"p","session":"s-19","verb":"session.adjust"}',
    ),
    (
        EntryKind.CALIBRATION,
        CalibrationRecord(session="s-19", patient="p-1", site="calf-l", channel=1, principal="p", calibration=FOUND),
        (
            '{"calibration":{"area_mm2":2500,"at_wall_ms":7,"maximal_ua":null,"motor_ua":15000,"pair":"a",'
            '"sensory_ua":8000,"width_us":300},"channel":1,"patient":"p-1","principal":"p","session":"s-19",'
            '"site":"calf-l"}'
        ),
    ),
    (
        EntryKind.ATTEST,
        AttestationRecord(
            session="s-19",
            patient="p-1",
            attestation=Attestation(at_wall_ms=7, by="dr-2", answers=(("pregnancy", "no"), ("bleeding", "unknown"))),
        ),
        (
            '{"attestation":{"answers":[["pregnancy","no"],["bleeding","unknown"]],"at_wall_ms":7,"by":"dr-2"},'
            '"patient":"p-1","session":"s-19"}'
        ),
    ),
]
REQUEST = PermitRequest(
    permit=PERMIT,
    session="s-19",
    patient="p-1",
    rx="rx-7@3",
    rx_digest="d" * 64,
    modality=Modality.NMES,
    on_time_ms=200_000,
    probe=False,
    limits=HARD[Modality.NMES],
    channels=(ChannelRequest(channel=1, site="calf-l", pair="a", reserve=DOSE),),
)
ALL: list[tuple[EntryKind, Body]] = [*((kind, body) for kind, body, _ in BODIES), (EntryKind.PERMIT, REQUEST)]


def test_every_kind_has_a_form_and_an_example_here() -> None:
    assert set(FORMS) == set(EntryKind) == {kind for kind, _ in ALL}


@pytest.mark.parametrize(("kind", "body", "text"), BODIES)
def test_an_entry_has_one_text(kind: EntryKind, body: Body, text: str) -> None:
    assert body_json(Entry(5, kind, body)) == text
    assert read_entry(5, kind.value, text) == Entry(5, kind, body)


def test_a_permit_carries_the_whole_set_of_limits() -> None:
    text = body_json(Entry(9, EntryKind.PERMIT, REQUEST))
    data: Any = loads(text)
    assert data["limits"] == {name: getattr(HARD[Modality.NMES], name) for name in Limits.__dataclass_fields__}
    assert data["permit"]["envelopes"] == [
        {"channel": 1, "max_ua": 30_000, "max_width_us": 300, "min_period_us": 28_571, "max_charge_nc": 9_000}
    ]
    assert read_entry(9, "permit", text) == Entry(9, EntryKind.PERMIT, REQUEST)


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize(("kind", "body"), ALL)
def test_whatever_a_body_holds_comes_back(kind: EntryKind, body: Body, data: st.DataObject) -> None:
    entry = Entry(data.draw(st.integers()), kind, data.draw(st.from_type(type(body))))
    assert read_entry(entry.id, kind.value, body_json(entry)) == entry


@pytest.mark.parametrize("kind", EntryKind)
@pytest.mark.parametrize(("own", "body"), ALL)
def test_a_kind_takes_its_own_body_only(kind: EntryKind, own: EntryKind, body: Body) -> None:
    if kind is own:
        return
    with pytest.raises(WordError):
        body_json(Entry(1, kind, body))
    with pytest.raises(WordError):
        read_entry(1, kind.value, body_json(Entry(1, own, body)))


@pytest.mark.parametrize(("kind", "body"), ALL)
def test_a_field_more_or_less_or_of_another_type_is_no_entry(kind: EntryKind, body: Body) -> None:
    text = body_json(Entry(1, kind, body))
    fields: Any = loads(text)
    for name in fields:
        spoilt = [
            {key: value for key, value in fields.items() if key != name},
            {**fields, name: None},
            {**fields, name: [fields[name]]},
            {**fields, f"{name}_": 0},
        ]
        for wrong in spoilt:
            with pytest.raises(WordError):
                read_entry(1, kind.value, dumps(wrong))


@pytest.mark.parametrize("kind", ["", "OPEN", "genesis", "answer", "open "])
def test_an_unknown_kind_is_no_entry(kind: str) -> None:
    with pytest.raises(WordError):
        read_entry(1, kind, BODIES[0][2])


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"open"', '{"session":1e2}'])
def test_broken_json_is_no_entry(text: str) -> None:
    with pytest.raises(WordError):
        read_entry(1, "close", text)
