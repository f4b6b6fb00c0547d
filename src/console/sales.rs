//! *Sales*: revenue by day, what sells, what changed its price, what has ceased to sell, and how parcels arrive.
//!
//! Straight from the marts, which are as of the last complete day. A part that cannot be had does not hide the others.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::ToSpan;
use jiff::civil::Date;

use super::Console;
use super::ask::{Rows, ask};
use super::chart::{Bar, Named, bars};
use super::fault::Fault;
use super::html::{Markup, put};
use super::page::{self, Page, Tab, sentence};
use super::words::{maybe, maybe_stamp, money, number, whole};

/// Days of revenue that are shown.
const DAYS: i32 = 60;

const REVENUE: &str = "
select
  a.date, cast(sum(a.revenue_amount) as decimal(18, 2)) as revenue_amount,
  cast(sum(a.sales_amount) as decimal(18, 2)) as sales_amount, cast(sum(a.units_sold) as bigint) as units_sold
from mart.agg_product_day as a
where a.date > (select max(as_of) from mart.published) - 60 and a.date <= (select max(as_of) from mart.published)
group by a.date
order by a.date";

const PUBLISHED: &str = "select max(as_of) as as_of, max(refreshed_at) as refreshed_at from mart.published";

const PRODUCTS: &str = "
select
  a.product_id, p.product_name, p.category_name, a.units_sold, a.units_returned, a.sales_amount, a.revenue_amount
from (
  select
    product_id, cast(sum(units_sold) as bigint) as units_sold, cast(sum(units_returned) as bigint) as units_returned,
    cast(sum(sales_amount) as decimal(18, 2)) as sales_amount,
    cast(sum(revenue_amount) as decimal(18, 2)) as revenue_amount
  from mart.agg_product_day
  where date > (select max(as_of) from mart.published) - 30 and date <= (select max(as_of) from mart.published)
  group by product_id
) as a
left join base.dim_product as p on p.product_id = a.product_id and p.is_current
order by a.revenue_amount desc, a.product_id
limit 10";

const PRICES: &str = "
select
  c.product_id, c.product_name, c.changed_at, c.old_price, c.new_price, c.percent_change, c.units_per_day_before,
  c.units_per_day_after, c.days_before, c.days_after
from mart.price_change as c
order by c.changed_at desc, c.product_id
limit 20";

const CEASED: &str = "
select
  c.date, c.product_id, p.product_name, c.items_sold_to_date, c.days_with_sales_60d, c.days_since_last_sale
from mart.ceased_selling as c
left join base.dim_product as p on p.product_id = c.product_id and p.is_current
order by c.items_sold_to_date desc, c.product_id
limit 50";

const COURIERS: &str = "
select c.courier, c.parcels, c.delivered, c.late, c.days_to_deliver
from mart.courier_performance as c
order by c.parcels desc, c.courier
limit 20";

pub(super) async fn page(State(console): State<Console>, headers: HeaderMap) -> Response {
    let viewer = console.viewer(&headers, "/sales".to_owned());
    page::answer(&viewer, &Page::still(Tab::Sales, "Sales"), content(&console).await)
}

async fn content(console: &Console) -> Result<Markup, Fault> {
    let published = ask(console, PUBLISHED, &[]).await?;
    let mut out = Markup::new();
    put!(out, "<div class=\"title\"><h1>Sales</h1><p class=\"lead\">");
    let as_of = published.first().and_then(|row| row.day("as_of"));
    let Some(as_of) = as_of else {
        put!(
            out,
            "No day is complete yet.</p></div><p class=\"nothing\">The shop's files become sales once a day "
        );
        put!(out, "of orders is whole: see <a href=\"/loads?dataset=orders\">what was loaded</a>.</p>");
        return Ok(out);
    };
    put!(out, "Up to and with ", { as_of }, ".</p><p class=\"now\">Brought up to date ");
    put!(out, [maybe_stamp(published.first().and_then(|row| row.instant("refreshed_at")))], "</p></div>");
    part(&mut out, ("revenue", "Revenue by day"), ask(console, REVENUE, &[]).await, |out, rows| {
        revenue(out, rows, as_of);
    });
    put!(out, "<div class=\"pair\">");
    part(&mut out, ("products", "Most revenue in 30 days"), ask(console, PRODUCTS, &[]).await, products);
    part(&mut out, ("ceased", "Ceased to sell"), ask(console, CEASED, &[]).await, ceased);
    put!(out, "</div><div class=\"pair\">");
    part(&mut out, ("prices", "Price changes"), ask(console, PRICES, &[]).await, prices);
    part(&mut out, ("couriers", "Delivery by courier"), ask(console, COURIERS, &[]).await, couriers);
    put!(out, "</div>");
    Ok(out)
}

