//! Login sessions of the imitation: any user and any password will do; the oldest go when there are too many.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Most sessions that are kept, to bound memory; far more than the limits of the gate let in.
const MOST: usize = 4096;

/// The live sessions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    live: VecDeque<Session>,
    made: u64,
    keys: [RandomState; 2],
}

/// One login.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) token: String,
    pub(super) user: String,
    pub(super) created: SystemTime,
}

impl Sessions {
    /// Opens a session and returns its token, 32 hexadecimal digits.
    pub(super) fn open(&mut self, user: String, now: SystemTime) -> String {
        self.made += 1;
        let [high, low] = [&self.keys[0], &self.keys[1]].map(|key| key.hash_one(self.made));
        let token = format!("{high:016x}{low:016x}");
        if self.live.len() == MOST {
            self.live.pop_front();
        }
        self.live.push_back(Session {
            token: token.clone(),
            user,
            created: now,
        });
        token
    }

    /// The session of `token`.
    pub(super) fn find(&self, token: &str) -> Option<&Session> {
        self.live.iter().find(|session| session.token == token)
    }

    /// Ends the session of `token`.
    pub(super) fn close(&mut self, token: &str) {
        self.live.retain(|session| session.token != token);
    }

    /// How many are live.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }
}

impl Session {
    /// When it was opened, RFC 3339.
    pub(super) fn created(&self) -> String {
        OffsetDateTime::from(self.created)
            .format(&Rfc3339)
            .unwrap_or_default()
    }
}

/// The user of an `Authorization: Basic …` (RFC 7617); `None` when it is none.
pub(super) fn basic_user(credentials: &[u8]) -> Option<String> {
    let (scheme, coded) = credentials.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = base64(coded.trim_ascii())?;
    let colon = memchr::memchr(b':', &decoded)?;
    let user = String::from_utf8_lossy(decoded.get(..colon)?).into_owned();
    (!user.is_empty()).then_some(user)
}

/// Decodes standard Base64 (RFC 4648), padded or not.
fn base64(coded: &[u8]) -> Option<Vec<u8>> {
    let digits = coded
        .strip_suffix(b"==")
        .or_else(|| coded.strip_suffix(b"="))
        .unwrap_or(coded);
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((held >> bits) & 0xff).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_login_names_its_user() {
        let user = |credentials: &str| basic_user(credentials.as_bytes());
        let administrator = Some("administrator@vsphere.local".to_owned());
        assert_eq!(
            user("Basic YWRtaW5pc3RyYXRvckB2c3BoZXJlLmxvY2FsOnB3"),
            administrator
        );
        assert_eq!(user("basic YTo="), Some("a".to_owned()));
        assert_eq!(user("Basic YTpi"), Some("a".to_owned()));
        assert_eq!(user("Basic YTpiYg=="), Some("a".to_owned()));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic YQ==",
            "Basic OnB3",
            "Basic ****",
            "Bearer YTpi",
        ] {
            assert_eq!(user(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sessions_are_bounded_and_their_tokens_differ() {
        let mut sessions = Sessions::default();
        let first = sessions.open("a".to_owned(), SystemTime::UNIX_EPOCH);
        let second = sessions.open("a".to_owned(), SystemTime::UNIX_EPOCH);
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
        for _ in 0..MOST {
            sessions.open("b".to_owned(), SystemTime::UNIX_EPOCH);
        }
        assert_eq!(sessions.len(), MOST);
        assert!(sessions.find(&first).is_none() && sessions.find(&second).is_none());
    }
}
