//! `[upstream.account]`: who the gate itself is at an upstream, for what it asks in its own name.

use super::files::secret;
use super::node::Node;
use super::reader::Reader;
use super::types::Secret;
use super::value::text;

/// Longest name, bytes.
const LONGEST: usize = 256;

/// A user of the gate's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, as it is written at a login.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// Reads `account`; `None` where there is none.
pub(super) fn account(r: &Reader<'_>) -> Option<Account> {
    let a = r.table("account");
    let user = a.get("user", user);
    let password = a.get("password", secret(a.base()));
    a.finish();
    if !r.has("account") || !r.sound(&["account"]) {
        return None;
    }
    for (key, like) in [
        ("user", "\"tidegate@vsphere.local\""),
        ("password", "\"file:/etc/tidegate/vc1.password\""),
    ] {
        if !a.has(key) {
            a.fault(key, &format!("is missing; write {key} = {like}"));
        }
    }
    Some(Account {
        user: user?,
        password: password?,
    })
}

fn user(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    let is_name = !name.is_empty()
        && name.len() <= LONGEST
        && !name.chars().any(|c| c.is_control() || c == ':');
    if is_name {
        Ok(name)
    } else {
        Err(format!(
            "is no user; 1 to {LONGEST} characters without a colon are wanted, as \"tidegate@vsphere.local\""
        ))
    }
}
