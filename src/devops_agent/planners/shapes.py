"""Shapes of facts that belong to no single failure: addresses, prompts, objects of a cluster, exit codes.

`ANYWHERE` counts on every line of the excerpt, the nearest to the decisive ones first; `DECISIVE` is so common that it
only counts on the decisive lines themselves. Of the shapes that fit a line the first one names the fact.
"""

from __future__ import annotations

_NAME = r"[a-z0-9](?:[\w.-]{0,250}[\w])?"
_ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}"
_DOMAINS = (
    r"(?:com|org|net|io|dev|internal|intern|local|localdomain|lan|corp|home|svc|cloud|app|edu|gov|info|test|example|co|ai|tech|"
    r"me|us|uk|de|fr|ch|at|nl|be|eu|es|pt|it|se|no|dk|fi|pl|cz|ru|ua|cn|jp|kr|tw|hk|sg|in|au|nz|ca|br|mx|ar|za|il|tr|gr|hu|ro)"
)
_HELP = (
    r"(?!https?://(?:docs?\.|help\.|support\.|wiki\.|developers?\.(?:mozilla|google)|learn\.|go\.microsoft|aka\.ms|stackoverflow"
    r"|man7\.|bit\.ly|[^\s/]{1,80}/(?:\S{0,80}/)?(?:docs?|help|wiki|issues|troubleshoot\w*|faq|guides?|questions|quotas?)\b))"
)
"""Addresses of pages to read are not what failed."""

