"""`python -m sysdisk.sandbox.guarded ...`: the command `sysdisk`, ended when its stdin closes.

Whoever starts it holds the other end of a pipe, which the kernel closes however that process ends:
so a sandbox that is killed leaves no operator behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from runpy import run_module


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_watch, args=(os.dup(sys.stdin.fileno()),), daemon=True).start()
    sys.argv[0] = "sysdisk"
    run_module("sysdisk", run_name="__main__")
