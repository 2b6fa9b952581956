"""What can be wrong with an expression, before and while it is evaluated."""

from __future__ import annotations

from waystage.errors import ExpressionError


class BadExpression(ExpressionError):
    """An expression cannot be read."""

    code = "E-EXPRESSION-SYNTAX"

    def __init__(self, text: str, column: int, message: str, suggestion: str = "") -> None:
        self.text, self.column, self.message, self.suggestion = text, column, message, suggestion
        shown = text if len(text) <= 100 else f"{text[:97]}…"
        hint = f"; {suggestion}" if suggestion else ""
        super().__init__(f"{shown}: at {column}: {message}{hint}")


class Failed(ExpressionError):
    """An operation on these values has no answer."""

    code = "E-EXPRESSION-FAILED"
