"""Writes inputs.json: the questions that Oracle.java answers. Seeded, so a run changes nothing."""

import json
import random
import struct
from pathlib import Path

RNG = random.Random(20190628)

TEXTS = [
    "", "a", '{"a":1}', "탐색 가격", "\x00\x01\x0b\x1f\x7f\x80\u2028\u2029", "\b\t\n\f\r\"\\/",
    "😀 a😀b", "\ud7ff\ue000\uffff", "\\u000b \\\\u000b \\\x0b", 'a",', '","', "\U0010ffff",
    "x" * 9000 + "😀" + "\x0b", "é" * 5000,
]  # fmt: skip
MALFORMED = ["eda080", "edb080", "eda080edb080", "eda0", "ed", "eda061", "f09f98", "c080", "c1bf",
             "f888808080", "e28261", "f4908080", "ff61", "f0808080", "e080af", "80",
             "61f09f9861"]  # fmt: skip
SCHEMALESS = [
    "", " ", "null", " null\n", "true", "-0", "-0.0", "0.0", "0", "1e400", "-1e400", "1e-400",
    "123456789012345678901234567890", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
    "1.0", "1E2", "100.0", "1e7", "9999999.0", "0.001", "0.00099", "2.0E-3", "1.1E-5", "5e-324",
    "1.7976931348623157E308", "123456.789", "4.35", "0.1", '"\\ud800"', '"\\ud83d\\ude00"',
    '"\\u0000\\u001f\\u007f\\/"', '"é\x7f\u2028/😀"', "[1,2.50,null,true]", "[]", "{}", '{"":1}',
    '{"b":1,"a":{"z":1,"y":[{}]},"b":2}', "NaN", "Infinity", "{'a':1}", "[1,]", '"a\nb"', "// c",
    '{"symbol":"BTCUSDT","price":61000.11,"qty":0.001,"ts":1723160000000,"maker":true}',
    '{ "symbol" :"탐" , "price" : 1e10, "deep" : {"b" : [ 1e-7 , { "c" : 0.5 } ] , "a" : null } }',
    '{"AaAa":1,"BBBB":2,"AaBB":3,"BBAa":4,"k":5}', '{"\\u000b":"\\u000b","😀":"😀"}',
    '{"n":18446744073709551615,"m":{"n":18446744073709551615}}', '{"x":-0.0,"y":[0.0]}',
    "{", '{"a"}', '{"a":1,}', "tru", '"', "1.", ".5", "+1", "-", "1e", "\\u0031",
]  # fmt: skip


def envelope(schema: object, payload: str) -> str:
    return f'{{"schema":{json.dumps(schema)},"payload":{payload}}}'


def logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "name": f"org.apache.kafka.connect.data.{name}", "version": 1, **more}


