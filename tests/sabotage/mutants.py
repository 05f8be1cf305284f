"""Mutants of a module: each a copy of its code with one small thing wrong, made from its AST.

What is changed is what a slip would change: a comparison, a condition, a number, a word that is
compared with, a keyword of a call, a statement, an answer. Texts for people are left alone, and so
are defaults and bodies of classes, which are fixed when a module is imported.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Final

_FLIPS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_LONGEST: Final = 90
MODULE: Final = "<module>"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong version. `where`: the function's qualified name, or MODULE for a constant."""

    module: str
    where: str
    line: int
    change: str
    path: Path
    number: int

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is known by, as long as its line reads the same."""
        return self.module, self.where, self.change

    def code(self) -> CodeType:
        """Return the module's code with the change."""
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        _nth(tree, self.number)[1][1]()
        return compile(ast.fix_missing_locations(tree), str(self.path), "exec")


@dataclass(slots=True)
class _Place:
    """A node that can be changed, and the ways to change it in place."""

    node: ast.AST
    where: str
    ways: list[tuple[str, Callable[[], None]]]


def mutants_of(path: Path, module: str) -> list[Mutant]:
    """Return all mutants of the module in `path`, in the order of its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seen: Counter[tuple[str, str]] = Counter()
    found: list[Mutant] = []
    for place in _places(tree):
        before, line = _text(place.node), getattr(place.node, "lineno", 0)
        for told, _ in place.ways:
            text = f"{before} => {told}"
            seen[place.where, text] += 1
            if (times := seen[place.where, text]) > 1:
                text = f"{text} #{times}"
            found.append(Mutant(module, place.where, line, text, path, len(found)))
    return found


def _nth(tree: ast.Module, number: int) -> tuple[_Place, tuple[str, Callable[[], None]]]:
    for place in _places(tree):
        if number < len(place.ways):
            return place, place.ways[number]
        number -= len(place.ways)
    raise IndexError(number)


def _places(tree: ast.Module) -> Iterator[_Place]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield from _constants(node.value)
        else:
            yield from _functions(node, "")


def _constants(value: ast.expr) -> Iterator[_Place]:
    """Yield the numbers and words of a constant of the module."""
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and not isinstance(node.value, bytes):
            yield _Place(node, MODULE, list(_constant(node, words=True)))


def _functions(node: ast.AST, outside: str) -> Iterator[_Place]:
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from _functions(inner, f"{outside}{node.name}.")
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for statement in node.body:
            yield from _inside(statement, f"{outside}{node.name}", node)


def _inside(node: ast.AST, where: str, parent: ast.AST) -> Iterator[_Place]:
    if isinstance(node, ast.JoinedStr | ast.Assert | ast.Raise):
        return
    if ways := list(_ways(node, parent)):
        yield _Place(node, where, ways)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, ast.AST):
                yield from _inside(inner, where, node)


def _ways(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield how `node` can be changed: what it then reads, and what changes it."""
    match node:
        case ast.Compare(ops=[op], comparators=[right]) if type(op) in _FLIPS:
            other = _FLIPS[type(op)]()
            told = ast.unparse(ast.Compare(node.left, [other], [right]))
            yield _short(told), lambda: _set(node, ops=[other])
        case ast.BoolOp(op=op):
            other_op = ast.Or() if isinstance(op, ast.And) else ast.And()
            told = ast.unparse(ast.BoolOp(other_op, node.values))
            yield _short(told), lambda: _set(node, op=other_op)
        case ast.If() | ast.IfExp() | ast.While():
            for answer in (True, False):
                told = f"always {answer}"
                yield told, partial(_set, node, test=ast.Constant(answer))
        case ast.BinOp(op=ast.Add()) if not isinstance(node.left, ast.Constant | ast.JoinedStr):
            yield "minus", lambda: _set(node, op=ast.Sub())
        case ast.BinOp(op=ast.Sub()):
            yield "plus", lambda: _set(node, op=ast.Add())
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            yield "return None", lambda: _set(node, value=ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign():
            yield "nothing", lambda: _replace(parent, node, ast.Pass())
        case ast.Call(func=ast.Attribute(attr="replace")) if node.keywords:
            for number, keyword in enumerate(node.keywords):
                if keyword.arg is not None:
                    yield f"without {keyword.arg}", partial(_drop, node, number)
        case ast.Constant():
            yield from _constant(node, words=isinstance(parent, ast.Compare))


def _constant(node: ast.Constant, *, words: bool) -> Iterator[tuple[str, Callable[[], None]]]:
    value = node.value
    if isinstance(value, bool):
        yield str(not value), lambda: _set(node, value=not value)
    elif isinstance(value, int | float):
        yield str(value + 1), lambda: _set(node, value=value + 1)
    elif isinstance(value, str) and words and value and " " not in value:
        yield repr(f"{value}-x"), lambda: _set(node, value=f"{value}-x")


def _set(node: ast.AST, **fields: object) -> None:
    for name, value in fields.items():
        setattr(node, name, value)


def _drop(call: ast.Call, number: int) -> None:
    del call.keywords[number]


def _replace(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for _, value in ast.iter_fields(parent):
        if isinstance(value, list) and old in value:
            value[value.index(old)] = ast.copy_location(new, old)
            return


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        return _short(f"if {ast.unparse(node.test)}")
    return _short(ast.unparse(node))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
