"""What an EcsAccount grants to a namespace: pure, from its spec and the namespace's labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sysdisk.api.account import AllowedNamespaces, EcsAccountSpec, LabelRequirement, LabelSelector
from sysdisk.api.base import LABEL_KEY_PATTERN, LABEL_VALUE_PATTERN
from sysdisk.core.world import Grant

NAMESPACE_VARIABLE: Final = "$(namespace)"
PREFIX_LIMIT: Final = 253
"""Characters before the slash in the key of a label. Source: Kubernetes, "Labels and Selectors"."""

_KEY: Final = re.compile(LABEL_KEY_PATTERN)
_VALUE: Final = re.compile(LABEL_VALUE_PATTERN)


def grant_for(spec: EcsAccountSpec, namespace: str) -> Grant:
    """Return the instances that `namespace` may reach; `$(namespace)` in tag values is put in."""
    allowed = spec.allowed_instances
    tags = tuple(
        (key, value.replace(NAMESPACE_VARIABLE, namespace)) for key, value in allowed.tags.items()
    )
    return Grant(ids=frozenset(allowed.ids), tags=tags, regions=frozenset(allowed.regions))


def allows(allowed: AllowedNamespaces, namespace: str, labels: Mapping[str, str] | None) -> bool:
    """Whether `namespace` may use the account; `labels` None: they are not known."""
    if namespace in allowed.names:
        return True
    return allowed.selector is not None and labels is not None and selects(allowed.selector, labels)


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether every part of `selector` holds. An empty one selects nothing (EcsAccount's rule)."""
    if not selector.match_labels and not selector.match_expressions:
        return False
    return all(labels.get(k) == v for k, v in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def _holds(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    """Source: Kubernetes, LabelSelectorRequirement; NotIn also holds where the label is absent.

    What no label can be holds nowhere: NotIn and DoesNotExist would else grant every namespace.
    """
    if not _can_be(requirement):
        return False
    there, value = requirement.key in labels, labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return there and value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return there
        case "DoesNotExist":
            return not there
    return False


def _can_be(requirement: LabelRequirement) -> bool:
    """Whether there can be a label of this key and these values. An API server refuses others; an
    object may be older than its rule."""
    prefix, _, _ = requirement.key.rpartition("/")
    return (
        len(prefix) <= PREFIX_LIMIT
        and _KEY.fullmatch(requirement.key) is not None
        and all(_VALUE.fullmatch(value) for value in requirement.values)
    )
