"""The ways in which an ECS call can fail, named by what the caller may conclude from them."""

from __future__ import annotations

from sysdisk.core.answers import Failure


class EcsError(Exception):
    """Base: a call that did not give the answer asked for. Its text is safe to show."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text())
        self.failure = failure

    def again(self) -> EcsError:
        """Return a new one that says the same, to be raised to another who waited for it."""
        return type(self)(self.failure)


class Refusal(EcsError):
    """ECS answered, with an error code: the call had no effect."""


class NoAnswer(EcsError):
    """No answer, or none that can be read, or a server fault: the call may have had its effect."""


class Throttled(Refusal):
    """Refused for the rate: the operation rests in this region until `retry_after`."""

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure)
        self.retry_after = retry_after
        """Seconds, where ECS named a time."""

    def again(self) -> EcsError:
        return type(self)(self.failure, self.retry_after)


class CredentialsError(EcsError):
    """No call was made: there are no usable credentials."""


class TooLate(EcsError):
    """No call was made: it could not leave before its fence fell."""


class NotYet(EcsError):
    """No call was made: its turn comes in `seconds`. Nothing is wrong; come back then."""

    def __init__(self, failure: Failure, seconds: float) -> None:
        super().__init__(failure)
        self.seconds = seconds

    def again(self) -> EcsError:
        return type(self)(self.failure, self.seconds)
