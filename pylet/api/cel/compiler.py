"""A checked tree → one closure: from a frame to a value.

A frame is a list: place 0 is the cost that may still be spent, the variables follow. What a node always costs is summed
while compiling and charged where its branch is entered (the root, a loop's round, the right side of `&&`); only sizes
that are known at run time are charged at the call. The counts are those of cel-go's interpreter/runtimecost.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.checker import CONSTANTS
from pylet.api.cel.errors import CostExceeded, EvaluationError
from pylet.api.cel.functions import Overload, dispatcher
from pylet.api.cel.library.optional import optional_index
from pylet.api.cel.names import unescape
from pylet.api.cel.re2 import compile_pattern
from pylet.api.cel.standard import contains, index, index_list, index_map, show
from pylet.api.cel.syntax import (
    Call,
    Comprehension,
    Ident,
    ListNode,
    Literal,
    MapNode,
    Node,
    Select,
    StructNode,
)
from pylet.api.cel.values import NONE, Optional, Struct, UInt, type_name

Frame = list[Any]
Closure = Callable[[Frame], Any]
Costed = tuple[Closure, int]
# What an expression's own failure looks like: besides EvaluationError what Python says of a value of the wrong kind.
FAILURES = (EvaluationError, TypeError, AttributeError, ValueError, OverflowError)
_MISSING = object()


def compile_tree(root: Node, variables: dict[str, int]) -> tuple[Closure, int, int]:
    """The closure, what it always costs, and how long its frame is; `variables` gives each name its place."""
    compiler = _Compiler(variables)
    closure, cost = compiler.compile(root)
    return closure, cost, compiler.size


def unset() -> object:
    """What stands in the frame for a variable without a value."""
    return _MISSING


def charge(frame: Frame, cost: int) -> None:
    left = frame[0] - cost
    frame[0] = left
    if left < 0:
        raise CostExceeded


def _charged(costed: Costed) -> Closure:
    """A branch that pays for itself when it is entered."""
    run, cost = costed
    if cost == 0:
        return run

    def branch(frame: Frame) -> Any:
        left = frame[0] - cost
        frame[0] = left
        if left < 0:
            raise CostExceeded
        return run(frame)

    return branch


def _not_bool(value: Any) -> EvaluationError:
    return EvaluationError(f"no such overload: {type_name(value)}")


class _Compiler:
    def __init__(self, variables: dict[str, int]) -> None:
        self.places = dict(variables)
        self.size = len(variables) + 1
        self.folded: dict[int, tuple[Any] | None] = {}

    def compile(self, node: Node) -> Costed:
        constant = self.fold(node)
        if constant is not None:
            value = constant[0]
            return lambda frame: value, 0
        if isinstance(node, Call):
            return _SPECIAL.get(node.function, _Compiler.call)(self, node)
        return _COMPILERS[type(node)](self, node)

    def fold(self, node: Node) -> tuple[Any] | None:
        """The value of what is constant; it costs nothing, as with cel-go's OptOptimize."""
        if id(node) not in self.folded:
            self.folded[id(node)] = self.constant(node)
        return self.folded[id(node)]

    def constant(self, node: Node) -> tuple[Any] | None:
        match node:
            case Literal(value=value):
                return (value,)
            case Ident(name=name) if name.lstrip(".") not in self.places:
                return (CONSTANTS[name.lstrip(".")],)
            case Select(qualified=str(name)) if name not in self.places:
                return (CONSTANTS[name],)
            case ListNode(elements=elements, optional=optional) if not optional:
                items = [self.fold(element) for element in elements]
                return None if None in items else ([item[0] for item in items if item],)
            case MapNode(entries=entries) if not any(entry.optional for entry in entries):
                if any(self.fold(entry.key) is None or self.fold(entry.value) is None for entry in entries):
                    return None
            case Call(function=name, args=[arg], target=None) if name in _CONVERSIONS and self.fold(arg) is not None:
                pass
            case _:
                return None
        try:
            return (_COMPILERS[type(node)](self, node)[0]([CONSTANT_LIMIT]),)
        except (*FAILURES, CostExceeded):
            return None  # it fails when it is evaluated

    def literal(self, node: Literal) -> Costed:
        value = node.value
        return lambda frame: value, 0

    def ident(self, node: Ident) -> Costed:
        return self.named(node.name)

    def named(self, name: str) -> Costed:
        place = self.places[name.lstrip(".")]

        def variable(frame: Frame) -> Any:
            value = frame[place]
            if value is _MISSING:
                raise EvaluationError(f"no such attribute(s): {name}")
            return value

        return variable, 1

    def select(self, node: Select) -> Costed:
        if node.qualified is not None:
            return self.named(node.qualified)
        operand, cost = self.compile(node.operand)
        cost += self.detour(node.operand)
        kind = node.operand.type or t.DYN
        names = _keys(kind, node.field)
        if node.test_only:
            return _has(operand, names, is_object=kind.kind == "object"), cost
        if kind.name == "optional_type":
            return lambda frame: _select_optional(operand(frame), names), cost + 1
        if len(names) > 1:
            return lambda frame: _select(operand(frame), names), cost + 1
        key = names[0]
        if kind.kind == "object":
            return _field(operand, key), cost + 1

        def select(frame: Frame) -> Any:
            try:
                return operand(frame)[key]
            except KeyError as missing:
                raise EvaluationError(f"no such key: {missing.args[0]}") from missing

        return select, cost + 1

    def call(self, node: Call) -> Costed:
        if node.function in ("find", "findAll") and isinstance(node.args[0], Literal):
            compile_pattern(node.args[0].value)  # a bad one is refused now, not at every evaluation
        args: list[Closure] = []
        cost = 0
        for operand in node.operands:  # no comprehension: a chain of 250 operators is compiled on one stack
            run, part = self.compile(operand)
            args.append(run)
            cost += part
        if len(node.overloads) == 1 and _is_settled(node):
            overload = node.overloads[0]
            if overload.cost is None:
                return _plain(overload, args), cost + 1
            return _weighed(overload, args), cost
        return _dispatched(node, args), cost

    def conjunction(self, node: Call) -> Costed:
        left, cost = self.compile(node.args[0])
        right = _charged(self.compile(node.args[1]))

        def both(frame: Frame) -> Any:
            try:
                value = left(frame)
            except FAILURES:
                if right(frame) is False:
                    return False
                raise
            if value is False:
                return False
            other = right(frame)
            if value is True and (other is True or other is False):
                return other
            if other is False:
                return False
            raise _not_bool(other if value is True else value)

        return both, cost

    def disjunction(self, node: Call) -> Costed:
        left, cost = self.compile(node.args[0])
        right = _charged(self.compile(node.args[1]))

        def either(frame: Frame) -> Any:
            try:
                value = left(frame)
            except FAILURES:
                if right(frame) is True:
                    return True
                raise
            if value is True:
                return True
            other = right(frame)
            if value is False and (other is True or other is False):
                return other
            if other is True:
                return True
            raise _not_bool(other if value is False else value)

        return either, cost

    def conditional(self, node: Call) -> Costed:
        condition, cost = self.compile(node.args[0])
        yes, no = self.arm(node.args[1]), self.arm(node.args[2])

        def choose(frame: Frame) -> Any:
            value = condition(frame)
            if value is True:
                return yes(frame)
            if value is False:
                return no(frame)
            raise _not_bool(value)

        return choose, cost

    def arm(self, node: Node) -> Closure:
        """A side of `?:`; cel-go does not count the variable an attribute there begins with."""
        run, cost = self.compile(node)
        starts = self.is_attribute(node) and not (isinstance(node, Call) and node.function == "_?_:_")
        return _charged((run, cost - 1 if starts else cost))

    def detour(self, operand: Node) -> int:
        """cel-go counts one more where something is taken of a value that is no variable's part."""
        return 0 if self.is_attribute(operand) else 1

    def is_attribute(self, node: Node) -> bool:
        match node:
            case Ident():
                return self.fold(node) is None
            case Select(test_only=False, operand=operand, qualified=qualified):
                return self.fold(node) is None if qualified else self.is_attribute(operand)
            case Call(function="_[_]" | "_?._" | "_[?_]", args=[container, _]):
                return self.is_attribute(container)
            case Call(function="_?_:_"):
                return True
        return False

    def negation(self, node: Call) -> Costed:
        operand, cost = self.compile(node.args[0])

        def negate(frame: Frame) -> bool:
            value = operand(frame)
            if value is True:
                return False
            if value is False:
                return True
            raise _not_bool(value)

        return negate, cost + 1

    def optional_select(self, node: Call) -> Costed:
        operand, cost = self.compile(node.args[0])
        name = node.args[1]
        assert isinstance(name, Literal)
        kind = node.args[0].type or t.DYN
        names = _keys(kind, str(name.value))
        inner = kind.params[0] if kind.name == "optional_type" else kind
        is_object = inner.kind == "object"

        def select(frame: Frame) -> Optional:
            found = _select_optional(operand(frame), names)
            if not found.present or (is_object and found.value is None):
                return NONE
            charge(frame, 1)
            return found

        return select, cost + self.detour(node.args[0])

    def optional_index(self, node: Call) -> Costed:
        container, cost = self.compile(node.args[0])
        key, key_cost = self.compile(node.args[1])
        if self.is_attribute(node.args[1]):
            key_cost -= 1

        def index(frame: Frame) -> Optional:
            found = optional_index(container(frame), key(frame))
            if found.present:
                charge(frame, 1)
            return found

        return index, cost + key_cost + self.detour(node.args[0])

    def index(self, node: Call) -> Costed:
        container, cost = self.compile(node.args[0])
        key, key_cost = self.compile(node.args[1])
        through = all(overload.params[0].name == "optional_type" for overload in node.overloads)
        run = optional_index if through else _INDEXES.get((node.args[0].type or t.DYN).kind, index)
        if self.is_attribute(node.args[1]):
            key_cost -= 1
        return lambda frame: run(container(frame), key(frame)), cost + key_cost + 1 + self.detour(node.args[0])

    def membership(self, node: Call) -> Costed:
        """`in`; a written list of primitive values is looked up and costs nothing, as with cel-go's OptOptimize."""
        constant = self.fold(node.args[1])
        if constant is not None and type(constant[0]) is list:
            items = constant[0]
            if all(type(item) in _PRIMITIVE for item in items) and len(set(map(type, items))) <= 1:
                item, cost = self.compile(node.args[0])
                return lambda frame: contains(item(frame), items), cost
        return self.call(node)

    def lazy_or(self, node: Call) -> Costed:
        """`or` and `orValue` do not evaluate what they do not need."""
        if node.target is None:
            raise AssertionError(node.function)
        target, cost = self.compile(node.target)
        other = _charged(self.compile(node.args[0]))
        bare = node.function == "orValue"

        def choose(frame: Frame) -> Any:
            value = target(frame)
            if type(value) is not Optional:
                raise EvaluationError("no such overload")
            if not value.present:
                return other(frame)
            return value.value if bare else value

        return choose, cost

    def list(self, node: ListNode) -> Costed:
        parts = [self.compile(element) for element in node.elements]
        cost = 10 + sum(part[1] for part in parts)
        closures = [part[0] for part in parts]
        if not node.optional:
            return lambda frame: [closure(frame) for closure in closures], cost
        optional = node.optional

        def build(frame: Frame) -> list[Any]:
            items = []
            for at, closure in enumerate(closures):
                value = closure(frame)
                if at not in optional:
                    items.append(value)
                elif type(value) is not Optional:
                    raise EvaluationError("no such overload")
                elif value.present:
                    items.append(value.value)
            return items

        return build, cost

    def map(self, node: MapNode) -> Costed:
        parts = [(self.compile(entry.key), self.compile(entry.value), entry.optional) for entry in node.entries]
        cost = 30 + sum(key[1] + value[1] for key, value, _ in parts)
        closures = [(key[0], value[0], optional) for key, value, optional in parts]

        def build(frame: Frame) -> dict[Any, Any]:
            entries: dict[Any, Any] = {}
            for key_of, value_of, optional in closures:
                key = key_of(frame)
                if type(key) not in _KEYS:
                    raise EvaluationError(f"unsupported key type: {type_name(key)}")
                if key in entries:
                    raise EvaluationError(f"Failed with repeated key: {show(key)}")
                value = value_of(frame)
                if not optional:
                    entries[key] = value
                elif value.present:
                    entries[key] = value.value
            return entries

        return build, cost

    def struct(self, node: StructNode) -> Costed:
        kind = node.type or t.DYN
        assert kind.declaration is not None
        parts = [(self.compile(one.value), one) for one in node.fields]
        cost = 40 + sum(part[0][1] for part in parts)
        closures = [(_keys(kind, one.name)[0], run[0], one.optional) for run, one in parts]
        name = kind.name

        def build(frame: Frame) -> Struct:
            fields: dict[str, Any] = {}
            for key, value_of, optional in closures:
                value = value_of(frame)
                if not optional:
                    fields[key] = value
                elif value.present:
                    fields[key] = value.value
            return Struct(name, fields)

        return build, cost

    def comprehension(self, node: Comprehension) -> Costed:
        iterated, cost = self.compile(node.range)
        init, init_cost = self.compile(node.init)
        before = dict(self.places)
        accu = self.place(node.accu)
        if node.macro == "bind":
            result, result_cost = self.compile(node.result)
            self.places = before

            def bind(frame: Frame) -> Any:
                frame[accu] = init(frame)
                return result(frame)

            return bind, cost + init_cost + result_cost
        first = self.place(node.var)
        second = self.place(node.var2) if node.var2 is not None else None
        result_cost = 2 if node.macro == "one" else 1
        loop = _LOOPS[node.macro](self, node, iterated, _assign(first, second))
        self.places = before
        return loop, cost + init_cost + result_cost

    def place(self, name: str) -> int:
        place = self.size
        self.size += 1
        self.places[name] = place
        return place

    def quantifier(self, node: Comprehension, iterated: Closure, assign: _Assign, *, stop: bool) -> Closure:
        """`exists` stops at the first True, `all` at the first False; an error waits for either."""
        step = node.step
        assert isinstance(step, Call)
        predicate, cost = self.compile(step.args[1])
        condition_cost = self.compile(node.condition)[1]
        cost += condition_cost + 1

        def loop(frame: Frame) -> Any:
            failure: Exception | None = None
            container = iterated(frame)
            rounds = 0
            for _ in assign(frame, container):
                rounds += 1
                left = frame[0] - cost
                frame[0] = left
                if left < 0:
                    raise CostExceeded
                try:
                    value = predicate(frame)
                except FAILURES as error:
                    failure = error
                    continue
                if value is stop:
                    if rounds < len(container):  # the next round's condition is asked, too
                        charge(frame, condition_cost)
                    return stop
                if value is not (not stop):
                    failure = _not_bool(value)
            if failure is not None:
                raise failure
            return not stop

        return loop

    def one(self, node: Comprehension, iterated: Closure, assign: _Assign) -> Closure:
        step = node.step
        assert isinstance(step, Call)
        predicate, cost = self.compile(step.args[0])

        def loop(frame: Frame) -> bool:
            count = 0
            for _ in assign(frame, iterated(frame)):
                value = predicate(frame)
                if value is True:
                    count += 1
                elif value is not False:
                    raise _not_bool(value)
                charge(frame, cost + 2 * value)
            return count == 1

        return loop

    def collect(self, node: Comprehension, iterated: Closure, assign: _Assign) -> Closure:
        """`accu + [item]` for each round, kept or not: done by appending to a list nobody else has yet."""
        keep, keep_cost, step = self.kept(node)
        appended = step.args[1]
        assert isinstance(appended, ListNode)
        item, item_cost = self.compile(appended.elements[0])
        item_cost += 12

        def loop(frame: Frame) -> list[Any]:
            items: list[Any] = []
            for _ in assign(frame, iterated(frame)):
                if _is_kept(frame, keep, keep_cost):
                    charge(frame, item_cost)
                    items.append(item(frame))
            return items

        return loop

    def insert(self, node: Comprehension, iterated: Closure, assign: _Assign) -> Closure:
        keep, keep_cost, step = self.kept(node)
        parts = [self.compile(arg) for arg in step.args[1:]]
        cost = sum(part[1] for part in parts) + 2
        args = [part[0] for part in parts]
        overloads = step.overloads
        choose = dispatcher(step.function, overloads)

        def loop(frame: Frame) -> dict[Any, Any]:
            entries: dict[Any, Any] = {}
            for _ in assign(frame, iterated(frame)):
                if _is_kept(frame, keep, keep_cost):
                    charge(frame, cost)
                    values = [arg(frame) for arg in args]
                    choose(entries, *values).run(entries, *values)
            return entries

        return loop

    def kept(self, node: Comprehension) -> tuple[Closure | None, int, Call]:
        """The condition of a round, what it costs, and the step behind it."""
        step = node.step
        assert isinstance(step, Call)
        if step.function != "_?_:_":
            return None, 0, step
        keep, cost = self.compile(step.args[0])
        inner = step.args[1]
        assert isinstance(inner, Call)
        return keep, cost, inner


