"""A login Secret as a pass reads it: judged, and never shown (I6)."""

from __future__ import annotations

from sysdisk.controllers.logins import Login, judge
from sysdisk.core.world import SecretState
from sysdisk.kube.port import SecretData


def judged(password: str) -> Login:
    secret = SecretData("u", "7", labels={}, data={"password": password.encode()})
    return judge(secret, "password", label_required=False)


GOOD, BAD = "Pa55%wo&rd+9!", "Pa55%wo&rd+9 "


def test_a_password_that_will_do_is_kept_out_of_the_repr() -> None:
    found = judged(GOOD)
    assert (found.look.state, found.password) == (SecretState.OK, GOOD)
    assert GOOD not in repr(found)


def test_a_password_against_the_rules_is_told_without_a_piece_of_it() -> None:
    found = judged(BAD)
    assert (found.look.state, found.password) == (SecretState.AGAINST_RULES, None)
    assert BAD.strip() not in repr(found)
