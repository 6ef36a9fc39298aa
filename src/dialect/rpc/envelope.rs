//! The envelope of a call: what stands where in it, found while it goes by.

use super::BadBody;
use super::capture::Keep;
use super::json::{Fed, Json, Token};
use crate::dialect::{MAX_TOKEN, Secret, authorization, saml};

/// Longest key that means something.
const MAX_KEY: usize = 16;
const MAX_NAME: usize = 256;
const MAX_USER: usize = 1024;
const MAX_ID: usize = 256;
const MAX_ASSERTION: usize = 64 * 1024;

/// What is known of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// `method`: `invoke` in all that VMware's SDKs send.
    pub method: Option<String>,
    /// `id`, as raw JSON: a string, a number or `null`.
    pub id: Option<String>,
    /// `params.serviceId`: `com.vmware.vcenter.VM`.
    pub service: Option<String>,
    /// `params.operationId`: `list`.
    pub operation: Option<String>,
    /// `params.ctx.securityCtx.schemeId`.
    pub scheme: Option<String>,
    /// `params.ctx.securityCtx.sessionId`.
    pub session: Option<Secret>,
    /// `params.ctx.securityCtx.userName`.
    pub user: Option<String>,
    /// `params.ctx.securityCtx.samlToken`, or that of the `signature` in it; not kept above 64 KiB.
    pub assertion: Option<Secret>,
    /// `params.ctx.securityCtx.accessToken`, of OAuth; not kept above 64 KiB.
    pub access_token: Option<Secret>,
}

impl Known {
    /// The user that the call claims to be made by: by name, by the subject of the assertion, or by
    /// that of the access token. `None` where it shows two of these, or a session beside one: nobody
    /// here knows which one the upstream goes by.
    #[must_use]
    pub fn claimed_user(&self) -> Option<String> {
        let shown = [
            self.user.is_some(),
            self.assertion.is_some(),
            self.access_token.is_some(),
            self.session.is_some(),
        ];
        if shown.iter().filter(|shown| **shown).count() != 1 {
            return None;
        }
        let subject = |token: &Secret| saml::subject(token.expose());
        let bearer = |token: &Secret| authorization::bearer_user(token.expose());
        let user = self.user.clone();
        user.or_else(|| self.assertion.as_ref().and_then(subject))
            .or_else(|| self.access_token.as_ref().and_then(bearer))
    }
}

/// An object of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Call,
    Params,
    Context,
    Security,
    Signature,
}

/// A field of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Field {
    Method,
    Id,
    Params,
    Service,
    Operation,
    Context,
    Security,
    Scheme,
    Session,
    User,
    Password,
    Assertion,
    AccessToken,
    Signature,
    SignedAssertion,
}

impl Field {
    fn of(place: Place, key: &str) -> Option<Self> {
        Some(match (place, key) {
            (Place::Call, "method") => Self::Method,
            (Place::Call, "id") => Self::Id,
            (Place::Call, "params") => Self::Params,
            (Place::Params, "serviceId") => Self::Service,
            (Place::Params, "operationId") => Self::Operation,
            (Place::Params, "ctx") => Self::Context,
            (Place::Context, "securityCtx") => Self::Security,
            (Place::Security, "schemeId") => Self::Scheme,
            (Place::Security, "sessionId") => Self::Session,
            (Place::Security, "userName") => Self::User,
            (Place::Security, "password") => Self::Password,
            (Place::Security, "samlToken") => Self::Assertion,
            (Place::Security, "accessToken") => Self::AccessToken,
            (Place::Security, "signature") => Self::Signature,
            (Place::Signature, "samlToken") => Self::SignedAssertion,
            _ => return None,
        })
    }

    /// How its value is kept, and how much of it.
    const fn keep(self) -> (Keep, usize) {
        match self {
            Self::Id => (Keep::Raw, MAX_ID),
            Self::Method | Self::Service | Self::Operation | Self::Scheme => (Keep::Text, MAX_NAME),
            Self::Session => (Keep::Text, MAX_TOKEN),
            Self::User => (Keep::Text, MAX_USER),
            Self::Assertion | Self::SignedAssertion | Self::AccessToken => {
                (Keep::Text, MAX_ASSERTION)
            }
            Self::Params | Self::Context | Self::Security | Self::Signature | Self::Password => {
                (Keep::Nothing, 0)
            }
        }
    }

    /// The object that it is.
    const fn place(self) -> Option<Place> {
        match self {
            Self::Params => Some(Place::Params),
            Self::Context => Some(Place::Context),
            Self::Security => Some(Place::Security),
            Self::Signature => Some(Place::Signature),
            _ => None,
        }
    }

    /// What is wrong when its value is of another kind or too long.
    const fn fault(self) -> BadBody {
        BadBody(match self {
            Self::Method => "has a method that is no short string",
            Self::Id => "has an id that is no short string or number",
            Self::Params => "has params that are no object",
            Self::Service => "has a params.serviceId that is no short string",
            Self::Operation => "has a params.operationId that is no short string",
            Self::Context => "has a params.ctx that is no object",
            Self::Signature | Self::Security | Self::SignedAssertion => {
                "has a security context that is no object of strings"
            }
            Self::Scheme | Self::Assertion | Self::AccessToken | Self::Password => {
                "has a security context that is no object of short strings"
            }
            Self::Session => "has a sessionId that is no short string",
            Self::User => "has a userName that is no short string",
        })
    }
}

