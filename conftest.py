"""What holds for every test in the tree."""

from __future__ import annotations

pytest_plugins = ["kernelhealth_e2e.fixtures", "kernelhealth_e2e.strictness"]
