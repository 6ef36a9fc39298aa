//! The keys that messages about tasks are signed by, out of the one line of their file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::types::Secret;

/// What a key of Standard Webhooks begins with.
const PREFIX: &str = "whsec_";
/// A shorter key could be guessed (Standard Webhooks specification: 24 to 64 bytes).
const SHORTEST: usize = 24;
/// Most keys that sign at the same time.
const MOST_KEYS: usize = 4;

/// The keys in `secret`, the newest first: one or several `whsec_…` with commas between them, or the bytes of a key as
/// they are.
///
/// # Errors
/// What is wrong with it, without showing it.
pub fn signing_keys(secret: &Secret) -> Result<Vec<Vec<u8>>, String> {
    let text = secret.expose();
    let keys: Vec<Vec<u8>> = if text.starts_with(PREFIX) {
        text.split(',').map(decoded).collect::<Result<_, _>>()?
    } else {
        vec![text.as_bytes().to_vec()]
    };
    if keys.len() > MOST_KEYS {
        return Err(format!(
            "holds {} keys; at most {MOST_KEYS} sign at the same time",
            keys.len()
        ));
    }
    if keys.iter().any(|key| key.len() < SHORTEST) {
        return Err(format!(
            "holds a key of less than {SHORTEST} bytes; make one by: echo \"whsec_$(openssl rand -base64 32)\""
        ));
    }
    Ok(keys)
}

fn decoded(key: &str) -> Result<Vec<u8>, String> {
    let key = key
        .strip_prefix(PREFIX)
        .and_then(|key| STANDARD.decode(key).ok());
    key.ok_or_else(|| {
        format!("holds what is no key: each is {PREFIX} and base64, with commas between several")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Vec<Vec<u8>>, String> {
        signing_keys(&Secret::new(text))
    }

    #[test]
    fn keys_are_read_in_both_forms() {
        let raw = "an unguessable key of 32 letters";
        assert_eq!(keys(raw), Ok(vec![raw.as_bytes().to_vec()]));
        let encoded = STANDARD.encode(raw);
        let two = format!("whsec_{encoded},whsec_{}", STANDARD.encode([7; 24]));
        assert_eq!(keys(&two), Ok(vec![raw.as_bytes().to_vec(), vec![7; 24]]));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let short = STANDARD.encode([7; 23]);
        for bad in [
            "hunter2".to_owned(),
            format!("whsec_{short}"),
            "whsec_hunter2!".to_owned(),
            format!("whsec_{},hunter2", STANDARD.encode([7; 24])),
            vec![format!("whsec_{}", STANDARD.encode([7; 24])); 5].join(","),
        ] {
            let why = keys(&bad).unwrap_err();
            assert!(!why.contains("hunter2") && !why.contains(&short), "{why}");
        }
    }
}
