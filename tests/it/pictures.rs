//! The API documentation has the same pictures as the guides. `src/guide/pictures.md` holds them as
//! data, because rustdoc copies no files.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PICTURES: [&str; 2] = ["credentials-life.svg", "fleet.svg"];

#[test]
fn the_api_documentation_has_the_same_pictures_as_the_guides() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let definitions: String = PICTURES
        .iter()
        .map(|name| {
            let picture = fs::read(root.join("docs").join(name)).unwrap();
            format!("[{name}]: data:image/svg+xml;base64,{}\n", STANDARD.encode(picture))
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
        "a picture in docs/ has changed; to update src/guide/pictures.md, run \
         PICTURES=write cargo test --features testing --test it pictures"
    );
}
