//! Names of users, in the form they are compared in.

use super::node::Node;
use super::value::text;

/// Longest name, bytes.
const LONGEST: usize = 256;

/// A user as a value.
pub(super) fn user(node: &Node) -> Result<String, String> {
    user_name(&text(node)?)
}

/// A user: without blanks around the name, lower case.
pub(super) fn user_name(written: &str) -> Result<String, String> {
    let user = written.trim().to_lowercase();
    if user.is_empty() || user.len() > LONGEST || user.chars().any(char::is_control) {
        return Err("is no user; a name is wanted, as \"administrator@vsphere.local\"".to_owned());
    }
    Ok(user)
}
