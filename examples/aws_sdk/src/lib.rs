//! Compiles the code of the guide `docs/aws-services.md` as tests: `cargo test --doc`.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/aws-services.md")]
struct Guide;
