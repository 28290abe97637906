"""Findings on the terminal: one line each, with its interval."""

from pathlib import Path

from eval.audit.findings import AUDIT_FILE, Audit, Finding


def print_findings(audit: Audit, out: Path) -> None:
    """A table of all findings and the path of their file, to standard output."""
    width = max(map(len, audit.findings), default=0)
    for name, finding in audit.findings.items():
        print(f"{name:{width}}  {written(finding)}{f'  ({finding.note})' if finding.note else ''}")
    print(out / AUDIT_FILE)


def written(finding: Finding) -> str:
    """The value with its 95% interval, as 0.731 [0.701, 0.760]; a dash where it cannot be given."""
    if finding.value is None:
        return "–"
    value = f"{finding.value:.3f}" if abs(finding.value) < 1000 else f"{finding.value:,.0f}"
    return value if finding.low is None or finding.high is None else f"{value} [{finding.low:.3f}, {finding.high:.3f}]"
