"""The prose of the safety case: one page for each rule."""

from typing import Final

from tests.safety_case.page import Page
from tests.safety_case.prose import care, course, gate, ledger, monitor, patient, pulse, skin, structure

ROOMS = (gate, patient, pulse, skin, monitor, care, ledger, course, structure)
PAGES: Final[dict[str, Page]] = {page.id: page for room in ROOMS for page in room.PAGES}
