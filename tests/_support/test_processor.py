import pytest

from mmconvmixer._support import processor as processor_module


@pytest.mark.parametrize(('flags', 'bfloat16', 'int8'), [
    ({'avx2'}, False, False), ({'avx2', 'avx512f'}, False, False),
    ({'avx2', 'avx_vnni'}, False, True), ({'avx512f', 'avx512_vnni'}, False, True),
    ({'avx512_vnni', 'avx512_bf16'}, True, True), ({'asimd'}, False, False),
    ({'asimd', 'asimddp', 'bf16', 'i8mm'}, True, True)])
def test_instruction_sets_say_what_there_is(monkeypatch, flags, bfloat16, int8):
    monkeypatch.setattr(processor_module, 'processor_flags', lambda: frozenset(flags))
    assert processor_module.has_bfloat16() == bfloat16
    assert processor_module.has_int8() == int8


@pytest.mark.parametrize('kind, asked, computed', [
    ('with AVX2 alone', 'bfloat16', 'float32'), ('with AVX2 alone', 'int8', 'int8'),
    ('with AVX2 alone', 'float32', 'float32'),
    ('with VNNI and bfloat16', 'bfloat16', 'bfloat16'),
    ('with VNNI and bfloat16', 'int8', 'int8')])
def test_only_a_missing_bfloat16_is_replaced_and_one_line_says_so(
        processor, monkeypatch, kind, asked, computed):
    said = []
    monkeypatch.setattr(processor_module, 'print_log', lambda line, *args: said.append(line))
    processor(kind)
    assert processor_module.supported_precision(asked) == computed
    assert said == ([] if asked == computed else [
        'this processor has no bfloat16 instructions: computing in float32'])
