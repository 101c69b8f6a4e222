"""The outputs of an exported file, compared with the classifier's own."""
from collections.abc import Callable

import numpy as np
import torch
from mmengine.dataset import default_collate

from mmconvmixer.datasets.image_input import ImagePipeline
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.reference import reference_outputs
from mmconvmixer.deploy.sample_images import odd_images, sample_images
from mmconvmixer.errors import ExportMismatch

# Largest difference over the largest output; more is not rounding. Deep networks show
# the 8 bits of bfloat16 (0.10 with the digits model); another network differs by 1 or 2.
TOLERANCES = dict(float32=1e-4, float16=5e-2, bfloat16=0.25, int8=0.5)
# Of the spread between images.
IMAGE_TOLERANCE = 0.2


def compare_outputs(job: Job, run: Callable[[np.ndarray], np.ndarray], images: torch.Tensor,
                    expected: torch.Tensor, largest_batch: int = 0) -> dict:
    """Return how far a file's outputs are from the classifier's, singly and in batches.

    Args:
        job: what was exported.
        run: the file: images (N, C, H, W) -> outputs (N, K).
        images: (N, C, H, W) float32, normalized.
        expected: outputs (N, K) of the classifier.
        largest_batch: the most images that the file takes at a time; 0 if any number.

    Raises:
        ExportMismatch: they differ by more than rounding.
    """
    inputs, expected = images.numpy(), expected.numpy()
    singles = np.concatenate([run(inputs[number:number + 1]) for number in range(len(inputs))])
    # With a number of images that is not fixed, some runtimes have misread the memory of a batch.
    batches = sorted({3, len(inputs), largest_batch or 3}) if job.dynamic_batch else []
    repeated = [np.arange(count) % len(inputs) for count in batches]
    pairs = [(singles, expected), *((run(inputs[each]), expected[each]) for each in repeated)]
    tolerance = TOLERANCES[job.dtype]
    largest = float(np.abs(expected).max())
    # Unlike Python's max, numpy's does not pass over values that are not numbers.
    difference = float(np.max([np.abs(found - answers).max() for found, answers in pairs]))
    if not difference <= tolerance * largest:  # also refuses values that are not numbers
        raise ExportMismatch(
            f'the exported network is not the original: outputs differ by up to {difference:.3g} '
            f'where the largest is {largest:.3g} (at most {tolerance:g} of it is rounding)')
    check = dict(images=len(expected), batch_sizes=[1, *batches], max_difference=difference,
                 largest=largest, tolerance=tolerance)
    if not job.features:
        check['top1_agreement'] = min(
            float((found.argmax(1) == answers.argmax(1)).mean()) for found, answers in pairs)
    return check


def compare_raw_images(job: Job, run: Callable[[np.ndarray], tuple[list[str], np.ndarray]]) -> dict:
    """Return how far a self-contained file's scores are from the classifier's.

    Resizing rounds a few pixels in ten thousand differently, and some networks amplify
    that more than others. So the difference of the logarithms of the scores is compared
    with how much these differ between images.

    Args:
        job: what was exported.
        run: the file: image (H, W, 3) uint8 RGB -> names and scores of the best classes.

    Raises:
        ExportMismatch: they differ by more than that.
    """
    prepare = ImagePipeline(job.model, job.preprocessing.pipeline())
    images, class_names = [*sample_images(), *odd_images()], job.class_names
    expected, found, agreed = [], [], 0
    for image in images:
        data = job.model.data_preprocessor(default_collate(
            [prepare(np.ascontiguousarray(image[..., ::-1]))]), False)
        reference = reference_outputs(job.model, data['inputs'].cpu()).log_softmax(1)[0]
        names, scores = run(image)
        agreed += names[0] == class_names[int(reference.argmax())]
        labels = [class_names.index(name) for name in names]
        expected.append(reference.numpy())
        found.append((labels, np.log(np.maximum(scores, 1e-30))))
    between = float(np.std(expected, axis=0).mean())
    difference = float(np.mean([np.abs(scores - reference[labels]).mean()
                                for (labels, scores), reference in zip(found, expected,
                                                                       strict=True)]))
    tolerance = IMAGE_TOLERANCE * between + 1e-4
    if not difference <= tolerance:
        raise ExportMismatch(
            f'the exported file does not score raw images as the original does: logarithms of '
            f'scores differ by {difference:.3g} on average, and between images by {between:.3g}')
    return dict(images=len(images), mean_log_score_difference=difference,
                between_images=between, tolerance=tolerance,
                top1_agreement=agreed / len(images))