def _is_kept(frame: Frame, keep: Closure | None, cost: int) -> bool:
    if keep is None:
        return True
    charge(frame, cost)
    value = keep(frame)
    if value is not True and value is not False:
        raise _not_bool(value)
    return bool(value)


_Assign = Callable[[Frame, Any], Iterable[None]]


def _assign(first: int, second: int | None) -> _Assign:
    """Put each round's variables into the frame."""

    value_place = first if second is None else second

    def single(frame: Frame, container: Any) -> Iterable[None]:
        if not isinstance(container, (list, dict)):
            raise EvaluationError("no such overload")
        for item in container:
            frame[first] = item
            yield

    def double(frame: Frame, container: Any) -> Iterable[None]:
        if not isinstance(container, (list, dict)):
            raise EvaluationError("no such overload")
        pairs: Iterable[tuple[Any, Any]] = enumerate(container) if isinstance(container, list) else container.items()
        for key, value in pairs:
            frame[first] = key
            frame[value_place] = value
            yield

    return single if second is None else double


_INDEXES: dict[str, Callable[[Any, Any], Any]] = {"list": index_list, "map": index_map}
CONSTANT_LIMIT = 1 << 20
_CONVERSIONS = frozenset({"bool", "bytes", "double", "dyn", "duration", "int", "string", "timestamp", "type", "uint"})
_PRIMITIVE = frozenset({bool, float, int, str, UInt})
_KEYS = frozenset({str, int, UInt, bool})


