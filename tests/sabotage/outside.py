"""Wrong changes around the pass: secrets, the SDK, requests to ECS, the watch, the queue."""

from __future__ import annotations

from typing import Final

from tests.sabotage.change import Change, Rule

CONTROLLERS: Final = "operator/sysdisk/controllers"
ECS: Final = "operator/sysdisk/ecs"
ADAPTER: Final = "tests/contract/ecs_adapter"
FORESIGHT: Final = ("tests/simulation/test_foresight.py",)
RULES: Final = ("tests/simulation/test_guard_rails.py",)

OUTSIDE: Final = (
    Change(
        "log-the-password",
        (Rule.I6,),
        f"{CONTROLLERS}/reconcile.py",
        "            password = login.password\n",
        "            password = login.password\n"
        '            log.info("login", extra={"detail": password})\n',
        RULES,
    ),
    Change(
        "show-the-password-in-the-repr-of-a-login",
        (Rule.I6,),
        f"{CONTROLLERS}/logins.py",
        "    password: str | None = field(default=None, repr=False)\n",
        "    password: str | None = field(default=None)\n",
        ("tests/controllers/test_logins.py",),
    ),
    Change(
        "show-the-password-in-a-condition",
        (Rule.I6,),
        f"{CONTROLLERS}/logins.py",
        "        return Login(look(SecretState.AGAINST_RULES, *faults))\n",
        "        return Login(look(SecretState.AGAINST_RULES, *faults, password))\n",
        FORESIGHT,
    ),
    Change(
        "put-the-secret-version-into-the-plan",
        (Rule.I6, Rule.TOKEN),
        "operator/sysdisk/core/wanted.py",
        '        sent["passwordSecretRef"] = {"name": ref.name, "key": ref.key}\n',
        "        pass\n",
        ("tests/core/test_wishes.py", "tests/core/operation"),
    ),
    Change(
        "believe-that-ecs-hides-the-password",
        (Rule.I6, Rule.SDK),
        f"{ECS}/sdk.py",
        '        message = self._scrubber.scrub(text) if isinstance(text, str) else ""\n',
        '        message = text if isinstance(text, str) else ""\n',
        (f"{ADAPTER}/test_secrets.py",),
    ),
    Change(
        "tell-what-the-sdk-says",
        (Rule.I6, Rule.SDK),
        f"{ECS}/sdk.py",
        "        return no_answer(action)\n",
        '        return no_answer(f"{action} ({fault})")\n',
        (f"{ADAPTER}/test_secrets.py",),
    ),
    Change(
        "let-the-sdk-log",
        (Rule.I6, Rule.SDK),
        f"{ECS}/sdk.py",
        "    def filter(self, record: logging.LogRecord) -> bool:\n        return False\n",
        "    def filter(self, record: logging.LogRecord) -> bool:\n        return True\n",
        (f"{ADAPTER}/test_secrets.py", f"{ADAPTER}/test_sdk.py"),
    ),
    Change(
        "mask-the-plain-password-only",
        (Rule.I6,),
        f"{ECS}/scrub.py",
        "    return frozenset(f for f in found if len(f) >= SHORTEST)\n",
        "    return frozenset({value})\n",
        ("tests/core/test_ecs_scrub.py",),
    ),
    Change(
        "send-although-the-fence-fell-in-the-thread",
        (Rule.FENCE, Rule.SDK),
        f"{ECS}/sdk.py",
        "            if late():\n                raise",
        "            if False:\n                raise",
        (f"{ADAPTER}/test_sdk.py",),
    ),
    Change(
        "ask-for-the-fence-before-the-keys-are-fetched",
        (Rule.FENCE, Rule.SDK),
        f"{ECS}/sdk.py",
        "                keys = self._credentials.get_credential()\n"
        "                with bounded(self._timeouts.total, leave):\n",
        "                leave()\n"
        "                keys = self._credentials.get_credential()\n"
        "                with bounded(self._timeouts.total):\n",
        (f"{ADAPTER}/test_sdk.py",),
    ),
    Change(
        "take-a-fault-of-the-server-for-a-refusal",
        (Rule.I9, Rule.I1, Rule.SDK),
        f"{ECS}/failures.py",
        "    return NoAnswer(failure) if unsure else Refusal(failure)\n",
        "    return Refusal(failure)\n",
        (f"{ADAPTER}/test_account.py", f"{ADAPTER}/test_sdk.py"),
    ),
    Change(
        "take-no-answer-for-a-refusal",
        (Rule.I9, Rule.I1),
        f"{ECS}/account.py",
        "            return Unknown(error.failure)\n",
        "            return Refused(error.failure)\n",
        (f"{ADAPTER}/test_account.py",),
    ),
    Change(
        "class-an-error-wrongly",
        (Rule.I10,),
        f"{ECS}/catalog.py",
        '        error_class=ErrorClass(raw["class"] or "user"),\n',
        "        error_class=ErrorClass.RETRY,\n",
        ("tests/contract/test_error_catalog.py", "tests/simulation/test_error_rows.py"),
    ),
    Change(
        "retry-a-code-that-nobody-knows",
        (Rule.I9, Rule.I10),
        f"{ECS}/catalog.py",
        "        return Entry(code, http, message, ErrorClass.USER, UNKNOWN_USER, known=False)\n",
        "        return Entry(code, http, message, ErrorClass.RETRY, UNKNOWN_RETRY, known=False)\n",
        ("tests/contract/test_error_catalog.py", "tests/simulation/test_error_rows.py"),
    ),
    Change(
        "ask-faster-than-allowed",
        (Rule.I11,),
        f"{ECS}/limits.py",
        "        if len(self._taken) == self._many:\n",
        "        if False:\n",
        ("tests/core/test_ecs_limits.py",),
    ),
    Change(
        "ask-again-in-a-throttled-minute",
        (Rule.I11,),
        f"{ECS}/limits.py",
        "        state.rest_until = max(state.rest_until, now + pause)\n",
        "        state.rest_until = max(state.rest_until, now)\n",
        ("tests/core/test_ecs_limits.py",),
    ),
    Change(
        "ask-for-ten-instances-a-call",
        (Rule.I11,),
        f"{ECS}/calls.py",
        "IDS_A_CALL = 100\n",
        "IDS_A_CALL = 10\n",
        (f"{ADAPTER}/test_inventory.py",),
    ),
    Change(
        "answer-with-a-look-from-before",
        (Rule.FENCE, Rule.I4),
        f"{ECS}/sights.py",
        "        return moment is None or self.begun_at > moment\n",
        "        return True\n",
        (f"{ADAPTER}/test_inventory.py",),
    ),
    Change(
        "run-two-passes-of-one-key",
        (Rule.KOPF, Rule.I8),
        f"{CONTROLLERS}/queue.py",
        "        if key in self._running:\n            self._again[key]",
        "        if False:\n            self._again[key]",
        ("tests/controllers/test_queue.py",),
    ),
    Change(
        "let-kopf-post-events",
        (Rule.KOPF, Rule.TRAPS),
        f"{CONTROLLERS}/watch.py",
        "    settings.posting.enabled = False\n",
        "    settings.posting.enabled = True\n",
        ("tests/controllers/test_kopf_settings.py",),
    ),
    Change(
        "miss-deletions-that-the-watch-did-not-tell",
        (Rule.TRAPS, Rule.I8),
        f"{CONTROLLERS}/pruning.py",
        "            self._store.forget(key)\n            self._on_change(key)\n",
        "            pass\n",
        ("tests/controllers/test_watch.py",),
    ),
    Change(
        "lead-after-the-lease-has-run-out",
        (Rule.TRAPS, Rule.FENCE),
        "operator/sysdisk/kube/leases.py",
        "        return self._held_until is not None and self._monotonic() < self._held_until\n",
        "        return self._held_until is not None\n",
        ("tests/controllers/test_leases.py",),
    ),
    Change(
        "take-anothers-change-for-ones-own",
        (Rule.LEVEL, Rule.KOPF),
        f"{CONTROLLERS}/store.py",
        "            if heard - answered:\n",
        "            if False:\n",
        ("tests/controllers/test_takes.py",),
    ),
    Change(
        "forget-a-grant-that-an-account-has-lost",
        (Rule.LEVEL, Rule.I7),
        f"{CONTROLLERS}/store.py",
        '        body["spec"],\n        status.get("brake"),\n',
        '        status.get("brake"),\n',
        ("tests/controllers/test_takes.py",),
    ),
    Change(
        "take-anothers-snapshot-for-ones-own",
        (Rule.PREFLIGHT, Rule.BACKUP),
        f"{ECS}/lookups.py",
        "        return not running.get(disk_id, frozenset()) <= {besides}\n",
        "        return len(running.get(disk_id, frozenset())) > 1\n",
        (f"{ADAPTER}/test_inventory.py",),
    ),
    Change(
        "take-an-older-version-for-news",
        (Rule.LEVEL, Rule.KOPF),
        f"{CONTROLLERS}/store.py",
        "== (uid, version) or _older(version, known.version)\n",
        "== (uid, version)\n",
        ("tests/controllers/test_store.py",),
    ),
)
