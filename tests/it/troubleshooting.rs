//! `docs/troubleshooting.md` has an entry for each message. All guides quote messages exactly.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cognito_identity_credentials::testing::{FakeCognito, Fault};

use crate::layers::sources_of_the_crate;
use crate::refusals::{STS, refused, tokens_of};
use crate::support::GET_CREDENTIALS;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn page() -> String {
    read("docs/troubleshooting.md")
}

/// Returns the quotes in the first column of the tables of messages.
fn quoted_messages(page: &str) -> Vec<String> {
    let mut quotes = Vec::new();
    let mut is_message = false;
    let mut previous = "";
    for line in page.lines() {
        let is_row = line.starts_with("| ");
        if is_row && !previous.starts_with('|') {
            is_message = ["| message", "| what you see"].iter().any(|head| line.starts_with(head));
        } else if is_row && is_message {
            let cell = line.split(" | ").next().unwrap();
            quotes.extend(code_spans(cell));
        }
        previous = line;
    }
    quotes
}

/// Returns the texts in code font, without their backticks.
fn code_spans(text: &str) -> Vec<String> {
    let text = text.replace("`` ", "``").replace(" ``", "``");
    let spans = text.split("``").enumerate().flat_map(|(at, part)| {
        let parts = part.split('`');
        if at % 2 == 1 {
            vec![parts.collect()]
        } else {
            parts.skip(1).step_by(2).map(str::to_owned).collect()
        }
    });
    spans.collect()
}

/// Splits the message of a service, which begins with a code.
fn code_and_message(quote: &str) -> Option<(&str, &str)> {
    let (code, message) = quote.split_once(": ")?;
    let is_code = code.starts_with(|c: char| c.is_ascii_uppercase())
        && code.contains(|c: char| c.is_ascii_lowercase())
        && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_code.then_some((code, message))
}

/// Returns the code before the test module, which is the last module of the file.
fn without_tests(source: &str) -> &str {
    let starts = ["\n#[cfg(test)]\n", "\n#[cfg(all(test, "].map(|cfg| source.match_indices(cfg));
    let starts = starts.into_iter().flatten().map(|(start, _)| start);
    let mut tests = starts.filter(|start| {
        let mut lines = source[*start + 1..].lines().skip_while(|line| line.starts_with("#["));
        lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    });
    tests.next().map_or(source, |start| &source[..start])
}

/// Returns the string literals outside the tests, each split at its `{…}`.
fn literals(source: &str) -> Vec<Vec<String>> {
    let source = without_tests(source);
    // Attributes and their reasons contain no messages.
    let no_code = ["//", "#[", "#![", "reason = "];
    let is_code = |line: &&str| !no_code.iter().any(|start| line.trim_start().starts_with(start));
    let code = source.lines().filter(is_code);
    let code = code.collect::<Vec<_>>().join("\n");
    let code = code.replace("'\"'", "").replace("\\\"", "").replace('`', "");
    let literal = |text: &str| {
        // A backslash at the end of a line continues the text.
        let lines = text.split("\\\n").enumerate();
        let joined: String =
            lines.map(|(at, line)| if at == 0 { line } else { line.trim_start() }).collect();
        let joined = joined.replace("{{region}}", "region");
        let joined = joined.replace("{{", "{").replace("}}", "}");
        let joined =
            SETTINGS.iter().fold(joined, |text, name| text.replace(&format!("{{{name}}}"), name));
        let pieces = joined.split('{').enumerate().map(|(at, piece)| {
            let piece = if at == 0 { piece } else { piece.split_once('}').map_or("", |(_, p)| p) };
            piece.replace('}', "")
        });
        pieces.filter(|piece| !piece.trim().is_empty()).collect::<Vec<_>>()
    };
    let all = code.split('"').skip(1).step_by(2).map(literal);
    all.filter(|pieces| !pieces.is_empty()).collect()
}

