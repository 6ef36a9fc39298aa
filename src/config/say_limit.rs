//! One limit in plain words: what it counts, how many, for whom, and what happens then.

use super::measure::{say_duration, say_size};
use super::types::{Counts, Key, Limit, Match, Mode};

/// What `limit` means, in a line or two without line breaks.
pub(super) fn say(limit: &Limit) -> String {
    let mut said = if limit.limit == 0 {
        blocked(limit)
    } else {
        ceiling(limit)
    };
    if limit.mode == Mode::Shadow {
        said.push_str(" SHADOW: it counts and reports, and refuses nothing");
        said.push_str(if limit.wait.line > 0 {
            "; nobody waits for it, its wait has no effect."
        } else {
            "."
        });
    }
    if let Some(reason) = limit.not_enforced {
        said.push_str(" NOT ENFORCED by this version: ");
        said.push_str(reason);
        said.push('.');
    }
    said
}

fn blocked(limit: &Limit) -> String {
    let what = match limit.counts {
        Counts::UpstreamConnections => "no socket is opened for",
        Counts::RequestsInFlight | Counts::Requests => "none passes of",
        Counts::Sessions | Counts::SessionCreations => "no login passes of",
        Counts::ResponseBytes => "no answer that has a body passes to",
    };
    format!(
        "blocks: {what} {}; {}.",
        all_calls(&limit.matches),
        refusal(limit)
    )
}

fn ceiling(limit: &Limit) -> String {
    let (most, calls, all) = (
        limit.limit,
        calls(&limit.matches),
        all_calls(&limit.matches),
    );
    match limit.counts {
        Counts::Requests if limit.key == Key::All => gate_wide_rate(limit),
        Counts::Requests => keyed_rate(limit),
        Counts::UpstreamConnections => held(
            limit,
            &format!("{most} open sockets to the upstream for {all}, idle ones too"),
        ),
        Counts::RequestsInFlight => held(limit, &format!("{most} {calls} at a time")),
        Counts::Sessions => held(limit, &format!("{most} live login sessions for {all}")),
        Counts::SessionCreations => held(limit, &format!("{most} logins at a time for {all}")),
        Counts::ResponseBytes => {
            format!(
                "at most {} in one answer to {all}; {}.",
                say_size(most),
                refusal(limit)
            )
        }
    }
}

fn gate_wide_rate(limit: &Limit) -> String {
    let (window, calls) = (say_duration(limit.window), calls(&limit.matches));
    format!(
        "at most {} {calls} in any {window}, wherever that starts, at most {} back to back; {}. Gate-wide, exact.",
        limit.limit,
        limit.burst,
        refusal(limit)
    )
}

fn keyed_rate(limit: &Limit) -> String {
    let window = say_duration(limit.window);
    format!(
        "for {}: {} {} per {window} on average, at most {} back to back (GCRA: at most limit + burst = {} in any {window}); {}.",
        apart(limit.key),
        limit.limit,
        calls(&limit.matches),
        limit.burst,
        limit.limit.saturating_add(limit.burst),
        refusal(limit)
    )
}

fn held(limit: &Limit, what: &str) -> String {
    match limit.key {
        Key::All => format!("at most {what}; {}. Gate-wide, exact.", refusal(limit)),
        key => format!(
            "for {}: at most {what}; {}. Exact.",
            apart(key),
            refusal(limit)
        ),
    }
}

fn apart(key: Key) -> &'static str {
    match key {
        Key::All => "everybody together",
        Key::User => "each user apart",
        Key::Address => "each client address apart",
        Key::Session => "each login session apart",
    }
}

fn refusal(limit: &Limit) -> String {
    let status = limit.full_status;
    if limit.counts == Counts::ResponseBytes {
        return "over it 502, without Retry-After".to_owned();
    }
    waiting(limit).map_or_else(
        || format!("over it {status}"),
        |waiting| format!("{waiting}, then {status}"),
    )
}

/// How long a call over the limit waits, and how many of them. Nobody waits for a limit that blocks or refuses nothing.
fn waiting(limit: &Limit) -> Option<String> {
    let wait = &limit.wait;
    let holds = limit.mode == Mode::Enforce && limit.not_enforced.is_none() && limit.limit > 0;
    if wait.line == 0 || !holds {
        return None;
    }
    let share = if wait.per_user < wait.line {
        format!(", {} of one user", wait.per_user)
    } else {
        String::new()
    };
    let call = if limit.counts == Counts::SessionCreations {
        "login"
    } else {
        "call"
    };
    Some(format!(
        "over it a {call} waits for its turn up to {}, at most {} in line{share}",
        say_duration(wait.at_most),
        wait.line
    ))
}

/// Which calls `matches` means, as `calls of class rest or rpc to /api/**`.
pub(super) fn calls(matches: &Match) -> String {
    let mut parts = Vec::new();
    if !matches.class.is_empty() {
        parts.push(format!(
            "of class {}",
            any(matches.class.iter().map(|class| class.as_str()))
        ));
    }
    parts.extend(
        matches
            .method
            .as_ref()
            .map(|method| format!("with method {method}")),
    );
    parts.extend(matches.path.as_ref().map(|path| format!("to {path}")));
    parts.extend(
        matches
            .query
            .iter()
            .map(|(name, value)| format!("with query {name}={value}")),
    );
    parts.extend(
        matches
            .header
            .iter()
            .map(|(name, value)| format!("with header {name}: {value}")),
    );
    parts.extend(
        matches
            .service
            .as_ref()
            .map(|service| format!("to service {service}")),
    );
    parts.extend(
        matches
            .operation
            .as_ref()
            .map(|operation| format!("of operation {operation}")),
    );
    if !matches.route.is_empty() {
        parts.push(format!(
            "on route {}",
            any(matches.route.iter().map(String::as_str))
        ));
    }
    parts.insert(0, "calls".to_owned());
    parts.join(" ")
}

/// The same where no number stands before it.
fn all_calls(matches: &Match) -> String {
    let calls = calls(matches);
    if calls == "calls" {
        format!("all {calls}")
    } else {
        calls
    }
}

/// `a, b or c`.
fn any<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
