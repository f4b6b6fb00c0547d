//! Where AfterShip puts what tells of a person.

use std::sync::LazyLock;

/// Where personal data stands: names of members from the root, `[]` after those that hold a list. Everything below
/// such a path is personal, also what AfterShip may add there later. A list counts as if it were not there, so a
/// value beside a list, or a list in place of a value, is found too.
pub const FIELDS: &[&str] = &[
    // The people: name, e-mail, phone, and since 2026-07 an id.
    // AfterShip Tracking, "Migration guide" to 2025-01 and model "Tracking" of 2025-01 to 2026-07.
    "msg.customers[]",
    // The same until 2024-10. Model "Tracking" of 2024-10 and before; legacy "Webhook specifications".
    "msg.customer_name",
    "msg.emails[]",
    "msg.smses[]",
    // Who asks to be told, and until 2023 by which devices. Model "Tracking"; legacy "Webhook specifications".
    "msg.subscribed_emails[]",
    "msg.subscribed_smses[]",
    "msg.android[]",
    "msg.ios[]",
    // Who took the parcel, and the photos of it. Model "Tracking"; "Webhook changelog" of 2026-07.
    "msg.signed_by",
    "msg.proof_of_delivery[]",
    // Where they live; of a return it is the origin. Model "Tracking".
    "msg.destination_raw_location",
    "msg.destination_city",
    "msg.destination_state",
    "msg.destination_postal_code",
    "msg.origin_raw_location",
    "msg.origin_city",
    "msg.origin_state",
    "msg.origin_postal_code",
    // Older names of the destination's, and what a courier asks for before it shows a parcel, for some a part of the
    // receiver's data. "Additional tracking fields" of legacy to 2025-04.
    "msg.tracking_postal_code",
    "msg.tracking_state",
    "msg.tracking_key",
    // Where they fetch it, and free text about it. The title is the tracking number unless the shop writes another.
    // Model "Tracking"; legacy "Webhook changelog", 4.2.
    "msg.pickup_location",
    "msg.pickup_note",
    "msg.note",
    "msg.title",
    // Links that carry an e-mail address (the order page of AfterShip, in base64), may carry a postal code (those of
    // couriers that ask for one), or open the delivery or the order to whoever has them. "Migration guide" to
    // 2024-10; model "Tracking".
    "msg.aftership_tracking_order_url",
    "msg.order_id_path",
    "msg.courier_tracking_link",
    "msg.courier_redirect_link",
    "msg.first_mile.courier_tracking_link",
    "msg.first_mile.courier_redirect_link",
    "msg.last_mile.courier_tracking_link",
    "msg.last_mile.courier_redirect_link",
];

/// Where a shop writes what it likes. AfterShip asks it to keep personal data out, and the ids of order lines have
/// no other place to travel in. So only what is plainly somebody's goes: a value with an e-mail address in it, or
/// one that is a phone number with its country (`+49 …`). Model "Tracking", `custom_fields`.
pub const CONTACT_FIELDS: &[&str] = &["msg.custom_fields"];

/// What couriers say of a parcel's way, which may name the person at its end or the neighbour who took it, and what is
/// made of it. Model "Checkpoint" of legacy to 2026-07.
pub const ERASED_FIELDS: &[&str] = &[
    "msg.checkpoints[].message",
    "msg.checkpoints[].location",
    "msg.checkpoints[].city",
    "msg.checkpoints[].state",
    "msg.checkpoints[].postal_code",
    "msg.checkpoints[].zip",
    "msg.checkpoints[].coordinate",
    "msg.checkpoints[].coordinates",
    "msg.checkpoints[].hash",
];

/// The numbers by which courier and shop know the person, and the page that shows them. Model "Tracking".
pub const NUMBER_FIELDS: &[&str] =
    &["msg.tracking_number", "msg.order_id", "msg.order_number", "msg.aftership_tracking_url"];

/// What of a place's values goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// All but what tells of nobody.
    Everything,
    /// E-mail addresses and phone numbers.
    Contacts,
    /// All but `null`.
    Whole,
}

/// Listed paths, each as the names of its members.
pub(super) type Paths = Vec<(Vec<&'static str>, What)>;

/// What goes before anything lands.
pub(super) static REDACTED: LazyLock<Paths> =
    LazyLock::new(|| [paths(FIELDS, What::Everything), paths(CONTACT_FIELDS, What::Contacts)].concat());

/// What goes when a person is erased.
pub(super) static ERASED: LazyLock<Paths> = LazyLock::new(|| {
    [FIELDS, CONTACT_FIELDS, ERASED_FIELDS].map(|fields| paths(fields, What::Whole)).concat()
});

/// The same with the numbers of parcel and order.
pub(super) static NUMBERED: LazyLock<Paths> =
    LazyLock::new(|| [ERASED.as_slice(), &paths(NUMBER_FIELDS, What::Whole)].concat());

fn paths(fields: &[&'static str], what: What) -> Paths {
    fields
        .iter()
        .map(|field| (field.split('.').map(|name| name.trim_end_matches("[]")).collect(), what))
        .collect()
}
