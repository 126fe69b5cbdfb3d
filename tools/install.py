"""Create `.venv` and install what the book needs, or say in one sentence why that failed.

    python tools/install.py

Runs under any Python 3, so that one that is too old gets a message instead of a syntax error.
"""

import os
import platform
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 13)


def fail(message):
    sys.exit("\n*** " + message)


def check_python(version):
    """Stop if TensorFlow has no wheel for this Python."""
    found = "{}.{}".format(*version[:2])
    hint = "Name another one: make book PYTHON=python3.12"
    if tuple(version[:2]) < OLDEST:
        fail("Python {}.{} or newer is needed, this is {}. {}".format(*OLDEST, found, hint))
    if tuple(version[:2]) > NEWEST:
        fail("TensorFlow runs on Python up to {}.{}, this is {}. {}".format(*NEWEST, found, hint))
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        fail("There is no TensorFlow for Macs with an Intel processor; read the notebooks in Colab")


def create_venv(folder):
    """Create the virtual environment, unless one of this Python is there and works."""
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    same = f"import pip, sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    if os.path.exists(python) and subprocess.call([python, "-c", same]) == 0:
        return python
    if subprocess.call([sys.executable, "-m", "venv", "--clear", folder]) != 0:
        fail("venv is missing. On Debian or Ubuntu: sudo apt-get install python3-venv")
    return python


def install(python):
    """Install the tested versions of everything, and the package itself in editable form."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "-c", "constraints.txt"]
    if subprocess.call([*pip, "-r", "requirements.txt", "-e", "."]) != 0:
        fail(
            "Installing failed; pip's own message is above. Is there a network, and does pip reach "
            "the package index? Without one, install from a folder of wheels: see 'When something "
            "fails' in book/setup.md"
        )


if __name__ == "__main__":
    check_python(sys.version_info)
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    install(create_venv(".venv"))
