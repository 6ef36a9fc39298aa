//! Signs messages as the Standard Webhooks specification has it, symmetric scheme `v1`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Signs messages; with several keys, once by each, so that receivers can change over one after the other.
pub struct Signer(Vec<hmac::Key>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.0.len())
    }
}

impl Signer {
    /// By these keys, the newest first.
    #[must_use]
    pub fn new(keys: &[Vec<u8>]) -> Self {
        let key = |key: &Vec<u8>| hmac::Key::new(hmac::HMAC_SHA256, key);
        Self(keys.iter().map(key).collect())
    }

    /// What stands in `webhook-signature`: of each key `v1,` and the MAC of `id.timestamp.body`, blanks between them.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference libraries of Standard Webhooks.
    const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_message_is_signed_as_the_reference_libraries_sign_it() {
        let key = STANDARD.decode(KEY).unwrap();
        let signer = Signer::new(&[key]);
        let body = br#"{"test": 2432232314}"#;
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_keys_sign_twice_and_none_is_shown() {
        let signer = Signer::new(&[b"new".to_vec(), b"old".to_vec()]);
        let both = signer.sign("msg_1", 1, b"{}");
        let alone = Signer::new(&[b"old".to_vec()]).sign("msg_1", 1, b"{}");
        let (first, second) = both.split_once(' ').unwrap();
        assert!(first.starts_with("v1,") && first != second);
        assert_eq!(second, alone);
        assert_eq!(format!("{signer:?}"), "Signer(2 keys)");
    }
}
