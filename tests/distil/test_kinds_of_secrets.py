# ruff: noqa: E501  a case is easier to read on one line
"""Many kinds of secrets in the places where programs print them. All are made up here, from pieces, at every run."""

import base64
import random

import pytest

from devops_agent.distil.redact import Redactor, redact

CHANCE = random.Random(11)
HEX = "0123456789abcdef"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ALL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
EIGHT = 8


def of(letters: str, length: int) -> str:
    return (
        "".join(CHANCE.choices(letters, k=length))
        if length < 12
        else "a7" + "".join(CHANCE.choices(letters, k=length - 2))
    )


def survives(secret: str, masked: str) -> str:
    """The first piece of a secret that still stands in a text."""
    if len(secret) <= EIGHT:
        return secret if secret in masked else ""
    pieces = (secret[at : at + EIGHT] for at in range(len(secret) - EIGHT + 1))
    return next((piece for piece in pieces if piece in masked), "")


UUID = "-".join(of(HEX, length) for length in (8, 4, 4, 4, 12))
B64 = base64.b64encode(CHANCE.randbytes(64)).decode()
TOKENS = {
    "gitlab, routable": "gl" + "pat-" + of(ALL, 44) + ".01." + of(HEX, 9),
    "gitlab runner": "gl" + "rt-t1_" + of(ALL, 20),
    "gitlab registration": "GR" + "1348941" + of(ALL, 20),
    "circleci project": "CCI" + "PRJ_" + of(ALL, 22) + "_" + of(HEX, 40),
    "buildkite job": "bk" + "aj_" + of(ALL, 60),
    "octopus": "AP" + "I-" + "A1" + "".join(CHANCE.choices(UPPER, k=24)),
    "sonar": "sq" + "a_" + of(HEX, 40),
    "slack, rotated": "xo" + "xe.xo" + "xp-1-" + of(ALL, 146),
    "bedrock": "AB" + "SK" + of(ALL, 110) + "==",
    "azure client": of(ALL, 3) + "8" + "Q~" + of(ALL, 34),
    "openshift": "sha256" + "~" + of(ALL, 43),
    "crates": "ci" + "o" + of(ALL, 32),
    "clojars": "CLO" + "JARS_" + of(HEX, 60),
    "hugging face organisation": "api" + "_org_" + of(ALL, 34),
    "perplexity": "pp" + "lx-" + of(ALL, 48),
    "new relic": of(HEX, 36) + "NR" + "AL",
    "grafana, old": "eyJr" + "Ijoi" + of(ALL, 80),
    "mailgun": of(HEX, 32) + "-" + of(HEX, 8) + "-" + of(HEX, 8),
    "launchdarkly": "sd" + "k-" + UUID,
    "terraform": of(ALL, 14) + ".atlas" + "v1." + of(ALL, 67),
    "bcrypt": "$2" + "y$10$" + of(ALL, 53),
    "shadow": "$6" + "$" + of(ALL, 8) + "$" + of(ALL, 86),
    "key in base64": base64.b64encode(b"-----BEGIN RSA PRIVATE" + b" KEY-----\n" + CHANCE.randbytes(48)).decode(),
}


@pytest.mark.parametrize(
    "around", ["using {} for it", "Bad credentials: '{}'", "auth%3D{}", "+{}", "\x1b[32m{}\x1b[0m"]
)
@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_of_vendors(kind: str, around: str) -> None:
    assert not survives(TOKENS[kind], redact(around.format(TOKENS[kind]))[0])


