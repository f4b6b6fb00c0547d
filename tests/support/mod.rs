//! What the tests stand on: the built program, emulators and stand-ins, child processes.

#![allow(
    unreachable_pub,
    reason = "a test binary has no outside; `pub` says what each file offers the others"
)]

pub mod aws;
pub mod balancer;
pub mod contents;
pub mod crash_states;
pub mod letters;
pub mod openloop;
pub mod oracle;
pub mod pairing;
pub mod person;
pub mod process;
pub mod staging;
pub mod standin;
pub mod torture;
pub mod waybill;
