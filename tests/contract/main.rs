//! Contract tests: one suite of scenarios against every service that speaks Cognito.
//!
//! `matrix.rs` says which service can do which scenario, `scenarios.rs` holds the scenarios,
//! `services.rs` the services. `FakeCognito` runs in memory and behind `FakeServer`, always. The
//! other services run only if their variables are set; `.ci/contract` starts the emulators and sets
//! them. Each service has a prefix: `CONTRACT_MOTO`, `CONTRACT_MINISTACK`,
//! `CONTRACT_COGNITO_LOCAL`, and `LIVE_AWS` for AWS itself. After the prefix come:
//!
//! * `_ENDPOINT_URL`: the URL of Cognito, its user pools and STS. It starts the tests of an
//!   emulator. For AWS it is optional.
//! * `_IDENTITY_POOL_ID`: a pool that allows guests, the app clients below and the basic flow. It
//!   starts the tests of AWS.
//! * `_USER_POOL_ID`, `_CLIENT_ID`, `_USERNAME`, `_PASSWORD`: an app client without a secret that
//!   allows `ALLOW_USER_PASSWORD_AUTH` and `ALLOW_REFRESH_TOKEN_AUTH`, and a user without MFA.
//! * `_ROTATING_CLIENT_ID`: an app client that rotates refresh tokens, for the same user.
//! * `_ROLE_ARN`: a role that guests of the pool may assume.
//! * `_DEVELOPER_IDENTITY_ID`, `_DEVELOPER_TOKEN`: an answer of
//!   `GetOpenIdTokenForDeveloperIdentity`.
//! * `LIVE_AWS_SCENARIOS`: the names of the scenarios to run, with commas. Default: all.
//!
//! On AWS, a scenario whose variables are not set does not run. A run creates identities in the
//! pool and disables one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests fail by panicking"
)]

mod matrix;
mod scenarios;
mod services;

use matrix::{COLUMNS, Cell, Column, table};
use scenarios::SCENARIOS;
use services::{Failure, Service};

/// Runs every scenario that the service has a cell for, and panics with all that is not as stated.
fn check(column: &Column, service: &Service) {
    let chosen = std::env::var(format!("{}_SCENARIOS", column.prefix)).ok();
    let mut problems = Vec::new();
    for (scenario, cell) in SCENARIOS.iter().zip(&column.cells) {
        let is_chosen =
            chosen.as_ref().is_none_or(|names| names.split(',').any(|n| n == scenario.name));
        if matches!(cell, Cell::Untried) && !is_chosen {
            println!("contract: {}: {}: not chosen", column.service, scenario.name);
            continue;
        }
        let outcome = (scenario.run)(service);
        let found = match &outcome {
            Ok(()) => "works".to_owned(),
            Err(failure) => failure.to_string(),
        };
        println!("contract: {}: {}: {found}", column.service, scenario.name);
        let problem = contradiction(cell, &outcome);
        problems.extend(problem.map(|problem| format!("{}: {problem}: {found}", scenario.name)));
    }
    assert!(problems.is_empty(), "{}:\n{}", column.service, problems.join("\n"));
}

/// Returns in what an outcome is not as the cell says.
fn contradiction(cell: &Cell, outcome: &Result<(), Failure>) -> Option<&'static str> {
    match (cell, outcome) {
        (Cell::Works | Cell::Untried, Ok(())) | (Cell::Untried, Err(Failure::NotSet(_))) => None,
        (Cell::Works | Cell::Untried, Err(_)) => Some("must work"),
        (Cell::Cannot { .. }, Ok(())) => Some("its cell says that it cannot, but it works"),
        (Cell::Cannot { shows, .. }, Err(failure)) => (!failure.to_string().contains(shows))
            .then_some("fails for another reason than its cell states"),
    }
}

fn check_deployed(column: &Column) {
    match Service::deployed(column) {
        Some(service) => check(column, &service),
        None => println!("contract: {}: no variables, not run", column.service),
    }
}

#[test]
fn the_fake_service_in_memory_keeps_the_contract() {
    check(&COLUMNS[0], &Service::fake_in_memory());
}

#[test]
fn the_fake_service_over_http_keeps_the_contract() {
    check(&COLUMNS[1], &Service::fake_over_http());
}

#[test]
fn moto_does_what_the_table_says() {
    check_deployed(&COLUMNS[2]);
}

#[test]
fn ministack_does_what_the_table_says() {
    check_deployed(&COLUMNS[3]);
}

#[test]
fn cognito_local_does_what_the_table_says() {
    check_deployed(&COLUMNS[4]);
}

#[test]
fn aws_keeps_the_contract() {
    check_deployed(&COLUMNS[5]);
}

#[test]
fn a_cell_that_says_something_else_than_the_service_does_fails_the_suite() {
    let cannot = Cell::Cannot { why: "It has no pools.", shows: "no pools" };
    let not_set = || Err(Failure::NotSet("LIVE_AWS_ROLE_ARN".to_owned()));
    let failed = |text: &str| Err(Failure::Failed(text.to_owned()));
    // Cell, outcome, whether the suite fails.
    let rows = [
        (&Cell::Works, Ok(()), false),
        (&Cell::Works, not_set(), true),
        (&Cell::Works, failed("no pools"), true),
        (&Cell::Untried, Ok(()), false),
        (&Cell::Untried, not_set(), false),
        (&Cell::Untried, failed("no pools"), true),
        (&cannot, Ok(()), true),
        (&cannot, not_set(), true),
        (&cannot, failed("there are no pools"), false),
        (&cannot, failed("Unreachable: connection refused"), true),
    ];
    for (number, (cell, outcome, fails)) in rows.into_iter().enumerate() {
        assert_eq!(contradiction(cell, &outcome).is_some(), fails, "row {number}");
    }
}

#[test]
fn the_documented_table_is_the_one_that_is_tested() {
    let page = include_str!("../../docs/contract.md").replace("\r\n", "\n");
    let table = table();
    assert!(page.contains(&table), "docs/contract.md must have this table:\n\n{table}");
}
