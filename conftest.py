"""What holds for every test in the tree."""

from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ["kernelhealth_e2e.fixtures", "kernelhealth_e2e.strictness"]

# What lands is judged by the same examples each time; by hand others are tried each time. The
# variable is strictness.VARIABLE, which cannot be imported before it is loaded as a plugin.
LANDS = os.environ.get("KERNELHEALTH_REQUIRE_ALL") == "1"
# No test judges by the clock: a machine under load is slow, and nothing is wrong with that.
settings.register_profile("project", deadline=None, print_blob=True, derandomize=LANDS)
settings.load_profile("project")
