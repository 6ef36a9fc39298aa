//! Worker threads: each serves its sockets on a runtime of its own, from handshake to close.
//!
//! A socket never moves between threads: its reactor, its timers and the engine's buffers stay with one
//! core, and no task is stolen.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pingora_core::apps::HttpServerApp;
use pingora_core::server::ShutdownWatch;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::accept::Arrival;
use super::listener::{Admitted, Listener};
use super::serve::serve;

/// The worker threads. Dropping them without [`Workers::stop`] leaves the threads to the process.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<thread::JoinHandle<()>>,
    stop: watch::Sender<bool>,
    dispatch: Dispatch,
}

/// Hands each socket to the worker that has fewest.
#[derive(Debug, Clone)]
pub struct Dispatch(Arc<[Desk]>);

/// The way to one worker.
#[derive(Debug)]
struct Desk {
    arrivals: UnboundedSender<Arrival>,
    /// Sockets that are its own.
    load: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `threads` workers (at least one), the app of each made by `app` from its index; one app
    /// may serve them all. `name` is that of the threads, at most 12 bytes.
    ///
    /// When `shutdown` turns true, each worker asks its app once to let idle connections go
    /// ([`HttpServerApp::http_cleanup`]); requests in flight go on until [`Workers::stop`].
    ///
    /// # Errors
    ///
    /// When a runtime or thread cannot be made.
    pub fn start<A>(
        name: &str,
        threads: usize,
        mut app: impl FnMut(usize) -> Arc<A>,
        shutdown: &ShutdownWatch,
    ) -> io::Result<Self>
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (mut joined, mut desks) = (Vec::new(), Vec::new());
        for index in 0..threads.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            // Unbounded, and bounded all the same: by the seats that the sockets in it hold.
            let (arrivals, arriving) = unbounded_channel();
            let work = Work {
                app: app(index),
                arriving,
                shutdown: shutdown.clone(),
                stopped: stopped.clone(),
            };
            let body = move || {
                runtime.block_on(work.run());
                // Whatever is left is cut here: every task is dropped, and its guards with it.
                drop(runtime);
            };
            joined.push(
                thread::Builder::new()
                    .name(format!("{name}-{index}"))
                    .spawn(body)?,
            );
            desks.push(Desk {
                arrivals,
                load: Arc::default(),
            });
        }
        Ok(Self {
            threads: joined,
            stop,
            dispatch: Dispatch(desks.into()),
        })
    }

    /// Where accept loops hand their sockets.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// Cuts what is left and waits for the threads. Blocks for moments: call it from where that is fine.
    pub fn stop(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread had panicked");
            }
        }
    }
}

impl Dispatch {
    pub(super) fn send(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        listener: &Arc<Listener>,
        admitted: Admitted,
    ) {
        let Some(desk) = self
            .0
            .iter()
            .min_by_key(|desk| desk.load.load(Ordering::Relaxed))
        else {
            return;
        };
        let refused = admitted.refused;
        let arrival = Arrival {
            socket,
            peer,
            refused,
            listener: Arc::clone(listener),
            holder: listener.enter(admitted, peer, &desk.load),
        };
        // Refused only once the worker has stopped; the socket then closes and its seat comes back.
        drop(desk.arrivals.send(arrival));
    }
}

/// One worker.
struct Work<A> {
    app: Arc<A>,
    arriving: UnboundedReceiver<Arrival>,
    shutdown: ShutdownWatch,
    stopped: watch::Receiver<bool>,
}

impl<A: HttpServerApp + Send + Sync + 'static> Work<A> {
    async fn run(mut self) {
        let mut draining = self.shutdown.clone();
        let mut cleaned = false;
        loop {
            tokio::select! {
                arrival = self.arriving.recv() => {
                    let Some(arrival) = arrival else { break };
                    tokio::spawn(serve(arrival, Arc::clone(&self.app), self.shutdown.clone()));
                }
                _ = draining.wait_for(|down| *down), if !cleaned => {
                    cleaned = true;
                    self.app.http_cleanup().await;
                }
                _ = self.stopped.wait_for(|stop| *stop) => return,
            }
        }
        // Nobody can send any more sockets; those it has are served until it is told to stop.
        drop(self.stopped.wait_for(|stop| *stop).await);
    }
}
