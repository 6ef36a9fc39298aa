//! An adapter in plain words.

use std::time::Duration;

use super::merge::Merge;
use super::shape::{Adapter, Find, Native, ResultShape};
use crate::config::measure::say_duration;
use crate::config::say_limit::calls;

/// One line on an adapter, for people.
pub(in crate::config) fn say(adapter: &Adapter, merge_period: Option<Duration>) -> String {
    let said = unmerged(adapter);
    match (&adapter.merge, merge_period) {
        (Some(merge), Some(period)) => format!(
            "{}; all else of them: {said}",
            merged(adapter, merge, period)
        ),
        _ => said,
    }
}

/// What becomes of those that the gate makes one.
fn merged(adapter: &Adapter, merge: &Merge, period: Duration) -> String {
    let (which, asks) = (calls(&adapter.matches), asks(adapter));
    let Merge {
        list,
        add,
        delete,
        at_most,
        ..
    } = merge;
    let how = if period.is_zero() {
        "are executed at once, in order, and their clients wait for the answer".to_owned()
    } else {
        let same = [&["user".to_owned()][..], &merge.same]
            .concat()
            .join(" and ");
        let pinned = match &*merge.period {
            [] => String::new(),
            pinned => format!(", one {} a period", pinned.join(" and ")),
        };
        let period = say_duration(period);
        format!(
            "are tasks of the gate's, gathered for {period} and sent up as one for each resource, {same}{pinned}, at most {at_most} in one"
        )
    };
    format!("{which} that ask{asks} and {add} or {delete} entries of {list} alone {how}")
}

fn unmerged(adapter: &Adapter) -> String {
    let which = calls(&adapter.matches);
    let asks = asks(adapter);
    let Some(native) = &adapter.native else {
        return format!(
            "{which} have no form of their own upstream; a client that asks{asks} gets the gate's task with the face of the vendor's"
        );
    };
    let mut said = vec![format!("{which} {}", sent(native))];
    said.extend(native.before.as_ref().map(|before| {
        let every = say_duration(before.every);
        let resource = before.resource.as_ref().unwrap_or(&before.get);
        format!(
            "one at a time for {resource}; kept back while GET {} says that it is busy, asked every {every}",
            before.get
        )
    }));
    said.push(named(native));
    if native.accept.iter().any(|one| one.unmade) {
        said.push("sent again when it was taken and not made, where again does no harm".to_owned());
    }
    said.push(polled(native));
    said.extend(native.fallback.as_ref().map(|signature| {
        format!(
            "a {} with the sign of a missing form sends the call as it was",
            signature.status
        )
    }));
    said.extend(native.find.as_ref().map(looked_for));
    said.push(result(native));
    said.extend(
        native
            .cancel
            .as_ref()
            .map(|cancel| format!("taken back by {} {}", cancel.method, cancel.target)),
    );
    if native.rewrite.is_some() && !adapter.never_rewrite.is_empty() {
        said.push(format!(
            "never changed when Authorization is {}",
            adapter.never_rewrite.join(" or ")
        ));
    }
    if adapter.face.is_some() {
        said.push(format!(
            "a client that asks{asks} itself gets that form, by the gate where it has to"
        ));
    }
    said.join("; ")
}

fn asks(adapter: &Adapter) -> String {
    let pairs = adapter.parameter.iter().map(|(name, value)| {
        let equals = if value.is_empty() { "" } else { "=" };
        format!("{name}{equals}{value}")
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!(" with {}", pairs.join(" or "))
    }
}

fn sent(native: &Native) -> String {
    let Some(rewrite) = &native.rewrite else {
        return "go up as they are".to_owned();
    };
    let query = rewrite.query.iter().cloned();
    let headers = rewrite
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let added: Vec<_> = query.chain(headers).collect();
    format!("go up with {}", added.join(" and "))
}

fn named(native: &Native) -> String {
    let status = native.started.status.iter().map(ToString::to_string);
    let status = status.collect::<Vec<_>>().join(" or ");
    let ids: Vec<_> = native.started.id.iter().map(ToString::to_string).collect();
    if ids.is_empty() {
        format!("a {status} begins it")
    } else {
        format!("a {status} names the task in {}", ids.join(" or "))
    }
}

fn polled(native: &Native) -> String {
    let poll = &native.poll;
    let (least, most) = (say_duration(poll.least), say_duration(poll.most));
    let batch = poll.batch.as_ref().map_or_else(String::new, |batch| {
        format!(
            ", all of them by {} {} at a time",
            batch.method, batch.target
        )
    });
    let confirm = match native.confirm.readings {
        1 => String::new(),
        readings => format!(", believed after {readings} equal readings"),
    };
    format!(
        "asked for by GET {} every {least} to {most}{batch}{confirm}",
        poll.get
    )
}

fn looked_for(find: &Find) -> String {
    let by = match (&find.started, find.unseen) {
        (Some(_), true) => " by when it began, and because it was not there before",
        (Some(_), false) => " by when it began",
        (None, _) => " because it was not there before",
    };
    let whose = if find.user.is_some() {
        ", its user's alone"
    } else {
        ""
    };
    let (list, within) = (&find.list, say_duration(find.within));
    format!(
        "one whose start was not answered is looked for with {} {}{by}{whose}, for {within}, and taken where it is the only one",
        list.method, list.target
    )
}

fn result(native: &Native) -> String {
    match &native.result {
        ResultShape::AsRead => "its last reading is the answer".to_owned(),
        ResultShape::Get(get) => format!("the answer is what GET {get} says then"),
        ResultShape::Made(made) => {
            let body = if made.body.is_some() {
                " with a body made of the reading"
            } else {
                " without a body"
            };
            format!("the answer is {}{body}", made.status)
        }
    }
}
