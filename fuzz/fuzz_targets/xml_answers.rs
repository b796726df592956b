//! Answers of STS in the classic flow. The first byte chooses the status. The rest is the body.

#![no_main]

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::HttpResponse;
use cognito_identity_credentials_fuzz::{
    IDENTITY, Notes, ROLE, check_end, check_error, good, is_invisible, is_key, operation, settings,
    watch_log,
};
use libfuzzer_sys::fuzz_target;

const STATUSES: [u16; 4] = [200, 200, 400, 500];

fuzz_target!(init: watch_log(), |data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let status = STATUSES[usize::from(choice) % STATUSES.len()];
    let (clock, notes) = (ManualClock::new(), Notes::default());
    let (answer, seen) = (HttpResponse::new(status, body), notes.clone());
    let transport = move |request: &_| {
        seen.take(request);
        match operation(request) {
            "AssumeRoleWithWebIdentity" => answer.clone(),
            _ => good(request),
        }
    };
    let builder = settings(&clock, transport).identity_id(IDENTITY).role_arn(ROLE);
    let provider = builder.build().expect("the settings are valid");
    let set = match provider.get() {
        Ok(set) => set,
        Err(error) => {
            check_error(&error);
            assert!(provider.cached().is_none());
            return;
        }
    };
    assert_eq!(status, 200, "credentials from an answer with status {status}");
    let text = std::str::from_utf8(body).expect("the answer is text");
    let data = provider.data().expect("the provider has data");
    // Without references, comments and declarations, this target can parse the document itself.
    if !["&", "<!", "<?", "\r"].iter().any(|odd| text.contains(odd)) {
        let root = element(text).expect("the answer is XML");
        let result = root.child("AssumeRoleWithWebIdentityResult").expect("a result");
        let keys = result.child("Credentials").expect("keys");
        assert_eq!(keys.text("AccessKeyId"), Some(set.access_key_id()));
        assert_eq!(keys.text("SecretAccessKey"), Some(set.secret_access_key()));
        assert_eq!(keys.text("SessionToken"), Some(set.session_token()));
        let user = result.child("AssumedRoleUser");
        let visible = |text: &&str| !text.chars().any(is_invisible);
        let of_user = |name| user.and_then(|user| user.text(name)).filter(visible);
        let field = |name| result.text(name).filter(visible);
        assert_eq!(of_user("Arn"), data.assumed_role_arn.as_deref());
        assert_eq!(of_user("AssumedRoleId"), data.assumed_role_id.as_deref());
        assert_eq!(field("Audience"), data.audience.as_deref());
        assert_eq!(field("Provider"), data.provider.as_deref());
        assert_eq!(field("SourceIdentity"), data.source_identity.as_deref());
    }
    for text in [set.access_key_id(), set.secret_access_key(), set.session_token()] {
        assert!(is_key(text), "the text has other characters");
    }
    assert_eq!(set.identity_id(), Some(IDENTITY));

    check_end(&set, &provider, &clock, &notes);
});

struct Element<'a> {
    name: &'a str,
    /// The text before the first child.
    text: &'a str,
    children: Vec<Element<'a>>,
}

impl Element<'_> {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let only = self.child(name).filter(|child| child.children.is_empty())?;
        Some(only.text.trim_ascii()).filter(|text| !text.is_empty())
    }
}

/// Returns the root element of a well-formed document without declarations, comments, references
/// and CRLF.
fn element(document: &str) -> Option<Element<'_>> {
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut rest = &document[document.find('<')?..];
    loop {
        let inside = rest.strip_prefix('<')?;
        let end = tag_end(inside)?;
        let (tag, after) = (&inside[..end], &inside[end + 1..]);
        let next = after.find('<').unwrap_or(after.len());
        let mut closed = None;
        if tag.starts_with('/') {
            closed = open.pop();
        } else {
            let name = tag.split(|c: char| c.is_ascii_whitespace() || c == '/').next()?;
            let name = name.rsplit(':').next()?;
            let single = tag.ends_with('/');
            let text = if single { "" } else { &after[..next] };
            let element = Element { name, text, children: Vec::new() };
            if single {
                closed = Some(element);
            } else {
                open.push(element);
            }
        }
        if let Some(element) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None => return Some(element),
            }
        }
        rest = &after[next..];
    }
}

/// Returns the end of a tag. A `>` in a quoted value does not end it.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.bytes().position(|b| {
        match quote {
            Some(open) if open == b => quote = None,
            None if b == b'"' || b == b'\'' => quote = Some(b),
            _ => {}
        }
        quote.is_none() && b == b'>'
    })
}
