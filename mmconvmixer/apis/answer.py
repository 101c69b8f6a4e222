"""What a predictor answers for an image."""
from typing import Any

_MOST_SHOWN = 5


class Answer(dict):
    """A dict of plain numbers, texts and lists, so `json.dumps` and web frameworks take it.

    Its `repr` shows the first five of a thousand scores.
    """

    def __repr__(self) -> str:
        """Return the dict in short."""
        return f'{{{", ".join(f"{key!r}: {_in_short(value)}" for key, value in self.items())}}}'


def _in_short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _MOST_SHOWN:
        return f'[{", ".join(map(repr, value[:_MOST_SHOWN]))}, ...]'
    return repr(value)
