"""Puts a mutant into a process in which its module is loaded already, and imported by others.

The code of a function is exchanged in place, so whoever holds the function has the mutant's. A
constant is exchanged in every module that took it by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from tests.sabotage.mutants import MODULE, Mutant


class NotThere(Exception):
    """A function that cannot be found in the loaded module."""


def infect(module: ModuleType, mutant: Mutant) -> None:
    """Make `module` behave as `mutant`, in this process. Raises NotThere."""
    if mutant.where == MODULE:
        _exchange_constants(module, mutant.code())
    else:
        function = _function(module, mutant.where)
        function.__code__ = _code(mutant.code(), mutant.where)
    for loaded in list(sys.modules.values()):
        for cached in list(vars(loaded).values()) if loaded.__name__.startswith("sysdisk.") else ():
            clear = getattr(cached, "cache_clear", None)
            if clear is not None:
                clear()


def function_code(module: ModuleType, where: str) -> CodeType:
    """Return the present code of a function, by its qualified name. Raises NotThere."""
    return _function(module, where).__code__


def _function(module: ModuleType, where: str) -> FunctionType:
    found: object = module
    for name in where.split("."):
        found = vars(found).get(name)
        found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
        found = getattr(found, "__wrapped__", None) or found
    if not isinstance(found, FunctionType):
        raise NotThere(f"{module.__name__}.{where}")
    return found


def _code(module: CodeType, where: str) -> CodeType:
    for code in _codes(module):
        if code.co_qualname == where:
            return code
    raise NotThere(where)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _exchange_constants(module: ModuleType, code: CodeType) -> None:
    scratch: dict[str, object] = {**vars(module)}
    before = dict(vars(module))
    exec(code, scratch)
    for name, value in scratch.items():
        old = before.get(name)
        if not name.isupper() and not (name.startswith("_") and name[1:].isupper()):
            continue
        if old is None or type(old) is not type(value) or old == value:
            continue
        for loaded in list(sys.modules.values()):
            if vars(loaded).get(name) is old:
                setattr(loaded, name, value)
