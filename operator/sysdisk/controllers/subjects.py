"""SystemDiskSpecs as passes see them, the ones in use parsed once for each version.

While a machine is worked on, the same record is looked at every few moments; a fleet at rest is
looked at seldom, and is kept packed.
"""

from __future__ import annotations

from collections import OrderedDict

from sysdisk.controllers.recorder import read_subject
from sysdisk.controllers.store import Store
from sysdisk.core.model import Key, Subject


class Subjects:
    """The subjects of a store of specs; the `kept` last used ones stay parsed."""

    def __init__(self, store: Store[Key], kept: int = 256) -> None:
        self._store = store
        self._kept = kept
        self._parsed: OrderedDict[Key, Subject] = OrderedDict()

    def get(self, key: Key) -> Subject | None:
        """Return the newest version that is known, None if there is none. Raises Unreadable."""
        version = self._store.version(key)
        known = self._parsed.pop(key, None)
        if known is None or (known.uid, known.resource_version) != version:
            body = self._store.get(key)
            if body is None:
                return None
            known = read_subject(key, body)
        self._parsed[key] = known
        if len(self._parsed) > self._kept:
            self._parsed.popitem(last=False)
        return known
