"""Who asks, what that person or machine may ask, how it is proved, and how often it may be told no."""

from .principals import ANY_DEVICE, Principal, read_principals
from .proof import BrokerStamp, Proof, Proven, Signatures
from .ration import Ration
from .roles import MAY_ASK, NEEDS, Role, Tier
from .seen import Seen

__all__ = [
    "ANY_DEVICE", "MAY_ASK", "NEEDS", "BrokerStamp", "Principal", "Proof", "Proven", "Ration", "Role", "Seen",
    "Signatures", "Tier", "read_principals",
]  # fmt: skip
