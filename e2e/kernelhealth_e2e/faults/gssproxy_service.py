"""What gssproxy with ``kernel_nfsd = yes`` does in its own container: run it as a pod's program.

It listens where gssproxy listens and writes the 1. **The network namespace it runs in leaks, until
auth_rpcgss is unloaded or the machine boots.** It needs a privileged container, and nothing beyond
the standard library, so that it can be given to any image with Python as a single file.
"""

from __future__ import annotations

import pathlib
import signal
import socket

_STATE = pathlib.Path("/proc/net/rpc/use-gss-proxy")
_SOCKET = pathlib.Path("/var/run/gssproxy.sock")


def main() -> None:
    """Do it, and wait to be ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    _SOCKET.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(_SOCKET))
        listener.listen()
        _STATE.write_text("1")
        print("the kernel is a client of gssproxy in this network namespace", flush=True)
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
