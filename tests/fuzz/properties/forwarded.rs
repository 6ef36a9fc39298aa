//! The walk through `Forwarded` and `X-Forwarded-For`: nobody can choose his address who is not trusted.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tidegate::listen::true_client;

/// The balancer that calls, trusted.
pub const BALANCER: &str = "10.0.0.1";

fn trusted() -> Vec<IpNet> {
    vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
}

fn lines(name: &'static str, values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// Checks field lines as a client may write them; a balancer adds the line with `true_source`.
pub fn check(written: &[u8], true_source: IpAddr) {
    let written: Vec<&[u8]> = written.split(|byte| *byte == b'\n').collect();
    let balancer: IpAddr = BALANCER.parse().unwrap();
    let stranger: IpAddr = "192.0.2.99".parse().unwrap();
    let by_name = |value: &str| match true_source {
        IpAddr::V4(_) => format!("for={value}"),
        IpAddr::V6(_) => format!("for=\"[{value}]\""),
    };
    let told = true_source.to_string();
    for (name, told) in [
        ("x-forwarded-for", told.clone()),
        ("forwarded", by_name(&told)),
    ] {
        let alone = lines(name, &written);
        assert_eq!(true_client(stranger, &alone, &trusted()), stranger);
        assert_eq!(true_client(balancer, &alone, &[]), balancer);
        let client = true_client(balancer, &alone, &trusted());
        assert!(
            client == balancer || is_named(client, &written),
            "{client} out of nowhere: {written:?}"
        );
        // The balancer appends a line of its own: only that counts, as long as it names a stranger.
        let appended = [&written[..], &[told.as_bytes()]].concat();
        let client = true_client(balancer, &lines(name, &appended), &trusted());
        let own_is_trusted = trusted().iter().any(|net| net.contains(&true_source));
        assert!(
            own_is_trusted || client == true_source,
            "{client}, not {true_source}: {written:?}"
        );
    }
}

/// Whether any piece of the text, however it is cut, reads as that address.
fn is_named(client: IpAddr, written: &[&[u8]]) -> bool {
    let separators = |byte: &u8| b", \t\";=[]".contains(byte);
    let words = written.iter().flat_map(|line| line.split(separators));
    words
        .filter_map(|word| std::str::from_utf8(word).ok())
        .any(|word| {
            let without_port = word.rsplit_once(':').map_or(word, |(host, _)| host);
            [word, without_port].iter().any(|text| {
                text.parse::<IpAddr>()
                    .is_ok_and(|address| address.to_canonical() == client)
            })
        })
}
