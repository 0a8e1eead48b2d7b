"""Findings as JUnit XML, in the form that Jenkins' xunit plugin describes (``junit-10.xsd``) and GitLab reads."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import click

from glmdeploy.report.text import finding_text
from glmdeploy.report.view import clean, view

if TYPE_CHECKING:
    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Judged, Run

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write: https://www.w3.org/TR/xml/#charsets."""


def suites(run: Run) -> str:
    """One test suite a profile, one test case a finding; a profile with nothing to report passes one test.

    What fails the run is a failure, a waived finding is skipped, and what is only told passes, with its text as output.
    """
    document = ElementTree.Element("testsuites", name="glmdeploy")
    for judged in run.profiles:
        document.append(_suite(run, judged))
    for name in ("tests", "failures", "errors"):
        document.set(name, str(sum(int(suite.get(name, "0")) for suite in document)))
    ElementTree.indent(document)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(document, encoding="unicode")


def _suite(run: Run, judged: Judged) -> ElementTree.Element:
    profile = xml_text(clean(judged.profile))
    names = Counter[str]()
    cases = []
    for finding in judged.findings:
        seen = view(finding)
        name = f"{seen.id} {seen.path}".strip()
        names[name] += 1
        # Without line and message, so that a service finds the same case again after an edit.
        unique = name if names[name] == 1 else f"{name} ({names[name]})"
        case = ElementTree.Element("testcase", name=xml_text(unique), classname=profile)
        case.append(_outcome(run, finding))
        cases.append(case)
    if not cases:
        cases.append(ElementTree.Element("testcase", name="validate", classname=profile))
    suite = ElementTree.Element("testsuite", name=profile, tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("errors", "0")
    suite.extend(cases)
    return suite


def _outcome(run: Run, finding: Finding) -> ElementTree.Element:
    seen = view(finding)
    if seen.waived is not None:
        return ElementTree.Element("skipped", message=xml_text(f"waived: {seen.waived}"))
    if run.fails(finding):
        element = ElementTree.Element("failure", type=str(seen.severity), message=xml_text(seen.message))
    else:
        element = ElementTree.Element("system-out")
    element.text = xml_text(click.unstyle(finding_text(finding)))
    return element


def xml_text(text: str) -> str:
    """The text with an escape in place of each character that XML cannot hold."""
    return _NOT_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
