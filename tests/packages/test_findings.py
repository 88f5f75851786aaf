"""What is found besides imports: declarations, versions, interpreter, start script, extras."""

from __future__ import annotations

import sys
from pathlib import Path

from badgateway.packages.assess import assess
from tests.packages.world import World, kinds, one


def test_declared_for_tests_only_and_never_imported_is_a_note(world: World) -> None:
    world.declare("pytest>=8")
    world.write({"app.py": "app = None\n"})
    report = world.report()
    assert (report.verdict, one(report, "missing").severity) == ("ok", "info")


def test_a_marker_is_judged_for_the_target_not_for_this_process(world: World) -> None:
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    world.declare(
        f'only-elsewhere; python_version != "{minor}"', 'winloop; sys_platform == "win32"'
    )
    world.write({"app.py": "app = None\n"})
    assert world.report().findings == ()


def test_a_version_that_the_declaration_excludes_may_fail(world: World) -> None:
    world.declare("web>=2")
    world.install("web", "1.4")
    world.write({"app.py": "import web\n"})
    report = world.report()
    found = one(report, "version")
    assert (report.verdict, found.declared, found.installed) == ("may_fail", ">=2", "1.4")


def test_a_syntax_error_in_a_loaded_file_is_fatal_with_its_line(world: World) -> None:
    world.declare()
    world.write({"app.py": "import shop\n", "shop.py": "x = 1\n<<<<<<< HEAD\n"})
    assert world.starts()[0] is False
    report = world.report()
    fatal = one(report, "syntax")
    assert (report.verdict, fatal.subject) == ("will_fail", "shop")
    assert "shop.py:2" in fatal.message


def test_a_dangling_interpreter_is_fatal(world: World) -> None:
    world.declare()
    world.write({"app.py": ""})
    (world.prefix / "bin" / "python").unlink()
    (world.prefix / "bin" / "python").symlink_to("/nonexistent/python3.11")
    report = world.report()
    assert (report.verdict, kinds(report)) == ("will_fail", ["interpreter_missing"])


def test_a_virtualenv_made_for_another_minor_version_is_one_finding(world: World) -> None:
    world.declare("web")
    world.install("web")
    world.write({"app.py": "import web\n"})
    world.site.parent.rename(world.prefix / "lib" / "python3.7")
    assert world.starts()[0] is False
    report = world.report()
    assert (report.verdict, kinds(report)) == ("will_fail", ["interpreter_changed"])


def test_a_start_script_whose_interpreter_is_gone_is_fatal(world: World) -> None:
    world.declare()
    world.write({"app.py": ""})
    script = world.prefix / "bin" / "serve"
    script.write_text("#!/nonexistent/venv/bin/python\nimport app\n")
    report = world.report(script=str(script))
    assert (report.verdict, one(report, "shebang").severity) == ("will_fail", "fatal")


def test_a_server_that_is_not_installed_is_named(world: World) -> None:
    world.declare("uvicorn")
    world.write({"app.py": ""})
    report = world.report(server="uvicorn", script=str(world.prefix / "bin" / "uvicorn"))
    subjects = {(f.kind, f.subject) for f in report.findings if f.severity == "fatal"}
    assert subjects == {("shebang", "uvicorn"), ("import_missing", "uvicorn")}


def test_the_worker_class_is_loaded_by_name(world: World) -> None:
    world.declare()
    world.write({"app.py": ""})
    report = world.report(loads=("uvicorn.workers",))
    assert one(report, "import_missing").subject == "uvicorn"


def test_a_runner_that_installs_by_itself_turns_a_missing_package_into_a_note(
    world: World,
) -> None:
    world.declare("slowapi", "yaml-thing")
    world.write({"app.py": "import slowapi\n"})
    assert world.report().verdict == "will_fail"
    report = world.report(installs=True)
    assert report.verdict == "ok"
    assert {f.severity for f in report.findings} == {"info"}


def test_declared_after_the_last_installation_is_the_earliest_sign(world: World) -> None:
    world.declare("web", "slowapi>=0.1.9")
    world.install("shop", "1", {}, ["web"], editable=world.project)
    world.install("web")
    world.install("slowapi", "0.1.9")
    world.write({"app.py": "import web\n"})
    found = one(world.report(), "stale_metadata")
    assert (found.subject, found.severity, found.declared) == ("slowapi", "warn", ">=0.1.9")


def test_a_wheel_for_another_python_may_fail(world: World) -> None:
    world.declare("fast")
    world.install("fast", tag="cp36-cp36m-manylinux1_x86_64")
    world.write({"app.py": "import fast\n"})
    report = world.report()
    assert (report.verdict, one(report, "abi").subject) == ("may_fail", "fast")


def test_what_an_extra_brings_counts_when_it_is_deployed(world: World) -> None:
    world.declare(extra="[project.optional-dependencies]\npg = ['psycopg>=3']\n")
    world.write({"app.py": "import psycopg\n"})
    report = world.report(extras=("PG",))
    fatal = report.findings[0]
    assert (fatal.subject, fatal.declared) == ("psycopg", ">=3")


def test_an_unknown_entry_is_unknown_and_never_ok(world: World) -> None:
    world.declare()
    world.write({"app.py": ""})
    report = world.report(entry="", server="gunicorn")
    assert report.verdict == "unknown"
    assert "module is not known" in report.problem


def test_a_server_whose_application_is_not_seen_is_unknown_and_never_ok(world: World) -> None:
    world.declare()
    world.install("someserver", files={"someserver.py": "def main(): ...\n"})
    world.write({"app.py": "import not_there\n"})
    script = world.prefix / "bin" / "someserver"
    script.write_text(f"#!{world.prefix}/bin/python\nfrom someserver import main\n")
    report = world.report(entry="", script=str(script))
    assert (report.verdict, report.findings) == ("unknown", ())
    assert "project's own" in report.problem


def test_without_a_project_or_virtualenv_in_sight_nothing_is_claimed(tmp_path: Path) -> None:
    report = assess(World(tmp_path).target(project="/nonexistent/a", virtualenv="/nonexistent/b"))
    assert (report.verdict, report.findings) == ("unknown", ())


def test_declared_in_a_form_that_is_not_read_is_unknown_and_never_ok(world: World) -> None:
    world.write({"app.py": "", "setup.py": "from setuptools import setup\n"})
    report = world.report()
    assert (report.verdict, one(report, "unreadable").subject) == ("unknown", "setup.py")
