"""Kafka's JAAS lines: ``Module required key="value" user_alice="secret";`` as data.

As in Java's JaasConfig: values may be quoted with ``"`` or ``'``, a backslash takes the next
character as it is. Errors never show the text: it holds passwords.
"""

import re
from dataclasses import dataclass, field
from typing import Final

_FLAGS: Final = {"required", "requisite", "sufficient", "optional"}
_TOKEN: Final = re.compile(
    r"\s*(?:([A-Za-z0-9_.$*/-]+)|(=)|(;)|\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)')", re.DOTALL
)
_WANT: Final = 'a login module, then required, then key="value" pairs, then a semicolon'
_USER: Final = "user_"


@dataclass(frozen=True, slots=True)
class Login:
    """One login module with its options. Not shown: the options are secret."""

    module: str
    options: dict[str, str] = field(repr=False)

    @property
    def users(self) -> dict[str, str]:
        """The ``user_NAME="password"`` options of PlainLoginModule on a broker, by name."""
        return {
            name.removeprefix(_USER): password
            for name, password in self.options.items()
            if name.startswith(_USER)
        }


def login(raw: str) -> Login:
    """Read one line. ValueError says what is wanted."""
    words = _tokens(raw)
    if len(words) < 3 or words[-1] != (";", "") or words[1][1].lower() not in _FLAGS:
        raise ValueError(_WANT)
    pairs = words[2:-1]
    options: dict[str, str] = {}
    if len(pairs) % 3:
        raise ValueError(_WANT)
    for at in range(0, len(pairs), 3):
        (kind, name), equals, (_, value) = pairs[at : at + 3]
        if kind != "word" or equals != ("=", "") or pairs[at + 2][0] == "=":
            raise ValueError(_WANT)
        options[name] = value
    return Login(words[0][1], options)


def _tokens(raw: str) -> list[tuple[str, str]]:
    """(kind, text): "word", "quoted", "=" or ";"."""
    found: list[tuple[str, str]] = []
    at, end = 0, len(raw.rstrip())
    while at < end:
        match = _TOKEN.match(raw, at)
        if match is None:
            raise ValueError(_WANT)
        at = match.end()
        if match[1] is not None:
            found.append(("word", match[1]))
        elif match[2] or match[3]:
            found.append((match[2] or match[3], ""))
        else:
            inner = match[4] if match[4] is not None else match[5]
            found.append(("quoted", re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)))
    return found
