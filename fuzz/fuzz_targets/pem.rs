//! PEM as certificate authorities and as a client certificate.

#![no_main]

use cognito_identity_credentials::internals::parsers::{authorities, client_certificate};
use cognito_identity_credentials_fuzz::check_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match authorities(data) {
        Ok(count) => {
            assert!(count >= begin_lines(data), "a certificate is missing");
            if !data.contains(&b'\r') {
                let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
                assert_eq!(authorities(&lines.join(&b"\r\n"[..])), Ok(count), "CRLF");
                assert_eq!(authorities(&lines.join(&b'\r')), Ok(count), "CR");
            }
            let twice = [data, b"\n", data].concat();
            assert_eq!(authorities(&twice), Ok(2 * count), "two files in one");
        }
        Err(fault) => check_fault(&fault),
    }
    if let Err(fault) = client_certificate(&String::from_utf8_lossy(data)) {
        check_fault(&fault);
    }
});

/// Counts the lines that begin a certificate.
fn begin_lines(data: &[u8]) -> usize {
    let lines = data.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.filter(|line| line.trim_ascii_start().starts_with(b"-----BEGIN CERTIFICATE-----")).count()
}

/// The fault must contain no part of the input. (The dictionary has a secret token.)
fn check_fault(fault: &str) {
    assert!(fault.is_ascii() && fault.len() <= 256, "{fault}");
    check_text(fault);
}
