"""Plant secrets of all kinds in the lines of real logs and count what redaction finds; count changes of clean lines.

    python benchmarks/distil/secrets.py LOG... [--number 200] [--clean 10000] [--seed 1]

Every secret is made up at random in its vendor's documented form, or as a password where people write passwords.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import string
from pathlib import Path

from devops_agent.distil.clean import clean, decode
from devops_agent.distil.redact import Redactor
from devops_agent.distil.source import expand

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
URLSAFE = ALNUM + "-_"


class Maker:
    """Makes one secret at a time, with the line around it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.forms = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("form_")]

    def of(self, letters: str, length: int) -> str:
        return "".join(self.random.choices(letters, k=length))

    def password(self) -> str:
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.choice(["Winter", "correct", "Hunter", "tiger", "Passw0rd", "dragon"]) + self.of(
                string.digits, 4
            )
        if kind == 1:
            return self.of(ALNUM + "!#%*+-._", self.random.randint(10, 24))
        if kind == 2:
            return self.of(string.ascii_lowercase, 6) + "-" + self.of(ALNUM, 6)
        return self.of(ALNUM, self.random.randint(8, 32))

    def token(self) -> str:
        return self.random.choice(
            [
                "AKIA" + self.of(string.ascii_uppercase + "234567", 16),
                "ghp_" + self.of(ALNUM, 36),
                "github_pat_" + self.of(ALNUM, 22) + "_" + self.of(ALNUM, 59),
                "ghs_" + self.of(ALNUM, 36),
                "glpat-" + self.of(URLSAFE, 20),
                "xoxb-" + self.of(string.digits, 12) + "-" + self.of(string.digits, 12) + "-" + self.of(ALNUM, 24),
                "sk_live_" + self.of(ALNUM, 24),
                "sk-proj-" + self.of(ALNUM, 48),
                "sk-ant-api03-" + self.of(URLSAFE, 93),
                "AIza" + self.of(URLSAFE, 35),
                "ya29." + self.of(URLSAFE, 60),
                "npm_" + self.of(ALNUM, 36),
                "pypi-AgEI" + self.of(URLSAFE, 80),
                "hf_" + self.of(ALNUM, 34),
                "dop_v1_" + self.of(HEX, 64),
                "dckr_pat_" + self.of(URLSAFE, 27),
                "SG." + self.of(URLSAFE, 22) + "." + self.of(URLSAFE, 43),
                "hvs." + self.of(ALNUM, 90),
                "dapi" + self.of(HEX, 32),
                "shpat_" + self.of(HEX, 32),
                "NRAK-" + self.of(UPPER, 27),
                "lin_api_" + self.of(ALNUM, 40),
                "key-" + self.of(HEX, 32),
                "glsa_" + self.of(ALNUM, 32) + "_" + self.of(HEX, 8),
                "PMAK-" + self.of(HEX, 24) + "-" + self.of(HEX, 34),
                self.of(string.digits, 10) + ":AA" + self.of(URLSAFE, 33),
                "GOCSPX-" + self.of(ALNUM, 28),
                "whsec_" + self.of(ALNUM, 32),
            ]
        )

    def form_bare_token(self) -> tuple[str, str]:
        secret = self.token()
        return secret, self.random.choice(
            ["using {}", "{}", "token is {}.", "export T={}", "'{}'", "login with {} ok"]
        ).format(secret)

    def form_bare_token_2(self) -> tuple[str, str]:
        return self.form_bare_token()

    def form_variable(self) -> tuple[str, str]:
        secret = self.password()
        name = self.random.choice(
            [
                "DB_PASSWORD",
                "POSTGRES_PASSWORD",
                "API_KEY",
                "SECRET_KEY",
                "AUTH_TOKEN",
                "MYSQL_ROOT_PASSWORD",
                "REDIS_PASS",
                "JWT_SECRET",
                "STRIPE_SECRET",
                "CLIENT_SECRET",
                "SMTP_PWD",
            ]
        )
        return secret, self.random.choice(
            ["{}={}", "export {}={}", "  {}: {}", "{}='{}'", "env: {}={}", "-e {}={}", 'ENV {}="{}"', "{} = {}"]
        ).format(name, secret)

    def form_variable_2(self) -> tuple[str, str]:
        return self.form_variable()

    def form_aws_secret(self) -> tuple[str, str]:
        secret = self.of(ALNUM + "/+", 40)
        return secret, self.random.choice(
            ["AWS_SECRET_ACCESS_KEY={}", "aws_secret_access_key = {}", '"SecretAccessKey": "{}"', "secretAccessKey: {}"]
        ).format(secret)

    def form_url(self) -> tuple[str, str]:
        secret = self.of(ALNUM + "!*-._", 12)
        scheme = self.random.choice(
            ["postgres", "mysql", "mongodb+srv", "redis", "amqp", "https", "ftp", "postgresql+psycopg2"]
        )
        return secret, self.random.choice(
            [
                "connecting to {}://app:{}@db.example:5432/shop",
                "DATABASE_URL={}://app:{}@db/shop",
                "{}://:{}@cache:6379/0",
            ]
        ).format(scheme, secret)

    def form_header(self) -> tuple[str, str]:
        secret = self.of(ALNUM, 32)
        return secret, self.random.choice(
            [
                "Authorization: Bearer {}",
                "> authorization: Bearer {}",
                "X-Api-Key: {}",
                "-H 'Authorization: token {}'",
                '"Authorization": "Bearer {}"',
                "PRIVATE-TOKEN: {}",
                "X-Auth-Token: {}",
                "Proxy-Authorization: Bearer {}",
                "Cookie: session={}; theme=dark",
                "Set-Cookie: sid={}; Path=/; HttpOnly",
            ]
        ).format(secret)

    def form_basic(self) -> tuple[str, str]:
        secret = base64.b64encode(f"user:{self.password()}".encode()).decode()
        return secret, self.random.choice(
            ["Authorization: Basic {}", "curl -H 'Authorization: Basic {}' https://api.example/v1"]
        ).format(secret)

    def form_json(self) -> tuple[str, str]:
        secret = self.password()
        key = self.random.choice(
            ["password", "client_secret", "apiKey", "access_token", "dbPassword", "secret", "refresh_token"]
        )
        return secret, self.random.choice(
            ['{{"user": "bob", "{}": "{}"}}', "{{'{}': '{}', 'n': 1}}", 'body={{"{}":"{}"}}']
        ).format(key, secret)

    def form_command(self) -> tuple[str, str]:
        secret = self.of(ALNUM, 14)
        return secret, self.random.choice(
            [
                "+ mysql -u root -p{} shop",
                "mysqldump --password={} shop",
                "curl -u admin:{} https://ci.example/job",
                "docker login -u bot -p {} registry.example",
                "sshpass -p {} ssh deploy@web-1",
                "redis-cli -h cache -a {} ping",
                "PGPASSWORD={} psql -h db",
                "$ tool --api-key {} push",
                "helm install --set auth.password={} db",
                "deploy --token={} --env prod",
                "openssl rsa -passin pass:{} -in key.pem",
                "wget --password {} https://x.example/f",
            ]
        ).format(secret)

    def form_connection(self) -> tuple[str, str]:
        secret = self.of(ALNUM + "!#*", 14)
        return secret, self.random.choice(
            [
                "Server=db;Database=shop;User Id=sa;Password={};Encrypt=true",
                "host=db user=app password={} dbname=shop",
                "AccountName=shop;AccountKey={};EndpointSuffix=core.example",
                "jdbc:postgresql://db/shop?user=app&password={}",
                "Endpoint=sb://x.example/;SharedAccessKey={}",
                "Pwd={};Uid=sa;",
            ]
        ).format(secret)

    def form_jwt(self) -> tuple[str, str]:
        def part(value: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        secret = ".".join(
            [
                part({"alg": "HS256", "typ": "JWT"}),
                part({"sub": self.of(string.digits, 8), "exp": 1}),
                self.of(URLSAFE, 43),
            ]
        )
        return secret, self.random.choice(["jwt {}", "id_token={}", "got {} from issuer"]).format(secret)

    def form_query(self) -> tuple[str, str]:
        secret = self.of(ALNUM, 24)
        return secret, self.random.choice(
            [
                "GET /v1/items?api_key={}&page=2 200",
                "https://x.example/cb?access_token={}",
                "https://store.example/f?sv=1&sig={}&se=2",
                "GET https://s3.example/f?X-Amz-Signature={}",
            ]
        ).format(secret)

    def form_key(self) -> tuple[str, str]:
        body = "\n".join(self.of(ALNUM + "+/", 64) for _ in range(5))
        kind = self.random.choice(["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "])
        return body, f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"

    def form_webhook(self) -> tuple[str, str]:
        secret = "T" + self.of(UPPER, 8) + "/B" + self.of(UPPER, 8) + "/" + self.of(ALNUM, 24)
        return secret, f"posting to https://hooks.slack.com/services/{secret}"

    def form_file(self) -> tuple[str, str]:
        secret = self.of(ALNUM, 24)
        return secret, self.random.choice(
            [
                "//registry.example/:_authToken={}",
                "machine git.example login bot password {}",
                '"auth": "{}"',
                "db.example:5432:shop:app:{}",
                "_password={}",
                "token: {}",
                "password: {}",
            ]
        ).format(secret)


def main() -> None:
    """Plant, mask, count, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("logs", nargs="+", type=Path)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--clean", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    lines = [clean(line) for log in given.logs for line in decode(expand(log.read_bytes())).split("\n")]
    maker = Maker(given.seed)
    maker.random.shuffle(lines)
    clean_lines = [line for line in lines if line.strip()][: given.clean]
    changed = [(line, masked) for line in clean_lines if (masked := Redactor().line(line)) != line]
    missed = []
    for number in range(given.number):
        secret, line = maker.forms[number % len(maker.forms)]()
        text = "\n".join([*maker.random.sample(clean_lines, 3), line, *maker.random.sample(clean_lines, 3)])
        masked = Redactor().text(text)
        if any(part in masked for part in secret.split("\n")):
            missed.append(line)
    print(f"secrets found: {given.number - len(missed)} of {given.number} ({1 - len(missed) / given.number:.3f})")
    for line in missed:
        print("  missed:", line[:160])
    print(f"clean lines changed: {len(changed)} of {len(clean_lines)}")
    for line, masked in changed[:40]:
        print("  changed:", line[:140], "->", masked[:140])


if __name__ == "__main__":
    main()
