"""Secrets of all kinds are masked, the same one alike; clean lines stay as they are. All secrets here are made up."""

import pytest

from devops_agent.distil.redact import Redactor, redact

A36 = "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2ln"


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f"using ghp_{A36}", f"ghp_{A36}"),
        (f"pushing image build-ghp_{A36}", f"ghp_{A36}"),
        ("id AKIAABCDEFGHIJKLMNOP.", "AKIAABCDEFGHIJKLMNOP"),
        ("aws_secret_access_key = " + "aB3/" * 10, "aB3/" * 10),
        ("DB_PASSWORD=hunter22", "hunter22"),
        ("  password: correct-Horse7", "correct-Horse7"),
        ("MYSQL_PWD: 's3cret pw1'", "s3cret pw1"),
        ('{"user": "bob", "clientSecret": "zZ9-yY8"}', "zZ9-yY8"),
        ("+ mysql -u root -phunter22 shop", "hunter22"),
        ("curl -u admin:hunter22 https://ci.example/", "hunter22"),
        ("docker login -u bot -p hunter22 registry.example", "hunter22"),
        ("tool --api-key hunter22 push", "hunter22"),
        ("tool --password=hunter22 push", "hunter22"),
        ("postgres://app:hunter22@db:5432/shop", "hunter22"),
        ("redis://:hunter22@cache:6379/0", "hunter22"),
        (f"https://{A36}@git.example/a.git", A36),
        ("Authorization: Basic dXNlcjpodW50ZXIyMg==", "dXNlcjpodW50ZXIyMg=="),
        ("> authorization: Bearer abc123def456ghi789", "abc123def456ghi789"),
        ("Cookie: session=abc123def456", "abc123def456"),
        ("GET /x?api_key=abc123def456&page=2", "abc123def456"),
        ("Server=db;User Id=sa;Password=hunter22!;Encrypt=true", "hunter22!"),
        ("host=db user=app password=hunter22 dbname=shop", "hunter22"),
        (f"jwt {JWT}", JWT),
        ("machine git.example login bot password hunter22", "hunter22"),
        ("//registry.example/:_authToken=abcdef123456", "abcdef123456"),
    ],
)  # fmt: skip
def test_a_secret_is_masked(line: str, secret: str) -> None:
    masked, counts = redact(line)
    assert secret not in masked
    assert "[redacted:" in masked
    assert sum(counts.values()) >= 1


@pytest.mark.parametrize(
    "line",
    [
        "SyntaxError: Unexpected token: punc (;)",
        "password: required",
        "DB_PASSWORD=***",
        "token: ${{ secrets.TOKEN }}",
        "export API_KEY=$API_KEY",
        "Enter password:",
        "tests/test_tokens.py::test_password_reset PASSED",
        "error: unknown key 'passwd' in section [auth]",
        "def login(username, password): return None",
        "see https://example.com/a?page=2&sort=asc",
        "commit 3f2b8c1d9e77aa2b1c9d3f2b8c1d9e77aa2b1c9d",
        "sha256:3f2b8c1d9e77aa2b1c9d3f2b8c1d9e77aa2b1c9d3f2b8c1d9e77aa2b1c9d0011",
        "Successfully installed secretstorage-3.3.3 keyring-24.2.0",
        "basic authentication is not supported here",
        "git@github.com:shop/cart.git",
    ],
)
def test_a_clean_line_stays_as_it_is(line: str) -> None:
    assert redact(line) == (line, {})


def test_the_same_secret_gets_the_same_placeholder_wherever_it_stands() -> None:
    masked, counts = redact("DB_PASSWORD=hunter22xyz\nlogin with hunter22xyz failed\nAPI_KEY=other99xyz")
    first, second, third = masked.split("\n")
    placeholder = first.removeprefix("DB_PASSWORD=")
    assert second == f"login with {placeholder} failed"
    assert placeholder not in third
    assert sum(counts.values()) == 3


def test_a_private_key_is_masked_over_its_lines() -> None:
    body = ["MIIEpAIBAAKCAQEA" + "x1Y2" * 12] * 3
    text = "\n".join(["cat id_rsa", "-----BEGIN RSA PRIVATE KEY-----", *body, "-----END RSA PRIVATE KEY-----", "done"])
    masked, counts = redact(text)
    lines = masked.split("\n")
    assert len(lines) == 7
    assert lines[0] == "cat id_rsa"
    assert lines[-1] == "done"
    assert "MIIE" not in masked
    assert counts == {"private-key": 1}


def test_a_key_that_breaks_off_hides_nothing_else() -> None:
    masked, _ = redact("-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEAx1Y2x1Y2\nmake: *** [all] Error 1")
    assert masked.endswith("make: *** [all] Error 1")
    assert "MIIE" not in masked


def test_own_patterns() -> None:
    redactor = Redactor([r"badge-(?P<s>\d{6})", r"INT-[A-Z]{8}"])
    assert redactor.text("badge-123456 and INT-ABCDEFGH") == "badge-[redacted:own:1] and [redacted:own:2]"
    assert redactor.counts == {"own": 2}


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("POST https://api.telegram.org/bot123456789:AA" + "x1Y2z" * 6 + "abc/sendMessage", "AA" + "x1Y2z" * 6),
        ("secret_key_base: " + "0f1e" * 16, "0f1e" * 16),
        ("Step 3/9 : ENV MYSQL_ROOT_PASSWORD hunter22x", "hunter22x"),
        (r'{"log":"+ docker login -u bot\nmysql -u root -phunter22 shop\n"}', "hunter22"),
        (r'{"log":"ok\r\nredis-cli -a hunter22 ping\n","stream":"stderr"}', "hunter22"),
        (r'{"log":"X-Api-Key: abcdef123456\nCookie: session=hunter22\n"}', "hunter22"),
        (r'{"message": "sent {\"client_secret\": \"zZ9yY8xX7\"}"}', "zZ9yY8xX7"),
        (r'{"message": "{\"auths\":{\"r.example\":{\"auth\":\"dXNlcjpodW50ZXIyMg==\"}}}"}', "dXNlcjpodW50ZXIyMg=="),
        (r"curl -d 'a\nb' --password=ab\ncd1234 x", "ncd1234"),
    ],
)
def test_a_secret_within_a_text_in_a_string_is_masked(line: str, secret: str) -> None:
    masked, counts = redact(line)
    assert secret not in masked
    assert sum(counts.values()) >= 1


def test_very_many_secrets_do_not_take_longer_for_each_of_them() -> None:
    lines = [f"DB_PASSWORD=s3cret{number:07d}x" for number in range(20_000)]
    masked, counts = redact("\n".join([*lines, "again s3cret0019999x"]))
    assert "s3cret00" not in masked
    assert counts["assigned"] == 20_001
