"""Findings as lines of the console."""

from collections.abc import Mapping

from eval.audit.findings import Finding
from launch.console import say


def tell(findings: Mapping[str, Finding]) -> None:
    """One line a finding, with its interval where it has one."""
    for name, finding in findings.items():
        if finding.value is None:
            say(f"{name}: not given ({finding.note})")
            continue
        interval = "" if finding.low is None or finding.high is None else f" [{finding.low:.4f}, {finding.high:.4f}]"
        say(f"{name} {finding.value:.4f}{interval}")
