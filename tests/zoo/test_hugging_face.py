"""The real huggingface_hub with a local server that responds as the hub does.

It reads its environment when it is imported, so it is asked in processes of its own.
"""
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
from safetensors.torch import save

from mmconvmixer import get_model
from mmconvmixer.errors import CheckpointNotFound
from mmconvmixer.zoo import resolve_checkpoint

ASK = '''
import sys
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import MMConvMixerError
from mmconvmixer.zoo import resolve_checkpoint
for name in sys.argv[1:]:
    try:
        path = resolve_checkpoint(name)
        print(path.name, len(read_checkpoint(path)['state_dict']))
    except MMConvMixerError as error:
        print(type(error).__name__, error)
'''


@pytest.fixture(scope='module')
def hub():
    """A hub: a/good has weights, a/timm has timm's config beside them, a/empty has none."""
    weights = save(get_model('convmixer-64-4_digits').state_dict())
    config = json.dumps(dict(architecture='convmixer', pretrained_cfg=dict(
        mean=[0.2], std=[0.4], input_size=[1, 8, 8]))).encode()
    files = {('a/good', 'model.safetensors'): weights, ('a/timm', 'model.safetensors'): weights,
             ('a/timm', 'config.json'): config}

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, with_body):
            repository, _, file = self.path.strip('/').partition('/resolve/main/')
            if content := files.get((repository, file)):
                self.send_response(200)
                self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header('X-Repo-Commit', 'c' * 40)
                self.send_header('Content-Length', str(len(content)))
                self.end_headers()
                if with_body:
                    self.wfile.write(content)
                return
            self.send_response(404)
            self.send_header('X-Error-Code', 'EntryNotFound' if repository == 'a/empty'
                             else 'RepoNotFound')
            self.send_header('X-Repo-Commit', 'c' * 40)
            self.send_header('Content-Length', '0')
            self.end_headers()

        def do_GET(self):
            self.answer(with_body=True)

        def do_HEAD(self):
            self.answer(with_body=False)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{serving.server_port}'
        serving.shutdown()


ANSWERS = {
    'hf-hub:a/good': 'model.safetensors 65',
    'hf_hub:a/good@main': 'model.safetensors 65',
    'hf-hub:a/empty': 'CheckpointNotFound hf-hub:a/empty has no weights: expected '
                      'model.safetensors or pytorch_model.bin in it',
    'hf-hub:a/none': 'CheckpointNotFound hf-hub:a/none is not on the hub: ',
    'hf-hub:no/such/name': 'CheckpointNotFound hf-hub:no/such/name is not on the hub: ',
}


def test_names_of_the_hub(hub, tmp_path, warm_python):
    pytest.importorskip('huggingface_hub', reason='huggingface_hub is not installed')
    done = subprocess.run(
        [warm_python, '-c', ASK, *ANSWERS], capture_output=True, text=True,
        env={**os.environ, 'HF_ENDPOINT': hub, 'HF_HOME': str(tmp_path)})
    assert done.returncode == 0, done.stderr
    for line, expected in zip(done.stdout.splitlines(), ANSWERS.values(), strict=True):
        assert line.startswith(expected)


def test_the_config_of_timm_comes_with_the_weights(hub, tmp_path, warm_python):
    pytest.importorskip('huggingface_hub', reason='huggingface_hub is not installed')
    ask = """
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.zoo import resolve_checkpoint
print(read_checkpoint(resolve_checkpoint('hf-hub:a/timm'))['meta']['normalization'])
"""
    done = subprocess.run([warm_python, '-c', ask], capture_output=True, text=True,
                          env={**os.environ, 'HF_ENDPOINT': hub, 'HF_HOME': str(tmp_path)})
    assert done.stdout.splitlines()[-1] == "{'mean': [51.0], 'std': [102.0], 'to_rgb': True}"


def test_a_hub_that_cannot_be_reached_is_a_download_error(tmp_path, warm_python):
    pytest.importorskip('huggingface_hub', reason='huggingface_hub is not installed')
    done = subprocess.run(
        [warm_python, '-c', ASK, 'hf-hub:a/good'], capture_output=True, text=True,
        env={**os.environ, 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(tmp_path)})
    assert 'DownloadError hf-hub:a/good could not be downloaded' in done.stdout, done.stderr


def test_without_huggingface_hub_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(CheckpointNotFound, match='pip install huggingface_hub'):
        resolve_checkpoint('hf-hub:timm/convmixer_768_32.in1k')
