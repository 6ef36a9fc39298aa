//! What the beginning of a body says, where the head alone does not tell what is asked.
//!
//! JSON-RPC names its operation in the body, SOAP its method, and some logins their user. A prefix is
//! read before the call is admitted and sent up again from Pingora's retry buffer; then the rest
//! streams on. Pingora can send again what it read only up to 64 KiB, so reading stops well below it.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, EXPECT};
use pingora_error::Error;
use pingora_proxy::Session;

use super::stage::Stage;
use crate::answer::{self, Answer};
use crate::call::Operation;
use crate::dialect::{Secret, rpc, soap};
use crate::observe::Who;

/// Most bytes that are looked at; a read more may add as many as [`crate::listen::Exchange`] lets through.
pub(super) const PREFIX: usize = 40 * 1024;

/// Which form the body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A JSON-RPC call.
    Rpc,
    /// A SOAP call.
    Soap,
    /// A login whose user stands in the body.
    Login,
}

/// What was found. It may hold a password: it is not for printing.
#[derive(Default)]
pub(super) enum Said {
    /// The body was not read.
    #[default]
    Unread,
    /// A JSON-RPC call.
    Rpc(Box<rpc::Known>),
    /// A SOAP call.
    Soap(soap::Method),
    /// The beginning of a login's body.
    Login(Bytes),
}

/// Why there is nothing to go on with.
pub(super) enum Stop {
    /// The client is told this.
    Answer(Answer),
    /// The client is gone, or the body did not come.
    Broken(Box<Error>),
}

impl Said {
    /// The operation that is asked for.
    pub(super) fn operation(&self) -> Option<Operation<'_>> {
        match self {
            Self::Rpc(known) => Some(Operation {
                service: known.service.as_deref(),
                name: known.operation.as_deref()?,
            }),
            Self::Soap(method) => Some(Operation {
                service: None,
                name: &method.name,
            }),
            Self::Unread | Self::Login(_) => None,
        }
    }
}

/// Reads as much of the body as tells what is asked.
pub(super) async fn read(
    session: &mut Session,
    stage: &mut Stage,
    form: Form,
) -> Result<Said, Stop> {
    let head = session.req_header();
    if form != Form::Login && is_encoded(&head.headers) {
        return Err(bad(
            stage,
            415,
            "a JSON-RPC or SOAP body must not be compressed",
        ));
    }
    if head.headers.contains_key(EXPECT) {
        // The upstream is not asked: whether the call may pass is only known once it is read.
        session.write_continue_response().await.map_err(broken)?;
        stage.continued = true;
    }
    if let Some(exchange) = &stage.exchange {
        exchange.read_little(true);
    }
    let said = prefix(session, stage, form).await;
    if let Some(exchange) = &stage.exchange {
        exchange.read_little(false);
    }
    said
}

async fn prefix(session: &mut Session, stage: &mut Stage, form: Form) -> Result<Said, Stop> {
    session.as_mut().enable_retry_buffering();
    let mut reader = Reader::new(form);
    loop {
        let piece = session.read_request_body().await.map_err(broken)?;
        let whole = piece.is_none() || session.is_body_done();
        if let Some(exchange) = &stage.exchange {
            exchange.body_progress();
            // From here on the client has nothing to be late with, however long the way up takes.
            if whole {
                exchange.body_finished();
            }
        }
        stage.read_ahead += piece.as_ref().map_or(0, Bytes::len);
        let step = reader.take(piece.as_deref().unwrap_or_default(), whole);
        match step {
            Ok(None) if !whole => {}
            Ok(None) => return Err(bad(stage, 400, "the body ends too early")),
            Ok(Some(_)) if session.as_ref().retry_buffer_truncated() => {
                let why = "the body began in one piece with a head too long for it";
                return Err(bad(stage, 413, why));
            }
            Ok(Some(said)) => {
                stage.scan = reader.rest();
                return contradicted(session, stage, said);
            }
            Err(why) => return Err(bad(stage, 400, &why)),
        }
    }
}

