"""Would the next start work? Each case is also really started, with the virtualenv's Python."""

from __future__ import annotations

import pytest

from tests.packages.world import World, kinds, one

SLOWAPI = {
    "slowapi/__init__.py": "class Limiter: ...\n",
    "slowapi/errors.py": "class RateLimitExceeded(Exception): ...\n",
}


def incident(world: World) -> None:
    """The change was pulled: declared and used, and never installed."""
    world.declare("fastapi>=0.1", "slowapi>=0.1.9")
    world.install("fastapi", "0.115.0")
    world.write(
        {
            "shop/__init__.py": "",
            "shop/api.py": "import fastapi\nfrom shop import limits\napp = object()\n",
            "shop/limits.py": "import os\n\nfrom slowapi import Limiter\n"
            "from slowapi.errors import RateLimitExceeded\n",
        }
    )


def test_in_step_nothing_is_found(world: World) -> None:
    incident(world)
    world.install("slowapi", "0.1.9", SLOWAPI)
    report = world.report(entry="shop.api:app")
    assert (report.verdict, report.findings, report.problem) == ("ok", (), "")
    assert world.starts("shop.api") == (True, "")


def test_a_declared_and_used_package_that_is_not_installed_will_keep_it_from_starting(
    world: World,
) -> None:
    incident(world)
    assert world.starts("shop.api") == (False, "ModuleNotFoundError: No module named 'slowapi'")
    report = world.report(entry="shop.api:app")
    assert report.verdict == "will_fail"
    assert kinds(report) == ["import_missing", "missing"]
    fatal = report.findings[0]
    assert (fatal.subject, fatal.module, fatal.severity) == ("slowapi", "slowapi", "fatal")
    assert (fatal.declared, fatal.declared_in) == (">=0.1.9", "pyproject.toml")
    assert fatal.importer == "shop.limits:3"
    assert "shop/limits.py:3" in fatal.message
    assert "pyproject.toml (>=0.1.9)" in fatal.message
    assert fatal.fix.endswith(f"-m pip install -e {world.project}")
    assert one(report, "missing").severity == "high"


def test_a_package_whose_import_name_differs_is_named_as_declared(world: World) -> None:
    world.declare("PyYAML>=6")
    world.write({"app.py": "import yaml\n"})
    assert world.starts()[0] is False
    finding = world.report().findings[0]
    assert (finding.kind, finding.subject, finding.module) == ("import_missing", "pyyaml", "yaml")
    assert finding.declared == ">=6"


def test_a_name_learnt_while_it_was_installed_is_remembered(world: World) -> None:
    world.declare("acme-billing-sdk")
    world.install("acme-billing-sdk", files={"paybridge/__init__.py": ""})
    world.write({"app.py": "import paybridge\n"})
    providers = world.report().providers
    assert providers == {"paybridge": "acme-billing-sdk"}
    world.uninstall("acme-billing-sdk")
    finding = world.report(remembered=providers).findings[0]
    assert (finding.subject, finding.declared_in) == ("acme-billing-sdk", "pyproject.toml")


def test_a_transitive_package_that_is_gone_is_named_with_who_requires_it(world: World) -> None:
    world.declare("web")
    world.install(
        "web", files={"web/__init__.py": "from anyio import run\n"}, requires=["anyio>=4"]
    )
    world.install("anyio", "4.0", {"anyio/__init__.py": "run = None\n"})
    world.write({"app.py": "import web\n"})
    assert world.report().verdict == "ok"
    world.uninstall("anyio")
    assert world.starts()[0] is False
    report = world.report()
    assert report.verdict == "will_fail"
    fatal = report.findings[0]
    assert (fatal.subject, fatal.importer, fatal.declared) == ("anyio", "web:1", "")
    assert "web requires" in fatal.message
    assert one(report, "requires").severity == "warn"


def test_an_own_module_misspelt_is_no_package(world: World) -> None:
    world.declare()
    world.write({"app.py": "import settngs\n", "settings.py": ""})
    assert world.starts()[0] is False
    report = world.report()
    fatal = one(report, "import_missing")
    assert (report.verdict, fatal.subject, fatal.declared) == ("will_fail", "settngs", "")
    assert "there is settings" in fatal.message
    assert "pip" not in fatal.fix


def test_a_package_known_by_nothing_but_its_import_is_not_recommended(world: World) -> None:
    world.declare()
    world.write({"app.py": "import acme_internal\n"})
    fatal = one(world.report(), "import_missing")
    assert (fatal.subject, fatal.module) == ("acme-internal", "acme_internal")
    assert "declared nowhere" in fatal.message
    assert "pip" not in fatal.fix


