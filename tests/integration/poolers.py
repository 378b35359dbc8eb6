"""A pooler between a client and Postgres that drops a session's settings as PgBouncer does."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

REFUSAL = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0"


@contextmanager
def pooler(url: str, *, refuses: bool) -> Iterator[str]:
    """Yield the URL of a pooler that refuses the startup parameter `options`, or drops it.

    PgBouncer drops it if its setting `ignore_startup_parameters` names it.
    """
    target = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with client:
                length, protocol = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
                parts = client.recv(length - 8, socket.MSG_WAITALL).split(b"\0")
                given = dict(zip(parts[::2], parts[1::2], strict=False))
                if given.pop(b"options", None) is not None and refuses:
                    client.sendall(b"E" + struct.pack("!i", len(REFUSAL) + 4) + REFUSAL)
                    return
                kept = b"".join(name + b"\0" + at + b"\0" for name, at in given.items() if name)
                body = struct.pack("!i", protocol) + kept + b"\0"
                with socket.create_connection((target.hostname, target.port)) as upstream:
                    upstream.sendall(struct.pack("!i", len(body) + 4) + body)
                    asking = threading.Thread(target=pump, args=(client, upstream), daemon=True)
                    asking.start()
                    pump(upstream, client)
                    asking.join(10)

        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        place = f"{target.username}:{target.password}@127.0.0.1:{server.getsockname()[1]}"
        yield f"postgresql://{place}{target.path}?sslmode=disable&gssencmode=disable"
        server.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Send on what comes, until one side ends."""
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
