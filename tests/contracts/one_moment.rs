//! Questions that are asked together see one moment, whatever is loaded between them, on every engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use waybill::warehouse::{Cell, Warehouse, WarehouseError};

use super::shop::{Engines, duckdb, load, rows};
use crate::support::process::Postgres;

const COUNT: &str = "select count(*) as n from base.dim_department";

async fn one_moment_is_seen(warehouse: Arc<dyn Warehouse>) {
    load(warehouse.as_ref(), "departments/2026-07-01.csv", "1,Boats\n").await;
    let calls = Arc::new(AtomicUsize::new(0));
    let told = {
        let (calls, warehouse) = (Arc::clone(&calls), Arc::clone(&warehouse));
        let runtime = tokio::runtime::Handle::current();
        move |index: usize| {
            assert_eq!(calls.fetch_add(1, Ordering::SeqCst), index);
            // Between the first answer and the second question.
            if index == 1 {
                tokio::task::block_in_place(|| {
                    runtime.block_on(load(warehouse.as_ref(), "departments/2026-07-02.csv", "2,Tents\n"))
                });
            }
        }
    };
    let questions = vec![COUNT.to_owned(), format!("{COUNT};"), "select 'a', 2".to_owned()];

    let answers = warehouse.query_together(questions, Arc::new(told)).await.expect("answers");

    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let found: Vec<&Cell> = answers.iter().map(|answer| &answer.rows[0][0]).collect();
    assert_eq!(found, [&Cell::Int(1), &Cell::Int(1), &Cell::Text("a".to_owned())]);
    assert_eq!(rows(warehouse.as_ref(), COUNT).await, ["2"], "it was loaded meanwhile");

    // Nothing is written, and one that fails fails all.
    for wrong in ["delete from base.dim_department", "select 1; select 2", "nonsense", ""] {
        let questions = vec![COUNT.to_owned(), wrong.to_owned()];
        let outcome = warehouse.query_together(questions, Arc::new(|_: usize| {})).await;
        assert!(matches!(outcome, Err(WarehouseError::Query(_))), "{wrong}: {outcome:?}");
    }
    assert_eq!(rows(warehouse.as_ref(), COUNT).await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_asked_together_see_one_moment_on_duckdb() {
    let engines = duckdb();
    one_moment_is_seen(engines.fresh("moment").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_asked_together_see_one_moment_on_postgres() {
    let engines = Engines::Postgres(Postgres::start().await);
    one_moment_is_seen(engines.fresh("moment").await).await;
}

/// What a cluster does is not tried here: a lab is told to see one moment.
#[tokio::test(flavor = "multi_thread")]
async fn questions_asked_together_see_one_moment_in_redshifts_lab() {
    let engines = Engines::RedshiftLab(Postgres::start().await);
    one_moment_is_seen(engines.fresh("moment").await).await;
}
