"""The page in headless Chromium: pip install '.[web,browser]', and a package `chromium`."""
import pytest
from PIL import Image

from benchmarks.web_page import installed_chromium, served
from mmconvmixer import Predictor, get_model
from mmconvmixer.deploy import export
from mmconvmixer.errors import MissingPackage

# A camera and a WebGPU device in software; containers run tests as root, without a sandbox.
OPTIONS = ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
           '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan']


@pytest.fixture(scope='session')
def model():
    return get_model('convmixer-128-4_cifar10', True)


@pytest.fixture(scope='package')  # playwright runs an event loop, which other tests should not meet
def browser():
    sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    chromium = installed_chromium()
    if chromium is None:
        pytest.skip('there is no Chromium to run the page in')
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(scope='package')
def folder(browser, model, tmp_path_factory):
    """An exported page, with the real runtime; only where a browser can open it."""
    for package in ('onnxscript', 'onnxruntime'):
        pytest.importorskip(package, reason=f'{package} is not installed')
    out = tmp_path_factory.mktemp('exported') / 'page'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TORCH_HOME', str(tmp_path_factory.mktemp('hub')))
        try:
            export(model, 'web', out)
        except MissingPackage:
            pytest.skip('npm, which downloads onnxruntime-web, is not installed')
    return out


@pytest.fixture(scope='session')
def webgpu_of():
    """Ask the browser itself what its WebGPU can do: a list of features, None if it has none."""
    return lambda page: page.evaluate("""async () => {
        const adapter = navigator.gpu && await navigator.gpu.requestAdapter();
        return adapter ? [...adapter.features] : null;
    }""")


@pytest.fixture
def serve():
    """Serve a folder on the loopback, with more headers; return the URL and a way to stop."""
    servers = []

    def start(folder, **headers):
        server = served(folder, headers)
        servers.append(server)

        def stop():
            servers.remove(server)
            server.shutdown()
            server.server_close()
        return f'http://127.0.0.1:{server.server_port}/', stop
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def visit(browser, serve, folder):
    """Open a page, wait until it is ready, and fail if a script fails or asks another host."""
    contexts, faults = [], []

    def open_page(folder=folder, headers=(), **options):
        url, stop = serve(folder, **dict(headers))
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on('pageerror', lambda error: faults.append(str(error)))
        page.on('request', lambda request: request.url.startswith((url, f'blob:{url}', 'data:'))
                or faults.append(request.url))
        page.goto(url)
        page.wait_for_selector('#inputs:not([hidden]), #problem:not([hidden])', timeout=60_000)
        page.stop = stop
        return page
    yield open_page
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def file_of(tmp_path):
    """Write pixels (H, W, 3) in RGB as a file; return its path."""
    def write(pixels, name='image.png', **options):
        Image.fromarray(pixels).save(tmp_path / name, **options)
        return tmp_path / name
    return write


@pytest.fixture(scope='session')
def settled():
    """Wait for an answer or a problem; return the names and scores, or the problem's text."""
    def wait(page):
        page.locator('#status', has_text='%').or_(page.locator('#problem:visible')).wait_for(
            timeout=60_000)
        if page.is_visible('#problem'):
            return page.inner_text('#problem')
        return page.evaluate('[current.classes, current.scores]')
    return wait


@pytest.fixture(scope='session')
def choose(settled):
    """Choose a file; return what `settled` returns."""
    def give(page, path):
        page.evaluate("set('status', '')")
        page.set_input_files('#file', path)
        return settled(page)
    return give


@pytest.fixture(scope='session')
def expected_of(model):
    """Return the names and scores that `Predictor` has for a file."""
    predict = Predictor(model)

    def ranking(path):
        best = predict(str(path), topk=5)['pred_topk']
        return [each['pred_class'] for each in best], [each['pred_score'] for each in best]
    return ranking
