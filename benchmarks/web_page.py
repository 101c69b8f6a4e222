"""An exported page in Chromium: its answer, its time beside Python's, and a screenshot.

    python tools/export.py MODEL --format web --out page
    python -m benchmarks.web_page page photo.jpg [--device webgpu] [--threads]
        [--screenshot page.png] [--dark] [--width 390]

It needs pip install '.[web,browser]' and an installed Chromium. Python's time is that of
onnxruntime with the same file, the same pixels and as many threads, in the same run; each is the
median of several images.
"""
import argparse
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

CHROMIUM = ('chromium', 'chromium-browser', 'google-chrome')
OPTIONS = ['--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan']
ISOLATED = {'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp'}


def installed_chromium() -> str | None:
    """Return the path of Chromium, None if it is not installed."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def served(folder: Path, headers: dict[str, str]) -> ThreadingHTTPServer:
    """Serve a folder on the loopback, with more headers, until the server is shut down."""
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def in_browser(options: argparse.Namespace) -> tuple[list[float], int]:
    """Return the page's times in ms, and its number of threads; write the screenshot."""
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed_chromium(), args=OPTIONS)
        page = browser.new_page(viewport=dict(width=options.width, height=900),
                                color_scheme='dark' if options.dark else 'light')
        server = served(options.folder, ISOLATED if options.threads else {})
        page.goto(f'http://127.0.0.1:{server.server_port}/')
        page.locator('#inputs:visible').wait_for(timeout=120_000)
        if options.device == 'webgpu':
            page.check('[value=webgpu]')
            page.get_by_text('Ready for an image.').wait_for(timeout=120_000)
        times = []
        for _ in range(options.repeat):
            page.evaluate("set('status', '')")
            page.set_input_files('#file', options.image)
            page.locator('#status', has_text='%').wait_for(timeout=120_000)
            times.append(page.evaluate('current.computing'))
        print(page.inner_text('#status'), page.inner_text('#time'))
        if options.screenshot:
            page.screenshot(path=options.screenshot, full_page=True)
        threads = (page.evaluate('Math.min(navigator.hardwareConcurrency, 8)')
                   if options.threads else 1)
        browser.close()
    return times, threads


def in_python(options: argparse.Namespace, threads: int) -> list[float]:
    """Return onnxruntime's times in ms."""
    import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(options.folder / 'model.onnx', settings)
    image = np.asarray(Image.open(options.image).convert('RGB'))
    session.run(None, dict(image=image))
    times = []
    for _ in range(options.repeat):
        start = time.perf_counter()
        session.run(None, dict(image=image))
        times.append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    """Run as described above."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('image', type=Path)
    parser.add_argument('--device', choices=['wasm', 'webgpu'], default='wasm')
    parser.add_argument('--threads', action='store_true', help='isolate the page')
    parser.add_argument('--repeat', type=int, default=11)
    parser.add_argument('--screenshot', type=Path)
    parser.add_argument('--dark', action='store_true')
    parser.add_argument('--width', type=int, default=1100)
    options = parser.parse_args()
    times, threads = in_browser(options)
    print(f'{options.device} in the browser, {threads} threads: {median(times):.1f} ms; '
          f'onnxruntime in Python: {median(in_python(options, threads)):.1f} ms')


if __name__ == '__main__':
    main()
