"""What ends a drive at once, wherever it is raised."""

from __future__ import annotations


class Stop(BaseException):
    """
    Carries what must end the drive at once, past every handler of the author's errors.

    Such as a stale fence, or a store that does not answer.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Leave(BaseException):
    """This process is to stop: the step before is written, another drives on from here."""


class Late(Stop):
    """The deadline has passed: no on_error is asked, the execution fails."""
