"""Messages stay one short line, whatever the names in them are."""
import pickle

import pytest

from mmconvmixer.errors import LONGEST_MESSAGE, BadCheckpoint, one_line


def test_a_usual_message_is_kept_as_it_is():
    said = "naïve/Größe 3.pth  holds a list; a checkpoint is a dict of 'weights' 😀"
    assert str(BadCheckpoint(said)) == said


@pytest.mark.parametrize('key', ['k' * 3_000_000, 'k ' * 1_000_000, '\n' * 1_000_000],
                         ids=['one word', 'words', 'lines'])
def test_a_key_of_megabytes_is_left_out_in_the_middle(key):
    said = str(BadCheckpoint(f'net.pth has {key} twice; remove one of them'))
    assert len(said) < LONGEST_MESSAGE + 100
    assert said.startswith('net.pth has ') and said.endswith('twice; remove one of them')
    assert 'characters' in said


def test_only_the_long_word_of_a_message_is_shortened():
    said = str(BadCheckpoint(f'net.pth has {"k" * 1000} and head.bias, expected head.weight'))
    assert said.endswith('characters ...]' + 'k' * 125 + ' and head.bias, expected head.weight')


@pytest.mark.parametrize(('name', 'shown'), [
    ('two\nlines', 'two lines'), ('red\x1b[31m', r'red\x1b[31m'), ('caf\udce9', r'caf\udce9'),
    ('end\u2028', 'end')])
def test_no_name_breaks_the_line_or_the_terminal(name, shown):
    said = str(BadCheckpoint(f'{name} is damaged'))
    assert said == f'{shown} is damaged'
    assert said.encode() and len(said.splitlines()) == 1


def test_an_error_is_the_same_after_it_crossed_processes():
    error = BadCheckpoint('a' * 10_000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == one_line(str(error))
