"""A machine that cannot run the book is told why, and what to do."""

import shutil
import subprocess
import sys

import pytest

from tools import install


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ((3, 10, 13), "Python 3.11 or newer is needed, this is 3.10. .*PYTHON=python3.12"),
        ((3, 14, 0), "TensorFlow runs on Python up to 3.13, this is 3.14"),
    ],
)
def test_unfit_python(version, message):
    with pytest.raises(SystemExit, match=message):
        install.check_python(version)


def test_unfit_machine(monkeypatch):
    monkeypatch.setattr(install.sys, "platform", "darwin")
    monkeypatch.setattr(install.platform, "machine", lambda: "x86_64")
    with pytest.raises(SystemExit, match="no TensorFlow for Macs with an Intel processor"):
        install.check_python((3, 12, 0))


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 1)])
def test_fit_python(version):
    install.check_python(version)


def test_venv_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(install.subprocess, "call", lambda command: 1)
    with pytest.raises(SystemExit, match=r"venv is missing.*apt-get install python3-venv"):
        install.create_venv(str(tmp_path / "venv"))


def test_no_network(monkeypatch):
    monkeypatch.setattr(install.subprocess, "call", lambda command: 1)
    with pytest.raises(SystemExit, match=r"Installing failed.*folder of wheels"):
        install.install(sys.executable)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_names_a_python_that_is_not_there(request):
    make = ["make", "--always-make", "book", "PYTHON=python-that-is-not-there"]
    run = subprocess.run(make, cwd=request.config.rootpath, capture_output=True, text=True)
    assert run.returncode != 0
    assert "*** python-that-is-not-there was not found" in run.stdout
