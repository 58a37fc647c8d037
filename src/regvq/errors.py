"""The one exception that is meant for the user's eyes."""


class RegvqError(ValueError):
    """Something the user can mend: says what is wrong, where, and what to do.

    The command line prints its text as one sentence and exits with status 2; everything else that is
    raised is a defect of ours and keeps its traceback.
    """
