//! The API documentation has the same pictures as the guides. `src/guide/pictures.md` holds them as
//! data, because rustdoc copies no files.

use std::fs;
use std::path::Path;

const PICTURES: [&str; 2] = ["credentials-life.svg", "fleet.svg"];

#[test]
fn the_pictures_of_the_api_documentation_are_those_of_the_guides() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let definitions: String = PICTURES
        .iter()
        .map(|name| {
            let picture = fs::read(root.join("docs").join(name)).unwrap();
            format!("[{name}]: data:image/svg+xml;base64,{}\n", base64(&picture))
        })
        .collect();
    // A page begins after the empty line.
    let wanted = definitions + "\n";

    let file = root.join("src/guide/pictures.md");
    if std::env::var_os("PICTURES").is_some_and(|what| what == "write") {
        fs::write(&file, &wanted).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap() == wanted,
        "a picture in docs/ has changed; to renew src/guide/pictures.md, run \
         PICTURES=write cargo test --features testing --test it pictures"
    );
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |index| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            let digit = if digit <= three.len() { DIGITS[value as usize] } else { b'=' };
            text.push(char::from(digit));
        }
    }
    text
}
