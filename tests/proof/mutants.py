"""Small faults that could stand in safety/: each is one edit of one node of the shipped source.

A mutant inside a function is put in force by giving the function the mutated code (`__code__`), so that it is reached
through every table that holds the function. What runs when a module is imported (constants, defaults, class bodies,
tables) is put in force by importing the package anew with the mutated source of that module.

Nothing is mutated that no test should pin: docstrings, annotations, the words of an exception, the prose of the
tables (texts with blanks outside functions, and the register of hazards), and what only makes a class or a loop
stricter without a trace in any result (`slots`, `kw_only`, `strict`).
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
UNUSED: Final = {"__slots__"}
STRICTER: Final = {"slots", "kw_only", "strict"}
PROSE: Final = {"safety/rules/hazards.py"}

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "reversed": "list"}


class Mutant(NamedTuple):
    """One fault: where it stands, what it changes, and how to put it there."""

    key: str
    """Module, function and edit in words: the same as long as the code there is the same."""
    path: str
    """Of the module, from the root of the repository."""
    function: str
    """Qualified name of the outermost function; empty for what runs at import."""
    family: str
    first: int
    last: int
    """The lines that hold the edited node."""
    edit: int
    """Number of the edit in its module."""


class Edit(NamedTuple):
    """A node to be put in the place of another."""

    family: str
    owner: ast.AST
    slot: str
    index: int | None
    old: ast.AST
    new: ast.AST
    function: str
    at_import: bool


class Room(NamedTuple):
    """Where the walk stands."""

    function: str = ""
    classes: tuple[str, ...] = ()
    at_import: bool = True
    bound: frozenset[str] = frozenset()


def modules(root: Path = ROOT) -> list[str]:
    """Every module of safety/ that holds more than prose, as a path from the root."""
    return sorted({path.relative_to(root).as_posix() for path in (root / "safety").rglob("*.py")} - PROSE)


def dotted(path: str) -> str:
    """The name by which a module is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def enums(trees: list[ast.Module]) -> dict[str, list[str]]:
    """Members of each enumeration, by its name."""
    found = {}
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Enum") for base in node.bases):
            found[node.name] = [
                target.id
                for each in node.body
                if isinstance(each, ast.Assign)
                for target in each.targets
                if isinstance(target, ast.Name)
            ]
    return found


class Generator:
    """Walks one module and gives its edits, always in the same order."""

    def __init__(self, tree: ast.Module, members: dict[str, list[str]]) -> None:
        self.tree = tree
        self.members = members

    def edits(self) -> Iterator[Edit]:
        """Every edit of the module."""
        yield from self._fields(self.tree, Room())

    def _fields(self, node: ast.AST, room: Room) -> Iterator[Edit]:
        for slot, value in ast.iter_fields(node):
            if slot in {"annotation", "returns", "type_params", "type_comment"}:
                continue
            if isinstance(value, ast.AST):
                yield from self._node(value, node, slot, None, room)
            elif isinstance(value, list):
                for index, each in enumerate(value):
                    if isinstance(each, ast.AST):
                        yield from self._node(each, node, slot, index, room)

    def _node(self, node: ast.AST, owner: ast.AST, slot: str, index: int | None, room: Room) -> Iterator[Edit]:
        if skipped(node):
            return
        for family, new in self._replacements(node, owner, slot, room):
            yield Edit(family, owner, slot, index, node, new, room.function, room.at_import)
        if isinstance(node, ast.ClassDef):
            yield from self._fields(node, room._replace(classes=(*room.classes, node.name)))
        elif isinstance(node, ast.FunctionDef) and not room.function:
            yield from self._function(node, room)
        elif not (isinstance(node, ast.JoinedStr | ast.Raise) or typing_only(node)):
            yield from self._fields(node, room)

    def _function(self, node: ast.FunctionDef, room: Room) -> Iterator[Edit]:
        """Defaults and decorators run at import; the body under the function's name."""
        name = ".".join((*room.classes, node.name))
        yield from self._fields(node.args, room)
        for index, each in enumerate(node.decorator_list):
            yield from self._node(each, node, "decorator_list", index, room)
        stored = Counter(
            each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        )
        again = {each for each, times in stored.items() if times > 1} | {each.arg for each in node.args.args}
        inside = Room(name, room.classes, at_import=False, bound=frozenset(again))
        for index, statement in enumerate(node.body):
            yield from self._node(statement, node, "body", index, inside)

    def _replacements(self, node: ast.AST, owner: ast.AST, slot: str, room: Room) -> Iterator[tuple[str, ast.AST]]:
        """What may stand in a node's place, with the family of the fault."""
        yield from conditions(node, owner, slot)
        yield from operators(node)
        yield from self._values(node, room)
        yield from calls(node)
        yield from statements(node, owner, room)
        yield from displays(node, owner, room)

    def _values(self, node: ast.AST, room: Room) -> Iterator[tuple[str, ast.AST]]:
        match node:
            case ast.Constant(value=bool() as value):
                yield "constant", ast.Constant(not value)
            case ast.Constant(value=int() as value):
                yield "constant", ast.Constant(value + 1)
                yield "constant", ast.Constant(value - 1)
            case ast.Constant(value=str() as value) if not (room.at_import and " " in value):
                yield "word", ast.Constant(f"~{value}")
            case ast.Attribute(value=ast.Name(id=name), attr=member) if member in self.members.get(name, ()):
                others = self.members[name]
                following = others[(others.index(member) + 1) % len(others)]
                yield "member", ast.Attribute(ast.Name(name, ast.Load()), following, ast.Load())
            case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant)):
                yield "return", ast.Return(ast.Constant(None))


