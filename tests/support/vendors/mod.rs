//! Model servers of management APIs, one for each vendor, each in that vendor's own words.
//!
//! A model listens on a port of its own and does what it is asked. Its [`Books`] count requests by kind, effects
//! by resource, and what runs at once; its [`Works`] go on by hand or by time, and may be twisted ([`Twist`]);
//! its [`Faults`] come between requests and answers. What belongs to one vendor alone is on the model itself.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses its part of it"
)]

pub mod avi;
pub mod avi_patch;
pub mod azure;
pub mod books;
pub mod faults;
pub mod nsx_v;
pub mod openstack;
pub mod redfish;
pub mod skytap;
pub mod twists;
pub mod vcenter;
pub mod wire;
pub mod works;

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

pub use books::{Books, Kind};
pub use faults::{Fault, Faults, When};
pub use twists::{Ending, Twist};
pub use wire::{Reply, Request};
pub use works::{Pace, Works};

/// The one password that the models take, of any user.
pub const PASSWORD: &str = "pw";

/// What a vendor's API does with a request.
pub trait Vendor: Send + Sync + 'static {
    fn kind(&self, request: &Request) -> Kind;

    /// What is asked for has begun by the time of the first wait.
    fn answer(&self, request: &Request) -> impl Future<Output = Reply> + Send;

    /// How it says that it cannot just now.
    fn unable(&self, request: &Request, status: u16) -> Reply;
}

/// A model at work.
pub struct Model<V> {
    pub address: SocketAddr,
    pub books: Arc<Books>,
    pub works: Arc<Works>,
    pub faults: Arc<Faults>,
    vendor: Arc<V>,
    task: tokio::task::JoinHandle<()>,
}

impl<V> Drop for Model<V> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<V> Deref for Model<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.vendor
    }
}

impl<V: Vendor> Model<V> {
    /// A model whose vendor `make` makes of its books and works.
    async fn serve(pace: Pace, make: impl FnOnce(Arc<Books>, Arc<Works>) -> V) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Books::default());
        let works = Works::new(books.clone(), pace);
        let faults = Arc::new(Faults::default());
        let vendor = Arc::new(make(books.clone(), works.clone()));
        let line = Line {
            books: books.clone(),
            faults: faults.clone(),
            vendor: vendor.clone(),
        };
        Self {
            address,
            books,
            works,
            faults,
            vendor,
            task: tokio::spawn(accept(listener, Arc::new(line))),
        }
    }
}

/// What each connection is served by.
struct Line<V> {
    books: Arc<Books>,
    faults: Arc<Faults>,
    vendor: Arc<V>,
}

async fn accept<V: Vendor>(listener: TcpListener, line: Arc<Line<V>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream.set_nodelay(true).unwrap_or_default();
        let line = line.clone();
        tokio::spawn(async move { line.serve(stream).await });
    }
}

impl<V: Vendor> Line<V> {
    async fn serve(&self, stream: TcpStream) {
        let mut socket = wire::Socket::new(stream);
        while let Some(request) = socket.request().await {
            let kind = self.vendor.kind(&request);
            self.books.hear(kind, &request);
            let fault = self.faults.meets(kind);
            let reply = match &fault {
                Some(Fault::Closed) => return,
                Some(Fault::Answer {
                    status,
                    retry_after,
                }) => {
                    let reply = self.vendor.unable(&request, *status);
                    match retry_after {
                        Some(seconds) => reply.with("Retry-After", seconds),
                        None => reply,
                    }
                }
                _ => tokio::select! {
                    biased;
                    reply = self.vendor.answer(&request) => reply,
                    // Whoever asked is gone. What was asked for goes on.
                    () = socket.closed() => return,
                },
            };
            match fault {
                Some(Fault::LostAnswer) => return,
                Some(Fault::Hangs) => return socket.closed().await,
                _ => {}
            }
            if socket.reply(&reply).await.is_none() {
                return;
            }
        }
    }
}
