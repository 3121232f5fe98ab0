"""Packages whose content is not what was recorded: restored by hash from the mirror, or left to a person."""

import hashlib
import subprocess
import sys
import zipfile

import pytest

from act.handled import Site, done
from devops_agent.model import Step

MISMATCH = """ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package
versions, please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered.
    smalldep==1.2.0 from file://wheels/smalldep-1.2.0-py3-none-any.whl (from -r requirements.txt (line 1)):
"""


def wheel(folder, version, extra=""):
    folder.mkdir(exist_ok=True)
    file = folder / f"smalldep-{version}-py3-none-any.whl"
    info = f"smalldep-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("smalldep/__init__.py", f"VERSION = '{version}'\n{extra}")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: smalldep\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return file


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture
def site(tmp_path, python):
    site = Site(tmp_path)
    site.good = wheel(tmp_path / "mirror", "1.2.0").read_bytes()
    wheel(tmp_path / "wheels", "1.2.0", "import tampered\n")
    digest = hashlib.sha256(site.good).hexdigest()
    site.write("requirements.txt", f"smalldep==1.2.0 \\\n    --hash=sha256:{digest}\n")
    entry = {"kind": "python", "path": str(python), "requirements": "requirements.txt", "mirror": "mirror"}
    site.inventory["environments"] = {"api": {**entry, "index": {"find_links": "wheels"}}}
    check = [f"{python}/bin/python", "-c", "import smalldep; assert smalldep.VERSION == '1.2.0'"]
    site.inventory["checks"] = {"import": {"command": check}}
    subprocess.run([f"{python}/bin/python", "-m", "pip", "-q", "uninstall", "-y", "smalldep"], check=False)
    yield site
    site.close()


def held(site):
    return (site.folder / "wheels/smalldep-1.2.0-py3-none-any.whl").read_bytes()


def test_it_is_restored_by_its_hash_and_installed(site):
    requirements = (site.folder / "requirements.txt").read_text()
    report = site.handle(MISMATCH)
    assert (report["status"], done(report)) == ("resolved", ["restore_artifacts"]), report["summary"]
    assert held(site) == site.good
    assert (site.folder / "requirements.txt").read_text() == requirements


def test_a_mirror_with_other_content_is_not_believed(site):
    wheel(site.folder / "mirror", "1.2.0", "import other\n")
    before = held(site)
    report = site.handle(MISMATCH)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert held(site) == before


def test_without_a_mirror_a_person_is_asked(site):
    del site.inventory["environments"]["api"]["mirror"]
    report = site.handle(MISMATCH)
    assert (report["status"], done(report)) == ("needs_person", [])


def test_a_good_folder_with_a_wrong_recorded_hash_is_for_a_person(site):
    (site.folder / "wheels/smalldep-1.2.0-py3-none-any.whl").write_bytes(site.good)
    site.write("requirements.txt", f"smalldep==1.2.0 --hash=sha256:{'0' * 64}\n")
    report = site.handle(MISMATCH)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert "0" * 64 in (site.folder / "requirements.txt").read_text()


def test_it_is_taken_back(site):
    from act.places import toolbox

    box = toolbox(site.folder, environments=site.inventory["environments"])
    before = held(site)
    action = box.preview(Step(tool="restore_artifacts", args={"environment": "api"}), 1)
    assert box.apply(action).status == "succeeded"
    assert box.revert(action).status == "succeeded"
    assert held(site) == before