PLACES = [
    "OVH_CONSUMER_KEY={random}", "PAGERDUTY_ROUTING_KEY: {random}", "sonar-scanner -Dsonar.login={random}",
    "CODECOV_TOKEN={uuid}", "secret_id             {uuid}", "_app_session={random}", "kubectl config: client-key-data: {base64}",
    "Authorization: Digest username=\"bob\", realm=\"x\", uri=\"/\", response=\"{random}\"",
    "Authorization: AWS4-HMAC-SHA256 Credential=X/20240501/iam/aws4_request, SignedHeaders=host, Signature={random}",
    "Authorization: GenieKey {uuid}", "Authorization:[Bearer {random}]", "Authorization: Token token=\"{random}\"",
    "set-cookie: ['session={random}; Path=/']", "cookies={{'sessionid': '{random}'}}", "Jenkins-Crumb: {random}",
    "GET /sso?SAMLRequest={random}&RelayState=x", "https://x.example/f?hmac={random}", "https://bob@corp.example:{word}@git.example/a",
    "mysql://root:p@{word}@127.0.0.1:3306/x", "app:{word}@tcp(db:3306)/shop", "DRIVER={{X}};UID=sa;PWD={{a#{word}/b}};",
    "curl -ubob:{word} https://x.example", "curl -U bob:{word} -x p:1 https://x", "skopeo copy --src-creds bob:{word} a b",
    "plink -ssh bob@h -pw {word} ls", "htpasswd -bc /etc/f bob {word}", "htpasswd -nbB bob {word}", "openssl enc -d -k {word} -in a",
    "echo {word} | docker login -u bob --password-stdin", "echo 'bob:{word}' | chpasswd", "cargo login {random}",
    "rabbitmqctl add_user bob {word}", "composer config http-basic.repo.example bob {word}", "requirepass {word}",
    "aws configure set aws_secret_access_key {base64}", "npm config set //r.example/:_authToken {uuid}", "setx API_TOKEN {word}",
    "ALTER ROLE app PASSWORD '{word}'", "storePassword \"{word}\"", "conn.setPassword(\"{word}\");", "lftp -u bob,{word} ftp.example",
    "['tool', '--api-key', '{word}', 'x']", "[\"tool\",\"--token\",\"{word}\"]", "['mysql', '-u', 'root', '-p{word}']",
    "<password>{word}</password>", "<db:password>{word}</db:password>", "<property name=\"password\" value=\"{word}\"/>",
    "<entry key=\"db.password\">{word}</entry>", "<key>apiToken</key><string>{word}</string>", "<add key=\"ClearTextPassword\" value=\"{word}\" />",
    "{{\"name\":\"DB_PASSWORD\",\"value\":\"{word}\"}}", "{{\"log\":\"{{\\\"message\\\":\\\"MYSQL_PWD=\\\\\\\"{word}\\\\\\\"\\\"}}\\n\"}}",
    "password: {word}  # rotated", "failed (DB_PASSWORD: {word})", "[sudo] password for bob: {word}", "Unseal Key 1: {base64}",
    "AWS Secret Access Key [None]: {word}", "password:{word}", "##vso[task.setvariable variable=DB_PASSWORD]{word}",
    "DB_PASSWORD=a1,b;c&d({word})", "export TOKEN=\"it's {word}\"", "db.example:5432:shop:app:{word}\"", "DB_PASSWORD=\x1b[32m{word}\x1b[0m",
    "Cookie: id=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2ln; session={word}",
    "- name: DB_PASSWORD\n  value: {word}", "password: |\n  {word}", "secret: >-\n    {word}", "tool \\\n --password \\\n {word} \\\n x",
    "mysql -h db \\\n  -u root \\\n  -p{word} shop", "curl \\\n -u bob:{word} \\\n https://x", "- --db-password\n- {word}",
    "2024-05-01T12:00:00Z - name: API_KEY\n2024-05-01T12:00:00Z   value: \"{word}\"", "Please use the following password:\n\n{word}",
    "curl -u {random}:x-oauth-basic https://x.example", "DSN=prod;UID=u;PWD=a#{word}", "Got access token {random}",
    "Set-Password -Password (ConvertTo-SecureString '{word}' -AsPlainText -Force)", "created user bob with password {word}",
    "rails master key: {random}", "1714564800.1 [0 10.0.0.1:5] \"AUTH\" \"{word}\"", "---> PASS {word}", "a1 LOGIN bob {word}",
    "PDO->__construct('mysql:host=db', 'root', '{word}')", "SET PASSWORD FOR 'root'@'localhost' = '{word}'",
    "  ~ secret_string = \"old\" -> \"{word}\"", "\"SecretString\": \"{word}\"", "%22password%22%3A%22{random}%22",
    "cmdkey /add:x /user:bob /pass:{word}", "aws ssm put-parameter --name /x --value {word} --type SecureString",
    "printf '{word}' | docker login --password-stdin", "NEXUS_CREDENTIALS_PSW={word}",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_places(place: str) -> None:
    values = {"word": of(ALL, 6) + "4x!" + of(ALL, 5), "random": of(HEX, 40), "uuid": UUID, "base64": B64}
    secret = next(value for name, value in values.items() if f"{{{name}}}" in place)
    text = place.format(**values)
    masked, counts = redact(f"one line\n{text}\nanother line")
    assert not survives(secret, masked)
    assert sum(counts.values()) >= 1
    assert masked.startswith("one line\n")
    assert masked.endswith("\nanother line")
    assert masked.count("\n") == text.count("\n") + 2
    assert redact(masked)[0] == masked


@pytest.mark.parametrize("before", ["", "app_1  | ", "2024-05-01T12:00:00Z ", "+", '    "'])
@pytest.mark.parametrize("kind", ["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "", "PGP "])
def test_keys_with_something_before_each_line(before: str, kind: str) -> None:
    name = kind + "PRIVATE KEY" + (" BLOCK" if kind == "PGP " else "")
    body = [of(ALL, 64) for _ in range(6)] + [of(ALL, 22) + "=="]
    head = ["Comment: x", ""] if kind == "PGP " else []
    after = '\\n" +' if before.endswith('"') else ""
    lines = [f"-----BEGIN {name}-----", *head, *body, f"-----END {name}-----"]
    masked, counts = redact("\n".join(["first", *(before + line + after for line in lines), "last one"]))
    assert not any(survives(line, masked) for line in body)
    assert masked.split("\n")[-1] == "last one"
    assert counts["private-key"] == 1


def test_a_putty_key() -> None:
    body = [of(ALL, 64) for _ in range(4)]
    text = "\n".join(
        ["Public-Lines: 1", "AAAAB3Nz", "Private-Lines: 4", *body, "Private-" + "MAC: " + of(HEX, 40), "done"]
    )
    masked = redact(text)[0]
    assert not any(survives(line, masked) for line in body)
    assert masked.endswith("\ndone")


@pytest.mark.parametrize(
    "line",
    [
        "[INFO] --- maven-source-plugin:3.0.1:jar (attach-sources) @ shop ---",
        "[INFO] >>> findbugs-maven-plugin:3.0.3:check (default) > :findbugs @ shop >>>",
        "gcc -Wformat-security -Werror=format-security -D_FORTIFY_SOURCE=2 -g -c a.c",
        "ghc -this-package-key KJOG5Az39JY3gSdTOt6p98 -hide-all-packages -package-db dist/db",
        "Cache saved with key: Linux-node-3f2b8c1d9e77aa2b1c9d3f2b8c1d9e77aa2b1c9d3f2b8c1d9e77aa2b1c9d0011",
        "cache-primary-key=linux-3f2b8c1d9e77aa2b1c9d3f2b8c1d9e77aa2b1c9d",
        "Can't locate revision identified by '3f2a91c0b7d4'",
        "npm http fetch GET 200 http://localhost:4873/@scope/pkg 12ms",
        "docker exec -u www-data:www-data web php artisan migrate",
        'echo -n "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > /tmp/x',
        'echo "CC_TOKEN=" >> "$GITHUB_ENV"',
        "docker build --secret id=npmrc,src=$HOME/.npmrc .",
        "const token = await core.getIDToken(process.env.AUDIENCE)",
        "<server><username>${env.U}</username><password>${env.P}</password></server>",
        "Access-Control-Allow-Credentials=[true]}",
        "password is generated at the first start",
        'FATAL: password authentication failed for user "app"',
        "Enter password:\nConnected to db-01",
        "- name: LOG_LEVEL\n  value: debug",
        "  description: |\n    some text",
        "docker run \\\n  -e LOG=1 \\\n  web",
    ],
)
def test_what_is_none_stays(line: str) -> None:
    assert redact(line) == (line, {})


def test_colours_of_a_clean_line_stay() -> None:
    line = "\x1b[32mpassword:\x1b[0m required"
    assert redact(line)[0] == line


def test_a_plain_word_is_masked_where_it_is_said_and_nowhere_else() -> None:
    masked = Redactor().text("POSTGRES_PASSWORD=postgres\nserver postgres is ready")
    assert masked == "POSTGRES_PASSWORD=[redacted:assigned:1]\nserver postgres is ready"
