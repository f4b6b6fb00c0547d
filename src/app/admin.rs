//! The admin API of a process that loads: for now one path, `POST /api/v1/query`.
//!
//! DuckDB lets one process open a file for writing. So while a process loads, everybody else's `waybill query` asks
//! it here, and never waits for a load. Where it is, [`super::served`] says.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::cli::QueryFormat;
use crate::console;
use crate::settings::Secret;
use crate::warehouse::{Warehouse, WarehouseError};

use super::query::render;

#[derive(Clone)]
struct Admin {
    warehouse: Arc<dyn Warehouse>,
    tokens: Arc<Vec<Secret>>,
    /// Whoever finds none is told so: answers are held in memory, and loading goes first.
    places: Arc<Semaphore>,
}

/// Queries at once.
const QUERIES_MAX: usize = 4;

/// The admin API. `tokens`: any of them opens it.
pub(super) fn router(warehouse: Arc<dyn Warehouse>, tokens: Vec<Secret>) -> Router {
    Router::new().route("/api/v1/query", post(query)).with_state(Admin {
        warehouse,
        tokens: Arc::new(tokens),
        places: Arc::new(Semaphore::new(QUERIES_MAX)),
    })
}

struct Ask {
    sql: String,
    format: Format,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Format {
    Table,
    Csv,
    #[default]
    Json,
}

impl Ask {
    /// Read by hand: serde by itself also takes an array for a struct, and an object for a word.
    fn read(body: &[u8]) -> Result<Ask, String> {
        let mut asked: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let sql = match asked.remove("sql") {
            Some(serde_json::Value::String(sql)) => sql,
            _ => return Err("`sql` must be a text".to_owned()),
        };
        let format = match asked.remove("format") {
            None => Format::default(),
            Some(word @ serde_json::Value::String(_)) => {
                serde_json::from_value(word).map_err(|error| error.to_string())?
            }
            Some(_) => return Err("`format` must be table, csv or json".to_owned()),
        };
        Ok(Ask { sql, format })
    }
}

async fn query(State(admin): State<Admin>, headers: HeaderMap, body: axum::body::Bytes) -> Response {
    if !console::has_token(&admin.tokens, &headers) {
        return fault(StatusCode::UNAUTHORIZED, "unauthorized", "the bearer token is missing or wrong");
    }
    let ask = match Ask::read(&body) {
        Ok(ask) => ask,
        Err(error) => {
            return fault(
                StatusCode::BAD_REQUEST,
                "bad_request",
                &format!("cannot read the request: {error}"),
            );
        }
    };
    let (format, content_type) = match ask.format {
        Format::Table => (QueryFormat::Table, "text/plain; charset=utf-8"),
        Format::Csv => (QueryFormat::Csv, "text/csv; charset=utf-8"),
        Format::Json => (QueryFormat::Json, "application/json"),
    };
    let Ok(_place) = admin.places.try_acquire() else {
        return fault(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "as many queries as allowed are at work: try again",
        );
    };
    let rendered = match admin.warehouse.query(&ask.sql).await {
        Ok(answer) => tokio::task::spawn_blocking(move || render(&answer, format)).await,
        Err(WarehouseError::Query(message)) => {
            return fault(StatusCode::BAD_REQUEST, "query_failed", &message);
        }
        Err(error) => return fault(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string()),
    };
    match rendered {
        Ok(Ok(text)) => ([("content-type", content_type)], text).into_response(),
        _ => fault(StatusCode::INTERNAL_SERVER_ERROR, "internal", "cannot write the answer"),
    }
}

fn fault(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message, "hint": null } });
    (status, axum::Json(body)).into_response()
}
