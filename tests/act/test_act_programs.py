"""Programs that moved and variables that are missing: what is found, corrected, only proposed."""

from pathlib import Path

import pytest

from act.places import do, toolbox, undo
from devops_agent.errors import NotAllowed

# ---- programs that moved


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    return path


def supervised(tmp_path, text):
    (tmp_path / "sup.conf").write_text(text)
    entry = {"supervisor": "supervisord", "config": ["sup.conf"], "files": {"supervisord": "sup.conf"}}
    return toolbox(tmp_path, services={"web": entry, "worker": entry})


OLD = "/srv/nowhere/bin/web.py"


def test_the_only_program_of_that_name_is_found_and_its_path_corrected_once(tmp_path):
    new = program(tmp_path / "app/web.py")
    text = f"[program:web]\ncommand={OLD} --fast\n[program:worker]\ncommand={tmp_path}/app/worker.py\n"
    box = supervised(tmp_path, text)
    seen = box.probe("service_program", {"service": "web"})
    assert (seen["path"], seen["exists"], seen["moved"], seen["times"]) == (OLD, False, str(new), 1)
    back = undo(box, "correct_program", lambda: None, service="web", path=OLD, new=str(new))
    assert back.status == "succeeded"
    assert (tmp_path / "sup.conf").read_text() == text
    do(box, "correct_program", service="web", path=OLD, new=str(new))
    assert (tmp_path / "sup.conf").read_text() == text.replace(OLD, str(new))


@pytest.mark.parametrize(
    ("others", "worker"),
    [(["old-app/web.py"], "x"), ([], "app/web.py")],
    ids=["two of that name", "another service runs it"],
)
def test_where_it_is_not_clear_which_program_is_meant_none_is_proposed(tmp_path, others, worker):
    program(tmp_path / "app/web.py")
    for each in others:
        program(tmp_path / each)
    box = supervised(tmp_path, f"[program:web]\ncommand={OLD}\n[program:worker]\ncommand={tmp_path}/{worker}\n")
    assert box.probe("service_program", {"service": "web"})["moved"] is None


def test_what_a_drop_in_of_a_unit_sets_stands_above_the_unit(tmp_path):
    new = program(tmp_path / "app/web.py")
    unit = f"[Service]\nExecStart={new} --fast\n"
    (tmp_path / "web.service").write_text(unit)
    (tmp_path / "web.service.d").mkdir()
    (tmp_path / "web.service.d/10.conf").write_text(f"[Service]\nExecStart=\nExecStart={OLD} --fast\n")
    files = ["web.service.d/10.conf", "web.service"]
    box = toolbox(tmp_path, services={"web": {"supervisor": "systemd", "config": files}})
    seen = box.probe("service_program", {"service": "web"})
    assert (seen["path"], seen["moved"], seen["file"]) == (OLD, str(new), str(tmp_path / "web.service.d/10.conf"))
    assert do(box, "correct_program", service="web", path=OLD, new=str(new)).status == "succeeded"
    assert (tmp_path / "web.service").read_text() == unit


def test_what_was_put_aside_or_may_not_be_run_is_no_candidate(tmp_path):
    program(tmp_path / "backup/web.py")
    program(tmp_path / "app/web.py").chmod(0o644)
    box = supervised(tmp_path, f"[program:web]\ncommand={OLD}\n")
    assert box.probe("service_program", {"service": "web"})["candidates"] == []
    with pytest.raises(NotAllowed, match="may not be run"):
        do(box, "correct_program", service="web", path=OLD, new=str(tmp_path / "app/web.py"))


def test_a_program_that_is_there_is_not_corrected(tmp_path):
    here = program(tmp_path / "bin/web.py")
    other = program(tmp_path / "app/web.py")
    box = supervised(tmp_path, f"[program:web]\ncommand={here}\n")
    assert box.probe("service_program", {"service": "web", "path": OLD})["stale"] is True
    with pytest.raises(NotAllowed, match="is there"):
        do(box, "correct_program", service="web", path=str(here), new=str(other))


def test_a_missing_interpreter_is_named(tmp_path):
    here = program(tmp_path / "bin/web.py")
    here.write_text("#!/opt/nowhere/python9\n")
    seen = supervised(tmp_path, f"[program:web]\ncommand={here}\n").probe("service_program", {"service": "web"})
    assert (seen["exists"], seen["interpreter"]) == (True, "/opt/nowhere/python9")


