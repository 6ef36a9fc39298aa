//! What a call asks for, as far as it was read.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, Method};

use super::normal::{Spellings, spellings};
use super::{BadTarget, Table};
use crate::call::{Call, Caller, Class, Operation, Routes, SessionKind, Spoken};

/// What a request asks for: by its target, and then by its body too.
///
/// Built by [`Table::target`], refined by [`Table::operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'t> {
    /// Its class, the strictest of its readings.
    pub class: Class,
    /// The form of the API that it uses: the form its refusal takes.
    pub spoken: Spoken,
    /// Its body names the operation, and has not been read yet: JSON-RPC when `spoken` says so, else
    /// SOAP. Until [`Table::operation`] was asked, the class is what the target tells alone.
    pub operation_in_body: bool,
    /// The routes that it took, in any reading: places in the upstream's list.
    pub routes: Routes,
    /// The route that decided its class, if one did.
    pub route: Option<u16>,
    /// The path as it was received, without query, scheme and authority.
    pub path: &'t str,
    /// The path in normal form: the same slice as `path` when that is normal already.
    pub normal_path: Cow<'t, str>,
    /// The path with its written dot segments resolved and nothing decoded; the same slice as `path`
    /// when that is normal already.
    pub dots_path: Cow<'t, str>,
    /// The query as it was received, without the question mark.
    pub query: Option<&'t str>,
}

impl<'t> Asked<'t> {
    /// Nothing is known yet but the spellings of its path.
    pub(super) fn spelled(path: &'t str, query: Option<&'t str>) -> Result<Self, BadTarget> {
        let (normal_path, dots_path) = match spellings(path)? {
            Spellings::Normal => (Cow::Borrowed(path), Cow::Borrowed(path)),
            Spellings::Several {
                normal,
                dots_as_written,
            } => (owned(path, normal), owned(path, dots_as_written)),
        };
        Ok(Self {
            class: Class::Other,
            spoken: Spoken::Plain,
            operation_in_body: false,
            routes: Routes::NONE,
            route: None,
            path,
            normal_path,
            dots_path,
            query,
        })
    }

    /// The spellings of its path that differ from the normal one.
    pub(super) fn other_paths(&self) -> impl Iterator<Item = &str> {
        let (normal, dots) = (&*self.normal_path, &*self.dots_path);
        let received = (self.path != normal).then_some(self.path);
        let dots = (dots != self.path && dots != normal).then_some(dots);
        received.into_iter().chain(dots)
    }

    /// The call as the limits see it, coming from `address`. `operation` is what [`Table::operation`]
    /// was told.
    #[must_use]
    pub fn call<'a>(
        &'a self,
        method: &'a Method,
        headers: &'a HeaderMap,
        operation: Option<Operation<'a>>,
        address: IpAddr,
    ) -> Call<'a> {
        Call {
            class: self.class,
            method,
            path: self.path,
            normal_path: &self.normal_path,
            dots_path: &self.dots_path,
            query: self.query,
            headers: Some(headers),
            operation,
            routes: self.routes,
            address,
            side: self.side(),
            caller: Caller::default(),
            opens: None,
        }
    }

    /// Which side of the upstream it goes to. SOAP and its JSON form (`/sdk/vim25/…`) pass the REST
    /// endpoint by.
    #[must_use]
    pub fn side(&self) -> SessionKind {
        let on_sdk = self.normal_path.get(..4).is_some_and(|start| {
            start.eq_ignore_ascii_case("/sdk")
                && matches!(self.normal_path.as_bytes().get(4), None | Some(b'/'))
        });
        if self.spoken == Spoken::Soap || self.class == Class::Soap || on_sdk {
            SessionKind::Soap
        } else {
            SessionKind::Rest
        }
    }

    /// The name of the route that decided its class, for logs and the operator.
    #[must_use]
    pub fn route_name<'r>(&self, table: &'r Table) -> Option<&'r str> {
        table.name(self.route?)
    }
}

/// `text`, or the slice it is the same as.
fn owned(path: &str, text: String) -> Cow<'_, str> {
    if text == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(text)
    }
}
