import shutil
import subprocess

import pytest

from mmconvmixer._support import git_revision as revision


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository that the package seems to run from."""
    if not shutil.which('git'):
        pytest.skip('git is not installed')
    monkeypatch.setattr(revision, 'PACKAGE', tmp_path / 'mmconvmixer')
    (tmp_path / 'file').write_text('one')

    def git(*arguments):
        return subprocess.run(
            ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments], cwd=tmp_path,
            check=True, capture_output=True, text=True).stdout.strip()
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'one')
    return tmp_path, git('rev-parse', 'HEAD')


def test_the_revision_is_the_commit_and_dirty_if_files_differ(checkout):
    folder, head = checkout
    assert revision.git_revision() == head
    (folder / 'file').write_text('two')
    assert revision.git_revision() == f'{head}-dirty'


def test_a_package_inside_another_projects_checkout_has_no_revision(checkout, monkeypatch):
    folder, _ = checkout
    monkeypatch.setattr(revision, 'PACKAGE', folder / 'venv/site-packages/mmconvmixer')
    assert revision.git_revision() is None


def test_without_git_there_is_no_revision(checkout, monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert revision.git_revision() is None


def test_an_installed_package_knows_the_commit_it_was_built_from(tmp_path, monkeypatch):
    monkeypatch.setattr(revision, 'PACKAGE', tmp_path)
    assert revision.git_revision() is None
    (tmp_path / revision.BUILT_FROM).write_text('abc-dirty')
    assert revision.git_revision() == 'abc-dirty'
