"""The macros: calls the parser rewrites into folds and selections before anything is checked.

cel-go's parser/macro.go, ext/comprehensions.go and the optional library of cel/library.go give the expansions; cost is
counted on them, so they are kept as they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pylet.api.cel.syntax import ACCU, Call, Comprehension, Ident, ListNode, Literal, MapNode, Node, Select


@dataclass(slots=True)
class MacroError(Exception):
    pos: int
    message: str


def expand(pos: int, name: str, target: Node | None, args: list[Node]) -> Node | None:
    """What the call stands for; None when it is an ordinary call. Raises: MacroError."""
    if target is None:
        return _has(pos, args) if name == "has" and len(args) == 1 else None
    macro = _MACROS.get((name, len(args)))
    return macro(pos, target, args) if macro else None


def _has(pos: int, args: list[Node]) -> Node:
    match args[0]:
        case Select(test_only=False) as select:
            return Select(pos, select.operand, select.field, test_only=True)
    raise MacroError(args[0].pos, "invalid argument to has() macro")


def _name(node: Node, complaint: str = "argument must be a simple name") -> str:
    if not isinstance(node, Ident) or node.name.startswith("."):
        raise MacroError(node.pos, complaint)
    if node.name in (ACCU, "__result__"):
        raise MacroError(node.pos, "iteration variable overwrites accumulator variable")
    return node.name


def _accu(pos: int) -> Node:
    return Ident(pos, ACCU)


def _fold(
    pos: int, macro: str, target: Node, names: list[str], init: Node, condition: Node, step: Node, result: Node
) -> Node:
    second = names[1] if len(names) > 1 else None
    return Comprehension(pos, macro, target, names[0], second, ACCU, init, condition, step, result)


_Macro = Callable[[int, Node, list[Node]], Node]


def _quantifier(kind: str, variables: int) -> _Macro:
    def expansion(pos: int, target: Node, args: list[Node]) -> Node:
        names = [_name(arg) for arg in args[:variables]]
        if len(set(names)) < variables:
            raise MacroError(args[1].pos, f"duplicate variable name: {names[1]}")
        predicate = args[variables]
        result = _accu(pos)
        condition: Node
        if kind == "all":
            init: Node = Literal(pos, True)
            condition = Call(pos, "@not_strictly_false", [_accu(pos)])
            step = Call(pos, "_&&_", [_accu(pos), predicate])
        elif kind == "exists":
            init = Literal(pos, False)
            condition = Call(pos, "@not_strictly_false", [Call(pos, "!_", [_accu(pos)])])
            step = Call(pos, "_||_", [_accu(pos), predicate])
        else:
            init = Literal(pos, 0)
            condition = Literal(pos, True)
            more = Call(pos, "_+_", [_accu(pos), Literal(pos, 1)])
            step = Call(pos, "_?_:_", [predicate, more, _accu(pos)])
            result = Call(pos, "_==_", [_accu(pos), Literal(pos, 1)])
        return _fold(pos, kind, target, names, init, condition, step, result)

    return expansion


def _collect(pos: int, target: Node, names: list[str], item: Node, keep: Node | None) -> Node:
    step: Node = Call(pos, "_+_", [_accu(pos), ListNode(pos, [item])])
    if keep is not None:
        step = Call(pos, "_?_:_", [keep, step, _accu(pos)])
    return _fold(pos, "collect", target, names, ListNode(pos, []), Literal(pos, True), step, _accu(pos))


def _map(pos: int, target: Node, args: list[Node]) -> Node:
    name = _name(args[0], "argument is not an identifier")
    return _collect(pos, target, [name], args[-1], args[1] if len(args) == 3 else None)


def _filter(pos: int, target: Node, args: list[Node]) -> Node:
    name = _name(args[0], "argument is not an identifier")
    return _collect(pos, target, [name], args[0], args[1])


def _pair(args: list[Node]) -> list[str]:
    names = [_name(args[0]), _name(args[1])]
    if names[0] == names[1]:
        raise MacroError(args[1].pos, f"duplicate variable name: {names[1]}")
    return names


def _transform_list(pos: int, target: Node, args: list[Node]) -> Node:
    return _collect(pos, target, _pair(args), args[-1], args[2] if len(args) == 4 else None)


def _insert(pos: int, target: Node, args: list[Node], inserted: list[Node]) -> Node:
    step: Node = Call(pos, "cel.@mapInsert", [_accu(pos), *inserted])
    if len(args) == 4:
        step = Call(pos, "_?_:_", [args[2], step, _accu(pos)])
    names = _pair(args)
    return _fold(pos, "insert", target, names, MapNode(pos, []), Literal(pos, True), step, _accu(pos))


def _transform_map(pos: int, target: Node, args: list[Node]) -> Node:
    return _insert(pos, target, args, [Ident(args[0].pos, _name(args[0])), args[-1]])


def _transform_map_entry(pos: int, target: Node, args: list[Node]) -> Node:
    return _insert(pos, target, args, [args[-1]])


def _opt_map(*, flat: bool) -> _Macro:
    def expansion(pos: int, target: Node, args: list[Node]) -> Node:
        complaint = f"{'optFlatMap' if flat else 'optMap'}() variable name must be a simple identifier"
        name = _name(args[0], complaint)
        value = Call(pos, "value", [], target)
        unused = ListNode(pos, [])
        bound: Node = Comprehension(
            pos, "bind", unused, "#unused", None, name, value, Literal(pos, False), Ident(pos, name), args[1]
        )
        if not flat:
            bound = Call(pos, "optional.of", [bound])
        return Call(pos, "_?_:_", [Call(pos, "hasValue", [], target), bound, Call(pos, "optional.none", [])])

    return expansion


def _sort_by(pos: int, target: Node, args: list[Node]) -> Node:
    """The list is bound to a name, mapped to its keys, and sorted by them (ext/lists.go, sortByMacro)."""
    name = "@__sortBy_input__"
    keys = _map(pos, Ident(pos, name), args)
    result = Call(pos, "@sortByAssociatedKeys", [keys], Ident(pos, name))
    unused = ListNode(pos, [])
    return Comprehension(
        pos, "bind", unused, "#unused", None, name, target, Literal(pos, False), Ident(pos, name), result
    )


_MACROS: dict[tuple[str, int], _Macro] = {
    ("all", 2): _quantifier("all", 1),
    ("exists", 2): _quantifier("exists", 1),
    ("exists_one", 2): _quantifier("one", 1),
    ("existsOne", 2): _quantifier("one", 1),
    ("all", 3): _quantifier("all", 2),
    ("exists", 3): _quantifier("exists", 2),
    ("exists_one", 3): _quantifier("one", 2),
    ("existsOne", 3): _quantifier("one", 2),
    ("map", 2): _map,
    ("map", 3): _map,
    ("filter", 2): _filter,
    ("transformList", 3): _transform_list,
    ("transformList", 4): _transform_list,
    ("transformMap", 3): _transform_map,
    ("transformMap", 4): _transform_map,
    ("transformMapEntry", 3): _transform_map_entry,
    ("transformMapEntry", 4): _transform_map_entry,
    ("sortBy", 2): _sort_by,
    ("optMap", 2): _opt_map(flat=False),
    ("optFlatMap", 2): _opt_map(flat=True),
}
