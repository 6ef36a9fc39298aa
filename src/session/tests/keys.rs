//! Hashes tell tokens apart; a seal opens with its key, for its session, and whole.

use proptest::prelude::*;

use super::*;

fn credential(token: &[u8], xsrf: Option<&[u8]>) -> Credential {
    Credential {
        token: Token::new(token),
        xsrf: xsrf.map(Token::new),
    }
}

fn key(number: u8) -> SessionKey {
    SessionKey::new([number; 16])
}

#[test]
fn a_key_tells_upstream_family_and_token_apart() {
    let keys = keys();
    let (rest, soap) = (SessionKind::Rest, SessionKind::Soap);
    let all = [
        keys.session("vc1", rest, b"t"),
        keys.session("vc1", soap, b"t"),
        keys.session("vc2", rest, b"t"),
        keys.session("vc1", rest, b"T"),
        keys.session("vc1", rest, b""),
        keys.session("vc", rest, b"rx"),
        keys.session("vcr", rest, b"x"),
        Keys::derive(&[8; KEY_LEN])
            .unwrap()
            .session("vc1", rest, b"t"),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    let again = Keys::derive(&[7; KEY_LEN]).unwrap();
    assert_eq!(
        again.session("vc1", rest, b"t"),
        all[0],
        "it outlives the process"
    );
    assert_ne!(
        keys.proof("vc1", Scheme::Basic, b"t"),
        keys.proof("vc1", Scheme::Bearer, b"t")
    );
    assert_ne!(
        Keys::random().unwrap().session("vc1", rest, b"t"),
        Keys::random().unwrap().session("vc1", rest, b"t")
    );
}

#[test]
fn another_key_or_session_opens_nothing() {
    let keys = keys();
    let sealed = keys.seal(&key(1), &credential(b"token", None)).unwrap();
    let other = Keys::derive(&[8; KEY_LEN]).unwrap();
    assert_eq!(other.unseal(&key(1), &sealed), Err(SealError::Closed));
    assert_eq!(keys.unseal(&key(2), &sealed), Err(SealError::Closed));
}

#[test]
fn each_seal_is_another() {
    let keys = keys();
    let seal = || keys.seal(&key(1), &credential(b"token", None)).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn what_is_too_long_is_not_kept() {
    let keys = keys();
    let fits = vec![b'x'; LONGEST_TOKEN];
    assert!(keys.seal(&key(1), &credential(&fits, Some(&fits))).is_ok());
    let long = vec![b'x'; LONGEST_TOKEN + 1];
    let refused = Err(SealError::TooLong);
    assert_eq!(keys.seal(&key(1), &credential(&long, None)), refused);
    assert_eq!(keys.seal(&key(1), &credential(b"t", Some(&long))), refused);
}

#[test]
fn nothing_shows_a_secret() {
    let credential = credential(b"5ecret", Some(b"5ecret"));
    let sealed = keys().seal(&key(1), &credential).unwrap();
    let shown = format!("{credential:?} {sealed:?} {:?}", keys());
    assert!(
        shown.contains("***") && !shown.contains("5ecret"),
        "{shown}"
    );
    let bytes = format!("{:?}", sealed.bytes());
    assert!(!shown.contains(&bytes));
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_cannot_be_read(
        token in prop::collection::vec(any::<u8>(), 4..200),
        xsrf in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
    ) {
        let keys = keys();
        let credential = credential(&token, xsrf.as_deref());
        let sealed = keys.seal(&key(1), &credential).unwrap();
        prop_assert!(!sealed.bytes().windows(token.len()).any(|part| part == token));
        prop_assert_eq!(keys.unseal(&key(1), &sealed), Ok(credential));
    }

    #[test]
    fn what_is_damaged_does_not_open(place in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let keys = keys();
        let sealed = keys.seal(&key(1), &credential(b"token", Some(b"xsrf"))).unwrap();
        let mut bytes = sealed.bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        let damaged = Sealed::new(&bytes);
        prop_assert_eq!(keys.unseal(&key(1), &damaged), Err(SealError::Closed));
        let cut = Sealed::new(&sealed.bytes()[..place]);
        prop_assert_eq!(keys.unseal(&key(1), &cut), Err(SealError::Closed));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(keys().unseal(&key(1), &Sealed::new(&bytes)).is_err());
    }
}

/// What a version sealed that had one key for everything.
fn sealed_before(state: &[u8; KEY_LEN], task: [u8; 16], secret: &[u8]) -> Vec<u8> {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    let key = blake3::derive_key("tidegate seal of tokens v1", state);
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).unwrap());
    let beside = [&b"task"[..], &task].concat();
    let (nonce, mut sealed) = ([7; 12], secret.to_vec());
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(beside),
        &mut sealed,
    )
    .unwrap();
    [&[1][..], &nonce, &sealed].concat()
}

#[test]
fn what_older_versions_sealed_still_opens_and_each_task_has_a_key_of_its_own() {
    let state = [9; KEY_LEN];
    let keys = Keys::derive(&state).unwrap();
    let (task, other) = ([1; 16], [2; 16]);
    let before = sealed_before(&state, task, b"secret");
    assert_eq!(keys.unseal_request(&task, &before).unwrap(), b"secret");
    assert_eq!(keys.unseal_request(&other, &before), Err(SealError::Closed));

    let now = keys.seal_request(&task, b"secret").unwrap();
    assert_eq!(now[0], 2);
    assert_eq!(keys.unseal_request(&task, &now).unwrap(), b"secret");
    assert_eq!(keys.unseal_request(&other, &now), Err(SealError::Closed));
    let one_key = [&[1][..], &now[1..]].concat();
    assert_eq!(keys.unseal_request(&task, &one_key), Err(SealError::Closed));
}
