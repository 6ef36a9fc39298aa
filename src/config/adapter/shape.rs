//! An adapter once checked: how one operation of an API is started, followed and ended in the API's own asynchronous form.

use std::sync::Arc;
use std::time::Duration;

use super::face::Face;
use super::merge::Merge;
use super::spot::Spot;
use super::target::{Hole, Pieces};
use super::template::Template;
use crate::config::policy::Match;
use crate::config::work::{Probe, Replay};

/// One operation, and its asynchronous form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, the file's before it: `vcenter/vm-clone`.
    pub name: String,
    /// Which calls are meant.
    pub matches: Match,
    /// Query parameters, any of which asks for the asynchronous form; the first is the one to add.
    pub parameter: Vec<(String, String)>,
    /// Schemes of `Authorization` whose proof covers the request: such a request is never rewritten.
    pub never_rewrite: Vec<String>,
    /// What the body has to be; `None`: anything.
    pub body: Option<BodyOf>,
    /// How many such requests are made one by the gate, where the upstream is told to (`async_patch_merge_period`).
    pub merge: Option<Merge>,
    /// The upstream's own form; `None`: it has none that is known, the gate stands in for it by `face`.
    pub native: Option<Native>,
    /// How this form looks to a client, for the gate to stand in for it.
    pub face: Option<Arc<Face>>,
    /// What the face says of this operation beside its state (`${words.NAME}`).
    pub words: Vec<(String, String)>,
    /// As the file says it, with what it takes from another by `like`.
    pub shown: serde_json::Value,
}

/// What the JSON body of a request has to be for the asynchronous form to take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyOf {
    /// It has nothing but what stands at these places.
    pub only: Vec<Vec<String>>,
    /// Each entry of the lists there says this at that place.
    pub each: Vec<(Vec<String>, String)>,
}

/// An upstream's own asynchronous form of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// What the request is changed to.
    pub rewrite: Option<Rewrite>,
    /// What is asked before the request is sent, of a resource that may be busy.
    pub before: Option<Before>,
    /// How an answer that says "started" looks.
    pub started: StartedBy,
    /// Answers that say that there is no such form, and that nothing was executed.
    pub fallback: Option<Signature>,
    /// Answers that refuse the call without executing it.
    pub refusal: Vec<Signature>,
    /// How a task is asked for.
    pub poll: Poll,
    /// What a reading means: the first that holds.
    pub accept: Vec<Acceptor>,
    /// Places that the reading of an end has to have, or it is read once more.
    pub settled: Vec<Spot>,
    /// How often a reading has to come before it holds.
    pub confirm: Confirm,
    /// How often "not found" has to come before a task that was known is in doubt.
    pub gone: u32,
    /// Where a reading says how far the work is.
    pub progress: Progress,
    /// What a failure is told as.
    pub error: ErrorShape,
    /// What a success is told as.
    pub result: ResultShape,
    /// How a task is taken back.
    pub cancel: Option<Cancel>,
    /// How often the call may be executed; `None`: as the route says.
    pub replay: Option<Replay>,
    /// How the gate finds out what became of a start whose answer was lost.
    pub probe: Option<Probe>,
    /// How it looks for that one among the upstream's tasks, before it asks by the probe.
    pub find: Option<Find>,
}

/// How a start whose answer was lost is looked for among the upstream's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// The call that lists them; holes of its body are filled by the request.
    pub list: Batch,
    /// Any of these has to hold of an entry; empty: all do.
    pub fits: Vec<Acceptor>,
    /// Where an entry says whose it is.
    pub user: Option<Spot>,
    /// Where it says when it began (RFC 3339).
    pub started: Option<Spot>,
    /// How much sooner or later than the call it may have begun, by the upstream's clock.
    pub slack: Duration,
    /// Only what was not in the list before the call went up.
    pub unseen: bool,
    /// Pause between two looks.
    pub every: Duration,
    /// How long it is looked for.
    pub within: Duration,
}

/// What is changed of a request to ask for the asynchronous form. The body never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Added to the query.
    pub query: Option<String>,
    /// Header fields that are set, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// A question about the resource before it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// What to ask for.
    pub get: Pieces,
    /// What stands for the resource: calls for the same one go up one after the other. `None`: `get`.
    pub resource: Option<Pieces>,
    /// While any of these holds, the request is kept back.
    pub busy: Vec<Acceptor>,
    /// How often it is asked while it is busy.
    pub every: Duration,
    /// How long an answer that says that it is not busy is believed.
    pub fresh: Duration,
}

