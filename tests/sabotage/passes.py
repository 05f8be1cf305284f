"""Wrong changes to the pass and the recorder: what is recorded, sent, remembered and looked at."""

from __future__ import annotations

from typing import Final

from tests.sabotage.change import Change, Rule

CONTROLLERS: Final = "operator/sysdisk/controllers"
CUTS: Final = (
    "tests/simulation/test_cuts.py::test_without_faults_each_write_to_ecs_is_sent_once",
    "tests/simulation/test_cuts.py::test_without_faults_a_replacement_takes_eight_writes_on_the_spec",
)
TROUBLES: Final = (
    "tests/simulation/test_troubles.py::"
    "test_one_of_two_operators_is_frozen_at_its_call_and_the_other_finishes",
    "tests/simulation/test_troubles.py::test_what_schedules_once_found_does_not_come_back",
)
DENIED: Final = "tests/simulation/test_denied.py"
TURNS: Final = "tests/simulation/test_turns.py"
RULES: Final = ("tests/simulation/test_guard_rails.py",)
GRANTS: Final = ("tests/controllers/test_grants.py",)

PASSES: Final = (
    Change(
        "drop-the-intent",
        (Rule.I2, Rule.PURE, Rule.FENCE),
        f"{CONTROLLERS}/reconcile.py",
        "        recorded = await self._record(subject, decision)\n        self._counted",
        "        recorded = replace(subject, status=decision.status)\n        self._counted",
        CUTS,
    ),
    Change(
        "ignore-the-fence",
        (Rule.FENCE, Rule.I2),
        f"{CONTROLLERS}/reconcile.py",
        "        not_after = min(self._clock.monotonic() + FENCE_SECONDS, "
        "decided + DECISION_HOLDS)\n",
        '        not_after = float("inf")\n',
        RULES,
    ),
    Change(
        "send-what-was-decided-long-ago",
        (Rule.FENCE, Rule.I3),
        f"{CONTROLLERS}/reconcile.py",
        "        not_after = min(self._clock.monotonic() + FENCE_SECONDS, "
        "decided + DECISION_HOLDS)\n",
        "        not_after = self._clock.monotonic() + FENCE_SECONDS\n",
        RULES,
    ),
    Change(
        "write-status-over-any-version",
        (Rule.FENCE, Rule.I2, Rule.KOPF),
        f"{CONTROLLERS}/recorder.py",
        "                resource_version=subject.resource_version,\n"
        "                uid=subject.uid,\n"
        "                status=patch,\n",
        "                resource_version=None,\n"
        "                uid=subject.uid,\n"
        "                status=patch,\n",
        RULES,
    ),
    Change(
        "decide-again-on-the-stale-copy-after-a-conflict",
        (Rule.I2, Rule.LEVEL),
        f"{CONTROLLERS}/reconcile.py",
        "        except Conflict:\n            self._stale.add(key)\n            raise\n",
        "        except Conflict:\n            raise\n",
        RULES,
    ),
    Change(
        "write-where-nothing-changed",
        (Rule.I8, Rule.KOPF),
        f"{CONTROLLERS}/recorder.py",
        "        if status == before:\n",
        "        if False:\n",
        CUTS,
    ),
    Change(
        "answer-every-write-of-another-operator",
        (Rule.I8,),
        f"{CONTROLLERS}/calm.py",
        "        if used > self._at_once - 1:\n",
        "        if False:\n",
        ("tests/simulation/test_two_operators.py",),
    ),
    Change(
        "send-without-asking-for-the-grant-again",
        (Rule.I7,),
        f"{CONTROLLERS}/reconcile.py",
        "        if not owed and not await eyes.still_granted(subject):\n",
        "        if False:\n",
        RULES,
    ),
    Change(
        "start-a-machine-that-is-not-granted-any-more",
        (Rule.I7,),
        f"{CONTROLLERS}/reconcile.py",
        "is not None and op.stopped_by_us\n        if not owed",
        "is not None\n        if not owed",
        RULES,
    ),
    Change(
        "let-two-that-disagree-under-way-write-by-turns",
        (Rule.I8,),
        f"{CONTROLLERS}/recorder.py",
        "        elif status.operation == before.operation and self._wait(subject.key) > 0.0:\n",
        "        elif False:\n",
        ("tests/simulation/test_two_operators.py",),
    ),
    Change(
        "forget-with-each-look-that-another-failed",
        (Rule.I10, Rule.I8),
        f"{CONTROLLERS}/reconcile.py",
        "                    if observed.failure and self._blinked(subject, observed):\n",
        "                    if not observed.failure:\n"
        "                        self._failing.pop(subject.key, None)\n"
        "                    elif self._blinked(subject, observed):\n",
        (DENIED,),
    ),
    Change(
        "take-a-refused-read-for-one-that-passes",
        (Rule.I10,),
        f"{CONTROLLERS}/observe.py",
        "refused=exc.failure if _for_good(exc) else None",
        "refused=None",
        (DENIED,),
    ),
    Change(
        "say-nothing-of-a-record-that-is-not-understood",
        (Rule.I9, Rule.STATUS),
        f"{CONTROLLERS}/reconcile.py",
        "        await self._recorder.tell(subject, decision.status)\n",
        "",
        ("tests/simulation/test_not_ours.py",),
    ),
    Change(
        "begin-on-a-machine-of-a-record-that-is-not-understood",
        (Rule.I5, Rule.I9),
        f"{CONTROLLERS}/observe.py",
        '                if not body["status"].get("operation"):\n                    continue\n',
        "                continue\n",
        ("tests/simulation/test_not_ours.py",),
    ),
    Change(
        "forget-the-stop-that-was-sent",
        (Rule.I3, Rule.FENCE),
        f"{CONTROLLERS}/reconcile.py",
        "        if sent is None or subject.status.operation is not None:\n",
        "        if sent is None or True:\n",
        TROUBLES,
    ),
    Change(
        "write-without-the-lease",
        (Rule.FENCE, Rule.I2, Rule.TRAPS),
        f"{CONTROLLERS}/reconcile.py",
        "        if not self._may_act():\n",
        "        if False:\n",
        RULES,
    ),
    Change(
        "drop-the-finalizer-before-the-end-is-recorded",
        (Rule.FINALIZER, Rule.FINISH),
        f"{CONTROLLERS}/reconcile.py",
        "        recorded = await self._record(subject, decision)\n        self._stops.settle",
        "        if subject.has_finalizer:\n"
        "            await self._recorder.set_finalizer(subject, False)\n"
        "        recorded = await self._record(subject, decision)\n"
        "        self._stops.settle",
        RULES,
    ),
    Change(
        "leave-the-finalizer-on-at-rest",
        (Rule.FINALIZER, Rule.I8, Rule.FINISH),
        f"{CONTROLLERS}/reconcile.py",
        "        if subject.has_finalizer:\n            version = await "
        "self._recorder.set_finalizer(recorded, False)\n",
        "        if False:\n            version = await "
        "self._recorder.set_finalizer(recorded, False)\n",
        CUTS,
    ),
    Change(
        "put-no-missing-finalizer-back",
        (Rule.FINALIZER, Rule.I3),
        f"{CONTROLLERS}/reconcile.py",
        "        if subject.has_finalizer or subject.deleting:\n            return subject\n",
        "        if subject is not None:\n            return subject\n",
        RULES,
    ),
    Change(
        "take-the-finalizers-of-others-off",
        (Rule.FINALIZER,),
        f"{CONTROLLERS}/recorder.py",
        "        wanted = [*others, meta.FINALIZER] if present else others\n",
        "        wanted = [meta.FINALIZER] if present else []\n",
        RULES,
    ),
    Change(
        "let-an-account-go-that-is-in-use",
        (Rule.FINALIZER, Rule.I3),
        f"{CONTROLLERS}/reconcile.py",
        "            await self._accounts.recorder.hold(observed.account.name)\n",
        "            pass\n",
        RULES,
    ),
    Change(
        "let-the-brake-count-nothing",
        (Rule.ONCE, Rule.I4),
        f"{CONTROLLERS}/account_recorder.py",
        "            self._uncounted[name].append(one_more_failure)\n",
        "            pass\n",
        (*RULES, "tests/simulation/test_policies.py"),
    ),
    Change(
        "keep-the-brake-from-the-account",
        (Rule.ONCE, Rule.I8),
        f"{CONTROLLERS}/accounts.py",
        "        if shown.ready and held is not None:\n            shown = held\n",
        "",
        RULES,
    ),
    Change(
        "let-a-success-count-for-nothing",
        (Rule.ONCE, Rule.I8),
        f"{CONTROLLERS}/account_recorder.py",
        "            self._uncounted[name].append(no_failures)\n",
        "            pass\n",
        RULES,
    ),
    Change(
        "count-no-first-sight",
        (Rule.I4,),
        f"{CONTROLLERS}/reconcile.py",
        "if not await self._accounts.recorder.count_first_sight(intent.account):",
        "if False:",
        (*RULES, TURNS),
    ),
    Change(
        "count-first-sights-over-the-hour",
        (Rule.I4,),
        f"{CONTROLLERS}/account_recorder.py",
        "            may = first_sights(status, now) < limits.first_sight_per_hour\n",
        "            may = True\n",
        (TURNS,),
    ),
    Change(
        "keep-a-deadline-to-oneself-while-waiting-for-a-turn",
        (Rule.I3, Rule.I2),
        f"{CONTROLLERS}/reconcile.py",
        "self._decide(subject, _with_turns(observed, eyes.region))",
        "self._decide(subject, observed)",
        (TURNS,),
    ),
    Change(
        "stop-for-what-another-pass-was-told",
        (Rule.I4, Rule.FENCE),
        f"{CONTROLLERS}/observe.py",
        "        after = self._begun if observed.fresh else None\n",
        "        after = None\n",
        (TURNS,),
    ),
    Change(
        "take-no-place-while-beginning",
        (Rule.I4,),
        f"{CONTROLLERS}/reconcile.py",
        "            self._accounts.reserve(account.name, subject.key)\n",
        "            pass\n",
        RULES,
    ),
    Change(
        "own-by-name-and-not-by-instance",
        (Rule.I5,),
        f"{CONTROLLERS}/observe.py",
        "        for key in sorted(self._specs.claims(instance.instance_id) - {subject.key}):\n"
        "            body = self._specs.get(key)\n",
        "        for key in sorted(self._specs.claims(instance.instance_id) - {subject.key}):\n"
        "            body = self._specs.get(key) if key.name == subject.key.name else None\n",
        RULES,
    ),
    Change(
        "count-the-claims-of-who-is-not-granted",
        (Rule.I5, Rule.I7),
        f"{CONTROLLERS}/observe.py",
        "            if under_way or await self._accounts.grants(key, name, instance):\n",
        "            if True:\n",
        RULES,
    ),
    Change(
        "look-with-what-was-remembered",
        (Rule.FENCE, Rule.I4),
        f"{CONTROLLERS}/observe.py",
        "        after = self._begun if look.fresh or observed.fresh else None\n        expect",
        "        after = None\n        expect",
        RULES,
    ),
    Change(
        "let-a-label-that-there-cannot-be-grant-everywhere",
        (Rule.I7,),
        f"{CONTROLLERS}/grants.py",
        "    if not _can_be(requirement):\n",
        "    if False:\n",
        GRANTS,
    ),
    Change(
        "open-the-account-to-every-namespace",
        (Rule.I7,),
        f"{CONTROLLERS}/grants.py",
        "    if namespace in allowed.names:\n        return True\n",
        "    if namespace:\n        return True\n",
        (*GRANTS, *RULES),
    ),
    Change(
        "select-every-namespace-by-an-empty-selector",
        (Rule.I7,),
        f"{CONTROLLERS}/grants.py",
        "    if not selector.match_labels and not selector.match_expressions:\n",
        "    if False:\n",
        GRANTS,
    ),
    Change(
        "grant-by-one-of-many-tags",
        (Rule.I7,),
        "operator/sysdisk/core/world.py",
        "        return bool(self.tags) and set(self.tags) <= set(instance.tags)\n",
        "        return bool(set(self.tags) & set(instance.tags))\n",
        (*GRANTS, "tests/core/at_rest"),
    ),
    Change(
        "take-a-warning-policy-for-enforced",
        (Rule.APPROVE, Rule.STATUS),
        f"{CONTROLLERS}/enforcement.py",
        '        and "Deny" in (bound.get("validationActions") or ())\n',
        "",
        ("tests/chart/test_policies.py::test_a_policy_that_is_weakened_is_taken_as_missing",),
    ),
    Change(
        "let-anybody-write-status",
        (Rule.STATUS,),
        "charts/sysdisk-operator/templates/policies.yaml",
        "resources: [systemdiskspecs/status, ecsaccounts/status]",
        "resources: [ecsaccounts/status]",
        ("tests/chart/test_policies.py::test_the_status_of_both_kinds_is_guarded",),
    ),
)
