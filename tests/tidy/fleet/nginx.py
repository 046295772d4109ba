"""The configuration of nginx in front of edges: TLS, limits, HTTP and WebSockets, and how one edge is drained.

Requests of one API key go to the same edge as long as it is there: an edge knows the accounts that it has served, and counts the requests of a
key. Nothing breaks where they go elsewhere. WebSockets tell their key only after the handshake, so they go where fewest are.

A drain needs no reload, because a reload closes idle connections of customers, perhaps just as one sends an order (before nginx 1.27.4). While
the file DRAIN/edge-N exists, nothing new goes to edge N. nginx has no check of readiness of its own, so it has a pool without each edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.fanout.limits import PING_EVERY_S
from edge.http.limits import AUTHENTICATION_TIMEOUT_S, BODY_BYTES_MAX, BODY_TIMEOUT_S, SOCKETS_MAX
from topics.roles import EDGE

SILENCE_S: Final = int(PING_EVERY_S * 2.5)
"""An edge pings a socket that is silent, and cuts it if it stays so. Also longer than any request takes."""
EDGE_CONNECT_S: Final = 1
"""An edge that does not accept for so long is passed over."""
IDLE_CONNECTIONS: Final = 64
"""To each edge, for each worker of nginx."""


@dataclass(frozen=True)
class Places:
    """Where nginx listens and what it reads and writes; the defaults are those of the image nginxinc/nginx-unprivileged."""

    listen: str = "8443"
    certificate: str = "/etc/nginx/tls/tls.crt"
    key: str = "/etc/nginx/tls/tls.key"
    drain: str = "/run/outcry/drain"
    scratch: str = "/tmp"
    """For the pid file and what does not fit in memory."""
    handshakes_per_s: int = 50
    handshakes_burst: int = 200
    sockets_max: int = 2_000
    """Of one address."""


def configuration(edges: Sequence[str], places: Places = Places()) -> str:  # it is frozen
    """The file. edges: host:port of each, in the order of their numbers; two at least, else there is nothing to drain to."""
    if len(edges) < 2:
        raise ValueError(f"nginx needs two edges or more to balance between, not {len(edges)}")
    return _TEMPLATE.format(
        pools="\n".join(_pools(edges)),
        choice="\n".join(
            f"        if (-f {places.drain}/edge-{number}) {{ set $without -without-{number}; }}" for number in range(len(edges))
        ),
        files=4 * SOCKETS_MAX,
        connections=2 * SOCKETS_MAX,
        body=BODY_BYTES_MAX,
        body_s=int(BODY_TIMEOUT_S),
        head_s=int(AUTHENTICATION_TIMEOUT_S),
        silence_s=SILENCE_S,
        connect_s=EDGE_CONNECT_S,
        role=EDGE.name,
        places=places,
    )


def _pools(edges: Sequence[str]) -> list[str]:
    """For requests and for sockets: one of all edges, and one without each."""
    found = []
    for kind, way in (("requests", "hash $customer consistent;"), ("sockets", "least_conn;")):
        for without in (None, *range(len(edges))):
            name = kind if without is None else f"{kind}-without-{without}"
            servers = [f"        server {edge} max_fails=1 fail_timeout=2s;" for number, edge in enumerate(edges) if number != without]
            found += [f"    upstream {name} {{", f"        zone {name} 128k;", f"        {way}", *servers]
            found += [f"        keepalive {IDLE_CONNECTIONS};"] if kind == "requests" else []
            found += ["    }"]
    return found


_TEMPLATE: Final = """\
# Made by `make tables` from tests/tidy/fleet/nginx.py. In front of edges (role `{role}`): docs/deploy.md says how it is run and drained.
worker_processes auto;
worker_rlimit_nofile {files};  # a customer takes two: one to us, one from us to an edge
worker_shutdown_timeout 90s;   # sockets of a former configuration are cut then, and resume
pid {places.scratch}/nginx.pid;
error_log stderr warn;

events {{
    worker_connections {connections};
}}

http {{
    access_log off;  # orders are in the log of the exchange, sign-ins in access.events
    server_tokens off;
    default_type application/json;
    client_body_temp_path {places.scratch}/client-body;
    proxy_temp_path {places.scratch}/proxy;
    fastcgi_temp_path {places.scratch}/fastcgi;
    uwsgi_temp_path {places.scratch}/uwsgi;
    scgi_temp_path {places.scratch}/scgi;

    client_max_body_size {body};
    client_body_buffer_size {body};
    client_body_timeout {body_s}s;
    client_header_timeout {head_s}s;
    send_timeout 10s;
    keepalive_timeout 75s;
    keepalive_requests 1000000;

    # Each address: so many new sockets a second, so many sockets, so many tries of a password a minute.
    limit_req_zone $socket_of zone=handshakes:10m rate={places.handshakes_per_s}r/s;
    limit_conn_zone $socket_of zone=open-sockets:10m;
    limit_req_zone $binary_remote_addr zone=sign_ins:10m rate=20r/m;
    limit_req_status 429;
    limit_conn_status 429;

    map $http_apca_api_key_id $customer {{
        "" $http_authorization$binary_remote_addr;
        default $http_apca_api_key_id;
    }}
    map $http_upgrade $kind {{
        ~*^websocket$ sockets;
        default requests;
    }}
    map $kind $socket_of {{  # what is empty is not counted
        sockets $binary_remote_addr;
        default "";
    }}
    map $kind $upgrade {{
        sockets websocket;
        default "";
    }}
    map $kind $hop {{
        sockets upgrade;
        default "";
    }}

{pools}

    server {{
        listen {places.listen} ssl backlog=4096 so_keepalive=60s:10s:3;
        ssl_certificate {places.certificate};
        ssl_certificate_key {places.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:10m;
        ssl_session_timeout 1h;
        ssl_session_tickets off;

        set $without "";
{choice}

        proxy_http_version 1.1;
        proxy_set_header Host $host:$server_port;
        proxy_set_header Upgrade $upgrade;
        proxy_set_header Connection $hop;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
        proxy_connect_timeout {connect_s}s;
        proxy_read_timeout {silence_s}s;
        proxy_send_timeout 10s;
        # What an edge has not taken goes to another one; an order that it may have taken does not (no `non_idempotent`).
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 3;
        proxy_next_upstream_timeout 5s;

        limit_req zone=handshakes burst={places.handshakes_burst} nodelay;
        limit_conn open-sockets {places.sockets_max};

        location / {{
            proxy_pass http://$kind$without;
        }}
        location = /sign-in {{
            limit_req zone=sign_ins burst=20 nodelay;
            proxy_pass http://$kind$without;
        }}
        location ~ ^/(metrics|healthz|readyz)$ {{
            return 404;  # of one edge, for those who run it
        }}
        location = /nginx-health {{
            return 200 "{{\\"status\\": \\"alive\\"}}\\n";
        }}
    }}
}}
"""
