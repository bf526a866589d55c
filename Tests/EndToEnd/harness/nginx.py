"""nginx before several copies of a server, which it tells apart by a cookie."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from .processes import Process

CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    # Who brings the cookie goes where it says; who brings none is spread, and told where it was.
    map $cookie_route $home {{
        default fresh;
{homes}
    }}
    upstream fresh {{
{servers}
    }}
{upstreams}
    map $upstream_addr $name {{
{names}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://$home;
            proxy_http_version 1.1;
            proxy_set_header Host $proxy_host_of_copies;
            proxy_set_header Connection "";
            proxy_buffering off;
            add_header Set-Cookie "route=$name; Path=/; HttpOnly" always;
        }}
    }}
    map "" $proxy_host_of_copies {{ default "127.0.0.1"; }}
}}
"""


def program() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")


@contextlib.asynccontextmanager
async def balancer(*addresses: str) -> AsyncIterator[str]:
    """Its address."""
    found = program()
    assert found is not None, "nginx is missing: run Tests/setup first"
    with tempfile.TemporaryDirectory(prefix="remora-nginx-") as directory:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        copies = list(enumerate(addresses))
        text = CONFIGURATION.format(
            directory=directory,
            port=port,
            homes="".join(f"        copy-{n} only-{n};\n" for n, _ in copies),
            servers="".join(f"        server {address};\n" for _, address in copies),
            upstreams="".join(f"    upstream only-{n} {{ server {address}; }}\n" for n, address in copies),
            names="".join(f"        {address} copy-{n};\n" for n, address in copies),
        )
        path = Path(directory) / "nginx.conf"
        path.write_text(text)
        async with await Process.start(found, "-e", "stderr", "-c", str(path)) as process:
            while True:
                with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.running, process.tail()
            yield f"127.0.0.1:{port}"
            await process.stop()
