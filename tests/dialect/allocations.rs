//! What finding a session's token allocates: nothing.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::call::{Dialect, Spoken};
use tidegate::dialect::credential::{Credential, read};

#[test]
fn a_session_is_found_without_allocating() {
    let mut headers = HeaderMap::new();
    let token = HeaderValue::from_static("b00db39f948d13ea1e59b4d6fce56389");
    headers.insert(HeaderName::from_static("vmware-api-session-id"), token);
    for cookies in [
        "a=b; JSESSIONID=5702",
        "csrftoken=c; avi-sessionid=s; sessionid=s",
        "x=y",
    ] {
        headers.append(COOKIE, HeaderValue::from_static(cookies));
    }
    for (dialect, spoken) in [
        (Dialect::Vcenter, Spoken::Api),
        (Dialect::Vcenter, Spoken::Plain),
        (Dialect::Nsx, Spoken::Plain),
        (Dialect::Avi, Spoken::Plain),
    ] {
        let mut found = false;
        let used = allocation_counter::measure(|| {
            found = matches!(read(dialect, spoken, &headers), Credential::Session(_));
        });
        assert!(found, "{dialect:?}");
        assert_eq!(used.count_total, 0, "{dialect:?}");
    }
}
