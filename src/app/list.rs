//! `waybill load --list`: what there is to load, for people and schedulers. Loads nothing.

use std::sync::Arc;

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use crate::load::Loaded;
use crate::load::shop::ShopChoice;
use crate::retail::Dataset;
use crate::settings::Need;

use super::movers::{load_mover, shop_mover};
use super::running::Running;
use super::{Exit, Sources, Usage, places};

/// Prints one object: of each dataset its files, their bytes and the days they are about, and the objects of trackings.
pub(super) async fn list(
    sources: &Sources,
    choice: &ShopChoice,
    is_trackings_alone: bool,
) -> anyhow::Result<Exit> {
    let is_shop_alone = !choice.is_all();
    let need = if is_trackings_alone { Some(Need::Lake) } else { is_shop_alone.then_some(Need::Retail) };
    let needs: Vec<Need> = need.into_iter().chain([Need::Warehouse]).collect();
    let settings = sources.gather(&needs)?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let files = if is_trackings_alone { None } else { places::retail(&settings).await };
    let lake =
        if is_shop_alone || settings.lake.is_none() { None } else { Some(places::lake(&settings).await?) };
    if files.is_none() && lake.is_none() {
        return Err(Usage("nothing to list: set WAYBILL_LAKE, WAYBILL_RETAIL or both".to_owned()).into());
    }
    let running = Running::new(settings);
    let loaded = Arc::new(Loaded::default());
    let mut all = Map::new();
    if let Some(files) = files {
        let found = shop_mover(&running, files, &warehouse, &loaded).list(choice).await?;
        let wanted =
            Dataset::ALL.into_iter().filter(|one| choice.dataset.is_none_or(|wanted| wanted == *one));
        let datasets: Map<String, Value> =
            wanted.map(|dataset| (dataset.as_str().to_owned(), about(dataset, &found))).collect();
        all.insert("datasets".to_owned(), datasets.into());
    }
    if let Some(lake) = lake {
        let suppressed = places::suppressed(&running.settings, lake.as_ref()).await?;
        let count = load_mover(&running, &lake, &warehouse, &loaded, None, suppressed).count().await?;
        all.insert("trackings".to_owned(), json!({ "files": count }));
    }
    println!("{}", Value::from(all));
    Ok(Exit::Done)
}

fn about(dataset: Dataset, found: &[(Dataset, Date, u64)]) -> Value {
    let of_it = || found.iter().filter(|one| one.0 == dataset);
    let day = |day: Option<Date>| day.map(|day| day.to_string());
    json!({
        "files": of_it().count(),
        "bytes": of_it().map(|one| one.2).sum::<u64>(),
        "from": day(of_it().map(|one| one.1).min()),
        "to": day(of_it().map(|one| one.1).max()),
    })
}
