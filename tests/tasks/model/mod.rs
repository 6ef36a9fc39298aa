//! A model of a vCenter: its clones block, it takes ten at a time, and a call goes on to its end though its client dies.
//!
//! It lives on a thread of its own, so that it outlives gates and feels nothing of what a test does.

mod books;
mod desk;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

pub use books::{Books, SEATS};
use desk::Desk;

use crate::support::wire::Socket;

/// The one password that the model takes, of any user.
pub const PASSWORD: &str = "Corr3ct-horse-battery";

/// Where in a call something may be done by surprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its first byte is here.
    FirstByte,
    /// All of it is, and it is at work.
    Begun,
    /// The work is done, the answer is not given.
    Applied,
    /// The answer is about to be written.
    Answering,
    /// The answer was written.
    Answered,
}

type Surprise = Box<dyn FnOnce() + Send>;

/// What tests change while it runs.
pub(crate) struct Levers {
    trap: Mutex<Option<(Stage, Surprise)>>,
    /// How long a blocking call takes, in milliseconds, where its body does not say.
    takes: AtomicU64,
    /// Calls stay before their work is done.
    held: watch::Sender<bool>,
}

impl Levers {
    /// Springs the trap that is set at `stage`, if one is.
    pub(crate) fn at(&self, stage: Stage) {
        let mut trap = self.trap.lock().unwrap();
        if trap.as_ref().is_some_and(|(at, _)| *at == stage) {
            let (_, surprise) = trap.take().unwrap();
            surprise();
        }
    }

    pub(crate) fn takes(&self) -> u64 {
        self.takes.load(Ordering::SeqCst)
    }

    /// Until calls may go on.
    pub(crate) async fn may_go_on(&self) {
        let mut held = self.held.subscribe();
        drop(held.wait_for(|held| !held).await);
    }
}

/// The model, on a port of its own.
pub struct Model {
    pub address: SocketAddr,
    pub books: Arc<Books>,
    levers: Arc<Levers>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.address)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Model {
    /// A model whose blocking calls take so many milliseconds.
    pub fn start(takes: u64) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Books::default());
        let levers = Arc::new(Levers {
            trap: Mutex::new(None),
            takes: AtomicU64::new(takes),
            held: watch::Sender::new(false),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (kept, moved) = (books.clone(), levers.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, kept, moved) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            books,
            levers,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// From now on calls stay before their work is done, those of dead clients too.
    pub fn hold(&self) {
        self.levers.held.send_replace(true);
    }

    /// Lets every call go on, and later ones pass.
    pub fn let_go(&self) {
        self.levers.held.send_replace(false);
    }

    /// Has `surprise` happen when the next blocking call comes to `stage`.
    pub fn trap(&self, stage: Stage, surprise: impl FnOnce() + Send + 'static) {
        *self.levers.trap.lock().unwrap() = Some((stage, Box::new(surprise)));
    }

    /// Whether the trap has sprung, or none was set.
    pub fn has_sprung(&self) -> bool {
        self.levers.trap.lock().unwrap().is_none()
    }
}

async fn accept(listener: TcpListener, books: Arc<Books>, levers: Arc<Levers>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        drop(stream.set_nodelay(true));
        tokio::spawn(serve(stream, books.clone(), levers.clone()));
    }
}

async fn serve(stream: TcpStream, books: Arc<Books>, levers: Arc<Levers>) {
    let mut socket = Socket::new(stream);
    let desk = Desk {
        books: &books,
        levers: &levers,
    };
    loop {
        if socket.begins_with(b"P").await {
            levers.at(Stage::FirstByte);
        }
        let Some(request) = socket.request().await else {
            return;
        };
        let (reply, is_work) = desk.answer(&request).await;
        if is_work {
            levers.at(Stage::Answering);
        }
        if socket.reply(reply).await.is_none() {
            return;
        }
        if is_work {
            levers.at(Stage::Answered);
        }
    }
}
