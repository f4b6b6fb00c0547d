//! `waybill forget`.

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};

use crate::cli;
use crate::forget::subject::{Kind, Subject};
use crate::forget::{Forget, Order};
use crate::settings::{Need, Settings};
use crate::warehouse::{Cell, question};

use super::dead_letters::interrupted;
use super::{Exit, Misconfigured, Sources, Usage, places, status};

/// What there is of a customer of the shop.
const FOUND: &str = include_str!("../warehouse/sql/erase/customer_found.sql");

pub(super) async fn run(sources: &Sources, arguments: &cli::Forget) -> anyhow::Result<Exit> {
    if let Some(customer_id) = arguments.shop_customer {
        return forget_shop_customer(sources, arguments, customer_id).await;
    }
    let settings = sources.gather(&[Need::Lake, Need::Warehouse])?;
    let order = order(&settings, arguments)?;
    let lake = places::lake_that_is_there(&settings).await?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let suppressed = places::suppressed(&settings, lake.as_ref()).await?;
    let forget = Forget { lake, warehouse, suppressed };

    let stop = interrupted();
    let bar = status::progress_bar("objects");
    let progress = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    if arguments.dry_run || !arguments.yes {
        let found = forget.preview(&order, &stop, progress).await?;
        bar.finish_and_clear();
        if !found.is_over {
            bail!("interrupted: nothing was done");
        }
        if arguments.dry_run {
            println!("{}", serde_json::to_string(&found)?);
            return Ok(Exit::Done);
        }
        let what = format!(
            "{} trackings: {} lines in {} objects, and {} dead letters",
            found.trackings, found.lines, found.objects, found.letters
        );
        if !confirmed(&what)? {
            return Ok(Exit::Done);
        }
        bar.reset();
    }
    let report = forget.forget(&order, &stop, progress).await;
    bar.finish_and_clear();
    let report = report.context("the erasure is not over: ask for it again, and it goes on")?;
    println!("{}", serde_json::to_string(&report)?);
    if !report.is_over {
        bail!("interrupted: the erasure is not over; ask for it again, and it goes on");
    }
    if report.unreadable > 0 {
        eprintln!("{} objects or dead letters cannot be looked into: see the log", report.unreadable);
    }
    Ok(Exit::Done)
}

/// A customer of the shop's own files, which the lake knows nothing of.
async fn forget_shop_customer(
    sources: &Sources,
    arguments: &cli::Forget,
    customer_id: i32,
) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Warehouse])?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let sql = question(FOUND, warehouse.kind()).replace("{customer_id}", &customer_id.to_string());
    let answer = warehouse.query(&sql).await?;
    let [Some(Cell::Int(landed)), Some(Cell::Int(rejected))] =
        [0, 1].map(|index| answer.rows.first().and_then(|row| row.get(index)))
    else {
        bail!("cannot tell what there is of customer {customer_id}");
    };
    let found = serde_json::json!({ "customer_id": customer_id, "lines": landed, "rejected": rejected });
    if arguments.dry_run {
        println!("{found}");
        return Ok(Exit::Done);
    }
    let what = format!("customer {customer_id}: {landed} lines that landed, {rejected} that were rejected");
    if !arguments.yes && !confirmed(&what)? {
        return Ok(Exit::Done);
    }
    warehouse.erase_customer(customer_id, arguments.reason.as_deref().unwrap_or_default()).await?;
    println!("{found}");
    Ok(Exit::Done)
}

fn order(settings: &Settings, arguments: &cli::Forget) -> anyhow::Result<Order> {
    let Some(key) = &settings.privacy_key else {
        let text = "WAYBILL_PRIVACY_KEY: needed (at least 16 characters): keyed hashes say for ever who is erased; give the \
                    same key to batch and load";
        return Err(Misconfigured(text.to_owned()).into());
    };
    let named = match (&arguments.customer, &arguments.tracking) {
        (Some(text), _) => Some((Kind::Customer, text)),
        (None, Some(text)) => Some((Kind::Tracking, text)),
        (None, None) => None,
    };
    let subject = match named {
        Some((kind, text)) => Some(subject(kind, text, key.expose().as_bytes())?),
        None => None,
    };
    Ok(Order {
        subject,
        with_numbers: arguments.with_numbers,
        reason: arguments.reason.clone(),
        who: std::env::var("USER").ok().filter(|user| !user.is_empty()),
    })
}

/// Everybody on the machine sees a command line, so that `-` reads the name from stdin.
fn subject(kind: Kind, text: &str, key: &[u8]) -> anyhow::Result<Subject> {
    let mut given = text.to_owned();
    if text == "-" {
        given.clear();
        std::io::stdin().read_to_string(&mut given)?;
    }
    if given.trim().is_empty() {
        return Err(Usage("say whom to erase: the text is empty".to_owned()).into());
    }
    Ok(Subject::new(kind, &given, key))
}

/// Asks on a terminal, insists on --yes elsewhere.
fn confirmed(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("about to erase {what}: say --yes, or look first with --dry-run");
    }
    let is_agreed = status::agreed(&format!("erase {what}, for good?"))?;
    if !is_agreed {
        println!("nothing was done");
    }
    Ok(is_agreed)
}
