//! Which API is spoken: that of the upstream, and the form of it that one call uses.

/// The API of an upstream (`dialect` of its profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// vCenter: vAPI REST, JSON-RPC and SOAP.
    Vcenter,
    /// NSX 4 and NSX-T.
    Nsx,
    /// NSX for vSphere.
    NsxV,
    /// NSX ALB (Avi).
    Avi,
    /// Skytap.
    Skytap,
    /// Any other REST API.
    Generic,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 6] = [
        Self::Vcenter,
        Self::Nsx,
        Self::NsxV,
        Self::Avi,
        Self::Skytap,
        Self::Generic,
    ];

    /// The word used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vcenter => "vcenter",
            Self::Nsx => "nsx",
            Self::NsxV => "nsx-v",
            Self::Avi => "avi",
            Self::Skytap => "skytap",
            Self::Generic => "generic",
        }
    }

    /// The dialect that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// The form of its upstream's API that one call uses: the form that its refusal takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// vAPI REST under `/api`.
    Api,
    /// vAPI REST under `/rest`, the older form.
    Rest,
    /// JSON-RPC, `POST /api`.
    Rpc,
    /// SOAP.
    Soap,
    /// Whatever the dialect has one form for.
    Plain,
}
