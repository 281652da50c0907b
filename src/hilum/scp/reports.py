"""Reports of associations as log lines and metrics."""

from __future__ import annotations

from hilum.kernel.errors import HilumError
from hilum.net.reports import Outcome, Report
from hilum.observe.logs import get_logger
from hilum.observe.metrics import ASSOCIATIONS, ASSOCIATIONS_TOTAL


def observe_associations(report: Report) -> None:
    """Log the report and count it; made to be an acceptor's observer."""
    ASSOCIATIONS_TOTAL.labels(report.outcome.value).inc()
    if report.outcome is Outcome.ACCEPTED:
        ASSOCIATIONS.inc()
    elif report.was_accepted and report.outcome is not Outcome.FAILED:
        ASSOCIATIONS.dec()
    is_ours = report.error is not None and not isinstance(report.error, HilumError)
    # Bound here, not at import: the logs are configured later than that.
    log = get_logger("scp")
    line = log.error if is_ours else log.info if report.calling_ae_title else log.debug
    line(
        f"association {report.outcome.value}",
        association=report.association,
        peer=report.peer,
        calling_ae_title=report.calling_ae_title,
        called_ae_title=report.called_ae_title,
        size_bytes=report.received_bytes,
        duration_s=round(report.duration_s, 3),
        reason=report.reason or None,
        exc=report.error,
    )
