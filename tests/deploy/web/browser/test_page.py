"""What a person does on the page, and sees there."""
import base64

import numpy as np
import pytest

from mmconvmixer.deploy.sample_images import sample_images

# A file from Python, dropped on the page or pasted into it, as the browser hands files over.
_HAND_OVER = """([kind, name, content]) => {
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
    data.items.add(new File([bytes], name));
    document.body.dispatchEvent(kind === 'drop'
        ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
        : new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
}"""


@pytest.mark.parametrize('kind', ['drop', 'paste'])
def test_an_image_is_dropped_or_pasted(visit, file_of, kind, settled, expected_of):
    page, path = visit(), file_of(sample_images(1)[0])
    page.evaluate(_HAND_OVER, [kind, path.name, base64.b64encode(path.read_bytes()).decode()])
    names, _ = settled(page)
    assert names == expected_of(path)[0]


def test_the_camera_takes_an_image_and_is_closed(visit, settled):
    page = visit()
    page.click('#camera')
    page.wait_for_selector('#video', state='visible')
    page.click('#take')
    names, scores = settled(page)
    assert len(names) == 5
    assert page.is_hidden('#video')
    assert page.evaluate("stream.getTracks().every((track) => track.readyState === 'ended')")


def test_the_page_shows_bars_a_time_and_a_map(visit, file_of, choose):
    page = visit()
    names, scores = choose(page, file_of(sample_images(1)[0]))
    assert page.locator('.class .label').all_inner_texts() == names
    widths = [bar.bounding_box()['width'] for bar in page.locator('.bar').all()]
    np.testing.assert_allclose(np.divide(widths, widths[0]), np.divide(scores, scores[0]),
                               atol=0.02)
    assert ' ms by WASM with 1 thread' in page.inner_text('#time')
    image, covered = page.locator('.frame img').bounding_box(), page.locator('#map').bounding_box()
    for edge, length in image.items():  # the test pipeline takes the whole image
        assert covered[edge] == pytest.approx(length, abs=1)


def test_the_map_is_that_of_the_network_and_its_strength_can_be_set(visit, folder, file_of, choose):
    onnxruntime = pytest.importorskip('onnxruntime')
    image = sample_images(1)[0]
    page = visit()
    choose(page, file_of(image))
    maps, = onnxruntime.InferenceSession(folder / 'model.onnx').run(['maps'], dict(image=image))
    shown = page.evaluate('[...current.maps.data]')
    np.testing.assert_allclose(np.reshape(shown, maps.shape), maps, atol=1e-3)

    def light():
        return np.sum(page.evaluate("""() => {
            const map = document.getElementById('map');
            return [...map.getContext('2d').getImageData(0, 0, map.width, map.height).data];
        }""")).item()
    first = light()
    page.locator('button.class').nth(1).press('Enter')
    assert page.locator('button.class').nth(1).get_attribute('aria-pressed') == 'true'
    assert page.locator('button.class').nth(0).get_attribute('aria-pressed') == 'false'
    assert light() != first
    page.locator('#strength').press('End')
    assert page.locator('#map').evaluate('map => map.style.opacity') == '1'


def test_what_is_not_an_image_is_named_and_the_next_image_is_taken(
        visit, tmp_path, file_of, choose):
    page = visit()
    for name, content in (('notes.txt', b'no image'), ('empty.png', b''),
                          ('cut.png', b'\x89PNG\r\n\x1a\n')):
        (tmp_path / name).write_bytes(content)
        assert choose(page, tmp_path / name) == (
            f'{name} is not an image that this browser can read.')
    names, _ = choose(page, file_of(sample_images(1)[0]))
    assert len(names) == 5


def test_it_fits_a_phone_and_every_control_has_a_name(visit, file_of, choose):
    page = visit(viewport=dict(width=360, height=740))
    choose(page, file_of(sample_images(1)[0]))
    assert page.evaluate('document.documentElement.scrollWidth') == 360
    nameless = page.evaluate("""() => [
        ...document.querySelectorAll('button, input, a, canvas, img')]
        .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.alt
                            || [...(each.labels || [])].some((label) => label.textContent.trim())))
        .map((each) => each.outerHTML)""")
    assert nameless == []


def test_all_of_it_can_be_used_with_the_keyboard(visit, file_of, choose):
    page = visit()
    choose(page, file_of(sample_images(1)[0]))
    page.locator('#file').focus()
    reached = ['file']
    for _ in range(12):
        page.keyboard.press('Tab')
        reached.append(page.evaluate(
            'document.activeElement.id || document.activeElement.name'
            ' || document.activeElement.className || document.activeElement.tagName'))
    assert reached[:10] == ['file', 'paste', 'camera', *['class'] * 5, 'strength', 'device']


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_has_the_contrast_that_wcag_asks_for(visit, scheme):
    page = visit(color_scheme=scheme)
    colors = page.evaluate("""() => Object.fromEntries(['page', 'text', 'quiet', 'panel', 'accent',
        'on-accent', 'problem'].map((name) => [name, getComputedStyle(document.documentElement)
        .getPropertyValue(`--${name}`).trim()]))""")

    def light(name):
        channels = np.array([int(colors[name][at:at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92,
                          ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for text, behind in (('text', 'page'), ('text', 'panel'), ('quiet', 'page'),
                         ('on-accent', 'accent'), ('accent', 'page'), ('problem', 'page')):
        darker, lighter = sorted([light(text), light(behind)])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, behind)


def test_the_map_covers_what_is_left_after_resizing_and_cropping(visit):
    page = visit()
    left, top, width, height = page.evaluate("""() => {
        Object.assign(settings, {resize: 'short', resize_to: [256, 256], image_size: [224, 224]});
        current = {width: 512, height: 1024};
        const {left, top, width, height} = seenPart();
        return [left, top, width, height];
    }""")
    # The image becomes 256 x 512, of which the middle 224 x 224 is cropped.
    assert (width, height) == (100 * 224 / 256, 100 * 224 / 512)
    assert (left, top) == ((100 - width) / 2, (100 - height) / 2)


def test_an_image_that_was_given_before_the_device_was_changed_is_answered(
        visit, webgpu_of, file_of, settled):
    page = visit()
    if webgpu_of(page) is None:
        pytest.skip('this Chromium has no WebGPU')
    page.set_input_files('#file', file_of(sample_images(1)[0]))
    page.locator('#status', has_text='Computing.').or_(
        page.locator('#status', has_text='%')).wait_for()
    page.evaluate("set('status', '')")
    page.check('[value=webgpu]')
    names, _ = settled(page)
    assert len(names) == 5
    page.get_by_text('by WebGPU').wait_for()
