"""Find settings in the text of a config, which is never executed, nor parsed as a whole.

Python's parser takes seconds and hundreds of megabytes for a megabyte of text, and may
not end for more. The text of a stranger's checkpoint is only searched, for which one pass
is enough; what follows a name is parsed if it is short and flat.
"""
import ast
import re
from collections.abc import Iterator
from typing import Any

LONGEST_TEXT = 2_000_000  # characters; a config with all names of ImageNet-21k has 600,000
LONGEST_VALUE = 10_000
DEEPEST_VALUE = 20  # brackets in brackets
MOST_VALUES = 100

# A comment, or a string: one that does not end goes to the end of its line or of the text.
_SKIPPED = r'''
    \#[^\n]*
    | \"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:\"""|\\?\Z)
    | \'\'\'[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*(?:\'\'\'|\\?\Z)
    | "[^"\\\n]*(?:\\.[^"\\\n]*)*"?
    | '[^'\\\n]*(?:\\.[^'\\\n]*)*'?
'''
_BRACKETS = re.compile(rf'{_SKIPPED} | (?P<open>[(\[{{]) | (?P<close>[)\]}}])',
                       re.VERBOSE | re.DOTALL)


def dicts_named(names: tuple[str, ...], text: str) -> Iterator[dict[str, Any]]:
    """Yield the literal entries of each dict that a config's text gives one of these names.

    Those inside of other dicts come first: mmengine prefers `model.data_preprocessor` to
    `data_preprocessor`. Values that are not literals are left out.

    Args:
        names: of the dicts, as in `name = dict(...)`, `f(name={...})` or `{'name': {...}}`.
        text: of the config. At most `MOST_VALUES` dicts are looked at, and none that is
            longer than `LONGEST_VALUE` or deeper than `DEEPEST_VALUE`.

    Raises:
        ValueError: the text is longer than `LONGEST_TEXT`.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f'a config of {len(text)} characters is too long, the most is '
                         f'{LONGEST_TEXT}')
    any_name = '|'.join(map(re.escape, names))
    tokens = re.compile(
        rf'''(?P<quote>["'])(?:{any_name})(?P=quote)\s*:\s*(?P<entry>dict\(|\{{)
            | {_SKIPPED}
            | (?<![\w.])(?:{any_name})\s*=\s*(?P<value>dict\(|\{{)''',
        re.VERBOSE | re.DOTALL)
    starts = [(token.start(), token.start(kind)) for token in tokens.finditer(text)
              for kind in ('entry', 'value') if token[kind] is not None][:MOST_VALUES]
    for _, start in sorted(starts, key=lambda each: _begins_a_line(text, each[0])):
        value = _bracketed(text, start)
        if value is not None:
            yield _literals(value)


def _begins_a_line(text: str, position: int) -> bool:
    return position == 0 or text[position - 1] == '\n'


def _bracketed(text: str, start: int) -> str | None:
    """Return the text from `start` to the end of its first bracket; None if that is too far."""
    depth = 0
    for token in _BRACKETS.finditer(text, start, start + LONGEST_VALUE):
        depth += (token['open'] is not None) - (token['close'] is not None)
        if depth > DEEPEST_VALUE:
            return None
        if depth == 0 and token['close'] is not None:
            return text[start:token.end()]
    return None


def _literals(value: str) -> dict[str, Any]:
    """Return the entries of a `{...}` or `dict(...)` expression that are literals."""
    try:
        node = ast.parse(value, mode='eval').body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}  # not a config
    if isinstance(node, ast.Call):
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        pairs = [(getattr(key, 'value', None), entry)
                 for key, entry in zip(node.keys, node.values, strict=True)]
    else:
        return {}
    literals: dict[str, Any] = {}
    for key, entry in pairs:
        try:
            literals[str(key)] = ast.literal_eval(entry)
        except (ValueError, TypeError, RecursionError, MemoryError):
            continue  # a name or a call
    return literals