TICK = {
    "type": "struct",
    "fields": [
        {"field": "symbol", "type": "string"},
        {"field": "price", "type": "double"},
        {"field": "qty", "type": "float", "optional": True},
        {"field": "side", "type": "string", "optional": True, "default": "buy"},
        {"field": "ids", "type": "array", "items": {"type": "int64"}, "optional": True},
        {
            "field": "book", "optional": True, "type": "struct",
            "fields": [{"field": "bid", "type": "int16"}, {"field": "😀", "type": "boolean"}],
        },
    ],
}  # fmt: skip
DECIMAL = logical("bytes", "Decimal", parameters={"scale": "2"})
SMALL = logical("bytes", "Decimal", parameters={"scale": "9"})
MAP = {"type": "map", "keys": {"type": "string"}, "values": {"type": "float"}}
INT_MAP = {"type": "map", "keys": {"type": "int64"}, "values": {"type": "int8"}}
ENVELOPES = [
    "", "null", "1", "{}", '{"payload":1}', '{"schema":{"type":"int32"},"payload":1,"x":2}',
    '{"schema":null,"payload":{"b":1,"a":2}}', '{"schema":null,"payload":null}',
    '{"schema":1,"payload":1}', '{"schema":{"type":"int99"},"payload":1}',
    '{"schema":{},"payload":1}', "{broken",
    envelope(TICK, '{"price":61000.5,"symbol":"BTC","qty":1.1,"extra":1,"ids":[3,4]}'),
    envelope(TICK, '{"price":1e10,"symbol":"😀","side":null,"book":{"bid":70000,"😀":true}}'),
    envelope(TICK, '{"price":"x","symbol":"a"}'), envelope(TICK, '{"symbol":"a"}'),
    envelope(TICK, '{"price":1,"symbol":5}'), envelope(TICK, '{"price":1,"symbol":"a","side":5}'),
    envelope(TICK, "null"), envelope(TICK, "[]"), envelope({**TICK, "optional": True}, "null"),
    envelope(TICK, '{"price":1,"symbol":"a","ids":[null]}'),
    envelope(TICK, '{"price":1,"symbol":"a","ids":5}'),
    *(envelope({"type": kind}, value)
      for kind in ("int8", "int16", "int32", "int64", "float", "double", "boolean", "string",
                   "bytes")
      for value in ("0", "300", "-70000", "1.5", "1e-5", "92233720368547758080", '"x"', '"AQI="',
                    "true", "null", "[1]", "12345.125", "1e400")),
    envelope({"type": "int32", "optional": True}, "null"),
    envelope({"type": "string", "optional": True, "default": "q"}, "null"),
    envelope({"type": "int32", "default": 7}, "null"),
    envelope(MAP, '{"b":1.1,"a":16777217,"AaAa":0.1,"BBBB":3.4028235e38}'), envelope(MAP, "[]"),
    envelope(INT_MAP, "[[17,1],[1,2],[-1,3],[4294967296,4],[33,5]]"), envelope(INT_MAP, "{}"),
    envelope({"type": "array", "items": {"type": "boolean"}}, "[true,false,0]"),
    envelope(DECIMAL, '"AQI="'), envelope(DECIMAL, "1.50"), envelope(DECIMAL, "-1.50"),
    envelope(DECIMAL, "1.5"), envelope(DECIMAL, '"/w=="'), envelope(DECIMAL, "-128.00"),
    envelope(DECIMAL, "-1.28"), envelope(DECIMAL, "1.28"), envelope(DECIMAL, '"AA=="'),
    envelope(SMALL, '"AQ=="'), envelope(SMALL, '"/w=="'), envelope(SMALL, '"EjRWeJASNFY="'),
    envelope(logical("int64", "Timestamp"), "1561680000000"),
    envelope(logical("int32", "Date"), "18000"), envelope(logical("int32", "Time"), "18000"),
    envelope(logical("int32", "Time"), "86400001"), envelope(logical("int32", "Time"), "-1"),
]  # fmt: skip
ZONES = ["UTC", "Asia/Seoul", "America/New_York", "Europe/Berlin", "+09:00", "-03:30",
         "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo"]  # fmt: skip
PATTERNS = [
    ("YYYY-MM-dd", "KR"), ("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", "en"), ("yyyy/D/DDD", "ko"),
    ("xxxx-'W'ww-e", "en_US"), ("YY yy xx YYY yyyyyy C CC", "ko-KR"), ("K KK k kk h hh H", "KR"),
    ("mm:ss.SSS S SSSSS", "KR"), ("MMM MMMM E EEE EEEE a G", "en"), ("MMM MMMM E EEEE a G", "KR"),
    ("MMM d", "en_US"), ("Z ZZ", "KR"), ("'it''s' ''YY'' 'a'd", "KR"), ("''''", "KR"),
    ("dd 'unterminated YY", "KR"), ("M-d_H.m,s;12:YYYY", "KR"),
]  # fmt: skip
DURATIONS = [1, 60_000, 900_000, 3_600_000, 7 * 3_600_000, 86_400_000]
FILES = [
    b"", b"a=1\nb:2\nc 3\nd\n", b"  a = 1 \n", b"a\\=b=c\\:d\\ e\n", b"a=1\\\n  2\\\n\t3\nb=4",
    b"#c\n!d\n  #e\na=#f", b"k=\\u00e9\\u20ac\\t\\n\\f\\r\\x\\\\", b"k=\xe9", b"a==b", b"a=\\u00g0",
    b"a=\\u12", b"a=1\r\nb=2\rc=3", b"a=1\na=2", b"=x", b":", b"a\\\n", b"a=b\\\\\nc=d",
    b"\\\n a=1", b"a=\\ud83d\\ude00", b"\x0ca=1", b"a\x0cb", b"a b = c", b"a = = b",
    b"# \xed\x95\x9c\na=1",
]  # fmt: skip