/// A part of the page, or why it is not there.
fn part(
    out: &mut Markup,
    (id, title): (&'static str, &'static str),
    rows: Result<Rows, Fault>,
    show: impl FnOnce(&mut Markup, &Rows),
) {
    put!(out, "<section aria-labelledby=\"", { id }, "\"><h2 id=\"", { id }, "\">", { title }, "</h2>");
    match rows {
        Ok(rows) => show(out, &rows),
        Err(fault) => put!(out, "<p class=\"notice bad\">", { sentence(&fault.message) }, "</p>"),
    }
    put!(out, "</section>");
}

fn nothing(out: &mut Markup, words: &'static str) {
    put!(out, "<p class=\"nothing\">");
    out.raw(words);
    put!(out, "</p>");
}

/// A day without a sale has no row, and is a bar without height.
fn days(as_of: Date) -> Vec<Date> {
    (0..DAYS).rev().map(|back| as_of.saturating_sub(back.days())).collect()
}

fn revenue(out: &mut Markup, rows: &Rows, as_of: Date) {
    if rows.is_empty() {
        nothing(out, "Nothing was sold in the last 60 days.");
        return;
    }
    let of_day = |day: Date, column: &str| {
        let row = rows.iter().find(|row| row.day("date") == Some(day));
        row.and_then(|row| row.real(column)).unwrap_or(0.0)
    };
    let days = days(as_of);
    let columns: Vec<Bar> = days
        .iter()
        .map(|day| {
            let value = of_day(*day, "revenue_amount");
            Bar { label: day.strftime("%-d %b").to_string(), value, says: money(value) }
        })
        .collect();
    let total: f64 = columns.iter().map(|bar| bar.value).sum();
    let says =
        format!("{} in the 60 days to {as_of}, {} a day", money(total), money(total / f64::from(DAYS)));
    put!(out, "<p>", { says }, "</p>");
    put!(out, [bars(Named { id: "c-revenue", title: "Revenue by day", says: &says }, &columns, number)]);
    put!(
        out,
        "<details id=\"revenue-days\"><summary>The numbers behind this chart</summary><table class=\"tight\">"
    );
    put!(out, "<caption>Newest first</caption><thead><tr><th scope=\"col\">Day</th>");
    put!(out, "<th scope=\"col\" class=\"n\">Revenue</th><th scope=\"col\" class=\"n\">Sales</th>");
    put!(out, "<th scope=\"col\" class=\"n\">Units</th></tr></thead><tbody>");
    for day in days.iter().rev() {
        put!(out, "<tr><th scope=\"row\">", { day }, "</th>");
        for column in ["revenue_amount", "sales_amount"] {
            put!(out, "<td class=\"n\">", { money(of_day(*day, column)) }, "</td>");
        }
        put!(out, "<td class=\"n\">", { number(of_day(*day, "units_sold")) }, "</td></tr>");
    }
    put!(out, "</tbody></table></details>");
}

