"""Errors that are the user's to mend: shown as one line, never as a traceback."""


class UserError(Exception):
    """Something that was asked for cannot be done; the message is one line that says what and why."""
