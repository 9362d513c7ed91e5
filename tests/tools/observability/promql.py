"""What an expression of PromQL names, and which parts of it have to be there for it to mean anything."""

import functools
import re

import promql_parser
from promql_parser import MatchOp

COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
SETS = {"and", "or", "unless"}


class Invalid(Exception):
    """It does not parse."""


@functools.cache
def parse(text):
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise Invalid(str(error)) from error


def children(node):
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        child = getattr(node, name, None)
        if child is not None:
            yield child
    yield from getattr(node, "args", ())


def selectors(node):
    """Every selector of series."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for child in children(node):
        yield from selectors(child)


def metric_of(selector):
    return selector.name or next((m.value for m in selector.matchers.matchers if m.name == "__name__"), None)


def metrics(node):
    return {metric_of(selector) for selector in selectors(node)}


def grouped(node):
    """Every label by which something is grouped or matched, with the metrics that should have it."""
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql_parser.AggregateExpr) and modifier:
        for label in modifier.labels:
            yield label, metrics(node.expr)
    elif isinstance(node, promql_parser.BinaryExpr) and modifier:
        for side in (node.lhs, node.rhs):
            for label in modifier.matching.labels if modifier.matching else ():
                yield label, metrics(side)
    for child in children(node):
        yield from grouped(child)


def parts(node):
    """What must not be empty: an alert is empty as long as all is well, what it compares is not."""
    if isinstance(node, promql_parser.ParenExpr):
        yield from parts(node.expr)
    elif isinstance(node, promql_parser.BinaryExpr) and str(node.op) in COMPARISONS | SETS:
        yield from parts(node.lhs)
        yield from parts(node.rhs)
    elif isinstance(node, promql_parser.Call) and node.func.name == "absent":
        yield from parts(node.args[0])
    elif (
        isinstance(node, promql_parser.Call)
        and node.func.name == "label_replace"
        and list(parts(node.args[0])) != [node.args[0]]
    ):
        yield from parts(node.args[0])
    elif not isinstance(node, promql_parser.NumberLiteral):
        yield node


def misnamed(node, known, of_targets):
    """Metrics, labels and values that nobody exports. `known` has the series of each metric, `of_targets` the values of
    the labels that belong to targets: of these a query may name what only others have, as one service may be asked of
    both."""
    for selector in selectors(node):
        metric = metric_of(selector)
        series = known.get(metric)
        if series is None:
            yield f"no metric {metric}"
            continue
        for matcher in selector.matchers.matchers:
            values = of_targets.get(matcher.name) or {one.get(matcher.name, "") for one in series}
            if matcher.name == "__name__":
                continue
            if values == {""}:
                yield f"{metric} has no label {matcher.name}"
            elif matcher.op in (MatchOp.Equal, MatchOp.NotEqual):
                if matcher.value and matcher.value not in values:
                    yield f"{metric} has no {matcher.name}={matcher.value!r}"
            else:
                for one in alternatives(matcher.value):
                    if not any(re.fullmatch(one, value) for value in values):
                        yield f"{metric} has no {matcher.name}=~{one!r}"
    for label, of in grouped(node):
        of &= known.keys()
        if label not in of_targets and of and not any(label in one for metric in of for one in known[metric]):
            yield f"{', '.join(sorted(of))}: no label {label} to group or match by"


def alternatives(pattern):
    """The sides of every `|` that is in no parentheses."""
    found, depth = [""], 0
    for character in pattern.removeprefix("(").removesuffix(")") if re.fullmatch(r"\([^()]*\)", pattern) else pattern:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and not depth:
            found.append("")
        else:
            found[-1] += character
    return found
