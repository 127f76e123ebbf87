"""Patterns for topics (KIP-848) and transactional ids (KIP-1152), matched at a bounded cost.

Kafka uses RE2, which has no backtracking: no pattern can hang it. Here a pattern is parsed by
Python's own parser, and matched by walking all its ways at once (Thompson), so the time is at most
the pattern's size times the name's length. A step that was made once is remembered, as RE2 does it:
names that begin alike cost next to nothing. What RE2 does not know (look-around, back references,
conditions, atomic groups and possessive repeats) is refused, as RE2 does, and so is a pattern
that is very long or unfolds to very much. A pattern must match the whole name.
"""

from collections.abc import Collection, Iterable
from re import _constants as op  # type: ignore[attr-defined]  # no stubs: the parser's words
from re import _parser as parser  # type: ignore[attr-defined]  # no stubs; re.compile runs it too
from re import error as PatternError  # noqa: N812  # its name from Python 3.13 on
from typing import Any, Final, TypeAlias

from tickertape.broker.state.consumer_group_types import Sees, TopicView, sees_all

PATTERN_LENGTH_MAX: Final = 1_000
_NODES_MAX: Final = 2_000
_REPEAT_MAX: Final = 1_000  # RE2's own limit
_STEPS_MAX: Final = (
    1_000  # remembered of one pattern, each with up to as many places as it has nodes
)
_ALPHABET: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
"""Every letter that a topic's name can have."""

_DIGITS: Final = frozenset("0123456789")
_SPACES: Final = frozenset("\t\n\f\r ")
_WORDS: Final = _ALPHABET - frozenset(".-")
_CATEGORIES: Final = {
    op.CATEGORY_DIGIT: _DIGITS,
    op.CATEGORY_WORD: _WORDS,
    op.CATEGORY_SPACE: _SPACES,
}
_EXCLUDED: Final = {
    op.CATEGORY_NOT_DIGIT: _DIGITS,
    op.CATEGORY_NOT_WORD: _WORDS,
    op.CATEGORY_NOT_SPACE: _SPACES,
}
_AT_START: Final = frozenset({"the start"})  # no letter: stands for a place
_AT_END: Final = frozenset({"the end"})
_ANYWHERE: Final = {None, _AT_START, _AT_END}
_REPEATS: Final = {op.MAX_REPEAT, op.MIN_REPEAT}

Places: TypeAlias = frozenset[int]
"""The nodes at which a walk can be."""

Node: TypeAlias = tuple[frozenset[str] | None, list[int]]
"""A set of letters to read and where that leads; None: it leads there at once."""


class UnsupportedPatternError(ValueError):
    """Why a pattern is refused."""