def skipped(node: ast.AST) -> bool:
    """Tell whether a node holds nothing that runs: docstrings, imports, slots."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"))))):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in UNUSED
        case ast.keyword(arg=name):
            return name in STRICTER
    return False


def typing_only(node: ast.AST) -> bool:
    """Tell whether a node says a type and nothing else."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"cast", "TypeVar"}


def conditions(node: ast.AST, owner: ast.AST, slot: str) -> Iterator[tuple[str, ast.AST]]:
    """What is asked by an `if` is always, or never, so."""
    if slot == "test" and isinstance(owner, ast.If | ast.IfExp):
        yield "condition", ast.Constant(True)
        yield "condition", ast.Constant(False)
    elif slot == "test" and isinstance(owner, ast.While):
        yield "condition", ast.Constant(False)
    elif slot == "ifs" and not isinstance(node, ast.NamedExpr):
        bound = [each for each in ast.walk(node) if isinstance(each, ast.NamedExpr)]
        yield (
            "condition",
            ast.BoolOp(ast.Or(), [copy.deepcopy(node), ast.Constant(True)]) if bound else ast.Constant(True),
        )


def operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Another comparison, another arithmetic, another connective; an operand gone."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for index, op in enumerate(ops):
                for number, other in enumerate(COMPARISONS[type(op)]):
                    family = "boundary" if number == 0 and len(COMPARISONS[type(op)]) == 2 else "comparison"
                    yield family, ast.Compare(left, [*ops[:index], other(), *ops[index + 1 :]], others)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            yield "arithmetic", ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in ARITHMETIC:
            yield "arithmetic", ast.AugAssign(target, ARITHMETIC[type(op)](), value)
        case ast.BoolOp(op=op, values=values):
            yield "connective", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield "operand", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "negation", operand


