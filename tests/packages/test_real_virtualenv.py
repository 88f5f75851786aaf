"""A virtualenv made by ``venv``, filled by ``pip`` from the project itself, offline."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from badgateway.packages.assess import assess
from badgateway.packages.findings import Report, Target
from tests.packages.world import base_interpreter, kinds, one


def run(*command: str | Path, cwd: Path) -> str:
    environment = {"PATH": os.defpath, "HOME": str(cwd), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# A project may bring its own build backend: pip then needs nothing from elsewhere.
BACKEND = """
import zipfile

NAME, REQUIRES, FILES, PATH = {name!r}, {requires!r}, {files!r}, {path!r}

def _wheel(directory, files):
    info = NAME.replace("-", "_") + "-1.2.dist-info"
    lines = ["Metadata-Version: 2.1", "Name: " + NAME, "Version: 1.2"]
    lines += ["Requires-Dist: " + r for r in REQUIRES]
    files = {{
        **files,
        info + "/METADATA": "\\n".join(lines) + "\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\n"
        "Tag: py3-none-any\\n",
    }}
    files[info + "/RECORD"] = "".join(n + ",,\\n" for n in [*files, info + "/RECORD"])
    name = NAME.replace("-", "_") + "-1.2-py3-none-any.whl"
    with zipfile.ZipFile(directory + "/" + name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, FILES)

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {{"_" + NAME + ".pth": PATH + "\\n"}})
"""


def make_project(root: Path, name: str, files: dict[str, str], requires: list[str]) -> None:
    project = root / name
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        f"[project]\nname = '{name}'\nversion = '1.2'\ndependencies = {requires}\n"
    )
    (project / "backend.py").write_text(
        BACKEND.format(name=name, requires=requires, files=files, path=f"{project}/src")
    )
    for path, text in files.items():
        (project / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (project / "src" / path).write_text(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and its dependency, both installed by pip, the project in editable mode."""
    root = tmp_path_factory.mktemp("real")
    limiter = {"ratelimits/__init__.py": "class Limiter: ...\n"}
    make_project(root, "rate-limits", limiter, [])
    application = {
        "shop/__init__.py": "",
        "shop/api.py": "from ratelimits import Limiter\napp = Limiter()\n",
    }
    make_project(root, "shop", application, ["rate-limits>=1"])
    run(base_interpreter(), "-m", "venv", root / "venv", cwd=root)
    install(root, str(root / "rate-limits"))
    install(root, "-e", str(root / "shop"))
    return root


def install(root: Path, *what: str) -> None:
    pip = (root / "venv/bin/python", "-m", "pip", "install", "--no-index", "--no-deps")
    run(*pip, *what, cwd=root)


def report(root: Path) -> Report:
    return assess(
        Target(str(root / "shop"), str(root / "venv"), "shop.api:app", search=("/nonexistent",))
    )


def test_an_editable_installation_is_followed(made: Path) -> None:
    run(made / "venv/bin/python", "-c", "import shop.api", cwd=made)
    found = report(made)
    assert (found.verdict, found.findings, found.problem) == ("ok", (), "")
    assert "shop" in found.first_party
    assert found.providers["ratelimits"] == "rate-limits"
    assert found.installed["shop"] == "1.2"
    assert found.python == run(
        made / "venv/bin/python", "-c", "import platform; print(platform.python_version())",
        cwd=made,
    ).strip()  # fmt: skip


def test_what_pip_takes_away_is_missing_and_what_it_puts_back_is_not(made: Path) -> None:
    python = made / "venv/bin/python"
    run(python, "-m", "pip", "uninstall", "-y", "rate-limits", cwd=made)
    found = report(made)
    assert found.verdict == "will_fail"
    fatal = one(found, "import_missing")
    assert (fatal.subject, fatal.declared, fatal.importer) == (
        "rate-limits", ">=1", "shop.api:1",
    )  # fmt: skip
    assert fatal.fix == f"{made}/venv/bin/pip install -e {made}/shop"
    assert "missing" in kinds(found)
    install(made, str(made / "rate-limits"))
    assert report(made).verdict == "ok"


def test_a_requirement_added_after_the_installation_is_stale_metadata(made: Path) -> None:
    path = made / "shop/pyproject.toml"
    text = path.read_text()
    path.write_text(text.replace("'rate-limits>=1'", "'rate-limits>=1', 'slowapi>=0.1.9'"))
    try:
        found = report(made)
        assert one(found, "stale_metadata").subject == "slowapi"
        assert one(found, "missing").severity == "info"
    finally:
        path.write_text(text)


def test_a_virtualenv_whose_interpreter_went_is_fatal(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "venv"
    shutil.copytree(made / "venv", copy, symlinks=True)
    (copy / "bin/python").unlink()
    (copy / "bin/python").symlink_to("/nonexistent/python")
    found = assess(Target(str(made / "shop"), str(copy), "shop.api:app"))
    assert one(found, "interpreter_missing").severity == "fatal"
