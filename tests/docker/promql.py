"""Which metrics and labels a PromQL expression names. That it parses at all is for promtool to say."""
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"""
    (?P<space>\s+)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<range>\[[^\]]*\])
  | (?P<number>(?:0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:ms|[smhdwy])?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])
""", re.VERBOSE)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = _LABEL_LISTS | {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass
class Use:
    """What one expression names."""
    selectors: list = field(default_factory=list)  # (metric, [(label, operator, value)])
    grouped: set = field(default_factory=set)      # the labels of by, on and their like


def _tokens(expression):
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if not match:
            raise ValueError(f"cannot read {expression[at:]!r}")
        if match.lastgroup not in ("space", "range", "number"):
            yield match.lastgroup, match.group()
        at = match.end()


def names(expression):
    """What `expression` names. Raises ValueError if it is not made of PromQL's words."""
    use = Use()
    tokens = [*_tokens(expression), ("operator", "")]
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _LABEL_LISTS and following == "(":
            end = tokens.index(("operator", ")"), at)
            use.grouped.update(label for _, label in tokens[at + 2:end] if label != ",")
            at = end
        elif kind == "name" and text.lower() not in _KEYWORDS and following.lower() not in ("(", "by", "without"):
            matchers = []
            if following == "{":
                end = tokens.index(("operator", "}"), at)
                inside = [token for token in tokens[at + 2:end] if token[1] != ","]
                if len(inside) % 3:
                    raise ValueError(f"cannot read the labels of {text} in {expression!r}")
                for label, operator, value in zip(inside[::3], inside[1::3], inside[2::3]):
                    matchers.append((label[1], operator[1], value[1][1:-1]))
                at = end
            use.selectors.append((text, matchers))
        elif text == "{":
            raise ValueError(f"a selector without a metric in {expression!r}")
        at += 1
    return use
