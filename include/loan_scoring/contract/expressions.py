"""Parse the expressions of declared features, and check the types of all their parts.

An expression is parsed by Python's `ast`, whose nodes are then translated one by one. Nodes that
the language does not have are refused, and nothing is ever run as Python.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from loan_scoring.contract.language import (
    FUNCTIONS,
    Call,
    Expression,
    Kind,
    Literals,
    Operand,
)

MOST_CHARACTERS = 1000
MOST_NESTED = 50
"""The deepest nesting of an expression. Deeper ones could exhaust the stack of the evaluation."""

ARITHMETIC: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide",
}  # fmt: skip
COMPARISONS: dict[type[ast.AST], str] = {
    ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal",
    ast.Eq: "equal", ast.NotEq: "not_equal",
}  # fmt: skip
WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class ExpressionError(ValueError):
    """An expression is not valid. The message names the position, which counts from 1."""


def parse(text: str, operands: Mapping[str, Operand]) -> Expression:
    """Return the parsed expression, with the type of each part.

    Args:
        text: expression, such as `price / income`.
        operands: the columns that the expression may read, by name.

    Raises:
        ExpressionError: the text is no expression of the language, a name is unknown, or a type
            does not fit.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"has {len(text)} characters; at most {MOST_CHARACTERS} are allowed")
    # Lines are joined, because Python would end the expression at a line end.
    line = re.sub(r"\s", " ", text)
    for match in re.finditer(r"'[^']*'|\"[^\"]*\"|[\\#]", line):
        if match[0] in ("\\", "#"):
            raise ExpressionError(f"position {match.start() + 1}: {match[0]} is not allowed here")
    # `if` is a keyword of Python, so the parser sees the name If, which is as long. Texts in quotes
    # stay as they are.
    line = re.sub(r"'[^']*'|\"[^\"]*\"|\bif\b", lambda m: "If" if m[0] == "if" else m[0], line)
    start = len(line) - len(line.lstrip())
    try:
        tree = ast.parse(line.strip(), mode="eval")
    except SyntaxError as error:
        place = start + (error.offset or len(line.strip()) + 1)  # 0 means the end
        raise ExpressionError(f"position {place}: this is not an expression") from error
    except (MemoryError, RecursionError, ValueError) as error:
        raise ExpressionError("position 1: is nested too deeply or cannot be read") from error
    return _Reader(line.strip(), start, operands).read(tree.body)


