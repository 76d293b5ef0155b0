"""A gate between a client and a server that can be shut, that can lose an answer, and that can speak TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress


class Gate:
    """Forwards connections to a port of this machine."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.context = port, context
        self.shut_until, self.loses, self.lost = 0.0, b"", 0
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"

    def shut(self, seconds: float) -> None:
        """Break all connections and let none in for a while."""
        self.shut_until = time.monotonic() + seconds
        while self.open:
            _end(self.open.pop())

    def lose_the_answer_to(self, beginning: bytes) -> None:
        """Let the next request that begins so through, and break the connection where its answer comes."""
        self.loses = beginning

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if time.monotonic() < self.shut_until:
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            client = self.context.wrap_socket(client, server_side=True) if self.context else client
            server = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            client.close()
            return
        self.open += [client, server]
        loses = threading.Event()
        threading.Thread(target=self._pump, args=(server, client, loses, False), daemon=True).start()
        self._pump(client, server, loses, True)

    def _pump(self, source: socket.socket, target: socket.socket, loses: threading.Event, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asks and self.loses and data.startswith(self.loses):
                    self.loses = b""
                    loses.set()
                elif not asks and loses.is_set():
                    self.lost += 1
                    break
                target.sendall(data)
        _end(source)
        _end(target)


@contextmanager
def gate(port: int, context: ssl.SSLContext | None = None):
    """Open a gate until the block ends."""
    opened = Gate(port, context)
    try:
        yield opened
    finally:
        opened.listener.close()
        opened.shut(0)


def own_certificate(folder) -> tuple[ssl.SSLContext, str]:
    """Return what a server at 127.0.0.1 speaks TLS with, and the file that a client trusts it by."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = made.sign(key, hashes.SHA256())
    trusted, private = folder / "certificate.pem", folder / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, str(trusted)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        one.close()
