"""The vendor's client, unmodified, as a process of its own: one word a line in, the same word out when it is done.

    python -m tests.hil.vendor2 PORT

The words are those of `main`. The process is the application that holds the client: killed or frozen, its keep-alive
ends with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from pysciencemode import Channel, Device, Modes, Rehastim2


def channel(number: int, ma: int, width_us: int, mode: Modes = Modes.SINGLE) -> Channel:
    return Channel(
        mode=mode, no_channel=number, amplitude=ma, pulse_width=width_us, name="x", device_type=Device.Rehastim2
    )


def main() -> None:
    # The client's threads print, too, and in the middle of our lines.
    answers, sys.stdout = sys.stdout, sys.stderr
    client = Rehastim2(port=sys.argv[1])
    first, second = channel(1, 12, 200), channel(3, 20, 300)
    # 15 mA and 240 us need escapes; 10 and 85 are escaped by this client alone.
    third, fourth = channel(1, 15, 240), channel(3, 85, 266)
    words: dict[str, Callable[[], object]] = {
        "init": lambda: client.init_channel(stimulation_interval=30, list_channels=[first, second]),
        "start": client.start_stimulation,
        "update": lambda: client.start_stimulation(upd_list_channels=[third, fourth]),
        "pause": client.pause_stimulation,
        "stop": client.end_stimulation,
        "leave": client.disconnect,
    }
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        words[line.strip()]()
        print(line.strip(), file=answers, flush=True)
    client.close_port()


if __name__ == "__main__":
    main()