class Pattern:
    """One compiled pattern, for names of the letters of ``alphabet``."""

    def __init__(self, text: str, alphabet: frozenset[str] = _ALPHABET) -> None:
        """UnsupportedPatternError if it is no pattern, or none that is served."""
        self._alphabet = alphabet
        if len(text) > PATTERN_LENGTH_MAX:
            raise UnsupportedPatternError(
                f"{len(text)} characters; want at most {PATTERN_LENGTH_MAX}"
            )
        self._nodes: list[Node] = [(None, [])]  # node 0: the end
        self._sets: dict[int, frozenset[str]] = {}  # by the identity of what was parsed
        self._steps: dict[tuple[Places, str, bool], Places] = {}
        self._places: dict[Places, Places] = {}  # equal ones are the same: quicker to look up
        try:
            parsed = parser.parse(text)
            self._folds = bool(parsed.state.flags & op.SRE_FLAG_IGNORECASE)
            start = self._sequence(parsed, 0)
        except (PatternError, OverflowError, RecursionError) as error:
            raise UnsupportedPatternError(str(error)) from error
        self._sets.clear()
        self._begin = self._closure([start], {None, _AT_START})
        self._empty = 0 in self._closure([start], _ANYWHERE)

    def matches(self, name: str) -> bool:
        """Whether the whole of ``name`` matches."""
        if not name:
            return self._empty
        here, last = self._begin, len(name)
        for at, letter in enumerate(name, 1):
            step = (here, letter, at == last)
            there = self._steps.get(step)
            here = self._walk(*step) if there is None else there
            if not here:
                return False
        return 0 in here

    def _walk(self, here: Places, letter: str, is_last: bool) -> Places:  # noqa: FBT001  # of a key
        """Where one letter leads."""
        if len(self._steps) >= _STEPS_MAX:
            self._steps.clear()
            self._places.clear()
        nodes = (self._nodes[node] for node in here)
        ahead = [to for letters, tos in nodes if letters and letter in letters for to in tos]
        there = self._closure(ahead, {None, _AT_END} if is_last else {None})
        there = self._steps[here, letter, is_last] = self._places.setdefault(there, there)
        return there

    def _closure(self, nodes: Iterable[int], open_: set[frozenset[str] | None]) -> Places:
        """What can be reached without reading, through nodes that are open here."""
        found: set[int] = set()
        left = list(nodes)
        while left:
            node = left.pop()
            if node not in found:
                found.add(node)
                letters, tos = self._nodes[node]
                if letters in open_:
                    left += tos
        return frozenset(found)

    def _node(self, letters: frozenset[str] | None, *tos: int) -> int:
        if len(self._nodes) >= _NODES_MAX:
            raise UnsupportedPatternError(f"it unfolds to more than {_NODES_MAX} steps")
        self._nodes.append((letters, list(tos)))
        return len(self._nodes) - 1

    def _sequence(self, items: Iterable[tuple[Any, Any]], then: int) -> int:
        """The node at which these items begin, the last of which leads to ``then``."""
        for kind, what in reversed(list(items)):
            then = self._item(kind, what, then)
        return then

    def _item(self, kind: Any, what: Any, then: int) -> int:  # noqa: ANN401  # the parser's
        letters = self._letters(kind, what)
        if letters is not None:
            return self._node(letters, then)
        if kind is op.SUBPATTERN:
            _, adding, removing, inner = what
            if adding or removing:
                raise UnsupportedPatternError("flags inside a group")
            return self._sequence(inner, then)
        if kind is op.BRANCH:
            return self._node(None, *(self._sequence(each, then) for each in what[1]))
        if kind in _REPEATS:
            least, most, inner = what
            return self._repeat((least, most), inner, then)
        if kind is op.AT and what in {op.AT_BEGINNING, op.AT_BEGINNING_STRING}:
            return self._node(_AT_START, then)
        if kind is op.AT and what in {op.AT_END, op.AT_END_STRING}:
            return self._node(_AT_END, then)
        raise UnsupportedPatternError(f"{str(kind).lower()} is not served")

    def _repeat(self, times: tuple[int, int], inner: Any, then: int) -> int:  # noqa: ANN401  # same
        least, most = times
        if least > _REPEAT_MAX or (most is not op.MAXREPEAT and most > _REPEAT_MAX):
            raise UnsupportedPatternError(f"repeats more than {_REPEAT_MAX} times")
        if most is op.MAXREPEAT:
            loop = self._node(None, then)
            self._nodes[loop][1].append(self._sequence(inner, loop))
            then = loop
        else:
            end = then
            for _ in range(most - least):
                then = self._node(None, end, self._sequence(inner, then))
        for _ in range(least):
            before, then = then, self._sequence(inner, then)
            if then == before:  # nothing repeated is nothing, and takes no time
                break
        return then

    def _letters(self, kind: Any, what: Any) -> frozenset[str] | None:  # noqa: ANN401  # same
        """The letters that one item reads; None if it is more than a set of letters."""
        if kind is op.LITERAL:
            return self._folded(frozenset(chr(what)))
        if kind is op.NOT_LITERAL:
            return self._alphabet - self._folded(frozenset(chr(what)))
        if kind is op.ANY:
            return self._alphabet - frozenset("\n")
        if kind is not op.IN:
            return None
        if id(what) not in self._sets:  # what is repeated comes again and again
            self._sets[id(what)] = self._set(what)
        return self._sets[id(what)]

    def _set(self, what: Any) -> frozenset[str]:  # noqa: ANN401  # the parser's
        letters: frozenset[str] = frozenset()
        negated = False
        for inner, value in what:
            if inner is op.NEGATE:
                negated = True
            elif inner is op.LITERAL:
                letters |= {chr(value)}
            elif inner is op.RANGE:
                letters |= {each for each in self._alphabet if value[0] <= ord(each) <= value[1]}
            elif value in _EXCLUDED:
                letters |= self._alphabet - _EXCLUDED[value]
            else:
                letters |= _CATEGORIES[value]
        letters = self._folded(letters)
        return self._alphabet - letters if negated else letters

    def _folded(self, letters: frozenset[str]) -> frozenset[str]:
        if not self._folds:
            return letters
        return letters | {each.lower() for each in letters} | {each.upper() for each in letters}


class TopicPatterns:
    """What the patterns of a group match, computed again when the topics change.

    They match what the member that asks may see. As in Kafka a pattern is matched once for all who
    have it, with the eyes of the first that asks.
    """

    def __init__(self, topics: TopicView) -> None:
        self._topics = topics
        self._seen = -1
        self._sees: Sees | None = None  # nobody has asked since the start: everything
        self._matching: dict[str, frozenset[str]] = {}

    def look_with(self, sees: Sees) -> None:
        """From now on match what these eyes see; what has been matched with others is kept."""
        if self._sees is None:
            self._matching.clear()
        self._sees = sees

    def keep(self, texts: Collection[str | None]) -> None:
        """Nobody asks for any others."""
        self._matching = {text: found for text, found in self._matching.items() if text in texts}

    def matching(self, text: str) -> frozenset[str]:
        """The names of all topics that a checked pattern matches."""
        if self._seen != self._topics.changes:
            self._seen = self._topics.changes
            self._matching.clear()
        found = self._matching.get(text)
        if found is None:
            pattern = Pattern(text)
            matching = filter(pattern.matches, self._topics.names())
            found = frozenset(filter(self._sees or sees_all, matching))
            self._matching[text] = found
        return found