/// Messages about settings name other settings in braces.
const SETTINGS: [&str; 8] = [
    "danger_allow_http",
    "endpoint_url",
    "client_secret",
    "identity_id",
    "identity_pool_id",
    "login_id",
    "role_arn",
    "username",
];

/// Returns the texts between the placeholders, which are words in capitals.
fn fixed_parts(quote: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut parts = Vec::new();
    let mut rest = quote;
    let mut from = 0;
    while let Some(start) = rest[from..].find(is_word) {
        let start = from + start;
        let end = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        if word.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            parts.push(&rest[..start]);
            rest = &rest[end..];
            from = 0;
        } else {
            from = end;
        }
    }
    parts.push(rest);
    parts.into_iter().filter(|part| part.trim().len() >= 4).collect()
}

/// Returns `true` if a literal contains the text, or adjacent pieces of it are 40 % of the text.
fn is_in_source(part: &str, literals: &[Vec<String>]) -> bool {
    let fits = |pieces: &Vec<String>| {
        (0..pieces.len()).any(|first| {
            let mut rest = part;
            let mut found = 0;
            for piece in &pieces[first..] {
                let piece = piece.trim();
                let Some((_, after)) = rest.split_once(piece) else { break };
                found += piece.len();
                rest = after;
            }
            found * 5 >= part.trim().len() * 2 || pieces[first].contains(part.trim())
        })
    };
    literals.iter().any(fits)
}

/// Returns the literals of all source files, with the path below `src`.
fn all_literals() -> Vec<(String, Vec<Vec<String>>)> {
    let is_code = |file: &str| Path::new(file).extension().is_some_and(|end| end == "rs");
    let sources = sources_of_the_crate().into_iter().filter(|(file, _)| is_code(file));
    sources.map(|(file, text)| (file, literals(&text))).collect()
}

/// Returns the parts of a quote that the source code must contain.
fn parts(quote: &str) -> Vec<&str> {
    // The source code adds `role_arn: ` or `--role-arn: ` to a message elsewhere.
    let is_setting = |name: &str| {
        name.chars().all(|c| c.is_ascii_lowercase() || "_-".contains(c)) && name.len() > 7
    };
    let text = quote.split_once(": ").filter(|(name, _)| is_setting(name));
    let text = text.map_or(quote, |(_, text)| text);
    text.split('…').flat_map(fixed_parts).collect()
}

