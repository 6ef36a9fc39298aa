//! Which method a SOAP call asks for, from the beginning of its body.

use crate::dialect::saml::Subject;
use crate::dialect::xml::{Gathered, Step, Stop, Tag, Walk};

/// Most bytes of a body that are looked at. An assertion in the header takes some ten thousand.
pub const MAX_PREFIX: usize = 64 * 1024;

const SOAP_1_1: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP_1_2: &str = "http://www.w3.org/2003/05/soap-envelope";

/// What the beginning of a body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The call, with all that is needed of it.
    Found(Method),
    /// The method, or the user of a login, is still to come.
    More,
    /// It is no SOAP call, or it is one that others might read otherwise. Says why, as the end of a
    /// sentence that begins with "the body".
    Bad(&'static str),
}

/// A SOAP call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// The name of the first element in the body, without its prefix.
    pub name: String,
    /// The namespace of that element, empty when it has none: `urn:vim25`.
    pub namespace: String,
    /// The user that a login claims to be.
    pub user: Option<String>,
}

/// Reads the method from the first bytes of a body. A login is read to its end, for its user; its
/// password is passed over.
#[must_use]
pub fn method(prefix: &[u8]) -> Reading {
    let is_all_we_take = prefix.len() >= MAX_PREFIX;
    let prefix = prefix.get(..MAX_PREFIX).unwrap_or(prefix);
    match seek(prefix) {
        Ok(method) => Reading::Found(method),
        Err(Stop::More) if is_all_we_take => Reading::Bad("says no method in its first 64 KiB"),
        Err(Stop::More) => Reading::More,
        Err(Stop::End) => Reading::Bad("has no SOAP Body"),
        Err(Stop::Bad(why)) => Reading::Bad(why),
    }
}

fn seek(prefix: &[u8]) -> Result<Method, Stop> {
    let mut walk = Walk::new(prefix)?;
    let mut seek = Seek::default();
    loop {
        let (path, step) = walk.next()?;
        if let Some(method) = seek.step(path, &step)? {
            return Ok(method);
        }
    }
}

/// Where the user of a login stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserIn {
    Child(Tag),
    Assertion,
}

fn user_in(method: &str) -> Option<UserIn> {
    match method {
        "Login" => Some(UserIn::Child(Tag::UserName)),
        "LoginExtensionByCertificate" | "LoginExtensionBySubjectName" => {
            Some(UserIn::Child(Tag::ExtensionKey))
        }
        "LoginByToken" => Some(UserIn::Assertion),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Seek {
    envelope: &'static str,
    has_header: bool,
    subject: Subject,
    login: Option<(Method, UserIn)>,
    gathered: Option<Gathered>,
    has_user: bool,
}

impl Seek {
    fn step(&mut self, path: &[Tag], step: &Step<'_, '_>) -> Result<Option<Method>, Stop> {
        match (path, step) {
            ([tag], Step::Open { namespace, .. }) => self.envelope(*tag, namespace)?,
            ([_, tag], Step::Open { namespace, .. }) => self.part(*tag, namespace)?,
            ([_, Tag::Header, ..], _) => self.subject.step(path, step),
            ([_, Tag::Body], Step::Close) => return Err(Stop::Bad("has an empty SOAP Body")),
            ([_, Tag::Body, _], Step::Open { namespace, start }) => {
                return Ok(self.method(start.local_name().into_inner(), namespace));
            }
            ([_, Tag::Body, _], Step::Close) => return Ok(self.finish()),
            ([_, Tag::Body, _, child], step) => self.child(*child, step)?,
            _ => {}
        }
        Ok(None)
    }

    fn envelope(&mut self, tag: Tag, namespace: &str) -> Result<(), Stop> {
        let known = [SOAP_1_1, SOAP_1_2]
            .into_iter()
            .find(|known| *known == namespace);
        match known {
            Some(known) if tag == Tag::Envelope => self.envelope = known,
            _ => return Err(Stop::Bad("is no SOAP 1.1 or 1.2 envelope")),
        }
        Ok(())
    }

    fn part(&mut self, tag: Tag, namespace: &str) -> Result<(), Stop> {
        let has_header = std::mem::replace(&mut self.has_header, true);
        match tag {
            _ if namespace != self.envelope => Err(Stop::Bad("has a foreign part in its envelope")),
            Tag::Header if has_header => Err(Stop::Bad("has two SOAP Headers")),
            Tag::Header | Tag::Body => Ok(()),
            _ => Err(Stop::Bad("has an unknown part in its envelope")),
        }
    }

    /// The method, when nothing more is to be read of it.
    fn method(&mut self, name: &str, namespace: &str) -> Option<Method> {
        let method = Method {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            user: None,
        };
        let Some(user_in) = user_in(name) else {
            return Some(method);
        };
        self.login = Some((method, user_in));
        None
    }

    /// A step in a child of a login's element, or at its edges.
    fn child(&mut self, tag: Tag, step: &Step<'_, '_>) -> Result<(), Stop> {
        let is_user = |(_, user_in): &(_, UserIn)| *user_in == UserIn::Child(tag);
        if !self.login.as_ref().is_some_and(is_user) {
            return Ok(());
        }
        match step {
            Step::Open { .. } if self.has_user => return Err(Stop::Bad("names two users")),
            Step::Open { .. } => {
                self.has_user = true;
                self.gathered = Some(Gathered::default());
            }
            Step::Text(text) => {
                if let Some(gathered) = &mut self.gathered {
                    gathered.add(text);
                }
            }
            Step::Close => {
                let user = self.gathered.take().and_then(Gathered::finish);
                if let Some((method, _)) = &mut self.login {
                    method.user = user;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Option<Method> {
        let (mut method, user_in) = self.login.take()?;
        if user_in == UserIn::Assertion {
            method.user = self.subject.found.take();
        }
        Some(method)
    }
}
