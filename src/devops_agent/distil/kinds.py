# ruff: noqa: E501  expressions are easier to compare on one line each
"""What sort of line: each kind is a bit, found by what many tools of many languages print alike.

No expression names a project; where one names a tool, that tool's form is its documented output.
"""

from __future__ import annotations

import re

from devops_agent.scan.memory import remembered

_LOCATION = r"[\w@~+./\\-]*[\w+-]\.[A-Za-z]\w{0,7}"

_FORMS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # name, what the lower-cased line must hold (any of; () for: try always), expression
    (
        "exception",
        ("error", "exception", "failure", "fault", "panic", "interrupt"),
        r"(?<![\w-])(?:[a-z_$][\w$]*[.:]{1,2}){0,12}[A-Z][A-Za-z0-9_]*(?:Error|Exception|Failure|Fault|Interrupt)\b(?!s)",
    ),
    (
        "error_head",
        ("err", "fatal", "severe", "critical", "fail", "abort", "panic"),
        r"(?i)^\W{0,4}(?:\w{1,20}\W{1,3}){0,2}?(?:error|fatal|err!?|severe|critical|failure|aborted|panic)(?:\[\w+\]|\(\w+\))?(?:\]|\b)\W",
    ),
    ("error_upper", ("err", "fatal", "fail"), r"\b(?:ERROR|FATAL|FAIL|FAILED|FAILURE|FAILURES|ERRORS|ERR)\b"),
    ("error_word", ("error",), r"(?i)(?<![\w/.-])errors?\b(?![\w/.-]*[./]\w)"),
    ("fail_word", ("fail",), r"(?i)(?<![\w/.-])fail(?:ed|ure|ures|ing|s)?\b(?![\w/-]*[./]\w)"),
    (
        "fail_head",
        ("fail", "✗", "✕", "✖", "●", "×", "[-]", "not ok", "✘", "ng "),
        r"^\s*(?:-{2,3} FAIL\b|FAIL(?:ED)?\b|not ok \d|\[-\]|[✗✕✖●×✘]\s|\[FAIL(?:ED)?\]|FAIL:|test .* \.\.\. FAILED|[=\s]*(?:FAILURES|ERRORS|FAILED TESTS)\b)",
    ),
    ("numbered", (")",), r"^\s*\d{1,3}\) \S"),
    (
        "assertion",
        ("assert", "expect", "actual", "got", "should", "received", "differ", "match", "equal"),
        r"(?i)\bassert\w*|\bexpected\b|\bactual\b|\bgot\b:?|\bshould (?:be|not|have|equal)\b|\breceived\b|\bbut was\b|\bto (?:equal|be|eq|match)\b|\bdiffers?\b|\bmismatch",
    ),
    (
        "trace_head",
        (
            "traceback",
            "caused by",
            "panicked",
            "goroutine",
            "exception in",
            "stack trace",
            "stacktrace",
            "backtrace",
            "call stack",
            "stack-trace",
            "aborted!",
            "unhandled",
            "uncaught",
        ),
        r"(?i)traceback \(most|\bcaused by:|\bpanicked at|^goroutine \d+ \[|exception in thread|\bstack[ -]?trace\b|\bbacktrace\b|call stack|aborted!|\b(?:unhandled|uncaught)\b",
    ),
    (
        "frame",
        (),
        r"^\s*(?:at [\w$.<>\[\]`]+[ (/]|at .{1,200}:\d+|File \".+\", line \d+|from .+:\d+:in\b|# .+:\d+|\.\.\. \d+ more|\d{1,3}: (?:0x[0-9a-f]+ - )?[\w<]+(?:::\w+)+|#\d{1,3}\s+(?:0x[0-9a-f]+|\S+\(\d+\)))|^\S+\.\w{1,5}:\d+:in [`']",
    ),
    (
        "location",
        (":", "(", "line"),
        r"(?<![\w/])" + _LOCATION + r"(?::\d{1,6}(?::\d+)?|\(\d+(?:,\d+)?\)|:? ?,? line \d+)",
    ),
    (
        "diagnostic",
        ("error", "fatal"),
        _LOCATION + r"(?::\d+(?::\d+)?|\(\d+(?:,\d+)?\)):? (?:-+ )?(?:fatal )?[Ee]rror\b",
    ),
    ("warning", ("warn", "deprecat", "notice"), r"(?i)\bwarn(?:ing|ings)?\b|\bWRN\b|deprecat|\bnotice\b"),
    (
        "nothing",
        ("error", "fail", "warning", "issue", "problem", "vulnerabilit", "offen"),
        r"(?i)\b(?:0|no|zero|without(?: any)?)\s(?:\w+\s)?(?:errors?|failures?|failed|failing|warnings?|issues?|problems?|vulnerabilit|offen[cs]es)|(?:errors?|failures?|failed|fail)\W{1,3}(?:0\b|none\b)",
    ),
    (
        "counts",
        ("fail", "error", "problem", "offense", "issue", "test"),
        r"(?i)\b[1-9]\d*(?: of \d+)? (?:\w+ ){0,2}(?:fail(?:ed|ure|ures|ing)?|errors?|problems?|offen[cs]es?)\b|\b(?:fail(?:ed|ures?)|errors?): ?[1-9]\d*",
    ),
    (
        "passed",
        ("ok", "pass", "success", "✓", "✔", "[+]", "done", "complete", "√"),
        r"(?i)\bok\b|\bpass(?:ed|es|ing)?\b|\bsuccess(?:ful|fully)?\b|\bsucceeded\b|[✓✔√]|^\s*\[\+\]|\bdone\.?$|\bcompleted?$",
    ),
    ("make", ("***",), r"\bmake(?:\[\d+\])?: \*\*\*|^\*\*\* "),
    (
        "script",
        (
            "npm err",
            "command failed",
            "elifecycle",
            "non-zero",
            "exit code",
            "exit status",
            "returned",
            "exited",
            "recipe for",
            "error code",
            "status code",
            "nonzero",
            "terminated",
        ),
        r"(?i)npm err!|command failed|elifecycle|non-?zero|exit(?:ed)?(?: with)?(?: \w+)? (?:code|status)|returned (?:a |non|exit|code|error|[1-9])|exited(?: with)? -?[1-9]|recipe for target|error code|\bterminated\b",
    ),
    (
        "command",
        ("$ ", "+ ", "> ", "run ", "[command]", "step "),
        r"^(?:\$ \S|\+{1,3} ?[\w./\"'({\[-]|> \S|\[command\]|Step \d+/\d+ : |Run |.{0,80}[%#$] (?:cd|sudo|make|npm|yarn|bin|\./))",
    ),
    ("diff", (), r"^\s{0,12}(?:[-+][^-+ ]|[-+] {1,4}\S|@@ |-{3} \S|\+{3} \S)"),
    ("pointer", ("^", "~", "|"), r"^[\s|.+\d]*[\^~]{1,}[\s\-~^\w]{0,80}$|^\s*(?:\d+ )?\|(?:\s|$)"),
    ("divider", (), r"^\W{0,3}([=\-*_#~+─━])(?:\1| \1){4,}"),
    (
        "fetching",
        (),
        r"^\s*(?:Download(?:ing|ed)?|Get:\d|Hit:\d|Fetch(?:ing|ed)?|Unpacking|Setting up|Preparing to|Selecting previously|Collecting|Installing|Requirement already|Using cached|Processing triggers|Retrieving|Resolving|Receiving|Compiling|Building|Copying|Extracting|Pulling|Waiting|Verifying|Loaded|Loading|Fetched|remote: |Created|Adding|Updating|Cloning|Checking)\b",
    ),
    (
        "trouble",
        (
            "not ",
            "no ",
            "cannot",
            "can't",
            "unable",
            "could",
            "undefined",
            "unknown",
            "unexpected",
            "invalid",
            "missing",
            "denied",
            "refused",
            "time",
            "kill",
            "abort",
            "segmentation",
            "dumped",
            "unresolved",
            "conflict",
            "unsupported",
            "rejected",
            "unrecognized",
            "illegal",
            "broken",
            "corrupt",
            "does",
            "didn't",
            "isn't",
            "exceed",
            "violat",
            "forbidden",
            "unauthorized",
            "bad ",
            "halted",
            "mismatch",
            "incompatible",
            "expired",
            "crash",
            "unsatisf",
            "dubious",
        ),
        r"(?i)\bnot (?:found|a|an|be|in|have|installed|exist|available|supported|defined|allowed|match|recogni|resolve|compatible|permitted|declared|accessible|valid|provided|set|satisf|formatted|responding|ready|reach)|\bno (?:such|module|rule|matching|space|route|rakefile|package|test|file|default|connection|host|valid|version|package|permission|\w+ (?:found|available|specified|provided))|\bcan(?:not|'t|’t)\b|\bunable to\b|\bcould(?: not|n't|n’t)\b|\bundefined\b|\bunknown\b|\bunexpected(?:ly)?\b|\binvalid\b|\bmissing\b|\bdenied\b|\brefused\b|\btim(?:ed[ -]?out|eout)\b|\bkill(?:ed|ing)\b|\babort(?:ed|ing)?\b|\bsegmentation\b|\bdumped\b|\bunresolved\b|\bconflict(?:s|ing)?\b|\bunsupported\b|\brejected\b|\bunrecogni[sz]ed\b|\billegal\b|\bbroken\b|\bcorrupt|\bdo(?:es)?(?: not|n't|n’t)\b|\bdidn't\b|\b(?:is|are|was)n't\b|\bexceed|\bviolat|\bforbidden\b|\bunauthorized\b|\bbad \w|\bhalted\b|\bmismatch|\bincompatible\b|\bexpired\b|\bcrash|\bunsatisf|\bdubious\b",
    ),
    (
        "hint",
        ("try", "please", "see ", "hint", "help", "note", "fix", "run ", "did you", "more information", "log"),
        r"(?i)\btry\b|\bplease\b|\bsee\b|\bhint:|\bhelp:|\bnote:|\bto fix\b|\bdid you mean|more information|\brun (?:`|'|with|again)|complete log",
    ),
    (
        "again",
        ("retry", "attempt", "ignor", "skip", "continu", "try "),
        r"(?i)\bretr(?:y|ying|ies)\b|\battempt\b|\bignor(?:e|ed|ing)\b|\bskip(?:s|ped|ping)?\b|\bcontinuing\b|\btry \d",
    ),
    (
        "test_name",
        ("test", "spec", "it ", "should", "suite", "describe"),
        r"(?i)\btests?\b|\bspec\b|_test\b|test_|\bsuite\b|\bdescribe\b|\bscenario\b",
    ),
    (
        "quiet_level",
        ("info", "debug", "trace", "verbose"),
        r"(?i)^\W{0,3}(?:\S{1,40} ){0,3}\W?(?:INFO|DEBUG|TRACE|VERBOSE)\b",
    ),
    ("url", ("://",), r"\b[a-z]+://\S"),
    ("heading", (":",), r"^[^:]{1,60}:$|^\s*==>|^={2,} .* ={2,}$"),
)

KINDS: dict[str, int] = {name: 1 << number for number, (name, _, _) in enumerate(_FORMS)}
"""Each kind's bit."""

_COMPILED = tuple((1 << number, needs, re.compile(form)) for number, (_, needs, form) in enumerate(_FORMS))


@remembered
def kinds(message: str) -> int:
    """All kinds of one line, as bits."""
    if len(message) > 400:
        message = message[:300] + message[-100:]
    lower = message.lower()
    found = 0
    for bit, needs, form in _COMPILED:
        if needs:
            for need in needs:
                if need in lower:
                    break
            else:
                continue
        if form.search(message):
            found |= bit
    return found
