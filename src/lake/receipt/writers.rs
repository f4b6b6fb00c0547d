//! Who may have written receipts: by marks, and by signs of life behind the minutes that are asked for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::lake::{LIST_PAGE, Lake, LakeError, Object, layout, list_all};

use super::{BEGAN, ENDED, Mark, Receipt, Receipts, SILENT_MAX, VERSION, Writer};

/// How far the store's clock may be from a writer's, when old marks are passed over.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);
/// Pages of a listing in which a sign of life is looked for behind the minutes that were asked for.
const LATER_PAGES_MAX: usize = 50;

/// The marks of those who may have written between `from` and `until`: who is known by a receipt there or behind, and whose
/// mark is not older; of those who never ended, not much older.
pub(super) async fn writers(
    lake: &dyn Lake,
    from: Timestamp,
    until: Timestamp,
    found: &mut Receipts,
) -> Result<Vec<Writer>, LakeError> {
    let oldest = from.checked_sub(CLOCKS_APART).unwrap_or(Timestamp::MIN);
    let oldest_silent = from.checked_sub(SILENT_MAX).unwrap_or(Timestamp::MIN);
    let known: BTreeSet<&str> = found.receipts.iter().map(|receipt| receipt.writer.as_str()).collect();
    let mut pairs: BTreeMap<String, [Option<Object>; 2]> = BTreeMap::new();
    for object in list_all(lake, layout::RECEIVERS, None).await? {
        for (index, mark) in [BEGAN, ENDED].into_iter().enumerate() {
            if let Some(name) = object.key.strip_suffix(&format!("-{mark}.json")) {
                pairs.entry(name.to_owned()).or_default()[index] = Some(object.clone());
            }
        }
    }
    let open = pairs.iter().filter(|(_, [_, ended])| ended.is_none()).map(|(name, _)| id_of(name).to_owned());
    let later = later(lake, until, open.collect()).await?;
    pairs.retain(|name, marks| {
        let id = id_of(name);
        let since = if marks[1].is_none() { oldest_silent } else { oldest };
        let is_recent = marks.iter().flatten().any(|mark| mark.modified_at >= since);
        is_recent || known.contains(id) || later.contains_key(id)
    });

    let mut writers = Vec::new();
    for [began, ended] in pairs.into_values() {
        let began = read_mark(lake, began, &mut found.unreadable).await?;
        let ended = read_mark(lake, ended, &mut found.unreadable).await?;
        if let Some(mark) = began.as_ref().or(ended.as_ref()) {
            writers.push(Writer {
                id: mark.writer.clone(),
                source: mark.source.clone(),
                first: mark.minute,
                last: ended.as_ref().map(|mark| mark.minute),
                later: later.get(&mark.writer).copied(),
            });
        }
    }
    Ok(writers)
}

/// What stands behind the folder: of a mark's name without its end, the writer's id.
fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The first minute from `until` on of which each of these writers left a receipt. Somebody who deletes a stretch of receipts
/// must not make it look as if nobody had been at work.
async fn later(
    lake: &dyn Lake,
    until: Timestamp,
    mut sought: BTreeSet<String>,
) -> Result<BTreeMap<String, Timestamp>, LakeError> {
    let mut found = BTreeMap::new();
    let mut after = layout::receipts_of(until);
    for _ in 0..LATER_PAGES_MAX {
        if sought.is_empty() {
            break;
        }
        let page = lake.list(layout::RECEIPTS, Some(&after)).await?;
        for object in &page {
            let Some((id, _)) = id_of(&object.key).rsplit_once('-') else { continue };
            if !sought.contains(id) {
                continue;
            }
            let body = match lake.get(&object.key).await {
                Ok(body) => body,
                Err(LakeError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            if let Some(receipt) = Receipt::unpack(&body) {
                sought.remove(id);
                found.insert(receipt.writer, receipt.minute);
            }
        }
        match page.last() {
            Some(last) if page.len() >= LIST_PAGE => after = last.key.clone(),
            _ => break,
        }
    }
    Ok(found)
}

async fn read_mark(
    lake: &dyn Lake,
    object: Option<Object>,
    unreadable: &mut Vec<String>,
) -> Result<Option<Mark>, LakeError> {
    let Some(object) = object else { return Ok(None) };
    let body = match lake.get(&object.key).await {
        Ok(body) => body,
        Err(LakeError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mark = serde_json::from_slice(&body).ok().filter(|mark: &Mark| mark.v == VERSION);
    if mark.is_none() {
        unreadable.push(object.key);
    }
    Ok(mark)
}
