import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mmconvmixer.visualization.predicted_images import PredictedImages
from mmconvmixer.visualization.report import report


class Page(HTMLParser):
    """The headings, texts, image texts and links of a page, whose elements are all closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.images, self.addresses, self.words = [], [], [], [], ''
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[name] for name in ('src', 'href') if name in attrs]
        if tag == 'img':
            self.images.append(attrs['alt'])
        if tag not in ('img', 'meta'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == 'h2':
            self.headings.append(data)
        if 'style' not in self.open:
            self.words += f'{data} '


@pytest.fixture
def six(predicted):
    """Predictions for six classes, of whose images two are wrong."""
    labels, taken = [0, 1, 2, 3, 4, 5, 0, 1], [0, 1, 2, 3, 4, 5, 1, 2]
    scores = 0.6 * np.eye(6)[taken] + 0.4 / 6
    scores[7] = [.3, 0, .4, .1, .1, .1]  # the true class is the last of all
    return predicted(labels, scores=scores, names=['cat', '<dog>', *'abcd'])


IMAGES = [np.full((4, 4, 3), 30 * number, np.uint8) for number in range(8)]
RECORD = dict(command='python tools/train.py x.py', seed=3, seconds=61.5, git_revision=None,
              environment=dict(torch='2.0', processor='a & b'))


def test_a_page_of_a_run_has_every_section_and_needs_no_other_file(six):
    curves = BytesIO()
    Image.new('RGB', (8, 8)).save(curves, 'png')
    page = Page(report(six, IMAGES, curves.getvalue(), RECORD, 'model = dict()\nx = "<b>"'))
    assert page.headings == ['Result', 'Curves', 'Classes', 'Calibration', 'Confusion',
                             'Worst images', 'Run', 'Config']
    assert len(page.images) == 4 and 'mine: 2 of 8 images are wrong; the worst 2' in page.images
    for address in page.addresses:
        png = b64decode(address.removeprefix('data:image/png;base64,'), validate=True)
        assert Image.open(BytesIO(png)).size
    for word in ('75.00%', '87.50%', 'a & b', 'x = "<b>"', '<dog>', '61.5'):
        assert word in page.words
    assert 'git_revision' not in page.words


def test_what_is_not_known_is_left_out(predicted):
    page = Page(report(predicted([0, 1, 1], [0, 1, 0])))
    assert page.headings == ['Result', 'Classes', 'Confusion']
    assert '66.67%' in page.words and 'top-5' not in page.words


def test_classes_come_by_their_accuracy_and_pairs_by_their_number(six):
    text = report(six)
    rows = re.findall(r'<tr><td>([^<]*)</td><td class="number">([\d.]+)</td>', text)
    assert rows[:3] == [('cat', '50.00'), ('&lt;dog&gt;', '50.00'), ('a', '100.00')]
    assert '<td>cat</td><td>&lt;dog&gt;</td><td class="number">1</td><td class="number">2</td>' in (
        text)


def test_missing_images_do_not_cost_the_report(six):
    page = Page(report(six, PredictedImages(six)))
    assert 'image 7 of the predictions is not there' in page.words
    assert 'Worst images' in page.headings


def test_many_classes_are_folded_away(predicted):
    labels = np.arange(40)
    page = report(predicted(labels, labels))
    assert '<summary>40 classes, the lowest accuracy first</summary>' in page
