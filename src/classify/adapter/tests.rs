//! Which calls are taken for which form, and which are left as they are.

use std::path::Path;

use http::{HeaderMap, HeaderValue, Method};

use super::{Fitting, Forms, How};
use crate::classify::Table;
use crate::config::{Upstream, parse};

fn upstream(profile: &str) -> Upstream {
    let text = format!("[[upstream]]\naddress = \"https://a.example\"\nprofile = \"{profile}\"");
    parse(&text, Path::new(".")).unwrap().upstreams.remove(0)
}

fn find(upstream: &Upstream, line: &str, fields: &[(&'static str, &str)]) -> Option<(String, How)> {
    let (method, target) = line.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let table = Table::new(upstream.speech.dialect, &upstream.routes);
    let asked = table.target(&method, target, &headers).unwrap();
    let Fitting { place, how } = Forms::new(&upstream.adapters).find(&asked, &method, &headers)?;
    Some((upstream.adapters[place].name.clone(), how))
}

#[test]
fn calls_in_plain_spelling_have_their_form() {
    for (profile, line, name, how) in [
        (
            "vcenter-8.0",
            "POST /api/vcenter/vm?action=clone",
            "vcenter/vm-clone",
            How::Offered,
        ),
        (
            "vcenter-8.0",
            "POST /api/vcenter/vm?action=clone&vmw-task=true",
            "vcenter/vm-clone",
            How::AskedFor,
        ),
        (
            "vcenter-8.0",
            "POST /api/vcenter/vm/vm-1?action=relocate",
            "vcenter/vm-relocate",
            How::Offered,
        ),
        (
            "vcenter-8.0",
            "POST /rest/vcenter/vm?action=clone",
            "vcenter/vm-clone-rest",
            How::Offered,
        ),
        (
            "vcenter-8.0",
            "DELETE /api/esx/settings/depots/offline/7",
            "vcenter/depot-offline-delete",
            How::Offered,
        ),
        (
            "vcenter-8.0",
            "POST /api/vcenter/vm?vmw-task=true&action=register",
            "vcenter/vm-register",
            How::Emulated,
        ),
        (
            "nsx-v",
            "POST /api/4.0/edges/edge-1/loadbalancer/config/monitors",
            "nsx-v/edge-post",
            How::Offered,
        ),
        (
            "nsx-v",
            "PUT /api/4.0/edges/edge-1?async=true",
            "nsx-v/edge-put",
            How::AskedFor,
        ),
        (
            "avi",
            "PATCH /api/pool/pool-1",
            "avi/pool-patch",
            How::Offered,
        ),
        (
            "avi",
            "PATCH /api/pool/pool-1?async_mode",
            "avi/pool-patch",
            How::AskedFor,
        ),
        (
            "avi",
            "PATCH /api/pool/pool-1?async_mode=true",
            "avi/pool-patch",
            How::AskedFor,
        ),
        (
            "skytap",
            "PUT /configurations/7?runstate=running",
            "skytap/environment-put",
            How::Gated,
        ),
    ] {
        let found = find(&upstream(profile), line, &[]);
        assert_eq!(found, Some((name.to_owned(), how)), "{line}");
    }
}

#[test]
fn others_and_what_is_in_doubt_are_left_as_they_are() {
    let vcenter = upstream("vcenter-8.0");
    for line in [
        "GET /api/vcenter/vm",
        "POST /api/vcenter/vm",
        "POST /api/vcenter/vm?action=instant-clone",
        "POST /api/vcenter/vm?action=clone&action=relocate",
        "POST /api/vcenter/vm?action=CLONE",
        "POST /api/vcenter/vm?%61ction=clone",
        "POST /api/vcenter//vm?action=clone",
        "POST /api/vcenter/%76m?action=clone",
        "POST /API/vcenter/vm?action=clone",
        "POST /api/vcenter/vm/?action=clone",
        "POST /api/vcenter/vm?action=clone&vmw-task=false",
        "POST /api/vcenter/vm?action=clone&vmw-task=TRUE",
        "POST /api/vcenter/vm?action=clone&VMW-task=x",
        "POST /api/vcenter/vm?action=clone&vmw-task=true&vmw-task=false",
        "POST /sdk/vim25/8.0.3.0/VirtualMachine/vm-1/CloneVM_Task",
        "POST /sdk",
        "POST /api",
    ] {
        assert_eq!(find(&vcenter, line, &[]), None, "{line}");
    }
    let overridden = [("x-http-method-override", "DELETE")];
    assert_eq!(
        find(&vcenter, "POST /api/vcenter/vm?action=clone", &overridden),
        None
    );
}

#[test]
fn what_is_signed_is_never_changed() {
    let vcenter = upstream("vcenter-8.0");
    let clone = "POST /api/vcenter/vm?action=clone";
    for fields in [
        &[("authorization", "SIGN token=\"x\", nonce=\"1\"")][..],
        &[("authorization", "sign token=\"x\"")],
        &[
            ("authorization", "Basic YTpi"),
            ("authorization", "SIGN token=\"x\""),
        ],
        &[("authorization", "Digest username=\"a\"")],
        &[("signature-input", "sig1=()")],
    ] {
        assert_eq!(find(&vcenter, clone, fields), None, "{fields:?}");
    }
    for scheme in ["Basic YTpi", "Bearer SIGN"] {
        let found = find(&vcenter, clone, &[("authorization", scheme)]);
        assert_eq!(found.map(|(_, how)| how), Some(How::Offered), "{scheme}");
    }
    // The client's own word is not changed, and so may be signed.
    let asked = find(
        &vcenter,
        &format!("{clone}&vmw-task=true"),
        &[("authorization", "SIGN token=\"x\"")],
    );
    assert_eq!(asked.map(|(_, how)| how), Some(How::AskedFor));
}
