"""Grafana's model of a dashboard: what a dashboard in JSON says that the model does not know, or knows otherwise.

The model is the one that Grafana generates from its schema. It reads whatever it is given and drops what it does not
know; here every value is compared with the type that the model names, and what was dropped is named.
"""

import enum
import functools
import json
import sys
import types
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, units

register_default_plugins()
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("__")}


def problems(given):
    """What is wrong with a dashboard, each problem with its place."""
    try:
        model = dashboard.Dashboard.from_json(given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"cannot be read: {type(error).__name__}: {error}"]
    again = json.loads(JSONEncoder().encode(model))
    return [*mistyped(model, dashboard.Dashboard, "dashboard"), *dropped(given, again, "dashboard")]


def mistyped(value, hint, place):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object):
        if hasattr(value, "to_json"):
            yield from fields(value, place)
    elif origin in (typing.Union, types.UnionType):
        if all(list(mistyped(value, one, place)) for one in arguments):
            best = min((list(mistyped(value, one, place)) for one in arguments if one is not type(None)), key=len)
            yield from best
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{place}: {value!r} is none of {', '.join(map(repr, arguments))}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no list"
        else:
            for number, item in enumerate(value):
                yield from mistyped(item, arguments[0], f"{place}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no object"
        else:
            for key, item in value.items():
                yield from mistyped(item, arguments[1], f"{place}.{key}")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [one.value for one in hint]:
            yield f"{place}: {value!r} is none of {', '.join(repr(one.value) for one in hint)}"
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{place}: {value!r} is no number"
    elif not isinstance(value, hint) or (isinstance(value, bool) and hint is int):
        yield f"{place}: {value!r} is not of the type {hint.__name__}"
    elif hasattr(value, "to_json"):
        yield from fields(value, place)


def fields(model, place):
    for name, hint in hints(type(model)).items():
        value = getattr(model, name)
        if value is not None:
            yield from mistyped(value, hint, f"{place}.{name}")


@functools.cache
def hints(kind):
    return typing.get_type_hints(kind, vars(sys.modules[kind.__module__]))


def dropped(given, again, place):
    if isinstance(given, dict) and isinstance(again, dict):
        for key, value in given.items():
            if key not in again:
                if value is not None:
                    yield f"{place}.{key}: Grafana knows no such key"
            else:
                yield from dropped(value, again[key], f"{place}.{key}")
    elif isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        for number, (one, other) in enumerate(zip(given, again)):
            yield from dropped(one, other, f"{place}[{number}]")
    elif given != again:
        yield f"{place}: {given!r} is read as {again!r}"
