//! Whom a SAML assertion is about. Its signature is not looked at: that is for the upstream.

use super::xml::{Gathered, Step, Stop, Tag, Walk};

const SAML_2: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SAML_1: &str = "urn:oasis:names:tc:SAML:1.0:assertion";

/// The subject of an assertion (`Assertion/Subject/NameID`), wherever in `xml` it stands.
pub(super) fn subject(xml: &[u8]) -> Option<String> {
    let mut subject = Subject::default();
    let mut walk = Walk::new(xml).ok()?;
    loop {
        match walk.next() {
            Ok((path, step)) => subject.step(path, &step),
            Err(Stop::End) => return subject.found,
            Err(_) => return None,
        }
    }
}

/// Listens to a walk for the subject of the first assertion on its way.
#[derive(Debug, Default)]
pub(super) struct Subject {
    gathered: Option<Gathered>,
    is_over: bool,
    /// The subject, once it has gone by.
    pub(super) found: Option<String>,
}

impl Subject {
    pub(super) fn step(&mut self, path: &[Tag], step: &Step<'_, '_>) {
        let is_subject = path.ends_with(&[Tag::Assertion, Tag::Subject, Tag::NameId]);
        if self.is_over || !is_subject {
            return;
        }
        match step {
            Step::Open { namespace, .. } if [SAML_2, SAML_1].contains(namespace) => {
                self.gathered = Some(Gathered::default());
            }
            Step::Open { .. } => {}
            Step::Text(text) => {
                if let Some(gathered) = &mut self.gathered {
                    gathered.add(text);
                }
            }
            Step::Close => {
                if let Some(gathered) = self.gathered.take() {
                    self.found = gathered.finish();
                    self.is_over = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSERTION: &str = r#"<?xml version="1.0"?>
        <saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1">
          <saml2:Issuer>https://vc/websso</saml2:Issuer>
          <saml2:Subject>
            <saml2:NameID Format="http://schemas.xmlsoap.org/claims/UPN">Administrator@VSPHERE.LOCAL</saml2:NameID>
            <saml2:SubjectConfirmation><saml2:NameID>other</saml2:NameID></saml2:SubjectConfirmation>
          </saml2:Subject>
        </saml2:Assertion>"#;

    #[test]
    fn an_assertion_names_its_subject() {
        let found = subject(ASSERTION.as_bytes());
        assert_eq!(found.as_deref(), Some("Administrator@VSPHERE.LOCAL"));
        let old = ASSERTION
            .replace("NameID", "NameIdentifier")
            .replace("2.0", "1.0");
        assert!(subject(old.as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_assertion_names_nobody() {
        let foreign = ASSERTION.replace("urn:oasis", "urn:elsewhere");
        let elsewhere = ASSERTION.replace("saml2:Subject>", "saml2:Advice>");
        let cut = &ASSERTION[..ASSERTION.len() - 20];
        for xml in [&foreign, &elsewhere, cut, "", "x"] {
            assert_eq!(subject(xml.as_bytes()), None, "{xml}");
        }
    }
}