@dataclass(frozen=True)
class _Reader:
    """Turn the nodes of Python's syntax tree into expressions, and refuse all other nodes."""

    text: str
    start: int
    operands: Mapping[str, Operand]

    def read(self, node: ast.expr, depth: int = 0) -> Expression:
        if depth > MOST_NESTED:
            raise self._error(node, f"is nested more than {MOST_NESTED} deep")

        def inner(each: ast.expr) -> Expression:
            return self.read(each, depth + 1)

        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            left, right = inner(node.left), inner(node.right)
            self._need(node.left, left, "number")
            self._need(node.right, right, "number")
            return Call(ARITHMETIC[type(node.op)], (left, right), "number")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd | ast.Not):
            return self._unary(node, inner(node.operand))
        if isinstance(node, ast.BoolOp):
            parts = [inner(each) for each in node.values]
            for each, part in zip(node.values, parts, strict=True):
                self._need(each, part, "boolean")
            word = "and" if isinstance(node.op, ast.And) else "or"
            return _chained(word, parts)
        if isinstance(node, ast.Compare):
            return self._comparison(node, inner)
        if isinstance(node, ast.Call):
            return self._call(node, inner)
        raise self._error(node, "only columns, numbers, texts, operators and functions are allowed")

    def _constant(self, node: ast.Constant) -> Literals:
        value = node.value
        if isinstance(value, str):
            return Literals((value,), "text")
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return Literals((number,), "number")
        raise self._error(
            node, f"{str(value)[:40]} is no number or text; write true, false or null"
        )

    def _name(self, node: ast.Name) -> Expression:
        if node.id in self.operands:
            return self.operands[node.id]
        if node.id in WORDS:
            value = WORDS[node.id]
            return Literals((value,), "null" if value is None else "boolean")
        raise self._error(node, f"there is no column '{node.id}' that this expression may read")

    def _unary(self, node: ast.UnaryOp, operand: Expression) -> Expression:
        if isinstance(node.op, ast.Not):
            self._need(node.operand, operand, "boolean")
            return Call("not", (operand,), "boolean")
        self._need(node.operand, operand, "number")
        if isinstance(node.op, ast.UAdd):
            return operand
        if isinstance(operand, Literals) and isinstance(operand.values[0], float):
            return Literals((-operand.values[0],), "number")
        return Call("subtract", (Literals((0.0,), "number"), operand), "number")

    def _comparison(self, node: ast.Compare, inner: Callable[[ast.expr], Expression]) -> Expression:
        if any(type(each) not in COMPARISONS for each in node.ops):
            raise self._error(node, "write level_in(column, ['a', 'b']) instead of in and is")
        nodes = [node.left, *node.comparators]
        sides = [inner(each) for each in nodes]
        parts: list[Expression] = []
        for place, operator in enumerate(node.ops):
            word = COMPARISONS[type(operator)]
            left, right = sides[place], sides[place + 1]
            if "null" in (left.kind, right.kind):
                raise self._error(node, "nothing equals null; write is_null(...)")
            self._need(nodes[place + 1], right, left.kind)
            if left.kind in ("text", "boolean") and word not in ("equal", "not_equal"):
                raise self._error(nodes[place], f"a {left.kind} has no order; compare by == or !=")
            self._refuse_unknown_levels(nodes[place + 1], left, right)
            self._refuse_unknown_levels(nodes[place], right, left)
            parts.append(Call(word, (left, right), "boolean"))
        return _chained("and", parts)

    def _call(self, node: ast.Call, inner: Callable[[ast.expr], Expression]) -> Expression:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        name = "if" if name == "If" else name
        if name not in FUNCTIONS or node.keywords:
            reason = f"there is no function '{name}'" if name else "this cannot be called"
            raise self._error(node, f"{reason}; use one of {', '.join(FUNCTIONS)}")
        signature, given = FUNCTIONS[name], node.args
        wanted = list(signature.parameters)
        if signature.is_repeated:
            wanted += wanted[-1:] * (len(given) - len(wanted))
        if not len(wanted) - signature.optional <= len(given) <= len(wanted):
            needed = len(signature.parameters)
            raise self._error(node, f"{name} takes {needed} arguments, found {len(given)}")
        arguments: list[Expression] = []
        same: Kind = "null"
        for parameter, each in zip(wanted, given, strict=False):
            if parameter == "list":
                arguments.append(self._list(each, arguments[0].kind, is_ascending=name == "bucket"))
                self._refuse_unknown_levels(each, arguments[0], arguments[1])
                continue
            value = inner(each)
            if parameter == "digits":
                self._whole(each, value, least=1 if name == "left" else -15)
            elif parameter == "same":
                if "null" not in (value.kind, same):
                    self._need(each, value, same)
                same = value.kind if same == "null" else same
            elif parameter != "any":
                self._need(each, value, parameter)
            arguments.append(value)
        result = same if signature.result == "same" else signature.result
        if result == "null":
            raise self._error(node, f"{name} needs a value besides null")
        arguments = [
            Literals(each.values, same)
            if isinstance(each, Literals) and each.kind == "null" and signature.result == "same"
            else each
            for each in arguments
        ]
        return Call(name, tuple(arguments), result)  # type: ignore[arg-type]

    def _list(self, node: ast.expr, kind: Kind, *, is_ascending: bool) -> Literals:
        if not isinstance(node, ast.List) or not node.elts:
            raise self._error(node, "a list of constants is needed, such as [18, 25, 65]")
        values = []
        for each in node.elts:
            value = self.read(each)
            if not isinstance(value, Literals) or value.kind != kind or kind == "boolean":
                raise self._error(each, f"the list must hold constants of type {kind}")
            values.append(value.values[0])
        if is_ascending and any(b <= a for a, b in pairwise(values)):  # type: ignore[operator]
            raise self._error(node, "the edges must ascend")
        return Literals(tuple(values), kind)

    def _whole(self, node: ast.expr, value: Expression, least: int) -> None:
        number = value.values[0] if isinstance(value, Literals) else None
        is_whole = isinstance(number, float) and number.is_integer() and least <= number <= 15
        if not is_whole:
            raise self._error(node, f"a whole number from {least} to 15 is needed here")

    def _need(self, node: ast.expr, value: Expression, kind: str) -> None:
        if value.kind != kind:
            found = f"{value.name} is a {value.kind}" if isinstance(value, Operand) else value.kind
            raise self._error(node, f"a {kind} is needed here, found: {found}")

    def _refuse_unknown_levels(self, node: ast.expr, levels: Expression, texts: Expression) -> None:
        """Refuse a constant that a column with declared levels can never equal."""
        if not isinstance(levels, Operand) or levels.levels is None:
            return
        for text in texts.values if isinstance(texts, Literals) else ():
            if isinstance(text, str) and text not in levels.levels:
                raise self._error(node, f"'{text}' is not a level of {levels.name}")

    def _error(self, node: ast.AST, reason: str) -> ExpressionError:
        # ast counts bytes, and people count characters.
        before = self.text.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore")
        return ExpressionError(f"position {self.start + len(before) + 1}: {reason}")


def _chained(word: str, parts: list[Expression]) -> Expression:
    """Join conditions by `and` or `or`, from left to right."""
    found = parts[0]
    for part in parts[1:]:
        found = Call(word, (found, part), "boolean")
    return found
