"""What is wrong with a configuration file, in one line: where, which key, and what is allowed."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

HEADER = re.compile(r"\s*\[{1,2}\s*([\w-]+)\s*\]{1,2}\s*(#.*)?")
KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")

Location = tuple[str | int, ...]
"""Where in the file: table, its number if there may be several, key."""


class ConfigError(ValueError):
    """A rule between values is broken; `key` is the one to change, `where` the table if it is not the one checked."""

    def __init__(self, key: str, message: str, where: Location = ()) -> None:
        super().__init__(message)
        self.location = (*where, key)


def explain(error: ErrorDetails, data: Mapping[str, Any], source: str, models: Mapping[str, type[BaseModel]]) -> str:
    """`line 14: tunnel "to-b": ttl: 300 is ...`; `models` has a table's model by its name."""
    location: Location = error["loc"]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        location = (*location, *cause.location)
    parts = [*place_names(location, data), describe(error, location, models)]
    line = find_line(source, location)
    return ": ".join(parts if line is None else [f"line {line}", *parts])


def place_names(location: Location, data: Mapping[str, Any]) -> list[str]:
    """The table, by its name where it has one, the key, and what of its value."""
    table, rest = str(location[0]), location[1:]
    shown = table
    if rest and isinstance(rest[0], int):
        entry = data[table][rest[0]]
        name = entry.get("name") if isinstance(entry, dict) else None
        shown = f'{table} "{name}"' if isinstance(name, str) else f"{table} number {rest[0] + 1}"
        rest = rest[1:]
    return [shown, *(f"number {part + 1}" if isinstance(part, int) else part for part in rest)]


def model_at(location: Location, models: Mapping[str, type[BaseModel]]) -> type[BaseModel] | None:
    """The model of the table in which the last key stands, also where it is a table in a list in a table."""
    if len(location) < 2:
        return None
    model = models.get(str(location[0]))
    for part in location[1:-1]:
        if model is None or isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inside = (*get_args(annotation), annotation)
        model = next((kind for kind in inside if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return model


def describe(error: ErrorDetails, location: Location, models: Mapping[str, type[BaseModel]]) -> str:
    value = error["input"]
    model = model_at(location, models)
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return unknown_key(str(location[-1]), list(model.model_fields if model else models))
        case "int_type":
            return f"{value!r} is not a whole number"
        case "bool_type":
            return f"{value!r} is neither true nor false"
        case "literal_error":
            return f"{value!r} is none of {error['ctx']['expected'].replace(' or ', ', ')}"
        case "greater_than_equal" | "less_than_equal":
            return f"{value} is not {bounds(model, str(location[-1]))}"
        case "too_short":
            return f"there must be at least one [[{location[0]}]]"
        case "too_long":
            return f"there are {len(value)}; the card has room for {error['ctx']['max_length']}"
        case "list_type" if len(location) > 1:
            return f"{value!r} is no list; there may be several, in [ ]"
        case "list_type":
            return f"there may be several, so it is written [[{location[0]}]]"
        case "model_type" | "dict_type" | "model_attributes_type" if len(location) > 2:
            return f"{value!r} is no table; write {{ ... }}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"must be a table, [{location[0]}]"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return error["msg"]


def unknown_key(key: str, allowed: list[str]) -> str:
    near = get_close_matches(key, allowed, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key; {guess}allowed are {', '.join(allowed)}"


def bounds(model: type[BaseModel] | None, key: str) -> str:
    """The range that a number must be in, from the model's own constraints."""
    limits = model.model_fields[key].metadata if model else []
    least = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    most = next((limit.le for limit in limits if hasattr(limit, "le")), None)
    return f"{least} or more" if most is None else f"{least} to {most}"


def find_line(source: str, location: Location) -> int | None:
    """The line of a key, of one that it stands in, of its table if that is not there, or None if none is found."""
    table = location[0]
    index = location[1] if len(location) > 1 and isinstance(location[1], int) else 0
    keys = [part for part in location[1:] if isinstance(part, str)] or [str(table)]
    seen, inside, found = -1, len(location) == 1, dict[str, int]()  # before the first table is what has no table
    first = None
    for number, line in enumerate(source.splitlines(), 1):
        header = HEADER.fullmatch(line)
        if header:
            seen += header[1] == table
            inside = header[1] == table and seen == index
            if inside and first is None:
                first = number
        elif inside and (match := KEY.match(line)):
            found.setdefault(match[1], number)
    return next((found[key] for key in reversed(keys) if key in found), first)
