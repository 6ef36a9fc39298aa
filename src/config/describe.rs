//! What `tidegate check` prints: every listener, deadline, upstream and limit in plain words.

use std::fmt::{Display, Write};

use super::adapter;
use super::after;
use super::measure::{say_duration, say_size};
use super::say_limit::say;
use super::types::{AccessLog, Config, HostHeader, Listen, Store, Upstream, Verify};
use super::words::{LOG_FORMAT, LOG_LEVEL, of};
use super::{say_route, say_tasks, say_waiting};

/// The configuration in plain words, for people; ends in a line feed. Shows no secret.
#[must_use]
pub fn describe(config: &Config) -> String {
    let mut page = Page(String::new());
    listeners(&mut page, config);
    deadlines(&mut page, &config.listen);
    gate(&mut page, config);
    for upstream in &config.upstreams {
        about_upstream(&mut page, upstream);
    }
    page.0
}

/// The text so far.
pub(super) struct Page(String);

impl Page {
    pub(super) fn heading(&mut self, text: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.put(format_args!("{gap}{text}\n"));
    }

    pub(super) fn line(&mut self, name: &str, said: impl Display) {
        self.put(format_args!("  {name:<20} {said}\n"));
    }

    pub(super) fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        self.0.write_fmt(text).unwrap_or_default();
    }
}

fn listeners(page: &mut Page, config: &Config) {
    let listen = &config.listen;
    page.heading("Listeners");
    page.line("http", listed(&listen.http, "none"));
    page.line("https", listed(&listen.https, "none"));
    let door = match (&config.admin.certificate, &config.admin.token) {
        (Some(_), Some(_)) => "TLS, with a token",
        (Some(_), None) => "TLS, no token: POST and DELETE answer 403",
        (None, Some(_)) => "plain, with a token",
        (None, None) => "plain, no token: POST and DELETE answer 403",
    };
    page.line("admin", format_args!("{} ({door})", listen.admin));
    if let Some(ca) = &listen.client_ca {
        page.line(
            "client certificates",
            format_args!("asked for, checked against {}", ca.display()),
        );
    }
    page.line(
        "trusted proxies",
        listed(
            &listen.trusted_proxies,
            "none: the address of the socket is the client's",
        ),
    );
    page.line(
        "PROXY protocol",
        listed(&listen.proxy_protocol, "on no listener"),
    );
    for (name, kind, most) in [
        ("connections_http", "plain", listen.max_connections_http),
        ("connections_https", "TLS", listen.max_connections_https),
    ] {
        let said = match most {
            0 => format!("blocks: every {kind} socket is answered 503 and closed."),
            most => format!(
                "at most {most} open sockets at {kind} listeners, idle ones too; over it 503, then close. Gate-wide, exact."
            ),
        };
        page.line(name, said);
    }
}

fn deadlines(page: &mut Page, listen: &Listen) {
    page.heading("Deadlines and sizes of clients");
    for (name, time, what) in [
        (
            "handshake_timeout",
            listen.handshake_timeout,
            "for a TLS handshake",
        ),
        (
            "header_timeout",
            listen.header_timeout,
            "for a request head, from accept or its first byte to its end",
        ),
        (
            "idle_timeout",
            listen.idle_timeout,
            "between two requests of a connection",
        ),
        (
            "body_timeout",
            listen.body_timeout,
            "of silence inside a request body, or while a client takes nothing of its answer",
        ),
        (
            "body_deadline",
            listen.body_deadline,
            "for a whole request body, transfers excepted",
        ),
    ] {
        page.line(name, format_args!("at most {} {what}", say_duration(time)));
    }
    page.line(
        "max_header_bytes",
        format_args!(
            "at most {} of request head",
            say_size(listen.max_header_bytes)
        ),
    );
    page.line(
        "max_body_bytes",
        format_args!(
            "at most {} of request body, transfers excepted",
            say_size(listen.max_body_bytes)
        ),
    );
}

fn gate(page: &mut Page, config: &Config) {
    page.heading("Gate");
    match config.runtime.threads {
        0 => page.line("threads", "one per core"),
        threads => page.line("threads", threads),
    }
    let drain = say_duration(config.runtime.drain);
    page.line(
        "drain",
        format_args!("after SIGTERM calls in flight may take {drain} more"),
    );
    let headers = if config.headers.ratelimit {
        "sent with refusals"
    } else {
        "not sent"
    };
    page.line("RateLimit headers", headers);
    let access = match &config.log.access {
        AccessLog::Off => "no access log".to_owned(),
        AccessLog::Stdout => "access log on standard output".to_owned(),
        AccessLog::File(path) => format!("access log in {}", path.display()),
    };
    let format = of(&LOG_FORMAT, &config.log.format);
    let level = of(&LOG_LEVEL, &config.log.level);
    page.line("log", format_args!("{format} from {level} up; {access}"));
    kept(page, config);
    say_tasks::tasks(page, config);
    let users = config.admin.break_glass_users.join(", ");
    if !users.is_empty() {
        let share = f64::from(config.admin.break_glass_share_ppm) / 10_000.0;
        page.line(
            "break glass",
            format_args!("{share} % of sessions, logins and seats kept free for {users}"),
        );
    }
}