#[test]
fn each_quoted_message_exists_in_the_source_code() {
    let literals: Vec<_> = all_literals().into_iter().flat_map(|(_, literals)| literals).collect();
    let quotes = quoted_messages(&page());
    assert!(quotes.len() > 200, "only {} messages found", quotes.len());
    let mut unknown = Vec::new();
    for quote in &quotes {
        // The service or the system wrote these.
        if code_and_message(quote).is_some() || quote.contains("(os error ") {
            continue;
        }
        let parts = parts(quote);
        assert!(!parts.is_empty(), "{quote}");
        unknown.extend(parts.into_iter().filter(|part| !is_in_source(part, &literals)));
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Messages of the services must be in `docs/troubleshooting.md`, which another test checks.
#[test]
fn each_message_quoted_in_another_guide_exists_in_the_source_code_or_in_troubleshooting() {
    // The compiler, the linker and the system wrote these.
    const OTHERS: [&str; 8] = [
        "linking with cc failed",
        "file in wrong format",
        "failed to find tool \"arm-linux-gnueabihf-gcc\"",
        "can't find crate for std",
        "version GLIBC_2.34' not found",
        "type annotations needed",
        "is not general enough",
        "permission denied",
    ];
    let literals: Vec<_> = all_literals().into_iter().flat_map(|(_, literals)| literals).collect();
    let known = quoted_messages(&page());
    let mut unknown = Vec::new();
    let mut found = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let is_guide = path.extension().is_some_and(|end| end == "md");
        if !is_guide || path.ends_with("troubleshooting.md") {
            continue;
        }
        let quotes = quoted_messages(&fs::read_to_string(&path).unwrap());
        // Names of items and operations, codes and statuses contain no space.
        let parts = quotes.iter().flat_map(|quote| parts(quote));
        let parts = parts.flat_map(|part| part.split(": ")).map(str::trim);
        for part in parts.filter(|part| part.contains(' ')) {
            found += 1;
            let is_known = OTHERS.contains(&part) || known.iter().any(|quote| quote.contains(part));
            let is_piece = |pieces: &Vec<String>| pieces.iter().any(|piece| piece.contains(part));
            if !is_known && !literals.iter().any(is_piece) {
                unknown.push(format!("{}: {part}", path.display()));
            }
        }
    }
    assert!(found > 30, "only {found} texts found");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn each_message_of_the_source_code_has_an_entry() {
    const WITHOUT_ENTRIES: [&str; 16] = [
        // Tests.
        "cell/interleavings.rs",
        "cell/tests.rs",
        "provider/storage_faults.rs",
        "transport/ureq/error/tests.rs",
        // Panics of the fakes: they describe the mistake in the test.
        "testing/",
        // Another test checks these: `each_refusal_with_a_hint_has_an_entry`.
        "error/refusals.rs",
        // The help.
        "bin/cognito-credentials/options/help.rs",
        // Hints, steps and reports of the command.
        "bin/cognito-credentials/commands/forget.rs",
        "bin/cognito-credentials/commands/offline.rs",
        "bin/cognito-credentials/commands/status.rs",
        "bin/cognito-credentials/commands/stored.rs",
        "bin/cognito-credentials/doctor/certificate.rs",
        "bin/cognito-credentials/doctor/mod.rs",
        "bin/cognito-credentials/doctor/probe.rs",
        "bin/cognito-credentials/doctor/reporting_transport.rs",
        "bin/cognito-credentials/messages/",
    ];
    let page = page().replace('`', "");
    let files = all_literals();
    for path in WITHOUT_ENTRIES {
        assert!(files.iter().any(|(file, _)| file.starts_with(path)), "{path} does not exist");
    }
    let mut missing = Vec::new();
    for (file, literals) in files {
        if WITHOUT_ENTRIES.iter().any(|path| file.starts_with(path)) {
            continue;
        }
        for pieces in literals {
            let longest = pieces.iter().max_by_key(|piece| piece.len()).unwrap();
            let longest = longest.trim_matches([' ', ':', ';', ',', '(']);
            let start: String = longest.chars().take(30).collect();
            let is_sentence = start.matches(' ').count() >= 2 && start.contains(char::is_lowercase);
            if is_sentence && !is_no_message(longest) && !page.contains(start.trim()) {
                missing.push(format!("{file}: {longest}"));
            }
        }
    }
    assert!(missing.is_empty(), "no entry in docs/troubleshooting.md: {missing:#?}");
}

/// Returns `true` if a text is a hint, which repeats what the page says, or is never shown.
fn is_no_message(text: &str) -> bool {
    const HINTS: [&str; 32] = [
        "--login PROVIDER=@FILE",
        "and use --cache-dir",
        "cognito-credentials --help",
        "give --login the ID token",
        "sign in again, or",
        "a firewall may drop",
        "allow ",
        "check ",
        "choose ",
        "correct ",
        "create ",
        "each call asks the service",
        "give one with",
        "have ",
        "it may require",
        "look at ",
        "make ",
        "nothing listens on that port",
        "perhaps ",
        "put ",
        "renew ",
        "set --cache-dir",
        "set login_id",
        "set the device's clock",
        "the process cannot start more threads",
        "the process has no file descriptor",
        "the system forbids",
        "trust the authority",
        "try again later",
        "update ",
        "use --cache-dir",
        "use a proxy",
    ];
    const OTHERS: [&str; 23] = [
        // Never shown, because the case cannot happen.
        "a key cannot be used for HMAC",
        "no login token was read yet",
        "the command has no output",
        "the credentials cannot be written as JSON",
        "the key is empty",
        "the look-up panicked",
        "the request cannot be written as JSON",
        // Beginnings and parts of other texts.
        "CONNECT  HTTP/1.1\\r\\n\\r\\n",
        "failed to lookup address information",
        "the answer's AuthenticationResult",
        "=…, or give this login a token of",
        "a field twice",
        "is set), which could go on without end; let the inner one read its token from a file \
         (@FILE) or a variable (env:NAME), or, if the command runs aws, give that another profile \
         than the one of cognito-credentials",
        "it is malformed",
        "of that name",
        "not PEM: convert it with openssl",
        "pkcs7 -inform DER -print_certs",
        "pkey -inform DER",
        "x509 -inform DER",
        // Shown by `doctor`.
        "a token that is no JWT",
        "a token valid for",
        "a token without an expiry time",
        "only the identity: this system has no boot ID",
    ];
    let is_status = text.starts_with(|c: char| c.is_ascii_digit()); // of HTTP
    // Log lines of level debug.
    let is_debug = text.starts_with("the rotated refresh token is still not stored")
        || text.starts_with("the rotated refresh token is stored after all")
        || text.starts_with("the app client may rotate refresh tokens");
    is_debug
        || is_status
        || HINTS.iter().any(|begin| text.starts_with(begin))
        || OTHERS.contains(&text)
}

#[test]
fn each_error_code_of_the_services_has_an_entry() {
    let page = page();
    let source = read("src/error/codes.rs");
    let codes: Vec<_> = literals(&source).into_iter().flatten().collect();
    assert!(codes.len() > 30, "only {} codes found", codes.len());
    for code in codes {
        let code = code.strip_suffix("Exception").unwrap_or(&code);
        assert!(page.contains(code), "docs/troubleshooting.md does not name {code}");
    }
}

/// Returns the hints in the tables of refusals.
fn hints() -> BTreeSet<String> {
    let source = read("src/error/refusals.rs");
    let rows = source.split("Refusal::").skip(1).filter_map(|row| row.split_once(','));
    let hints = rows.filter_map(|(_, rest)| {
        let rest = rest.trim_start();
        if let Some(literal) = rest.strip_prefix('"') {
            return literal.split('"').next();
        }
        let name = rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next()?;
        let definition = source.split_once(&format!("const {name}: &str = \""))?.1;
        definition.split('"').next()
    });
    hints.map(str::to_owned).collect()
}

#[test]
fn each_refusal_with_a_hint_has_an_entry() {
    let page = page();
    let quotes = quoted_messages(&page);
    let messages: BTreeSet<_> = quotes.iter().filter_map(|quote| code_and_message(quote)).collect();
    assert!(messages.len() > 50, "only {} messages found", messages.len());
    let mut found = BTreeSet::new();
    for (code, message) in messages {
        let mut hints: Vec<_> = ["GetId", GET_CREDENTIALS, "GetOpenIdToken", STS]
            .into_iter()
            .filter_map(|operation| refused(operation, code, message).hint())
            .collect();
        hints.extend(refused_by_a_user_pool(code, message));
        assert!(!hints.is_empty(), "no hint for {code}: {message}");
        found.extend(hints);
    }
    let hints = hints();
    assert!(hints.len() > 30, "only {} hints found", hints.len());
    let without: Vec<_> = hints.iter().filter(|hint| !found.contains(hint.as_str())).collect();
    let what = "docs/troubleshooting.md quotes no refusal with these hints";
    assert!(without.is_empty(), "{what}: {without:#?}");
}

fn refused_by_a_user_pool(code: &str, message: &str) -> Option<&'static str> {
    let cognito = FakeCognito::new();
    for operation in ["InitiateAuth", "GetTokensFromRefreshToken"] {
        cognito.fail_next(operation, 9, Fault::error(400, code, message));
    }
    tokens_of(&cognito).id_token().unwrap_err().hint()
}
