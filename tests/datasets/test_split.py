import os

import pytest

from mmconvmixer.datasets.split import PARTS, held_out, last_name_first, names_in_part, shuffled

NAMES = [f'{number:03d}.jpg' for number in range(100)]


@pytest.mark.parametrize('count, out', [(0, 0), (1, 0), (2, 1), (19, 1), (20, 2), (633, 63)])
def test_a_tenth_is_held_out_but_at_least_one_of_two(count, out):
    names = [str(number) for number in range(count)]
    assert len(held_out(names)) == out and held_out(names) <= set(names)


def test_the_choice_is_the_same_on_every_machine_and_in_every_order():
    assert held_out(NAMES) == held_out(reversed(NAMES))
    assert shuffled(['a', 'b', 'c', 'd', 'e']) == ['c', 'b', 'e', 'd', 'a']  # must never change


def test_neighbors_are_separated():
    assert shuffled(NAMES) != NAMES and sorted(shuffled(NAMES)) == NAMES
    assert max(held_out(NAMES)) > '050.jpg' > min(held_out(NAMES))


def test_adding_a_name_does_not_reorder_the_others():
    assert [name for name in shuffled([*NAMES, 'new.jpg']) if name != 'new.jpg'] == shuffled(NAMES)


def test_names_that_are_not_valid_utf8_have_an_order():
    name = os.fsdecode(b'na\xefve.png')
    assert sorted(shuffled([name, 'a.png'])) == ['a.png', name]


def test_another_seed_gives_another_order():
    assert shuffled(NAMES, 1) != shuffled(NAMES)


BY_HASH = {'010.jpg', '015.jpg'}  # must never change: weights trained on the rest never saw these


@pytest.mark.parametrize('order, out', [
    (shuffled, BY_HASH), (last_name_first, {'018.jpg', '019.jpg'})])
def test_the_parts_of_twenty_names_never_change(order, out):
    names = NAMES[:20]
    assert names_in_part(names, 'all', order) == names
    assert names_in_part(names, 'held-out', order) == [name for name in names if name in out]
    assert names_in_part(names, 'rest', order) == [name for name in names if name not in out]


@pytest.mark.parametrize('order', [shuffled, last_name_first])
@pytest.mark.parametrize('count', [0, 1, 2, 9, 10, 100])
def test_rest_and_held_out_make_the_whole_in_either_order(order, count):
    rest, out = (names_in_part(NAMES[:count], part, order) for part in ('rest', 'held-out'))
    assert sorted(rest + out) == NAMES[:count] and len(out) == len(held_out(NAMES[:count]))


@pytest.mark.parametrize('part', ['train', '', None, 'Rest'])
def test_there_are_three_parts(part):
    assert PARTS == ('all', 'rest', 'held-out')
    with pytest.raises(ValueError, match=f"part is {part!r}, expected 'all', 'rest' or 'held-out'"):
        names_in_part(NAMES, part)
