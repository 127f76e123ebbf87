"""JAAS lines, principal mapping, and clients' security in Java's words."""

import pytest

from tickertape.base.errors import MisuseError
from tickertape.config.client_security import to_librdkafka
from tickertape.config.jaas import login
from tickertape.config.principals import principal_name, principal_rules

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


def test_a_jaas_line_gives_module_options_and_users() -> None:
    found = login(
        f' {PLAIN} required username="admin" password="a\\"b;c=d" user_admin="x y"'
        " user_bob='it\\'s' ; "
    )
    assert found.module == PLAIN
    assert found.options["password"] == 'a"b;c=d'
    assert found.users == {"admin": "x y", "bob": "it's"}
    assert "x y" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        f"{PLAIN} required",
        f"{PLAIN} sometimes;",
        f"{PLAIN} required user_a=;",
        f"{PLAIN} required user_a=\"secret';",
        f'{PLAIN} required user_a="secret"',
        f'{PLAIN} required = = "secret";',
        f'{PLAIN} required user_a="secret"; {PLAIN} required;',
    ],
)
def test_what_is_no_jaas_line_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="a login module") as caught:
        login(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ("", "CN=a,O=b", "CN=a,O=b"),
        ("DEFAULT", "CN=a", "CN=a"),
        ("RULE:^CN=(.*?),.*$/$1/", "CN=Alice,O=b", "Alice"),
        ("RULE:^CN=(.*?),OU=(.*?)$/$1@$2/L, DEFAULT", "CN=Alice,OU=Dev", "alice@dev"),
        ("RULE:^CN=(.*?),OU=(.*?)$/$1@$2/L, DEFAULT", "CN=Alice", "CN=Alice"),
        ("RULE:^CN=(.*)$/$1/U", "CN=Alice", "ALICE"),
        ("RULE:^CN=(.*)$/$1/", "O=x", None),
    ],
)
def test_principal_mapping_as_in_kafka(rules: str, name: str, expected: str | None) -> None:
    assert principal_name(principal_rules(rules), name) == expected


@pytest.mark.parametrize("rules", ["SOME", "RULE:(/x/", "RULE:a/b", "RULE:a/$1/"])
def test_a_bad_mapping_is_refused(rules: str) -> None:
    with pytest.raises(ValueError, match="DEFAULT or RULE"):
        principal_rules(rules)


def test_a_clients_java_properties_become_librdkafkas() -> None:
    java = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f'{PLAIN} required username="u" password="p";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": "/me.pem",
        "ssl.endpoint.identification.algorithm": "",
        "ssl.protocol": "TLSv1.3",
        "client.id": "c",
    }
    assert to_librdkafka(java) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/me.pem",
        "ssl.key.location": "/me.pem",
        "ssl.endpoint.identification.algorithm": "none",
        "client.id": "c",
    }


@pytest.mark.parametrize(
    ("java", "says"),
    [
        (
            {"ssl.truststore.location": "/x.jks"},
            r"JKS store needs a JVM.*ssl\.truststore\.type=PEM",
        ),
        ({"ssl.keystore.location": "/x.jks"}, r"ssl\.keystore\.type=PEM"),
        ({"sasl.jaas.config": "Krb5 required;"}, r"want a PLAIN or SCRAM"),
    ],
)
def test_what_only_a_jvm_reads_is_refused(java: dict[str, str], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        to_librdkafka(java)
