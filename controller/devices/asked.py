"""What a driver has asked of its device: requests and answers by number, and one energising frame at a time.

The same for every protocol whose requests carry a number that their answers give back.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from controller import clock
from controller.link import LinkError
from controller.metrics import SERIAL_RTT

from .base import DeviceError

Frame = TypeVar("Frame")


class Request(NamedTuple, Generic[Frame]):
    """A frame that was sent, its grant (0: none), and who waits for its answer in the core's place."""

    frame: Frame
    grant: int
    answer: asyncio.Future[Any] | None


class Unanswered(NamedTuple):
    """The energising frame that the device has not answered, its grant's expiry, and its ack budget."""

    number: int
    expires_mono_ms: int
    budget_ms: int


class Asked(Generic[Frame]):
    """The requests on one line; `turn` numbers are used over and over, the last `remembered` may still be answered."""

    def __init__(self, turn: int, remembered: int) -> None:
        self._turn = turn
        self._remembered = remembered
        self._sent: dict[int, Request[Frame]] = {}
        self._sent_s: dict[int, float] = {}
        self._unanswered: Unanswered | None = None
        self.number = 0
        """The number of the last request."""
        self.damaged = 0
        """How often something came that could not be read."""

    def forget(self) -> None:
        """Let go of all that is open; the numbers go on."""
        self._sent.clear()
        self._unanswered = None
        self.damaged = 0

    @property
    def following(self) -> int:
        """The number of the next request."""
        return (self.number + 1) % self._turn

    def add(self, frame: Frame, grant: int = 0, answer: asyncio.Future[Any] | None = None) -> None:
        """Take note of the next request."""
        self.number = self.following
        self._sent[self.number] = Request(frame, grant, answer)
        self._sent_s[self.number] = clock.running_s()
        for old in (self._sent, self._sent_s):
            old.pop((self.number - self._remembered) % self._turn, None)

    def is_open(self, number: int) -> bool:
        """Tell whether this request may still be answered."""
        return number in self._sent

    def take(self, number: int) -> Request[Frame] | None:
        """Give the request that an answer of this number belongs to, once; None where there is none."""
        request = self._sent.pop(number, None)
        if request is not None:
            SERIAL_RTT.observe(clock.running_s() - self._sent_s.pop(number))
        last = self._unanswered
        # A line keeps its order: an answer to a later frame means that an earlier one was lost, or its answer was.
        if request is not None and last is not None and (number - last.number) % self._turn <= self._remembered:
            self._unanswered = None
        return request

    def lost(self, why: str) -> None:
        """Tell whoever waits that no answer will come."""
        self.give_up(DeviceError("DEV.LOST", why))

    def give_up(self, error: DeviceError) -> None:
        """Tell whoever waits that there is no use in it."""
        for request in self._sent.values():
            fail(request, error)

    # At most one energising frame without an answer

    def may_energise(self, expires_mono_ms: int) -> None:
        """Raise DeviceError while the energising frame before is unanswered inside its ack budget.

        All grants last equally long, so their expiries tell how far apart the core made the two.
        """
        last = self._unanswered
        if last is not None and expires_mono_ms - last.expires_mono_ms <= last.budget_ms:
            raise DeviceError("SYS.INTERNAL", f"frame {last.number} has no answer yet, and its time is not over")

    def energised(self, expires_mono_ms: int, budget_ms: int) -> None:
        """Take note that the last request energises."""
        self._unanswered = Unanswered(self.number, expires_mono_ms, budget_ms)

    def silenced(self) -> None:
        """Take note that a stop has ended the waiting."""
        self._unanswered = None

    # Where the driver itself waits: to identify a device, and for its self-test

    async def exchange(self, write: Callable[[asyncio.Future[Any]], None], name: str, tries: int, wait_ms: int) -> Any:  # noqa: ANN401 - the driver knows what answers its request
        """Write a request up to `tries` times until it is answered. Raises DeviceError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        damaged = self.damaged
        try:
            for _ in range(tries):
                write(answer)
                await asyncio.wait((answer,), timeout=wait_ms / 1000)
                if answer.done():
                    return answer.result()
        except LinkError as error:
            raise DeviceError("DEV.LOST", str(error)) from error
        finally:
            answer.cancel()
        if self.damaged > damaged:
            raise DeviceError("DEV.DAMAGED", f"{name} had no readable answer; check the cable and the baud rate")
        raise DeviceError("DEV.SILENT", f"{name} had no answer; check the cable, the power and the kind of device")


def fail(request: Request[Frame], error: DeviceError) -> None:
    """Tell whoever waits for the answer that there will be none."""
    if request.answer is not None and not request.answer.done():
        request.answer.set_exception(error)


def fulfil(request: Request[Frame], answer: object) -> bool:
    """Give the answer to whoever waits for it; False: nobody does."""
    if request.answer is not None and not request.answer.done():
        request.answer.set_result(answer)
    return request.answer is not None
