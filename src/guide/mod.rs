//! Guides, one for each task. The same pages are in the folder `docs/` of the repository.
//!
//! | You want to … | Guide |
//! |---|---|
//! | write a first program that runs for months | [`simple_program`] |
//! | build for a device: cross-compile, flash, clocks, certificates, proxies | [`device`] |
//! | test your program without a network | [`unit_tests`] |
//! | use a signed-in user: names of login providers, tokens that are refreshed | [`signed_in_users`] |
//! | use S3, another AWS service or the AWS SDK for Rust | [`aws_services`] |
//! | give credentials to a shell, the AWS CLI or another program | [`command`] |
//! | give credentials to programs in any language, as a service | [`serve`] |
//! | read the command's JSON | [`command_json`] |
//! | run thousands of devices | [`fleet`] |
//! | port a program from the AWS SDK for JavaScript | [`from_javascript`] |
//! | know what happens if something fails | [`guarantees`] |
//! | compare speed, memory and size | [`performance`] |
//! | understand an error message | [`troubleshooting`] |

// `links.md` comes first. It defines links to these modules, and the end of each page defines the
// same links to files. Markdown uses the first definition. `pictures.md` does the same for
// pictures. It holds them as data, because rustdoc copies no files. The test `pictures` compares it
// with `docs/*.svg`.

#[doc = include_str!("links.md")]
#[doc = include_str!("pictures.md")]
#[doc = include_str!("../../docs/simple-program.md")]
pub mod simple_program {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/device.md")]
pub mod device {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/unit-tests.md")]
pub mod unit_tests {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/signed-in-users.md")]
pub mod signed_in_users {}

// The code of this page needs other crates. The package `examples/aws_sdk` compiles it.
#[cfg(not(doctest))]
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/aws-services.md")]
pub mod aws_services {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/command.md")]
pub mod command {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/serve.md")]
pub mod serve {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/command-json.md")]
pub mod command_json {}

#[doc = include_str!("links.md")]
#[doc = include_str!("pictures.md")]
#[doc = include_str!("../../docs/fleet.md")]
pub mod fleet {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/from-javascript.md")]
pub mod from_javascript {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/troubleshooting.md")]
pub mod troubleshooting {}
