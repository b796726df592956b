//! The wire formats of the services.
//!
//! * `aws_json`: AWS JSON 1.1, which both services of Cognito speak
//! * `aws_query`: AWS Query, which STS speaks
//! * `timestamp`: the forms of a timestamp in both
//! * `jwt`: the claims of a login token

pub(crate) mod aws_json;
pub(crate) mod aws_query;
pub(crate) mod jwt;
pub(crate) mod timestamp;

use zeroize::Zeroizing;

use crate::error::{Error, KnownRefusal};
use crate::redact::Redactor;
use crate::transport::HttpResponse;

/// One operation of a service: writes the request and reads the answer.
pub(crate) trait Operation {
    type Output;

    /// The operation's name in AWS's documentation.
    const NAME: &'static str;

    /// The tables of known refusals that apply to this operation.
    const REFUSALS: &'static [&'static [KnownRefusal]];

    fn headers(&self) -> Vec<(String, String)>;

    fn body(&self) -> Result<Zeroizing<Vec<u8>>, Error>;

    /// Reads the answer to a call that succeeded.
    fn decode(&self, response: &HttpResponse) -> Result<Self::Output, DecodeError>;

    /// Reads the answer to a call that failed. It may be incomplete, or come from a proxy.
    fn decode_error(&self, response: &HttpResponse) -> ErrorMetadata;

    /// Returns the redactor for the secrets that the service's messages may repeat.
    fn redactor(&self) -> Redactor<'_>;
}

/// The error in a service's answer. It may repeat the tokens of the request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorMetadata {
    pub(crate) code: Option<Zeroizing<String>>,
    pub(crate) message: Option<Zeroizing<String>>,
    /// The request ID, if it is in the body and not in a header.
    pub(crate) request_id: Option<Zeroizing<String>>,
}

/// Why an answer cannot be used. The text does not quote the answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DecodeError(pub(crate) String);

impl DecodeError {
    pub(crate) fn lacks(field: &str) -> Self {
        Self(format!("the answer lacks {field}"))
    }

    pub(crate) fn not_printable(field: &str) -> Self {
        Self(format!("the answer's {field} has a character other than printable ASCII"))
    }
}

fn text_of(response: &HttpResponse) -> Result<&str, DecodeError> {
    match std::str::from_utf8(response.body()) {
        Ok("") => Err(DecodeError("the answer is empty".to_owned())),
        Ok(text) => Ok(text),
        Err(_) => Err(DecodeError("the answer is not text".to_owned())),
    }
}