def random_json(depth: int) -> object:
    kind = RNG.randrange(8 if depth else 6)
    if kind == 0:
        return RNG.randrange(-(10**6), 10**6)
    if kind == 1:
        return round(RNG.uniform(0, 10 ** RNG.randrange(-4, 9)), RNG.randrange(1, 6))
    if kind == 2:
        return "".join(RNG.choice('ab"\\\n\x0b가😀') for _ in range(RNG.randrange(8)))
    if kind < 6:
        return [None, True, False][kind - 3]
    if kind == 6:
        return [random_json(depth - 1) for _ in range(RNG.randrange(4))]
    return {random_key(): random_json(depth - 1) for _ in range(RNG.randrange(20))}


def random_key() -> str:
    return "".join(RNG.choice("abcxyzAB가0😀") for _ in range(RNG.randrange(1, 6)))


def random_bytes() -> bytes:
    parts = [b"a", b"\xed", b"\xa0", b"\x80", b"\xf0", b"\x9f", b"\x98", b"\xe2", b"\xc3", b"\xf4",
             b"\xbf", "가".encode(), "😀".encode()]  # fmt: skip
    return b"".join(RNG.choice(parts) for _ in range(RNG.randrange(1, 10)))


def times() -> list[int]:
    """Moments of 1971 to 2037, many of them around changes of daylight saving time."""
    around = [1552201200000, 1572764400000, 1553994000000, 1541300400000, 1289100660000,
              1081611000000, 1570284000000]  # fmt: skip
    near = [RNG.choice(around) + RNG.randrange(-7_200_000, 7_200_000) for _ in range(12)]
    return [0, 1561680000123, 1577836799999] + near + [RNG.randrange(2**45 // 16) for _ in range(6)]


def main() -> None:
    doubles = [struct.pack(">d", value).hex() for value in (
        0.0, -0.0, 1.0, 10.0, 1e7, 9999999.999, 1e-3, 9.99e-4, 5e-324, 1.5e300, 2e-323, 1e21,
        1e22)]  # fmt: skip
    doubles += [struct.pack(">d", round(RNG.uniform(0, 10**e), d)).hex()
                for e in range(-2, 8) for d in range(1, 9) for _ in range(8)]  # fmt: skip
    doubles += [f"{RNG.randrange(0x7FF0 << 48):016x}" for _ in range(400)]
    inputs = {
        "strings": [text.encode().hex() for text in TEXTS] + MALFORMED
        + [random_bytes().hex() for _ in range(300)],
        "schemaless": [text.encode().hex() for text in SCHEMALESS]
        + [json.dumps(random_json(3), ensure_ascii=RNG.random() < 0.5).encode().hex()
           for _ in range(150)],
        "envelopes": [text.encode().hex() for text in ENVELOPES],
        "doubles": doubles,
        "floats": [f"{RNG.randrange(0x7F800000):08x}" for _ in range(300)]
        + [struct.pack(">f", round(RNG.uniform(0, 10000), 2)).hex() for _ in range(200)],
        "hash_orders": [list(dict.fromkeys(random_key() for _ in range(size)))
                        for size in (1, 3, 5, 12, 13, 24, 25, 48, 60, 100, 400) for _ in range(4)],
        "joda": [
            {"pattern": pattern, "zone": zone, "locale": locale, "duration": RNG.choice(DURATIONS),
             "times": times()}
            for pattern, locale in PATTERNS for zone in ZONES
        ],
        "schedules": [{"zone": zone, "interval": interval, "times": times()}
                      for zone in ZONES for interval in (60_000, 3_600_000, 7 * 3_600_000, 10**9)],
        "gzip": [{"content": content.hex(), "level": level, "repeat": repeat}
                 for content, repeat in ((b"", 0), (b'{"a":1}\n', 3), (random_bytes() * 50, 3000))
                 for level in range(-1, 10)],
        "properties": [file.hex() for file in FILES],
    }  # fmt: skip
    path = Path(__file__).with_name("inputs.json")
    path.write_text(json.dumps(inputs, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
