//! What `GET /config` answers: the configuration in force, by the names of the file, secrets as `***`.

use serde_json::{Map, Value, json};

use super::adapter::shown;
use super::after;
use super::describe::authority;
use super::measure::{show_duration, show_size};
use super::types::{
    AccessLog, Admin, Certificate, Client, Config, Counts, Glob, HostHeader, Limit, Listen, Log,
    Match, Mode, RefusalSignature, Route, Secret, State, Store, Tasks, Upstream, Verify,
};
use super::words::{
    ADAPTIVE, CONVERT, COUNTS, INTERIM, KEY, LOG_FORMAT, LOG_LEVEL, MODE, PRIORITY, of,
};
use super::work::{BUSY, Busy, REPLAY, UPSTREAM_KEY, UpstreamKey, Work, shown_probe};
use crate::call::Class;

/// The effective configuration: profiles merged in, defaults filled in, keys as in the file.
#[must_use]
pub fn effective(config: &Config) -> Value {
    json!({
        "listen": listen(&config.listen),
        "runtime": { "threads": config.runtime.threads, "drain": show_duration(config.runtime.drain) },
        "state": state(&config.state),
        "tasks": tasks(&config.tasks),
        "headers": { "ratelimit": config.headers.ratelimit, "idempotency_key": config.headers.idempotency_key },
        "admin": admin(&config.admin),
        "log": log(&config.log),
        "upstream": config.upstreams.iter().map(upstream).collect::<Vec<_>>(),
    })
}

fn listen(listen: &Listen) -> Value {
    let mut table = object(json!({
        "http": listen.http,
        "https": listen.https,
        "admin": listen.admin,
        "max_connections": { "http": listen.max_connections_http, "https": listen.max_connections_https },
        "handshake_timeout": show_duration(listen.handshake_timeout),
        "header_timeout": show_duration(listen.header_timeout),
        "idle_timeout": show_duration(listen.idle_timeout),
        "body_timeout": show_duration(listen.body_timeout),
        "body_deadline": show_duration(listen.body_deadline),
        "max_header_bytes": show_size(listen.max_header_bytes),
        "max_body_bytes": show_size(listen.max_body_bytes),
        "trusted_proxies": listen.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "proxy_protocol": listen.proxy_protocol,
    }));
    certificate(&mut table, listen.certificate.as_ref());
    put(
        &mut table,
        "client_ca",
        listen.client_ca.as_ref().map(|path| path.to_string_lossy()),
    );
    Value::Object(table)
}

fn state(state: &State) -> Value {
    let url = match &state.store {
        Store::Memory => "memory".to_owned(),
        Store::Sqlite(path) => format!("sqlite://{}", path.display()),
    };
    json!({ "url": url, "key_file": state.key_file.to_string_lossy() })
}

fn tasks(tasks: &Tasks) -> Value {
    let mut table = object(json!({
        "prefix": tasks.prefix,
        "queue": tasks.queue,
        "queue_per_user": tasks.queue_per_user,
        "max_body": show_size(tasks.max_body),
        "absolute_urls": tasks.absolute_urls,
        "operation_location": tasks.operation_location,
        "azure_async_operation": tasks.azure_async_operation,
        "wait_max": show_duration(tasks.wait_max),
        "retention": show_duration(tasks.retention),
        "retention_unexecuted": show_duration(tasks.retention_unexecuted),
        "max_finished": tasks.max_finished,
        "max_finished_per_user": tasks.max_finished_per_user,
        "max_finished_bytes": show_size(tasks.max_finished_bytes),
        "max_blocking": show_duration(tasks.max_blocking),
        "reconcile": show_duration(tasks.reconcile),
        "polls_per_second": tasks.polls_per_second,
        "poll_min": show_duration(tasks.poll_min),
        "detach": tasks.detach,
        "webhooks": tasks.webhooks,
        "interim": of(&INTERIM, &tasks.interim),
        "interim_every": show_duration(tasks.interim_every),
    }));
    secret(&mut table, "webhook_secret", tasks.webhook_secret.as_ref());
    Value::Object(table)
}

fn admin(admin: &Admin) -> Value {
    let share = f64::from(admin.break_glass_share_ppm) / 1e6;
    let mut table =
        object(json!({ "break_glass": { "users": admin.break_glass_users, "share": share } }));
    secret(&mut table, "token", admin.token.as_ref());
    certificate(&mut table, admin.certificate.as_ref());
    Value::Object(table)
}