def _keys(kind: t.Type, name: str) -> list[str]:
    """What a field may be called in the object: its type says, else it is tried as written, then unescaped."""
    if kind.name == "optional_type":
        kind = kind.params[0]
    if kind.kind == "object" and kind.declaration is not None:
        found = kind.declaration.find(name)
        return [found[0] if found else name]
    plain = unescape(name) if "__" in name and kind.kind != "map" else name
    return [name] if plain == name else [name, plain]


def _select(container: Any, names: list[str]) -> Any:
    if isinstance(container, dict):
        for name in names:
            if name in container:
                return container[name]
        raise EvaluationError(f"no such key: {names[0]}")
    raise EvaluationError("no such overload")


def _select_optional(container: Any, names: list[str]) -> Optional:
    if isinstance(container, Optional):
        if not container.present:
            return NONE
        container = container.value
    for name in names:
        found = optional_index(container, name)
        if found.present:
            return found
    return NONE


def _field(operand: Closure, key: str) -> Closure:
    """A declared field: null stands for an absent one."""

    def field(frame: Frame) -> Any:
        try:
            value = operand(frame)[key]
        except KeyError:
            value = None
        if value is None:
            raise EvaluationError(f"no such key: {key}")
        return value

    return field


def _has(operand: Closure, names: list[str], *, is_object: bool) -> Closure:
    name = names[0]

    def has(frame: Frame) -> bool:
        container = operand(frame)
        if isinstance(container, dict):
            if is_object:
                return name in container and container[name] is not None
            return name in container or any(other in container for other in names)
        if isinstance(container, Optional):
            return container.present and isinstance(container.value, dict) and name in container.value
        raise EvaluationError("no such overload")

    return has


