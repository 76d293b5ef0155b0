"""Ports for servers that a benchmark starts in a moment: until then nobody else may be given them by chance."""

from __future__ import annotations

import random
import socket

# No system gives these to whoever asks for any port (Linux: 32768 and above), and Ray's workers take 10002 to 19999.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port at which nobody listens on this machine."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit(f"none of 100 ports between {PORTS.start} and {PORTS.stop} is free on this machine")
