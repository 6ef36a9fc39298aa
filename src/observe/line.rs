//! One line of the access log, as JSON or for people; both close with the two letters of [`super::Ending`].

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use arrayvec::ArrayString;
use http::Version;
use serde::Serialize;
use time::OffsetDateTime;

use crate::config::LogFormat;

use super::{Record, redact};

/// Most bytes of a method that are logged.
const LONGEST_METHOD: usize = 32;
/// Most bytes of a request id that are logged.
const LONGEST_ID: usize = 128;

/// The line of `record`, with its line end.
pub(super) fn write(record: &Record<'_>, format: LogFormat) -> Vec<u8> {
    let mut line = match format {
        LogFormat::Json => json(record),
        LogFormat::Text => text(record).into_bytes(),
    };
    line.push(b'\n');
    line
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    listener: &'a str,
    client: IpAddr,
    socket: SocketAddr,
    tls: bool,
    version: &'static str,
    request_id: &'a str,
    method: &'a str,
    target: &'a str,
    upstream: Option<&'a str>,
    class: &'static str,
    status: u16,
    limit: Option<&'a str>,
    duration_seconds: f64,
    upstream_duration_seconds: Option<f64>,
    wait_seconds: f64,
    received_bytes: u64,
    sent_bytes: u64,
    reused: bool,
    retries: u32,
    ending: &'a str,
}

fn json(record: &Record<'_>) -> Vec<u8> {
    let line = Line {
        time: &stamp(record.started),
        listener: record.listener,
        client: record.client,
        socket: record.socket,
        tls: record.tls,
        version: version(record.version),
        request_id: &word(record.request_id, LONGEST_ID),
        method: &word(record.method, LONGEST_METHOD),
        target: &redact::target(record.target),
        upstream: record.upstream.map(|to| to.name),
        class: record.class.as_str(),
        status: record.status,
        limit: record.limit,
        duration_seconds: record.duration.as_secs_f64(),
        upstream_duration_seconds: record.upstream_duration.map(|d| d.as_secs_f64()),
        wait_seconds: record.wait.as_secs_f64(),
        received_bytes: record.received_bytes,
        sent_bytes: record.sent_bytes,
        reused: record.reused,
        retries: record.retries,
        ending: &record.ending.to_string(),
    };
    // Plain fields cannot fail to serialise; an empty line would still be a line.
    serde_json::to_vec(&line).unwrap_or_default()
}

/// `TIME SOCKET CLIENT LISTENER[~] UPSTREAM/CLASS STATUS TOTAL/UP/WAIT(ms) IN/OUT(bytes) REUSED+RETRIES LIMIT ID "METHOD TARGET VERSION" LETTERS`;
/// `~` marks TLS.
fn text(record: &Record<'_>) -> String {
    let up = record
        .upstream_duration
        .map(|spent| Millis(spent).to_string());
    let mut line = String::with_capacity(256 + record.target.len().min(redact::LONGEST_TARGET));
    // Writing to a String cannot fail.
    let _: fmt::Result = write!(
        line,
        "{} {} {} {}{} {}/{} {} {}/{}/{} {}/{} {}+{} {} {} \"{} {} {}\" {}",
        stamp(record.started),
        record.socket,
        record.client,
        record.listener,
        if record.tls { "~" } else { "" },
        record.upstream.map_or("-", |to| to.name),
        record.class,
        record.status,
        Millis(record.duration),
        up.as_deref().unwrap_or("-"),
        Millis(record.wait),
        record.received_bytes,
        record.sent_bytes,
        u8::from(record.reused),
        record.retries,
        record.limit.unwrap_or("-"),
        dash(&word(record.request_id, LONGEST_ID)),
        dash(&word(record.method, LONGEST_METHOD)),
        dash(&redact::target(record.target)),
        version(record.version),
        record.ending,
    );
    line
}

/// A word a client chose, made fit for a line.
fn word(received: &str, longest: usize) -> String {
    let mut out = String::with_capacity(received.len().min(longest));
    redact::printable(received.as_bytes(), longest, &mut out);
    out
}

