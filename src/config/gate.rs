//! The gate's own tables: `[runtime]`, `[state]`, `[tasks]`, `[headers]`, `[admin]`, `[log]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::door::certificate;
use super::files::{path, secret};
use super::nearest::nearest;
use super::net::webhook;
use super::node::Node;
use super::reader::Reader;
use super::signing::signing_keys;
use super::types::{
    AccessLog, Admin, Headers, Log, LogFormat, LogLevel, Runtime, Secret, State, Store, Tasks,
};
use super::user::user;
use super::value::{duration, flag, share, size, text, whole, whole_u32, word};
use super::words::{INTERIM, LOG_FORMAT, LOG_LEVEL};

/// Where tasks are, by default.
const PREFIX: &str = "/-/tasks";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);
const LEAST: Duration = Duration::from_millis(1);
/// Most tasks that are kept on the desk.
const MOST_TASKS: u64 = 100_000;
/// Most polls of one task in a second that are worth counting.
const MOST_POLLS: u32 = 1_000_000;
const MOST_BODY: u64 = 64 * 1024 * 1024;

/// Most finished tasks, and least and most bytes of them.
const MOST_FINISHED: u64 = 100_000_000;
const LEAST_KEPT: u64 = 1 << 20;
const MOST_KEPT: u64 = 1 << 50;

/// Reads `[runtime]`.
pub(super) fn runtime(top: &Reader<'_>) -> Runtime {
    let r = top.table("runtime");
    let threads = r.get("threads", whole(0..=1024)).unwrap_or(0);
    let runtime = Runtime {
        threads: usize::try_from(threads).unwrap_or(0),
        drain: r
            .get("drain", duration(Duration::ZERO..=DAY))
            .unwrap_or(Duration::from_secs(30)),
    };
    r.finish();
    runtime
}

/// Reads `[state]`.
pub(super) fn state(top: &Reader<'_>) -> State {
    let r = top.table("state");
    let state = State {
        store: r
            .get("url", store)
            .unwrap_or_else(|| Store::Sqlite(PathBuf::from("/var/lib/tidegate/tidegate.db"))),
        key_file: r
            .get("key_file", path(r.base()))
            .unwrap_or_else(|| PathBuf::from("/var/lib/tidegate/state.key")),
    };
    r.finish();
    state
}

/// Reads `[tasks]`.
pub(super) fn tasks(top: &Reader<'_>) -> Tasks {
    let r = top.table("tasks");
    let time = |key, default: u64, most| {
        r.get(key, duration(LEAST..=most))
            .unwrap_or(Duration::from_secs(default))
    };
    let up_to = |most, key, default: usize| {
        let read = r.get(key, whole(1..=most));
        read.and_then(|count| usize::try_from(count).ok())
            .unwrap_or(default)
    };
    let count = |key, default| up_to(MOST_TASKS, key, default);
    let kept = |key, default| up_to(MOST_FINISHED, key, default);
    let tasks = Tasks {
        prefix: r.get("prefix", prefix).unwrap_or(PREFIX.to_owned()),
        queue: count("queue", 5000),
        queue_per_user: count("queue_per_user", 1250),
        max_body: r
            .get("max_body", size(1..=MOST_BODY))
            .unwrap_or(4 * 1024 * 1024),
        absolute_urls: r.get("absolute_urls", flag).unwrap_or_default(),
        operation_location: r.get("operation_location", flag).unwrap_or_default(),
        azure_async_operation: r.get("azure_async_operation", flag).unwrap_or_default(),
        wait_max: r
            .get("wait_max", duration(Duration::ZERO..=HOUR))
            .unwrap_or(Duration::from_mins(1)),
        retention: time("retention", 86_400, YEAR),
        retention_unexecuted: time("retention_unexecuted", 3600, YEAR),
        max_finished: kept("max_finished", 1_000_000),
        max_finished_per_user: kept("max_finished_per_user", 100_000),
        max_finished_bytes: r
            .get("max_finished_bytes", size(LEAST_KEPT..=MOST_KEPT))
            .unwrap_or(10 << 30),
        max_blocking: time("max_blocking", 3600, DAY * 7),
        reconcile: time("reconcile", 300, DAY),
        polls_per_second: r
            .get("polls_per_second", whole_u32(0..=MOST_POLLS))
            .unwrap_or(10_000),
        poll_min: time("poll_min", 1, HOUR),
        detach: r.get("detach", flag).unwrap_or_default(),
        webhooks: r.list("webhooks", webhook).unwrap_or_default(),
        webhook_secret: r.get_hidden("webhook_secret", signing_secret(r.base())),
        interim: r.get("interim", word(&INTERIM)).unwrap_or_default(),
        interim_every: time("interim_every", 15, HOUR),
    };
    if !tasks.webhooks.is_empty() && !r.has("webhook_secret") && r.sound(&["webhooks"]) {
        r.fault("webhook_secret", "is missing: receivers tell webhooks of the gate by their signature alone; write \"file:/etc/tidegate/webhook.key\", or leave tasks.webhooks empty");
    }
    r.finish();
    tasks
}

