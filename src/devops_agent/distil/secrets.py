# ruff: noqa: E501  expressions are easier to compare on one line each
"""What secrets look like: by their own form (tokens of vendors, JWTs), or by what stands before them.

Forms are from the vendors' documentation of their token formats. A rule masks its group `s`, or all that it matches.
"""

from __future__ import annotations

import re
from functools import cached_property

from devops_agent.scan.literals import holds

KEY_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
KEY_BODY = re.compile(
    r"[A-Za-z0-9+/=]{16,}|^\s*[A-Za-z0-9+/]{1,76}={0,2}\s*$|\b[A-Za-z0-9+/]{2,76}={1,2}\s*$|^\s*(?:Proc-Type|DEK-Info|Version|Comment): "
)

_TOKENS = r"""
  (?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}
| gh[pousr]_[A-Za-z0-9]{30,255} | github_pat_\w{40,255}
| dak_[0-9a-f]{12}_[\w-]{40,60}
| gl(?:pat|ptt|dt|rt|cbt|imt|agent|soat|ffct|oas)-[\w-]{20,64}
| xox[abeoprs]-[\w-]{10,250} | xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]+
| sk-(?:proj-|ant-[a-z0-9]+-|or-v1-|svcacct-|admin-)?[A-Za-z0-9_-]{20,200}
| (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,200} | whsec_[A-Za-z0-9+/=]{20,80}
| AIza[\w-]{35} | ya29\.[\w-]{20,400} | GOCSPX-[\w-]{28} | 1//0[\w-]{30,200}
| npm_[A-Za-z0-9]{36} | pypi-[A-Za-z0-9_-]{50,300} | rubygems_[a-f0-9]{48} | oy2[a-z0-9]{43}
| hf_[A-Za-z0-9]{30,60} | r8_[A-Za-z0-9]{37} | gsk_[A-Za-z0-9]{40,60}
| do[opr]_v1_[a-f0-9]{64} | dckr_(?:pat|oat)_[\w-]{20,60} | dapi[a-f0-9]{32}(?:-\d)?
| SG\.[\w-]{16,32}\.[\w-]{32,64} | key-[a-f0-9]{32} | re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,40}
| \d{8,10}:AA[\w-]{33}
| shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32} | sq0(?:atp|csp|idp)-[\w-]{22,43} | EAAA[\w-]{60}
| hv[sbr]\.[\w-]{20,300} | [A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,80} | lin_api_[A-Za-z0-9]{32,48}
| NRAK-[A-Z0-9]{27} | NRJS-[a-f0-9]{19} | gl(?:sa|c)_[A-Za-z0-9+/_=]{32,200} | sntry[su]_[\w+/=-]{40,300}
| PMAK-[a-f0-9]{24}-[a-f0-9]{34} | dp\.(?:pt|st|ct|sa)\.[\w.-]{40,70} | AGE-SECRET-KEY-1[A-Z0-9]{58}
| AKCp[A-Za-z0-9]{60,80} | ATATT3[\w=-]{60,300} | ATBB[A-Za-z0-9]{28,40} | ATCTT3[\w=-]{60,300}
| HRKU-[\w-]{36,70} | fo1_[\w-]{43} | fm[12][ar]?_[A-Za-z0-9+/=]{60,400} | sbp_[a-f0-9]{40} | vc[pkrai]_[\w]{24,80}
| pscale_(?:tkn|pw|oauth)_[\w.=-]{32,64} | nfp_[A-Za-z0-9]{36} | CCIPAT_[\w]{20,80} | bk[ua]{2}_[a-z0-9]{40}
| figd_[\w-]{40} | ntn_[A-Za-z0-9]{40,60} | secret_[A-Za-z0-9]{43} | tskey-[a-z]+-[\w-]{20,80} | EZ[AT]K[A-Za-z0-9]{54}
| pul-[a-f0-9]{40} | sqp_[a-f0-9]{40} | cmVmdGtuOj[A-Za-z0-9]{40,60}
| ops_eyJ[\w+/=-]{100,900} | xkeysib-[a-f0-9]{64}-\w{16} | LTAI[A-Za-z0-9]{12,24}
| t1\.[A-Z0-9a-z_-]+\.[A-Za-z0-9_-]{86} | AQVN[\w-]{35,38} | dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64} | cfut_\w{40,60}
"""

_VAGUE_TOKENS = r"""
  (?:AC|SK)[a-f0-9]{32} | [MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40} | [a-f0-9]{32}-us\d{1,2}
| pat[A-Za-z0-9]{14}\.[a-f0-9]{64}
"""

