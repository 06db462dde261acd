"""Every small change of a source that a mutant is made of.

A site is a node of the syntax tree and what could stand in its place: another comparison, another operator, a number
one larger, the other branch, a statement less. Sites keep their lines, so that a mutant's traceback can be read beside
its source. Docstrings, annotations, decorators, imports and the raising of errors are left alone.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {"max": "min", "maximum": "minimum", "argmax": "argmin", "any": "all", "cumsum": "cumprod", "floor": "ceil"}
NAMES |= {new: old for old, new in NAMES.items()}
LEFT_ALONE = (ast.Raise, ast.Import, ast.ImportFrom, ast.Assert, ast.Global)


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    """Below the root of the repository."""
    place: int
    """Which site of the file it is."""
    owner: str
    """The function or class of the module that it stands in; empty for the module itself."""
    line: int
    before: str
    after: str
    within: str
    """The line of the source."""

    @property
    def name(self) -> str:
        """What it is called in reports; it survives changes elsewhere in the file."""
        return f"{self.file} {self.owner}: {self.before} → {self.after} in: {self.within}"


Change = tuple[ast.AST, Callable[[], ast.AST]]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a source.

    >>> [mutant.name for mutant in mutants_of("a.py", "def f(x):\\n    return x + 1")]
    ['a.py f: x + 1 → x - 1 in: return x + 1', 'a.py f: 1 → 2 in: return x + 1']
    """
    found, lines = [], source.splitlines()
    for place, (owner, node, new) in enumerate(_sites(ast.parse(source))):
        before, after = (_shown(part) for part in (node, new))
        found.append(Mutant(file, place, owner, node.lineno, before, after, lines[node.lineno - 1].strip()))
    return found


def mutated(source: str, place: int) -> ast.Module:
    """Return the tree of a source with one site changed."""
    tree = ast.parse(source)
    _, old, new = next(site for index, site in enumerate(_sites(tree)) if index == place)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list):
                setattr(parent, field, [new if part is old else part for part in value])
    return ast.fix_missing_locations(tree)


def _shown(node: ast.AST) -> str:
    return "(nothing)" if isinstance(node, ast.Pass) else " ".join(ast.unparse(node).split())[:100]


def _sites(tree: ast.Module) -> Iterator[tuple[str, ast.stmt | ast.expr, ast.AST]]:
    for statement in tree.body:
        owner = getattr(statement, "name", "")
        for node in _within(statement):
            for new in _changes(node):
                yield owner, node, ast.copy_location(new, node)


def _within(node: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """Every node that may be changed, in the order of the source."""
    if isinstance(node, LEFT_ALONE):
        return
    if isinstance(node, (ast.stmt, ast.expr)):
        yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield from _within(part)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    new = copy.copy(node)
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new.ops = [COMPARISONS[type(op)]()]
            yield new
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS and not _is_text(node):
            new.op = OPERATORS[type(op)]()
            yield new
            if isinstance(node, ast.AugAssign):
                yield ast.Assign([node.target], node.value)
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield new
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()):
            yield new.operand
        case ast.IfExp() | ast.If() | ast.While():
            new.test = ast.UnaryOp(ast.Not(), new.test)
            yield new
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Attribute(attr=name) if name in NAMES:
            new.attr = NAMES[name]
            yield new
        case ast.Name(id=name) if name in NAMES:
            new.id = NAMES[name]
            yield new
        case ast.Call(func=ast.Attribute(attr="where"), args=[condition, first, second]):
            new.args = [condition, second, first]
            yield new
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _is_text(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.JoinedStr) or isinstance(getattr(part, "value", None), str) for part in ast.walk(node)
    )
