import pytest

from mmconvmixer.datasets.split import held_out, shuffled

NAMES = [f'{number:03d}.jpg' for number in range(100)]


@pytest.mark.parametrize('count, out', [(0, 0), (1, 0), (2, 1), (19, 1), (20, 2), (633, 63)])
def test_a_tenth_is_held_out_but_one_at_least_where_there_are_two(count, out):
    names = [str(number) for number in range(count)]
    assert len(held_out(names)) == out and held_out(names) <= set(names)


def test_the_choice_is_the_same_on_every_machine_and_in_every_order():
    assert held_out(NAMES) == held_out(reversed(NAMES))
    assert shuffled(['a', 'b', 'c', 'd', 'e']) == ['c', 'b', 'e', 'd', 'a']  # for good


def test_neighbours_are_mixed():
    assert shuffled(NAMES) != NAMES and sorted(shuffled(NAMES)) == NAMES
    assert max(held_out(NAMES)) > '050.jpg' > min(held_out(NAMES))


def test_a_image_more_leaves_the_others_in_their_order():
    assert [name for name in shuffled([*NAMES, 'new.jpg']) if name != 'new.jpg'] == shuffled(NAMES)


def test_another_seed_is_another_order():
    assert shuffled(NAMES, 1) != shuffled(NAMES)
