"""`docs/conditions.md`: what each reason means and what to do about it.

Made by `python -m sysdisk.api.reason_docs docs/conditions.md`; a test holds the table to the enum.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from sysdisk.api.reasons import AccountReason, Reason, Standing, phase, standing

EXPLAINED: Final[dict[Reason, tuple[str, str]]] = {
    Reason.UP_TO_DATE: ("The machine is as declared.", "Nothing."),
    Reason.DRIFTED: (
        "The machine moved away while the spec stood still, or still differs after a replacement.",
        "Set `replaceTrigger` for a fresh disk, or make the spec what the machine is.",
    ),
    Reason.LOGIN_PENDING: (
        "The login was changed; image and size match.",
        "Nothing, or set `replaceTrigger`: a login takes effect with the next replacement.",
    ),
    Reason.OBSERVING: ("Nothing is known yet.", "Wait a moment."),
    Reason.PLANNED: ("A plan is about to begin, or an operation just ended.", "Wait a moment."),
    Reason.BACKING_UP: ("A snapshot of the old disk is being made.", "Wait."),
    Reason.STOPPING: ("The machine is being stopped.", "Wait; `power.stopTimeout` bounds it."),
    Reason.REPLACING: (
        "ECS is asked to replace the disk.",
        "Wait; `power.giveBackAfter` bounds it.",
    ),
    Reason.OUTCOME_UNKNOWN: (
        "The request was sent and no readable answer came back.",
        "Wait: it is found out with the same token, or by watching the disk for 15 minutes.",
    ),
    Reason.VERIFYING: ("ECS accepted; the new disk is not in use yet.", "Wait."),
    Reason.VERIFY_OVERDUE: (
        "ECS accepted over 15 minutes ago and the new disk is still not in use.",
        "Look at the instance in the ECS console.",
    ),
    Reason.STARTING: ("The machine is being started.", "Wait."),
    Reason.FINISHING: ("The last things are put back.", "Wait."),
    Reason.GIVING_BACK: (
        "The operation is not carried out; the machine gets its power state back.",
        "Wait; the message says why.",
    ),
    Reason.SUSPENDED: (
        "Something is due, and the spec is suspended, by its field or by annotation.",
        "`sysdisk resume NAME`, or set `spec.suspend: false`: the message says which.",
    ),
    Reason.ACCOUNT_SUSPENDED: (
        "Something is due, and the account is suspended or being deleted.",
        "Ask the admin.",
    ),
    Reason.PROTECTED: (
        "Something is due, and the annotation `sysdisk.dev/protect` forbids it.",
        "Remove the annotation. Every value but `false` protects.",
    ),
    Reason.AWAITING_APPROVAL: ("The plan waits for an approval.", "`sysdisk approve NAME`."),
    Reason.AWAITING_WINDOW: (
        "The plan waits for its maintenance window.",
        "Wait; the message says until when.",
    ),
    Reason.AWAITING_SLOT: (
        "As many operations as the account allows are under way.",
        "Wait, or raise `limits.concurrentReplacements`.",
    ),
    Reason.FIRST_SIGHT_LIMITED: (
        "Many specs without a record differ from their machines: they begin a few an hour.",
        "Check that this is meant (a restored cluster?); raise `limits.firstSightPerHour` if so.",
    ),
    Reason.RESTING: (
        "An operation ended without a replacement (the machine did not stop in time, ECS did not "
        "accept in time, somebody started the machine, the backup took too long); the plan rests.",
        "Wait, or correct the cause as the message says and `sysdisk retry NAME`.",
    ),
    Reason.ACCOUNT_NOT_READY: (
        "The account's credentials, endpoint or clock do not work.",
        "See the Ready condition of the EcsAccount.",
    ),
    Reason.INSTANCE_BUSY: ("Instance, disk or image is in a passing state.", "Wait."),
    Reason.DRY_RUN: ("Something is due, and the operator runs with `--dry-run`.", "Read the plan."),
    Reason.INVALID_SPEC: ("The spec says something that cannot be.", "Correct it."),
    Reason.ACCOUNT_NOT_FOUND: ("There is no such EcsAccount.", "Create it, or name another."),
    Reason.NAMESPACE_NOT_GRANTED: (
        "The account does not allow this namespace.",
        "Ask an admin to add it to `allowedNamespaces`.",
    ),
    Reason.INSTANCE_NOT_FOUND: (
        "There is no such instance in the region, or it is not granted: both read the same.",
        "Correct `instanceId` or `regionId`, or ask for `allowedInstances`.",
    ),
    Reason.INSTANCE_OWNED: ("Another, older spec keeps this instance.", "Delete one of the two."),
    Reason.INSTANCE_MANAGED: (
        "An ACK node pool or a scaling group owns the instance.",
        "Change it there, or ask for `allowManaged`.",
    ),
    Reason.INSTANCE_NOT_UNDERSTOOD: (
        "The instance is in a state this version does not know.",
        "Look at it in the console.",
    ),
    Reason.OPERATION_LOCKED: (
        "ECS has locked instance or disk; the message says so where the lock is not known.",
        "Resolve the lock (security event, renewal, payment).",
    ),
    Reason.IMAGE_NOT_FOUND: (
        "The image, or a member of the family, is not known in the region.",
        "Correct it, or share or copy the image.",
    ),
    Reason.SECRET_NOT_USABLE: (
        "The login Secret is missing, unreadable or against the password rules.",
        "Correct the Secret; it is read again by itself.",
    ),
    Reason.PREFLIGHT_FAILED: (
        "Something known by reading stands in the way; the message lists everything.",
        "Correct it; it is looked at again by itself.",
    ),
    Reason.PLAN_SPENT: (
        "This very plan was tried and refused; the machine runs on its old disk.",
        "Correct the cause, then `sysdisk retry NAME`, or change the spec.",
    ),
    Reason.BRAKE_PULLED: (
        "Several operations of the account failed in a row; nothing new begins.",
        "Find out why, then `sysdisk resume --account NAME`.",
    ),
    Reason.WINDOW_TOO_SHORT: (
        "No window can ever hold the work.",
        "Lengthen `maintenanceWindows`.",
    ),
    Reason.APPROVAL_NOT_ENFORCED: (
        "The account requires approval and the admission policy for it is missing.",
        "Install the policy.",
    ),
    Reason.BACKUP_FAILED: (
        "The snapshot failed or was refused; nothing was touched.",
        "Correct the cause, then `sysdisk retry NAME`.",
    ),
    Reason.NOT_CONVERGING: (
        "Replacements do not make the machine what is declared.",
        "Compare spec and machine.",
    ),
    Reason.MACHINE_LEFT_STOPPED: (
        "We stopped the machine and it cannot be started.",
        "Act now: the message says why. It is tried again and again.",
    ),
    Reason.RECORD_NOT_OURS: (
        "`status.operation` does not follow from its own inputs: it is not believed, and nothing "
        "is done on its word.",
        "Look whether the instance runs (the message says its state). Then delete the object and "
        "apply it again: a deleted one goes after 15 minutes, or at once with "
        "`sysdisk release NAME`, which alone does not cure it.",
    ),
    Reason.READ_REFUSED: (
        "ECS refuses a read that planning needs: as a rule the identity lacks a permission.",
        "Grant what the message names; `sysdisk ram-policy` prints all that is needed.",
    ),
    Reason.NOT_UNDERSTOOD: (
        "The object holds something that this version of the operator does not know: another "
        "version wrote it, or somebody by hand. Nothing is done.",
        "Look at the machine; run the version that wrote it, or correct what the message names.",
    ),
}

ACCOUNT_EXPLAINED: Final[dict[AccountReason, tuple[str, str]]] = {
    AccountReason.VERIFIED: (
        "ECS takes the credentials; the message names the identity.",
        "Nothing.",
    ),
    AccountReason.UNCHECKED: ("The credentials have not been checked yet.", "Wait a moment."),
    AccountReason.CREDENTIALS_INVALID: (
        "The Secret, the role or the access key cannot be used.",
        "Correct `credentials`, or the Secret that it names; it is checked again by itself.",
    ),
    AccountReason.UNREACHABLE: (
        "The endpoint does not answer as ECS does, or there is no such region.",
        "Check `regionId`, `endpoint`, proxy and network.",
    ),
    AccountReason.CLOCK_SKEWED: (
        "The operator's clock is more than 60 s away from that of ECS.",
        "Correct the clock of its node.",
    ),
    AccountReason.APPROVAL_NOT_ENFORCED: (
        "The account requires approvals, and this cluster lets anybody approve.",
        "Install the admission policy of the chart (`policies.enabled`).",
    ),
    AccountReason.BRAKE_PULLED: (
        "Too many operations failed in a row (`limits.stopAfterFailures`): nothing new begins.",
        "Find out why in the specs that failed, then `sysdisk resume --account NAME`.",
    ),
}

_HEAD: Final = """# Conditions and reasons