/// How an answer that says "started" looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedBy {
    /// Its status, any of these.
    pub status: Vec<u16>,
    /// Where it names the task; the first place that is there. Empty: the resource itself is the task.
    pub id: Vec<Spot>,
    /// With these statuses and no name, the work is done at once.
    pub done_without: Vec<u16>,
    /// Other hosts than the upstream's own that its URLs may name.
    pub hosts: Vec<String>,
}

/// What an answer looks like. All that is said has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Status.
    pub status: u16,
    /// It came within this time of the request.
    pub within: Option<Duration>,
    /// Places in its JSON body, and what they say.
    pub json: Vec<(Spot, String)>,
    /// The id of its first message, where vCenter's two forms have it.
    pub json_id: Option<String>,
    /// Text in its body, letter for letter.
    pub body: Option<String>,
}

/// How a task is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// What to ask for (`GET`).
    pub get: Pieces,
    /// Shortest pause between two polls.
    pub least: Duration,
    /// Longest.
    pub most: Duration,
    /// How many tasks are asked for by one call.
    pub batch: Option<Arc<Batch>>,
}

/// One call that asks for many tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name, the file's before it.
    pub name: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Its body: `${ids}` stands for the list of names.
    pub body: Option<Template>,
    /// Most names in one call.
    pub at_most: usize,
    /// Where the tasks stand: a JSON map or list, or an XML element that comes as often as there are tasks.
    pub entries: Spot,
    /// Where each says its name; `None`: it is the key of the map.
    pub id: Option<Spot>,
    /// Whether it says all of a task that is over; else that one is polled once more by itself.
    pub whole: bool,
}

/// What a reading means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptor {
    /// All of these have to hold.
    pub tests: Vec<Test>,
    /// The state of the task then.
    pub state: Became,
    /// What is said beside it.
    pub substate: Option<Beside>,
    /// How often it has to come before it holds; `None`: as the adapter says.
    pub confirm: Option<u32>,
    /// The change was taken and not made: a call that may be executed again is sent again.
    pub unmade: bool,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The status is one of these.
    Status(Vec<u16>),
    /// The request says something here: one of these texts, where there are any.
    Asked(Hole, Vec<String>),
    /// What stands there.
    At(Spot, Says),
    /// All that the request's JSON body says at its top, the answer says too, as far as it has it.
    Echoes,
}

/// What is said at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// One of these texts; numbers and `true` as JSON writes them.
    OneOf(Vec<Pieces>),
    /// Something, or nothing.
    Exists(bool),
    /// A list, map or text with something in it, or none such.
    NonEmpty(bool),
    /// Another than before the request was sent.
    Changed,
    /// What one segment of the request's path says, or none does.
    InPath(bool),
}

/// The state that a reading means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// At work, or yet to begin.
    Running,
    /// Done.
    Completed,
    /// Not done.
    Failed,
    /// Taken back.
    Aborted,
    /// Done in part.
    PartialSuccess,
    /// Its time was up, upstream.
    Expired,
}

impl Became {
    /// Whether the task is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// What is said beside `RUNNING`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// It has not begun.
    Queued,
    /// It waits for something.
    Blocked,
    /// It is being taken back.
    Canceling,
}

/// How often a reading has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// Equal readings in a row.
    pub readings: u32,
    /// Between two of them, at least.
    pub apart: Duration,
}

/// Where a reading says how far the work is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// How much is done.
    pub done: Option<Spot>,
    /// Of how much; `None`: of 100.
    pub of: Option<Spot>,
    /// What is being done.
    pub message: Option<Spot>,
}

/// What a failure is told as.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorShape {
    /// Where the reading names the kind.
    pub kind: Option<Spot>,
    /// Where it says what happened; the first place that is there.
    pub message: Vec<Spot>,
    /// What the blocking form would have answered.
    pub answer: Option<AnswerShape>,
    /// Where the reading says the status that the blocking form would have had.
    pub status_from: Option<Spot>,
    /// Statuses by kind; else that of the answer.
    pub statuses: Vec<(String, u16)>,
}

/// What a success is told as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultShape {
    /// The reading itself, as it came.
    AsRead,
    /// What this `GET` answers.
    Get(Pieces),
    /// An answer made of the reading.
    Made(AnswerShape),
}

/// An answer made of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerShape {
    /// Its status.
    pub status: u16,
    /// Its media type; none without a body.
    pub content_type: String,
    /// Its body.
    pub body: Option<Template>,
    /// Its other fields.
    pub headers: Vec<(String, Template)>,
}

/// How a task is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// `POST` or `DELETE`.
    pub method: &'static str,
    /// Where to.
    pub target: Pieces,
    /// Statuses that say that it was heard.
    pub ok: Vec<u16>,
    /// Where a reading says whether it may be.
    pub allowed_if: Option<Spot>,
}
