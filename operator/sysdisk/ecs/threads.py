"""The threads that one account's calls wait in.

An endpoint that says nothing holds a thread for as long as a call may take. So each account has its
own, and its writes never queue behind its reads, nor a start behind other writes: a machine that
was stopped must be started again.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor

WRITES_AT_ONCE = 8
"""Of the writes that stop or change something, and of the starts again; made as they are needed."""


class Threads:
    """Of one account: at most `reads` for what changes nothing, and some for each kind of write."""

    def __init__(self, reads: int) -> None:
        self._reads = ThreadPoolExecutor(reads, thread_name_prefix="ecs-read")
        self._writes = ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="ecs-write")
        self._starts = ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="ecs-start")

    def of(self, action: str) -> Executor:
        """Return the threads for calls of `action`."""
        if action == "StartInstance":
            return self._starts
        return self._reads if action.startswith(("Describe", "Get")) else self._writes

    @property
    def reads(self) -> Executor:
        """For what waits in a thread and changes nothing: calls, files, the environment."""
        return self._reads

    def close(self) -> None:
        """Take no more calls and drop those that have not begun; those under way come to an end."""
        for each in (self._reads, self._writes, self._starts):
            each.shutdown(wait=False, cancel_futures=True)
