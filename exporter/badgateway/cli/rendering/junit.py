"""Results of a check as JUnit XML, as Jenkins and GitLab read it.

Source: the schema of Jenkins' xUnit plugin (``junit-10.xsd``) and GitLab's "Unit test reports".
A finding is a test case: one at or above the severity that fails the check has a ``failure``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree

from badgateway import vocabulary
from badgateway.cli.rendering.checked import Checked
from badgateway.packages.findings import Finding

# what XML 1.0 has no way to write
_UNWRITABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(results: Sequence[Checked], fail_on: str) -> str:
    """Return the XML document.

    Args:
        results: what was found.
        fail_on: least severity that is a failure.
    """
    least = vocabulary.SEVERITIES.index(fail_on)
    root = ElementTree.Element("testsuites", name="badgateway check")
    for result in results:
        _suite(root, result, least)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(root: ElementTree.Element, result: Checked, least: int) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=_clean(result.name))
    failures = errors = 0
    known: Counter[str] = Counter()
    for finding in result.findings:
        name = f"{finding.kind}: {finding.subject}"
        known[name] += 1
        # GitLab takes two cases of one name for one
        case = _case(suite, result, f"{name} ({known[name]})" if known[name] > 1 else name)
        place, _, line = finding.where.rpartition(":")
        if line.isdigit():
            case.set("file", _clean(place))
            case.set("line", line)
        if vocabulary.SEVERITIES.index(finding.severity) >= least:
            failures += 1
            failure = ElementTree.SubElement(
                case, "failure", message=_clean(finding.message), type=finding.kind
            )
            failure.text = _clean(_words(finding))
        else:
            ElementTree.SubElement(case, "system-out").text = _clean(_words(finding))
    if result.verdict == "unknown":
        errors = 1
        case = _case(suite, result, "can be judged")
        ElementTree.SubElement(case, "error", message=_clean(result.problem), type="unknown")
    elif not result.findings:
        case = _case(suite, result, "nothing found")
        if result.problem:
            ElementTree.SubElement(case, "system-out").text = _clean(result.problem)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("errors", str(errors))


def _case(suite: ElementTree.Element, result: Checked, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=_clean(f"badgateway.{result.name}"), name=_clean(name)
    )


def _words(finding: Finding) -> str:
    lines = [f"{finding.severity}: {finding.message}", finding.where, finding.fix]
    return "\n".join(line for line in lines if line)


def _clean(value: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", value)
