"""The prose of the safety case: one page for each rule."""

from typing import Final

from tests.safety_case.page import Page
from tests.safety_case.prose import gate, ledger, monitor, pulse, skin, structure

PAGES: Final[dict[str, Page]] = {
    page.id: page for room in (gate, pulse, skin, monitor, ledger, structure) for page in room.PAGES
}