/// JSON-RPC clients name the operation in fields too; where these say otherwise, nobody knows which holds.
fn contradicted(session: &Session, stage: &mut Stage, said: Said) -> Result<Said, Stop> {
    if let Said::Rpc(known) = &said {
        let headers = &session.req_header().headers;
        let pairs = [
            ("vapi-service", &known.service),
            ("vapi-operation", &known.operation),
        ];
        for (name, body) in pairs {
            let differs = |value: &http::HeaderValue| {
                Some(value.as_bytes()) != body.as_deref().map(str::as_bytes)
            };
            if headers.get_all(name).iter().any(differs) {
                let why = format!("{name} says otherwise than the body");
                return Err(bad(stage, 400, &why));
            }
        }
    }
    Ok(said)
}

/// It broke on the client's side: Pingora says so of bodies it reads itself.
pub(super) fn broken(mut error: Box<Error>) -> Stop {
    error.as_down();
    Stop::Broken(error)
}

fn bad(stage: &mut Stage, status: u16, why: &str) -> Stop {
    stage.who = Some(Who::Gate);
    Stop::Answer(answer::problem(status, why))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Reads a body in pieces until it knows enough.
enum Reader {
    Rpc {
        scanner: Box<rpc::Scanner>,
        read: usize,
    },
    Soap(BytesMut),
    Login(BytesMut),
}

impl Reader {
    fn new(form: Form) -> Self {
        match form {
            Form::Rpc => Self::Rpc {
                scanner: Box::new(rpc::Scanner::new()),
                read: 0,
            },
            Form::Soap => Self::Soap(BytesMut::new()),
            Form::Login => Self::Login(BytesMut::new()),
        }
    }

    fn take(&mut self, piece: &[u8], whole: bool) -> Result<Option<Said>, String> {
        match self {
            Self::Rpc { scanner, read } => {
                *read += piece.len();
                scanner.feed(piece).map_err(|bad| bad.to_string())?;
                let known = scanner.known();
                let enough = scanner.is_enough() || scanner.is_complete();
                if !enough && *read < PREFIX {
                    return Ok(None);
                }
                if known.operation.is_none() || known.service.is_none() {
                    return Err("the body names no service and operation in its first bytes".into());
                }
                Ok(Some(Said::Rpc(Box::new(known.clone()))))
            }
            Self::Soap(body) => {
                body.extend_from_slice(piece);
                match soap::method(body) {
                    soap::Reading::Found(method) => Ok(Some(Said::Soap(method))),
                    soap::Reading::More if body.len() < PREFIX => Ok(None),
                    soap::Reading::More => Err("the body says no method in its first bytes".into()),
                    soap::Reading::Bad(why) => Err(format!("the body {why}")),
                }
            }
            Self::Login(body) => {
                body.extend_from_slice(piece);
                let enough = whole || body.len() >= PREFIX;
                Ok(enough.then(|| Said::Login(body.split().freeze())))
            }
        }
    }

    /// What watches the rest of the body: a JSON-RPC call may not say the same thing twice.
    fn rest(self) -> Option<Scan> {
        match self {
            Self::Rpc { scanner, read } => Some(Scan {
                scanner,
                skip: read,
            }),
            Self::Soap(_) | Self::Login(_) => None,
        }
    }
}

/// The scanner of a JSON-RPC call on its way up.
pub(super) struct Scan {
    scanner: Box<rpc::Scanner>,
    /// Bytes that it has seen already, and that come again from the retry buffer.
    skip: usize,
}

impl Scan {
    /// The next bytes of the body.
    ///
    /// # Errors
    /// When the call turns out to be none, or to say something twice. What went up until then is no
    /// whole call, which nobody executes.
    pub(super) fn pass(&mut self, piece: &[u8]) -> Result<(), rpc::BadBody> {
        let seen = self.skip.min(piece.len());
        self.skip -= seen;
        self.scanner.feed(piece.get(seen..).unwrap_or_default())
    }

    /// The token of the session that the call is made in, once it went by.
    pub(super) const fn token(&self) -> Option<&Secret> {
        self.scanner.known().session.as_ref()
    }

    /// Whether the call is whole.
    pub(super) fn is_complete(&self) -> bool {
        self.scanner.is_complete()
    }
}
