//! Tidegate: a rate-limiting reverse proxy for infrastructure management APIs.
//!
//! A request meets the stations in this order; each consumes what the one before it proved:
//!
//! ```text
//!   socket ─▶ listen ─▶ classify ─▶ admit ─▶ forward ─▶ answer ─▶ observe
//!             accept,   class of    claim    own pool,  refusal   one record,
//!             count,    the call,   of the   exact cap  in words, metrics,
//!             guard     who makes   whole    on sockets size cap  access log
//!             the head  it (with    stack,
//!                       dialect,    or wait
//!                       session)    in line
//!                            │        ▲
//!                            │        └─ a task takes the same way, by itself ◀─┐
//!                            └─▶ convert (in proxy): a blocking call ──────▶ task: survives the process; its client
//!                                                                            hears 202, or the answer itself
//! ```
//!
//! The modules below stand in the order of the arrows: a room uses only rooms listed above it
//! (`tests/architecture.rs` reads this list and holds the tree to it).

/// Words everyone shares: class, principal, call, refusal. No I/O, lock or clock.
pub mod call;
/// Ways to count and to wait: sliding-log rate, keyed rate, seats, fair line. No HTTP, no configuration; time is an argument.
pub mod limit;
/// The operator's file: text → checked → plain data, every fault at once.
pub mod config;
/// How each API speaks: reads requests and answers, words refusals, decides nothing.
pub mod dialect;
/// Station 1, sockets: accept, connection limits, TLS, PROXY protocol, head guard, deadlines.
pub mod listen;
/// Station 2, what is asked: the class of a call, by the routes of its upstream, in every reading of it.
pub mod classify;
/// Who is logged in: the ledger of login sessions, the keys of tokens, the journal of what changed.
pub mod session;
/// Station 3, may it pass now: one claim over every limit of the call, or its turn in line.
pub mod admit;
/// Station 4, the way up: exact caps on open sockets, idle pool, TLS, names, headers.
pub mod forward;
/// Station 5, what comes back: refusals and the cap on response size.
pub mod answer;
/// Station 6, what happened: one record per request becomes metrics and the access log.
pub mod observe;
/// Long work: blocking calls that became tasks, their machine, the desk that knows them, who works on them.
pub mod task;
/// Where state survives the process: adapters of the stores that other rooms ask for.
pub mod store;
/// The stations hung on Pingora's phases.
pub mod proxy;
/// The operator's door: health, metrics, limits, connections, configuration.
pub mod admin;
/// The one room that knows all others: build, command line, signals, shutdown.
pub mod app;