/// Begins a table whose first column is a name and whose others are numbers.
fn open(out: &mut Markup, caption: &'static str, first: &'static str, numbers: &[&'static str]) {
    put!(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"");
    out.raw(caption);
    put!(out, "\"><table class=\"tight\"><caption>");
    out.raw(caption);
    put!(out, "</caption><thead><tr><th scope=\"col\">");
    out.raw(first);
    put!(out, "</th>");
    for name in numbers {
        put!(out, "<th scope=\"col\" class=\"n\">", { name }, "</th>");
    }
    put!(out, "</tr></thead><tbody>");
}

fn name(row: &super::ask::Row<'_>) -> String {
    let name = row.text("product_name");
    if name.is_empty() { format!("product {}", row.text("product_id")) } else { name }
}

fn products(out: &mut Markup, rows: &Rows) {
    if rows.is_empty() {
        return nothing(out, "Nothing was sold in the last 30 days.");
    }
    open(out, "Ten products", "Product", &["Revenue", "Units", "Returned"]);
    for row in rows.iter() {
        put!(out, "<tr><th scope=\"row\">", { name(&row) }, " <span class=\"muted\">", {
            row.text("category_name")
        });
        put!(out, "</span></th><td class=\"n\">", {
            row.real("revenue_amount").map_or_else(String::new, money)
        });
        put!(out, "</td><td class=\"n\">", { maybe(row.real("units_sold")) }, "</td><td class=\"n\">");
        put!(out, { maybe(row.real("units_returned")) }, "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

fn ceased(out: &mut Markup, rows: &Rows) {
    put!(out, "<p>Sold on more than 30 of the last 60 days, and on none of the last 7.</p>");
    if rows.is_empty() {
        return nothing(out, "Every product that sold well still sells.");
    }
    open(out, "Products", "Product", &["Sold to date", "Days with sales, of 60", "Days since the last"]);
    for row in rows.iter() {
        put!(out, "<tr><th scope=\"row\">", { name(&row) }, "</th><td class=\"n\">");
        put!(out, { whole(row.whole("items_sold_to_date")) }, "</td><td class=\"n\">");
        put!(out, { row.text("days_with_sales_60d") }, "</td><td class=\"n\">");
        put!(out, { row.text("days_since_last_sale") }, "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

fn prices(out: &mut Markup, rows: &Rows) {
    if rows.is_empty() {
        return nothing(out, "No list price has changed.");
    }
    put!(out, "<p>Units a day in up to 28 days before and after the change.</p>");
    open(out, "The last 20", "Product", &["Before", "After", "Change", "Units before", "Units after"]);
    for row in rows.iter() {
        let price = |column: &str| row.real(column).map_or_else(String::new, money);
        put!(out, "<tr><th scope=\"row\">", { name(&row) }, " <span class=\"muted\">");
        put!(out, [maybe_stamp(row.instant("changed_at"))], "</span></th><td class=\"n\">", {
            price("old_price")
        });
        put!(out, "</td><td class=\"n\">", { price("new_price") }, "</td><td class=\"n\">");
        put!(out, { row.real("percent_change").map_or_else(String::new, percent) }, "</td><td class=\"n\">");
        put!(out, { maybe(row.real("units_per_day_before")) }, "</td><td class=\"n\">");
        put!(out, { maybe(row.real("units_per_day_after")) }, "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

/// Its direction in words of its own, not by colour.
fn percent(change: f64) -> String {
    let arrow = if change > 0.0 { "▲" } else { "▼" };
    format!("{arrow} {} %", number(change.abs()))
}

fn couriers(out: &mut Markup, rows: &Rows) {
    if rows.is_empty() {
        return nothing(out, "No parcel carries an order of the shop yet.");
    }
    open(
        out,
        "Parcels with orders of the shop",
        "Courier",
        &["Parcels", "Delivered", "Late", "Days to deliver"],
    );
    for row in rows.iter() {
        put!(out, "<tr><th scope=\"row\">", { row.text("courier") }, "</th>");
        for column in ["parcels", "delivered", "late"] {
            put!(out, "<td class=\"n\">", { whole(row.whole(column)) }, "</td>");
        }
        put!(out, "<td class=\"n\">", { maybe(row.real("days_to_deliver")) }, "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_days_end_with_the_last_complete_one() {
        let as_of = "2026-03-01".parse().expect("day");

        let days = days(as_of);

        assert_eq!((days.len(), days[0].to_string(), days[59]), (60, "2026-01-01".to_owned(), as_of));
    }

    #[test]
    fn a_change_says_where_it_went() {
        assert_eq!([percent(10.1), percent(-3.0)], ["▲ 10.1 %", "▼ 3 %"]);
    }
}
