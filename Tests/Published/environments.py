"""Virtual environments of the servers."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PLACE = Path(__file__).resolve().parents[2] / ".build" / "published"


def environment(requirements: Sequence[str]) -> Path:
    """Where these requirements are, or will be."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]
    return PLACE / (re.sub(r"[^a-z0-9.]+", "-", requirements[0].lower()) + "-" + digest)


def install(requirements: Sequence[str]) -> None:
    """Makes the environment unless it is there; `frozen.txt` in it says all that was installed."""
    place = environment(requirements)
    if (place / "frozen.txt").exists():
        return
    print(f"Making {place.name}", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=120)
    pip = [place / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--only-binary=:all:", *requirements], check=True, timeout=500)
    frozen = subprocess.run([*pip, "freeze"], check=True, timeout=60, capture_output=True).stdout
    (place / "frozen.txt").write_bytes(frozen)
