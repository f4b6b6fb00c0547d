//! The sample shop of the demo: a hundred days of made-up files up to yesterday, so that a newcomer sees revenue, a price
//! change, a rejected line and a product that was delisted and ceased to sell. Dated by the demo's first day; made once.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::Path;

use jiff::civil::Date;
use jiff::{Span, Timestamp};

/// Orders of the last weeks, by number: what the demo's parcels carry.
pub(super) const RECENT_ORDERS: RangeInclusive<u32> = 500..=600;
/// Days of history.
const DAYS: i32 = 100;
/// Day of the history, from its end, on which a price changes.
const PRICE_CHANGES: i32 = 20;
/// Days before the end of the history on which one product sells for the last time.
const CEASES: i32 = 9;
/// Last days of the history that have files of their own.
const DAILY: i32 = 7;
/// The product that ceases.
const CEASED_PRODUCT: usize = 3;

const PRODUCTS: [(&str, u32, u32); 6] = [
    ("Canoe, two seats", 1, 64_900),
    ("Paddle", 1, 4_950),
    ("Dry bag 20 l", 1, 2_490),
    ("Tent \"Ridge\"", 2, 21_900),
    ("Stove", 2, 5_990),
    ("Head torch", 2, 3_450),
];

/// Writes the files, unless there are some. `now` dates them.
pub(super) fn write_files(root: &Path, now: Timestamp) -> std::io::Result<()> {
    if root.exists() {
        return Ok(());
    }
    let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
    let day = |back: i32| today.saturating_sub(Span::new().days(back));
    // Beside its place first: who starts in the middle finds no half of a shop.
    let unnamed = root.with_extension("tmp");
    let _ = std::fs::remove_dir_all(&unnamed);
    let put_as = |dataset: &str, date: Date, ending: &str, text: &str| -> std::io::Result<()> {
        let folder = unnamed.join(dataset);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{date}{ending}")), text)
    };
    let put = |dataset: &str, date: Date, text: &str| put_as(dataset, date, ".csv", text);
    let first = day(DAYS);
    put("departments", first, "1,Outdoors\n")?;
    put("categories", first, "1,1,Boats\n2,1,Camping\n")?;
    put("products", first, &products(None))?;
    put("products", day(PRICE_CHANGES), &products(Some(1)))?;
    put_as("products", day(CEASES), ".full.csv", &listed())?;
    let customers: String = (1..=20).fold(String::new(), |mut text, id| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{id},Customer,Number{id},XXXXXXXXX,XXXXXXXXX,{id} Lake Road,Kiel,SH,{:05}",
            1000 + id
        );
        text
    });
    put("customers", first, &customers)?;
    let mut next = (1_u32, 1_u32);
    let (mut orders, mut items) = (String::new(), String::new());
    for back in (1..=DAYS).rev() {
        let (more_orders, more_items) = orders_of(day(back), back, &mut next);
        orders.push_str(&more_orders);
        items.push_str(&more_items);
        // The history in one file, then one a day.
        if back <= DAILY {
            put("orders", day(back), &orders)?;
            put("order_items", day(back), &items)?;
            orders.clear();
            items.clear();
        }
    }
    std::fs::rename(&unnamed, root)
}

fn products(dearer: Option<usize>) -> String {
    PRODUCTS.iter().enumerate().fold(String::new(), |mut text, (index, (name, category, cents))| {
        let cents = if dearer == Some(index) { cents + 500 } else { *cents };
        let name = if name.contains(['"', ',']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            (*name).to_owned()
        };
        let _ = writeln!(text, "{},{category},{name},,{}.{:02},", index + 1, cents / 100, cents % 100);
        text
    })
}

/// All products that are sold from the day on which one ceases: a full snapshot without it.
fn listed() -> String {
    let gone = format!("{},", CEASED_PRODUCT + 1);
    products(Some(1))
        .lines()
        .filter(|line| !line.starts_with(&gone))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn orders_of(date: Date, back: i32, next: &mut (u32, u32)) -> (String, String) {
    let mut random = fastrand::Rng::with_seed(u64::from(back.unsigned_abs()));
    let (mut orders, mut items) = (String::new(), String::new());
    for _ in 0..random.u32(4..9) {
        let (order, customer) = (next.0, random.u32(1..=20));
        next.0 += 1;
        let status = match random.u32(0..20) {
            0 => "CANCELED",
            1..=4 if back < 5 => "PENDING",
            _ => "COMPLETE",
        };
        let _ = writeln!(
            orders,
            "{order},{date} {:02}:{:02}:00.0,{customer},{status}",
            random.u32(7..22),
            random.u32(0..60)
        );
        for _ in 0..random.u32(1..4) {
            let product = random.usize(0..PRODUCTS.len());
            if product == CEASED_PRODUCT && back <= CEASES {
                continue;
            }
            let cents = PRODUCTS[product].2 + if product == 1 && back <= PRICE_CHANGES { 500 } else { 0 };
            let quantity = random.u32(1..4);
            let (total, item) = (cents * quantity, next.1);
            next.1 += 1;
            let _ = writeln!(
                items,
                "{item},{order},{},{quantity},{}.{:02},{}.{:02}",
                product + 1,
                total / 100,
                total % 100,
                cents / 100,
                cents % 100
            );
        }
    }
    if back == 2 {
        // For `waybill rejects list`.
        let _ = writeln!(items, "{},{},2,two,99.00,49.50", next.1, next.0 - 1);
        next.1 += 1;
    }
    (orders, items)
}
