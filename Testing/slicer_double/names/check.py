"""Reads the module's code and finds names of Qt, CTK and MRML widgets that Slicer 5.12 does not have.

Which class an expression has is followed through the whole package: `ui.<name>` by the forms, `qt.QFont(...)`, what
methods return (given.py), local variables, loops over tuples, attributes of the package's own classes, and the
arguments of its functions by all their calls. Of each such object

- an attribute must be in the class's table,
- what is assigned to must be a property, since PythonQt has nothing else,
- a property must not be called: PythonQt finds the property before a method of that name,
- a signal must be connected by a signature of the class,

and a name like setText, of something whose class is not known, is a fault, too: so nothing is passed over.
"""

import ast
import builtins

from . import attributes, known, signals, tables
from .given import ATTRIBUTES, OPTIONAL, OTHERS, RETURNS, SLICER, VARIABLES

PASSES = 8  # until nothing more is learned; a package that needs more is an error
NOTHING = frozenset()


def camel_case_of_qt():
    """Names like setText, which in this package nothing but Qt's objects has, unless it has them itself."""
    found = set().union(*(attributes(kind) for kind in tables()))
    return {name for name in found if name[0].islower() and name != name.lower()}


class Checker:
    """sources: the text of each module of the package by its name. widgets: the class of each widget by its name."""

    def __init__(self, sources, widgets):
        self.trees = {name: ast.parse(text) for name, text in sources.items()}
        self.widgets, self.faults, self.asked = widgets, [], 0
        self.arguments, self.attributes, self.returned = {}, {}, {}
        for (kind, name), given in ATTRIBUTES.items():
            self.attributes[kind, name] = {given}
        self.functions, self.classes, self.names = {}, {}, {}
        for module, tree in self.trees.items():
            self._collect(module, tree)
        self.own = {name for _, name in self.functions} | {name for kind in self.classes.values() for name in kind}
        for _ in range(PASSES):
            before = self._learned()
            self._walk_all()
            if self._learned() == before:
                break
        else:
            raise RuntimeError(f"after {PASSES} passes more is learned with each")

    def check(self):
        """The faults, each "module:line: what"."""
        self.faults, self.asked, self._checks = [], 0, True
        self._walk_all()
        return sorted(set(self.faults))

    _checks = False

    def _collect(self, module, tree):
        self.names[module] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[module, node.name] = node
                self.names[module][node.name] = {f"function {module}.{node.name}"}
            elif isinstance(node, ast.ClassDef):
                bases = [base.attr if isinstance(base, ast.Attribute) else base.id for base in node.bases]
                self.classes[node.name] = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
                self.classes[node.name]["bases"] = bases
                self.names[module][node.name] = {f"class {node.name}"}
            elif isinstance(node, ast.Import):
                for one in node.names:
                    self.names[module][(one.asname or one.name).split(".")[0]] = {f"foreign {one.name.split('.')[0]}"}
            elif isinstance(node, ast.ImportFrom):
                self._import_from(module, node)

    def _import_from(self, module, node):
        for one in node.names:
            name = one.asname or one.name
            if node.level and node.module is None:
                self.names[module][name] = {f"module {one.name}"}
            elif node.level:
                self.names[module][name] = {f"from {node.module}.{one.name}"}
            else:
                self.names[module][name] = {f"foreign {node.module}.{one.name}"}

    def _learned(self):
        parts = (self.arguments, self.attributes, self.returned)
        return sum(len(kinds) for part in parts for kinds in part.values())

    def _walk_all(self):
        for module, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.FunctionDef):
                    _Function(self, module, None, node).walk()
                elif isinstance(node, ast.ClassDef):
                    for one in node.body:
                        if isinstance(one, ast.FunctionDef):
                            _Function(self, module, node.name, one).walk()

    def method(self, kind, name):
        """The class of the package that defines a method, which `kind` has by inheritance; None without one."""
        while kind in self.classes:
            if name in self.classes[kind]:
                return kind
            kind = next((base for base in self.classes[kind]["bases"] if base in self.classes), None)
        return None