def test_a_submodule_of_the_project_that_does_not_exist_is_its_own(world: World) -> None:
    world.declare()
    world.write({"app.py": "from shop import rates\n", "shop/__init__.py": ""})
    assert world.starts()[0] is False
    fatal = one(world.report(), "import_missing")
    assert (fatal.subject, fatal.severity) == ("shop.rates", "fatal")


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import orjson\nexcept ImportError:\n    orjson = None\n",
        "try:\n    import orjson\nexcept (ModuleNotFoundError, OSError):\n    pass\n",
        "try:\n    import orjson\nexcept Exception:\n    import json as orjson\n",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import orjson\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import orjson\n",
        "import sys\nif sys.version_info < (3, 5):\n    import orjson\n",
        "import sys\nif sys.platform == 'win32':\n    import orjson\n",
        "import os\nif os.environ.get('FAST'):\n    import orjson\n",
        "if __name__ == '__main__':\n    import orjson\n",
        "try:\n    import json\nexcept ImportError:\n    import orjson\n",
    ],
)
def test_a_guarded_import_is_no_finding(world: World, text: str) -> None:
    world.declare()
    world.write({"app.py": text})
    assert world.starts() == (True, "")
    report = world.report()
    assert (report.verdict, report.findings) == ("ok", ())


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import orjson\nexcept ImportError as e:\n    raise SystemExit(1) from e\n",
        "try:\n    import orjson\nexcept ValueError:\n    pass\n",
        "try:\n    import ujson\nexcept ImportError:\n    import orjson\n",
        "import sys\nif sys.version_info >= (3, 8):\n    import orjson\n",
        "import importlib\norjson = importlib.import_module('orjson')\n",
        "class Codec:\n    import orjson\n",
        "if not __debug__ or 1:\n    import orjson\n",
    ],
)
def test_what_looks_guarded_and_is_not_is_found(world: World, text: str) -> None:
    world.declare("orjson")
    world.write({"app.py": text})
    assert world.starts()[0] is False
    report = world.report()
    assert report.verdict == "will_fail"
    assert "orjson" in [f.subject for f in report.findings if f.kind == "import_missing"]


def test_a_guarded_import_of_a_declared_package_is_worth_a_note_only(world: World) -> None:
    world.declare("orjson")
    world.write({"app.py": "try:\n    import orjson\nexcept ImportError:\n    orjson = None\n"})
    report = world.report()
    assert (report.verdict, kinds(report)) == ("ok", ["missing"])
    assert report.findings[0].severity == "info"


def test_an_import_inside_a_function_may_fail_later(world: World) -> None:
    world.declare("orjson")
    world.write({"app.py": "def answer():\n    import orjson\n"})
    assert world.starts() == (True, "")
    report = world.report()
    assert (report.verdict, one(report, "missing").severity) == ("may_fail", "high")


def test_a_directory_left_over_from_an_uninstall_is_not_the_package(world: World) -> None:
    incident(world)
    world.install("slowapi", "0.1.9", SLOWAPI)
    world.uninstall("slowapi", leaving={"slowapi/rates.txt": "5/minute"})
    assert (world.site / "slowapi").is_dir()
    assert world.starts("shop.api")[0] is False
    report = world.report(entry="shop.api:app")
    fatal = one(report, "import_missing")
    assert (report.verdict, fatal.subject, fatal.severity) == ("will_fail", "slowapi", "fatal")


def test_a_package_whose_files_are_gone_while_pip_still_lists_it(world: World) -> None:
    incident(world)
    world.install("slowapi", "0.1.9", SLOWAPI)
    (world.site / "slowapi" / "errors.py").unlink()
    assert world.starts("shop.api")[0] is False
    fatal = one(world.report(entry="shop.api:app"), "import_missing")
    assert (fatal.subject, fatal.module, fatal.installed) == ("slowapi", "slowapi.errors", "0.1.9")
    assert "--force-reinstall" in fatal.fix


def test_a_path_change_that_cannot_be_followed_leaves_the_answer_open(world: World) -> None:
    world.declare()
    world.write(
        {
            "app.py": "import os, sys\nsys.path.insert(0, os.environ.get('LIB', 'lib'))\n"
            "import helpers_of_mine\n",
            "lib/helpers_of_mine.py": "",
        }
    )
    assert world.starts() == (True, "")
    report = world.report()
    assert (report.verdict, report.findings) == ("unknown", ())
    assert "sys.path" in report.problem


def test_a_plain_path_change_is_followed(world: World) -> None:
    world.declare()
    world.write(
        {
            "app.py": "import os, sys\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
            "sys.path.insert(0, os.path.join(HERE, 'lib'))\nimport helpers_of_mine\n",
            "lib/helpers_of_mine.py": "import not_there_at_all\n",
        }
    )
    assert world.starts()[0] is False
    assert one(world.report(), "import_missing").importer == "helpers_of_mine:1"


def test_a_directory_that_shares_a_packages_name_does_not_make_it_an_own_module(
    world: World,
) -> None:
    world.declare("alembic>=1")
    world.write({"app.py": "import alembic.config\n", "alembic/env.py": ""})
    assert world.starts()[0] is False
    fatal = world.report().findings[0]
    assert (fatal.kind, fatal.subject, fatal.declared) == ("import_missing", "alembic", ">=1")


def test_names_that_every_module_has_are_not_missing_from_a_namespace(world: World) -> None:
    world.declare()
    (world.project / "plugins").mkdir()
    world.write({"app.py": "from plugins import __name__, __path__\n"})
    assert world.starts() == (True, "")
    assert world.report().verdict == "ok"
