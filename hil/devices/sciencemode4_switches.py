"""What the documents of ScienceMode 4 leave open: each choice is a switch, with a usual position.

Nobody has tried a real device for any of these: a driver has to be right whatever they say.
"""

from __future__ import annotations

from hil.settings import Setting

SWITCHES: dict[str, Setting] = {
    "status_after_dead_man": Setting(int, 2, "level in the status answer after the dead man, until an update", 0, 3),
    "data_after_dead_man": Setting(int, 0, "result of get-current-data after the dead man; its mask is 0", 0, 28),
    "data_result": Setting(
        str, "zero", "result of get-current-data while a channel has an error: always 0, or the error's 10, 16, 28",
        choices=("zero", "error"),
    ),
    "error_number": Setting(
        str, "echo", "packet number of 66 and 67: that of the frame where it could be read, or always 0",
        choices=("echo", "zero"),
    ),
    "ramp": Setting(
        str, "below", "of n ramp pulses the last is below the full current, or reaches it", choices=("below", "reach")
    ),
    "idle_stop": Setting(int, 7, "result of a stop where that level is not initialised", 0, 28),
    "reinit": Setting(
        str, "accept", "an init of the level that is on: starts it anew, or gets 7", choices=("accept", "refuse")
    ),
    "refused_feeds": Setting(bool, False, "an update that is refused feeds the dead man, too"),
    "check_from_ma": Setting(int, 15, "weaker pulses are not checked for electrode and low current", 0, 151),
    "max_ma": Setting(int, 130, "the strongest current that is not refused", 1, 150),
    "duty_check": Setting(bool, True, "refuse patterns that do not fit into their periods one after the other"),
    "dead_man_ms": Setting(int, 2_000, "from the last update or get-current-data to the end of the pulses", 1, 60_000),
    "hv_ms": Setting(int, 40, "to switch the high voltage on; the mid level takes twice that", 0, 2_000),
    "reset_ack": Setting(bool, True, "the answer to a reset gets out before the device restarts"),
    "queue": Setting(int, 10, "requests that wait while the device is busy; one more gets 21", 1, 64),
    "battery": Setting(bool, False, "answers battery requests, which a P24 has no battery for"),
    "old_selections": Setting(bool, False, "answers get-current-data 2 and 3 of the C library"),
}  # fmt: skip
