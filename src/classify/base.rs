//! What a path tells by itself, where no route says more.

use http::Method;

use super::condition::Said;
use super::strict::stricter;
use super::sure::Sure;
use crate::call::{Class, Dialect, Spoken};

/// vAPI REST: the form since vCenter 7.0 Update 2, and the older one.
const API: &str = "/api";
const REST: &str = "/rest";
/// REST of NSX beside `/api`: policy, on a local and on a global manager.
const POLICY: [&str; 2] = ["/policy/api", "/global-manager/api"];
/// SOAP of vCenter and `ESXi`, and its JSON form below it.
const SDK: &str = "/sdk";
/// The other SOAP endpoints of vCenter: storage policies, storage monitoring, first class disks,
/// vSAN, agents on hosts. Single sign-on (`/sts`, `/sso-adminserver`, `/lookupservice`) is SOAP too,
/// but no work of the inventory service: it stays with `other`.
const SERVICES: [&str; 6] = [
    "/pbm",
    "/sms/sdk",
    "/vslm/sdk",
    "/vsan",
    "/vsanHealth",
    "/eam/sdk",
];
/// The JSON form of SOAP (since 8.0 Update 1): `/sdk/vim25/{release}/{type}/{id}/{method}`.
const VI_JSON: &str = "/sdk/vim25";
/// Datastore files, disks and OVF packages, content library files, guest files, log bundles.
const TRANSFER: [&str; 7] = [
    "/folder",
    "/nfc",
    "/cls/data",
    "/guestFile",
    "/appliance/support-bundle",
    "/vcsa-support",
    "/cgi-bin/vm-support.cgi",
];

/// What one spelling of a path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) class: Class,
    pub(super) spoken: Spoken,
    /// The body says which operation is asked for.
    pub(super) in_body: bool,
}

impl Told {
    /// Its target tells all there is.
    const fn by_target(class: Class, spoken: Spoken) -> Self {
        Self {
            class,
            spoken,
            in_body: false,
        }
    }

    /// Of two spellings of one call: the stricter class, and the form that needs its body read.
    pub(super) fn and(self, other: Self) -> Self {
        let stronger = if other.in_body && !self.in_body {
            other
        } else {
            self
        };
        Self {
            class: stricter(self.class, other.class),
            ..stronger
        }
    }
}

/// What `path` tells of a call to an upstream of this dialect.
///
/// A counted class is met in any case of letters: where the upstream minds the case, a wrong one
/// earns no more than a 404 that was counted. Transfers mind it, since they are let off the most.
pub(super) fn told(dialect: Dialect, said: &Said<'_>, path: &str) -> Told {
    let vcenter = dialect == Dialect::Vcenter;
    let posted = said.has_method(&Method::POST) != Sure::No;
    let is_root = matches!(below_any_case(path, API), Some("" | "/"));
    if is_root && posted && matches!(dialect, Dialect::Vcenter | Dialect::Generic) {
        return Told {
            class: Class::Rpc,
            spoken: if vcenter { Spoken::Rpc } else { Spoken::Plain },
            in_body: vcenter,
        };
    }
    let form = form(path);
    if form.is_some() || POLICY.iter().any(|at| below_any_case(path, at).is_some()) {
        let form = form.filter(|_| vcenter);
        return Told::by_target(Class::Rest, form.unwrap_or(Spoken::Plain));
    }
    let is_soap = below_any_case(path, SDK).is_some()
        || (vcenter && SERVICES.iter().any(|at| below_any_case(path, at).is_some()));
    if is_soap {
        let soap = vcenter && !is_vi_json(path);
        return Told {
            class: Class::Soap,
            spoken: if soap { Spoken::Soap } else { Spoken::Plain },
            in_body: soap && posted,
        };
    }
    let is_transfer = TRANSFER.iter().any(|prefix| below(path, prefix).is_some());
    let class = if is_transfer {
        Class::Transfer
    } else {
        Class::Other
    };
    Told::by_target(class, Spoken::Plain)
}

/// The form of vAPI REST that a path has.
fn form(path: &str) -> Option<Spoken> {
    if below_any_case(path, API).is_some() {
        Some(Spoken::Api)
    } else {
        below_any_case(path, REST).map(|_| Spoken::Rest)
    }
}

/// Whether a method of an object is named below the release; SOAP itself is posted to `/sdk` and
/// perhaps one name more.
fn is_vi_json(path: &str) -> bool {
    below_any_case(path, VI_JSON).is_some_and(|rest| rest.split('/').nth(4).is_some())
}

/// What follows `prefix` in `path`, when that ends or goes on with a slash there.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn below_any_case<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let (start, rest) = path.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/')))
        .then_some(rest)
}
