"""Predictions against the real thing: random little projects, each really imported."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badgateway.packages import virtualenv
from badgateway.packages.closure import Start
from badgateway.packages.imports import Level
from badgateway.packages.parsecache import ParseCache
from badgateway.packages.resolver import Resolver
from badgateway.packages.sitepaths import site_paths
from badgateway.packages.walker import Walker
from tests.packages.world import World

MODULES = ["alpha", "beta", "kit", "kit.core", "kit.extra", "there", "gone", "there.sub", "ghost"]
NAMES = ["core", "extra", "thing", "lost"]

module = st.sampled_from(MODULES)
plain = st.one_of(
    st.builds("import {}\n".format, module),
    st.builds("from kit import {}\n".format, st.sampled_from(NAMES)),
    st.builds("from ghost import {}\n".format, st.sampled_from(NAMES)),
    st.builds("from {0} import __name__ as name\n".format, module),
)


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = inner.map(indented)
    return st.one_of(
        st.builds("try:\n{}except ImportError:\n    pass\n".format, block),
        st.builds("try:\n{}except ImportError:\n    raise\n".format, block),
        st.builds("try:\n{}except ValueError:\n    pass\n".format, block),
        st.builds("try:\n{}except ImportError:\n{}".format, block, block),
        st.builds("try:\n    pass\nexcept ImportError:\n{}".format, block),
        st.builds("try:\n    pass\nfinally:\n{}".format, block),
        st.builds("from contextlib import suppress\nwith suppress(Exception):\n{}".format, block),
        st.builds("def late():\n{}".format, block),
        st.builds("class Holder:\n{}".format, block),
        st.builds("import sys\nif sys.version_info >= (3, 4):\n{}".format, block),
        st.builds("import sys\nif sys.platform == 'cygwin':\n{}".format, block),
        st.builds("import typing\nif typing.TYPE_CHECKING:\n{}".format, block),
        st.builds("import os\nif os.environ.get('NOT_SET'):\n{}".format, block),
        st.builds("for _ in ():\n{}".format, block),
    )


statement = st.recursive(plain, wrapped, max_leaves=3)
source = st.lists(statement, max_size=3).map("".join)


def build(root: Path, sources: list[str]) -> World:
    world = World(root)
    world.declare("there")
    world.install("there", files={"there/__init__.py": "", "there/sub.py": sources[4]})
    (world.site / "ghost").mkdir()
    world.write(
        {
            "app.py": sources[0],
            "alpha.py": sources[1],
            "beta.py": sources[2],
            "kit/__init__.py": "thing = 1\n",
            "kit/core.py": sources[3],
            "kit/extra.py": "",
        }
    )
    return world


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(source, min_size=5, max_size=5))
def test_what_is_said_to_fail_does_fail(sources: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        world = build(Path(root), sources)
        report = world.report()
        started, line = world.starts()
        if report.verdict == "will_fail":
            assert not started, report.findings
        # The other way round it may be silent: an import that fails inside of a module that
        # exists leads into a handler, and what runs in loops and branches is not known.
        elif not started and not any("try" in s or "NOT_SET" in s for s in sources):
            raise AssertionError((line, report))


def test_what_is_said_to_be_loaded_is_loaded() -> None:
    """The exporter itself: every module predicted at its start is there, from the same file."""
    code = (
        "import json, sys, badgateway.cli; print(json.dumps({n: getattr(m, '__file__', None) or ''"
        " for n, m in sys.modules.items()}))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    loaded = json.loads(run.stdout)
    environment = virtualenv.describe(sys.prefix)
    assert environment.minor is not None
    resolver = Resolver([], site_paths(environment.sites), environment.minor)
    cache = ParseCache(None, environment.minor)
    walker = Walker(
        resolver, cache, lambda name, _: name.startswith("badgateway"), "/", time.monotonic() + 60
    )
    closure = walker.walk(Start("badgateway.cli"))
    assert closure.missing == {}
    predicted = {name for name, level in closure.levels.items() if level is Level.HARD}
    assert predicted <= loaded.keys()
    own = {name for name in loaded if name.startswith("badgateway.")}
    assert own <= predicted
    for name in predicted:
        if closure.modules[name].file:
            assert closure.modules[name].file == loaded[name]
