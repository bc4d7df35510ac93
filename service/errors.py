"""Every error that Sonomyo raises on purpose.

SonomyoError
├── InputRejected         permanent: the input is wrong and will stay wrong; never retried
├── NotMeasurable         the input is sound but holds no answer; becomes a limitation in the report
├── Unavailable           something we depend on is away; retried with back-off
│   └── Paused            it was away too often of late; left alone for a while, which is no attempt
├── ModelContractError    the inference server serves another model than core expects; alert
├── NotFound              nothing is stored under that name
│   └── Removed           something was, and retention has given it up
└── Conflict              the request contradicts what is stored
    └── Outdated          it was made for a version that another one has followed

Retry is chosen by class. HTTP and DIMSE statuses are given at the edges and nowhere else.
Messages are shown to people: they say what is wrong and what to do, and never hold a patient's name or identifier.
"""


class SonomyoError(Exception):
    """The root; `reason` is a stable snake_case word for programs, the message is for people."""

    reason = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class InputRejected(SonomyoError):
    """The input is wrong and will stay wrong."""

    reason = "input_rejected"


class NotMeasurable(SonomyoError):
    """The input is sound but cannot be measured; the reason goes into the report."""

    reason = "not_measurable"


class Unavailable(SonomyoError):
    """A part that we depend on does not answer now."""

    reason = "unavailable"


class Paused(Unavailable):
    """A part that did not answer of late is left alone for `seconds` more; nothing was tried."""

    reason = "paused"

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ModelContractError(SonomyoError):
    """The inference server serves another model than core expects, or an answer of another shape."""

    reason = "model_contract"


class NotFound(SonomyoError):
    """Nothing is stored under that name."""

    reason = "not_found"


class Removed(NotFound):
    """It was stored under that name, and retention has given it up."""

    reason = "removed"


class Conflict(SonomyoError):
    """The request contradicts what is stored."""

    reason = "conflict"


class Outdated(Conflict):
    """The request was made for a version of a report that is not the current one any more; this one is."""

    reason = "outdated"

    def __init__(self, message: str, *, report_id: str, version: int) -> None:
        super().__init__(message)
        self.report_id = report_id
        self.version = version
