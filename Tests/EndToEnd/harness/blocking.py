"""Connections whose reads and writes block, for processes that do or measure one thing."""

from __future__ import annotations

import socket
import ssl


def trust(authority: str) -> ssl.SSLContext | None:
    """For connections over TLS to those whom the file of an authority vouches for; "": for plain TCP."""
    return ssl.create_default_context(cafile=authority) if authority else None


def connect(address: str, tls: ssl.SSLContext | None = None, timeout: float | None = None) -> socket.socket:
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout)
    return tls.wrap_socket(connection, server_hostname=host) if tls else connection