def calls(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The other extreme, the other rounding, a figure or a change left out."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in CALLS:
            kept = keywords if CALLS[name] != "list" else []
            yield "extreme", ast.Call(ast.Name(CALLS[name], ast.Load()), args, kept)
        case ast.Call(func=ast.Name(id="ceil_div"), args=[dividend, divisor]):
            yield "rounding", ast.BinOp(dividend, ast.FloorDiv(), divisor)
        case ast.Call(func=ast.Name(id="abs"), args=[value]):
            yield "extreme", value
        case ast.Call(func=ast.Name(id="Reason") as func, args=args, keywords=keywords):
            for index in range(3, len(args)):
                if not isinstance(args[index], ast.Constant):
                    yield "figure", ast.Call(func, [*args[:index], ast.Constant(0), *args[index + 1 :]], keywords)
        case ast.Call(func=ast.Attribute(attr="_replace") as func, args=args, keywords=keywords) if len(keywords) > 1:
            for index in range(len(keywords)):
                yield "left out", ast.Call(func, args, [*keywords[:index], *keywords[index + 1 :]])


def statements(node: ast.AST, owner: ast.AST, room: Room) -> Iterator[tuple[str, ast.AST]]:
    """A statement gone; not where a condition that is never so would do the same."""
    if isinstance(owner, ast.If) and owner.body == [node] and not owner.orelse:
        return
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Raise():
            yield "deletion", ast.Pass()
        case ast.Return() if isinstance(owner, ast.If) and room.function:
            yield "deletion", ast.Pass()
        case ast.Assign(targets=[ast.Attribute()]):
            yield "deletion", ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)]) if name in room.bound:
            yield "deletion", ast.Pass()


def displays(node: ast.AST, owner: ast.AST, room: Room) -> Iterator[tuple[str, ast.AST]]:
    """An entry of a table gone, or at another place."""
    match node:
        case ast.Tuple(elts=entries, ctx=ast.Load()) | ast.List(elts=entries, ctx=ast.Load()) | ast.Set(elts=entries):
            rows = isinstance(owner, ast.For | ast.comprehension | ast.Compare)
            if len(entries) > 1 and (rows or room.at_import) and not subscript(owner):
                for index in range(len(entries)):
                    yield "entry", type(node)(**_fields_of(node, [*entries[:index], *entries[index + 1 :]]))
            if room.at_import and not isinstance(node, ast.Set) and all(isinstance(each, ast.Name) for each in entries):
                for index in range(len(entries) - 1):
                    if ast.dump(entries[index]) == ast.dump(entries[index + 1]):
                        continue
                    swapped = [*entries[:index], entries[index + 1], entries[index], *entries[index + 2 :]]
                    yield "order", type(node)(**_fields_of(node, swapped))
        case ast.Dict(keys=keys, values=values) if room.at_import and len(keys) > 1:
            for index in range(len(keys)):
                yield "entry", ast.Dict([*keys[:index], *keys[index + 1 :]], [*values[:index], *values[index + 1 :]])


def subscript(owner: ast.AST) -> bool:
    """Tell whether the display stands in a subscript, where at import it is a type."""
    return isinstance(owner, ast.Subscript)


def _fields_of(node: ast.Tuple | ast.List | ast.Set, entries: list[ast.expr]) -> dict[str, object]:
    return {"elts": entries} if isinstance(node, ast.Set) else {"elts": entries, "ctx": ast.Load()}


class Module:
    """One parsed module, its edits, and the mutants made of them."""

    def __init__(self, path: str, source: str, members: dict[str, list[str]]) -> None:
        self.path = path
        self.tree = ast.parse(source, path)
        self.edits = list(Generator(self.tree, members).edits())
        self.called_at_import = called_at_import(self.tree)

    def mutants(self) -> list[Mutant]:
        """Give each edit that changes the compiled code a key of its own."""
        seen: Counter[str] = Counter()
        found = []
        for number, edit in enumerate(self.edits):
            before, after = wording(edit)
            words = f"{self.path} {edit.function or '(import)'}: {before} => {after}"
            seen[words] += 1
            key = words if seen[words] == 1 else f"{words} #{seen[words]}"
            first, last = edit.old.lineno, edit.old.end_lineno or edit.old.lineno  # type: ignore[attr-defined]
            if isinstance(edit.old, ast.Return | ast.Expr | ast.Assign | ast.AugAssign):
                last = first
            name = "" if edit.at_import or edit.function in self.called_at_import else edit.function
            found.append(Mutant(key, self.path, name, edit.family, first, last, number))
        return found

    def compiled(self, number: int | None = None) -> CodeType:
        """Compile the module with one edit in it; the tree is left as it was."""
        if number is None:
            return compile(self.tree, self.path, "exec", dont_inherit=True)
        edit = self.edits[number]
        put(edit, ast.fix_missing_locations(ast.copy_location(edit.new, edit.old)))
        try:
            return compile(self.tree, self.path, "exec", dont_inherit=True)
        finally:
            put(edit, edit.old)