/// Reads a call that comes in pieces. Beside what it finds it needs little memory, whatever the size
/// of the body, and it never keeps a password.
pub struct Scanner {
    json: Json,
    known: Known,
    /// The object of the envelope that is open; `None` before the first and behind the last.
    place: Option<Place>,
    /// Objects and arrays open below `place` that are none of the envelope's.
    below: usize,
    /// The field whose value comes next.
    field: Option<Field>,
    /// Fields that were there, by their bits.
    seen: u32,
    /// Whether the security context, or all that could hold one, has gone by.
    is_past_security: bool,
    failed: Option<BadBody>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Before the first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            json: Json::new(),
            known: Known {
                method: None,
                id: None,
                service: None,
                operation: None,
                scheme: None,
                session: None,
                user: None,
                assertion: None,
                access_token: None,
            },
            place: None,
            below: 0,
            field: None,
            seen: 0,
            is_past_security: false,
            failed: None,
        }
    }

    /// Takes the next bytes of the body. Once it has failed it fails for good.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), BadBody> {
        if let Some(why) = self.failed {
            return Err(why);
        }
        self.scan(bytes).inspect_err(|why| self.failed = Some(*why))
    }

    /// What is known so far. Fields that come twice are a fault when the second one comes: what is
    /// known holds only once [`Self::is_complete`].
    #[must_use]
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// Whether the operation is known, and whose call it is, as far as the call says so.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        let names = self.known.service.is_some() && self.known.operation.is_some();
        names && self.is_past_security
    }

    /// Whether the call is whole. Only blanks may follow.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.json.is_done()
    }

    /// The call, at the end of the body.
    pub fn finish(self) -> Result<Known, BadBody> {
        match self.failed {
            Some(why) => Err(why),
            None if self.is_complete() => Ok(self.known),
            None => Err(BadBody("ends in the middle of the call")),
        }
    }

    fn scan(&mut self, mut bytes: &[u8]) -> Result<(), BadBody> {
        loop {
            let passed = self.json.plain(bytes);
            bytes = bytes.get(passed..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            match self.json.feed(*byte)? {
                Fed::Nothing => bytes = rest,
                Fed::Token(token) => {
                    self.take(token)?;
                    bytes = rest;
                }
                // The same byte once more.
                Fed::Before(token) => self.take(token)?,
            }
        }
    }

    fn take(&mut self, token: Token) -> Result<(), BadBody> {
        match token {
            Token::Key if self.below == 0 => return self.key(),
            Token::Key => return Ok(()),
            Token::ObjectBegins => self.begins()?,
            Token::ArrayBegins => match self.field.take() {
                Some(field) if field != Field::Password => return Err(field.fault()),
                _ => self.below += 1,
            },
            Token::Ends => self.ends(),
            Token::Text | Token::Number | Token::Null | Token::Bool => self.scalar(token)?,
        }
        // A key of the envelope may come next.
        let keep = if self.below == 0 {
            Keep::Text
        } else {
            Keep::Nothing
        };
        self.json.capture.expect(keep, MAX_KEY);
        Ok(())
    }

    fn key(&mut self) -> Result<(), BadBody> {
        let key = self.json.capture.kept().unwrap_or_default();
        self.field = self.place.and_then(|place| Field::of(place, key));
        let (keep, most) = self.field.map_or((Keep::Nothing, 0), Field::keep);
        self.json.capture.expect(keep, most);
        if let Some(field) = self.field {
            let bit = 1 << field as u8;
            if self.seen & bit != 0 {
                return Err(BadBody("says one thing twice"));
            }
            self.seen |= bit;
        }
        Ok(())
    }

    fn begins(&mut self) -> Result<(), BadBody> {
        match self.field.take() {
            _ if self.place.is_none() => self.place = Some(Place::Call),
            None | Some(Field::Password) => self.below += 1,
            Some(field) => self.place = Some(field.place().ok_or(field.fault())?),
        }
        Ok(())
    }

    fn ends(&mut self) {
        if self.below > 0 {
            self.below -= 1;
            return;
        }
        self.is_past_security |= self.place != Some(Place::Signature);
        self.place = match self.place {
            Some(Place::Signature) => Some(Place::Security),
            Some(Place::Security) => Some(Place::Context),
            Some(Place::Context) => Some(Place::Params),
            Some(Place::Params) => Some(Place::Call),
            Some(Place::Call) | None => None,
        };
    }

    fn scalar(&mut self, token: Token) -> Result<(), BadBody> {
        let Some(field) = self.field.take() else {
            return Ok(());
        };
        let kept = self.json.capture.kept();
        match (field, token) {
            (Field::Id, Token::Text | Token::Number | Token::Null) => {
                self.known.id = Some(kept.ok_or(field.fault())?.to_owned());
            }
            // Null stands for nothing where nothing is allowed.
            (Field::Method | Field::Service | Field::Operation | Field::Params, Token::Null) => {
                return Err(field.fault());
            }
            (Field::Password, _) | (_, Token::Null) => {}
            (_, Token::Text) if field.place().is_none() => {
                let kept = kept.map(str::to_owned);
                self.text(field, kept)?;
            }
            _ => return Err(field.fault()),
        }
        Ok(())
    }

    fn text(&mut self, field: Field, kept: Option<String>) -> Result<(), BadBody> {
        let known = &mut self.known;
        match (field, kept) {
            (Field::Assertion | Field::SignedAssertion, Some(text)) => {
                known.assertion = Some(text.into());
            }
            (Field::AccessToken, Some(text)) => known.access_token = Some(text.into()),
            // They may be long; then nobody is known by them.
            (Field::Assertion | Field::SignedAssertion | Field::AccessToken, None) => {}
            (_, None) => return Err(field.fault()),
            (Field::Method, text) => known.method = text,
            (Field::Service, text) => known.service = text,
            (Field::Operation, text) => known.operation = text,
            (Field::Scheme, text) => known.scheme = text,
            (Field::User, text) => known.user = text,
            (Field::Session, Some(text)) => known.session = Some(text.into()),
            _ => {}
        }
        Ok(())
    }
}
