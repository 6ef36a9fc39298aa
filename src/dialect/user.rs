//! User names in one spelling: `VSPHERE.LOCAL\Administrator` is `administrator@vsphere.local`.

use std::collections::BTreeMap;

use crate::call::UserId;

/// Longest user name, in characters, that is taken for one.
pub const MAX_NAME: usize = 256;

/// Spellings of domains that mean another (`corp` is `corp.example.com`), as the operator names them.
///
/// The empty spelling stands for a name without a domain. Domains that are not named stay apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<String, String>);

impl Aliases {
    /// From pairs of a spelling and the domain it means. Letters' case does not matter in either.
    #[must_use]
    pub fn new<S: AsRef<str>>(pairs: impl IntoIterator<Item = (S, S)>) -> Self {
        let pairs = pairs
            .into_iter()
            .map(|(spelling, domain)| (domain_of(spelling.as_ref()), domain_of(domain.as_ref())));
        Self(pairs.collect())
    }

    /// What `domain`, in normal form, means. The default domain may itself be a spelling.
    fn meant(&self, domain: String) -> String {
        let domain = match self.0.get("") {
            Some(default) if domain.is_empty() => default.clone(),
            _ => domain,
        };
        self.0.get(&domain).cloned().unwrap_or(domain)
    }
}

/// The normal form of a name: `user@domain`, or `user` without a domain, in lower case. `None` when
/// it is empty, longer than [`MAX_NAME`], holds a control character or is none of these forms.
#[must_use]
pub fn normal(raw: &str, aliases: &Aliases) -> Option<String> {
    // A character has at most four bytes: longer ones need not be counted.
    let too_long = raw.len() > MAX_NAME * 4 || raw.chars().count() > MAX_NAME;
    if too_long || raw.chars().any(char::is_control) {
        return None;
    }
    let (user, domain) = match raw.split_once('\\') {
        Some((domain, user)) if !domain.trim().is_empty() => (user, domain),
        Some((_, rest)) => rest.rsplit_once('@').unwrap_or((rest, "")),
        None => raw.rsplit_once('@').unwrap_or((raw, "")),
    };
    let user = folded(user.trim());
    let domain = domain_of(domain);
    // With one of these in the wrong half, a name could be written to look like another.
    let is_odd = user.contains('\\') || domain.contains(['@', '\\']);
    let is_half = domain.is_empty() && user.contains('@');
    if user.is_empty() || is_odd || is_half {
        return None;
    }
    let domain = aliases.meant(domain);
    if domain.is_empty() {
        return Some(user);
    }
    Some(format!("{user}@{domain}"))
}

/// The identity of a user, from the name in normal form.
#[must_use]
pub fn id(normal: &str) -> UserId {
    let mut short = [0; 16];
    blake3::Hasher::new()
        .update(normal.as_bytes())
        .finalize_xof()
        .fill(&mut short);
    UserId::new(short)
}

/// A domain without blanks around it and the dot of a fully qualified name.
fn domain_of(raw: &str) -> String {
    folded(
        raw.trim_end_matches(|c: char| c == '.' || c.is_whitespace())
            .trim_start(),
    )
}

/// The same for all spellings in upper and lower case. By way of upper case, so that letters with
/// two lower forms (σ, ς) become one.
fn folded(text: &str) -> String {
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(raw: &str) -> Option<String> {
        normal(raw, &Aliases::default())
    }

    #[test]
    fn spellings_of_one_user_are_one() {
        for raw in [
            "administrator@vsphere.local",
            "VSPHERE.LOCAL\\Administrator",
            "Administrator@VSPHERE.LOCAL",
            "  vsphere.local\\ADMINISTRATOR ",
            " administrator @ vsphere.local. ",
        ] {
            assert_eq!(
                plain(raw).as_deref(),
                Some("administrator@vsphere.local"),
                "{raw}"
            );
        }
        assert_eq!(plain("ΟΔΥΣΣΕΥΣ@x"), plain("οδυσσευς@X"));
        assert_eq!(plain("CORP\\a@b"), plain("a@b@corp"));
    }

    #[test]
    fn different_users_stay_apart() {
        let names = ["a", "a@x", "a@y", "b@x", "x\\a@y"];
        let normals: std::collections::BTreeSet<_> = names.map(plain).into_iter().collect();
        assert_eq!(normals.len(), names.len(), "{normals:?}");
    }

    #[test]
    fn what_is_no_name_has_no_normal_form() {
        let long = "u".repeat(MAX_NAME + 1);
        for raw in [
            "", "  ", "@x", "x\\", "x\\y\\a", "x@y\\a", "a@b@", "a\0b", "a\n", "a\u{85}b", &long,
        ] {
            assert_eq!(plain(raw), None, "{raw:?}");
        }
        assert_eq!(plain("a@").as_deref(), Some("a"));
        assert_eq!(plain("\\a").as_deref(), Some("a"));
        assert!(plain(&"ä".repeat(MAX_NAME)).is_some());
    }

    #[test]
    fn aliases_say_which_domains_are_one() {
        let aliases = Aliases::new([("corp", "corp.example.com"), ("", "CORP")]);
        for raw in ["CORP\\eve", "eve@corp.example.com", "Eve"] {
            let name = normal(raw, &aliases);
            assert_eq!(name.as_deref(), Some("eve@corp.example.com"), "{raw}");
        }
        assert_eq!(normal("eve@other", &aliases).as_deref(), Some("eve@other"));
        let default_only = Aliases::new([("", "vsphere.local")]);
        assert_eq!(
            normal("a", &default_only).as_deref(),
            Some("a@vsphere.local")
        );
    }

    #[test]
    fn an_identity_is_the_start_of_the_names_hash() {
        let hash = blake3::hash(b"administrator@vsphere.local");
        let id = id("administrator@vsphere.local");
        assert_eq!(id.bytes()[..], hash.as_bytes()[..16]);
        assert_ne!(id, super::id("administrator@vsphere.loca1"));
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_and_blind_to_case(raw in "[\\PC@\\\\ ]{0,40}") {
            let name = plain(&raw);
            let upper = plain(&raw.to_uppercase());
            prop_assert_eq!(&upper, &name);
            if let Some(name) = name {
                prop_assert_eq!(plain(&name), Some(name));
            }
        }
    }
}
