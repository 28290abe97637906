"""Findings on the terminal: one line each, with its interval."""

from collections.abc import Mapping

from eval.audit.findings import Finding


def print_findings(findings: Mapping[str, Finding]) -> None:
    """A table of all findings, to standard output."""
    width = max(map(len, findings), default=0)
    for name, finding in findings.items():
        print(f"{name:{width}}  {written(finding)}{f'  ({finding.note})' if finding.note else ''}")


def written(finding: Finding) -> str:
    """The value with its 95% interval, as 0.731 [0.701, 0.760]; a dash where it cannot be given."""
    if finding.value is None:
        return "–"
    value = f"{finding.value:.3f}" if abs(finding.value) < 1000 else f"{finding.value:,.0f}"
    return value if finding.low is None or finding.high is None else f"{value} [{finding.low:.3f}, {finding.high:.3f}]"
