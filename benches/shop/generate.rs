//! Files of a made-up shop, of the shape of the real data set and of any size: the same seed gives the same bytes.

use jiff::civil::{Date, date};
use jiff::{Span, Timestamp};

/// The days of the history: three years.
pub const FIRST: Date = date(2023, 7, 1);
pub const LAST: Date = date(2026, 6, 30);
pub const PRODUCTS: u32 = 5_000;
/// Lines in 100 orders.
const LINES_OF_100_ORDERS: u64 = 250;
/// Lines per customer: of the real data set.
const LINES_OF_A_CUSTOMER: u64 = 14;
/// Products divisible by this do not sell in the last days any more.
const CEASES_EACH: u32 = 97;
const CEASED_FOR: i64 = 10;

/// Status and its share in percent.
const STATUSES: [(&str, u32); 9] = [
    ("COMPLETE", 33),
    ("PENDING_PAYMENT", 22),
    ("PROCESSING", 12),
    ("PENDING", 11),
    ("CLOSED", 11),
    ("ON_HOLD", 5),
    ("SUSPECTED_FRAUD", 2),
    ("CANCELED", 2),
    ("PAYMENT_REVIEW", 2),
];

/// A file of orders and the file of their lines.
pub struct Sales {
    pub orders: String,
    pub lines: String,
}

/// The shop: what it has sold so far decides the next numbers.
pub struct Shop {
    random: fastrand::Rng,
    customers: u32,
    next_order: u64,
    next_line: u64,
}

impl Shop {
    /// One that will sell about so many lines.
    pub fn new(lines: u64) -> Shop {
        let customers = u32::try_from(lines / LINES_OF_A_CUSTOMER).unwrap_or(u32::MAX).max(1_000);
        Shop { random: fastrand::Rng::with_seed(4711), customers, next_order: 1, next_line: 1 }
    }

    pub fn departments(&self) -> String {
        (1..=10).map(|id| format!("{id},Department {id}\n")).collect()
    }

    pub fn categories(&self) -> String {
        (1..=100).map(|id| format!("{id},{},Category {id}\n", 1 + id % 10)).collect()
    }

    /// `raised`: every tenth product costs more.
    pub fn products(&self, is_raised: bool) -> String {
        let mut text = String::new();
        for id in 1..=PRODUCTS {
            let cents = price(id) + if is_raised && id % 10 == 0 { 100 } else { 0 };
            text.push_str(&format!(
                "{id},{},\"Product {id}, blue\",,{}.{:02},http://images/{id}\n",
                1 + id % 100,
                cents / 100,
                cents % 100
            ));
        }
        text
    }

    pub fn customers(&self) -> String {
        let mut text = String::with_capacity(self.customers as usize * 70);
        for id in 1..=self.customers {
            let zip = id % 100_000;
            text.push_str(&format!(
                "{id},First{},Last{},XXXXXXXXX,XXXXXXXXX,{id} Lake Road,City{},NY,{zip:05}\n",
                id % 500,
                id % 900,
                id % 700
            ));
        }
        text
    }

    /// Sales of these days, in the order of their numbers and not of their days. `bad_each`: of so many lines one is bad.
    pub fn sell(&mut self, first: Date, last: Date, lines: u64, bad_each: Option<u64>) -> Sales {
        let count = i64::from((last - first).get_days()) + 1;
        let days: Vec<(String, i64)> = (0..count)
            .map(|day| {
                let date = first.saturating_add(Span::new().days(day));
                (date.to_string(), i64::from((LAST - date).get_days()))
            })
            .collect();
        let mut sales = Sales {
            orders: String::with_capacity(lines as usize * 20),
            lines: String::with_capacity(lines as usize * 42),
        };
        let end = self.next_line + lines;
        while self.next_line < end {
            let order = self.next_order;
            self.next_order += 1;
            let (day, before_last) = &days[self.random.usize(0..days.len())];
            let status = self.status();
            let (hour, minute) = (self.random.u32(0..24), self.random.u32(0..60));
            push(&mut sales.orders, order, ',');
            sales.orders.push_str(day);
            sales.orders.push_str(&format!(" {hour:02}:{minute:02}:00.0,"));
            push(&mut sales.orders, u64::from(self.random.u32(1..=self.customers)), ',');
            sales.orders.push_str(status);
            sales.orders.push('\n');
            let mut of_order = 1 + self.random.u64(0..LINES_OF_100_ORDERS / 50 - 1);
            while of_order > 0 && self.next_line < end {
                of_order -= 1;
                let line = self.next_line;
                self.next_line += 1;
                let mut product = 1 + (f64::from(PRODUCTS) * self.random.f64().powi(5)) as u32;
                if product.is_multiple_of(CEASES_EACH) && *before_last < CEASED_FOR {
                    product += 1;
                }
                let (quantity, cents) = (self.random.u32(1..=5), price(product));
                push(&mut sales.lines, line, ',');
                push(&mut sales.lines, order, ',');
                push(&mut sales.lines, u64::from(product), ',');
                if bad_each.is_some_and(|each| line.is_multiple_of(each)) {
                    sales.lines.push_str("two,");
                } else {
                    push(&mut sales.lines, u64::from(quantity), ',');
                }
                money(&mut sales.lines, quantity * cents, ',');
                money(&mut sales.lines, cents, '\n');
            }
        }
        sales
    }

    fn status(&mut self) -> &'static str {
        let mut at = self.random.u32(0..100);
        for (status, share) in STATUSES {
            if at < share {
                return status;
            }
            at -= share;
        }
        STATUSES[0].0
    }
}

fn price(product: u32) -> u32 {
    500 + product * 7_919 % 30_000
}

fn push(text: &mut String, number: u64, end: char) {
    let mut digits = [0_u8; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend(digits[at..].iter().map(|digit| char::from(*digit)));
    text.push(end);
}

fn money(text: &mut String, cents: u32, end: char) {
    push(text, u64::from(cents / 100), '.');
    text.push(char::from(b'0' + (cents % 100 / 10) as u8));
    text.push(char::from(b'0' + (cents % 10) as u8));
    text.push(end);
}

/// When every file was written.
pub fn written() -> Timestamp {
    "2026-07-02T03:00:00Z".parse().expect("an instant")
}
