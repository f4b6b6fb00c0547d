//! Dead letters in the lake of a deployment on this machine, as batch would have left them.

use base64::prelude::{BASE64_STANDARD, Engine};
use waybill::event::Event;
use waybill::lake::dead_letter::{self, DeadLetter, Reason};
use waybill::lake::disk::DiskLake;

use super::waybill::Deployment;

/// What a letter says beside its event.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub reason: Reason,
    /// What the letter's id is made of.
    pub message: &'a [u8],
    /// The name of its event, if one can be read.
    pub named: Option<&'a str>,
}

/// Puts one letter; gives its id.
pub fn plant(deployment: &Deployment, event: &Event, given: Given<'_>) -> String {
    let letter = DeadLetter {
        v: 1,
        id: DeadLetter::id_of(given.message),
        reason: given.reason,
        detail: None,
        event: given.named.map(str::to_owned),
        event_key: Some(event.event_key.as_str().to_owned()),
        source: Some("webhook".to_owned()),
        received_at: event.received_at,
        dead_at: event.received_at,
        attempts: 20,
        replay_id: None,
        body_sha256: event.body_sha256.to_hex(),
        body_base64: BASE64_STANDARD.encode(&event.body),
    };
    let lake = DiskLake::open(&deployment.dir().join("lake")).expect("lake");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(dead_letter::put(&lake, &letter)).expect("put");
    letter.id
}
