"""The unified expression language of Flowable and Camunda (JUEL), translated to ours.

A small part of it: literals, names, fields, comparisons, `and`, `or`, `not`, `empty`,
arithmetic and choice. Calls of beans are not: what they answer is known to Java alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Resolver: TypeAlias = Callable[[str], str]
MOST = 2000
DEEPEST = 30
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w$]*)"
    r"|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]]))"
)
WORDS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "&&",
         "or": "||", "not": "!", "div": "/", "mod": "%"}  # fmt: skip
LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))
GETTERS = ("getVariable", "getVariableLocal")


class Untranslatable(Exception):
    """An expression says what cannot be said here; the text says why."""


@dataclass(frozen=True, slots=True)
class Said:
    """A part that was translated: its text, how tightly it binds, the name that it is."""

    text: str
    level: int = 9
    name: str = ""
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition of one name against one literal: `approved == 'yes'`."""

    name: str
    operator: str
    value: str | float | bool


def is_expression(text: str) -> bool:
    """Whether a text has a part to be evaluated."""
    return "${" in text or "#{" in text


def bare(text: str) -> str:
    """Take `${` and `}` away from around a single expression."""
    found = re.fullmatch(r"\s*[$#]\{(?P<inner>[^{}]*)\}\s*", text, re.DOTALL)
    return found["inner"].strip() if found else text.strip()


def names(text: str) -> set[str]:
    """Give every name that a text or script may read: all words outside of quotes."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", lambda q: q[0] if is_expression(q[0]) else " ", text)
    got = re.findall(r"getVariable(?:Local)?\(\s*['\"](\w+)['\"]", text)
    return {*re.findall(r"(?<![\w.])[^\W\d]\w*", plain), *got}


def translate(text: str, resolve: Resolver) -> str:
    """Give an expression in our language; raises `Untranslatable`."""
    if len(text) > MOST:
        raise Untranslatable("it is too long")
    inner = bare(text)
    if not inner:
        raise Untranslatable("it is empty")
    return _Parser(inner, resolve).whole()


def template(text: str, resolve: Resolver) -> str:
    """Give a text with `{{ }}` in place of `${ }`; raises `Untranslatable`."""
    if not is_expression(text):
        return text
    parts = re.split(r"[$#]\{([^{}]*)\}", text)
    if any(is_expression(part) for part in parts[::2]):
        raise Untranslatable("its braces do not match")
    return "".join(
        f"{{{{ {translate(part, resolve)} }}}}" if number % 2 else part
        for number, part in enumerate(parts)
    )


def comparison(text: str) -> Comparison | None:
    """Give the one comparison that a condition is, or None if it is something else."""
    inner = bare(text)
    sides = "==|!=|<=|>=|<|>|eq|ne|lt|le|gt|ge"
    literal = r"'[^'\\]*'|\"[^\"\\]*\"|-?\d+(?:\.\d+)?|true|false"
    name = r"[^\W\d]\w*"
    if found := re.fullmatch(rf"({name})\s*(?:\b|(?=[=!<>]))\s*({sides})\s*({literal})", inner):
        return Comparison(found[1], WORDS.get(found[2], found[2]), _literal(found[3]))
    if found := re.fullmatch(rf"({literal})\s*({sides})\s*({name})", inner):
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
        operator = WORDS.get(found[2], found[2])
        return Comparison(found[3], turned.get(operator, operator), _literal(found[1]))
    if found := re.fullmatch(rf"(!|not\s+)?\s*({name})", inner):
        return Comparison(found[2], "==", not found[1])
    return None


def _literal(text: str) -> str | float | bool:
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if text[0] in "'\"" else float(text)


class _Parser:
    """Reads from left to right; the text it gives is put into brackets where it must be."""

    def __init__(self, text: str, resolve: Resolver) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0
        self._resolve = resolve

    def whole(self) -> str:
        found = self._choice()
        if self._at < len(self._tokens):
            raise Untranslatable(f"it goes on with {self._tokens[self._at][1]!r}")
        return self._plain(found)

    def _plain(self, said: Said) -> str:
        return self._resolve(said.name) if said.name else said.text

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._at]
        return "" if kind == "text" else WORDS.get(text, text) if kind == "name" else text

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise Untranslatable("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise Untranslatable(f"it lacks {sign!r}")
        self._at += 1

    def _choice(self) -> Said:
        self._deeper()
        found = self._binary(0)
        if self._peek() == "?":
            self._at += 1
            yes = self._choice()
            self._expect(":")
            no = self._choice()
            parts = (self._within(found, 1), self._within(yes, 1), self._within(no, 1))
            found = Said("{} ? {} : {}".format(*parts), -1)
        self._depth -= 1
        return found

    def _within(self, said: Said, level: int) -> str:
        text = self._plain(said)
        return f"({text})" if said.level < level else text

    def _binary(self, level: int) -> Said:
        if level == len(LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek() in LEVELS[level]:
            sign = self._peek()
            self._at += 1
            right = self._binary(level + 1)
            one, two = self._within(left, level), self._within(right, level + 1)
            if sign == "/":  # it is never that of integers there
                left = Said(f"double({self._plain(left)}) / double({self._plain(right)})", level)
            else:
                left = Said(f"{one} {sign} {two}", level)
        return left

    def _unary(self) -> Said:
        sign = self._peek()
        if sign == "empty":
            raise Untranslatable("`empty` asks for null, for nothing and for no text at once")
        if sign not in ("!", "-"):
            return self._postfix()
        self._at += 1
        self._deeper()
        inner = self._unary()
        self._depth -= 1
        return Said(f"{sign}{self._within(inner, 8)}", 7)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Untranslatable("it is nested too deep")

    def _postfix(self) -> Said:
        found = self._primary()
        while (sign := self._peek()) in (".", "[", "("):
            self._at += 1
            if sign == ".":
                kind, field = self._take()
                if kind != "name":
                    raise Untranslatable("a field has no name")
                if self._peek() == "(":
                    found = self._called(found, field)
                else:
                    found = Said(f"{self._plain(found)}.{field}")
            elif sign == "[":
                inner = self._plain(self._choice())
                self._expect("]")
                found = Said(f"{self._plain(found)}[{inner}]")
            else:
                raise Untranslatable(f"it calls {found.name or found.text!r}")
        return found

    def _called(self, found: Said, method: str) -> Said:
        self._at += 1
        if found.name in ("execution", "task") and method in GETTERS:
            kind, text = self._take()
            self._expect(")")
            if kind == "text":
                return Said("", name=_unquoted(text))
        raise Untranslatable(f"it calls the bean's {found.name or found.text}.{method}(…)")

    def _primary(self) -> Said:
        kind, text = self._take()
        if kind == "text":
            return Said(json.dumps(_unquoted(text), ensure_ascii=False), literal=True)
        if kind == "number":
            number = f"0{text}" if text.startswith(".") else text
            return Said(f"{number}0" if number.endswith(".") else number, literal=True)
        if text in ("true", "false", "null"):
            return Said(text, literal=True)
        if kind == "name" and text not in WORDS:
            return Said("", name=text)
        if text == "(":
            inner = self._choice()
            self._expect(")")
            return inner if inner.name else Said(inner.text, inner.level)
        raise Untranslatable(f"it has {text!r} where a value is expected")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Untranslatable(f"it has {text[at:].lstrip()[:1]!r}")
        at = found.end()
        yield found.lastgroup or "", found[found.lastgroup or 0]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
