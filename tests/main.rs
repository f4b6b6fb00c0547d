//! All tests that run from outside, in one binary so that things link once.
//!
//! - `contracts`: what every backend of a place promises.
//! - `journeys`: whole paths, over real sockets, processes and signals.
//! - `surface`: what we promise in writing.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[cfg(not(feature = "failpoints"))]
compile_error!(
    "the tests kill the program at named moments: use `make test`, or add `--features failpoints`"
);

mod support;

mod contracts {
    pub mod audit;
    pub mod ceased;
    pub mod damage;
    pub mod defects;
    pub mod erase;
    pub mod erase_customer;
    pub mod lake;
    pub mod loads;
    pub mod one_moment;
    pub mod queue;
    pub mod schema_age;
    pub mod shop;
    pub mod snapshots;
    pub mod snapshots_any_order;
    pub mod spool;
    pub mod upgrade;
    pub mod waiting_lines;
    pub mod warehouse;
    pub mod warehouse_tls;
    pub mod zone;
}

mod journeys {
    pub mod answers;
    pub mod bad_input;
    pub mod check_staging;
    #[cfg(target_os = "linux")]
    pub mod clock;
    pub mod crash;
    pub mod dead_letters;
    #[cfg(target_os = "linux")]
    pub mod disk_faults;
    pub mod embedded;
    pub mod forget;
    pub mod freshness;
    pub mod loaders;
    pub mod move_warehouse;
    pub mod order;
    pub mod outage;
    pub mod overload;
    pub mod poll;
    #[cfg(target_os = "linux")]
    pub mod power_loss;
    pub mod privacy;
    pub mod reconcile;
    pub mod redrive;
    pub mod rejects_again;
    pub mod rolling;
    pub mod secrets;
    pub mod seeded;
    pub mod shop;
    pub mod shop_s3;
    pub mod shutdown;
    pub mod slow_clients;
    pub mod split;
    pub mod stand_in;
    pub mod tutorial;
    pub mod waiting_lines;
}

mod surface {
    pub mod case_study;
    pub mod commands;
    pub mod console;
    pub mod dashboards;
    pub mod failures;
    pub mod formats;
    pub mod fuzz_corpus;
    pub mod links;
    pub mod metrics;
    pub mod openapi;
    pub mod reference;
    pub mod settings;
}
