//! A vCenter's own numbers: what others use of it, who do not come through the gate, is not the gate's to give
//! (`upstream.utilization`).
//!
//! Each reading logs in as `upstream.account`, asks, and logs out: nothing is left behind at the upstream, whatever
//! becomes of the gate.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

use crate::admit::{Shared as Sockets, Usage};
use crate::call::{Class, Dialect, SessionKind, Spoken};
use crate::config::Account;
use crate::dialect::{own, utilization};
use crate::forward::Upstream;
use crate::proxy::{LoggedIn, Shared};

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(10);
/// Readings that may fail before what was read last counts no more.
const MISSES: u32 = 3;

/// Starts reading, for each upstream that says so.
pub(super) fn start(helm: &Runtime, shared: &Arc<Shared>) {
    for (index, upstream) in shared.hosts.all().iter().enumerate() {
        let config = upstream.config();
        let (Some(period), Some(account)) = (config.utilization, &config.account) else {
            continue;
        };
        let reader = Reader {
            shared: shared.clone(),
            upstream: upstream.clone(),
            index,
            account: account.clone(),
        };
        helm.spawn(reader.run(period));
    }
}

struct Reader {
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    index: usize,
    account: Account,
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("the login of upstream.account failed, or had no room under the limits")]
    Login,
    #[error(
        "the answers have no numbers: vCenter 9.1 or later has them, for users with System.Read"
    )]
    Silent,
}

impl Reader {
    async fn run(self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed = 0_u32;
        loop {
            ticks.tick().await;
            match self.read().await {
                Ok(()) => missed = 0,
                Err(why) => {
                    missed = missed.saturating_add(1);
                    self.unread(&why, missed);
                }
            }
        }
    }

    /// Said once, when it begins.
    fn unread(&self, why: &Unread, missed: u32) {
        let upstream = self.upstream.name();
        if missed == 1 {
            tracing::warn!(%upstream, %why, "utilization cannot be read");
        }
        if missed == MISSES {
            tracing::warn!(%upstream, "utilization was not read for long: all of each limit is in force again");
            self.note(Sockets::Rest, None);
            self.note(Sockets::Everything, None);
        }
    }

    async fn read(&self) -> Result<(), Unread> {
        let account = (&*self.account.user, self.account.password.expose());
        let session = self.shared.log_in(self.index, account, PATIENCE);
        let session = session.await.ok_or(Unread::Login)?;
        let port = self.upstream.config().address.port;
        let rest = self.usage(&session, Sockets::Rest, own::PROXIES, utilization::rest);
        let rest = rest.await;
        let connections = |body: &[u8]| utilization::connections(body, port);
        let all = self.usage(&session, Sockets::Everything, own::CONNECTIONS, connections);
        let all = all.await;
        self.log_out(session).await;
        // Of what one answer does not say, what is known stays as it is.
        for (sockets, usage) in [(Sockets::Rest, rest), (Sockets::Everything, all)] {
            if usage.is_some() {
                self.note(sockets, usage);
            }
        }
        if rest.or(all).is_none() {
            return Err(Unread::Silent);
        }
        Ok(())
    }

    async fn usage(
        &self,
        session: &LoggedIn,
        sockets: Sockets,
        target: &'static str,
        read: impl Fn(&[u8]) -> Option<utilization::Load>,
    ) -> Option<Usage> {
        let before = self.upstream.stack().own_use(sockets);
        let load = read(&self.ask(session, target).await?)?;
        Some(Usage {
            active: load.active,
            // The question is one call more, over a socket of its own.
            own: before + 1,
            most: load.most,
        })
    }

    fn note(&self, sockets: Sockets, usage: Option<Usage>) {
        let stack = self.upstream.stack();
        stack.used_by_others(sockets, usage, self.shared.now());
    }

    async fn ask(&self, session: &LoggedIn, target: &'static str) -> Option<bytes::Bytes> {
        let request = own::get(&spoken(session), target)?;
        let of = (Class::Rest, SessionKind::Rest);
        let answer = self
            .shared
            .send_own(self.index, request, of, PATIENCE)
            .await?;
        (answer.status == 200).then_some(answer.body)
    }

    async fn log_out(&self, session: LoggedIn) {
        let origin = format!("https://{}", self.upstream.name());
        if let Some(request) = own::logout(&spoken(&session), &origin) {
            let of = (Class::Logout, SessionKind::Rest);
            drop(
                self.shared
                    .send_own(self.index, request, of, PATIENCE)
                    .await,
            );
        }
    }
}

fn spoken(session: &LoggedIn) -> own::Session<'_> {
    own::Session {
        dialect: Dialect::Vcenter,
        spoken: Spoken::Api,
        token: &session.token,
        proof: None,
    }
}
