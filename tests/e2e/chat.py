"""Where managers are told things: a webhook on loopback that takes whatever comes."""

import http.server
import json
import threading
from contextlib import contextmanager

SECRET = "a secret that both sides know, of 32"


@contextmanager
def a_chat():
    """A webhook on loopback; gives (address, what came)."""
    came, heard = [], threading.Event()

    class Chat(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            came.append((dict(self.headers), json.loads(self.rfile.read(length))))
            self.send_response(204)
            self.end_headers()
            heard.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", came, heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