fn kept(page: &mut Page, config: &Config) {
    match &config.state.store {
        Store::Memory => page.line("state", "in memory, gone with the process"),
        Store::Sqlite(path) => {
            let path = path.display();
            page.line(
                "state",
                format_args!("SQLite at {path}: login sessions and tasks"),
            );
        }
    }
}

fn about_upstream(page: &mut Page, upstream: &Upstream) {
    page.heading(&format!(
        "Upstream {}: {} (profile {})",
        upstream.name,
        authority(upstream),
        upstream.profile
    ));
    page.line("hosts", listed(&upstream.hosts, "all"));
    page.line(
        "Host sent up",
        match &upstream.host {
            HostHeader::Upstream => "the upstream's own",
            HostHeader::Client => "what the client sent",
            HostHeader::Name(name) => name,
        },
    );
    page.line("certificate", trust(upstream));
    page.line(
        "connect_timeout",
        format_args!(
            "at most {} to connect, TLS included",
            say_duration(upstream.connect_timeout)
        ),
    );
    page.line(
        "response_timeout",
        format_args!(
            "at most {} of silence on an ordinary call",
            say_duration(upstream.response_timeout)
        ),
    );
    page.line(
        "idle_timeout",
        format_args!(
            "a pooled socket is closed after {}",
            say_duration(upstream.idle_timeout)
        ),
    );
    speech(page, upstream);
    for (name, said) in say_waiting::lines(upstream) {
        page.line(name, said);
    }
    limits(page, upstream);
    routes(page, upstream);
    adapters(page, upstream);
}

fn speech(page: &mut Page, upstream: &Upstream) {
    let speech = &upstream.speech;
    page.line("dialect", speech.dialect.as_str());
    page.line(
        "session_idle",
        format_args!(
            "a REST session is taken for ended after {} without a call, a SOAP session after {}",
            say_duration(speech.session_idle_rest),
            say_duration(speech.session_idle_soap)
        ),
    );
    if let Some(target) = &upstream.verify_with {
        page.line(
            "verify_with",
            format_args!("who asks for tasks with credentials that it has not accepted lately is verified by GET {target}"),
        );
    }
    for (spelling, domain) in &speech.domains {
        page.line("domains", format_args!("{spelling:?} means {domain}"));
    }
}

fn limits(page: &mut Page, upstream: &Upstream) {
    if upstream.limits.is_empty() {
        page.line("limits", "none");
        return;
    }
    page.put(format_args!("  limits\n"));
    for limit in &upstream.limits {
        page.put(format_args!("    {}: {}\n", limit.name, say(limit)));
    }
}

fn routes(page: &mut Page, upstream: &Upstream) {
    if !upstream.routes.is_empty() {
        page.put(format_args!("  routes (the first that matches wins)\n"));
    }
    for route in &upstream.routes {
        page.put(format_args!(
            "    {}: {}\n",
            route.name,
            say_route::say(route)
        ));
        for rule in after::lines(route) {
            page.put(format_args!("      {rule}\n"));
        }
    }
}

fn adapters(page: &mut Page, upstream: &Upstream) {
    if upstream.adapters.is_empty() {
        return;
    }
    let off = if upstream.native {
        "tasks go up by them"
    } else {
        "off: native = false"
    };
    page.put(format_args!(
        "  asynchronous forms of the API itself (the first that matches holds; {off})\n"
    ));
    for adapter in &upstream.adapters {
        let said = adapter::say(adapter, upstream.merge_period);
        page.put(format_args!("    {}: {said}\n", adapter.name));
    }
}

/// The address of an upstream as it is written.
pub(super) fn authority(upstream: &Upstream) -> String {
    let address = &upstream.address;
    let scheme = if address.tls { "https" } else { "http" };
    if address.host.contains(':') {
        format!("{scheme}://[{}]:{}", address.host, address.port)
    } else {
        format!("{scheme}://{}:{}", address.host, address.port)
    }
}

fn trust(upstream: &Upstream) -> String {
    match &upstream.verify {
        _ if !upstream.address.tls => "none: plain HTTP".to_owned(),
        Verify::System => "verified by the roots of the operating system".to_owned(),
        Verify::Ca(path) => format!("verified by the authorities in {}", path.display()),
        Verify::Fingerprint(_) => "pinned by its SHA-256".to_owned(),
        Verify::Insecure => "NOT VERIFIED (insecure.skip_verify): whoever sits between can read and change everything".to_owned(),
    }
}

fn listed(list: &[impl Display], none: &str) -> String {
    if list.is_empty() {
        none.to_owned()
    } else {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
