"""Where the real inputs and recorded answers lie that are too big, or not ours, to be in the repository."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("KCORE_SHARED") or Path(__file__).resolve().parents[2] / "shared")
"""``KCORE_SHARED``, or the folder ``shared`` beside the repository; tests skip, saying so, where it is not."""