# ---- variables


def app(tmp_path, config, template, name="app.env", **more):
    (tmp_path / name).write_text(config)
    (tmp_path / "env.example").write_text(template)
    return toolbox(tmp_path, services={"app": {"config": [name], "templates": ["env.example"]}}, **more)


def seen_of(box, name="SHOP_CURRENCY"):
    return box.probe("variable", {"service": "app", "name": name})


def test_a_value_that_a_template_sets_is_taken(tmp_path):
    box = app(tmp_path, "PORT=1\n", "SHOP_CURRENCY=CHF\n")
    seen = seen_of(box)
    assert (seen["needed"], seen["usable"], seen["proper"]) == (True, True, "CHF")
    assert do(box, "set_variable", service="app", name="SHOP_CURRENCY", value="CHF").status == "succeeded"
    assert (tmp_path / "app.env").read_text() == "PORT=1\nSHOP_CURRENCY=CHF\n"
    assert seen_of(box)["needed"] is False


@pytest.mark.parametrize(
    ("template", "proposed"),
    [
        ("# site zurich: CHF, site berlin: EUR\nSHOP_CURRENCY=\n", "CHF"),
        ("# site paris: CHF, site berlin: EUR\nSHOP_CURRENCY=\n", None),
        ("# the currency, e.g. EUR\nSHOP_CURRENCY=\n", "EUR"),
        ("# SHOP_CURRENCY=USD\n", "USD"),
    ],
)
def test_a_value_that_stands_in_a_comment_is_only_proposed(tmp_path, template, proposed):
    seen = seen_of(app(tmp_path, "SITE=zurich\n", template))
    assert (seen["usable"], seen["proposed"], seen["documented"]) == (False, proposed, True)


@pytest.mark.parametrize("value", ["changeme", "<your-currency>", "xxx", "https://example.com/"])
def test_a_placeholder_is_no_value(tmp_path, value):
    assert seen_of(app(tmp_path, "", f"SHOP_CURRENCY={value}\n"))["usable"] is False


def test_a_misspelt_variable_is_named(tmp_path):
    seen = seen_of(app(tmp_path, "SHOP_CURENCY=CHF\nSHOP_CURRENCIES=2\n", "SHOP_CURRENCY=EUR\nSHOP_CURRENCIES=2\n"))
    assert seen["alike"] == "SHOP_CURENCY"


def test_a_value_that_somebody_gave_is_not_replaced(tmp_path):
    box = app(tmp_path, "SHOP_CURRENCY=EUR\n", "SHOP_CURRENCY=CHF\n")
    with pytest.raises(NotAllowed, match="set already"):
        do(box, "set_variable", service="app", name="SHOP_CURRENCY", value="CHF")


def test_a_unit_gets_a_variable_beside_those_that_it_has(tmp_path):
    unit = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/x\nEnvironment=A=1\n[Install]\nWantedBy=x\n"
    box = app(tmp_path, unit, "SHOP_CURRENCY=CHF\n", name="app.service")
    assert seen_of(box, "A")["needed"] is False
    do(box, "set_variable", service="app", name="SHOP_CURRENCY", value="a b")
    wanted = 'Environment=A=1\nEnvironment="SHOP_CURRENCY=a b"\n[Install]'
    assert wanted in (tmp_path / "app.service").read_text()
    assert seen_of(box)["value"] == "a b"


def test_a_secret_is_filled_in_and_told_to_nobody(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/shop_token").write_text("t0psecret\n")
    box = app(tmp_path, "PORT=1\n", "SHOP_TOKEN=\n", secrets={"directory": "secrets"})
    seen = seen_of(box, "SHOP_TOKEN")
    assert seen["secret"] == "shop_token"
    assert "t0psecret" not in str(seen)
    outcome = do(box, "set_variable", service="app", name="SHOP_TOKEN", secret="shop_token")
    assert outcome.status == "succeeded"
    assert "t0psecret" not in outcome.output
    assert "SHOP_TOKEN=t0psecret" in (tmp_path / "app.env").read_text()
