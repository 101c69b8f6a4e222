"""How a failed measurement appears in the report."""


def reason(error: Exception) -> str:
    """Return an exception in one line."""
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