fn log(log: &Log) -> Value {
    let access = match &log.access {
        AccessLog::Off => "off".into(),
        AccessLog::Stdout => "stdout".into(),
        AccessLog::File(path) => path.to_string_lossy(),
    };
    json!({ "format": of(&LOG_FORMAT, &log.format), "level": of(&LOG_LEVEL, &log.level), "access": access })
}

fn upstream(upstream: &Upstream) -> Value {
    let host = match &upstream.host {
        HostHeader::Upstream => "upstream",
        HostHeader::Client => "client",
        HostHeader::Name(name) => name,
    };
    let mut table = object(json!({
        "name": &*upstream.name,
        "address": authority(upstream),
        "profile": upstream.profile,
        "hosts": upstream.hosts,
        "host": host,
        "dialect": upstream.speech.dialect.as_str(),
        "domains": upstream.speech.domains,
        "refusal": { "rpc": upstream.speech.refusal_rpc, "soap": upstream.speech.refusal_soap },
        "session_idle": {
            "rest": show_duration(upstream.speech.session_idle_rest),
            "soap": show_duration(upstream.speech.session_idle_soap),
        },
        "native": upstream.native,
        "async_patch_merge_period": upstream.merge_period.map_or_else(|| "off".to_owned(), show_duration),
        "adapters": upstream.dialects,
        "dialect_files": upstream.dialect_files,
        // What these come to; no key of the file.
        "adapter": upstream.adapters.iter().map(shown).collect::<Vec<_>>(),
        "connect_timeout": show_duration(upstream.connect_timeout),
        "response_timeout": show_duration(upstream.response_timeout),
        "idle_timeout": show_duration(upstream.idle_timeout),
        "adaptive": of(&ADAPTIVE, &upstream.adaptive),
        "blackout": show_duration(upstream.blackout),
        "learn": upstream.learn,
        "utilization": upstream.utilization.map_or_else(|| "off".to_owned(), show_duration),
        "weights": upstream.weights,
        "client": upstream.clients.iter().map(client).collect::<Vec<_>>(),
        "refused": upstream.refusals.iter().map(refused).collect::<Vec<_>>(),
        "limits": upstream.limits.iter().map(|one| (one.name.to_string(), limit(one))).collect::<Map<_, _>>(),
        "route": upstream.routes.iter().map(route).collect::<Vec<_>>(),
    }));
    trust(&mut table, upstream);
    Value::Object(table)
}

/// Whom it takes the upstream for, and who the gate is there.
fn trust(table: &mut Map<String, Value>, upstream: &Upstream) {
    let account = upstream.account.as_ref();
    let account = account.map(|account| json!({ "user": account.user, "password": "***" }));
    put(table, "account", account);
    let verify_with = upstream.verify_with.as_ref();
    let verify_with = verify_with.map(|get| json!({ "get": get }));
    put(table, "verify_with", verify_with);
    match &upstream.verify {
        Verify::System => put(table, "verify", Some("system")),
        Verify::Ca(path) => put(table, "verify", Some(format!("ca:{}", path.display()))),
        Verify::Fingerprint(bytes) => {
            let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            put(
                table,
                "verify",
                Some(format!("fingerprint:sha256:{}", pairs.join(":"))),
            );
        }
        Verify::Insecure => put(table, "insecure", Some(json!({ "skip_verify": true }))),
    }
}

fn limit(limit: &Limit) -> Value {
    let mode: Option<Mode> = Some(limit.mode);
    let mut table = object(json!({
        "counts": of(&COUNTS, &limit.counts),
        "key": of(&KEY, &limit.key),
        "match": matches(&limit.matches),
        "mode": of(&MODE, &mode),
    }));
    if limit.counts == Counts::ResponseBytes {
        put(&mut table, "limit", Some(show_size(limit.limit)));
        return Value::Object(table);
    }
    put(&mut table, "limit", Some(limit.limit));
    put(
        &mut table,
        "full",
        Some(json!({ "status": limit.full_status })),
    );
    if limit.counts == Counts::Requests {
        put(&mut table, "window", Some(show_duration(limit.window)));
        // A limit of 0 blocks: there is no burst to speak of.
        put(
            &mut table,
            "burst",
            Some(limit.burst).filter(|burst| *burst > 0),
        );
    }
    let wait = &limit.wait;
    let line = json!({ "line": wait.line, "per_user": wait.per_user, "at_most": show_duration(wait.at_most) });
    put(&mut table, "wait", Some(line).filter(|_| wait.line > 0));
    Value::Object(table)
}

