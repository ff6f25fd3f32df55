"""Errors that are shown as one line, never as a traceback."""


class UserError(Exception):
    """Something that was asked for cannot be done; the message is one line that says what and why."""


class Mismatch(UserError):
    """The card did not do what it must; the message is one line that says what."""
