import shutil
import subprocess

import pytest

from mmconvmixer import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository that the package believes to run from."""
    if not shutil.which('git'):
        pytest.skip('git is not installed')
    monkeypatch.setattr(provenance, 'PACKAGE', tmp_path / 'mmconvmixer')
    (tmp_path / 'file').write_text('one')

    def git(*arguments):
        return subprocess.run(
            ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments], cwd=tmp_path,
            check=True, capture_output=True, text=True).stdout.strip()
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'one')
    return tmp_path, git('rev-parse', 'HEAD')


def test_the_revision_is_the_commit_and_says_where_files_differ_from_it(checkout):
    folder, head = checkout
    assert provenance.git_revision() == head
    (folder / 'file').write_text('two')
    assert provenance.git_revision() == f'{head}-dirty'


def test_a_package_inside_somebody_elses_checkout_has_no_revision(checkout, monkeypatch):
    folder, _ = checkout
    monkeypatch.setattr(provenance, 'PACKAGE', folder / 'venv/site-packages/mmconvmixer')
    assert provenance.git_revision() is None


def test_without_git_there_is_no_revision(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert provenance.git_revision() is None
