//! [`Token`]: the secret that a client must send.

use std::fmt::Write as _;

use rustls::crypto::ring;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::messages::failure::{Failure, REFUSED};

const BYTES: usize = 32;
pub(super) const LENGTH: usize = 2 * BYTES;

/// 256 random bits as hexadecimal digits. The token stays the same while the process runs.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// Creates a token from the random numbers of the system. Soon after boot, this may wait for
    /// them.
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        let random = ring::default_provider().secure_random;
        random
            .fill(bytes.as_mut_slice())
            .map_err(|_| Failure::new(REFUSED, "the system gives no random numbers"))?;
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        for byte in *bytes {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares in constant time, so that a local program cannot guess the token digit by digit.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_and_each_process_has_its_own() {
        let [one, other] = [Token::new().unwrap(), Token::new().unwrap()];
        assert_eq!(one.as_str().len(), 64);
        assert!(one.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(one.is(one.as_str().as_bytes()));
        let longer = format!("{}0", one.as_str());
        for wrong in [other.as_str(), "", &one.as_str()[1..], &longer] {
            assert!(!one.is(wrong.as_bytes()), "{wrong}");
        }
    }
}
