"""Environments described without running them, compared with what they say of themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from badgateway.packages import elf, installed, virtualenv
from badgateway.packages.sitepaths import site_paths
from tests.packages.world import PYTHON, World, base_interpreter

SAY = (
    "import json, sys, site, platform; from packaging.markers import default_environment;"
    "print(json.dumps(default_environment()))"
)


def test_the_marker_fields_are_those_the_interpreter_has_itself() -> None:
    own = Path(sys.prefix)
    said = subprocess.run([own / "bin/python", "-c", SAY], capture_output=True, check=True)
    found = virtualenv.marker_environment(virtualenv.describe(str(own)))
    assert dict(found) == json.loads(said.stdout)


def test_the_version_in_the_binary_is_exact() -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    candidates = [base_interpreter(), *Path(sys.base_prefix).glob("lib/**/libpython3*.so.*")]
    assert version in {elf.python_version(str(path)) for path in candidates}


def test_every_interpreter_on_this_host_is_described_as_it_describes_itself() -> None:
    """Those that start at once: shims and broken ones are passed over."""
    seen = 0
    for name in ("python3", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13"):
        path = shutil.which(name)
        if path is None:
            continue
        code = "import sys; print('.'.join(map(str, sys.version_info[:3])), sys.executable)"
        run = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, check=False)
        if run.returncode:
            continue
        version, executable = run.stdout.split()
        found = virtualenv.describe("", executable)
        assert found.version in (version, version.rpartition(".")[0] + ".0")
        seen += 1
    assert seen


def test_a_patch_upgrade_of_the_base_is_seen_though_the_configuration_is_old(world: World) -> None:
    configuration = world.prefix / "pyvenv.cfg"
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    configuration.write_text(f"home = /usr/bin\nversion = {minor}.999\n")
    assert not virtualenv.describe(str(world.prefix)).version.endswith(".999")


def test_packages_of_the_system_count_when_the_virtualenv_lets_them_in(world: World) -> None:
    home = world.root / "home"
    user = home / ".local" / "lib" / PYTHON / "site-packages"
    user.mkdir(parents=True)
    closed = virtualenv.describe(str(world.prefix), home=str(home))
    assert closed.sites == (str(world.site),)
    text = (world.prefix / "pyvenv.cfg").read_text().replace("= false", "= true")
    (world.prefix / "pyvenv.cfg").write_text(text)
    opened = virtualenv.describe(str(world.prefix), home=str(home))
    assert opened.sites[:2] == (str(world.site), str(user))


@pytest.mark.parametrize(
    ("first_line", "words"),
    [
        ("#!/opt/venv/bin/python -I", ("/opt/venv/bin/python", "-I")),
        ("#!/usr/bin/env python3", ("python3",)),
        ("#!/usr/bin/env -S A=1 python3 -I", ("python3",)),
        ("#!/bin/sh\n'''exec' \"/a very/long path/python\" \"$0\" \"$@\"\n' '''", None),
        ("#!/bin/sh\n'''exec' /long/bin/python \"$0\" \"$@\"\n' '''", ("/long/bin/python",)),
        ("#!", None),
        ("import os", None),
    ],
)
def test_the_first_line_says_who_runs_a_script(
    tmp_path: Path, first_line: str, words: tuple[str, ...] | None
) -> None:
    script = tmp_path / "script"
    script.write_text(first_line + "\n")
    expected = words or (("/bin/sh",) if first_line.startswith("#!/bin/sh") else None)
    assert virtualenv.shebang(str(script)) == expected


def test_who_provides_what_goes_down_where_directories_are_shared(world: World) -> None:
    world.install("web", files={"web/__init__.py": "", "_web.py": "", "web/sub/x.py": ""})
    world.install("cloud-storage", files={"cloud/storage/__init__.py": "", "cloud/_a.py": ""})
    world.install("cloud-auth", files={"cloud/auth/__init__.py": "", "cloud/auth/jwt.py": ""})
    world.install("fast", files={f"fast.cpython-{PYTHON[-4:].replace('.', '')}-x.so": ""})
    world.install("cv-full", files={"cv/__init__.py": ""})
    world.install("cv-headless", files={"cv/__init__.py": ""})
    found = installed.providers(installed.read_sites([str(world.site)]).distributions.values())
    assert found == {
        "web": "web", "_web": "web", "cloud.storage": "cloud-storage", "cloud._a": "cloud-storage",
        "cloud.auth": "cloud-auth", "fast": "fast", "cv": "cv-full",
    }  # fmt: skip


def test_an_egg_info_and_what_it_requires_are_read(world: World) -> None:
    info = world.site / "old_style.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: Old.Style\nVersion: 0.1\n")
    (info / "requires.txt").write_text('six>=1\n\n[:python_version < "3"]\nenum34\n\n[tls]\nx\n')
    (info / "top_level.txt").write_text("old_style\n")
    found = installed.read_sites([str(world.site)]).distributions["old-style"]
    assert [str(r) for r in found.requirements()] == [
        "six>=1", 'enum34; python_version < "3"', 'x; extra == "tls"',
    ]  # fmt: skip
    assert installed.providers([found]) == {"old_style": "old-style"}


def test_editable_installations_are_found_in_each_of_their_forms(world: World) -> None:
    (world.site / "_plain.pth").write_text(f"{world.root}/src\n# comment\n/nonexistent\n")
    (world.root / "src").mkdir()
    (world.site / "__editable__.a.pth").write_text("import __editable___a_finder; "
                                                   "__editable___a_finder.install()\n")  # fmt: skip
    (world.site / "__editable___a_finder.py").write_text(
        "from __future__ import annotations\nMAPPING: dict[str, str] = {'a': '/x/a'}\n"
        "NAMESPACES: dict[str, list[str]] = {'ns': ['/x/ns']}\n"
        "import os; os.abort()\n"
    )
    (world.site / "_editable_impl_b.pth").write_text("import _editable_impl_b\n")
    (world.site / "_editable_impl_b.py").write_text("F.map_module('b', '/y/b/__init__.py')\n")
    (world.site / "_c.pth").write_text("import _c_loader\n")
    (world.site / "distutils-precedence.pth").write_text("import os; var = 1\n")
    found = site_paths([str(world.site)])
    assert found.paths == (str(world.site), f"{world.root}/src")
    assert found.mapping == {"a": "/x/a", "b": "/y/b/__init__.py"}
    assert found.namespaces == {"ns": ("/x/ns",)}
    assert [hook.partition(":")[0] for hook in found.hooks] == ["_c.pth"]


def test_code_in_a_path_file_makes_a_stranger_doubtful_but_not_a_missing_requirement(
    world: World,
) -> None:
    (world.site / "_magic.pth").write_text("import _magic_finder\n")
    world.declare("slowapi")
    world.write({"app.py": "import stranger\n"})
    assert world.report().verdict == "unknown"
    world.write({"app.py": "import slowapi\n"})
    assert world.report().verdict == "will_fail"


def test_an_environment_of_nothing_is_described(tmp_path: Path) -> None:
    found = virtualenv.describe(str(tmp_path / "none"))
    assert (found.binary, found.version, found.sites, found.minor) == ("", "", (), None)
    assert os.path.basename(found.interpreter) == "python"
