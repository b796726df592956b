//! Contract tests: one suite of scenarios against every service that speaks Cognito.
//!
//! `matrix.rs` says which service can do which scenario, `scenarios.rs` holds the scenarios,
//! `services.rs` the services. `FakeCognito` runs in memory and behind `FakeServer`, always. The
//! other services run only if their variables are set; `.ci/contract` starts the emulators and sets
//! them. `docs/contract.md` lists the variables of AWS, which begin with `LIVE_AWS`. Those of the
//! emulators have the same endings after `CONTRACT_MOTO`, `CONTRACT_MINISTACK` and
//! `CONTRACT_COGNITO_LOCAL`; `_ENDPOINT_URL` starts their tests.

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

#[path = "../support/ids.rs"]
mod ids;

use matrix::{COLUMNS, Cannot, Cell, Column, table};
use scenarios::SCENARIOS;
use services::{Failure, Service};

/// Runs every scenario, and panics with all results that differ from the table.
fn check(column: &'static Column, service: &Service) {
    let chosen = std::env::var(format!("{}_SCENARIOS", column.prefix)).ok();
    for name in chosen.iter().flat_map(|names| names.split(',')) {
        assert!(SCENARIOS.iter().any(|s| s.name == name), "there is no scenario {name:?}");
    }
    let mut problems = Vec::new();
    for scenario in &SCENARIOS {
        let cell = column.cell(scenario.name);
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
        let problem = contradiction(&cell, &outcome);
        problems.extend(problem.map(|problem| format!("{}: {problem}: {found}", scenario.name)));
    }
    assert!(problems.is_empty(), "{}:\n{}", column.service, problems.join("\n"));
}

/// Returns how an outcome differs from its cell.
fn contradiction(cell: &Cell, outcome: &Result<(), Failure>) -> Option<&'static str> {
    match (cell, outcome) {
        (Cell::Works | Cell::Untried, Ok(())) | (Cell::Untried, Err(Failure::NotSet(_))) => None,
        (Cell::Works | Cell::Untried, Err(_)) => Some("must work"),
        (Cell::Cannot(_), Ok(())) => Some("its cell says that it cannot, but it works"),
        (Cell::Cannot(cannot), Err(failure)) => (!failure.to_string().contains(cannot.shows))
            .then_some("fails for another reason than its cell states"),
    }
}

fn check_deployed(service: &str) {
    let column = Column::of(service);
    match Service::deployed(column) {
        Some(service) => check(column, &service),
        None => println!("contract: {}: no variables, not run", column.service),
    }
}

#[test]
fn the_fake_service_in_memory_keeps_the_contract() {
    check(Column::of("FakeCognito"), &Service::fake_in_memory());
}

#[test]
fn the_fake_service_over_http_keeps_the_contract() {
    check(Column::of("FakeServer"), &Service::fake_over_http());
}

#[test]
fn moto_does_what_the_table_says() {
    check_deployed("moto");
}

#[test]
fn ministack_does_what_the_table_says() {
    check_deployed("ministack");
}

#[test]
fn cognito_local_does_what_the_table_says() {
    check_deployed("cognito-local");
}

#[test]
fn aws_keeps_the_contract() {
    check_deployed("AWS");
}

#[test]
fn a_wrong_cell_fails_the_suite() {
    const NO_POOLS: &Cannot =
        &Cannot { scenarios: &["guest"], why: "It has no pools.", shows: "no pools" };
    let cannot = Cell::Cannot(NO_POOLS);
    let not_set = || Err(Failure::NotSet("LIVE_AWS_ROLE_ARN".to_owned()));
    let failed = |text: &str| Err(Failure::Failed(text.to_owned()));
    // The cell, the outcome, and whether the suite fails.
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
fn the_table_names_existing_scenarios_each_once() {
    for column in &COLUMNS {
        let mut named: Vec<_> = column.cannot.iter().flat_map(|cannot| cannot.scenarios).collect();
        let known = |name: &&&str| SCENARIOS.iter().any(|scenario| scenario.name == **name);
        assert!(named.iter().all(known), "{}: {named:?}", column.service);
        named.sort();
        assert!(named.windows(2).all(|pair| pair[0] != pair[1]), "{}: {named:?}", column.service);
    }
}

#[test]
fn the_documented_table_is_the_one_that_is_tested() {
    // Long list items are wrapped in the document.
    let page = include_str!("../../docs/contract.md").replace("\r\n", "\n").replace("\n  ", " ");
    let table = table();
    assert!(page.contains(&table), "docs/contract.md must have this table:\n\n{table}");
}
