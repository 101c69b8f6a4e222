import time

import pytest

from mmconvmixer._support.clock import Timing, fastest, in_turn, time_in_turn, timed


def test_functions_are_called_in_turn_and_their_results_kept_by_name():
    called = []
    results = in_turn({name: lambda name=name: called.append(name) or len(called)
                       for name in 'ab'}, rounds=3)
    assert called == ['a', 'b'] * 3
    assert results == dict(a=[1, 3, 5], b=[2, 4, 6])


def test_warm_up_calls_are_not_timed():
    called = []
    timing = time_in_turn(dict(a=lambda: called.append(1)), rounds=2, warm_up=3, device='cpu')['a']
    assert len(called) == 5 and len(timing.times) == 2


def test_the_fastest_has_the_smallest_median():
    assert fastest(dict(slow=lambda: time.sleep(0.02), fast=lambda: None)) == 'fast'


def test_ratios_compare_the_same_rounds():
    assert Timing((2., 8., 3.)).ratios_to(Timing((1., 2., 3.))) == [1., 2., 4.]


def test_timed_returns_the_result_and_milliseconds_of_the_given_clock():
    ticks = iter([1., 1.25])
    assert timed(max, 3, 4, now=lambda: next(ticks)) == (4, pytest.approx(250))
