//! The answers the socket gives by itself, before any station has seen the request.

/// A whole HTTP/1.1 answer that closes the connection, with a problem detail (RFC 9457).
pub(super) fn answer(status: u16, detail: &str) -> Vec<u8> {
    let title = match status {
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        _ => "Bad Request",
    };
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}"#
    );
    format!(
        "HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_length_is_that_of_the_body() {
        let text = String::from_utf8(super::answer(431, "too large")).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["status"], 431);
    }
}