ANYWHERE: tuple[str, ...] = (
    rf"Successfully assigned (?P<namespace>{_NAME})/(?P<pod>{_NAME}) to (?P<node>{_NAME})",
    rf"\bkubectl\b.{{0,80}}? -n[ =]?(?P<namespace>{_NAME})\b",
    rf"\bkubectl\b.{{0,80}}?--namespace[ =](?P<namespace>{_NAME})\b",
    rf"\bkubectl\b.{{0,80}}? (?:pod|pods|po)[ /](?P<pod>{_NAME})\b",
    rf"\bpods? [\"'](?:(?P<namespace>{_NAME})/)?(?P<pod>{_NAME})[\"']",
    rf"\bpod[=/:](?:(?P<namespace>{_NAME})/)?(?P<pod>{_NAME})\b",
    rf"\bnamespace[=: ]+[\"']?(?P<namespace>{_NAME})[\"']?",
    rf"\bnode[=:] ?[\"']?(?P<node>{_NAME})[\"']?",
    r"\bnodes?/(?P<node>[a-z0-9][a-z0-9.]{0,60}[0-9-][\w.-]{0,180})\b",
    rf"\bnode [\"'](?P<node>{_NAME})[\"']",
    rf"\b(?:for|unmounted|mounted|attach) volumes?[ =:]+\[?[\"'](?P<volume>{_NAME})[\"']",
    rf"\bvolume[=/: ]+[\"'](?P<volume>{_NAME})[\"']",
    r"\b(?P<volume>pvc-[0-9a-f]{8}-[0-9a-f-]{27})\b",
    rf"\bcontainer[=/: ]+[\"'](?P<container>{_NAME})[\"']",
    r"\b(?:[Pp]ulling image|[Ff]ailed to pull image|[Ii]mage:?|image=) ?\"(?P<image>[\w./:@-]{2,200})\"",
    r"Unable to find image '(?P<image>[\w./:@-]{2,200})' locally",
    r"\b(?:Error pulling image \(\S{1,80}\)|Pulling) from (?P<image>[\w./-]{2,200}\w)",
    r"\bdocker(?: image)? (?:pull|push) (?P<image>[\w./:@-]{2,200})",
    rf"(?P<url>{_HELP}\bhttps?://[^\s'\"<>|\\^`{{}}]{{4,400}}[^\s'\"<>|\\^`{{}}.,;:)\]])",
    r"(?P<url>\b(?:postgres(?:ql)?|mysql|redis|amqps?|mongodb(?:\+srv)?|ssh|git|ftp|nats|kafka|s3)://[^\s'\"<>]{3,300})",
    r"'(?P<user>[\w.-]{1,80})'@'(?P<host>[\w.:-]{2,253})'",
    r"\buser(?:name)?[ =:]+[\"'](?P<user>[\w.@-]{1,80})[\"']",
    r"\b(?:user|login|account)=(?P<user>[A-Za-z][\w.@-]{0,80})\b",
    r"\b(?:ssh|scp|sftp|rsync|ls-remote|[Cc]loning|clone|fetch(?:ing)?|[Ff]etching|as)\b.{0,120}?[\s/'\"](?P<user>[a-z_][\w.-]{0,40})"
    r"@(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63}){0,8})(?::|\b)",
    r"\brole[ =:]+[\"'](?P<role>[\w.@-]{1,80})[\"']",
    r"\bdatabase[ =:]+[\"'](?P<database>[\w.-]{1,80})[\"']",
    r"\b(?:dbname|database|db)=(?P<database>[\w.-]{1,80})\b",
    r"\]:?\w{0,40}:? ?(?P<user>\w{1,60})@(?P<database>\w{1,60}),app=",
    r"\b(?i:table|relation)[ =:]+[\"'`](?P<table>[\w.]{1,100})[\"'`]",
    r"\b(?i:insert into|delete from|(?:alter|truncate) table|(?:create|drop) table(?: if (?:not )?exists)?)"
    r" [\"`]?(?P<table>[\w.]{1,100})[\"`]?",
    r"\b(?i:update) [\"`]?(?P<table>[\w.]{1,100})[\"`]? (?i:set)\b",
    r"\b(?i:topics?)[ =:]+[\"'`\[]{1,2}(?P<topic>[\w.-]{2,200})[\"'`\]]",
    r"\b(?i:queue)[ =:]+[\"'`](?P<queue>[\w.-]{2,200})[\"'`]",
    r"\b(?P<unit>[\w@-]{2,80}\.(?:service|socket|timer|mount))\b(?!\.\w|\()",
    r"\b(?i:branch)[ =:]+[\"'`](?P<branch>[\w./-]{1,200})[\"'`]",
    r"^(?:[\w.@:~/\[\]() -]{0,60})?(?:\$|(?<=[\w\])~: ])#|(?<=[A-Za-z\])~] )%|(?<=[\])~])%) (?:sudo )?"
    r"(?P<command>[a-z./][\w./+-]{1,40})(?: |$)",
    r"^_{3,} (?P<test>[Tt]est[\w.]{2,80}(?:\[[^\]]{1,60}\])?) _{3,}$",
    r"^(?P<test>test\w{2,80}|Test\w{2,80}) \([\w.]{2,120}\) \.{3}\s*$",
    r"^--- FAIL: (?P<test>Test[\w/.-]{1,120}) \(",
    r"^(?:FAILED|ERROR) (?P<test>[\w./-]{2,160}::[\w:\[\]., -]{2,160}?)(?: - |$)",
    r"\b(?:exit(?:ed)?(?: with)?|returned|return|terminated with|failed with|finished with)(?: an?)?(?: non-?zero)?"
    r"(?: exit)? (?:code|status)(?: code| status)?[ :=]+(?P<exit_code>\d{1,3})\b",
    r"\b(?i:exit(?:ed)?[ _-]?code)\"?[ :=]{1,6}(?P<exit_code>\d{1,3})\b|\bexited(?: with)? (?P<exit_code_2>\d{1,3})\b",
    r"\bcode=exited, status=(?P<exit_code>\d{1,3})/|\"rc\": (?P<exit_code_2>[1-9]\d{0,2})\b",
    r"\b(?P<signal>SIG(?:SEGV|KILL|ABRT|BUS|ILL|FPE|TRAP|SYS|XCPU))\b",
    r"\bhost[ =:]+[\"'](?P<host>[\w.-]{2,253})[\"']",
    r"\bhost=(?P<host>[\w-][\w.-]{1,252})\b(?!\()",
    r"\bport=(?P<port>\d{2,5})\b",
    r"^\s*[\"']?(?:address|host|hostname)[\"']?: [\"'](?P<host>[\w.:-]{2,253})[\"'],?",
    r"^\s*[\"']?port[\"']?: [\"']?(?P<port>\d{2,5})[\"']?,?\s*$",
    r"^(?:fatal|failed|unreachable): \[(?P<host>[\w.-]{2,253})",
    r"^(?P<host>[\w.-]{2,253}) \| (?:UNREACHABLE|FAILED)",
    r"^\W{0,4}(?:[\w:., -]{0,40} - )?(?:Host(?: ?[Nn]ame)?|Server|Remote host|Hostname|hostname): {1,8}"
    r"(?P<host>[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){1,8})\s*$",
    r"(?:^|\s)(?:-connect|--host|--server)[ =](?P<host>[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}):(?P<port>\d{2,5})\b",
    r"\b(?:nc|ncat|telnet|nmap)(?: -\S{1,20}){0,4} (?P<host>[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){1,8})"
    r"(?: (?P<port>\d{2,5})\b)?",
    r"\(\"(?P<pod>[a-z0-9][a-z0-9.-]{1,250})_(?P<namespace>[a-z0-9][a-z0-9-]{0,62})\([0-9a-f-]{8,36}\)",
    r"\bpod (?P<pod>[a-z0-9][a-z0-9.-]{1,250})_(?P<namespace>[a-z0-9][a-z0-9-]{0,62})\([0-9a-f-]{8,36}\)",
    r"^PING (?P<host>[\w.-]{2,253}) \(",
    rf"\bto (?P<host>{_ADDRESS})\b",
    r"^\W{0,4}with (?P<resource>(?:module\.)?[a-z][\w-]{1,60}\.[\w.\[\]\"-]{1,100}),$",
    r"\bin resource \"(?P<resource>[\w-]{2,80})\" \"",
    r"\bbrew (?:install|reinstall|upgrade|fetch) (?:-\S{1,20} )*(?P<package>[\w@./+-]{1,100})",
    r"\b(?:pip3?|gem|cargo|pipx) install (?:-\S{1,20} )*(?P<package>[A-Za-z][\w.-]{1,100})\b",
    r"\bcomposer (?:require|create-project) (?:-\S{1,20} )*(?P<package>[\w./-]{3,100})",
    r"\b(?:npm (?:install|i|add)|yarn add|pnpm add) (?:-\S{1,20} )*(?P<package>@?[a-z][\w./-]{1,100})\b",
    r"\b(?:apt(?:-get)?|yum|dnf|zypper|apk) (?:-\S{1,20} )*(?:install|add) (?:-\S{1,20} )*"
    r"(?P<package>[a-z0-9][\w.+-]{1,80})\s*$",
)

