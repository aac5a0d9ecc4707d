"""What holds for every test in the tree."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["kernelhealth_e2e.fixtures", "kernelhealth_e2e.strictness"]

# No test judges by the clock: a machine under load is slow, and nothing is wrong with that.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")
