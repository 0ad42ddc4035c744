"""A line to a server that a test can cut, and mend again."""

import contextlib
import socket
import threading


class Line:
    """
    Forwards what comes to a port of its own to ``host`` and ``port``.

    ``cut()`` is as if the server had been killed: connections end and new ones are refused.
    """

    def __init__(self, host, port):
        self.server = (host, port)
        self._listener = None
        self._ends = []
        self._lock = threading.Lock()
        self.port = 0
        self.mend()

    def mend(self):
        """Let the server be reached (again)."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self):
        """Let the server be gone."""
        # close() alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            _close(end)

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.server)
            with self._lock:
                self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _close(source)
    _close(target)


def _close(end):
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
