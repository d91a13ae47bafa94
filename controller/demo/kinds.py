"""What the demo has to know of each kind of stimulator to tell the same story on it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from controller.devices import DRIVERS
from controller.devices.base import OpenDriver
from controller.policy import TIMES
from safety.times import Times

from .told import Read, reads_native, reads_sciencemode2, reads_sciencemode4


class Kind(NamedTuple):
    """A kind of stimulator: its driver and times, how its tape is read, and whom it may treat.

    `patients` are the prescriptions of the two sessions. `has_button` tells that the patient's stop is on the device;
    else it is at the bedside. `measures_skin` tells that there is a check of the electrodes before a session. `guest`
    is the prescription that people may play with.
    """

    name: str
    reads: Callable[[], Read]
    patients: tuple[str, str] = ("quadriceps", "calf")
    has_button: bool = False
    measures_skin: bool = True
    guest: str = "neuropathy-tens"

    @property
    def open(self) -> OpenDriver:
        """How its driver is made."""
        return DRIVERS[self.name]

    @property
    def times(self) -> Times:
        """The times that it keeps."""
        return TIMES[self.name]


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("native", reads_native, has_button=True),
        Kind("sciencemode4", reads_sciencemode4),
        # It can measure no skin, and so treats nobody whose skin would not feel a burn (G29).
        Kind("sciencemode2", reads_sciencemode2, patients=("quadriceps", "shin"), measures_skin=False, guest="shin"),
    )
}
