//! Wire formats: what a service call looks like as bytes, and where an error code hides in them.

pub(crate) mod aws_json;
pub(crate) mod aws_query;
pub(crate) mod timestamp;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::redact::Masks;
use crate::transport::HttpResponse;

/// One operation of one service, in its wire form.
pub(crate) trait Operation {
    type Output;

    /// The operation's name in AWS's documentation.
    const NAME: &'static str;

    fn headers(&self) -> Vec<(String, String)>;

    fn body(&self) -> Result<Zeroizing<Vec<u8>>, Error>;

    /// Reads the answer to a call that the service carried out.
    fn decode(&self, response: &HttpResponse) -> Result<Self::Output, Malformed>;

    /// Reads the error document, or as much of one as there is.
    fn fault(&self, response: &HttpResponse) -> Fault;

    /// What must not come through in the service's messages.
    fn masks(&self) -> Masks<'_>;
}

/// What an error document says. It may repeat the tokens of the request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Option<Zeroizing<String>>,
    pub(crate) message: Option<Zeroizing<String>>,
    /// Where it is not in a header.
    pub(crate) request_id: Option<Zeroizing<String>>,
}

/// Why an answer cannot be used: a text of this crate's own, never the answer's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);
