"""Opening a port of this machine."""

import socket

from ieast.errors import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """Open the port to serve on; port 0 takes any free one.

    Raises:
        ConfigError: It is taken, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError, UnicodeError) as error:  # the last of names that no address can have
        raise ConfigError(f"cannot listen on {host}, port {port}: {error}. Choose others with --host and --port") from None
