"""The exception for bad input. Every command turns it into one line on stderr and exit status 2."""


def one_line(error: object) -> str:
    """The words of `error` on one line: what is quoted in it may hold line ends."""
    return " ".join(str(error).split())


class InputError(Exception):
    """Bad input that the user can mend: the message is one line that says what, where and what to do."""
