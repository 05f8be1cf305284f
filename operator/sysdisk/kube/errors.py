"""How a call to the Kubernetes API can fail, named by what the caller does next.

No text here holds a request body, so none can hold the value of a Secret.
"""

from __future__ import annotations


class KubeError(Exception):
    """Base: the call did not give what was asked for. Its text is safe to log.

    `code` is the HTTP status, 0 where there was none; `reason` is the server's machine-readable
    word (`metav1.Status.reason`), such as `Conflict` or `Expired`.
    """

    def __init__(self, message: str, *, code: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Conflict(KubeError):
    """409: somebody wrote first (or the name exists). Nothing was done: read again."""


class NotThere(KubeError):
    """404: the object, or its kind, does not exist."""


class Forbidden(KubeError):
    """401 or 403: this identity may not do it; a person must change a role."""


class Invalid(KubeError):
    """400 or 422: the server does not accept the object as it was sent."""


class Expired(KubeError):
    """410: a list took too long to page through; begin it again."""


class Unavailable(KubeError):
    """429, 5xx, no connection, a timeout, an unreadable answer: the outcome is unknown.

    `retry_after` is in seconds, where the server named a time.
    """

    def __init__(
        self, message: str, *, code: int = 0, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code, reason=reason)
        self.retry_after = retry_after


_BY_CODE: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotThere,
    409: Conflict,
    410: Expired,
    422: Invalid,
}


def error_for(code: int, reason: str, message: str, retry_after: float | None = None) -> KubeError:
    """Return the error that stands for an HTTP status outside 2xx."""
    if code == 429 or code >= 500:
        return Unavailable(message, code=code, reason=reason, retry_after=retry_after)
    return _BY_CODE.get(code, KubeError)(message, code=code, reason=reason)