fn dash(word: &str) -> &str {
    if word.is_empty() { "-" } else { word }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// RFC 3339 in UTC, to the millisecond. Written digit by digit: it stands on every line.
fn stamp(moment: SystemTime) -> ArrayString<24> {
    let at = OffsetDateTime::from(moment);
    let year = at.year().unsigned_abs();
    let mut out = ArrayString::new();
    for (number, digits, mark) in [
        (year, 4, '-'),
        (u32::from(u8::from(at.month())), 2, '-'),
        (u32::from(at.day()), 2, 'T'),
        (u32::from(at.hour()), 2, ':'),
        (u32::from(at.minute()), 2, ':'),
        (u32::from(at.second()), 2, '.'),
        (u32::from(at.millisecond()), 3, 'Z'),
    ] {
        for place in (0..digits).rev() {
            let digit = char::from_digit(number / 10_u32.pow(place) % 10, 10);
            // It has room for exactly these 24 characters.
            out.try_push(digit.unwrap_or('0')).ok();
        }
        out.try_push(mark).ok();
    }
    out
}

/// Milliseconds with one decimal.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.as_micros() / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::record::sample;
    use crate::observe::{Ending, Phase, Who};

    fn line(record: &Record<'_>, format: LogFormat) -> String {
        String::from_utf8(write(record, format)).unwrap()
    }

    #[test]
    fn a_text_line_reads_like_this() {
        assert_eq!(
            line(&sample(), LogFormat::Text),
            "2026-03-01T10:15:02.651Z 10.0.0.1:53412 10.0.0.1 http vc1/rest 200 12.3/10.1/0.0 0/512 1+0 - r-1 \
             \"GET /api/vcenter/vm HTTP/1.1\" --\n",
        );
    }

    #[test]
    fn a_json_line_reads_like_this() {
        assert_eq!(
            line(&sample(), LogFormat::Json),
            concat!(
                r#"{"time":"2026-03-01T10:15:02.651Z","listener":"http","client":"10.0.0.1","#,
                r#""socket":"10.0.0.1:53412","tls":false,"version":"HTTP/1.1","request_id":"r-1","#,
                r#""method":"GET","target":"/api/vcenter/vm","upstream":"vc1","class":"rest","#,
                r#""status":200,"limit":null,"duration_seconds":0.012345,"#,
                r#""upstream_duration_seconds":0.0101,"wait_seconds":0.0,"received_bytes":0,"#,
                r#""sent_bytes":512,"reused":true,"retries":0,"ending":"--"}"#,
                "\n",
            ),
        );
    }

    #[test]
    fn a_refused_call_names_its_limit_and_ends_in_its_letters() {
        let record = Record {
            upstream: None,
            upstream_duration: None,
            status: 429,
            tls: true,
            limit: Some("request_rate"),
            ending: Ending::new(Who::Limit, Phase::Admission),
            ..sample()
        };
        let text = line(&record, LogFormat::Text);
        assert!(text.contains(" http~ -/rest 429 12.3/-/0.0 "), "{text}");
        assert!(text.contains(" request_rate r-1 "), "{text}");
        assert!(text.ends_with(" LA\n"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&line(&record, LogFormat::Json)).unwrap();
        assert_eq!(json["limit"], "request_rate");
        assert_eq!(json["ending"], "LA");
        assert!(json["upstream"].is_null());
    }

    #[test]
    fn nothing_a_client_sends_breaks_a_line_or_shows_a_secret() {
        let record = Record {
            method: "GET\" x",
            request_id: "a b\n{\"c\"}",
            target: b"/x\n?token=hunter2",
            ..sample()
        };
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = line(&record, format);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(!line.contains("hunter2"), "{line}");
            assert!(line.contains("a%20b%0A{%22c%22}"), "{line}");
        }
        let long = "x".repeat(100_000);
        let record = Record {
            method: &long,
            request_id: &long,
            target: long.as_bytes(),
            ..sample()
        };
        assert!(line(&record, LogFormat::Json).len() < 3_000);
    }
}
