//! What a file of each dataset must look like: data, one readable file each, in `contracts/`.

use std::sync::OnceLock;

use serde::Deserialize;

/// A table of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataset {
    /// Departments of the shop.
    Departments,
    /// Categories of products.
    Categories,
    /// Products, with their list price.
    Products,
    /// Customers.
    Customers,
    /// Orders.
    Orders,
    /// Lines of orders.
    OrderItems,
}

impl Dataset {
    /// All of them, parents first. Nothing depends on that order; it only spares inferred members.
    pub const ALL: [Dataset; 6] = [
        Dataset::Departments,
        Dataset::Categories,
        Dataset::Products,
        Dataset::Customers,
        Dataset::Orders,
        Dataset::OrderItems,
    ];

    /// Its name: the shop's table, the folder of its files, and `raw.loaded_file.dataset`.
    pub fn as_str(self) -> &'static str {
        match self {
            Dataset::Departments => "departments",
            Dataset::Categories => "categories",
            Dataset::Products => "products",
            Dataset::Customers => "customers",
            Dataset::Orders => "orders",
            Dataset::OrderItems => "order_items",
        }
    }

    /// The dataset of that name.
    pub fn named(name: &str) -> Option<Dataset> {
        Dataset::ALL.into_iter().find(|dataset| dataset.as_str() == name)
    }

    /// What its files must look like.
    pub fn contract(self) -> &'static Contract {
        static CONTRACTS: OnceLock<Vec<Contract>> = OnceLock::new();
        let contracts = CONTRACTS.get_or_init(|| TEXTS.iter().map(|text| Contract::parse(text)).collect());
        &contracts[self as usize]
    }
}

/// In the order of [`Dataset::ALL`].
const TEXTS: [&str; 6] = [
    include_str!("contracts/departments.toml"),
    include_str!("contracts/categories.toml"),
    include_str!("contracts/products.toml"),
    include_str!("contracts/customers.toml"),
    include_str!("contracts/orders.toml"),
    include_str!("contracts/order_items.toml"),
];

/// What a file must look like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Whose.
    pub dataset: Dataset,
    /// The only one there is.
    pub encoding: Encoding,
    /// One ASCII character between fields.
    pub delimiter: char,
    /// Which fields may be quoted.
    pub quoting: Quoting,
    /// Whether there is a line of column names.
    pub header: Header,
    /// What stands for no value, unquoted or quoted.
    pub null: String,
    /// Which kinds of files there may be.
    pub kind: Kind,
    /// The column that names a row.
    pub key: String,
    /// The column whose sum is kept in the ledger.
    pub money: Option<String>,
    /// The file is rejected as a whole when more of its lines are bad.
    pub bad_lines_max_percent: u8,
    /// In the order of the file.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
}

/// How bytes are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Anything else is found and named, never guessed.
    #[serde(rename = "utf-8")]
    Utf8,
}

/// Which fields may be quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quoting {
    /// A field that begins with a quote is quoted, as in RFC 4180, and ends on its line; a quote elsewhere is data.
    Optional,
    /// A quote is a character like any other.
    None,
}

/// Whether there is a line of column names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// Always.
    Yes,
    /// Never.
    No,
    /// It is known by its names.
    Either,
}

/// Which kinds of files there may be: what its absence from one says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing: a file holds what is new or changed.
    Delta,
    /// Nothing, or that it is no more: a file whose name declares it holds every row there is. See
    /// [`super::name::is_full`].
    Either,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// As in the shop's table, and in a header.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    /// Whether there may be no value.
    #[serde(default)]
    pub may_be_null: bool,
    /// Least number, or amount in whole units.
    pub min: Option<i64>,
    /// Greatest number, or amount in whole units.
    pub max: Option<i64>,
    /// Longest text, in characters.
    pub chars_max: Option<usize>,
    /// First year.
    pub year_min: Option<i16>,
    /// Last year.
    pub year_max: Option<i16>,
    /// The dataset that holds the row it names.
    pub parent: Option<Dataset>,
    /// False: it is checked, and never kept anywhere.
    #[serde(default = "yes")]
    pub is_kept: bool,
}

fn yes() -> bool {
    true
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// Whole number of 32 bits.
    Integer,
    /// Whole number of 64 bits.
    Bigint,
    /// Text.
    Text,
    /// Up to 10 digits before and two after the point.
    Money,
    /// `YYYY-MM-DD`, or with ` HH:MM:SS` and a fraction; no zone.
    Timestamp,
}

impl Contract {
    /// The files are part of the program, and a test reads them all.
    fn parse(text: &str) -> Contract {
        match toml::from_str(text) {
            Ok(contract) => contract,
            Err(error) => panic!("a contract of this program cannot be read: {error}"),
        }
    }

    /// The column's place, counted from 0.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The place of the key.
    pub fn key_index(&self) -> usize {
        self.index_of(&self.key).unwrap_or(0)
    }

    /// The place of the column whose sum is kept.
    pub fn money_index(&self) -> Option<usize> {
        self.money.as_deref().and_then(|name| self.index_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_is_of_its_dataset_and_names_its_own_columns() {
        for dataset in Dataset::ALL {
            let contract = dataset.contract();

            assert_eq!(contract.dataset, dataset);
            assert_eq!(contract.index_of(&contract.key), Some(0), "{dataset:?}");
            assert!(contract.money.is_none() || contract.money_index().is_some(), "{dataset:?}");
            assert!(contract.delimiter.is_ascii() && !contract.columns.is_empty());
            assert_eq!(Dataset::named(dataset.as_str()), Some(dataset));
            for column in &contract.columns {
                assert_eq!(column.chars_max.is_some(), column.kind == ColumnKind::Text, "{}", column.name);
                assert_eq!(
                    column.year_min.is_some(),
                    column.kind == ColumnKind::Timestamp,
                    "{}",
                    column.name
                );
            }
        }
    }

    #[test]
    fn orders_and_their_lines_are_never_sent_whole() {
        for dataset in Dataset::ALL {
            let is_delta = matches!(dataset, Dataset::Orders | Dataset::OrderItems);

            assert_eq!(dataset.contract().kind == Kind::Delta, is_delta, "{dataset:?}");
        }
    }
}
