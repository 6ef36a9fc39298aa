//! What waits for an upstream, how long and in which order, in plain words.

use super::measure::say_duration;
use super::types::{Adaptive, Client, RefusalSignature, Upstream};

/// Names of keys, and what their values mean.
pub(super) fn lines(upstream: &Upstream) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("blackout", blackout(upstream)),
        ("learn", learn(upstream.learn).to_owned()),
        ("adaptive", adaptive(upstream.adaptive).to_owned()),
    ];
    lines.extend(upstream.utilization.map(|period| {
        let period = say_duration(period);
        let said = format!(
            "every {period} it is asked what others use of it; as much less of its sockets is the gate's to give"
        );
        ("utilization", said)
    }));
    for (user, weight) in &upstream.weights {
        let said = format!("{user} has {weight} calls in each turn of a line, others have 1");
        lines.push(("weights", said));
    }
    lines.extend(
        upstream
            .clients
            .iter()
            .map(|client| ("client", patience(client))),
    );
    lines.extend(
        upstream
            .refusals
            .iter()
            .map(|signature| ("refused", refused(signature))),
    );
    lines
}

fn blackout(upstream: &Upstream) -> String {
    if upstream.blackout.is_zero() {
        return "while it is down calls are refused with 503 at once".to_owned();
    }
    format!(
        "while it is down calls wait for it up to {}, then 503",
        say_duration(upstream.blackout)
    )
}

fn learn(learn: bool) -> &'static str {
    if learn {
        "limits shrink for a while when it refuses calls itself, and never grow above what is written here"
    } else {
        "limits stay as they are when it refuses calls itself"
    }
}

fn adaptive(adaptive: Adaptive) -> &'static str {
    match adaptive {
        Adaptive::Off => "off: the limits alone say how many calls it gets at a time",
        Adaptive::Gradient => {
            "gradient: below the limits, it gets as many calls at a time as it answers without slowing down"
        }
    }
}

fn patience(client: &Client) -> String {
    format!(
        "{} (User-Agent {:?}) waits no longer than {} for an answer, and so do its calls in a line",
        client.name,
        client.user_agent.as_str(),
        say_duration(client.patience)
    )
}

fn refused(signature: &RefusalSignature) -> String {
    let header = signature.header.as_ref().map_or_else(String::new, |sign| {
        let value = sign.value.as_ref().map_or("", |value| value.as_str());
        let colon = if value.is_empty() { "" } else { ": " };
        format!(" with header {}{colon}{value}", sign.name)
    });
    let body = signature
        .body
        .as_ref()
        .map_or_else(String::new, |body| format!(" with {body:?} in its body"));
    format!(
        "{}: status {}{header}{body} was not executed and may be sent again",
        signature.name, signature.status
    )
}
