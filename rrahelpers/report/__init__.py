"""What each layer of one's own network contributes: one call, one table, one page.

>>> report = analyse(model, "photographs/")  # doctest: +SKIP
>>> print(report.summary())  # doctest: +SKIP
>>> report.to_html("report.html")  # doctest: +SKIP
"""

from rrahelpers.report.analysis import analyse
from rrahelpers.report.result import Report, ReportError

__all__ = ["Report", "ReportError", "analyse"]
