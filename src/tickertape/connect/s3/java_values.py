"""What java.lang and java.util do with values: HashMap order, Double.toString, narrowing.

Doubles are written as JDK 19 and later write them: the shortest decimal that reads back as the
same double. JDK 17 and before sometimes add digits (2.0E23 became 1.9999999999999998E23).
HashMap bins that Java turns into trees (9 or more colliding keys) keep their insertion order here.
"""

import struct
from collections.abc import Callable, Hashable, Iterable
from typing import Final, TypeVar

K = TypeVar("K", bound=Hashable)

_TREEIFY: Final = 8  # java.util.HashMap.TREEIFY_THRESHOLD
_TREE_CAPACITY: Final = 64  # java.util.HashMap.MIN_TREEIFY_CAPACITY
_INFINITIES: Final = (float("inf"), float("-inf"))
_FLOAT: Final = struct.Struct(">f")


def string_hash(text: str) -> int:
    """String.hashCode() as an unsigned 32-bit number."""
    code = 0
    if text.isascii():
        for char in text.encode():
            code = (31 * code + char) & 0xFFFFFFFF
        return code
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        code = (31 * code + (units[at] << 8) + units[at + 1]) & 0xFFFFFFFF
    return code


def hash_order(keys: Iterable[K], hash_code: Callable[[K], int]) -> list[K]:
    """Distinct keys in the order in which a HashMap that got them one by one lists them."""
    bins: list[list[tuple[int, K]]] = [[] for _ in range(16)]
    for size, key in enumerate(keys, 1):
        code = hash_code(key)
        code ^= code >> 16
        bucket = bins[code & (len(bins) - 1)]
        bucket.append((code, key))
        if len(bucket) > _TREEIFY and len(bins) < _TREE_CAPACITY:
            bins = _resize(bins)
        if size > len(bins) * 3 // 4:
            bins = _resize(bins)
    return [key for bucket in bins for _, key in bucket]


def _resize(bins: list[list[tuple[int, K]]]) -> list[list[tuple[int, K]]]:
    wider: list[list[tuple[int, K]]] = [[] for _ in range(2 * len(bins))]
    for bucket in bins:
        for item in bucket:
            wider[item[0] & (len(wider) - 1)].append(item)
    return wider


def wrap(number: int, bits: int) -> int:
    """The number narrowed to ``bits`` as Java's casts narrow: two's complement."""
    half = 1 << (bits - 1)
    return (number + half & (1 << bits) - 1) - half


def double_text(value: float) -> str:
    """Double.toString as JSON: ``0.001``, ``1.0E7``; infinities are quoted. Never NaN."""
    short = repr(value)
    if len(short.partition("e")[0].strip("-0.")) == 1:  # Java writes two digits, if they can tell
        longer = f"{value:.1e}"
        short = longer if float(longer) == value else short
    return _java_notation(value, short)


def float_text(value: float) -> str:
    """Float.toString as JSON, of a double that is exactly a 32-bit float."""
    if value in _INFINITIES:
        return _java_notation(value, "")
    short = next(
        (text for digits in range(1, 9) if to_float(float(text := f"{value:.{digits}e}")) == value),
        f"{value:.8e}",
    )
    return _java_notation(value, short)


def to_float(value: float) -> float:
    """The nearest 32-bit float, as a double; too large becomes infinite."""
    try:
        narrowed: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    except OverflowError:
        narrowed = float("inf") if value > 0 else float("-inf")
    return narrowed


def _java_notation(value: float, short: str) -> str:
    if value in _INFINITIES:
        return '"Infinity"' if value > 0 else '"-Infinity"'
    sign = "-" if short.startswith("-") else ""
    mantissa, _, exponent = short.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign + "0.0"
    # value = 0.DIGITS * 10^point
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if -2 <= point <= 7 and 1e-3 <= abs(value) < 1e7:
        padded = "0" * (1 - point) + digits if point < 1 else digits.ljust(point, "0")
        cut = max(point, 1)
        return f"{sign}{padded[:cut]}.{padded[cut:] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}"
