"""Runs a program that a wheel carries: `wheel.py PACKAGE PROGRAM [FILE] ARGUMENT...`, with paths below the package."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

package, *words = sys.argv[1:]
spec = importlib.util.find_spec(package)
assert spec is not None and spec.origin is not None
place = Path(spec.origin).parent
words = [str(place / word) if (place / word).exists() else word for word in words]
os.execv(words[0], words)
