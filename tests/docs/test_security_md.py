"""The Python of docs/security.md manages users and rules of a broker that asks for both."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import admin as client
from tests.interop.harness import PATIENCE_S

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
TAPE = str(Path(sys.executable).parent / "tape")
SERVER = """\
listeners=SASL_PLAINTEXT://127.0.0.1:0
sasl.enabled.mechanisms=SCRAM-SHA-512
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin
"""


def tape(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [TAPE, "broker", *arguments], input=stdin, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_adds_a_user_and_a_rule(tmp_path: Path) -> None:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    folder, properties = str(tmp_path / "data"), tmp_path / "server.properties"
    properties.write_text(SERVER)
    tape("add-user", "admin", "--data-dir", folder, "--password-file", "-", stdin="admin-secret\n")
    started = tape("start", str(properties), "--data-dir", folder, "--detach")
    try:
        (bootstrap,) = re.findall(r"SASL_PLAINTEXT (\S+:\d+)", started)
        code = found.replace("ticks.example.org:9094", bootstrap).replace(
            "SASL_SSL", "SASL_PLAINTEXT"
        )
        code = "\n".join(line for line in code.splitlines() if "ssl.ca" not in line)
        scope: dict[str, Any] = {}
        exec(code, scope)  # the page's own lines
        admin = scope["admin"]
        users = admin.describe_user_scram_credentials().result(PATIENCE_S)
        assert set(users) == {"admin", "bob"}
        binding = scope["may_read"]
        everything = client.AclBindingFilter(  # type: ignore[attr-defined]  # its stubs lack the name
            *(binding.restype, binding.name, binding.resource_pattern_type),
            *(binding.principal, binding.host, binding.operation, binding.permission_type),
        )
        assert admin.describe_acls(everything).result(PATIENCE_S) == [binding]
    finally:
        tape("stop", "--data-dir", folder)
