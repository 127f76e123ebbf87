"""docs/kafka.md says what the broker serves, and every handler says what it is."""

import re
from pathlib import Path

import pytest

from tickertape.broker.api.table import HANDLERS, SERVED
from tickertape.wire.api_keys import ApiKey

ROOT = Path(__file__).parents[2]
API = ROOT / "src" / "tickertape" / "broker" / "api"
ROW = re.compile(r"^\| (\d+) \| (\w+) \| (\d+)-(\d+) \| (.+) \|$", re.MULTILINE)


def test_table_is_what_is_served() -> None:
    rows = ROW.findall((ROOT / "docs" / "kafka.md").read_text())
    documented = {int(key): (int(first), int(last)) for key, _, first, last, _ in rows}
    assert documented == {int(key): versions for key, versions in SERVED.items()}
    for key, name, *_ in rows:
        assert ApiKey(int(key)).name.replace("_", "").lower() == name.lower()


@pytest.mark.parametrize("key", sorted(SERVED))
def test_every_api_has_a_file_whose_header_has_its_versions(key: ApiKey) -> None:
    (path,) = API.glob(f"p{int(key):02d}_{key.name.lower()}.py")
    text = path.read_text()
    first, last = SERVED[key]
    if key is ApiKey.PRODUCE:
        first = 3  # 0 to 2 are refused, which the header says too
    assert f"(key {int(key)}), versions {first} to {last}" in text.partition("\n")[0]
    for part in ("\nBehaviour. ", "\nVersions. ", "\nDeviations. "):
        assert part in text.split('"""')[1]


def test_there_is_no_handler_that_is_not_served() -> None:
    numbered = {int(path.name[1:3]) for path in API.glob("p[0-9][0-9]_*.py")}
    assert numbered == set(HANDLERS)
