"""What the fuzzer must not do: take away the key that it calls with, or send pictures and archives as logs, which are
refused by their names (the description says of a log that it is any bytes)."""

import os

import schemathesis
from hypothesis import strategies as st

SIGNS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"%PDF", b"PK\x03\x04")


def is_text(data):
    return bool(data.strip()) and not data.startswith(SIGNS)


schemathesis.openapi.format("binary", st.binary(min_size=1).filter(is_text))


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    return (path_parameters or {}).get("key_id") != os.environ["FUZZ_KEY_ID"]


@schemathesis.hook
def filter_case(context, case):
    return not any(repr(sign)[2:-1] in repr(case.body) for sign in SIGNS)