fn client(client: &Client) -> Value {
    json!({
        "name": client.name,
        "user_agent": client.user_agent.as_str(),
        "patience": show_duration(client.patience),
    })
}

fn refused(signature: &RefusalSignature) -> Value {
    let mut table = object(json!({ "name": signature.name, "status": signature.status }));
    let header = signature.header.as_ref().map(|sign| {
        let mut table = object(json!({ "name": sign.name }));
        put(&mut table, "value", sign.value.as_ref().map(Glob::as_str));
        table
    });
    put(&mut table, "header", header);
    put(&mut table, "body", signature.body.as_ref());
    Value::Object(table)
}

fn route(route: &Route) -> Value {
    let mut table = object(json!({
        "name": route.name,
        "match": matches(&route.matches),
        "class": route.class.as_str(),
        "priority": of(&PRIORITY, &route.priority),
    }));
    put(
        &mut table,
        "async",
        Some(of(&CONVERT, &route.convert)).filter(|_| route.class == Class::Blocking),
    );
    put(&mut table, "deadline", route.deadline.map(show_duration));
    work(&mut table, &route.work);
    let after = after::shown(&route.after);
    put(
        &mut table,
        "after",
        Some(after).filter(|rules| !rules.is_empty()),
    );
    Value::Object(table)
}

/// What is said of tasks, as far as it is said.
fn work(table: &mut Map<String, Value>, work: &Work) {
    let replay = work.replay.as_ref();
    put(table, "replay", replay.map(|replay| of(&REPLAY, replay)));
    let busy = Some(&work.busy).filter(|busy| **busy != Busy::default());
    put(table, "busy", busy.map(|busy| of(&BUSY, busy)));
    put(table, "probe", work.probe.as_ref().map(shown_probe));
    for (key, is_set) in [
        ("requeue", work.requeue),
        ("json", work.json),
        ("needs_key", work.needs_key),
    ] {
        put(table, key, Some(true).filter(|_| is_set));
    }
    let key = &work.upstream_key;
    let key = Some(key).filter(|key| **key != UpstreamKey::No);
    put(table, "upstream_key", key.map(|key| of(&UPSTREAM_KEY, key)));
    let fields = Some(&work.fingerprint).filter(|fields| !fields.is_empty());
    put(table, "fingerprint", fields);
    let fields = Some(&work.keep_headers).filter(|fields| !fields.is_empty());
    put(table, "keep_headers", fields);
}

fn matches(matches: &Match) -> Value {
    let mut table = Map::new();
    let classes: Vec<_> = matches.class.iter().map(|class| class.as_str()).collect();
    put(
        &mut table,
        "class",
        Some(classes).filter(|list| !list.is_empty()),
    );
    put(
        &mut table,
        "route",
        Some(&matches.route).filter(|list| !list.is_empty()),
    );
    put(&mut table, "method", matches.method.as_ref());
    put(&mut table, "path", matches.path.as_ref());
    put(&mut table, "query", pairs(&matches.query));
    put(&mut table, "header", pairs(&matches.header));
    put(&mut table, "service", matches.service.as_ref());
    put(&mut table, "operation", matches.operation.as_ref());
    Value::Object(table)
}

fn pairs(pairs: &[(String, String)]) -> Option<Value> {
    let table: Map<_, _> = pairs
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    Some(Value::Object(table)).filter(|_| !pairs.is_empty())
}

fn certificate(table: &mut Map<String, Value>, certificate: Option<&Certificate>) {
    put(
        table,
        "certificate",
        certificate.map(|pair| pair.chain.to_string_lossy()),
    );
    put(
        table,
        "private_key",
        certificate.map(|pair| pair.key.to_string_lossy()),
    );
}

fn secret(table: &mut Map<String, Value>, key: &str, secret: Option<&Secret>) {
    put(table, key, secret.map(|_| "***"));
}

/// Sets `key`, unless there is nothing to set it to.
fn put(table: &mut Map<String, Value>, key: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        table.insert(key.to_owned(), json!(value));
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(table) => table,
        _ => Map::new(),
    }
}