class _Function:
    """One function of the package, with the classes of its variables."""

    def __init__(self, checker, module, kind, node):
        self.checker, self.module, self.kind, self.node = checker, module, kind, node
        self.variables = {}
        key = f"{kind}.{node.name}" if kind else f"{module}.{node.name}"
        self.key, names = key, [one.arg for one in (*node.args.args, *node.args.kwonlyargs)]
        for name in names:
            self.variables[name] = set(checker.arguments.get((key, name), ()))
        if kind and names:
            self.variables[names[0]] = {f"own {kind}"}
        for (in_module, function, name), given in VARIABLES.items():
            if (in_module, function) == (module, node.name):
                self.variables[name] = {given}

    def walk(self):
        for statement in self.node.body:
            self._visit(statement)

    def _visit(self, node):
        if isinstance(node, ast.Assign):
            kinds = self._kinds(node.value)
            for target in node.targets:
                self._bind(target, kinds, node.value)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._bind(node.target, *self._elements(node.iter))
        elif isinstance(node, ast.Return) and node.value is not None:
            self._learn(self.checker.returned, self.key, self._kinds(node.value))
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)):
            for one in node.generators:  # before what is made of them
                self._visit(one)
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                name = one.asname or one.name
                own = node.level and node.module
                kinds = {f"from {node.module}.{one.name}"} if own else {f"foreign {node.module}.{one.name}"}
                self.variables[name] = {f"module {one.name}"} if node.level and not node.module else kinds
        elif isinstance(node, ast.Import):
            for one in node.names:
                self.variables[(one.asname or one.name).split(".")[0]] = {f"foreign {one.name.split('.')[0]}"}
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Attribute):
            self._check(node)
        for child in ast.iter_child_nodes(node):
            self._visit(child)

    def _learn(self, table, key, kinds):
        kinds = {kind for kind in kinds if kind in tables() or kind.startswith(("own ", "ui", "each ", "Q"))}
        if kinds:
            table.setdefault(key, set()).update(kinds)

    def _bind(self, target, kinds, value=None):
        if isinstance(target, ast.Name):
            if (self.module, self.node.name, target.id) not in VARIABLES:
                self.variables[target.id] = self.variables.get(target.id, set()) | set(kinds)
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [None] * len(target.elts)
            if len(parts) != len(target.elts):
                parts = [None] * len(target.elts)
            for one, part in zip(target.elts, parts, strict=True):
                self._bind(one, self._kinds(part) if part is not None else NOTHING, part)
        elif isinstance(target, ast.Attribute):
            for owner in self._kinds(target.value):
                if owner.startswith("own "):
                    self._learn(self.checker.attributes, (owner[4:], target.attr), kinds)
                elif (
                    owner in tables()
                    and self.checker._checks
                    and target.attr not in known(owner)["properties"] | {"name"}
                ):
                    self._fault(target, f"{owner} has no property {target.attr} to set")

    def _elements(self, node):
        """What a loop over an expression gives: the classes, and no expression."""
        if isinstance(node, (ast.Tuple, ast.List)):
            return set().union(*(self._kinds(one) for one in node.elts)), None
        if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            for one in node.generators:
                self._visit(one)
            return self._kinds(node.elt), None
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("filter", "reversed", "sorted", "list"):
            return self._elements(node.args[-1])
        if isinstance(node, (ast.Name, ast.Attribute)):
            return {kind.removeprefix("each ") for kind in self._kinds(node)}, None
        return NOTHING, None

    def _kinds(self, node):
        """The classes that an expression may have; empty where none is known."""
        if isinstance(node, ast.Name):
            if node.id == "ui":  # whatever it was taken from
                return {"ui"}
            if node.id in self.variables:
                return self.variables[node.id]
            return self.checker.names[self.module].get(node.id, {"builtin"} if hasattr(builtins, node.id) else NOTHING)
        if isinstance(node, (ast.IfExp, ast.BoolOp)):
            parts = node.values if isinstance(node, ast.BoolOp) else (node.body, node.orelse)
            return set().union(*(self._kinds(part) for part in parts))
        if isinstance(node, (ast.Tuple, ast.List)):
            return set().union(*(self._kinds(part) for part in node.elts))
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.Dict, ast.BinOp, ast.Compare)):
            return {"builtin"}
        written = ast.unparse(node.func) + "()" if isinstance(node, ast.Call) else ast.unparse(node)
        if written in SLICER:
            return {SLICER[written]}
        if isinstance(node, ast.Attribute):
            return set().union(
                *(self._attribute(owner, node.attr) for owner in self._kinds(node.value)), self._ui(node)
            )
        if isinstance(node, ast.Call):
            return set().union(*(self._result(kind) for kind in self._kinds(node.func)))
        return NOTHING

    def _ui(self, node):
        return {"ui"} if node.attr == "ui" else NOTHING

    def _attribute(self, owner, name):
        if owner == "ui":
            return {self.checker.widgets[name]} if name in self.checker.widgets else NOTHING
        if owner == "foreign qt":
            return {f"class {name}"}
        if owner.startswith("foreign"):
            return {f"{owner}.{name}"}
        if owner.startswith("module "):
            return self.checker.names.get(owner[7:], {}).get(name, NOTHING)
        if owner.startswith("own "):
            kind = owner[4:]
            found = set()
            while kind in self.checker.classes:
                found |= self.checker.attributes.get((kind, name), set())
                kind = next(
                    (base for base in self.checker.classes[kind]["bases"] if base in self.checker.classes), None
                )
            defined = self.checker.method(owner[4:], name)
            return found | ({f"method {defined}.{name}"} if defined else NOTHING)
        kind = owner
        while kind in tables():
            if (kind, name) in RETURNS:
                method = name not in known(owner)["properties"]
                return {f"gives {RETURNS[kind, name]}"} if method else {RETURNS[kind, name]}
            kind = tables()[kind]["base"]
        return {"value"} if owner in tables() else NOTHING

    def _result(self, kind):
        """What a call of something gives."""
        word, _, rest = kind.partition(" ")
        if word == "from":
            module, _, name = rest.rpartition(".")
            return set().union(*(self._result(one) for one in self.checker.names.get(module, {}).get(name, NOTHING)))
        if word == "class":
            return {f"own {rest}"} if rest in self.checker.classes else {rest} if rest in tables() else {"value"}
        if word in ("function", "method"):
            return self.checker.returned.get(rest, NOTHING)
        if word == "gives":
            return {rest}
        return {"value"} if word in ("foreign", "builtin", "value") else NOTHING

    def _call(self, node):
        for kind in list(self._kinds(node.func)):
            self._pass_on(kind, node)
        if not isinstance(node.func, ast.Attribute):
            return
        if node.func.attr == "append" and isinstance(node.func.value, ast.Attribute):
            self._bind(node.func.value, {f"each {kind}" for kind in self._kinds(node.args[0]) if kind in tables()})
        if not self.checker._checks:
            return
        for owner in self._kinds(node.func.value):
            if owner not in tables():
                continue
            if node.func.attr == "connect":
                if node.args[0].value not in signals(owner):
                    self._fault(node, f"{owner} has no signal {node.args[0].value}")
            elif node.func.attr in known(owner)["properties"]:
                self._fault(node, f"{owner}.{node.func.attr} is a property, which is not called")

    def _pass_on(self, kind, node):
        """Let a function of the package know the classes of the arguments of one of its calls."""
        word, _, rest = kind.partition(" ")
        if word == "from":
            module, _, name = rest.rpartition(".")
            for one in self.checker.names.get(module, {}).get(name, NOTHING):
                self._pass_on(one, node)
            return
        if word == "class" and rest in self.checker.classes:
            owner = self.checker.method(rest, "__init__")
            function, skip, key = self.checker.classes.get(owner, {}).get("__init__"), 1, f"{owner}.__init__"
        elif word == "method":
            owner, name = rest.split(".")
            function, skip, key = self.checker.classes[owner][name], 1, rest
        elif word == "function":
            function, skip, key = self.checker.functions[tuple(rest.split("."))], 0, rest
        else:
            return
        if function is None:
            return
        names = [one.arg for one in function.args.args][skip:]
        given = [*zip(names, node.args, strict=False), *((one.arg, one.value) for one in node.keywords)]
        for name, value in given:
            self._learn(self.checker.arguments, (key, name), self._kinds(value))

    def _check(self, node):
        if not self.checker._checks:
            return
        owners = self._kinds(node.value)
        for owner in owners:
            if owner == "ui" and node.attr not in self.checker.widgets:
                self._fault(node, f"no form has a widget {node.attr}")
            names = attributes(owner) if owner in tables() else OTHERS.get(owner)
            if owner.startswith("class Q") and owner[6:] in tables():
                owner, names = owner[6:], attributes(owner[6:]) | {"__init__"}
            if names is not None:
                self.checker.asked += 1
                if node.attr not in names and (owner, node.attr) not in OPTIONAL:
                    self._fault(node, f"{owner} has no {node.attr}")
        if not owners and node.attr in CAMEL_CASE and node.attr not in self.checker.own:
            self._fault(node, f"{ast.unparse(node.value)}, asked for {node.attr}, is of a class that is not known")

    def _fault(self, node, what):
        self.checker.faults.append(f"{self.module}:{node.lineno}: {what}")


CAMEL_CASE = camel_case_of_qt()
