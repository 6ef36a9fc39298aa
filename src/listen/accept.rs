//! Accept loops: each socket is counted the moment it is accepted, then handed to a worker.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::Refused;
use super::listener::{Holder, Listener};
use super::workers::Dispatch;

/// Pause when the process or the system has no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Failed accepts are logged no more often.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// A socket to accept on, and what its sockets share.
#[derive(Debug)]
pub struct Entrance {
    pub(super) listener: Arc<Listener>,
    pub(super) socket: std::net::TcpListener,
}

impl Entrance {
    /// What its sockets share: counts, live list.
    #[must_use]
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }
}

/// A socket on its way to a worker.
pub(super) struct Arrival {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) refused: Option<Refused>,
    pub(super) listener: Arc<Listener>,
    pub(super) holder: Holder,
}

/// Accepts at all `entrances` until `shutdown` turns true, then closes them. Sockets go to `dispatch`.
///
/// # Errors
///
/// When a socket cannot be registered with the runtime.
pub async fn accept(
    entrances: Vec<Entrance>,
    dispatch: Dispatch,
    shutdown: ShutdownWatch,
) -> io::Result<()> {
    let mut loops = JoinSet::new();
    for entrance in entrances {
        let socket = TcpListener::from_std(entrance.socket)?;
        loops.spawn(accept_at(
            socket,
            entrance.listener,
            dispatch.clone(),
            shutdown.clone(),
        ));
    }
    while loops.join_next().await.is_some() {}
    Ok(())
}

async fn accept_at(
    socket: TcpListener,
    listener: Arc<Listener>,
    dispatch: Dispatch,
    mut shutdown: ShutdownWatch,
) {
    let mut complaint = Complaint::default();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|down| *down) => return,
            accepted = next(&socket) => accepted,
        };
        match accepted {
            Ok((socket, peer)) => hand_over(socket, peer, &listener, &dispatch),
            Err(error) => {
                complaint.about(&listener, &error);
                if is_exhaustion(&error) {
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// The next socket, freed of this runtime: its worker's is the only one that watches it from here on.
async fn next(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = socket.accept().await?;
    Ok((stream.into_std()?, peer))
}

fn hand_over(socket: TcpStream, peer: SocketAddr, listener: &Arc<Listener>, dispatch: &Dispatch) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    if let Some(admitted) = listener.admit() {
        dispatch.send(socket, peer, listener, admitted);
    }
}

/// No descriptor or memory left: it stays so for a while, and the socket stays ready meanwhile.
fn is_exhaustion(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Logs failed accepts, with how many were not logged since the last line.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    fn about(&mut self, listener: &Listener, error: &io::Error) {
        if self.last.is_some_and(|last| last.elapsed() < LOG_EVERY) {
            self.unsaid += 1;
            return;
        }
        tracing::error!(listener = %listener.name(), %error, unsaid = self.unsaid, "cannot accept");
        *self = Self {
            last: Some(Instant::now()),
            unsaid: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exhaustion_backs_off() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_exhaustion(&errno.into()));
        }
        assert!(!is_exhaustion(&Errno::CONNABORTED.into()));
        assert!(
            !is_exhaustion(&io::ErrorKind::OutOfMemory.into()),
            "only what the system said"
        );
    }
}