_NAME = (
    r"pass(?:wd|word|phrase|code)?|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|master[_-]?key|account[_-]?key|shared[_-]?access[_-]?key|auth[_-]?key|credentials?"
    r"|auth(?:token)?|jwt|bearer|client[_-]?secret|session[_-]?id|cookie|salt|dsn"
)
_END = r"(?=$|[\s,;&)}\]\"'<>|])"

_ASSIGNED = (
    r"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{1,40}[_.-]){0,6}(?:[a-z0-9]{1,30}(?=[A-Z]))?(?:"
    + _NAME
    + r")(?:[_-](?:id|value|key|base|base64|b64|prod|dev|test|staging|live|\d{1,3}))?"
)

_RULES: tuple[tuple[str, str], ...] = (
    ("token", (r"(?x)(?<![A-Za-z0-9_/+-])(?:" + _TOKENS + r")(?![A-Za-z0-9])")),
    ("token", (r"(?x)(?<![A-Za-z0-9_/+-])(?:" + _VAGUE_TOKENS + r")(?![A-Za-z0-9])")),
    ("token", (r"\bbot(?P<s>\d{8,10}:AA[\w-]{33})(?![A-Za-z0-9])")),
    ("jwt", (r"(?<![\w-])eyJ[\w-]{8,2000}\.[\w-]{4,4000}(?:\.[\w-]{4,2000}){0,3}")),
    ("webhook", (r"https://hooks\.slack\.com/(?:services|workflows)/(?P<s>[\w/]{20,120})")),
    ("webhook", (r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/(?P<s>\d{10,22}/[\w-]{40,90})")),
    ("webhook", (r"https://[\w-]+\.webhook\.office\.com/webhookb2/(?P<s>[\w@/-]{40,300})")),
    (
        "url",
        (
            r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"<>]{0,100}:(?P<s>[^\s@'\"<>/]{1,200}|[^\s@'\"<>]{1,200}(?=@[\w.-]+[:/]))@"
        ),
    ),
    ("url", (r"(?i)\bhttps?://(?P<s>[A-Za-z0-9_-]{20,255})@[\w.-]+")),
    (
        "query",
        (
            r"(?i)[?&;](?:[\w-]{0,30}(?:token|secret|password|passwd|pwd|api[_-]?key|apikey|signature|credential|auth|sig|access[_-]?key)|x-amz-[\w-]*(?:signature|token|credential)|key|code|sas)=(?P<s>[^\s&\"'<>#]{6,4000})"
        ),
    ),
    (
        "header",
        (
            r"(?i)\b(?:proxy-)?authorization\b[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256|key)\s+)?(?P<s>[^\s\"',;]{6,4000})"
        ),
    ),
    (
        "header",
        (r"\b(?:[Bb]earer|BEARER|Basic|BASIC)\s+(?P<s>(?=\S{0,100}\d)[A-Za-z0-9+/_.~-]{16,4000}={0,2})"),
    ),
    ("header", (r"(?i)\b(?:set-cookie|cookie)[\"']?\s{0,3}:\s{0,3}[\"']?(?P<s>[^\r\n\"']{6,4000})")),
    (
        "header",
        (
            r"(?i)\b(?:x-[\w-]{0,30}(?:key|token|secret|auth|signature)|private-token|job-token|ocp-apim-subscription-key|api-key|x-vault-token|dd-api-key|circle-token)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<s>[^\s\"',;]{6,4000})"
        ),
    ),
    (
        "password",
        (
            r"(?i)(?:--?|/)(?:[a-z0-9]{1,30}-){0,3}(?:password|passwd|pass|pwd|passphrase|token|secret|api-?key|access-?key|secret-?key|auth-?token|client-?secret|passin|passout|storepass|keypass|credentials?)(?:[= ]|\s{1,3})(?:pass:)?[\"']?(?P<s>[^\s\"',;]{3,400})"
        ),
    ),
    (
        "password",
        (
            r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mysqlimport|mysqlcheck)\b[^|;\n]{0,200}?\s-p(?P<s>[^\s\"';|]{3,200})"
        ),
    ),
    (
        "password",
        (
            r"\b(?:sshpass|docker login|podman login|helm registry login|az login|htpasswd|twine|ldapsearch|psql|mongo(?:sh|dump)?|sqlcmd|7z|zip|unzip|kinit)\b[^|;\n]{0,200}?\s-[pPwW]\s?[\"']?(?P<s>[^\s\"';|-][^\s\"';|]{2,200})"
        ),
    ),
    ("password", (r"\bredis-cli\b[^|;\n]{0,200}?\s(?:-a|--pass)\s?[\"']?(?P<s>[^\s\"';|]{3,200})")),
    (
        "password",
        (
            r"\b(?:curl|wget|http|https)\b[^|;\n]{0,400}?\s(?:-u|--user|--proxy-user|-a)\s?[\"']?[^\s:\"']{1,80}:(?P<s>[^\s\"'@]{2,200})"
        ),
    ),
    (
        "password",
        (r"(?i)\bidentified\s+(?:with\s+\w+\s+)?by\s+(?:password\s+)?['\"](?P<s>[^'\"]{2,200})['\"]"),
    ),
    ("password", (r"(?i)\bpassword\s+(?:is|was)\s+[\"'`]?(?P<s>[^\s\"'`]{6,200})")),
    (
        "password",
        (
            r"\b(?:ENV|ARG)\s+(?:[A-Z0-9]{1,30}_){0,6}(?:PASS(?:WD|WORD)?|SECRET(?:_KEY)?|TOKEN|API_?KEY)\s+[\"']?(?P<s>[^\s\"'=]{4,200})"
        ),
    ),
    ("password", (r"\bmachine\s+\S{1,200}\s+login\s+\S{1,100}\s+password\s+(?P<s>\S{2,200})")),
    ("password", (r"\b[\w.-]{1,100}:\d{4,5}:[\w*-]{1,60}:[\w*-]{1,60}:(?P<s>[^\s:'\"]{4,200})$")),
    ("password", (r"\b\w{1,40}/(?P<s>[^\s/@\"']{4,100})@(?://)?[\w.-]{3,80}:\d{2,5}[/:]\w+")),
    (
        "quoted",
        (
            r"(?i)"
            + _ASSIGNED
            + r"\\?[\"']?\]?\s{0,8}(?::=|=>|==?|:)\s{0,8}(?:[bru]?)(?P<q>\\?[\"'`])(?P<s>[^\"'`\\\r\n]{3,400}?)(?P=q)"
        ),
    ),
    (
        "assigned",
        (r"(?i)" + _ASSIGNED + r"[\"']?\s{0,2}(?P<o>=|:=|=>)\s{0,2}(?P<s>[^\s\"'`,;&<>()\[\]{}|]{3,400})"),
    ),
    (
        "named",
        (
            r"(?i)"
            + _ASSIGNED
            + r"[\"']?\s{0,8}:\s{1,12}(?P<s>[^\s\"'`,;<>()\[\]{}|]{3,400})(?=\s*$|[,;}]|\s+[\w.-]+\s*[:=])"
        ),
    ),
    (
        "named",
        (
            r"(?:^|[\s,{;])(?:[A-Z0-9]{1,30}_){0,6}"
            r"(?:PASS(?:WD|WORD|PHRASE)?|PWD|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE)_?KEY)(?:_[A-Z0-9]{1,12}){0,2}"
            r":(?P<s>[^\s\"'`,;<>()\[\]{}|]{6,400})"
        ),
    ),
    (
        "password",
        (
            r"(?i)(?:^|[\s\"'{,_-])pass(?:word|wd|phrase)[\"']?\s{0,4}:\s{1,6}(?P<s>[^\s\"'`,;<>()\[\]{}|]{6,400})(?=\s*$|,)"
        ),
    ),
    ("base64", (r"\\?\"auth\\?\"\s*:\s*\\?\"(?P<s>[A-Za-z0-9+/]{8,400}={0,2})\\?\"")),
    ("base64", (r"\b_auth(?:Token)?\s*=\s*[\"']?(?P<s>[^\s\"']{8,400})")),
)

_NAMES = (
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
    "jwt",
    "bearer",
    "session",
    "cookie",
    "salt",
    "dsn",
)
_SIGNS = ("=", ":")
_FORMS = (
    "akia", "asia", "aroa", "aida", "abia", "acca", "dak_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat-", "glptt-",
    "gldt-", "glrt-", "glcbt-", "glimt-", "glagent-", "glsoat-", "glffct-", "gloas-", "xox", "xapp-", "sk-", "sk_", "rk_", "pk_",
    "whsec_", "aiza", "ya29.", "gocspx-", "1//0", "npm_", "pypi-", "rubygems_", "oy2", "hf_", "r8_", "gsk_", "_v1_", "dckr_",
    "dapi", "sg.", "key-", "re_", ":aa", "shpat_", "shpca_", "shppa_", "shpss_", "sq0", "eaaa", "hvs.", "hvb.", "hvr.", "atlasv1",
    "lin_api_", "nrak-", "nrjs-", "glsa_", "glc_", "sntry", "pmak-", "dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "age-secret", "akcp",
    "atatt3", "atbb", "atctt3", "hrku-", "fo1_", "fm1", "fm2", "sbp_", "vcp_", "vck_", "vcr_", "vca_", "vci_", "pscale_", "nfp_",
    "ccipat_", "bkua_", "bkaa_", "bkpa_", "figd_", "ntn_", "secret_", "tskey-", "eztk", "ezak", "pul-", "sqp_", "cmvmdgtuoj",
    "ops_eyj", "xkeysib-", "ltai", "t1.", "aqvn", "dt0c01.", "cfut_",
)  # fmt: skip
_NEEDS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (_FORMS,),
    (("ac", "sk", "-us", "."),),
    (("bot",), (":aa",)),
    (("eyj",),),
    (("hooks.slack",),),
    (("/webhooks/",),),
    (("webhook.office",),),
    (("://",), ("@",)),
    (("://",), ("@",)),
    (("=",), ("?", "&", ";")),
    (("authorization",),),
    (("bearer", "basic"),),
    (("cookie",),),
    (("x-", "-token", "-key"), _SIGNS),
    (("-", "/"), ("pass", "pwd", "token", "secret", "key", "credential")),
    (("mysql", "mariadb"), ("-p",)),
    (("-p", "-w"), ("pass", "login", "twine", "ldap", "psql", "mongo", "sqlcmd", "zip", "7z", "kinit")),
    (("redis-cli",),),
    (("curl", "wget", "http"), ("-u", "-a")),
    (("identified",),),
    (("password",),),
    (("env", "arg"), ("pass", "secret", "token", "key")),
    (("machine",), ("password",)),
    ((":",),),
    (("@",), ("/",)),
    (_NAMES, _SIGNS),
    (_NAMES, ("=",)),
    (_NAMES, (":",)),
    (("pass", "pwd", "secret", "token", "key"), (":",)),
    (("pass",), (":",)),
    (('"auth',),),
    (("_auth",),),
)


class Rule:
    """One expression, compiled when a text first holds what it needs: of each group of strings one."""

    def __init__(self, kind: str, source: str, needs: tuple[tuple[str, ...], ...]) -> None:
        self.kind = kind
        self.source = source
        self.needs = needs

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The compiled expression."""
        return re.compile(self.source)

    def possible(self, lower: str) -> bool:
        """Whether a lower-cased text holds what the rule needs."""
        return holds(lower, self.needs)


RULES: tuple[Rule, ...] = tuple(Rule(kind, source, needs) for (kind, source), needs in zip(_RULES, _NEEDS, strict=True))


_HARMLESS = re.compile(
    r"(?i)(?:\*+|x{3,}|\.{2,}|-+|_+|<.*>?|\$\w*|\$[({].*|%\w*%|%[a-z]|%[({].*|\{\{.*|\{\w*\}?|\[\w*\]?|\(\w*\)?|@\w+@?|null|nil|none|undefined|true|false|yes|no|on|off|empty|missing|required|optional|invalid"
    r"|expired|unset|set|secure|masked|hidden|redacted|filtered|removed|default|auto|env|string|str|int|bool|boolean|integer|text|bytes|object|function|type"
    r"|error|failed|failure|success|succeeded|ok|found|not|is|was|are|the|for|in|at|to|of|and|or|with|from|by|on|a|an|this|that|value|name|key|token|password|secret"
    r"|expected|unexpected|unknown|incorrect|wrong|changed|updated|created|deleted|rejected|denied|accepted|enabled|disabled|read|write|used|basic|bearer|identifier"
    r"|n/?a|todo|tbd|self|request|requests|response|file|path|user|username|class|def|import|return|new|var|let|const|match|matches|mismatch|length|index|version"
    r"|process\.env\S*|os\.environ\S*|env\.\S*|secrets?\.\S*|vault:\S*|ref\+\S*|file:\S*|arn:\S*|/[\w.-]{1,30}(?:/[\w.-]{1,30}){1,20}/?|/\w{0,20}|\d{1,5}|https?:.*)"
    r"[.,:;!?]*"
)
_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\(.*|[a-z_]+(?:\.[a-z_]+)+|.*(?:::|->).*")
_WORD = re.compile(r"[a-z]+|[A-Z][a-z]+|[A-Z]?[a-z]+(?:[-_ ][A-Z]?[a-z]+)+|[A-Z]+(?:_[A-Z]+)*")


def is_secret(kind: str, value: str) -> bool:
    """Whether a value that stands where a secret would is one, and no word, variable, mask or piece of code."""
    if _HARMLESS.fullmatch(value):
        return False
    if kind in ("named", "assigned", "quoted") and _CODE.fullmatch(value):
        return False
    if kind == "named":
        return not _WORD.fullmatch(value) and len(value) >= 6
    if kind == "quoted":
        return " " not in value.strip() or any(character.isdigit() for character in value)
    return True
