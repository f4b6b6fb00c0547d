//! Full snapshots in any order, repeated and replaced: the absences are those that a plain walk through the files says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use waybill::retail::Dataset;
use waybill::warehouse::Warehouse;

use super::shop::{Engines, duckdb, failed_checks, file};
use super::snapshots::{absences, replay};
use crate::support::process::Postgres;

/// What a name has held: its bytes one after the other, the last of which counts.
struct Made {
    key: String,
    day: u32,
    is_full: bool,
    texts: Vec<Content>,
}

#[derive(Clone)]
struct Content {
    ids: BTreeSet<i32>,
    text: String,
    /// A line that is rejected, and what it is when it is replayed.
    bad: Option<(u64, i32, String)>,
}

const DATASETS: [Dataset; 2] = [Dataset::Products, Dataset::Departments];

fn line(dataset: Dataset, id: i32, mark: &str) -> String {
    match dataset {
        Dataset::Products => format!("{id},1,{mark},,1.00,"),
        _ => format!("{id},{mark}"),
    }
}

fn content(dataset: Dataset, mark: &str, has_bad: bool, random: &mut fastrand::Rng) -> Content {
    let mut ids: BTreeSet<i32> = (1..=8).filter(|_| random.u32(0..5) > 1).collect();
    ids.insert(9);
    let mut text: String = ids.iter().map(|id| line(dataset, *id, mark) + "\n").collect();
    let mut bad = None;
    if has_bad {
        let id = random.i32(1..=8);
        bad = Some((ids.len() as u64 + 1, id, line(dataset, id, mark)));
        text.push_str(&line(dataset, id, mark).replacen(&id.to_string(), "x", 1));
        text.push('\n');
    }
    Content { ids, text, bad }
}

/// Ten days of files: deltas and snapshots, some replaced, some with a bad line, some with the bytes of another name.
fn history(seed: u64) -> Vec<Made> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all: Vec<Made> = Vec::new();
    for dataset in DATASETS {
        for day in 1..=10 {
            for part in ["a", "b"] {
                if random.bool() {
                    continue;
                }
                let is_full = random.bool();
                let ending = if is_full { "full.csv" } else { "csv" };
                let key = format!("{}/2026-07-{day:02}-{part}.{ending}", dataset.as_str());
                // Bytes that come back, or come twice, do so on purpose only.
                let mark = format!("{key} 0").replace(dataset.as_str(), "");
                let texts = match random.u32(0..6) {
                    0 => vec![
                        content(dataset, &mark, random.bool(), &mut random),
                        content(dataset, &mark.replace(" 0", " 1"), random.bool(), &mut random),
                    ],
                    1 => vec![content(dataset, &mark, true, &mut random)],
                    2 => {
                        let is_plain = |made: &&Made| {
                            made.key.starts_with(dataset.as_str())
                                && made.texts.len() == 1
                                && made.texts[0].bad.is_none()
                        };
                        let twin = all.iter().rev().find(is_plain).map(|made| made.texts.clone());
                        twin.unwrap_or_else(|| vec![content(dataset, &mark, false, &mut random)])
                    }
                    _ => vec![content(dataset, &mark, false, &mut random)],
                };
                all.push(Made { key, day, is_full, texts });
            }
        }
    }
    all
}

/// The rule, as plain as it can be said: the files of a dataset in the order of their versions, row by row.
fn expected(history: &[Made], replayed: &BTreeSet<&str>) -> Vec<String> {
    let mut all = Vec::new();
    for dataset in DATASETS {
        let mut files: Vec<(&Made, usize)> = history
            .iter()
            .filter(|made| made.key.starts_with(dataset.as_str()))
            .flat_map(|made| (0..made.texts.len()).map(move |generation| (made, generation)))
            .collect();
        files.sort_by_key(|(made, generation)| (made.day, made.key.clone(), *generation));
        for id in 1..=9 {
            let mut is_known = false;
            let mut since: Option<u32> = None;
            for (made, generation) in &files {
                let content = &made.texts[*generation];
                let is_replayed = replayed.contains(made.key.as_str());
                let has_row = content.ids.contains(&id)
                    || (is_replayed && content.bad.as_ref().is_some_and(|(_, repaired, _)| *repaired == id));
                let is_in_effect = generation + 1 == made.texts.len();
                let is_whole = content.bad.is_none() || is_replayed;
                if has_row {
                    is_known = true;
                    if let Some(first) = since.take().filter(|first| *first < made.day) {
                        all.push(format!(
                            "{}|{id}|2026-07-{first:02}|2026-07-{:02}",
                            dataset.as_str(),
                            made.day
                        ));
                    }
                } else if made.is_full && is_in_effect && is_whole && is_known {
                    since = since.or(Some(made.day));
                }
            }
            if let Some(first) = since {
                all.push(format!("{}|{id}|2026-07-{first:02}|9999-01-01", dataset.as_str()));
            }
        }
    }
    all.sort();
    all
}

