//! Tests of the claim.
