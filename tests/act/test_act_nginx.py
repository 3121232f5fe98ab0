"""Statements of nginx that are not ended: found as nginx reads, mended only where there is exactly one."""

import pytest

from act.places import do, toolbox, undo
from devops_agent.errors import NotAllowed
from devops_agent.tools.catalogue.nginx import unended

GOOD = """# a comment with } and {
http {
  log_format main '$remote_addr; "{" }';
  map $uri $x { default 0; ~^/a{2,3}$ 1; }
  server {
    listen 80; server_name "a b" ${name}x;
    location ~ \\.php$ { return 200 "a;b}"; }
    location / { return 200 'multi
line; text'; }
  }
}
"""


def test_a_good_file_has_none():
    assert unended(GOOD) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("server {\n  listen 80\n}\n", 2, ("listen", "80")),
        ("server {\n  return 200 'shop'\n  }\n}\n", 2, ("return", "200", "'shop'")),
        ("server { listen 80 }", 1, ("listen", "80")),
        ("server {\n  listen 80\n  server_name a;\n}\n", 2, ("listen", "80")),
        ("server {\n  root /srv\n  location / { return 200; }\n}\n", 2, ("root", "/srv")),
        ("location / {\n  proxy_pass http://a\n  proxy_set_header X y;\n}\n", 2, ("proxy_pass", "http://a")),
        ("location / {\n proxy_pass http://a # note; with }\n}\n", 2, ("proxy_pass", "http://a")),
    ],
)
def test_what_lacks_its_end(text, line, words):
    found = unended(text)
    assert [(one.line, one.words) for one in found] == [(line, words)]


def test_a_statement_over_several_lines_is_whole():
    whole = "server {\n  server_name a\n    b.example;\n  log_format main '$x'\n    'index';\n}\n"
    assert unended(whole + "gzip_types text/css\n  application/json;\n") == []


def test_embedded_languages_are_left_alone():
    assert unended("content_by_lua_block {\n local a = { 1 }\n ngx.say(a)\n}\n") == []


@pytest.fixture
def box(tmp_path):
    (tmp_path / "site.conf").write_text("server {\n  listen 80;\n  return 200 'shop'\n}\n")
    (tmp_path / "other.conf").write_text("server {\n  listen 80\n}\n")
    return toolbox(tmp_path, services={"web": {"config": ["site.conf"]}})


def test_the_end_is_put_where_it_lacks(box, tmp_path):
    assert box.probe("nginx_statement", {"file": "site.conf"})["unended"] == 1
    assert do(box, "end_nginx_statement", service="web", file="site.conf").status == "succeeded"
    assert (tmp_path / "site.conf").read_text() == "server {\n  listen 80;\n  return 200 'shop';\n}\n"
    assert box.probe("nginx_statement", {"file": "site.conf"})["unended"] == 0


def test_it_is_taken_back_only_as_we_left_it(box, tmp_path):
    file = tmp_path / "site.conf"
    old = file.read_text()
    assert undo(box, "end_nginx_statement", lambda: None, service="web", file="site.conf").status == "succeeded"
    assert file.read_text() == old
    by_others = undo(box, "end_nginx_statement", lambda: file.write_text("mine"), service="web", file="site.conf")
    assert by_others.status == "failed"
    assert file.read_text() == "mine"


def test_two_of_them_are_for_a_person(box, tmp_path):
    (tmp_path / "site.conf").write_text("server {\n  listen 80\n}\nserver {\n  listen 81\n}\n")
    with pytest.raises(NotAllowed, match="2 statements"):
        do(box, "end_nginx_statement", service="web", file="site.conf")


def test_a_file_that_is_not_ours_is_not_edited(box):
    with pytest.raises(NotAllowed, match="not among the files"):
        do(box, "end_nginx_statement", service="web", file="other.conf")