fn signing_secret(base: &Path) -> impl Fn(&Node) -> Result<Secret, String> {
    move |node| {
        let secret = secret(base)(node)?;
        signing_keys(&secret).map(|_| secret)
    }
}

/// Reads `[headers]`.
pub(super) fn headers(top: &Reader<'_>) -> Headers {
    let r = top.table("headers");
    let headers = Headers {
        ratelimit: r.get("ratelimit", flag).unwrap_or(true),
        idempotency_key: r.get("idempotency_key", flag).unwrap_or(true),
    };
    r.finish();
    headers
}

/// Reads `[admin]`.
pub(super) fn admin(top: &Reader<'_>) -> Admin {
    let r = top.table("admin");
    let glass = r.table("break_glass");
    let admin = Admin {
        token: r.get_hidden("token", secret(r.base())),
        certificate: certificate(&r),
        break_glass_users: glass.list("users", user).unwrap_or_default(),
        break_glass_share_ppm: glass.get("share", share).unwrap_or(50_000),
    };
    glass.finish();
    r.finish();
    admin
}

/// Reads `[log]`.
pub(super) fn log(top: &Reader<'_>) -> Log {
    let r = top.table("log");
    let log = Log {
        format: r
            .get("format", word(&LOG_FORMAT))
            .unwrap_or(LogFormat::Json),
        level: r.get("level", word(&LOG_LEVEL)).unwrap_or(LogLevel::Info),
        access: r
            .get("access", access(r.base()))
            .unwrap_or(AccessLog::Stdout),
    };
    r.finish();
    log
}

fn store(node: &Node) -> Result<Store, String> {
    let url = text(node)?;
    let wanted =
        "write \"sqlite:///var/lib/tidegate/tidegate.db\", or \"memory\" for tests and benches";
    if url == "memory" {
        return Ok(Store::Memory);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(format!(
            "names PostgreSQL, which this version does not have yet; {wanted}"
        ));
    }
    match url.strip_prefix("sqlite://") {
        Some(path)
            if path.starts_with('/')
                && !path.ends_with('/')
                && !path.contains(['?', '#', '\0']) =>
        {
            Ok(Store::Sqlite(PathBuf::from(path)))
        }
        Some(_) => Err(format!(
            "needs the whole path of a file after sqlite://, three slashes in all; {wanted}"
        )),
        None => Err(format!("is no store; {wanted}")),
    }
}

fn prefix(node: &Node) -> Result<String, String> {
    let prefix = text(node)?;
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    let fits = prefix
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_segment));
    if fits {
        Ok(prefix)
    } else {
        Err("is no prefix; a path of letters, digits and - . _ ~ is wanted, no slash at its end, as \"/-/tasks\"".to_owned())
    }
}

fn access(base: &Path) -> impl Fn(&Node) -> Result<AccessLog, String> {
    move |node| {
        match text(node)?.as_str() {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        // A mistyped word must not become a file of that name.
        other if !other.contains('/') => Err(match nearest(other, ["off", "stdout"].into_iter()) {
            Some(word) => format!("is unknown; did you mean {word:?}? A file is written with a slash, as \"./access.log\""),
            None => "is unknown; \"stdout\", \"off\" or a file with a slash in it is wanted, as \"/var/log/tidegate/access.log\"".to_owned(),
        }),
        _ => path(base)(node).map(AccessLog::File),
    }
    }
}
