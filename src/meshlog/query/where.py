"""Conditions as people type them: ``status = BROKEN and depth_m > 30``, read and bound."""

from __future__ import annotations

import re
from typing import NamedTuple

from meshlog.errors import InputError
from meshlog.query.projection import kind_and_value

WHERE_SIZE_MAX = 4_096
"""Characters of one condition: a choice."""

DEPTH_MAX = 32
"""Nested parentheses."""

ONE_OF_MAX = 256
"""Values behind ``in``: SQLite takes expressions at most 1,000 deep, and each value is a level."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<op><=|>=|!=|<>|=|<|>|~|\(|\)|,)
      | '(?P<single>(?:[^']|'')*)'
      | "(?P<double>(?:[^"]|"")*)"
      | (?P<word>[^\s<>=!~(),'"]+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(\d+|\d*\.\d+|\d+\.)([eE][+-]?\d+)?")
_COMPARISONS = {"=": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_WORDS = ("and", "or", "not", "in", "is", "missing", "there")


class Token(NamedTuple):
    """A piece of a condition."""

    text: str
    is_quoted: bool


class Condition(NamedTuple):
    """What SQLite is asked: a condition on ``record.record``, and the values bound in it."""

    sql: str
    values: tuple[object, ...]
    fields: tuple[str, ...] = ()
    """That it names, as far as a whole text was read."""


def read_where(text: str) -> Condition:
    """Return the condition that a text states.

    ``FIELD OP VALUE`` with =, !=, <, <=, >, >= and ~ (contains, whatever the case); ``FIELD in (A,
    B)``; ``FIELD is missing``, ``FIELD is there``; joined by and, or, not and parentheses. Names
    and values with spaces are quoted. A value that is a number, true or false is one unless it
    is quoted. Numbers compare with numbers, texts with texts, true with true; of
    two kinds nothing holds but !=.

    Raises:
        InputError: It is none; the message says where.

    Example:
        >>> read_where("depth_m > 30").values
        ('depth_m', 'number', 30)
    """
    if len(text) > WHERE_SIZE_MAX:
        raise InputError(f"a condition has at most {WHERE_SIZE_MAX} characters")
    reader = _Reader(_tokens(text))
    condition = reader.either(0)
    if reader.left is not None:
        raise reader.wrong("its end, `and` or `or`")
    return condition._replace(fields=tuple(dict.fromkeys(reader.fields)))


def value_of(token: Token) -> object:
    """Return the value that a token means."""
    if not token.is_quoted:
        if token.text in ("true", "false"):
            return token.text == "true"
        if _NUMBER.fullmatch(token.text):
            try:
                whole = int(token.text)
            except ValueError:
                return float(token.text)
            return whole if -(2**63) <= whole < 2**63 else float(token.text)
    return token.text


def _tokens(text: str) -> list[Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise InputError(f"this condition cannot be read from {text[at : at + 20]!r} on")
        quoted = match["single"] if match["single"] is not None else match["double"]
        if quoted is not None:
            quote = "'" if match["single"] is not None else '"'
            found.append(Token(quoted.replace(quote * 2, quote), is_quoted=True))
        else:
            found.append(Token(match["op"] or match["word"], is_quoted=False))
        at = match.end()
    return found


class _Reader:
    """Reads tokens by precedence: or, and, not, comparison."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.fields: list[str] = []

    @property
    def left(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def wrong(self, wanted: str) -> InputError:
        found = f"has {self.left.text!r}" if self.left else "ends"
        return InputError(f"this condition {found} where {wanted} should be")

    def either(self, depth: int) -> Condition:
        return self._joined("or", depth)

    def _joined(self, word: str, depth: int) -> Condition:
        read = self._negated if word == "and" else lambda deep: self._joined("and", deep)
        parts = [read(depth)]
        while self._take(word):
            parts.append(read(depth))
        if len(parts) == 1:
            return parts[0]
        sql = f" {word.upper()} ".join(part.sql for part in parts)
        return Condition(f"({sql})", tuple(value for part in parts for value in part.values))

    def _negated(self, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            raise InputError(f"a condition is nested at most {DEPTH_MAX} deep")
        if self._take("not"):
            inner = self._negated(depth + 1)
            return Condition(f"NOT {inner.sql}", inner.values)
        if self._take("("):
            inner = self.either(depth + 1)
            if not self._take(")"):
                raise self.wrong("a closing parenthesis")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        field = self._value("a field")
        self.fields.append(field.text)
        if self._take("is"):
            if self._take("missing"):
                return Condition("record.record NOT IN " + _HAS, (field.text,))
            if self._take("there"):
                return Condition("record.record IN " + _HAS, (field.text,))
            raise self.wrong("`missing` or `there`")
        if self._take("in"):
            return self._one_of(field.text)
        if self._take("~"):
            wanted = self._value("a text").text
            sql = "(SELECT record FROM value WHERE rank = 0 AND field = ? AND kind = 'text'"
            # no LIKE, which ends a text at a NUL
            return Condition(
                f"record.record IN {sql} AND instr(lower(value), lower(?)) > 0)",
                (field.text, wanted),
            )
        operator = self.left.text if self.left and not self.left.is_quoted else ""
        if operator not in _COMPARISONS:
            raise self.wrong("=, !=, <, <=, >, >=, ~, in or is")
        self._at += 1
        return _compared(field.text, operator, value_of(self._value("a value")))

    def _one_of(self, field: str) -> Condition:
        if not self._take("("):
            raise self.wrong("an opening parenthesis")
        found = [_compared(field, "=", value_of(self._value("a value")))]
        while self._take(","):
            found.append(_compared(field, "=", value_of(self._value("a value"))))
        if not self._take(")"):
            raise self.wrong("a comma or a closing parenthesis")
        if len(found) > ONE_OF_MAX:
            raise InputError(f"at most {ONE_OF_MAX} values stand behind in")
        sql = " OR ".join(part.sql for part in found)
        return Condition(f"({sql})", tuple(value for part in found for value in part.values))

    def _take(self, text: str) -> bool:
        token = self.left
        if token is None or token.is_quoted or token.text.lower() != text:
            return False
        self._at += 1
        return True

    def _value(self, wanted: str) -> Token:
        token = self.left
        is_word = token is not None and (
            token.is_quoted
            or (token.text.lower() not in _WORDS and _TOKEN.fullmatch(token.text)["word"])  # type: ignore[index]
        )
        if token is None or not is_word:
            raise self.wrong(wanted)
        self._at += 1
        return token


_HAS = "(SELECT record FROM value WHERE rank = 0 AND field = ? AND kind <> 'none')"


def _compared(field: str, operator: str, value: object) -> Condition:
    kind, bound = kind_and_value(value)
    if operator in ("!=", "<>"):
        equal = _compared(field, "=", value)
        return Condition(f"(record.record IN {_HAS} AND NOT {equal.sql})", (field, *equal.values))
    sql = "(SELECT record FROM value WHERE rank = 0 AND field = ? AND kind = ?"
    return Condition(
        f"record.record IN {sql} AND value {_COMPARISONS[operator]} ?)", (field, kind, bound)
    )
