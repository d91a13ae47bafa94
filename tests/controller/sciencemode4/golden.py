"""Golden frames of ScienceMode 4: bytes that the makers' own libraries give, and what the document says they mean.

Number of the row in the document's table, what it is, the frame, and its packet number, command and payload.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    row: int
    what: str
    frame: bytes
    number: int
    command: int
    payload: bytes


def row(number: int, what: str, frame: str, packet: int, command: int, payload: str) -> Row:
    return Row(number, what, bytes.fromhex(frame), packet, command, bytes.fromhex(payload))


ROWS = [
    row(1, "get device id, packet 1", "f08155815981ef814604340f", 1, 52, ""),
    row(2, "ack: ok, id EMU0000001", "f081558142818581b7043500454d55303030303030310f", 1, 53, "00454d5530303030303031"),
    row(3, "get device id, packet 60 (prefix byte F0 escaped)", "f08155815881cd816381a5340f", 60, 52, ""),
    row(4, "get stim status, packet 2", "f081558159810b8161083e0f", 2, 62, ""),
    row(5, "ack: mid level running, 150 V", "f08155815a819a81ea083f0003060f", 2, 63, "000306"),
    row(6, "get extended version, packet 3", "f081558159811881780c440f", 3, 68, ""),
    row(
        7,
        "ack: fw 1.2.3, protocol 4.0.0, hash deadbeef git valid (checked: client parses it)",
        "f08155814c811981ad0c4500010203040000deadbeef01010f",
        3,
        69,
        "00010203040000deadbeef0101",
    ),
    row(8, "get battery, packet 4", "f081558159810081b310360f", 4, 54, ""),
    row(9, "ack: 87 %, 3900 mV (0F escaped)", "f08155814481bb813410370057815a3c0f", 4, 55, "00570f3c"),
    row(10, "mid init, stop all on error, packet 7", "f0815581588153810a1c1e010f", 7, 30, "01"),
    row(11, "ack ok", "f0815581588170811a1c1f000f", 7, 31, "00"),
    row(12, "get current data, packet 10 (raw F0 in the header)", "f08155815881f081942824040f", 10, 36, "04"),
    row(
        13,
        "ack: ch1 active, ch2 electrode error, ch8 low current",
        "f081558146816981842825000401100000300f",
        10,
        37,
        "00040110000030",
    ),
    row(
        14,
        "mid update packet 8: ch1 +-20 mA, ch2 +-12.5 mA, 200/100/200 us, 28.5 ms, ramp 3",
        "f08155817e8141817d2020032300720c8550000644b0000c8410002300720c8514000644b0000c844c000f",
        8,
        32,
        "0323 0072 0c855000 0644b000 0c841000 23 0072 0c851400 0644b000 0c844c00",
    ),
    row(
        15,
        "mid update packet 9: ch1 as above, quarter-ms scale",
        "f0815581498104812e2420012300e50c8550000644b0000c8410000f",
        9,
        32,
        "01 23 00e5 0c855000 0644b000 0c841000",
    ),
    row(16, "update ack ok", "f08155815881e681442021000f", 8, 33, "00"),
    row(17, "update ack 7", "f081558158819681a32021070f", 8, 33, "07"),
    row(18, "mid stop, packet 11", "f081558159811281fe2c220f", 11, 34, ""),
    row(19, "ack ok", "f08155815881f581472c23000f", 11, 35, "00"),
    row(20, "low init, no measurement, standard HV, packet 5", "f08155815881ca81f61400000f", 5, 0, "00"),
    row(21, "ack ok", "f08155815881f981c71401000f", 5, 1, "00"),
    row(
        22,
        "low pulse, green blue (ch 6), 20 mA 200/100/200 us, packet 6",
        "f08155814c81f281201802b20c8550000644b0000c8410000f",
        6,
        2,
        "b2 0c855000 0644b000 0c841000",
    ),
    row(23, "ack: electrode error, green blue", "f08155815a813f817d18030a11000f", 6, 3, "0a1100"),
    row(24, "low stop, packet 6", "f081558159819f810b18040f", 6, 4, ""),
    row(25, "ack ok", "f081558158814081621805000f", 6, 5, "00"),
    row(26, "reset, packet 12", "f08155815981c781d9303a0f", 12, 58, ""),
    row(27, "ack ok", "f0815581588149819f303b000f", 12, 59, "00"),
    row(28, "unknown command, packet 13", "f08155815881a581c434430b0f", 13, 67, "0b"),
    row(29, "general error: transfer, packet 14", "f081558158814281de3842010f", 14, 66, "01"),
    row(
        30, "old selection 3 ack: running, electrode error ch 6", "f081558145812e81ac2825000310120f", 10, 37, "00031012"
    ),
    row(
        31,
        "mid update packet 8: as row 14 but 29 ms (that library takes whole ms only)",
        "f08155817e8115816e2020032300740c8550000644b0000c8410002300740c8514000644b0000c844c000f",
        8,
        32,
        "03 23 0074 0c855000 0644b000 0c841000 23 0074 0c851400 0644b000 0c844c00",
    ),
    row(
        32,
        "mid update packet 9: only ch 5 (mask 0x10), points -7.5 / 0 / +7.5 mA, 200/100/200 us, 50 ms, ramp 0",
        "f081558149811081042420102000c80c8474000644b0000c84ec000f",
        9,
        32,
        "10 20 00c8 0c847400 0644b000 0c84ec00",
    ),
]
