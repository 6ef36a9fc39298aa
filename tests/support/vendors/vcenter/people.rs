//! Who calls a vCenter: login sessions, passwords, and requests that are signed.

use std::io::{Read, Write};
use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::{PASSWORD, Reply, Request};
use super::{VCenter, words};

/// `DOMAIN\User` and `User@DOMAIN` as `user@domain`.
pub fn normal(user: &str) -> String {
    let user = user.to_lowercase();
    match user.split_once('\\') {
        Some((domain, name)) => format!("{name}@{domain}"),
        None => user,
    }
}

/// As tasks name a user: `DOMAIN\User`.
fn as_shown(user: &str) -> String {
    match user.split_once('@') {
        Some((name, domain)) => format!("{}\\{name}", domain.to_uppercase()),
        None => user.to_owned(),
    }
}

/// The `Authorization` field that signs this request for `user`. Of the real thing it keeps the form; the
/// signature is a hash over nonce, method, target and the hash of the body, so that none of them can change.
pub fn sign(method: &str, target: &str, body: &[u8], user: &str) -> String {
    let assertion = format!(
        "<saml2:Assertion xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\"><saml2:Subject>\
         <saml2:NameID>{user}</saml2:NameID></saml2:Subject></saml2:Assertion>"
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(assertion.as_bytes()).unwrap();
    let token = STANDARD.encode(packed.finish().unwrap());
    let bodyhash = hash(body);
    let signature = signature("1:2", method, target, &bodyhash);
    format!(
        "SIGN token=\"{token}\", nonce=\"1:2\", bodyhash=\"{bodyhash}\", signature=\"{signature}\""
    )
}

fn hash(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

fn signature(nonce: &str, method: &str, target: &str, bodyhash: &str) -> String {
    hash(format!("{nonce}\n{method}\n{target}\n{bodyhash}\nkey").as_bytes())
}

/// The value of `name="…"` in a SIGN field.
fn part<'f>(field: &'f str, name: &str) -> Option<&'f str> {
    let after = field.split_once(&format!("{name}=\""))?.1;
    Some(after.split_once('"')?.0)
}

fn subject(token: &str) -> Option<String> {
    let packed = STANDARD.decode(token).ok()?;
    let mut assertion = String::new();
    GzDecoder::new(&*packed)
        .read_to_string(&mut assertion)
        .ok()?;
    let after = assertion.split_once("NameID>")?.1;
    Some(after.split_once('<')?.0.to_owned())
}

impl VCenter {
    /// Who makes a call, as tasks name users.
    pub(super) fn caller(&self, request: &Request) -> Option<String> {
        let token = request
            .header("vmware-api-session-id")
            .or_else(|| request.cookie("vmware-api-session-id"));
        if let Some(token) = token {
            return self.sessions.lock().unwrap().get(token).cloned();
        }
        let field = request.header("authorization")?;
        if field.starts_with("SIGN ") {
            return self.signed(request, field);
        }
        let (user, password) = request.basic()?;
        (password == PASSWORD).then(|| as_shown(&user))
    }

    fn signed(&self, request: &Request, field: &str) -> Option<String> {
        let bodyhash = part(field, "bodyhash")?;
        let (method, target) = (&request.method, request.target());
        let expected = signature(part(field, "nonce")?, method, &target, bodyhash);
        if bodyhash != hash(&request.body) || part(field, "signature")? != expected {
            let what = format!("a signed request was rewritten: {method} {target}");
            self.books.violated(what);
            return None;
        }
        subject(part(field, "token")?).map(|user| as_shown(&user))
    }

    pub(super) fn session(&self, request: &Request, action: &str) -> Reply {
        match &*request.method {
            "POST" if action != "get" => self.log_in(request),
            "DELETE" => self.log_out(request),
            _ => match self.caller(request) {
                Some(user) => {
                    let now = self.works.now();
                    let about =
                        json!({"user": user, "created_time": now, "last_accessed_time": now});
                    words::value(request, 200, &about.to_string())
                }
                None => words::unauthenticated(request),
            },
        }
    }

    fn log_in(&self, request: &Request) -> Reply {
        let Some(user) = request
            .basic()
            .filter(|(_, password)| password == PASSWORD)
            .map(|(user, _)| as_shown(&user))
            .or_else(|| {
                let field = request.header("authorization")?;
                field.starts_with("SIGN ").then_some(())?;
                self.signed(request, field)
            })
        else {
            return words::unauthenticated(request);
        };
        let token = self.works.name(|number| {
            let random: String = iter::repeat_with(std::hash::RandomState::new)
                .take(2)
                .map(|state| {
                    use std::hash::BuildHasher;
                    format!("{:016x}", state.hash_one(number))
                })
                .collect();
            random
        });
        self.sessions.lock().unwrap().insert(token.clone(), user);
        let reply = words::value(request, 201, &json!(token).to_string());
        if !words::is_old(request) {
            return reply;
        }
        let cookie = format!("vmware-api-session-id={token};Path=/rest;Secure;HttpOnly");
        let reply = reply.with("Set-Cookie", cookie);
        Reply {
            status: 200,
            ..reply
        }
    }

    fn log_out(&self, request: &Request) -> Reply {
        let token = request
            .header("vmware-api-session-id")
            .or_else(|| request.cookie("vmware-api-session-id"));
        let gone = self.sessions.lock().unwrap().remove(token.unwrap_or(""));
        match gone {
            Some(_) => words::nothing(request),
            None => words::unauthenticated(request),
        }
    }
}
