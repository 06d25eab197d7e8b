"""What each layer of one's own network contributes: one call, one table, one page.

>>> report = analyse(model, "photographs/")  # doctest: +SKIP
>>> print(report.summary())  # doctest: +SKIP
>>> report.to_html("report.html")  # doctest: +SKIP
"""

from rrahelpers.report.analysis import analyse
from rrahelpers.report.networks import build_network
from rrahelpers.report.preprocessing import Preprocessing
from rrahelpers.report.result import Report, ReportError

__all__ = ["Preprocessing", "Report", "ReportError", "analyse", "build_network"]