def _is_settled(node: Call) -> bool:
    """Whether the static types already say that the one overload takes the arguments."""
    overload = node.overloads[0]
    for param, operand in zip(overload.params, node.operands, strict=True):
        kind = operand.type or t.DYN
        if param.kind not in ("dyn", "param") and (kind.kind != param.kind or kind.name != param.name):
            return False
    return True


def _plain(overload: Overload, args: list[Closure]) -> Closure:
    run = overload.run
    match args:
        case [only]:
            return lambda frame: run(only(frame))
        case [first, second]:
            return lambda frame: run(first(frame), second(frame))
    return lambda frame: run(*[arg(frame) for arg in args])


def _weighed(overload: Overload, args: list[Closure]) -> Closure:
    run, weigh = overload.run, overload.cost
    assert weigh is not None
    if len(args) == 2:
        first, second = args

        def binary(frame: Frame) -> Any:
            one, other = first(frame), second(frame)
            left = frame[0] - weigh(one, other)
            frame[0] = left
            if left < 0:
                raise CostExceeded
            return run(one, other)

        return binary

    def call(frame: Frame) -> Any:
        values = [arg(frame) for arg in args]
        charge(frame, weigh(*values))
        return run(*values)

    return call


def _dispatched(node: Call, args: list[Closure]) -> Closure:
    choose = dispatcher(node.function, node.overloads)

    def call(frame: Frame) -> Any:
        values = [arg(frame) for arg in args]
        overload = choose(*values)
        charge(frame, 1 if overload.cost is None else overload.cost(*values))
        return overload.run(*values)

    return call


