"""The password rules of ReplaceSystemDisk, checked before anything is stopped.

Source: ECS ReplaceSystemDisk, Password; single quote, double quote and backslash are listed by
some of its documents and not by others, so they are refused here rather than after the stop.
"""

from __future__ import annotations

from typing import Final

SPECIAL: Final = frozenset("()`~!@#$%^&*-_+=|{}[]:;<>,.?/")
MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 30
MIN_KINDS: Final = 3


def _kind(char: str) -> str | None:
    if not char.isascii():
        return None
    if char.isupper():
        return "upper case"
    if char.islower():
        return "lower case"
    if char.isdigit():
        return "digit"
    return "special" if char in SPECIAL else None


def password_faults(password: str) -> tuple[str, ...]:
    """Return the rules that `password` breaks, in words that never quote it; empty: none.

    A leading slash is judged by `starts_with_slash`, because it depends on the image.
    """
    if not password:
        return ("it is empty",)
    faults: list[str] = []
    if password != password.rstrip("\r\n"):
        faults.append("it ends in a line break (`echo` adds one, `printf %s` does not)")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        faults.append(f"it must be {MIN_LENGTH} to {MAX_LENGTH} characters long")
    kinds = {_kind(char) for char in password}
    if None in kinds:
        faults.append(
            "it may hold only ASCII letters, digits and the special characters "
            "()`~!@#$%^&*-_+=|{}[]:;<>,.?/ (no space, line break, quote or backslash)"
        )
    if len(kinds - {None}) < MIN_KINDS:
        faults.append(
            "it must hold at least three of: upper case, lower case, digit, special character"
        )
    return tuple(faults)
