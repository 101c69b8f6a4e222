"""What a predictor answers for an image."""
from reprlib import Repr

_short = Repr()
_short.maxdict = _short.maxstring = _short.maxother = 200
_short.maxlist = 5


class Answer(dict):
    """A dict of plain numbers, texts and lists, so `json.dumps` and web frameworks take it.

    Its `repr` shows the first five of a thousand scores.
    """

    def __repr__(self) -> str:
        """Return the dict in short."""
        return f'{{{", ".join(f"{key!r}: {_short.repr(value)}" for key, value in self.items())}}}'
