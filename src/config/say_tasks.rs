//! What `[tasks]` means, in plain words.

use super::describe::Page;
use super::measure::{say_duration, say_size};
use super::types::{Config, Interim, Tasks};
use super::words::{INTERIM, of};

/// Where tasks are, how many, and how long they are kept.
pub(super) fn tasks(page: &mut Page, config: &Config) {
    let tasks = &config.tasks;
    page.line(
        "tasks",
        format_args!(
            "under {}: blocking calls become tasks when their clients or routes ask for it",
            tasks.prefix
        ),
    );
    page.line(
        "task_queue",
        format_args!(
            "at most {} tasks of an upstream that are not over; over it 503",
            tasks.queue
        ),
    );
    page.line(
        "task_queue_per_user",
        format_args!(
            "at most {} of these of one user; over it 429",
            tasks.queue_per_user
        ),
    );
    finished(page, tasks);
    page.line(
        "a gate that died",
        format_args!(
            "its calls hold their seats for {} at most; what became of them is asked for {}",
            say_duration(tasks.max_blocking),
            say_duration(tasks.reconcile)
        ),
    );
    ways_of_tasks(page, config);
}

/// What clients of tasks may do and are told beyond the usual.
fn ways_of_tasks(page: &mut Page, config: &Config) {
    let tasks = &config.tasks;
    for (is_said, field) in [
        (tasks.operation_location, "Operation-Location"),
        (tasks.azure_async_operation, "Azure-AsyncOperation"),
    ] {
        if is_said {
            page.line(field, "says the same as Location, beside it");
        }
    }
    if tasks.detach {
        page.line(
            "detach",
            "a cancel frees the client from a blocking call that is at work: its answer is lost, its seat kept until it ends",
        );
    }
    page.line(
        "webhooks",
        match &*tasks.webhooks {
            [] => "none".to_owned(),
            prefixes => format!("to URLs below {}, signed", prefixes.join(", ")),
        },
    );
    interim(page, tasks);
    if config.headers.idempotency_key {
        page.line(
            "Idempotency-Key",
            "honoured on blocking calls; goes up where a route has an upstream_key, and nowhere else",
        );
    }
}

fn interim(page: &mut Page, tasks: &Tasks) {
    if tasks.interim == Interim::Off {
        return;
    }
    let word = of(&INTERIM, &tasks.interim);
    let every = say_duration(tasks.interim_every);
    let said = format_args!("{word} every {every}, over HTTP/1.1");
    page.line("while a client waits", said);
}

fn finished(page: &mut Page, tasks: &Tasks) {
    let bytes = say_size(tasks.max_finished_bytes);
    let slight = say_duration(tasks.retention_unexecuted.min(tasks.retention));
    page.line(
        "results",
        format_args!(
            "kept for {} after the end of a task; with an Idempotency-Key a day at least; what was never executed for {slight}",
            say_duration(tasks.retention)
        ),
    );
    page.line(
        "finished tasks",
        format_args!(
            "at most {}, of one user {}, with at most {bytes}; beyond that those that expire first are forgotten (410)",
            tasks.max_finished, tasks.max_finished_per_user
        ),
    );
}
