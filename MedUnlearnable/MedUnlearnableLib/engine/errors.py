"""Errors a user can act on. Each message is one clear sentence; the exit code follows from the class.

MedUnlearnableError        1  failed
  Refused                  1  this input cannot be protected as asked
  UsageError               2  the request itself is wrong
  Cancelled              130  the user stopped the run
"""


class MedUnlearnableError(Exception):
    """Something went wrong that the message explains; everything else is a defect and keeps its traceback."""

    exit_code = 1


class Refused(MedUnlearnableError):
    """The input cannot be protected as asked; nothing was written for it."""


class UsageError(MedUnlearnableError):
    """The request is wrong: an unknown profile, options that exclude each other."""

    exit_code = 2


class Cancelled(MedUnlearnableError):
    """The user stopped the run; finished cases are kept."""

    exit_code = 130

    def __init__(self, message: str = "cancelled; finished cases are kept") -> None:
        super().__init__(message)
