"""A format, described once for both directions, as decisions of a few adaptive bits.

A format is a function over a ``Coder``: given a ``Writer`` (core.rangecoder) it writes the values
that it is handed, given a ``ReaderCoder`` it returns the ones that were written, so the two
cannot drift.

Source: adaptive binary decisions as in LZMA. The first steps of a model follow Krichevsky and
Trofimov's estimator, with a quarter in place of a half: our messages are short and their
decisions mostly settled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from meshlog.errors import MalformedError

Context: TypeAlias = Hashable
"""Names a model. Equal names share what they learn, within one message."""

UINT_MAX = 2**63 - 1
"""Largest number of ``uint``."""

ONE = 1 << 16
"""Probability 1."""

_HALF = 1 << 15
_LEAST = 32
"""No prior says less than 0.0005: nothing costs more than 11 bits at first. Learning itself ends
a step before 0 and 1, because what it moves by is rounded down."""

_CHUNK_BITS = 16
_MANTISSA_BITS = 2
_NESTED_TRUST = 24
_INHERITED_TRUST = 1

STEPS = 62
"""A model that saw so many bits keeps learning at the last rate."""

RATES = (*(2 * ONE // (2 * step + 3) for step in range(STEPS)), ONE >> 6)
"""How far a model moves towards what it saw, in 2**-16: 1/1.5, 1/2.5, … 1/62.5, then 1/64."""

Model: TypeAlias = list[int]
"""Probability that the bit is 0, in 2**-16, and how many bits were seen."""

Primer: TypeAlias = Mapping[Context, Mapping[int, Model]]
"""Nested contexts and their models."""


@lru_cache(maxsize=1024)
def prior(weight_0: int, weight_1: int) -> int:
    """Return the starting point of a model that saw ``weight_0`` zeros and ``weight_1`` ones.

    Example:
        >>> prior(3, 1) / 2**16
        0.75
    """
    return min(max((weight_0 << 16) // (weight_0 + weight_1), _LEAST), ONE - _LEAST)


_LIKELY = prior(1, 8)


class Coder(ABC):
    """What formats are described with. A writer takes ``value``; a reader ignores it.

    Every method returns the value written or read. What a reader finds past its limit is a
    MalformedError; what a writer is handed past it is our mistake and stops us.
    """

    __slots__ = ("_lengths", "_models", "_nested", "_primer", "_trees")

    def __init__(self) -> None:
        """Begin a message: every model at one half."""
        self._models: dict[Context, Model] = {}
        self._trees: dict[Context, list[Model]] = {}
        self._lengths: dict[Context, list[Model]] = {}
        self._nested: dict[Context, dict[int, Model]] = {}
        self._primer: Primer = {}

    @abstractmethod
    def _code(self, model: Model, value: int) -> int:
        """Write or read one bit, and let the model learn it."""

    @abstractmethod
    def _chunk(self, bits: int, value: int) -> int:
        """Write or read 1 to 16 equiprobable bits."""

    @property
    @abstractmethod
    def is_writing(self) -> bool:
        """Whether values go in."""

    def bit(self, context: Context, value: int = 0, start: int = _HALF, trust: int = 0) -> int:
        """Code one adaptive bit.

        Args:
            context: Names the model.
            value: 0 or 1.
            start: Probability of 0 before anything was seen, in 2**-16; see ``prior``.
            trust: How many bits that guess is worth.
        """
        model = self._models.get(context)
        if model is None:
            model = self._models[context] = [start, trust]
        return self._code(model, value)

    def direct(self, bits: int, value: int = 0) -> int:
        """Code a number of 0 to 64 equiprobable bits."""
        found = 0
        while bits > _CHUNK_BITS:
            bits -= _CHUNK_BITS
            found = found << _CHUNK_BITS | self._chunk(_CHUNK_BITS, value >> bits & 0xFFFF)
        return found << bits | self._chunk(bits, value & (1 << bits) - 1) if bits else found

    def symbol(
        self,
        context: Context,
        size: int,
        value: int = 0,
        weights: Sequence[int] = (),
        trust: int = 16,
    ) -> int:
        """Code one of ``size`` symbols, 0 to size - 1, by a tree of adaptive bits.

        Args:
            context: Names the tree; always used with the same size.
            size: At most 65,536.
            value: Which one.
            weights: How often each is expected, 1 or more; all alike by default.
            trust: How many symbols the weights are worth.
        """
        depth = (size - 1).bit_length()
        tree = self._trees.get(context)
        if tree is None:
            start = _tree(depth, tuple(weights), trust)
            tree = self._trees[context] = [[p, seen] for p, seen in start]
        node, low = 1, 0
        for level in range(depth - 1, -1, -1):
            middle = low + (1 << level)
            if middle >= size:
                node <<= 1
                continue
            found = self._code(tree[node], value >> level & 1)
            node = node << 1 | found
            if found:
                low = middle
        return low

    def nested(
        self, contexts: Sequence[Context], size: int, value: int = 0, weights: Sequence[int] = ()
    ) -> int:
        """Code one of ``size`` symbols in the light of several contexts, one within the other.

        The last context decides. What it has not met yet it takes over from the one before,
        and what it learns, they learn, too.

        Args:
            contexts: From the widest to the narrowest.
            size: A power of two, at most 65,536.
            value: Which one.
            weights: As for ``symbol``, of the widest.
        """
        trees = [self._nested.get(context) or self._begin(context) for context in contexts]
        widest = trees.pop(0)
        if not widest:
            start = _tree((size - 1).bit_length(), tuple(weights), _NESTED_TRUST)
            widest.update((node, [p, seen]) for node, (p, seen) in enumerate(start))
        node = 1
        for level in range((size - 1).bit_length() - 1, -1, -1):
            model = widest[node]
            above = []
            for tree in trees:
                above.append(model)
                narrower = tree.get(node)
                if narrower is None:
                    narrower = tree[node] = [model[0], _INHERITED_TRUST]
                model = narrower
            found = self._code(model, value >> level & 1)
            for model in above:
                p, seen = model
                model[0] = (
                    p - (p * RATES[seen] >> 16) if found else (p + ((ONE - p) * RATES[seen] >> 16))
                )
                if seen < STEPS:
                    model[1] = seen + 1
            node = node << 1 | found
        return node - size

    def _begin(self, context: Context) -> dict[int, Model]:
        """Return the models of a nested context that is new, as the primer knows it."""
        primed = self._primer.get(context, {})
        found = self._nested[context] = {node: [*model] for node, model in primed.items()}
        return found

    def prime(self, primer: Primer) -> None:
        """Let ``nested`` know what another coder learned; before its first use."""
        self._primer = primer

    def learned(self) -> Primer:
        """Return what ``nested`` learned, for ``prime``; nothing may be coded after that."""
        return self._nested

    def uint(
        self, context: Context, value: int = 0, limit: int = UINT_MAX, typical_bits: int = 0
    ) -> int:
        """Code a number of 0 to ``limit``: how many bits it has, adaptively, then the bits.

        Args:
            context: Names the models.
            value: At most ``limit``.
            limit: At most 2**63 - 1.
            typical_bits: How many bits the caller expects before anything was seen.
        """
        assert 0 <= value <= limit <= UINT_MAX, "a number past its limit"
        models = self._lengths.get(context)
        if models is None:
            models = self._lengths[context] = []
        most = (limit + 1).bit_length() - 1
        length, told = 0, (value + 1).bit_length() - 1
        while length < most:
            if length == len(models):
                likely = _LIKELY if length < typical_bits else _HALF
                models.append([likely, 0])
            if not self._code(models[length], told > length):
                break
            length += 1
        number = 1
        for place in range(length - 1, -1, -1):
            if length - place > _MANTISSA_BITS:
                number = number << place + 1 | self.direct(
                    place + 1, value + 1 & (1 << place + 1) - 1
                )
                break
            number = number << 1 | self.bit(
                (context, "top", length, number), value + 1 >> place & 1
            )
        if number - 1 > limit:
            raise MalformedError("number past its limit")
        return number - 1

    def sint(
        self, context: Context, value: int = 0, limit: int = UINT_MAX, typical_bits: int = 0
    ) -> int:
        """Code a number of -limit to ``limit``; see ``uint``."""
        size = self.uint(context, abs(value), limit, typical_bits)
        return -size if size and self.bit((context, "sign"), value < 0) else size

    def plain(self, size_bytes: int, data: bytes = b"") -> bytes:
        """Code exactly ``size_bytes`` bytes that nobody can predict: hashes, keys."""
        value = int.from_bytes(data, "big")
        found = bytearray()
        for place in range(size_bytes - 1, -1, -1):
            found.append(self._chunk(8, value >> 8 * place & 0xFF))
        return bytes(found)


@lru_cache(maxsize=512)
def _tree(depth: int, weights: tuple[int, ...], trust: int) -> tuple[tuple[int, int], ...]:
    """Return the models of a tree: node 1 is its root, 2n and 2n + 1 the children of n."""
    leaves = 1 << depth
    if not weights:
        return ((_HALF, 0),) * leaves
    sums = [0] * leaves + list(weights) + [0] * (leaves - len(weights))
    for node in range(leaves - 1, 0, -1):
        sums[node] = sums[2 * node] + sums[2 * node + 1]
    return tuple(
        (prior(sums[2 * node], sums[2 * node + 1]), trust * sums[node] // sums[1])
        if node and sums[node]
        else (_HALF, 0)
        for node in range(leaves)
    )
