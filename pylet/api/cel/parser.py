"""CEL source → tree, macros expanded: precedence climbing over the grammar of the CEL specification.

A parse takes time linear in the source's length and refuses what is nested deeper than `MAX_DEPTH` levels.
"""

from __future__ import annotations

from typing import NoReturn

from pylet.api.cel import macros
from pylet.api.cel.errors import CompileError, Issue
from pylet.api.cel.lexer import KEYWORDS, RESERVED, Token, tokens
from pylet.api.cel.syntax import Call, Entry, FieldNode, Ident, ListNode, Literal, MapNode, Node, Select, StructNode
from pylet.api.cel.values import UInt

MAX_CODE_POINTS = 100_000
MAX_DEPTH = 250
_BINARY = {"<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_START = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


def parse(source: str) -> Node:
    """The tree of `source`. Raises: CompileError."""
    if len(source) > MAX_CODE_POINTS:
        message = f"expression code point size exceeds limit: size: {len(source)}, limit {MAX_CODE_POINTS}"
        raise CompileError(source, [Issue(0, message)])
    parser = _Parser(source)
    try:
        node = parser.expression()
    except RecursionError:
        parser.fail(f"expression recursion limit exceeded: {MAX_DEPTH}", -1)
    if parser.token.kind != "end":
        is_last = parser.tokens[parser.at + 1].kind == "end"
        what = "extraneous" if is_last else "mismatched"
        parser.fail(f"Syntax error: {what} input '{parser.token.text}' expecting <EOF>")
    return node


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def fail(self, message: str, pos: int | None = None) -> NoReturn:
        raise CompileError(self.source, [Issue(self.token.pos if pos is None else pos, message)])

    def next(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, kind: str) -> Token | None:
        return self.next() if self.token.kind == kind else None

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            name = "IDENTIFIER" if kind == "ident" else f"'{kind}'"
            self.fail(f"Syntax error: mismatched input '{self.token.text}' expecting {name}")
        return self.next()

    def deepen(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"expression recursion limit exceeded: {MAX_DEPTH}")

    def expression(self) -> Node:
        self.deepen()
        node = self.logical("||")
        if question := self.accept("?"):
            first = self.logical("||")
            self.expect(":")
            node = Call(question.pos, "_?_:_", [node, first, self.expression()])
        self.depth -= 1
        return node

    def logical(self, operator: str) -> Node:
        """Chains of `||` and of `&&`, as balanced trees: a rule of a thousand alternatives is not deep."""
        terms = [self.logical("&&") if operator == "||" else self.binary(3)]
        positions: list[int] = []
        while token := self.accept(operator):
            positions.append(token.pos)
            terms.append(self.logical("&&") if operator == "||" else self.binary(3))

        def balance(low: int, high: int) -> Node:
            middle = (low + high + 1) // 2
            left = terms[middle] if middle == low else balance(low, middle - 1)
            right = terms[middle + 1] if middle == high else balance(middle + 1, high)
            return Call(positions[middle], f"_{operator}_", [left, right])

        return balance(0, len(positions) - 1) if positions else terms[0]

    def binary(self, level: int) -> Node:
        node = self.unary()
        chain = 0
        while (power := _BINARY.get(self.token.text if self.token.kind != "string" else "", 0)) >= level:
            token = self.next()
            chain += 1
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail("max recursion depth exceeded", -1)
            name = "@in" if token.text == "in" else f"_{token.text}_"
            node = Call(token.pos, name, [node, self.binary(power + 1)])
        self.depth -= chain
        return node

    def unary(self) -> Node:
        token = self.token
        if token.kind not in ("!", "-"):
            return self.member()
        if token.kind == "-" and self.tokens[self.at + 1].kind in ("int", "float"):
            return self.member()
        count = 0
        while self.token.kind == token.kind:
            self.next()
            count += 1
        operand = self.member()
        return operand if count % 2 == 0 else Call(token.pos, f"{token.kind}_", [operand])

    def member(self) -> Node:
        node = self.primary()
        links = 0
        while self.token.kind in (".", "["):
            links += 1
            self.deepen()
            operator = self.next()
            optional = self.accept("?") is not None
            if operator.kind == "[":
                index = self.expression()
                self.expect("]")
                node = Call(operator.pos, "_[?_]" if optional else "_[_]", [node, index])
                continue
            name = self.field_name()
            if optional:
                node = Call(operator.pos, "_?._", [node, Literal(name.pos, name.text)])
            elif opened := self.accept("("):
                args = self.arguments(")")
                node = self.call(opened.pos, name.text, args, node)
            else:
                node = Select(operator.pos, node, name.text)
        self.depth -= links
        return node

    def field_name(self) -> Token:
        name = self.expect("ident")
        if name.text in KEYWORDS:
            self.fail(f"Syntax error: mismatched input '{name.text}' expecting IDENTIFIER", name.pos)
        return name

    def call(self, pos: int, name: str, args: list[Node], target: Node | None) -> Node:
        try:
            expanded = macros.expand(pos, name, target, args)
        except macros.MacroError as bad:
            self.fail(bad.message, bad.pos)
        return expanded or Call(pos, name, args, target)

    def arguments(self, close: str) -> list[Node]:
        if self.accept(close):
            return []
        args = [self.expression()]
        while self.accept(","):
            args.append(self.expression())
        self.expect(close)
        return args

    def primary(self) -> Node:
        token = self.next()
        match token.kind:
            case "(":
                node = self.expression()
                self.expect(")")
                return node
            case "[":
                return self.list(token)
            case "{":
                return self.map(token)
            case "string" | "bytes":
                return Literal(token.pos, token.value)
            case "int" | "uint" | "float":
                return self.number(token)
            case "-" if self.token.kind in ("int", "float"):
                return self.number(token)
            case "ident" | ".":
                return self.name(token)
        self.fail(f"Syntax error: mismatched input '{token.text}' expecting {_START}", token.pos)

    def name(self, token: Token) -> Node:
        leading = "." if token.kind == "." else ""
        name = self.expect("ident") if leading else token
        if name.text in ("true", "false", "null") and not leading:
            return Literal(name.pos, {"true": True, "false": False, "null": None}[name.text])
        if name.text in KEYWORDS:
            self.fail(f"Syntax error: mismatched input '{name.text}' expecting {_START}", name.pos)
        if struct := self.struct(leading + name.text):
            return struct
        if name.text in RESERVED:
            self.fail(f"reserved identifier: {name.text}", name.pos)
        if opened := self.accept("("):
            return self.call(opened.pos, leading + name.text, self.arguments(")"), None)
        return Ident(name.pos, leading + name.text)

    def struct(self, name: str) -> Node | None:
        """`Name.Of.Type{…}`, if that is what comes: a brace behind a dotted name is never anything else."""
        ahead = self.at
        while self.tokens[ahead].kind == "." and self.tokens[ahead + 1].kind == "ident":
            name += "." + self.tokens[ahead + 1].text
            ahead += 2
        if self.tokens[ahead].kind != "{":
            return None
        self.at = ahead
        opened = self.next()
        fields: list[FieldNode] = []
        while not self.accept("}"):
            optional = self.accept("?") is not None
            field = self.field_name()
            colon = self.expect(":")
            fields.append(FieldNode(colon.pos, field.text, self.expression(), optional))
            if not self.accept(","):
                self.expect("}")
                break
        return StructNode(opened.pos, name, fields)

    def list(self, opened: Token) -> Node:
        elements: list[Node] = []
        optional: set[int] = set()
        while not self.accept("]"):
            if self.accept("?"):
                optional.add(len(elements))
            elements.append(self.expression())
            if not self.accept(","):
                self.expect("]")
                break
        return ListNode(opened.pos, elements, frozenset(optional))

    def map(self, opened: Token) -> Node:
        entries: list[Entry] = []
        while not self.accept("}"):
            optional = self.accept("?") is not None
            key = self.expression()
            colon = self.expect(":")
            entries.append(Entry(colon.pos, key, self.expression(), optional))
            if not self.accept(","):
                self.expect("}")
                break
        return MapNode(opened.pos, entries)

    def number(self, token: Token) -> Node:
        sign = "-" if token.kind == "-" else ""
        digits = self.next() if sign else token
        if digits.kind == "float":
            return Literal(token.pos, float(sign + digits.text))
        text = sign + digits.text.rstrip("uU")
        if len(text) > 25:
            self.fail(f"invalid {digits.kind} literal", token.pos)
        value = int(text, 16 if "0x" in text else 10)
        if digits.kind == "uint":
            if value >= 1 << 64:
                self.fail("invalid uint literal", token.pos)
            return Literal(token.pos, UInt(value))
        if not -(1 << 63) <= value < 1 << 63:
            self.fail("invalid int literal", token.pos)
        return Literal(token.pos, value)
