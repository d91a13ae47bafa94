"""One service to a name: what a service says of itself, and how it hears that another one bears its name.

A service that starts says so and listens for a moment. A settled one that hears this says that it is there, and the
newcomer gives up before it has taken a command. Of two that start at once the lower boot id goes on.
"""

from . import clock
from .contract.answers import ServiceMessage, ServiceState
from .contract.envelope import Arrival, utc_text
from .contract.topics import Topics
from .outbox import Outgoing


class Presence:
    """The name of a service, and who else bears it. `boot_id` must differ at every start of any service."""

    def __init__(self, topics: Topics, instance: str, boot_id: str) -> None:
        self.topic = topics.service(instance)
        self.is_settled = False
        self.rival = ""
        """The boot id of another live service of this name; a service that is not settled gives way to it."""
        self._instance = instance
        self._boot_id = boot_id
        self._state: ServiceState = "online"

    def say(self, state: ServiceState) -> Outgoing:
        """Say, retained, how this service is, from now on."""
        self._state = state
        return self._statement(state)

    def will(self) -> Outgoing:
        """Say what the broker shall say when this service is lost; it names no time, for nobody knows it yet."""
        return self._statement("offline", will=True)

    def ask(self) -> Outgoing:
        """Ask whether somebody bears this name."""
        return self._statement("starting")

    def settle(self) -> Outgoing:
        """Take the name."""
        self.is_settled = True
        return self._statement(self._state)

    def hear(self, arrival: Arrival) -> Outgoing | None:
        """Hear what is said under this name, and give what to say to it; may set `rival`."""
        try:
            said = ServiceMessage.read(arrival.payload)
        except ValueError:
            return None
        # What the broker had stored may be of the dead, and says nothing.
        if arrival.retained or said.boot_id == self._boot_id:
            return None
        if self.is_settled and said.state in {"starting", "offline"}:
            return self._statement(self._state)
        if not self.is_settled and said.state == "starting" and said.boot_id > self._boot_id:
            # The other may not have been listening when we asked.
            return self.ask()
        if said.state != "offline":
            self.rival = said.boot_id
        return None

    def _statement(self, state: ServiceState, *, will: bool = False) -> Outgoing:
        at = None if will else utc_text(clock.now().wall_ms)
        said = ServiceMessage(instance=self._instance, state=state, will=will, boot_id=self._boot_id, at=at)
        return Outgoing(self.topic, said.to_bytes(), retain=state != "starting")
