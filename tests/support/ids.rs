//! The pool, the identity, the login provider and the role of the tests.

#![allow(dead_code, reason = "each test target uses some of them")]

use cognito_identity_credentials::testing::FakeCognito;

pub(crate) const POOL: &str = FakeCognito::POOL_ID;
pub(crate) const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
pub(crate) const PROVIDER: &str = "accounts.google.com";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/device";