/// Loads all of it in a random order, some of it twice; the bytes of one name in their order, as they came to be.
async fn play(warehouse: &dyn Warehouse, history: &[Made], random: &mut fastrand::Rng) -> Vec<String> {
    let mut turns: Vec<usize> =
        history.iter().enumerate().flat_map(|(index, made)| vec![index; made.texts.len()]).collect();
    random.shuffle(&mut turns);
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let load_text = async |key: &str, text: &str| {
        warehouse.load_shop(Arc::new(file(key, text.as_bytes())), false).await.expect("loaded").is_new
    };
    for index in turns {
        let made = &history[index];
        let generation = taken.entry(index).or_insert(0);
        load_text(&made.key, &made.texts[*generation].text).await;
        *generation += 1;
        let again = &history[random.usize(0..history.len())];
        if again.texts.len() == 1 {
            load_text(&again.key, &again.texts[0].text).await;
        }
        if random.u32(0..4) == 0 {
            assert_eq!(failed_checks(warehouse).await, Vec::<String>::new(), "{}", made.key);
        }
    }
    // As the mover does, until there is nothing new: what was a duplicate may have to be loaded after all.
    loop {
        let mut is_settled = true;
        for made in history {
            let newest = made.texts.last().expect("something");
            is_settled &= !load_text(&made.key, &newest.text).await;
        }
        if is_settled {
            break;
        }
    }
    assert_eq!(failed_checks(warehouse).await, Vec::<String>::new());
    absences(warehouse).await
}

/// Histories in which a replay brings absences to light.
const HISTORIES: [u64; 3] = [2, 4, 7];

async fn any_order_gives_the_absences_that_the_rule_says(engines: &Engines, rounds: u64) {
    for seed in HISTORIES {
        let history = history(seed);
        let before = expected(&history, &BTreeSet::new());
        // Those that are never replaced are repaired.
        let repairs: Vec<&Made> =
            history.iter().filter(|made| made.texts.len() == 1 && made.texts[0].bad.is_some()).collect();
        let after = expected(&history, &repairs.iter().map(|made| made.key.as_str()).collect());
        assert!(before.len() > 5 && before != after, "seed {seed} says something: {before:?}");
        for round in 0..rounds {
            let mut random = fastrand::Rng::with_seed(100 * seed + round);
            let warehouse = engines.fresh(&format!("order_{seed}_{round}")).await;
            let warehouse = warehouse.as_ref();

            let mut found = play(warehouse, &history, &mut random).await;
            found.sort();
            assert_eq!(found, before, "seed {seed}, round {round}");

            for made in &repairs {
                if let Some((line, _, text)) = &made.texts[0].bad {
                    replay(warehouse, &made.key, 0, *line, text).await;
                }
            }
            let mut found = absences(warehouse).await;
            found.sort();
            assert_eq!(found, after, "seed {seed}, round {round}, replayed");
            assert_eq!(failed_checks(warehouse).await, Vec::<String>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_snapshots_gives_the_same_absences_on_duckdb() {
    any_order_gives_the_absences_that_the_rule_says(&duckdb(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_snapshots_gives_the_same_absences_on_postgres() {
    any_order_gives_the_absences_that_the_rule_says(&Engines::Postgres(Postgres::start().await), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_snapshots_gives_the_same_absences_by_what_redshift_is_sent() {
    any_order_gives_the_absences_that_the_rule_says(&Engines::RedshiftLab(Postgres::start().await), 1).await;
}
