"""Chooses the port of a server, so that none starts where another program answers."""

import errno
import socket
import sys

from pipeline.plumbing.errors import UserError

TRIED = 100  # ports that are tried, from the default on


def port_to_serve(host: str, wanted: int | None, default: int) -> int:
    """Returns the wanted port, or without a wish the first free one from the default on.

    Says so on stderr where that is another one. Raises UserError where the port cannot be used.
    """
    if wanted is not None:
        if is_taken(host, wanted):
            raise UserError(f"port {wanted} of {host} is in use; choose another with --port")
        return wanted
    ports = range(default, default + TRIED)
    free = next((port for port in ports if not is_taken(host, port)), None)
    if free is None:
        raise UserError(
            f"ports {ports[0]} to {ports[-1]} of {host} are in use; choose another with --port"
        )
    if free != default:
        print(f"port {default} is in use; this is port {free}", file=sys.stderr, flush=True)
    return free


def is_taken(host: str, port: int) -> bool:
    """Returns whether a program listens at a port. Raises UserError where none could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise UserError(
            f"no server can listen at port {port} of {host}: {error.strerror}; "
            "choose another with --port or --host"
        ) from None
    return False
