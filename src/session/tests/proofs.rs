//! Proven credentials: learned, used, forgotten, bounded.

use super::*;

fn key(keys: &Keys, number: usize) -> ProofKey {
    keys.proof("nsx", Scheme::Basic, &number.to_le_bytes())
}

fn minutes(count: u64) -> Moment {
    ms(count * 60_000)
}

fn found(proofs: &Proofs, key: &ProofKey, now: Moment) -> Option<User> {
    proofs.find(key, now).map(|proven| proven.user)
}

#[test]
fn a_proof_is_old_a_minute_after_it_was_learned_however_often_it_is_used() {
    let (keys, proofs) = (keys(), Proofs::new(100));
    let key = key(&keys, 1);
    let is_old = |at| proofs.find(&key, at).unwrap().is_old;
    proofs.learn(key, user("alice"), minutes(0));
    assert!(!is_old(ms(0)) && !is_old(ms(59_999)));
    assert!(is_old(minutes(1)) && is_old(minutes(2)));
    proofs.learn(key, user("alice"), minutes(2));
    assert!(!is_old(ms(150_000)));
}

#[test]
fn credentials_are_verified_for_five_minutes_unless_an_answer_puts_them_in_doubt() {
    let (keys, proofs) = (keys(), Proofs::new(100));
    let key = key(&keys, 1);
    let is_verified = |at| proofs.find(&key, at).unwrap().is_verified;
    proofs.learn(key, user("alice"), minutes(0));
    assert!(is_verified(minutes(4)) && !is_verified(minutes(5)));
    proofs.learn(key, user("alice"), minutes(6));
    assert!(is_verified(minutes(7)));
    proofs.doubt(&key);
    let doubted = proofs.find(&key, minutes(7)).unwrap();
    assert!(!doubted.is_verified && doubted.is_old);
    assert_eq!(doubted.user, user("alice"), "who it is stays known");
    proofs.learn(key, user("alice"), minutes(8));
    assert!(is_verified(minutes(8)));
}

#[test]
fn only_what_was_learned_is_proven() {
    let (keys, proofs) = (keys(), Proofs::new(100));
    assert_eq!(proofs.find(&key(&keys, 1), ms(0)), None);
    proofs.learn(key(&keys, 1), user("alice"), ms(0));
    assert_eq!(found(&proofs, &key(&keys, 1), ms(1)), Some(user("alice")));
    assert_eq!(proofs.find(&key(&keys, 2), ms(1)), None);
    proofs.forget(&key(&keys, 1));
    assert_eq!(proofs.find(&key(&keys, 1), ms(2)), None);
    assert!(proofs.is_empty());
}

#[test]
fn a_proof_lasts_ten_minutes_after_its_last_use_and_an_hour_at_most() {
    let (keys, proofs) = (keys(), Proofs::new(100));
    let key = key(&keys, 1);
    proofs.learn(key, user("alice"), minutes(0));
    for minute in [9, 18, 27, 36, 45, 54, 59] {
        assert!(proofs.find(&key, minutes(minute)).is_some(), "{minute}");
    }
    assert_eq!(proofs.find(&key, minutes(60)), None);
    proofs.learn(key, user("alice"), minutes(61));
    assert!(proofs.find(&key, minutes(70)).is_some());
    assert_eq!(proofs.find(&key, minutes(80)), None);
    assert_eq!(proofs.tidy(minutes(80)), 1);
    assert!(proofs.is_empty());
}

#[test]
fn credentials_accepted_again_start_anew() {
    let (keys, proofs) = (keys(), Proofs::new(100));
    let key = key(&keys, 1);
    for minute in (0..200).step_by(9) {
        assert_eq!(proofs.find(&key, minutes(minute)).is_some(), minute > 0);
        proofs.learn(key, user("alice"), minutes(minute));
    }
    proofs.learn(key, user("bob"), minutes(200));
    assert_eq!(found(&proofs, &key, minutes(201)), Some(user("bob")));
    assert_eq!(proofs.len(), 1);
}

#[test]
fn beyond_the_bound_the_oldest_go() {
    let (keys, proofs) = (keys(), Proofs::new(160));
    for number in 0..10_000 {
        proofs.learn(key(&keys, number), user("alice"), ms(number as u64));
        assert!(proofs.len() <= 160);
        assert!(
            proofs
                .find(&key(&keys, number), ms(number as u64))
                .is_some()
        );
    }
    assert_eq!(proofs.len(), 160);
    let left = |number: &usize| proofs.find(&key(&keys, *number), ms(10_000)).is_some();
    assert_eq!((0..5_000).filter(left).count(), 0, "none of the older half");
}

#[test]
fn what_no_longer_holds_goes_before_what_does() {
    let (keys, proofs) = (keys(), Proofs::new(1));
    let same: Vec<_> = (0..100).map(|number| key(&keys, number)).collect();
    proofs.learn(same[0], user("alice"), minutes(0));
    for key in &same {
        proofs.learn(*key, user("bob"), minutes(30));
    }
    assert!(proofs.len() <= 16, "one a shard");
    assert!(proofs.find(&same[99], minutes(31)).is_some());
}
