"""Wrong changes to how answers of ECS are read, classed and judged beforehand."""

from __future__ import annotations

from typing import Final

from tests.sabotage.change import Change, Rule

CORE: Final = "operator/sysdisk/core"
ECS: Final = "operator/sysdisk/ecs"
CATALOG: Final = ("tests/contract/test_error_catalog.py",)
PARSE: Final = ("tests/core/test_ecs_parse.py",)
INVENTORY: Final = ("tests/contract/ecs_adapter/test_inventory.py",)
PREFLIGHT: Final = ("tests/core/test_preflight.py",)
LOOKS: Final = ("tests/core/test_preflight_looks.py",)

FACTS: Final = (
    Change(
        "forget-a-name-of-the-rate-limit",
        (Rule.I10, Rule.ONCE),
        f"{ECS}/catalog.py",
        'THROTTLING: Final = ("Throttling", "Rejected.Throttling")\n',
        'THROTTLING: Final = ("Throttling",)\n',
        CATALOG,
    ),
    Change(
        "believe-in-the-words-of-an-internal-error",
        (Rule.I10, Rule.ONCE),
        f"{ECS}/catalog.py",
        "            return _in_other_words(found, http, message)\n",
        "            return self._unknown(code, http, message)\n",
        CATALOG,
    ),
    Change(
        "take-null-for-an-empty-list",
        (Rule.I9,),
        f"{ECS}/parse.py",
        "    found = part.get(inner) if isinstance(part, Mapping) else None\n",
        "    found = (part.get(inner) or []) if isinstance(part, Mapping) else None\n",
        PARSE,
    ),
    Change(
        "let-one-odd-record-fail-for-all",
        (Rule.I8, Rule.I9),
        f"{ECS}/parse.py",
        "    except EcsError as error:\n        return error\n",
        "    except EcsError:\n        raise\n",
        PARSE,
    ),
    Change(
        "take-a-record-without-an-id-for-an-absence",
        (Rule.I9,),
        f"{ECS}/parse.py",
        "    if nameless is not None:\n        found =",
        "    if nameless is not None and not found:\n        found =",
        PARSE,
    ),
    Change(
        "miss-a-data-disk-that-cannot-be-read",
        (Rule.I9, Rule.PLAN),
        f"{ECS}/questions.py",
        "    return Attached(read) if odd is None else odd\n",
        "    return Attached(read) if read else odd or Attached()\n",
        INVENTORY,
    ),
    Change(
        "read-no-type-at-all-as-fits-none",
        (Rule.PREFLIGHT,),
        f"{ECS}/parse.py",
        '"instance type") for raw in found) or None\n',
        '"instance type") for raw in found)\n',
        PARSE,
    ),
    Change(
        "ask-for-the-supply-of-pay-as-you-go",
        (Rule.PREFLIGHT,),
        f"{ECS}/calls.py",
        "        InstanceChargeType=slot.charge_type or None,\n",
        "",
        LOOKS,
    ),
    Change(
        "wait-for-a-type-that-is-withdrawn",
        (Rule.PREFLIGHT, Rule.I8),
        f"{CORE}/world.py",
        "        return category in self.sold_out and self.sold_out != self.categories\n",
        "        return category in self.sold_out\n",
        PREFLIGHT,
    ),
    Change(
        "take-every-disk-in-the-place-of-an-image-for-linux",
        (Rule.PREFLIGHT,),
        f"{CORE}/wanted.py",
        '    if platform.lower().startswith("windows"):\n        return "windows"\n',
        "",
        PREFLIGHT,
    ),
)
