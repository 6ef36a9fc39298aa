//! `verify_with`: what the upstream is asked to find out whether it accepts credentials.

use super::node::Node;
use super::reader::Reader;
use super::value::text;

/// Longest target, bytes.
const LONGEST: usize = 2048;

/// Reads `verify_with`: path and query of a GET. `None` where it is not said.
pub(super) fn verify_with(r: &Reader<'_>) -> Option<String> {
    let v = r.table("verify_with");
    let get = v.get("get", target);
    v.finish();
    if !r.has("verify_with") || !r.sound(&["verify_with"]) {
        return None;
    }
    if !v.has("get") {
        v.fault(
            "get",
            "is missing; write what to ask for, as get = \"/redfish/v1/Managers\"",
        );
    }
    get
}

fn target(node: &Node) -> Result<String, String> {
    let target = text(node)?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if target.starts_with('/') && target.len() <= LONGEST && target.bytes().all(is_plain) {
        Ok(target)
    } else {
        Err("is no target; a path from the root is wanted, with its query where it has one, as \"/redfish/v1/Managers\"".to_owned())
    }
}
