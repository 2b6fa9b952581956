"""Values and conditions: the part of ECMAScript and Python that is also CEL, word by word."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from scxml_chart import ERROR, IN, CannotSay, Differs

TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<string>'[^'\\]*'|"[^"\\]*")|(?P<name>[A-Za-z_]\w*)
    |(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||[-+*%<>!()?:]))""",
    re.VERBOSE,
)
POWER = re.compile(r"\bMath\.pow\((\w+),\s*([1-9])\)")  # of whole numbers: multiplied out
SAME = {"===": "==", "!==": "!="}
WORDS = {
    "True": "true", "False": "false", "true": "true", "false": "false",
    "and": "&&", "or": "||", "not": "!",
}  # fmt: skip
COMPARES = ("==", "!=", "<", ">", "<=", ">=", "&&", "||", "!", "true", "false")
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def translate(text: str, variables: Mapping[str, str]) -> str:
    """Give the same expression in CEL, each variable replaced by what `variables` says."""
    text = POWER.sub(lambda m: f"({' * '.join([m[1]] * int(m[2]))})", text)
    if "++" in text or "--" in text:
        raise CannotSay("assigning inside of an expression")
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if match is None:
            raise _not_ours(text)
        at = match.end()
        found.append(_word(match, text, variables))
    if not found:
        raise Differs(ERROR)
    return " ".join(found)


def condition(text: str, variables: Mapping[str, str]) -> str:
    """Give a condition in CEL; one that is no comparison would need ECMAScript's truthiness."""
    words = translate(text, variables)
    if not any(word in COMPARES for word in words.split()):
        raise CannotSay("a condition that is true or false by the truthiness of a value")
    return words


def literal(text: str) -> object:
    """Give the value that a text writes down; raises `CannotSay` if it must be computed."""
    words = {"true": "True", "false": "False"}
    try:
        value = ast.literal_eval(words.get(text.strip(), text.strip()))
    except (ValueError, SyntaxError) as error:
        raise CannotSay("a variable whose first value is not a literal") from error
    if type(value) not in TYPES:
        raise CannotSay("variables that hold objects or lists of ECMAScript")
    return value


def _word(match: re.Match[str], text: str, variables: Mapping[str, str]) -> str:
    name = match["name"]
    if name is None:
        sign = match["sign"]
        return SAME.get(sign, sign) if sign else (match["number"] or match["string"])
    if name in WORDS:
        return WORDS[name]
    if name == "In":
        raise CannotSay(IN)
    if text[match.end() :].startswith(("(", ".")):
        raise CannotSay("functions and objects of ECMAScript or Python")
    if name not in variables:
        raise Differs(ERROR)
    return variables[name]


def _not_ours(text: str) -> CannotSay | Differs:
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return Differs(ERROR)
    if text.strip() == "return":
        return Differs(ERROR)
    return CannotSay("values of ECMAScript or Python beyond comparing and reckoning")