DECISIVE: tuple[str, ...] = (
    rf"->(?P<host>{_ADDRESS}|\[[0-9a-fA-F:]{{2,45}}\]|[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}}):(?P<port>\d{{1,5}})\b",
    rf"(?<![\w.:/>-])(?:(?P<host>{_ADDRESS}|localhost|(?:[\w-]{{1,63}}\.){{1,8}}{_DOMAINS})(?::(?P<port>\d{{2,5}}))?)(?![\w.-]|:\d{{1,4}}:)",
    r"(?:\[[0-9a-f:]{2,45}\]|\*|0\.0\.0\.0|:::?):(?P<port>\d{2,5})\b",
    r"\b(?i:port)[ :=#]{1,3}(?P<port>\d{2,5})\b",
    r"\b(?i:server|host(?:name)?|host name|upstream|endpoint|broker|peer)[ :=]{1,2}[\"'`]"
    r"(?P<host>[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){0,8})[\"'`]",
    r"@(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})(?:[:/]|\b)",
    r"\bfor (?:invalid )?user[ :]+[\"'`]?(?P<user>[\w.@-]{2,80}\w)",
    r"\b(?i:user) [\"'`]?(?P<user>[\w.@-]{2,80})[\"'`]? (?:does|is|cannot|can't|has|was|failed|not)\b",
    r"\bcomm=\"(?P<command>[^\"]{1,60})\"",
    r"(?:^|[\s\"'`(])(?P<library>(?:/[\w./+-]{1,200}/)?lib[\w+-]{1,60}\.so(?:\.[\d.]{1,20})?)\b",
    r"[\"'`](?P<path>(?:\.{0,2}/)?[\w@.+-]{1,80}(?:/[\w@.+-]{1,80}){1,15}/?)[\"'`]",
    r"(?:^|[\s(=:])(?P<path>\.{0,2}/(?!\d{1,3}(?:\.\d{1,3}){3}\b)[\w@.+-]{1,80}(?:/[\w@.+-]{1,80}){0,15}/?)(?:$|[\s),:;])",
    r"(?:^|[\s\"'`(=:])(?P<path>[A-Za-z]:\\[^\s\"'<>|:*?()]{2,300})",
    r"(?<![\w./])(?P<path>[\w-]{2,60}\.(?:db|sqlite3?|ya?ml|json|toml|conf|cfg|ini|py|js|ts|rb|go|rs|java|tf|lock|txt|env))\b"
    r"(?<!ode\.js)(?<!ext\.js)(?<!ue\.js)(?!:\d+[\]:]|\.\w)",
    r"\b(?P<certificate>CN=[\w.* -]{2,80}\w)|(?P<certificate_2>/[\w./-]{2,200}\.(?:crt|pem|cer))\b",
    r"\b[Cc]ontainer[ -]?(?:on )?\"(?P<container>[\w.-]{2,100})\"|\bon \"(?P<container_2>container-[\w.-]{1,80})\"",
)
