# ruff: noqa: E501  expressions are easier to compare on one line each
"""What secrets look like: by their own form (`forms.py`: tokens of vendors), or by what stands before them.

A rule masks its group `s`, or all that it matches. A rule of the kind `next` masks nothing: after it, the following line
holds the secret (`following.py`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from devops_agent.distil.forms import TOKEN, VAGUE
from devops_agent.distil.needs import NEEDS
from devops_agent.distil.rule import Rule
from devops_agent.scan.grams import Grams

KEY_BEGIN = re.compile(r"-{4,5} ?BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-Lines: \d+")
KEY_END = re.compile(r"-{4,5} ?END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-MAC: [0-9a-f]+")
KEY_BODY = re.compile(
    r"(?:^|[\s\"'|>+=\]]|\\[nr])[A-Za-z0-9+/]{16,}={0,2}(?:\\+[nr]|[\s\"',;+\\}\]])*$"
    r"|^[\s+>]*=?[A-Za-z0-9+/]{1,76}={0,2}(?:\\+[nr]|[\s\"',;+\\])*$|[\s\"'|>][A-Za-z0-9+/]{2,76}={1,2}(?:\\+[nr]|[\s\"',;+\\])*$|^(?:\\+[nr]|[\s\"',;+\\])+$|[|>\s]=[A-Za-z0-9+/]{4}\s*$"
    r"|(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset): "
)
KEY = "PRIVATE KEY"
KEY_LINES = r"(?:BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|Private-Lines: )"
"""What a text with a private key holds, and the same for the sieve."""

_NAME = (
    r"pass(?:wd|word|phrase|code)?|pwd|ps?w|psk|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|master[_-]?key|(?:account|app|deploy|service|admin|storage|auth)[_-]?key|credentials?"
    r"|auth(?:token|ident)?|jwt|bearer|sess(?:ion)?[_-]?id|(?<=_)session|cookie|salt|dsn|csrf|webhook|license[_-]?key"
    r"|pre-?shared-?key|client[_-]key[_-]data|saml(?:request|response)|client[_-]assertion|code[_-]verifier|(?<=connect\.)sid"
)
_SUFFIX = r"(?:[_-]?(?:string|value|text)|[_-](?:id|value|key|data|hash|base|base64|b64|str|string|plain|hex|prod|dev|test|staging|live|new|old|admin|root|user|db|default|\d{1,3}))?"
_ASSIGNED = r"(?:" + _NAME + r")" + _SUFFIX
_BY_NAME = "(?i)" + _ASSIGNED
_WHOLE = r"[\w.-]{0,80}?" + _ASSIGNED
"""A name behind anything, and with what stands before it."""
_SAID = "(?i)(?:token|secret|pass(?:word|phrase)|(?:api|access|master|private|fernet|encryption|signing)[ _-]?key)"
_QUOTE = r"\\{0,7}[\"'`]"
_TO_QUOTE = r"(?P<s>(?:(?!(?P=q))(?:\\.|[^\r\n])){3,4000}?)(?=(?P=q))"
_BARE = r"(?P<s>[^\s\"'`]{3,4000}?)(?=[,;:)]*(?:[\s\"'`]|$))"
_WEAK = (
    r"(?:(?<![\w.-])|(?<=\s-)|(?<=\s--)|(?<=\s-[DP]))(?![\w.-]{0,60}(?:cache|restore|primary|public|foreign|sort|partition|object|index|host|row|group|known|lookup|idempot|package))"
    r"_?(?:(?:[A-Za-z0-9]{1,40}[_.-]){1,6}(?:key|pat|sid|login|session)|\$?[a-z0-9]{0,30}(?:[a-z]Key|sessionid)|session|totp|otp|encoded)"
)
_OPTION = (
    r"(?:password|passwd|pass|pwd|passphrase|token|secret|api-?key|access-?key|secret-?key|auth-?key|auth-?token|client-?secret|passin|passout"
    r"|storepass|keypass|credentials|pat|(?:deploy|encryption|license|hmac|webhook|ssh|service|app|master|shared|signing|secret|account|storage|host)-key|(?:rpc|webhook|shared|hmac)-secret)"
)
_TOOLS = (
    r"sshpass|plink|pscp|docker[\s\"',]{1,4}login|podman[\s\"',]{1,4}login|buildah login|helm registry login|az login|az sql|psexec|oc login|cf login|crane auth login"
    r"|ibmcloud login|twine|poetry publish|security (?:unlock-keychain|import|create-keychain|set-key-partition-list)|altool|signtool|ldap[a-z]{3,8}|psql|mongo(?:sh|dump|restore|export|import)?|sqlcmd|bcp"
    r"|7z|rar|unrar|kinit|cqlsh|influx|rabbitmqadmin|schtasks|ncftpput|useradd|usermod|snowsql|nuget"
)
_BODY = r"(?P<s>[^\s\"';|]{2,4000})"

_RULES: tuple[tuple[str, str], ...] = (
    ("token", TOKEN),
    ("token", VAGUE),
    ("token", r"\bbot(?P<s>\d{8,10}:AA[\w-]{33})(?![A-Za-z0-9])"),
    ("jwt", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,4000}(?:\.[\w-]{4,4000}){0,3}"),
    ("webhook", r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/(?P<s>[\w/]{20,120})"),
    ("webhook", r"https://(?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/(?P<s>\d{10,22}/[\w-]{40,90})"),
    (
        "webhook",
        r"https://(?:[\w-]+\.webhook\.office\.com/webhookb2|outlook\.office(?:365)?\.com/webhook)/(?P<s>[\w@/-]{40,300})",
    ),
    (
        "url",
        r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/'\"<>\[\]]{0,100}:(?!\d{1,5}/)(?P<s>[^\s'\"<>/]{1,4000}|[^\s@'\"<>]{1,200}(?=@[\w.-]+[:/]))@(?=[\w\[%(-])",
    ),
    (
        "url",
        r"(?i)\bhttps?://(?:[^\s/:@'\"<>]{0,100}:)?(?P<s>(?=[\w-]{0,200}\d)[\w-]{20,255})(?::[^\s/@'\"]{0,80})?@[\w.-]+",
    ),
    ("assigned", r"(?i)PWD=\{(?P<s>[^{}\r\n]{3,200})\}"),
    (
        "query",
        r"(?i)(?:[?&#]|%26|%3f)(?:(?:[\w-]{0,30}(?:token|secret|password|passwd|pass|pwd|api[_-]?key|apikey|signature|credential|auth|sig|access[_-]?key|verifier|assertion|saml\w{7,8})|x-(?:amz|goog)-[\w-]*(?:signature|token|credential)|key|code|sas)(?:=|%3d)|(?:hmac|sign|ticket|session|sid|appid|hapikey|[a-z]+-key|\w{0,20}sessionid)=(?=[^\s&\"'<>#]{16}))(?P<s>[^\s&\"'<>#]{3,8000})",
    ),
    (
        "header",
        r"(?i)\b(?:proxy-)?authorization\b\\{0,7}[\"']?\s{0,3}(?::|=>|=|,)\s{0,3}[\[(\\\"']{0,6}(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256|key)\s+|[a-z][\w.-]{1,24}\s+(?=\S{0,200}\d|\S{20}))?(?:[\w-]{2,20}=\\{0,7}[\"']?)?(?P<s>[^\s\"',;\\\])}=][^\s\"',;\\\])}]{5,8000})",
    ),
    ("header", r"\b(?:[Bb]earer|BEARER|Basic|BASIC|basic)\s+(?P<s>(?=\S{0,100}\d)[A-Za-z0-9+/_.~-]{12,8000}={0,2})"),
    (
        "header",
        r"(?i)\b(?:signature|oauth_signature|response|mac|hmac|sentry_key|cnonce)\s?=\s?\\{0,7}[\"']?(?P<s>(?=[^\s\"',]{0,60}\d)[A-Za-z0-9+/%_-]{20,1000}={0,2})",
    ),
    (
        "cookie",
        r"(?i)\b(?:set-cookie|cookies?)\\{0,7}[\"']?\s{0,3}[:=]\s{0,3}[\[({\\\"']{0,6}(?:[\w.-]{1,60}[\"']?\s?[:=]\s?[\"']?)?(?P<s>[^\r\n\"'\\]{6,8000})",
    ),
    (
        "header",
        r"(?i)\b(?:x-[\w-]{0,30}(?:key|token|secret|auth|signature(?:-256)?|team)|private-token|job-token|[a-z]{2,20}-crumb|ocp-apim-subscription-key|api-key|dd-api-key|dd-application-key|fastly-key|circle-token)\\{0,7}[\"']?\s{0,3}[:=]\s{0,3}[\[({\\\"']{0,6}(?:[a-z]{1,10}\d{0,3}=)?(?P<s>[^\s\"',;\\\])}]{6,8000})",
    ),
    (
        "password",
        r"(?i)(?<![\w/-])(?:--?|/)(?:[a-z0-9][a-z0-9-]{0,60}?)?"
        + _OPTION
        + r"(?:=|\s{1,3}|(?P<e>\\{0,7}[\"'])(?:,\s{0,3}|\s)(?=(?P=e)))(?:pass:)?(?P<q>"
        + _QUOTE
        + r")(?:pass:)?"
        + _TO_QUOTE,
    ),
    (
        "password",
        r"(?i)(?<![\w/-])(?:--?|/)(?:[a-z0-9][a-z0-9-]{0,60}?)?" + _OPTION + r"(?:=|:(?=\S)|\s{1,3})(?:pass:)?" + _BARE,
    ),
    (
        "password",
        r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|mysqlimport|mysqlcheck)\b[^|;\n]{0,300}?\s(?:[\\\"']{0,4}-p|password\s+)[\\\"']{0,4}(?P<s>[^\s\"';|\\]{3,200})",
    ),
    (
        "password",
        r"\b(?:"
        + _TOOLS
        + r")\b[^|;\n]{0,300}?\s[\\\"']{0,4}(?:-[pPwW]|-pw|/r?p)(?:[\\\"']{1,4},)?\s?[\\\"']{0,4}(?P<s>[^\s\"';|\\/-][^\s\"';|\\]{2,4000})",
    ),
    ("password", r"\b(?:zip|unzip)\b[^|;\n]{0,200}?\s-P\s?[\"']?" + _BODY),
    ("password", r"\bredis-cli\b[^|;\n]{0,200}?\s(?:-a|--pass)\s?[\"']?" + _BODY),
    (
        "password",
        r"(?:\b(?:curl|wget|http|https|xh)\b[^|;\n]{0,400}?\s(?:-u|-U|--user|--proxy-user|-a|--auth)|\s(?:-auth|--(?:src-|dest-)?creds)|[\[\s]\\{0,7}[\"'](?:-auth|-u)(?=\\{0,7}[\"']))(?:[\\\"']{1,4},\s?|[= ])?[\\\"']{0,4}(?:\[redacted:[a-z-]{1,20}:\d{1,6}\]|[^\s:\"'=]{1,80}):(?P<s>[^\s\"'\\]{2,200})",
    ),
    (
        "password",
        r"\bhtpasswd\s+(?:-[A-Za-z]+\s+)*?(?:-[A-Za-z]*n[A-Za-z]*\s+(?:-[A-Za-z]+\s+)*|-[A-Za-z]*b[A-Za-z]*\s+(?:-[A-Za-z]+\s+)*\S+\s+)\S+\s+[\"']?"
        + _BODY,
    ),
    ("password", r"\bopenssl\b[^|;\n]{0,300}?\s(?:-[kK]|passwd\s+-\d)\s+[\"']?(?P<s>[^\s\"';|-][^\s\"';|]{2,400})"),
    (
        "password",
        r"\b(?:cargo login|wandb login|vault login|vault operator unseal|snyk auth|ngrok (?:config add-)?auth-?token|nuget setApiKey|rabbitmqctl (?:add_user|change_password) \S+|composer config [^|;\n]{0,60}(?:http-basic\.\S+ \S+|github-oauth\.\S+)|poetry config (?:http-basic\.\S+ \S+|pypi-token\.\S+)|bundle config (?:set )?(?:--\w+ )?\S+\.\S+|net use [^|;\n]{0,80}/user:\S+|net user \S+|oathtool [^|;\n]{0,40}-b|bash\S*\) -t|codecov\S* [^|;\n]{0,60}-t|anaconda -t|rootpw --\w+|requirepass|bindpw|wpa_passphrase \S+|net use \\\\\S+(?= \S+ /user)|Unseal Key \d+:|New value:|lftp -u \w+,|smbclient\b[^|;\n]{0,80} -U \w+%|ftp -n; user \w+)[ =]?[\"']?(?P<s>[^\s\"';|-][^\s\"';|]{4,400})",
    ),
    (
        "password",
        r"(?i)\b(?:configure set|config set|env set|secret set|setx)\s+[^\s=]{0,120}?"
        + _ASSIGNED
        + r"(?: (?:-b|--body))?\s+[\"']?"
        + _BODY,
    ),
    (
        "password",
        r"\b(?:echo|printf)\s+(?:-\w\s+)?[\\\"']{0,4}(?P<s>[^\s\"'|\\]{3,})[\\\"']{0,4}\s*\|\s*(?:sudo\s+)?(?:docker|podman|helm|-S|passwd|chpasswd|kinit|gh|glab|az|base64|gcloud|cryptsetup|gpg|aws)\b",
    ),
    ("password", r"\b(?:login|auth|kinit|passwd|chpasswd|sudo)\b[^\n|;]{0,80}<<<\s*[\\\"']{0,4}" + _BODY),
    (
        "password",
        r"(?i)\b(?:(?:user|grant|role|to)\b[^\n;]{0,200}?\bidentified\s+(?:with\s+\w+\s+)?by\s+(?:password\s+)?|[a-z]{0,20}(?:password|passphrase|passwd|secret(?=['\"] *\)))(?:\s*=)?\s{0,3}\(?|ConvertTo-SecureString\s+|send\s+(?=\\*\"\S+\\r))(?P<q>\\{0,7}['\"])(?P<s>[^'\"\\\s]{3,200})(?=(?P=q)|\\r)",
    ),
    ("password", r"\bPSCredential\(\s*['\"][^'\"]+['\"],\s*['\"](?P<s>[^'\"]{3,200})"),
    (
        "password",
        r"(?i)\bpassword\s+(?:is|was|(?:was |has been )?(?:set|reset|changed) to|\w+ =)\s{0,2}:?\s{0,2}[\"'`]?(?P<s>(?=[^\s\"'`]{0,60}[0-9!@#$%^&*])[^\s\"'`]{6,200})",
    ),
    (
        "password",
        r"\b(?:ENV|ARG)\s+(?:[A-Za-z0-9]{1,30}_){0,6}(?:PASS(?:WD|WORD|PHRASE)?|PW|PWD|SECRET|CREDENTIALS|TOKEN|SALT|[A-Z]{2,10}_?KEY)(?:_[A-Z0-9]{1,12}){0,2}\s+[\"']?(?P<s>[^\s\"'=]{4,200})",
    ),
    ("password", r"\bmachine\s+\S{1,200}\s+login\s+\S{1,100}\s+password\s+(?P<s>\S{2,200})"),
    (
        "password",
        r"(?:\b(?:login|user(?:name)?)\s+\S{1,80}\s+|^|\s{2})password\s+(?P<s>(?=\S{0,100}\d)\S{5,200})(?=\s*$|\s+\w+\s*$)",
    ),
    (
        "password",
        r"(?<![\w/])[\w.*-]{1,100}:(?:\d{4,5}|\*):[\w*-]{1,60}:[\w*-]{1,60}:(?P<s>[^\s:'\"\\]{4,200})(?=[\s\\\"']|$)",
    ),
    ("password", r"\b\w{1,40}/(?P<s>[^\s/@\"']{4,100})@(?://)?[\w.-]{3,80}:\d{2,5}[/:]\w+"),
    (
        "password",
        r"(?:jdbc:oracle:\w+:|\b(?:sqlplus|expdp|impdp|sqlldr)\s+(?:-\w\s+)*)\w{1,40}/(?P<s>[^\s/@\"']{3,100})@",
    ),
    ("password", r"\b[\w.-]{1,60}:(?P<s>[^\s:/@\"']{3,200})@(?:tcp|udp|unix)\("),
    (
        "quoted",
        r"(?i)"
        + _ASSIGNED
        + r"(?:\\{0,7}[\"'])?\]?\s{0,8}(?::=|=>|\|\|=|==?|:|,(?<=[\"'],))\s{0,8}(?:[bru]?)(?P<q>"
        + _QUOTE
        + r")"
        + _TO_QUOTE,
    ),
    ("quoted", r"(?i)pass(?:word|wd|phrase)?\(\\{0,7}[\"'](?P<s>[^\"'\s\\]{4,200})(?=\\{0,7}[\"'])"),
    (
        "quoted",
        r"(?i)\b(?:name|key|property)\\{0,7}[\"']?\s{0,3}[:=]\s{0,3}\\{0,7}[\"']"
        + _WHOLE
        + r"\\{0,7}[\"'](?:[^\n>]{0,60}?\bvalue\\{0,7}[\"']?\s{0,3}[:=]\s{0,3}(?P<q>\\{0,7}[\"'])|\s{0,3}(?P<x>>(?:\s{0,3}<value>)?))(?P<s>(?:(?!\\{0,7}[\"'<](?:[\s/},)<]|$))[^\n<]){3,4000})",
    ),
    (
        "element",
        r"(?i)<(?:\w{1,20}:)?(?:"
        + _WHOLE
        + r"(?:\s[^<>\n]{0,80})?|key>"
        + _WHOLE
        + r"</key>\s{0,9}<string)>(?P<s>[^<>\s]{3,8000})(?=<)",
    ),
    (
        "assigned",
        r"(?i)(?:^|[\s\"'])" + _WHOLE + r"=(?P<s>(?:(?![,;&]\s?[\w.-]{1,40}=)[^\s\"'`<>]){3,4000})(?=\s*$|[\"'])",
    ),
    ("assigned", r"(?i)" + _ASSIGNED + r"[\"']?\s{0,2}(?P<o>=|:=|=>)\s{0,2}(?P<s>[^\s\"'`,;&<>()\[\]{}|]{3,4000})"),
    (
        "named",
        r"(?i)"
        + _ASSIGNED
        + r"[\"']?\]?\s{0,8}(?::|=>)\s{1,12}(?P<s>[^\s\"'`,;<>()\[\]{}|\\]{3,4000})(?=\s*$|[,;})\]\"'\\]|\s+[#/]|\s+[\w.-]+\s*[:=])",
    ),
    (
        "strong",
        r"(?i)" + _ASSIGNED + r"[\"']?\s{0,8}:\s{1,12}(?P<s>[^\s\"'`,;\\]{8,400})(?=\s*$|[,;})\]\"'\\]|\s+[#/])",
    ),
    (
        "named",
        r"(?:^|[\s,{;])(?:(?:[A-Z0-9]{1,30}_){0,6}"
        r"(?:PASS(?:WD|WORD|PHRASE)?|PWD|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE)_?KEY)(?:_[A-Z0-9]{1,12}){0,2}|[Pp]ass(?:word|wd)?)"
        r"::?(?P<s>[^\s\"'`,;<>()\[\]{}|:][^\s\"'`,;<>()\[\]{}|]{5,400})",
    ),
    (
        "password",
        r"(?i)(?:^|[\s\"'{,_-])pass(?:word|wd|phrase)[\"']?\s{0,4}:\s{1,6}(?P<s>[^\s\"'`,;<>()\[\]{}|]{6,400})(?=\s*$|,)",
    ),
    (
        "keyed",
        r"(?i)" + _WEAK + r"\\{0,7}[\"']?\s{0,4}(?::|=>|=)\s{0,4}\\{0,7}[\"']?(?P<s>[A-Za-z0-9+/_=.%~-]{16,4000})",
    ),
    ("strong", r"(?i)" + _ASSIGNED + r"\s{2,40}(?P<s>[^\s\"'`,;\\]{8,400})(?=\s*$|[\\\"'])"),
    (
        "strong",
        r"(?<![\w.-])(?![\w.-]{0,60}(?:CACHE|RESTORE|PRIMARY|PUBLIC|SORT|PARTITION))(?:[A-Z0-9]{1,30}_){1,6}(?:KEY|PAT|PW|AUTH)[\\\"']{0,4}\s{0,2}[:=]\s{0,2}[\\\"']{0,4}(?P<s>[^\s\"'`,;&|\\]{7,400})",
    ),
    (
        "strong",
        r"(?i)\b(?:pass(?:word|phrase)|(?:api|access|secret|client|auth|private)\s(?:access\s)?(?:key|secret|token))\b[^\n]{0,60}?[:=]\s{1,4}(?P<s>[^\s\"'`\\]{6,400})(?=\s*$|[\\\"'])",
    ),
    (
        "password",
        r"\bBUNDLE_[A-Z0-9_]{1,60}__[A-Z]{2,20}[\"']?\s{0,2}[:=]\s{0,2}[\\\"']{0,4}(?P<s>[^\s\"':]{4,80}:[^\s\"'\\]{4,80})",
    ),
    (
        "strong",
        r"(?i)(?:variable=" + _WHOLE + r"\]|\bname=" + _WHOLE + r"::)(?P<s>[^\s\"']{3,400})",
    ),
    ("keyed", r"\\{0,7}\"(?:d|p|q|dp|dq|qi|k)\\{0,7}\"\s{0,3}:\s{0,3}\\{0,7}\"(?P<s>[\w-]{20,2000})(?=\\{0,7}\")"),
    ("base64", r"\\{0,7}\"auth\\{0,7}\"\s*:\s*\\{0,7}\"(?P<s>[A-Za-z0-9+/]{8,8000}={0,2})(?=\\{0,7}\")"),
    ("base64", r"\b_auth(?:Token)?\s*=\s*[\"']?(?P<s>[^\s\"']{8,400})"),
    (
        "keyed",
        _SAID + r"(?:\s(?:is|of|was))?\s?(?:->|=>|[:=])?\s{0,4}[\\\"'(]{0,4}(?P<s>[A-Za-z0-9+/_=.~-]{16,4000})",
    ),
    (
        "strong",
        r"(?i)\b(?:with|and|new|using)\s(?:the\s)?pass(?:word|phrase)\s{1,3}[\\\"']{0,4}(?P<s>[^\s\"'\\]{6,200})",
    ),
    ("password", r"\"AUTH\\{0,7}\"\s+(?:\\{0,7}\"[^\s\"]{1,60}\"\s+)?\\{0,7}\"(?P<s>[^\s\"\\]{3,400})"),
    ("password", r"\bAUTH (?:(?:PLAIN|LOGIN|XOAUTH2) )?(?P<s>(?=[A-Za-z]{0,60}\d)[A-Za-z0-9+/]{12,4000}={0,2})"),
    (
        "password",
        r"(?:PASS (?:(?<=-> PASS )|(?<=ftp> PASS )|(?<=C: PASS )|(?<=>>> PASS ))|LOGIN (?<=\d LOGIN )[^\s\"]{1,80}\s)\"?(?P<s>[^\s\"\\]{3,200})",
    ),
    (
        "password",
        r"\b(?:put-parameter|put-secret-value|create-secret|update-secret|keyvault secret set)\b[^|;\n]{0,200}?\s--(?:value|secret-string)[= ][\\\"']{0,4}(?P<s>[^\s\"'\\]{3,4000})",
    ),
    (
        "password",
        r"(?:__construct|mysqli_connect|real_connect|getConnection|new PDO|pg_pconnect)\(\\{0,7}['\"][^'\"]{0,200}['\"],\s?\\{0,7}['\"][^'\"]{0,80}['\"],\s?\\{0,7}['\"](?P<s>[^'\"\\]{2,200})",
    ),
    ("password", r"(?i)\bset password for [^=\n]{1,80}=\s?(?:password\()?['\"](?P<s>[^'\"]{2,200})"),
    ("quoted", r"(?i)" + _ASSIGNED + r"[\"']?\s{0,20}=\s{0,4}\"[^\"\n]*\"\s?->\s?\"(?P<s>[^\"\n]{3,4000})(?=\")"),
    (
        "query",
        r"(?i)%22[\w-]{0,40}(?:password|passwd|pwd|secret|token|key)%22(?:%20|\+)?%3a(?:%20|\+)?%22(?P<s>(?:(?!%22)[^\s&\"']){3,4000})",
    ),
    ("keyed", r"\s-u\s?[\\\"']{0,4}(?P<s>[A-Za-z0-9_]{30,255}):"),
    (
        "next-value",
        r"(?i)\b(?:name|key)\\{0,7}[\"']?\s{0,3}[:=]\s{0,3}[\"']?" + _WHOLE + r"[\"']?\s{0,3},?\s*$|\"keyName\"",
    ),
    (
        "next-row",
        r"(?i)(?:^|[|│,;\t]|  )\s{0,20}(?:[\w.-]{0,30}[_. -])?"
        r"(?:password|passwd|pwd|passphrase|secret|token|(?:api|access|secret)[_ -]?key)\s{0,80}(?:$|[|│,;\t]|  )",
    ),
    ("next-block", r"(?i)" + _ASSIGNED + r"[\"']?\s{0,3}:\s{0,3}[|>][+-]?\d?\s*$"),
    ("next-argument", r"(?i)(?:^|[\s\"'\[])--[a-z0-9-]{0,60}?" + _OPTION + r"[\"']?,?\s*\\?\s*$"),
    ("next-prompt", r"(?i)\bpass(?:word|phrase)\b[^\n:]{0,60}:\s*$"),
    (
        "next-carried",
        r"\b(?:mysql\w*|mariadb|curl|wget|docker|podman|sshpass|psql|helm|twine|ldap\w+|sqlcmd|redis-cli|htpasswd|openssl|az|oc|skopeo)\s[^\n]*\\\s*$",
    ),
)

RULES: tuple[Rule, ...] = tuple(
    Rule(kind, source, needs, source.startswith((_BY_NAME, _SAID)))
    for (kind, source), needs in zip(_RULES, NEEDS, strict=True)
)


_STRINGS = Grams(text for rule in RULES for clause in rule.needs for text in clause)
_SETS = 512
"""Sets of strings whose rules are remembered."""


def possible(lower: str) -> tuple[Rule, ...]:
    """The rules that may match in parts of a lower-cased text; each looks only for what stands in the text."""
    return _needing(frozenset(_STRINGS.held(lower)))


@lru_cache(_SETS)
def _needing(held: frozenset[str]) -> tuple[Rule, ...]:
    """The rules for a text that holds these of all strings."""
    rules = []
    for rule in RULES:
        needs = tuple(tuple(text for text in clause if text in held) for clause in rule.needs)
        if all(needs):
            rules.append(rule.within(needs))
    return tuple(rules)
