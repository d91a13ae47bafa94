"""What the stories assert through their ward is shown as what they assert themselves."""

import pytest

pytest.register_assert_rewrite("tests.hazards.bedside", "tests.hazards.story", "tests.hazards.ward")
