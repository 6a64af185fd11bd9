"""A socket in front of the engine's that breaks one connection on purpose. Not a test module."""

import contextlib
import re
import socket
import threading

REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) /")


class CuttingProxy:
    """Counts requests; breaks the connection of number ``cut_at``, before or after its effect.

    *Before*: the engine never sees the request. *After*: it has answered, the client never hears.
    """

    def __init__(self, path, engine, cut_at=None, *, after=False):
        self.path, self.engine, self.cut_at, self.after = str(path), engine, cut_at, after
        self.count, self.was_cut = 0, ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = []

    def __enter__(self):
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen(64)
        self._server.settimeout(0.05)
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._over.set()
        while self._threads:
            self._threads.pop().join(5)
        self._server.close()

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._server.accept()
                self._start(self._serve, client)

    def _serve(self, client):
        cut = threading.Event()
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.engine)
            for link in (client, engine):
                link.settimeout(0.1)
            answers = threading.Thread(target=self._pump, args=(engine, client, cut, None))
            answers.start()
            self._pump(client, engine, cut, self._watch)
            answers.join()

    def _watch(self, data):
        """Whether the connection is to break at these bytes."""
        found = REQUEST.match(data)
        if not found:
            return False
        with self._lock:
            self.count += 1
            if self.count != self.cut_at:
                return False
            self.was_cut = data.split(b"\r\n", 1)[0].decode()
            return True

    def _pump(self, source, sink, cut, watch):
        while not self._over.is_set():
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if watch and data and watch(data):
                if self.after:
                    cut.set()  # the other direction breaks at the first byte of the answer
                else:
                    self._break(source, sink)
                    return
            elif not watch and data and cut.is_set():
                self._break(source, sink)
                return
            try:
                if data:
                    sink.sendall(data)
                else:
                    sink.shutdown(socket.SHUT_WR)
                    return
            except OSError:
                return

    def _break(self, *links):
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
