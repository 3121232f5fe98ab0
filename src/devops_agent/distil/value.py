"""Whether a value that stands where a secret would is one, and no word, variable, mask or piece of code."""

from __future__ import annotations

import re

_HARMLESS = re.compile(
    r"(?i)(?:\*+|\[?(?:true|false)\]?\W*|\\+\$.*|x{3,}|\.{2,}|-+|_+|<.*>?|\$[\w.]*|\$[({].*|%\w*%|%[a-z]|%[({].*|\{\{.*|\{\w*\}?|\[\w*\]?|\([\w-]*\)?|@\w+@?|null|nil|none|undefined|true|false|yes|no|on|off|empty|missing|required|optional|invalid"
    r"|expired|unset|set|secure|masked|hidden|redacted|filtered|removed|default|auto|env|string|str|int|bool|boolean|integer|text|bytes|object|function|type"
    r"|error|failed|failure|success|succeeded|ok|found|not|is|was|are|the|for|in|at|to|of|and|or|with|from|by|on|a|an|this|that|value|name|key|token|password|secret"
    r"|expected|unexpected|unknown|incorrect|wrong|changed|updated|created|deleted|rejected|denied|accepted|enabled|disabled|read|write|used|basic|bearer|identifier"
    r"|n/?a|todo|tbd|self|request|requests|response|signature|digest|oauth2?|hmac|ldap|saml|oidc|sso|kerberos|ntlm|negotiate|plain|custom|internal|external|anonymous|session|cookie|header|query|body|file|path|user|username|class|def|import|return|new|var|let|const|await|yield|async|lambda|typeof|match|matches|mismatch|length|index|version"
    r"|process\.env\S*|os\.environ\S*|env[.:]\S*|id=.*|secrets?\.\S*|vault:\S*|ref\+\S*|file:\S*|arn:\S*|/[\w.-]{1,30}(?:/[\w.-]{1,30}){1,20}/?|/\w{0,20}|\d{1,5}|https?:.*)"
    r"[.,:;!?]*"
)
_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\(.*\)\W*|[a-z_]+(?:\.[a-z_]+)+|.*(?:::|->).*")
_WORD = re.compile(r"[a-z]+|[A-Z][a-z]+|[A-Z]?[a-z]+(?:[-_ ][A-Z]?[a-z]+)+|[A-Z]+(?:_[A-Z]+)*")
_RUN = re.compile(r"[A-Za-z0-9+]{16,}")
_RANDOM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[^A-Za-z]*[A-Za-z])(?=(?:[^0-9]*[0-9]){2}).*")
_STRONG = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9]).{6,}")
_DULL = re.compile(
    r"(?i)v?\d+(?:[.-]\w+)*|[\w.-]*/.*|.*[\w-]+\.\w{1,5}|\d+(?:\.\d+)?[a-z]{1,3}|[\w-]+(?:\.[\w-]+)+(?::\d+)?|.*(?:==|\[|\]|\(|::|->|\\).*|0x[0-9a-f]+"
)


def is_secret(kind: str, value: str) -> bool:
    """Whether a value that stands where a secret would is one, and no word, variable, mask or piece of code."""
    if _HARMLESS.fullmatch(value) and not (len(value) >= 38 and random(value)):
        return False
    if kind == "keyed":
        return random(value)
    if kind == "strong":
        return bool(_STRONG.fullmatch(value)) and (not _DULL.fullmatch(value) or ("/" not in value and random(value)))
    if kind in ("named", "assigned", "quoted", "element") and _CODE.fullmatch(value):
        return False
    if kind in ("named", "element"):
        return not _WORD.fullmatch(value) and len(value) >= 5
    if kind == "quoted":
        if value[0] == " " or not any(map(str.isalnum, value)):
            return False
        return " " not in value.strip() or any(character.isdigit() for character in value)
    return True


def random(value: str) -> bool:
    """Whether no person has thought of it: a long run of letters with digits, or a UUID."""
    run = max(_RUN.findall(value), key=len, default="")
    return bool(_RANDOM.fullmatch(run)) or (
        len(value) >= 36 and bool(_RANDOM.fullmatch(value)) and value.count("-") == 4
    )
