//! Sessions while the gate runs: taken up from the store, written back, asked about, forgotten.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::admit::SessionUnits;
use crate::call::{Call, Class, SessionKey, SessionKind, Spoken};
use crate::config::{self, Config};
use crate::dialect::{Secret, own};
use crate::forward::{OwnAnswer, OwnCall, Upstream};
use crate::limit::Moment;
use crate::proxy::{Home, People, Question, Sessions, Shared};
use crate::session::{
    Credential, Health, KeyError, Keys, Ledger, MOST_SESSIONS, New, Now, SealError, SessionId,
    SessionStore, StoreError, Token, Writer,
};
use crate::store::{self, OpenError};

/// How often idle sessions are looked for.
const EXPIRE: Duration = Duration::from_secs(2);
/// Longest time for a call of the gate's own.
const OWN_CALL: Duration = Duration::from_secs(30);
/// Longest answer to one, bytes.
const OWN_ANSWER: usize = 64 * 1024;
/// Longest time for the last changes to be written.
const FLUSH: Duration = Duration::from_secs(5);

/// Why sessions cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The state key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key can be made.
    #[error(transparent)]
    Random(#[from] SealError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error("state.url: {0}")]
    Load(#[from] StoreError),
}

/// The clock of limits and sessions: counted from `epoch`.
pub(super) fn clock(epoch: Instant) -> Now {
    let since = Instant::now().saturating_duration_since(epoch);
    Now {
        moment: Moment::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
        wall: SystemTime::now(),
    }
}

/// The store, and who writes to it.
pub(super) struct Kept {
    store: Arc<dyn SessionStore>,
    health: Arc<Health>,
    stop: watch::Sender<bool>,
    writing: Option<JoinHandle<Writer<SessionUnits>>>,
}

/// The ledger as the store knows it.
pub(super) struct TakenUp {
    pub(super) ledger: Arc<Sessions>,
    store: Arc<dyn SessionStore>,
}

/// Opens the store and takes up the sessions that are kept there, each with its units.
pub(super) fn take_up(
    helm: &Runtime,
    config: &Config,
    upstreams: &[Arc<Upstream>],
    epoch: Instant,
) -> Result<TakenUp, StateError> {
    let keys = match config.state.store {
        config::Store::Memory => Keys::random()?,
        config::Store::Sqlite(_) => Keys::load_or_make(&config.state.key_file)?,
    };
    let (store, records) = on(helm, async {
        let store = store::open(&config.state).await?;
        let records = store.load(MOST_SESSIONS).await?;
        Ok::<_, StateError>((store, records))
    })?;
    let ledger = Arc::new(Ledger::new(Arc::new(keys), MOST_SESSIONS));
    let named = |name: &str| config.upstreams.iter().position(|one| *one.name == *name);
    let now = clock(epoch);
    let restored = ledger.restore(
        records,
        now,
        |upstream, kind| {
            let speech = &config.upstreams.get(named(upstream)?)?.speech;
            Some(match kind {
                SessionKind::Rest => speech.session_idle_rest,
                SessionKind::Soap => speech.session_idle_soap,
            })
        },
        |record| {
            let index = named(&record.upstream)?;
            let user = record.user.as_ref().map(|user| user.id);
            let stack = upstreams.get(index)?.stack();
            let units = stack.hold_session(record.kind, user, record.address, now.moment);
            Some((index, units))
        },
    );
    if restored.unreadable > 0 {
        tracing::warn!(
            sessions = restored.unreadable,
            "tokens of kept sessions do not open with state.key_file: was it replaced? They cannot be logged out by id"
        );
    }
    tracing::info!(?restored, "sessions");
    Ok(TakenUp { ledger, store })
}

/// Runs `work` on the helm, also from within another runtime.
fn on<T: Send>(helm: &Runtime, work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| helm.block_on(work));
        match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl TakenUp {
    /// Starts writing what changes.
    pub(super) fn keep(self, helm: &Runtime, epoch: Instant) -> Kept {
        let mut writer = Writer::new(self.ledger, self.store.clone(), move || clock(epoch));
        let health = writer.health();
        let (stop, mut stopped) = watch::channel(false);
        let writing = helm.spawn(async move {
            let stopping = async {
                // An error means that the sender is gone: then it is over as well.
                drop(stopped.wait_for(|stop| *stop).await);
            };
            writer.run(stopping).await;
            writer
        });
        Kept {
            store: self.store,
            health,
            stop,
            writing: Some(writing),
        }
    }
}

impl Kept {
    /// How the store does.
    pub(super) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Writes the last changes and closes the store.
    pub(super) fn close(&mut self, helm: &Runtime) {
        self.stop.send_replace(true);
        let Some(writing) = self.writing.take() else {
            return;
        };
        let store = self.store.clone();
        on(helm, async move {
            if let Ok(mut writer) = writing.await
                && let Err(error) = writer.flush(FLUSH).await
            {
                tracing::error!(%error, "the last changes of sessions could not be written");
            }
            store.close().await;
        });
    }
}

/// Starts on `helm` what goes on beside calls; it ends with that runtime.
pub(super) fn start(helm: &Runtime, shared: &Arc<Shared>, questions: mpsc::Receiver<Question>) {
    helm.spawn(ask(shared.clone(), questions));
    let shared = shared.clone();
    helm.spawn(async move {
        let mut ticks = tokio::time::interval(EXPIRE);
        loop {
            ticks.tick().await;
            let people = &shared.people;
            let now = shared.now();
            let idle = |upstream: &crate::session::Upstream, kind| {
                people.home(upstream.index).map(|home| home.idle(kind))
            };
            for ended in people.ledger().expire(now, idle) {
                tracing::debug!(id = %ended.id, upstream = %ended.upstream.name, "a session idled out");
            }
            people.proofs().tidy(now);
        }
    });
}

/// Asks whose sessions are that were opened round the gate, one after the other.
async fn ask(shared: Arc<Shared>, mut questions: mpsc::Receiver<Question>) {
    let mut asked = Asked::default();
    while let Some(question) = questions.recv().await {
        let now = shared.now();
        let known = shared.people.ledger().find(&question.key, now);
        let is_named = known.is_some_and(|known| known.user.is_some());
        if is_named || asked.lately(question.key, now) {
            continue;
        }
        if let Some(name) = whose(&shared, &question).await {
            adopt(&shared, &question, &name);
        }
    }
}

/// Sessions that were asked about a moment ago, with no use.
#[derive(Default)]
struct Asked(std::collections::VecDeque<(SessionKey, Moment)>);

impl Asked {
    const AGAIN: Duration = Duration::from_secs(30);
    const MOST: usize = 1024;

    fn lately(&mut self, key: SessionKey, now: Moment) -> bool {
        self.0.retain(|(_, when)| now.since(*when) < Self::AGAIN);
        if self.0.iter().any(|(asked, _)| *asked == key) {
            return true;
        }
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((key, now));
        false
    }
}

/// What the upstream says. Where it cannot be asked, a token is no session's: a page that is open to
/// everybody answers any.
async fn whose(shared: &Arc<Shared>, question: &Question) -> Option<String> {
    let home = shared.people.home(question.upstream)?;
    let session = own::Session {
        dialect: home.dialect,
        spoken: question.spoken,
        token: &question.token,
        proof: question.proof.as_ref(),
    };
    let request = own::whose(&session)?;
    let class = match question.kind {
        SessionKind::Rest => Class::Rest,
        SessionKind::Soap => Class::Soap,
    };
    let of = (class, question.kind);
    let answer = send(shared, question.upstream, request, of).await?;
    match own::answer(home.dialect, question.spoken, answer.status, &answer.body) {
        own::Whose::User(name) => Some(name),
        own::Whose::Gone | own::Whose::Unknown => None,
    }
}

fn adopt(shared: &Shared, question: &Question, name: &str) {
    let people = &shared.people;
    let (Some(home), Some(upstream)) = (
        people.home(question.upstream),
        shared.hosts.all().get(question.upstream),
    ) else {
        return;
    };
    let now = People::now(shared.now());
    let user = home.user(name);
    if let Some(user) = &user {
        let take = |units: &mut SessionUnits| units.name(user.id);
        let ledger = people.ledger();
        if ledger.name(&question.key, user.clone(), take, now.moment) {
            return;
        }
    }
    let id = user.as_ref().map(|user| user.id);
    let stack = upstream.stack();
    let units = stack.hold_session(question.kind, id, question.address, now.moment);
    let credential = Credential {
        token: Token::new(question.token.expose()),
        xsrf: question
            .proof
            .as_ref()
            .map(|proof| Token::new(proof.expose())),
    };
    let new = New {
        key: question.key,
        kind: question.kind,
        upstream: &home.upstream,
        user,
        address: question.address,
        credential: Some(&credential),
        began: question.began,
    };
    let opened = people.ledger().adopt(new, units, now);
    tracing::info!(?opened, upstream = %home.upstream.name, "a session that was opened round the gate");
}

/// A call of the gate's own, under the limits of its class.
async fn send(
    shared: &Arc<Shared>,
    upstream: usize,
    request: own::Request,
    (class, side): (Class, SessionKind),
) -> Option<OwnAnswer> {
    let upstream = shared.hosts.all().get(upstream)?;
    let nobody = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let mut call = Call::new(class, request.target, nobody);
    call.side = side;
    // Refused: whoever wanted it comes again.
    let mut claim = upstream.stack().claim(&call, shared.now()).ok()?;
    claim.dispatch(shared.now()).ok()?;
    let own = OwnCall {
        method: request.method,
        target: request.target.to_owned(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: Bytes::clone(&request.body.0),
    };
    let sent = upstream
        .send(own, claim.socket_group(), OWN_CALL, OWN_ANSWER)
        .await;
    sent.inspect_err(|error| {
        tracing::warn!(upstream = %upstream.name(), %error, "a call of the gate's own had no answer");
    })
    .ok()
}

/// What became of a session that the operator wants to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoggedOut {
    /// The upstream took the logout.
    Done,
    /// There is no such session.
    Unknown,
    /// Its token is not kept, or its API has no logout: it can only idle out.
    Impossible,
    /// The upstream did not take it.
    Failed,
}

/// Logs session `id` out at its upstream, and forgets it.
pub(super) async fn log_out(shared: Arc<Shared>, id: SessionId) -> LoggedOut {
    let people = &shared.people;
    let Some(found) = people.ledger().logout(id) else {
        return LoggedOut::Unknown;
    };
    let Some((home, request)) = logout_request(people, &found) else {
        return LoggedOut::Impossible;
    };
    let of = (Class::Logout, found.kind);
    let answer = send(&shared, home.upstream.index, request, of).await;
    let gone = answer.is_some_and(|answer| {
        let said = own::answer(home.dialect, form(found.kind), answer.status, &answer.body);
        answer.status < 400 || said == own::Whose::Gone
    });
    if !gone {
        return LoggedOut::Failed;
    }
    drop(people.ledger().close(&found.key, shared.now()));
    LoggedOut::Done
}

fn logout_request<'p>(
    people: &'p People,
    found: &crate::session::Logout,
) -> Option<(&'p Home, own::Request)> {
    let home = people.home(found.upstream.index)?;
    let credential = found.credential.as_ref()?;
    let token = Secret::new(credential.token.expose());
    let proof = credential
        .xsrf
        .as_ref()
        .map(|proof| Secret::new(proof.expose()));
    let session = own::Session {
        dialect: home.dialect,
        spoken: form(found.kind),
        token: &token,
        proof: proof.as_ref(),
    };
    let request = own::logout(&session, &format!("https://{}", home.upstream.name))?;
    Some((home, request))
}

/// The form in which the gate itself ends a session of this kind.
const fn form(kind: SessionKind) -> Spoken {
    match kind {
        SessionKind::Rest => Spoken::Api,
        SessionKind::Soap => Spoken::Soap,
    }
}
