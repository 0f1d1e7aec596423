"""The static busybox of the tests: the one that .ci/test found or fetched, else this machine's."""

from __future__ import annotations

import os
import shutil

BUSYBOX = os.environ.get("PYBUILD_TEST_BUSYBOX") or shutil.which("busybox", path="/bin:/usr/bin") or ""
"""Its path, or an empty string."""
