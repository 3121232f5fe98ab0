"""Certificates: what a file or a server presents, renewing one, adding a known authority to the trusted ones.

Everything is read with the host's own openssl, so that it is seen as that host sees it.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, UnreadableOutput
from devops_agent.inventory import Certificate, Place
from devops_agent.model import Run, Wait
from devops_agent.tools import commands
from devops_agent.tools.base import Commands, Host, change, probe

Port = Annotated[int, Field(ge=1, le=65535)]
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[\w+/=\s]+?-----END CERTIFICATE-----")


@probe(needs=("openssl",))
def certificate_info(
    host: Host, place: Place, certificate: str | None = None, file: str | None = None
) -> dict[str, Any]:
    """A certificate of the inventory (or of a file): dates, days left, names, issuer; `covers` says whether all wanted
    names are in it."""
    entry = _entry(place, certificate) if certificate else None
    path = place.path(entry.file if entry else file or "")
    pem = _PEM.search(host.read(path, 1 << 20).decode("utf-8", "replace"))
    if not pem:
        raise UnreadableOutput(f"{path}: no certificate in it")
    facts = _parsed(host, pem[0])
    wanted = list(entry.names) if entry else []
    return {"file": path, **facts, "wanted": wanted, "covers": all(_covered(name, facts["names"]) for name in wanted)}


@probe(needs=("openssl",), outward=("address", "name"))
def tls_inspect(
    host: Host, place: Place, port: Port, address: str = "127.0.0.1", name: str | None = None
) -> dict[str, Any]:
    """What a server presents when spoken to with TLS: dates, names, chain, and whether this host trusts it.

    `trusted` follows the inventory's trust bundle where there is one, else the system's.
    """
    if not re.fullmatch(r"[\w.:-]+", address) or (name and not re.fullmatch(r"[\w.*-]+", name)):
        raise NotAllowed("address: not an address")
    bundle = place.inventory.trust
    trusted: tuple[str, ...] = ("-CAfile", place.path(bundle.bundle), "-no-CApath") if bundle else ()
    if bundle and not _PEM.search(host.read(place.path(bundle.bundle), 1 << 22).decode("utf-8", "replace")):
        trusted = ("-no-CAfile", "-no-CApath")  # openssl takes no empty bundle
    options = (*trusted, *(("-servername", name) if name else ()))
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    ended = host.attempt("openssl", "s_client", "-connect", where, "-showcerts", *options, stdin="", timeout=15)
    chain = _PEM.findall(ended.output)
    verdict = re.search(r"Verify return code: (\d+) \((.*?)\)", ended.output)
    facts: dict[str, Any] = {"address": address, "port": port, "tls": bool(chain), "chain": len(chain)}
    if not chain:
        return facts | {"error": (ended.errors.strip() or ended.output.strip())[-300:]}
    facts |= {"verify": verdict[2] if verdict else None, "trusted": bool(verdict and verdict[1] == "0")}
    facts |= _parsed(host, chain[0])
    return facts | {"covers": _covered(name, facts["names"]) if name else None}


@change(effect="change", needs=("openssl",))
def renew_certificate(place: Place, certificate: str) -> Commands:
    """Renew a certificate with the inventory's command, for the names that it wants, and see that it is good."""
    entry = _entry(place, certificate)
    if not entry.renew:
        raise NotAllowed(f"the inventory does not say how certificate {certificate!r} is renewed")
    yield Run(argv=tuple(word.replace("{names}", ",".join(entry.names)) for word in entry.renew), cwd=place.workspace)
    expect = ("result.valid == true", "result.covers == true")
    yield Wait(probe="certificate_info", args={"certificate": certificate}, expect=expect, limit=10)


@renew_certificate.already
def _good(host: Host, place: Place, certificate: str) -> bool:
    try:
        seen = certificate_info.call({"host": host, "place": place, "certificate": certificate})
    except (CommandFailed, UnreadableOutput):
        return False
    return bool(seen["valid"] and seen["covers"] and seen["days"] > 7)


@change(effect="change", repeatable=True)
def trust_add(host: Host, place: Place, candidate: str) -> Commands:
    """Add one of the inventory's candidate authorities to its bundle of trusted certificates."""
    trust = place.inventory.trust
    if trust is None or place.path(candidate) not in {place.path(each) for each in trust.candidates}:
        raise NotAllowed(f"candidate: {candidate!r} is not one that the inventory allows to be trusted")
    pems = _PEM.findall(host.read(place.path(candidate), 1 << 20).decode("utf-8", "replace"))
    if len(pems) != 1:
        raise NotAllowed(f"{candidate} holds {len(pems)} certificates, not one")
    planned = commands.planned_edit(host, place, trust.bundle, "block", {"wanted": pems[0]})
    if planned:
        yield planned


def _entry(place: Place, name: str) -> Certificate:
    if name not in place.inventory.certificates:
        known = ", ".join(place.inventory.certificates) or "none"
        raise NotAllowed(f"certificate: {name!r} is not in the inventory (known: {known})")
    return place.inventory.certificates[name]


def _parsed(host: Host, pem: str) -> dict[str, Any]:
    asked = ("-noout", "-subject", "-issuer", "-startdate", "-enddate", "-serial", "-fingerprint", "-sha256")
    ended = host.attempt("openssl", "x509", *asked, "-ext", "subjectAltName,basicConstraints", stdin=pem, timeout=15)
    shown = dict(re.findall(r"^(\w+|sha256 Fingerprint|SHA256 Fingerprint)\s*=\s*(.*)$", ended.output, re.M))
    if "notAfter" not in shown:
        raise UnreadableOutput(f"openssl x509: {ended.text[:300]}")
    begins, ends = (_moment(shown[key]) for key in ("notBefore", "notAfter"))
    now = time.time()
    names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", ended.output)
    facts = {"subject": shown.get("subject", ""), "issuer": shown.get("issuer", ""), "names": names}
    return facts | {
        "sha256": shown.get("sha256 Fingerprint") or shown.get("SHA256 Fingerprint"),
        "begins": begins,
        "ends": ends,
        "days": round((ends - now) / 86400, 1),
        "valid": begins <= now <= ends,
        "expired": now > ends,
        "not_yet": now < begins,
        "self_signed": shown.get("subject") == shown.get("issuer"),
        "authority": "CA:TRUE" in ended.output,
    }


def _moment(text: str) -> float:
    return datetime.strptime(" ".join(text.split()), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()


def _covered(name: str, names: list[str]) -> bool:
    wild = f"*.{name.partition('.')[2]}"
    return name.lower() in (each.lower() for each in names) or wild.lower() in (each.lower() for each in names)
