"""What was found for one thing that was checked."""

from __future__ import annotations

import msgspec

from badgateway.packages.findings import Finding


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found for one backend, project or proxy configuration.

    Attributes:
        name: the backend, the proxy, or the path as it was given.
        verdict: a key of ``vocabulary.NEXT_START_VERDICTS``; of a proxy's configuration, whether
            its next reload goes well.
        problem: what could not be judged, and why; else empty.
        findings: gravest first.
        judged_by: by what a proxy's configuration was judged; empty for all else.
        file: the proxy's configuration file; empty for all else.
    """

    name: str
    verdict: str
    problem: str
    findings: tuple[Finding, ...]
    judged_by: str = ""
    file: str = ""
