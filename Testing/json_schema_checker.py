"""A small, strict checker of JSON Schema (draft 2020-12), so that the tests need no package for it.

It knows the keywords that `findings.schema.json` uses and raises ValueError for any other, so that nothing is passed
over. Where `jsonschema` is installed the tests ask that, too.
"""

import re

ANNOTATIONS = {"$schema", "$id", "title", "description", "$defs"}
TYPES = {
    "object": dict, "array": list, "string": str, "null": type(None), "boolean": bool, "number": (int, float),
    "integer": int,
}  # fmt: skip


def faults(value, schema, root=None, where="$"):
    """What keeps the value from fulfilling the schema, each with its place; empty when nothing does."""
    root = schema if root is None else root
    found = []
    for keyword, rule in schema.items():
        if keyword not in ANNOTATIONS and keyword not in ("then", "else"):
            found += _KEYWORDS.get(keyword, _unknown(keyword))(value, rule, schema, root, where)
    return found


def _unknown(keyword):
    def refuse(*_):
        raise ValueError(f"the checker does not know {keyword!r}")

    return refuse


def _is(value, kind):
    if isinstance(value, bool) and kind in ("number", "integer"):
        return False
    return isinstance(value, TYPES[kind])


def _type(value, rule, schema, root, where):
    kinds = [rule] if isinstance(rule, str) else rule
    return [] if any(_is(value, kind) for kind in kinds) else [f"{where}: {value!r} is no {' or '.join(kinds)}"]


def _properties(value, rule, schema, root, where):
    there = [key for key in rule if isinstance(value, dict) and key in value]
    return [fault for key in there for fault in faults(value[key], rule[key], root, f"{where}.{key}")]


def _additional(value, rule, schema, root, where):
    others = set(value) - set(schema.get("properties", {})) if isinstance(value, dict) else ()
    return [fault for key in others for fault in faults(value[key], rule, root, f"{where}.{key}")]


def _items(value, rule, schema, root, where):
    listed = enumerate(value) if isinstance(value, list) else ()
    return [fault for n, one in listed for fault in faults(one, rule, root, f"{where}[{n}]")]


def _if(value, rule, schema, root, where):
    branch = "else" if faults(value, rule, root, where) else "then"
    return faults(value, schema.get(branch, {}), root, where)


def _simple(kind, wrong):
    def check(value, rule, schema, root, where):
        return [f"{where}: {value!r} against {rule!r}"] if _is(value, kind) and wrong(value, rule) else []

    return check


_KEYWORDS = {
    "type": _type, "properties": _properties, "additionalProperties": _additional, "items": _items, "if": _if,
    "$ref": lambda v, rule, s, root, w: faults(v, root["$defs"][rule.removeprefix("#/$defs/")], root, w),
    "allOf": lambda v, rule, s, root, w: [fault for one in rule for fault in faults(v, one, root, w)],
    "anyOf": lambda v, rule, s, root, w: [] if any(not faults(v, one, root, w) for one in rule) else [f"{w}: {v!r}"],
    "enum": lambda v, rule, s, root, w: [] if v in rule else [f"{w}: {v!r} is none of {rule}"],
    "const": lambda v, rule, s, root, w: [] if v == rule else [f"{w}: {v!r} is not {rule!r}"],
    "required": _simple("object", lambda v, rule: not set(rule) <= set(v)),
    "minItems": _simple("array", lambda v, rule: len(v) < rule),
    "maxItems": _simple("array", lambda v, rule: len(v) > rule),
    "minLength": _simple("string", lambda v, rule: len(v) < rule),
    "pattern": _simple("string", lambda v, rule: not re.search(rule, v)),
    "minimum": _simple("number", lambda v, rule: v < rule),
    "maximum": _simple("number", lambda v, rule: v > rule),
}  # fmt: skip
