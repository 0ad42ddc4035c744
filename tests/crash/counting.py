"""The outside world: an HTTP server that counts how often it is asked for what."""

import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CountingServer:
    """Counts requests by path, and remembers the idempotency keys that came with them."""

    def __init__(self):
        self.calls = defaultdict(list)  # path: keys, one for each request
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                with server.lock:
                    server.calls[self.path].append(self.headers["Idempotency-Key"])
                    count = len(server.calls[self.path])
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = str(count).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, request, client_address):
                pass  # a client that was killed

        self.http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self._thread.start()

    def of(self, execution_id):
        """Return what was asked for one execution: path and keys."""
        with self.lock:
            calls = {path: list(keys) for path, keys in self.calls.items()}
        return {path: keys for path, keys in calls.items() if f"/{execution_id}/" in path}

    def close(self):
        """Stop it."""
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()
