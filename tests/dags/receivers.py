"""A mail server and a web server on this machine, which receive notifications in tests."""

import base64
import email
import email.policy
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOGIN, PASSWORD = "mailer", "pass-word-of-the-mailer"


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks the SMTP that a client with a login needs; `mails` holds what it received."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Mail)
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refuses_login = False


class _Mail(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                self.say("250-here", "250-AUTH PLAIN", "250 SIZE 1000000")
            elif verb == "AUTH":
                _, login, password = base64.b64decode(line.split()[2]).decode().split("\0")
                is_right = (login, password) == (LOGIN, PASSWORD) and not self.server.refuses_login
                self.say("235 welcome" if is_right else f"535 no {login} {password} here")
            elif verb == "RCPT":
                self.server.recipients.append(line.split(":")[1].split()[0].strip("<>"))
                self.say("250 fine")
            elif verb == "DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                text = b"".join(each.removeprefix(b".") for each in lines)
                mail = email.message_from_bytes(text, policy=email.policy.default)
                assert isinstance(mail, EmailMessage)
                self.server.mails.append(mail)
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class WebServer(ThreadingHTTPServer):
    """Receives POSTs of JSON: `posts` holds path and body of each, `status` is its answer."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Web)
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.status, self.body = 200, b"ok"
        self.is_silent = False


class _Web(BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.is_silent:
            time.sleep(3)
            return
        self.server.posts.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/login")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_GET(self) -> None:
        """Answer 200, as many services do with a login page for unknown clients."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Run a server in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
