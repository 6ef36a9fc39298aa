//! A model of a management API: it knows its users and their sessions, holds calls for as long as a test
//! wants, and counts by itself the most it ever saw at once.

mod books;
mod rest;
mod rpc;
mod soap;
mod strict;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::wire::{Reply, Request, Socket};
pub use books::{Books, Kind, Running};
pub use strict::Strict;

/// The one password that the model takes, of any user.
pub const PASSWORD: &str = "Corr3ct-horse-battery";

/// Where calls can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Logins, before they are judged.
    Login,
    /// Blocking clones.
    Clone,
    /// SOAP requests that are no login, logout or long poll.
    Soap,
    /// Every other call.
    Call,
}

/// The model, on a port of its own.
pub struct Model {
    pub address: SocketAddr,
    pub books: Arc<Books>,
    holds: Arc<Holds>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    pub async fn start() -> Self {
        Self::start_as(None).await
    }

    /// A model that refuses what a real vCenter refuses.
    pub async fn start_strict(strict: Strict) -> Self {
        Self::start_as(Some(strict)).await
    }

    async fn start_as(strict: Option<Strict>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Books::default());
        let holds = Arc::new(Holds::default());
        let task = tokio::spawn(accept(
            listener,
            books.clone(),
            holds.clone(),
            strict.map(Arc::new),
        ));
        Self {
            address,
            books,
            holds,
            task,
        }
    }

    /// From now on calls stay at `point`, until they are let go.
    pub fn hold(&self, point: Point) {
        self.holds.at(point).send_replace(true);
    }

    /// Lets every call go on that is held at `point`, and later ones pass.
    pub fn let_go(&self, point: Point) {
        self.holds.at(point).send_replace(false);
    }

    /// Answers every long poll that waits.
    pub fn news(&self) {
        self.holds.polls.send_modify(|round| *round += 1);
    }
}

/// Whether each point is shut.
#[derive(Default)]
struct Holds {
    points: [watch::Sender<bool>; 4],
    polls: watch::Sender<u64>,
}

impl Holds {
    fn at(&self, point: Point) -> &watch::Sender<bool> {
        &self.points[point as usize]
    }
}

async fn accept(
    listener: TcpListener,
    books: Arc<Books>,
    holds: Arc<Holds>,
    strict: Option<Arc<Strict>>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream.set_nodelay(true).unwrap();
        tokio::spawn(serve(stream, books.clone(), holds.clone(), strict.clone()));
    }
}

async fn serve(
    stream: TcpStream,
    books: Arc<Books>,
    holds: Arc<Holds>,
    strict: Option<Arc<Strict>>,
) {
    let _open = books.enter("sockets");
    let mut of_side = None;
    let mut socket = Socket::new(stream);
    while let Some(request) = socket.request().await {
        let side = request.side();
        of_side.get_or_insert_with(|| books.enter(&format!("sockets of {side}")));
        let strict = strict.as_deref();
        if strict.is_some_and(|strict| strict.refuses_arrival(&books, side)) {
            socket.reply(strict::unavailable()).await;
            return;
        }
        let mut desk = Desk {
            books: &books,
            holds: &holds,
            socket: &mut socket,
            strict,
            overloaded: false,
        };
        let Some(reply) = desk.answer(&request).await else {
            return;
        };
        if socket.reply(reply).await.is_none() {
            return;
        }
    }
}

/// One call at the counter.
struct Desk<'a> {
    books: &'a Arc<Books>,
    holds: &'a Holds,
    socket: &'a mut Socket,
    strict: Option<&'a Strict>,
    /// The call is one too many.
    overloaded: bool,
}

impl Desk<'_> {
    /// The answer; `None` when whoever asked is gone.
    async fn answer(&mut self, request: &Request) -> Option<Reply> {
        let reply = match request.side() {
            "soap" => self.soap(request).await,
            _ if request.path == "/api" => self.rpc(request).await,
            _ => self.rest(request).await,
        };
        reply.or_else(|| self.overloaded.then(strict::unavailable))
    }

    /// Counts a call under `gauges` while it is held at `point`.
    async fn stay(&mut self, gauges: &[&str], point: Point) -> Option<()> {
        let _counted: Vec<Running> = gauges.iter().map(|name| self.books.enter(name)).collect();
        if let Some(strict) = self.strict {
            if strict.refuses(self.books, gauges) {
                self.overloaded = true;
                return None;
            }
            tokio::time::sleep(strict.takes(point)).await;
        }
        let mut shut = self.holds.at(point).subscribe();
        if !*shut.borrow_and_update() {
            return Some(());
        }
        tokio::select! {
            _ = shut.wait_for(|shut| !shut) => Some(()),
            () = self.socket.closed() => None,
        }
    }

    /// Waits for news.
    async fn poll(&mut self) -> Option<()> {
        let _counted = self.books.enter("polls");
        let mut polls = self.holds.polls.subscribe();
        let round = *polls.borrow_and_update();
        tokio::select! {
            _ = polls.wait_for(|now| *now > round) => Some(()),
            () = self.socket.closed() => None,
        }
    }

    /// A login of `user`: the token of a new session, if the password is right.
    async fn login(&mut self, user: &str, password: &str, kind: Kind) -> Option<Option<String>> {
        self.stay(&["logins"], Point::Login).await?;
        if password != PASSWORD {
            self.books.did("login refused");
            return Some(None);
        }
        if let Some(strict) = self.strict
            && strict.refuses_session(self.books, user, kind)
        {
            self.overloaded = true;
            return None;
        }
        self.books.did("login");
        Some(Some(self.books.open(user, kind)))
    }
}
