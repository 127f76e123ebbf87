"""``ssl.principal.mapping.rules``: from a certificate's distinguished name to a principal's name.

Rules are tried in order: ``DEFAULT`` takes the whole name, ``RULE:pattern/replacement/`` takes the
replacement if the pattern matches the whole name, with L or U after it in lower or upper case.
Source: Kafka's SslPrincipalMapper. Patterns are those of Python, which has all that is common.
"""

import re
from dataclasses import dataclass
from typing import Final

_RULE: Final = re.compile(
    r"\s*(?:(DEFAULT)|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?))\s*(?:,|$)"
)
_GROUP: Final = re.compile(r"\$(\d+)")
_WANT: Final = "DEFAULT or RULE:pattern/replacement/[LU], several with commas between"


@dataclass(frozen=True, slots=True)
class PrincipalRule:
    """``pattern`` None: the name as it is."""

    pattern: re.Pattern[str] | None = None
    replacement: str = ""
    case: str = ""

    def apply(self, name: str) -> str | None:
        """The principal's name; None if the rule does not match."""
        if self.pattern is None:
            return name
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        made = match.expand(self.replacement)
        return {"L": made.lower(), "U": made.upper()}.get(self.case, made)


def principal_rules(raw: str) -> tuple[PrincipalRule, ...]:
    """Parse; ValueError says what is wanted."""
    text = raw.strip() or "DEFAULT"
    rules: list[PrincipalRule] = []
    at = 0
    while at < len(text):
        match = _RULE.match(text, at)
        if match is None:
            raise ValueError(_WANT)
        at = match.end()
        if match[1]:
            rules.append(PrincipalRule())
            continue
        try:
            pattern = re.compile(match[2].replace("\\/", "/"))
            replacement = _GROUP.sub(r"\\g<\1>", match[3].replace("\\/", "/"))
            re.sub(pattern, replacement, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"{_WANT}; {error}") from error
        rules.append(PrincipalRule(pattern, replacement, match[4]))
    return tuple(rules)


def principal_name(rules: tuple[PrincipalRule, ...], name: str) -> str | None:
    """What the first rule that matches makes of it; None if none does."""
    return next((made for rule in rules if (made := rule.apply(name)) is not None), None)
