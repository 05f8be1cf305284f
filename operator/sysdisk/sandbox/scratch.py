"""A temporary folder that is gone when we are, however we end."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

# Waits for the end of its stdin, whose other end is ours alone: the kernel closes it also when we
# are killed. The rest lets programs of ours, ended the same way, close their files.
_GUARD: Final = 'read -r _; sleep 0.5; rm -rf "$1"'


class Scratch:
    """The folder at `path`, mode 0700. Raises OSError where none can be made."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - a constant script
                ["/bin/sh", "-c", _GUARD, "guard", str(self.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Remove it with all that is in it. May be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
