"""What leaves the tool: findings, changes and rules, as text for people and in the formats of other programs.

Everything here returns strings and data; only ``cli`` prints. No reporter reads a finding itself: :mod:`view` hands out
what may be shown of it, and so no format shows a secret.
"""

from glmdeploy.report.run import finding_data
from glmdeploy.report.text import finding_line, finding_text, summary
from glmdeploy.report.values import change_data, changes_text

__all__ = ["change_data", "changes_text", "finding_data", "finding_line", "finding_text", "summary"]
