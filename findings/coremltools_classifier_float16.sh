#!/usr/bin/env bash
# coremltools 9.0 converts a network that returns (logits, softmax(logits)) with a ClassifierConfig.
#
# Guess: the scores of the classes are the softmax, in float32 as in float16.
# Seen:
#   torch 2.14.1, coremltools 9.0
#   float32: the scores are the output of softmax
#   float16 (the default): the scores are the output of linear, with no message
# Unless it is told the name, coremltools takes the last operation for the probabilities. In float16
# these are casts of both outputs, in an order of their own. predicted_probabilities_output='softmax'
# gives the softmax in both.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet coremltools==9.0 torch==2.14.1
cd "$scratch"
venv/bin/python -W ignore - 2> log <<'PYTHON' || { tail log; exit 1; }
import coremltools
import torch

print(f'torch {torch.__version__.split("+")[0]}, coremltools {coremltools.__version__}')


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(8, 3)

    def forward(self, features):
        logits = self.head(features)
        return logits, logits.softmax(1)


def scores(precision, **options):
    program = torch.export.export(Network().eval(), (torch.zeros(1, 8),)).run_decompositions({})
    model = coremltools.convert(
        program, classifier_config=coremltools.ClassifierConfig(['a', 'b', 'c'], **options),
        compute_precision=precision, skip_model_load=True)
    classify, = (operation for operation in model._mil_program.functions['main'].operations
                 if operation.op_type == 'classify')
    source = classify.probabilities.op
    while source.op_type == 'cast':
        source = source.x.op
    return source.op_type


FLOAT32, FLOAT16 = coremltools.precision.FLOAT32, coremltools.precision.FLOAT16
single, half = scores(FLOAT32), scores(FLOAT16)
print(f'float32: the scores are the output of {single}')
print(f'float16 (the default): the scores are the output of {half}, with no message')
named = [scores(each, predicted_probabilities_output='softmax') for each in (FLOAT32, FLOAT16)]
raise SystemExit((single, half, *named) != ('softmax', 'linear', 'softmax', 'softmax'))
PYTHON