def called_at_import(tree: ast.Module) -> set[str]:
    """Functions that have done their work when the module is there: to swap their code changes nothing."""

    def outside(node: ast.AST) -> Iterator[ast.AST]:
        for each in ast.iter_child_nodes(node):
            if not isinstance(each, ast.FunctionDef | ast.Lambda):
                yield each
                yield from outside(each)

    return {each.func.id for each in outside(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}


def put(edit: Edit, node: ast.AST) -> None:
    """Let a node stand at the place of an edit."""
    if edit.index is None:
        setattr(edit.owner, edit.slot, node)
    else:
        getattr(edit.owner, edit.slot)[edit.index] = node


def wording(edit: Edit, longest: int = 100) -> tuple[str, str]:
    """What stood there and what stands there now, in one line each."""
    words = [" ".join(ast.unparse(node).split()) for node in (edit.old, edit.new)]
    if edit.family in {"constant", "member", "word"}:
        around = " ".join(ast.unparse(edit.owner).split())
        words[0] = f"{words[0]} in {around}"
    if edit.family == "left out":
        kept = {ast.dump(each) for each in edit.new.keywords}  # type: ignore[attr-defined]
        gone = [each.arg for each in edit.old.keywords if ast.dump(each) not in kept]  # type: ignore[attr-defined]
        words[1] = f"without {gone[0] if gone else 'one of two alike'}"
    if edit.family == "entry":
        kept = {ast.dump(each) for each in ast.iter_child_nodes(edit.new)}
        lost = [each for each in ast.iter_child_nodes(edit.old) if ast.dump(each) not in kept]
        words[1] = "without " + (" ".join(ast.unparse(lost[0]).split()) if lost else "one of two alike")
    if edit.family == "order":
        old, new = (list(ast.iter_child_nodes(node)) for node in (edit.old, edit.new))
        words[1] = next(
            f"{ast.unparse(was)} after its neighbour"
            for was, now in zip(old, new, strict=True)
            if ast.dump(was) != ast.dump(now)
        )
    first, second = (text if len(text) <= longest else f"{text[: longest - 3]}..." for text in words)
    return first, second


def load(root: Path = ROOT) -> dict[str, Module]:
    """Parse all of safety/."""
    sources = {path: (root / path).read_text(encoding="utf-8") for path in modules(root)}
    members = enums([ast.parse(source) for source in sources.values()])
    return {path: Module(path, source, members) for path, source in sources.items()}


def function_of(mutant: Mutant) -> FunctionType | None:
    """Find the living function of a mutant; None where it stands behind something that hides it."""
    found: object = importlib.import_module(dotted(mutant.path))
    for name in mutant.function.split("."):
        found = inspect.getattr_static(found, name, None)
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    return found if isinstance(found, FunctionType) else None


def code_of(compiled: CodeType, qualname: str) -> CodeType | None:
    """Find a function's code in the compiled module."""
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == qualname and constant.co_flags & inspect.CO_OPTIMIZED:
                return constant
            if found := code_of(constant, qualname):
                return found
    return None


Swap = Callable[[], None]


def swap(module: Module, mutant: Mutant) -> Swap:
    """Make ready to put a function's mutated code in force."""
    function = function_of(mutant)
    code = code_of(module.compiled(mutant.edit), mutant.function)
    if function is None or code is None or len(code.co_freevars) != len(function.__code__.co_freevars):
        raise LookupError(f"no function to swap for {mutant.key}")
    return lambda: setattr(function, "__code__", code)