<!-- Made by `make generate` from operator/sysdisk/api/reason_docs.py. -->

`Ready` is always there. `Reconciling` is there, and True, while work is under way; `Stalled` while
a person must act; never both. `Drifted`, `Approved` and `BackedUp` are there while they say
something. The reasons below are those of `Ready`; the message adds what happened, with ECS's code
and request ID.
"""

_TITLES: Final = {
    Standing.DONE: "Ready: True",
    Standing.WORKING: "Ready: False, Reconciling: the operator is at it",
    Standing.WAITING: "Ready: False, neither: it goes on by itself, or when somebody says so",
    Standing.STUCK: "Ready: False, Stalled: a person must act",
}


def render() -> str:
    """Return the page."""
    parts = [_HEAD]
    for where, title in _TITLES.items():
        parts.append(f"\n## {title}\n\n| reason | phase | what it means | what to do |\n")
        parts.append("| --- | --- | --- | --- |\n")
        for reason in Reason:
            if standing(reason) is where:
                means, do = EXPLAINED[reason]
                parts.append(f"| `{reason}` | {phase(reason)} | {means} | {do} |\n")
    parts.append("\n## Ready of an EcsAccount\n\n| reason | what it means | what to do |\n")
    parts.append("| --- | --- | --- |\n")
    for account_reason, (means, do) in ACCOUNT_EXPLAINED.items():
        parts.append(f"| `{account_reason}` | {means} | {do} |\n")
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
