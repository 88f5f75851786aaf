from __future__ import annotations

from badgateway.collectors.dependencies import Dependencies
from badgateway.topology.backends import Backend


def test_what_was_learnt_of_a_backend_is_there_when_it_comes_back() -> None:
    api = Backend("api", project="/srv/api", virtualenv="/srv/api/.venv")
    dependencies = Dependencies(None, {"api": {"providers": {"yaml": "PyYAML"}, "believed": []}})
    dependencies.watch((api,))
    dependencies._projects["api"].providers["PIL"] = "pillow"  # as a scan finds it
    dependencies.watch(())
    assert dependencies.memory()["api"]["providers"] == {"yaml": "PyYAML", "PIL": "pillow"}
    dependencies.watch((api,))
    assert dependencies.remembered("api") == {"yaml": "PyYAML", "PIL": "pillow"}