_SPECIAL: dict[str, Callable[[_Compiler, Call], Costed]] = {
    "_&&_": _Compiler.conjunction,
    "_||_": _Compiler.disjunction,
    "_?_:_": _Compiler.conditional,
    "!_": _Compiler.negation,
    "_?._": _Compiler.optional_select,
    "_[_]": _Compiler.index,
    "_[?_]": _Compiler.optional_index,
    "@in": _Compiler.membership,
    "or": _Compiler.lazy_or,
    "orValue": _Compiler.lazy_or,
}
_COMPILERS: dict[type[Node], Callable[[_Compiler, Any], Costed]] = {
    Literal: _Compiler.literal,
    Ident: _Compiler.ident,
    Select: _Compiler.select,
    Call: _Compiler.call,
    ListNode: _Compiler.list,
    MapNode: _Compiler.map,
    StructNode: _Compiler.struct,
    Comprehension: _Compiler.comprehension,
}
_LOOPS: dict[str, Callable[[_Compiler, Comprehension, Closure, _Assign], Closure]] = {
    "all": lambda compiler, *loop: compiler.quantifier(*loop, stop=False),
    "exists": lambda compiler, *loop: compiler.quantifier(*loop, stop=True),
    "one": _Compiler.one,
    "collect": _Compiler.collect,
    "insert": _Compiler.insert,
}
